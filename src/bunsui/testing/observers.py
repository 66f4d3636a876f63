"""What every observer must do, as tests: it looks on, and changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bunsui.testing.observer.watching import Watching
from bunsui.testing.suites import missing


class ObserverSuite(Watching):
    """Holds for every plugin with the hook `bunsui_session_event`: derive from it, and give it `observer`.

    Such as::

        import pytest
        from bunsui.testing import ObserverSuite


        class TestMetrics(ObserverSuite):
            @pytest.fixture
            def observer(self):
                return MetricsPlugin()

    The plugin is a module, or an object.
    """

    if not TYPE_CHECKING:

        @pytest.fixture
        def observer(self):
            """The plugin."""
            missing(self, "observer", "return MyObserver()")
