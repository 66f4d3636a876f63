"""Jobs whose code is async, in real sessions."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

import bunsui
from bunsui.engine import events as ev
from bunsui.runner.attempts import results, stoppable
from bunsui.runner.driving import ending
from bunsui_tests.held import threads

Job, Pipeline = bunsui.Job, bunsui.Pipeline


class Later(bunsui.JobType):
    """An async job type that does what its name is registered for."""

    name: ClassVar[str] = "later"
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {"do": {"type": "string"}},
    }

    def __init__(self) -> None:
        self.bodies: dict[str, Callable[[bunsui.JobCall], Awaitable[Any]]] = {}

    async def run(self, call: bunsui.JobCall) -> Any:
        return await self.bodies[call.options["do"]](call)


class Setting:
    """A runner with the job type."""

    def __init__(self, store: Any, **options: Any) -> None:
        self.later = Later()
        self.runner = bunsui.Runner(store, plugins=[self], autoload_plugins=False, **options)

    @bunsui.hookimpl
    def bunsui_job_types(self) -> list[bunsui.JobType]:
        return [self.later]

    def pipeline(self, body: Callable[[bunsui.JobCall], Awaitable[Any]], **fields: Any) -> Pipeline:
        """A pipeline of one job, `x`."""
        self.later.bodies["it"] = body
        return Pipeline("p", [Job("x", "later", do="it", **fields)])


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not let itself be cancelled is waited for a moment only."""
    monkeypatch.setattr(stoppable, "GRACE", 0.5)
    monkeypatch.setattr(ending, "STOPPING", 0.7)
    monkeypatch.setattr(results, "STOPPING", 0.7)


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    made = Setting(f"sqlite:///{tmp_path}/store.db")
    with made.runner:
        yield made


def loops() -> set[threading.Thread]:
    return {thread for thread in threads() if thread.name == "bunsui-event-loop"}


class Hanging:
    """A body that hangs until it is cancelled."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.cancelled = threading.Event()

    async def __call__(self, call: bunsui.JobCall) -> None:
        self.entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            if call.cancelled.is_set():
                self.cancelled.set()


class Swallowing:
    """A body that does not let itself be cancelled."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()
        self.ended = threading.Event()

    async def __call__(self, call: bunsui.JobCall) -> str:
        self.entered.set()
        while not self.opened.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue
        self.ended.set()
        return "never taken"


