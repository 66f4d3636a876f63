"""What every alert channel must do, as tests: the clauses of `bunsui.ports.alerts`, one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bunsui.testing.alert_channel.sending import Sending
from bunsui.testing.suites import missing


class AlertChannelSuite(Sending):
    """Holds for every alert channel: derive from it, and give it the fixture `channel` and options.

    Such as::

        from contextlib import contextmanager

        import pytest
        from bunsui.testing import AlertChannelSuite


        class TestPager(AlertChannelSuite):
            hidden = "s3cret"

            @pytest.fixture
            def channel(self, pager_server):
                self.server = pager_server
                self.options = {"url": pager_server.url, "token": "s3cret", "timeout": 1}
                return PagerChannel()

            def received(self):
                return self.server.messages

            @contextmanager
            def failing(self):
                self.server.status = 503
                yield
                self.server.status = 200

    A channel that calls AWS is given as a runner uses it: ``PagerChannel().for_runner(services)``.
    """

    if not TYPE_CHECKING:

        @pytest.fixture
        def channel(self):
            """A channel that can be used with `options`."""
            missing(self, "channel", "return MyChannel()")
