"""The pytest plugin: fixtures for those who test pipelines. pytest finds it by its entry point.

It is imported whenever pytest starts, so it imports nothing of bunsui before one of its fixtures is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bunsui.runner.runner import Runner
    from bunsui.testing.stubbing.stubs import Stubs


@pytest.fixture
def bunsui_stubs() -> Iterator[Stubs]:
    """What jobs of `bunsui_runner` do instead of their work, by their ids; none at first.

    An assertion that has failed in one of them, where only a job has failed by it, fails the test at its end.
    """
    from bunsui.testing import Stubs  # noqa: PLC0415 - see above

    stubs = Stubs()
    yield stubs
    stubs.raise_escaped()


@pytest.fixture
def bunsui_runner(bunsui_stubs: Stubs) -> Iterator[Runner]:
    """A Runner in memory that calls `bunsui_stubs`, and is closed afterwards.

    Waits between attempts, and those of stubs that take their time, take none while nothing runs. What is
    configured on this machine does not count.
    """
    from bunsui.testing.fakes.clock import FakeClock  # noqa: PLC0415 - see above
    from bunsui.testing.stubbing.runner import StubbedRunner, registry  # noqa: PLC0415

    with StubbedRunner(bunsui_stubs, FakeClock(), plugins=registry(), in_callers_thread=False) as runner:
        yield runner