class TestJobTypes:
    """`async def run`."""

    def test_success(self, setting: Setting) -> None:
        """Outputs flow on as those of blocking jobs do."""

        async def body(call: bunsui.JobCall) -> dict[str, Any]:
            await asyncio.sleep(0.01)
            return {"job": bunsui.current_call().job_id, "attempt": call.attempt}

        session = setting.runner.run(setting.pipeline(body))
        assert ("succeeded", {"x": {"job": "x", "attempt": 1}}) == (session.status, session.outputs)

    def test_failure_and_retry(self, setting: Setting) -> None:
        """An exception fails the attempt; the next one may succeed."""

        async def body(call: bunsui.JobCall) -> str:
            await asyncio.sleep(0)
            if call.attempt < 3:
                raise OSError("not yet")
            return "now"

        policy = bunsui.RetryPolicy(max_attempts=3, delay=0)
        session = setting.runner.run(setting.pipeline(body, retry=policy))
        errors = [each.error.code for each in session.jobs["x"].attempts if each.error is not None]
        assert ({"x": "now"}, ["OSError", "OSError"]) == (session.outputs, errors)

    def test_timeout(self, setting: Setting) -> None:
        """The coroutine is cancelled; another attempt may follow, as after a process."""
        hanging = Hanging()

        async def body(call: bunsui.JobCall) -> str:
            return "second" if call.attempt == 2 else await hanging(call)  # type: ignore[func-returns-value]

        policy = bunsui.RetryPolicy(max_attempts=2, delay=0)
        session = setting.runner.run(setting.pipeline(body, timeout=0.1, retry=policy))
        first = session.jobs["x"].attempts[0].error
        assert first is not None
        expected = ("JobTimeout", "the attempt took longer than its timeout of 0.1 s and was cancelled")
        assert (*expected, {"x": "second"}) == (first.code, first.message, session.outputs)
        assert hanging.cancelled.is_set()

    def test_cancel(self, setting: Setting) -> None:
        """Cancelling the session cancels the coroutine."""
        hanging = Hanging()
        session = setting.runner.start(setting.pipeline(hanging))
        assert hanging.entered.wait(30)
        session.cancel("enough")
        assert ("cancelled", "cancelled") == (session.wait(60), session.jobs["x"].status)
        assert hanging.cancelled.is_set()

    def test_close(self, tmp_path: Path) -> None:
        """Closing the runner cancels it; it runs again when the session is resumed."""
        before = loops()
        url = f"sqlite:///{tmp_path}/store.db"
        first, hanging = Setting(url), Hanging()
        session = first.runner.start(first.pipeline(hanging))
        assert hanging.entered.wait(30)
        first.runner.close(timeout=0)
        assert (True, "running", set()) == (hanging.cancelled.is_set(), session.status, loops() - before)

        async def body(call: bunsui.JobCall) -> str:
            return "again"

        second = Setting(url)
        with second.runner:
            second.pipeline(body)
            assert {"x": "again"} == second.runner.resume(session.id).outputs

    @pytest.mark.usefixtures("impatient")
    def test_swallowed_cancellation(self, setting: Setting) -> None:
        """A coroutine that goes on after its timeout is reported, and left to itself: no retry."""
        swallowing = Swallowing()
        policy = bunsui.RetryPolicy(max_attempts=2, delay=0)
        session = setting.runner.run(setting.pipeline(swallowing, timeout=0.1, retry=policy))
        job = session.jobs["x"]
        assert job.error is not None
        assert ("failed", 1, "JobTimeout") == (job.status, len(job.attempts), job.error.code)
        text = (
            "; its async code was cancelled and goes on all the same, or blocks the event loop,"
            " so there is no other attempt"
        )
        assert job.error.message.endswith(text)
        # And the runner takes further ones.
        assert not swallowing.ended.is_set()
        swallowing.opened.set()
        assert swallowing.ended.wait(30)
        assert "failed" == setting.runner.session(session.id).status

    @pytest.mark.usefixtures("impatient")
    def test_cancel_of_what_swallows_it(self, setting: Setting) -> None:
        """The session ends without it, and says so."""
        swallowing = Swallowing()
        session = setting.runner.start(setting.pipeline(swallowing))
        assert swallowing.entered.wait(30)
        session.cancel("enough")
        assert ("cancelled", False) == (session.wait(60), swallowing.ended.is_set())
        expected = "enough; its async code was cancelled and goes on all the same, or blocks the event loop"
        assert expected == session.jobs["x"].reason
        swallowing.opened.set()
        assert swallowing.ended.wait(30)

    @pytest.mark.usefixtures("impatient")
    def test_close_does_not_wait_for_ever(self, tmp_path: Path) -> None:
        """For a coroutine that does not let itself be cancelled; the session can be resumed."""
        before = loops()
        setting, swallowing = Setting(f"sqlite:///{tmp_path}/store.db"), Swallowing()
        session = setting.runner.start(setting.pipeline(swallowing))
        assert swallowing.entered.wait(30)
        setting.runner.close(timeout=0)
        assert ("running", None) == (session.status, next(iter(session.jobs.values())).error)
        released = [event for event in session.events() if isinstance(event, ev.RunnerReleased)]
        assert (1, False) == (len(released), swallowing.ended.is_set())
        left = loops() - before
        swallowing.opened.set()
        for thread in left:
            thread.join(30)
        assert (1, set(), True) == (len(left), loops() - before, swallowing.ended.is_set())

    @pytest.mark.usefixtures("impatient")
    def test_a_blocked_loop(self, setting: Setting) -> None:
        """A coroutine that blocks stops the others, but not their timeouts: these are reported."""
        entered, opened = threading.Event(), threading.Event()

        async def block(call: bunsui.JobCall) -> None:
            entered.set()
            opened.wait(60)

        async def other(call: bunsui.JobCall) -> None:
            raise AssertionError("the loop was blocked")

        def is_blocked() -> None:
            assert entered.wait(30)

        setting.later.bodies |= {"block": block, "other": other}
        jobs = [
            Job("block", "later", do="block", timeout=0.1),
            Job.from_callable(is_blocked),
            # It never begins.
            Job("other", "later", do="other", timeout=0.1, depends_on=["is_blocked"]),
        ]
        session = setting.runner.run(Pipeline("p", jobs))
        errors = {job: state.error.code for job, state in session.jobs.items() if state.error is not None}
        opened.set()
        assert {"block": "JobTimeout", "other": "JobTimeout"} == errors

    def test_a_subprocess(self, setting: Setting) -> None:
        """asyncio's own tools work in the loop."""

        async def body(call: bunsui.JobCall) -> str:
            process = await asyncio.create_subprocess_exec("echo", "hello", stdout=subprocess.PIPE)
            output, _ = await process.communicate()
            return output.decode()

        assert {"x": "hello\n"} == setting.runner.run(setting.pipeline(body)).outputs

    def test_no_loop_without_need(self, tmp_path: Path) -> None:
        """Blocking jobs start none, and do not import asyncio."""
        program = (
            "import sys, threading, bunsui\n"
            "with bunsui.Runner('memory://', autoload_plugins=False) as runner:\n"
            "    job = bunsui.Job.from_callable(lambda: 1, id='a')\n"
            "    print(runner.run(bunsui.Pipeline('p', [job])).status)\n"
            "    names = [thread.name for thread in threading.enumerate()]\n"
            "    print('bunsui-driver' in names, 'bunsui-event-loop' in names, 'asyncio' in sys.modules)\n"
        )
        assert "succeeded\nTrue False False\n" == run(program, tmp_path)


