"""What every job type must do, as tests: in a definition, in a runner, at its service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bunsui.testing.job_type.definition import Definition
from bunsui.testing.job_type.recovery import Recovery
from bunsui.testing.job_type.running import Behaviour
from bunsui.testing.suites import missing


class JobTypeSuite(Definition, Behaviour, Recovery):
    """Holds for every job type: derive from it, and give it the fixture `job_type` and examples.

    Such as::

        import pytest
        from bunsui.testing import JobTypeSuite


        class TestGreet(JobTypeSuite):
            options = {"greeting": "Hello"}
            parameters = {"name": "Ada"}
            invalid_options = [{}, {"greeting": 1}]
            failing_options = {"greeting": "unspeakable"}
            can_cancel = False

            @pytest.fixture
            def job_type(self):
                return GreetJob()

    The folder of the definitions is the test's ``tmp_path``: what the fixture puts there can be named by the
    examples. An example that is known only then is set by the fixture: ``self.options = {"port": port}``.
    """

    if not TYPE_CHECKING:

        @pytest.fixture
        def job_type(self):
            """An instance of the type, as a plugin would bring it."""
            missing(self, "job_type", "return MyJobType()")
