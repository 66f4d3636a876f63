"""Job types that do what a test puts in their place, and a session that has to succeed beside them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import bunsui

#: Seconds for whatever is to end.
LONG = 60.0


class Faulty(bunsui.JobType):
    """``type: faulty``: does what a test puts in its place."""

    name: ClassVar[str] = "faulty"
    schema: ClassVar[dict[str, Any]] = {"type": "object", "properties": {}}

    def __init__(self, run: Callable[[bunsui.JobCall], Any]) -> None:
        self._run = run

    def run(self, call: bunsui.JobCall) -> Any:
        return self._run(call)

    @bunsui.hookimpl
    def bunsui_job_types(self) -> list[bunsui.JobType]:
        return [self]


class AsyncFaulty(Faulty):
    """The same, async."""

    async def run(self, call: bunsui.JobCall) -> Any:
        return self._run(call)


class Service(bunsui.RemoteJobType):
    """``type: faulty`` at a service: each method does what a test puts in its place."""

    name: ClassVar[str] = "faulty"
    schema: ClassVar[dict[str, Any]] = {"type": "object", "properties": {}}
    poll_interval: ClassVar[float] = 0.02

    def __init__(self, **methods: Callable[..., Any]) -> None:
        self.methods = methods

    def _do(self, name: str, default: Any, *given: Any) -> Any:
        method = self.methods.get(name)
        return default if method is None else method(*given)

    def submit(self, call: bunsui.JobCall) -> Any:
        return self._do("submit", {"id": call.job_id}, call)

    def poll(self, handles: Sequence[Any]) -> Sequence[Any]:
        return self._do("poll", [bunsui.Running() for _ in handles], handles)

    def cancel(self, handle: Any) -> None:
        return self._do("cancel", None, handle)

    def find(self, call: bunsui.JobCall) -> Any:
        return self._do("find", bunsui.NeverRan(), call)

    @bunsui.hookimpl
    def bunsui_job_types(self) -> list[bunsui.JobType]:
        return [self]


class Fine(bunsui.RemoteJobType):
    """``type: fine``: a service whose work ends when the test's gate opens."""

    name: ClassVar[str] = "fine"
    schema: ClassVar[dict[str, Any]] = {"type": "object", "properties": {}}
    poll_interval: ClassVar[float] = 0.02

    def __init__(self) -> None:
        self.gate = threading.Event()

    def submit(self, call: bunsui.JobCall) -> Any:
        return call.job_id

    def poll(self, handles: Sequence[Any]) -> Sequence[Any]:
        return [bunsui.Succeeded(1) if self.gate.is_set() else bunsui.Running() for _ in handles]

    def cancel(self, handle: Any) -> None:
        raise AssertionError("nobody cancels it")

    def find(self, call: bunsui.JobCall) -> Any:
        raise AssertionError("nobody looks for it")

    @bunsui.hookimpl
    def bunsui_job_types(self) -> list[bunsui.JobType]:
        return [self]


@contextmanager
def beside_another(*plugins: Any, **more: Any) -> Iterator[bunsui.Runner]:
    """A Runner in which another session runs all the while; it succeeds after that, and the Runner closes."""
    gate, fine = threading.Event(), Fine()
    with bunsui.Runner("memory://", plugins=[*plugins, fine], autoload_plugins=False, **more) as runner:
        bystander = runner.start(
            bunsui.Pipeline(
                name="bystander",
                jobs=[
                    bunsui.Job.from_callable(lambda: gate.wait(LONG), id="thread"),
                    bunsui.Job("service", "fine"),
                    bunsui.Job.from_callable(lambda: 1, id="next", depends_on=["thread", "service"]),
                    bunsui.Job("last", "fine", depends_on=["next"]),
                ],
            )
        )
        try:
            yield runner
        finally:
            gate.set()
            fine.gate.set()
        assert "succeeded" == bystander.wait(LONG)


def pipeline_of(**fields: Any) -> bunsui.Pipeline:
    """A pipeline of one faulty job, and one that does not depend on it."""
    jobs = [bunsui.Job("a", "faulty", **fields), bunsui.Job.from_callable(lambda: 1, id="beside")]
    return bunsui.Pipeline(name="faulty", jobs=jobs)


def fails(runner: bunsui.Runner, **fields: Any) -> bunsui.Failure:
    """Why the faulty job failed; the one beside it has succeeded."""
    session = runner.start(pipeline_of(**fields))
    assert "failed" == session.wait(LONG)
    error = session.jobs["a"].error
    assert error is not None
    assert ("failed", "succeeded") == (session.jobs["a"].status, session.jobs["beside"].status)
    list(session.events())  # All of the history can be read.
    list(session.logs())
    return error