class TestCallables:
    """Async functions as jobs."""

    def test_from_callable(self, setting: Setting) -> None:
        """With parameters, and the call that it runs for."""

        async def add(a: int, b: int) -> list[Any]:
            await asyncio.sleep(0)
            return [a + b, bunsui.current_call().job_id]

        job = Job.from_callable(add, parameters={"a": 1, "b": 2})
        assert {"add": [3, "add"]} == setting.runner.run(Pipeline("p", [job])).outputs

    def test_bound(self, tmp_path: Path) -> None:
        """In the place of a Lambda function."""

        async def handler(event: dict[str, Any], context: Any) -> Any:
            await asyncio.sleep(0)
            return [event, context.function_name]

        bindings = {"lambda": {"f": handler}}
        with bunsui.Runner("memory://", bindings=bindings, autoload_plugins=False) as runner:
            session = runner.run(Pipeline("p", [Job("x", "lambda", function="f", parameters={"a": 1})]))
        assert {"x": [{"a": 1}, "f"]} == session.outputs

    @pytest.mark.parametrize("isolation", ["thread", "process"])
    def test_by_name(self, tmp_path: Path, isolation: str) -> None:
        """Found beside the definition; with a timeout, which ends it in either place."""
        (tmp_path / "async_steps.py").write_text(
            "import asyncio\n" "async def quick(): return 1\n" "async def slow(): await asyncio.sleep(60)\n",
            encoding="utf-8",
        )
        (tmp_path / "p.yaml").write_text(
            "version: '1.0'\nname: p\n"
            f"defaults: {{isolation: {isolation}}}\njobs:\n"
            "  - {id: quick, type: custom, callable: async_steps:quick}\n"
            "  - {id: slow, type: custom, callable: async_steps:slow, timeout: 2s}\n",
            encoding="utf-8",
        )
        with bunsui.Runner("memory://", autoload_plugins=False) as runner:
            session = runner.run(runner.load(tmp_path / "p.yaml"))
        error = session.jobs["slow"].error
        assert error is not None
        assert (1, "JobTimeout") == (session.jobs["quick"].output, error.code)
        assert "can't be ended" not in error.message


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), RuntimeError("no more threads")])
def test_no_loop_to_be_had(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Its job fails; the runner goes on, and the next one gets its loop."""

    async def give() -> int:
        return 1

    def refuse() -> asyncio.AbstractEventLoop:
        raise error

    pipeline = Pipeline("p", [Job.from_callable(give, id="x")])
    with bunsui.Runner("memory://", autoload_plugins=False) as runner:
        with monkeypatch.context() as patch:
            patch.setattr(asyncio, "new_event_loop", refuse)
            session = runner.run(pipeline)
        failed = session.jobs["x"].error
        assert failed is not None
        assert str(error) in failed.message
        assert "succeeded" == runner.run(pipeline).status


class TestNumbers:
    """Many at once."""

    @pytest.mark.parametrize("what", ["job type", "callable"])
    def test_few_threads(self, what: str) -> None:
        """500 attempts that wait at the same time need a handful of threads, not 500."""
        waiting: set[int] = set()
        most = 0
        together = asyncio.Event()

        async def sleep(item: int) -> int:
            nonlocal most
            waiting.add(item)
            most = max(most, threading.active_count())
            if len(waiting) == len(items):
                together.set()
            await asyncio.wait_for(together.wait(), 60)
            return item

        before = threading.active_count()
        setting = Setting("memory://", max_concurrency=500)
        setting.later.bodies["it"] = lambda call: sleep(call.item)
        items = list(range(500))
        if what == "job type":
            job = Job("x", "later", do="it", for_each=items)
        else:
            job = Job.from_callable(sleep, id="x", for_each=items, parameters={"item": "${item}"})
        with setting.runner as runner:
            session = runner.run(Pipeline("p", [job]))
        assert {"x": items} == session.outputs
        assert most - before < 20


def run(program: str, folder: Path) -> str:
    """The stdout of a program that ends well, and says nothing on stderr."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


class TestTheEndOfTheProcess:
    """Nothing is said at the exit."""

    @pytest.mark.parametrize("body", ["await asyncio.sleep(3600)", "await swallow()", "time.sleep(3600)"])
    @pytest.mark.parametrize("close", ["", "runner.close(timeout=0)"])
    def test_without_waiting(self, tmp_path: Path, body: str, close: str) -> None:
        """Whether the runner was closed or not, whatever its coroutines do."""
        program = (
            "import asyncio, threading, time, bunsui\n"
            "from bunsui.runner.attempts import stoppable\nfrom bunsui.runner.driving import ending\n"
            "stoppable.GRACE, ending.STOPPING = 0.5, 0.7\n"  # What swallows is waited for a moment only.
            "entered = threading.Event()\n"
            "async def swallow():\n"
            "    while True:\n"
            "        try:\n"
            "            await asyncio.sleep(3600)\n"
            "        except asyncio.CancelledError:\n"
            "            pass\n"
            "async def job():\n"
            "    entered.set()\n"
            f"    {body}\n"
            "runner = bunsui.Runner('memory://', autoload_plugins=False)\n"
            "session = runner.start(bunsui.Pipeline('p', [bunsui.Job.from_callable(job)]))\n"
            "assert entered.wait(60)\n"
            f"{close}\n"
            "print('the end')\n"
        )
        assert "the end\n" == run(program, tmp_path)
