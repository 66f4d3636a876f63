"""One attempt whose code is async: from its thread, or without one, into the event loop."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from bunsui.expressions.resolution import Hidden
from bunsui.jobs.custom import CustomJobType
from bunsui.local.supervisor import Supervisor
from bunsui.model.pipeline import Job, Pipeline
from bunsui.ports.job_type import Command, Function, JobCall, JobType, current_call
from bunsui.runner.attempts.event_loop import GRACE, EventLoop
from bunsui.runner.attempts.host import Host
from bunsui.runner.attempts.keeping import Keeping
from bunsui.runner.attempts.kept_secrets import KeptSecrets
from bunsui.runner.attempts.logs import Logs
from bunsui.runner.attempts.work import Work
from bunsui.runner.clock import SystemClock

NOW = datetime(2024, 1, 2, tzinfo=UTC)


class Noon(SystemClock):
    """Its wall clock stands still."""

    def now(self) -> datetime:
        return NOW


def kind(run: Callable[[JobCall], Any]) -> JobType:
    """A job type with this method."""
    body = {"name": "typed", "schema": {"type": "object"}, "run": lambda self, call: run(call)}
    return type("Typed", (JobType,), body)()  # type: ignore[no-any-return]


class Later(JobType):
    """An async job type; what it awaits is given to it."""

    name: ClassVar[str] = "later"
    schema: ClassVar[dict[str, Any]] = {"type": "object"}

    def __init__(self, body: Callable[[JobCall], Awaitable[Any]]) -> None:
        self.body = body

    async def run(self, call: JobCall) -> Any:
        return await self.body(call)


class Desk:
    """Makes work, and takes what it reports."""

    def __init__(self, folder: Path) -> None:
        self.reported: queue.SimpleQueue[Work] = queue.SimpleQueue()
        self.supervisor = Supervisor()
        self.event_loop = EventLoop()
        self.secrets: dict[str, str] = {}

        def secret(name: str, _: KeptSecrets) -> str:
            return self.secrets[name]

        logs, keeping = Logs(folder / "logs"), Keeping(None, Noon(), 1.0)
        self.host = Host(self.supervisor, logs, Noon(), secret, self.event_loop, keeping)
        self.pipeline = Pipeline(name="p", jobs=[Job("a", "custom", {"command": ["true"]})]).at(folder)

    def work(
        self, job_type: JobType | None = None, function: Any = None, bound: Any = None, **fields: Any
    ) -> Work:
        if function is None:
            job = Job("a", "custom", {"command": ["true"]}, **fields)
        else:
            job = Job.from_callable(function, id="a", **fields)
        live: Any = SimpleNamespace(
            id="s1", pipeline=self.pipeline, callable_folders=(), secrets=KeptSecrets()
        )
        made = Work(live, job, 1, job_type or CustomJobType(), bound, {}, job.options, self.host)
        made.report = self.reported.put
        return made

    def done(self, work: Work) -> Work:
        """Has it run, as a thread of the pool would, to its report."""
        work()
        reported = self.reported.get(timeout=30)
        assert (work, True) == (reported, self.reported.empty())
        return work


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.event_loop.close()
    desk.supervisor.close()


def output(work: Work) -> str | None:
    assert work.failure is None
    return None if work.output is None else work.output.text


def failed(work: Work) -> tuple[str, str]:
    assert work.failure is not None
    return work.failure.code, work.failure.message


async def hang(call: JobCall | None = None) -> None:
    await asyncio.Event().wait()


async def number() -> int:
    await asyncio.sleep(0)
    return 1


class TestOutcomes:
    """What is reported."""

    def test_success(self, desk: Desk) -> None:
        """An attempt reports itself once, with its output and time."""

        async def body(call: JobCall) -> list[int]:
            return [call.attempt]

        work = desk.done(desk.work(Later(body)))
        assert ("[1]", NOW) == (output(work), work.finished_at)

    def test_an_awaitable_of_a_blocking_type(self, desk: Desk) -> None:
        """It is awaited."""
        assert "1" == output(desk.done(desk.work(kind(lambda call: number()))))

    @pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1), asyncio.CancelledError()], ids=repr)
    def test_failure(self, desk: Desk, error: BaseException) -> None:
        """Whatever is raised stops at the border; its traceback is in the log, without our frames."""

        async def body(call: JobCall) -> None:
            raise error

        work = desk.done(desk.work(Later(body)))
        assert (type(error).__name__, str(error)) == failed(work)
        log = (work.log.files.parent / "a.jsonl").read_text(encoding="utf-8")
        assert ("in body" in log, "event_loop" in log) == (True, False)

    def test_an_output_that_is_not_json(self, desk: Desk) -> None:
        """OutputNotJson, as elsewhere."""

        async def body(call: JobCall) -> Any:
            return {1}

        assert "OutputNotJson" == failed(desk.done(desk.work(Later(body))))[0]

    def test_a_secret_in_the_output(self, desk: Desk) -> None:
        """It is found there, and what goes wrong is masked."""

        async def tell(call: JobCall) -> Any:
            return call.parameters

        async def shout(call: JobCall) -> Any:
            raise ValueError(call.parameters["password"])

        desk.secrets["db"] = "hunter2-of-old"
        found = []
        for body in (tell, shout):
            work = desk.work(Later(body))
            work.parameters = {"password": Hidden((("db",),))}
            work.secrets = ("db",)
            found.append(failed(desk.done(work)))
        assert ["SecretInOutput", ("ValueError", "***")] == [found[0][0], found[1]]

    def test_the_loop_is_closed(self, desk: Desk) -> None:
        """The attempt says so; nothing warns of a coroutine that was never awaited."""
        desk.event_loop.close()
        assert ("StateError", "this runner is closed; make another one") == failed(
            desk.done(desk.work(Later(hang)))
        )


class TestCurrentCall:
    """The call is known to the code that runs for it, and to no other."""

    def test_in_tasks_and_threads(self, desk: Desk) -> None:
        """In the coroutine, in its tasks, and in threads that it uses."""

        async def ask() -> str:
            return current_call().job_id

        async def body(call: JobCall) -> list[Any]:
            threaded = await asyncio.to_thread(lambda: current_call().job_id)
            return [current_call() is call, await asyncio.create_task(ask()), threaded]

        assert '[true,"a","a"]' == output(desk.done(desk.work(Later(body))))

    def test_two_at_once(self, desk: Desk) -> None:
        """Each has its own."""
        seen: list[tuple[bool, bool]] = []

        async def body(call: JobCall) -> None:
            before = current_call() is call
            await asyncio.sleep(0.02)
            seen.append((before, current_call() is call))

        works = [desk.work(Later(body)) for _ in range(3)]
        for work in works:
            work()
        for _ in works:
            desk.reported.get(timeout=30)
        assert [(True, True)] * 3 == seen


class TestStopping:
    """What the driver does to it."""

    def test_cancel(self, desk: Desk) -> None:
        """It is cancelled."""
        entered = threading.Event()

        async def body(call: JobCall) -> None:
            entered.set()
            await hang()

        work = desk.work(Later(body))
        work()
        assert entered.wait(30)
        assert work.endable
        work.cancel()
        desk.reported.get(timeout=30)
        assert ("JobCancelled", "the attempt was stopped") == failed(work)

    def test_cancel_while_it_is_handed_over(self, desk: Desk) -> None:
        """It does not begin."""
        ran: list[int] = []

        async def late() -> None:
            ran.append(1)

        def run(call: JobCall) -> Any:
            work.cancel()
            return late()

        work = desk.work(kind(run))
        assert "JobCancelled" == failed(desk.done(work))[0]
        assert [] == ran

    def test_timeout(self, desk: Desk) -> None:
        """It is cancelled at its deadline."""
        work = desk.work(Later(hang))
        work.deadline = time.monotonic() + 0.02
        assert ("JobTimeout", "the attempt took longer than its timeout and was cancelled") == failed(
            desk.done(work)
        )

    def test_endable_until_the_grace_is_over(self, desk: Desk) -> None:
        """What should have ended by itself a while ago is not counted on any more."""
        opened = threading.Event()

        async def swallow(call: JobCall) -> None:
            while not opened.is_set():
                try:
                    await asyncio.sleep(0.01)
                except asyncio.CancelledError:
                    continue

        work = desk.work(Later(swallow))
        # Its deadline is over, and so is the grace that it has after it.
        work.deadline = time.monotonic() + 0.05
        work()
        assert work.endable
        work._end_by = time.monotonic() - GRACE
        expected = "its async code was cancelled and goes on all the same, or blocks the event loop"
        assert (False, expected) == (work.endable, work.unendable_part)
        opened.set()
        desk.reported.get(timeout=30)

    def test_cancel_begins_the_grace(self, desk: Desk) -> None:
        """Where it has no deadline; a second one does not prolong it."""
        opened = threading.Event()

        async def swallow(call: JobCall) -> None:
            while not opened.is_set():
                try:
                    await asyncio.sleep(0.01)
                except asyncio.CancelledError:
                    continue

        work = desk.work(Later(swallow))
        work()
        before = work._end_by
        work.cancel()
        first = work._end_by
        work.cancel()
        assert (None, first) == (before, work._end_by)
        assert first is not None
        opened.set()
        desk.reported.get(timeout=30)


class TestWithoutAThread:
    """Which attempts begin in the loop itself."""

    def test_a_job_type(self, desk: Desk) -> None:
        """Whose `run` is async; not one that may block before it returns an awaitable."""
        assert [True, False] == [
            desk.work(Later(hang)).is_async,
            desk.work(kind(lambda call: number())).is_async,
        ]

    def test_a_callable(self, desk: Desk) -> None:
        """An async function that was given itself, partly applied too; not one that returns an awaitable."""

        def promise() -> Any:
            return number()

        functions = [number, partial(hang, call=None), promise]
        assert [True, True, False] == [desk.work(function=function).is_async for function in functions]

    def test_a_callable_in_a_process(self, desk: Desk) -> None:
        """It is the process that runs it."""
        work = desk.work()
        given = Function("local:x", function=number)
        work.bound = Function("x:y", function=number, isolation="process")
        assert (False, True) == (work.is_async, desk.work(bound=given).is_async)

    def test_a_command(self, desk: Desk) -> None:
        """Never."""
        assert [False, False] == [desk.work().is_async, desk.work(bound=Command(["true"])).is_async]

    def test_with_secrets(self, desk: Desk) -> None:
        """Looking them up may block."""
        work = desk.work(Later(hang))
        work.secrets = ("db",)
        assert not work.is_async

    def test_take(self, desk: Desk) -> None:
        """The loop takes those, and leaves the others."""
        works = [desk.work(function=function) for function in (number, lambda: 2, number)]
        left = desk.event_loop.take(works)
        reported = [desk.reported.get(timeout=30) for _ in range(2)]
        assert ([works[1]], [works[0], works[2]]) == (left, reported)
        assert ["1", "1"] == [output(work) for work in reported]

    def test_take_without_a_loop(self, desk: Desk) -> None:
        """All are left: their own threads will find why."""
        desk.event_loop.close()
        works = [desk.work(function=number)]
        assert works == desk.event_loop.take(works)


class TestWorkbench:
    """What a job type may ask to be run."""

    def test_run_waits(self, desk: Desk) -> None:
        """A blocking job type gets what an async function returns, and can be stopped meanwhile."""
        seen: list[bool] = []

        async def look() -> int:
            seen.append(work.endable)
            return 20

        def run(call: JobCall) -> Any:
            found = call.workbench.run(Function("local:f", function=look), call)
            seen.append(work.endable)
            return found + 1

        work = desk.work(kind(run))
        assert ("21", [True, False]) == (output(desk.done(work)), seen)

    def test_run_raises(self, desk: Desk) -> None:
        """What the function raises, or its timeout."""

        async def fail() -> None:
            raise LookupError("here")

        def run(call: JobCall, function: Any) -> Any:
            return call.workbench.run(Function("local:f", function=function), call)

        first = desk.work(kind(partial(run, function=fail)))
        second = desk.work(kind(partial(run, function=hang)))
        second.deadline = time.monotonic() + 0.02
        assert (("LookupError", "here"), "JobTimeout") == (
            failed(desk.done(first)),
            failed(desk.done(second))[0],
        )

    def test_run_in_the_loop(self, desk: Desk) -> None:
        """It can't wait for the loop in the loop, and says what to do."""

        async def body(call: JobCall) -> Any:
            return call.workbench.run(Function("local:f", function=number), call)

        expected = (
            "job 'a' would wait for its event loop in that loop; await call.workbench.begin(...) instead"
        )
        code, message = failed(desk.done(desk.work(Later(body))))
        assert ("StateError", True) == (code, message.startswith(expected))

    def test_begin_in_the_loop(self, desk: Desk) -> None:
        """There a function is awaited, and a command runs in a thread."""

        async def body(call: JobCall) -> Any:
            command = Command(["sh", "-c", 'echo 5 > "$BUNSUI_OUTPUT"'])
            ran = await asyncio.to_thread(call.workbench.run, command, call)
            return [await call.workbench.begin(Function("local:f", function=number), call), ran, work.endable]

        work = desk.work(Later(body))
        assert "[1,5,true]" == output(desk.done(work))

    def test_cancel_ends_both(self, desk: Desk) -> None:
        """The coroutine, and a function that it runs from a thread."""
        entered, ended = threading.Event(), threading.Event()

        async def inner() -> None:
            entered.set()
            try:
                await hang()
            finally:
                ended.set()

        async def body(call: JobCall) -> None:
            await asyncio.to_thread(call.workbench.run, Function("local:f", function=inner), call)

        work = desk.work(Later(body))
        work()
        assert entered.wait(30)
        work.cancel()
        desk.reported.get(timeout=30)
        assert (True, "JobCancelled") == (ended.wait(30), failed(work)[0])
