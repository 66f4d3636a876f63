"""How time passes in runs with stubs: by what there is to wait for, whatever threads do meanwhile."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import bunsui
from bunsui import CannotTell, Pipeline, Running, Succeeded
from bunsui.engine.events import JobSucceeded
from bunsui.testing import FakeClock, FakeService, Stubs, Takes, run_pipeline
from bunsui.testing.stubbing import driver
from bunsui.testing.stubbing.runner import StubbedRunner, registry


def pipeline(*ids: str, **fields) -> Pipeline:
    """Jobs side by side, which can't run here without a stub."""
    jobs = [{"id": id_, "type": "lambda", "function": "f", **fields} for id_ in ids]
    return Pipeline.from_dict({"version": "1.0", "name": "p", "jobs": jobs})


@contextmanager
def in_threads(stubs, clock: FakeClock | None = None) -> Iterator[StubbedRunner]:
    """What the fixture `bunsui_runner` has, on a clock of one's own."""
    clock = clock or FakeClock()
    with StubbedRunner(Stubs(stubs), clock, plugins=registry(), in_callers_thread=False) as runner:
        yield runner


class Meddling(FakeClock):
    """Lets a stub go on in the moment in which the driver has seen what there is to wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.is_armed = False
        self.go_on = threading.Event()

    def stub(self, call):
        """Begins to wait just then."""
        self.is_armed = True
        assert self.go_on.wait(30)
        return Takes(1, 1)

    def monotonic(self) -> float:
        if self.is_armed and sys._getframe(1).f_code.co_name == "_pause":
            self.is_armed = False
            self.go_on.set()
            time.sleep(0.2)  # Until it waits.
        return super().monotonic()


@pytest.mark.parametrize("beside", [{}, {"slow": Takes(100)}])
def test_a_stub_may_begin_to_wait_at_any_moment(beside):
    """The run goes on, and neither too soon nor too late, also where no message tells the driver of it."""
    clock = Meddling()
    with in_threads({"a": clock.stub, **beside}, clock) as runner:
        runner._control.parts.driver._waits.added = lambda: None
        session = runner.run(pipeline("a", *beside))
    assert "succeeded" == session.status
    events = list(session.events())
    ended = next(event for event in events if isinstance(event, JobSucceeded) and event.job == "a")
    assert 1 <= (ended.at - events[0].at).total_seconds() < 50


def test_the_driver_is_told_of_a_stub_that_begins_to_wait(monkeypatch):
    """It does not find that out by itself, at its next look."""
    monkeypatch.setattr(driver, "TICK", 3600.0)

    def stub(call):
        time.sleep(0.2)  # The driver waits for it by now.
        return Takes(60, 1)

    with in_threads({"a": stub}) as runner:
        assert "succeeded" == runner.start(pipeline("a")).wait(30)


def test_a_stub_that_was_stopped_while_it_was_called_waits_for_nothing():
    """What it then takes is no time, and it counts as stopped."""
    begun = threading.Event()

    def stub(call):
        begun.set()
        assert call.workbench.cancelled.wait(30)
        return Takes(86_400, 1)

    clock = FakeClock()
    with in_threads({"a": stub}, clock) as runner:
        session = runner.start(pipeline("a"))
        assert begun.wait(30)
        session.cancel()
        assert "cancelled" == session.wait(30)
    assert "cancelled" == session.jobs["a"].status
    assert clock.monotonic() < 86_400


class Slow(bunsui.RemoteJobType):
    """Its service needs real time."""

    name = "slow"
    schema = {"type": "object", "properties": {}}
    poll_interval = 0.1
    resubmit_is_idempotent = True

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.polls = 0

    def submit(self, call):
        return time.monotonic() + self.seconds

    def poll(self, handles):
        self.polls += 1
        return [Succeeded("done") if time.monotonic() >= due else Running() for due in handles]

    def cancel(self, handle):
        """It ends by itself."""

    def find(self, call):
        return CannotTell()

    @bunsui.hookimpl
    def bunsui_job_types(self):
        return [self]


def at(service, kind: str, **fields) -> Pipeline:
    definition = {"version": "1.0", "name": "p", "jobs": [{"id": "a", "type": kind, **fields}]}
    return Pipeline.from_dict(definition, plugins=bunsui.Plugins([service], autoload=False))


def test_a_real_service_has_the_time_that_it_needs():
    """It is asked as often as a Runner asks it, and not given up."""
    service = Slow(0.5)
    run = run_pipeline(at(service, "slow", timeout=60), plugins=[service])
    assert {"a": "done"} == run.raise_for_status().outputs
    assert 0.5 <= run.seconds
    assert service.polls < 50


def test_patience_with_a_real_service_is_in_real_time():
    """The run ends with the name of what has not ended."""
    service = Slow(600)
    with pytest.raises(bunsui.BunsuiError, match=r"(?s)nothing that runs has ended.*'a'.*at a service"):
        run_pipeline(at(service, "slow"), plugins=[service], patience=0.5)


def test_patience_begins_again_whenever_something_ends():
    """Services that take longer together than the test has patience for one of them."""
    service = Slow(0.7)
    jobs = [{"id": f"j{n}", "type": "slow", "depends_on": [f"j{n - 1}"] if n else []} for n in range(6)]
    definition = {"version": "1.0", "name": "p", "jobs": jobs}
    made = Pipeline.from_dict(definition, plugins=bunsui.Plugins([service], autoload=False))
    assert "succeeded" == run_pipeline(made, plugins=[service], patience=4).status


def test_a_fake_service_has_the_time_of_the_run():
    """Hours of it pass at once."""
    service = FakeService()
    run = run_pipeline(at(service, "fake", timeout=7200), plugins=[service])
    assert "JobTimeout" == run.jobs["a"].error.code
    assert 7200 <= run.seconds
