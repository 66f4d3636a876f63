"""The pytest plugin: fixtures for those who test pipelines. pytest finds it by its entry point.

It is imported whenever pytest starts, so it imports nothing of bunsui before one of its fixtures is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    stubs.escaped.raise_first()


@pytest.fixture
def bunsui_secrets() -> Mapping[str, str]:
    """The values of the secrets that definitions may name, by name; none, unless a test file has its own."""
    return {}


@pytest.fixture
def bunsui_env() -> Mapping[str, str]:
    """The variables that definitions may name, with their values; none, unless a test file has its own."""
    return {}


@pytest.fixture
def bunsui_runner(
    bunsui_stubs: Stubs, bunsui_secrets: Mapping[str, str], bunsui_env: Mapping[str, str]
) -> Iterator[Runner]:
    """A Runner in memory that calls `bunsui_stubs`, and is closed afterwards.

    Waits between attempts, and those of stubs that take their time, take none while nothing runs. What is
    configured on this machine does not count: secrets and variables are those of `bunsui_secrets` and
    `bunsui_env`, and pools are there by themselves.
    """
    from bunsui.testing.fakes.clock import FakeClock  # noqa: PLC0415 - see above
    from bunsui.testing.stubbing.runner import StubbedRunner, registry  # noqa: PLC0415 - see above

    with StubbedRunner(
        bunsui_stubs,
        FakeClock(),
        in_callers_thread=False,
        plugins=registry((), bunsui_secrets),
        secrets=bunsui_secrets,
        env=bunsui_env,
    ) as runner:
        yield runner
