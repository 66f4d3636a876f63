"""Sessions in event loops: awaited, streamed, and run there."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui.engine import events as ev
from bunsui.stores.memory import MemoryStore

Job, Pipeline = bunsui.Job, bunsui.Pipeline


class Gate:
    """A job that says that it runs, and ends when it is told to."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        assert self.opened.wait(60)
        return "through"


def one(value: int = 1) -> int:
    return value


def gated(gate: Callable[..., Any]) -> Pipeline:
    """first (the gate) -> second."""
    first = Job.from_callable(gate, id="first")
    return Pipeline("gated", [first, Job.from_callable(one, id="second", depends_on=["first"])])


SIMPLE = Pipeline("simple", [Job.from_callable(one, id="a")])


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def runner(url: str) -> Iterator[bunsui.Runner]:
    with bunsui.Runner(url, autoload_plugins=False) as made:
        yield made


async def settle(session: bunsui.Session) -> None:
    """Returns when somebody waits for the session."""
    async with asyncio.timeout(30):
        while not callbacks(session):
            await asyncio.sleep(0.005)


def callbacks(session: bunsui.Session) -> int:
    """How many wait for it in event loops."""
    live = session._live
    assert live is not None
    return len(live.done._callbacks)


async def wait_for(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 30)


async def waiting(session: bunsui.Session) -> bunsui.SessionStatus:
    """As `session`, for what wants a coroutine."""
    return await session


class TestAwait:
    """`await session`."""

    def test_it_gives_what_wait_gives(self, runner: bunsui.Runner) -> None:
        """The status, also of a session that has ended long ago, and while the loop goes on."""
        gate = Gate()

        async def main() -> tuple[Any, ...]:
            session = await asyncio.to_thread(runner.start, gated(gate))
            await wait_for(gate.entered)
            task = asyncio.create_task(waiting(session))
            await settle(session)
            before = task.done()
            gate.opened.set()
            return before, await task, await session, session.outputs

        expected = (False, "succeeded", "succeeded", {"first": "through", "second": 1})
        assert expected == asyncio.run(main(), debug=True)

    def test_a_failed_session(self, runner: bunsui.Runner) -> None:
        """It does not raise: that is `raise_for_status`."""

        def fail() -> None:
            raise ValueError("no")

        async def main() -> bunsui.SessionStatus:
            return await runner.start(gated(fail))

        assert "failed" == asyncio.run(main())

    def test_a_pause(self, runner: bunsui.Runner) -> None:
        """A paused session rests; it is awaited anew after it was resumed."""
        gate = Gate()
        session = runner.start(gated(gate))

        async def main() -> list[str]:
            await wait_for(gate.entered)
            await asyncio.to_thread(session.pause)
            gate.opened.set()
            paused = await session
            await asyncio.to_thread(session.resume)
            return [paused, await session]

        assert ["paused", "succeeded"] == asyncio.run(main())

    def test_many_at_once(self, runner: bunsui.Runner) -> None:
        """200 sessions are awaited together, without a thread for each."""
        gate = Gate()
        pipeline = Pipeline("many", [Job.from_callable(gate, id="a")])
        sessions = [runner.start(pipeline) for _ in range(200)]
        threads = []

        async def main() -> list[bunsui.SessionStatus]:
            tasks = [asyncio.create_task(waiting(session)) for session in sessions]
            for session in sessions:
                await settle(session)
            threads.append(threading.active_count())
            gate.opened.set()
            found = await asyncio.gather(*tasks)
            threads.append(threading.active_count())
            return found

        before = threading.active_count()
        assert {"succeeded"} == set(asyncio.run(main()))
        # The pool of the runner has up to 32 for the jobs; a loop's default executor is as large at most.
        assert max(threads) < before + 70

    def test_two_loops(self, runner: bunsui.Runner) -> None:
        """One session is awaited by two loops in two threads, and by a thread without a loop."""
        gate = Gate()
        session = runner.start(gated(gate))
        found: list[str] = []
        threads = [threading.Thread(target=lambda: found.append(session.wait(60)))]
        threads += [
            threading.Thread(target=lambda: found.append(asyncio.run(waiting(session)))) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        asyncio.run(settle(session))
        gate.opened.set()
        for thread in threads:
            thread.join(60)
        assert ["succeeded"] * 3 == found

    def test_cancelled(self, runner: bunsui.Runner) -> None:
        """The session goes on, and nothing is left behind; others go on waiting."""
        gate = Gate()
        session = runner.start(gated(gate))

        async def main() -> tuple[Any, ...]:
            other = asyncio.create_task(waiting(session))
            await settle(session)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(session, 0.02)
            task = asyncio.create_task(waiting(session))
            await asyncio.sleep(0.02)
            during = callbacks(session)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            after = callbacks(session)
            gate.opened.set()
            return during, after, task.cancelled(), await other

        assert (2, 1, True, "succeeded") == asyncio.run(main())

    def test_a_loop_that_was_closed(self, runner: bunsui.Runner) -> None:
        """It disturbs neither the session nor its driver."""
        gate = Gate()
        session = runner.start(gated(gate))
        loop = asyncio.new_event_loop()
        task = loop.create_task(waiting(session))
        loop.run_until_complete(settle(session))
        loop.close()  # With what is in it.
        assert not task.done()
        gate.opened.set()
        assert ("succeeded", "succeeded") == (session.wait(60), runner.run(SIMPLE).status)

    def test_driven_by_another_runner(self, url: str) -> None:
        """A session of the same store that another runner drives."""
        gate = Gate()
        with (
            bunsui.Runner(url, autoload_plugins=False) as first,
            bunsui.Runner(url, autoload_plugins=False) as second,
        ):
            session = second.session(first.start(gated(gate)).id)

            async def main() -> tuple[Any, ...]:
                tasks = [asyncio.create_task(waiting(session)) for _ in range(3)]
                await wait_for(gate.entered)
                tasks[0].cancel()
                gate.opened.set()
                ended = await asyncio.gather(*tasks, return_exceptions=True)
                return type(ended[0]), *ended[1:]

            assert (asyncio.CancelledError, "succeeded", "succeeded") == asyncio.run(main())

    def test_the_runner_is_closed_over_it(self, url: str) -> None:
        """It is not waited for any more, as by `wait`; the session can be resumed."""
        gate = Gate()
        runner = bunsui.Runner(url, autoload_plugins=False)
        session = runner.start(gated(gate))

        async def main() -> bunsui.SessionStatus:
            await wait_for(gate.entered)
            task = asyncio.create_task(waiting(session))
            await settle(session)
            await asyncio.to_thread(runner.close, 0)
            return await task

        assert "running" == asyncio.run(main())
        gate.opened.set()

    def test_the_store_fails(self) -> None:
        """For longer than a lease: StoreError, as from `wait`."""

        class Full(MemoryStore):
            full = False

            def append(self, appends: Any) -> Any:
                if self.full:
                    raise bunsui.StoreError("the disk is full")
                return super().append(appends)

        store, gate = Full(), Gate()
        with bunsui.Runner(store, lease=0.3, autoload_plugins=False) as runner:
            session = runner.start(gated(gate))

            async def main() -> None:
                await wait_for(gate.entered)
                task = asyncio.create_task(waiting(session))
                await settle(session)
                store.full = True
                gate.opened.set()
                with pytest.raises(bunsui.StoreError, match="the disk is full"):
                    await task

            asyncio.run(main())
            store.full = False


class TestStream:
    """`async for event in session.stream()`."""

    def test_all_events_to_the_end(self, runner: bunsui.Runner) -> None:
        """Each once, in their order, as they come."""
        gate = Gate()
        session = runner.start(gated(gate))

        async def main() -> list[ev.Event]:
            seen = []
            async for event in session.stream():
                seen.append(event)
                if isinstance(event, ev.JobStarted) and event.job == "first":
                    gate.opened.set()  # Only after it was seen.
            return seen

        seen = asyncio.run(main())
        assert list(session.events()) == seen
        assert isinstance(seen[-1], ev.SessionSucceeded)

    def test_a_session_that_has_ended(self, runner: bunsui.Runner) -> None:
        """Its history, and the end; also one that is longer than what is read at once."""
        items = list(range(300))
        job = Job.from_callable(one, id="a", for_each=items, max_concurrency=1)
        session = runner.run(Pipeline("long", [job]))

        async def main() -> list[ev.Event]:
            return [event async for event in session.stream()]

        assert len(list(runner.store.read(session.id))) > 256
        assert list(session.events()) == asyncio.run(main())

    def test_driven_by_another_runner(self, url: str) -> None:
        """It is followed there, too."""
        gate = Gate()
        with (
            bunsui.Runner(url, autoload_plugins=False) as first,
            bunsui.Runner(url, autoload_plugins=False) as second,
        ):
            session = second.session(first.start(gated(gate)).id)

            async def main() -> list[ev.Event]:
                seen = []
                async for event in session.stream():
                    seen.append(event)
                    gate.opened.set()
                return seen

            assert asyncio.run(main()) == list(session.events())

    def test_a_pause_ends_it(self, runner: bunsui.Runner) -> None:
        """A paused session rests."""
        gate = Gate()
        session = runner.start(gated(gate))

        async def main() -> type[ev.Event]:
            last: Any = None
            async for event in session.stream():
                if isinstance(event, ev.JobStarted):
                    await asyncio.to_thread(session.pause)
                    gate.opened.set()
                last = event
            return type(last)

        assert (ev.RunnerReleased, "paused") == (asyncio.run(main()), session.status)

    @pytest.mark.parametrize("how", ["break", "aclose", "cancel"])
    def test_early_exit(self, runner: bunsui.Runner, how: str) -> None:
        """It leaves nothing behind, and the session goes on."""
        gate = Gate()
        session = runner.start(gated(gate))

        async def follow(stream: Any, seen: list[Any]) -> None:
            async for event in stream:
                seen.append(event)
                if how == "break":
                    break

        async def main() -> int:
            stream, seen = session.stream(), []
            if how == "aclose":
                seen.append(await anext(stream))
            else:
                task = asyncio.create_task(follow(stream, seen))
                if how == "cancel":
                    await settle(session)
                    task.cancel()
                await asyncio.wait([task])
            await stream.aclose()
            assert seen
            return callbacks(session)

        assert 0 == asyncio.run(main(), debug=True)
        gate.opened.set()
        assert "succeeded" == session.wait(60)


class TestRunAsync:
    """`await runner.run_async(...)`."""

    def test_in_a_loop(self, runner: bunsui.Runner) -> None:
        """It takes what `run` takes; the loop goes on meanwhile, and several run at once."""
        declared = [bunsui.Parameter("n", type="integer", required=True)]
        job = Job.from_callable(one, id="a", parameters={"value": "${n}"})
        pipeline = Pipeline("n", [job], parameters=declared)

        async def main() -> list[bunsui.Session]:
            runs = [runner.run_async(pipeline, {"n": n}, tags={"n": str(n)}) for n in range(10)]
            return await asyncio.gather(*runs)

        found = [(s.status, s.outputs["a"], s.tags["n"]) for s in asyncio.run(main())]
        assert [("succeeded", n, str(n)) for n in range(10)] == found

    def test_what_is_wrong_is_raised(self, runner: bunsui.Runner) -> None:
        """As by `run`."""

        async def main() -> None:
            await runner.run_async(SIMPLE, {"unknown": 1})

        with pytest.raises(bunsui.DefinitionError, match="unknown"):
            asyncio.run(main())

    def test_idempotency(self, runner: bunsui.Runner) -> None:
        """The same key gives the same session."""

        async def main() -> list[str]:
            return [(await runner.run_async(SIMPLE, idempotency_key="k")).id for _ in range(2)]

        first, second = asyncio.run(main())
        assert first == second

    def test_an_orphan_is_resumed(self, url: str) -> None:
        """A session that the key names and nobody drives."""
        gate = Gate()
        pipeline = Pipeline("p", [Job("a", "lambda", function="f")])
        bindings = {"lambda": {"f": lambda event, context: gate()}}
        first = bunsui.Runner(url, bindings=bindings, autoload_plugins=False)
        orphan = first.start(pipeline, idempotency_key="k")
        assert gate.entered.wait(30)
        first.close(timeout=0)
        gate.opened.set()

        async def main() -> bunsui.Session:
            async with bunsui.Runner(url, bindings=bindings, autoload_plugins=False) as second:
                return await second.run_async(pipeline, idempotency_key="k")

        session = asyncio.run(main())
        assert (orphan.id, "succeeded") == (session.id, session.status)

    def test_cancelled(self, runner: bunsui.Runner) -> None:
        """The session goes on: it is durable, and the store has it."""
        gate = Gate()

        async def main() -> None:
            task = asyncio.create_task(runner.run_async(gated(gate)))
            await wait_for(gate.entered)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())
        gate.opened.set()
        [summary] = runner.sessions()
        assert "succeeded" == runner.session(summary.session_id).wait(60)


class TestInARunningLoop:
    """Where a loop runs already, as in a notebook or a web server."""

    def in_a_loop(self, call: Callable[[], Any]) -> Any:
        async def main() -> Any:
            return call()

        return asyncio.run(main())

    def test_a_blocking_run(self, url: str) -> None:
        """It blocks the loop, and works: of async jobs too."""

        async def later() -> int:
            await asyncio.sleep(0.01)
            return 5

        def call() -> Any:
            with bunsui.Runner(url, autoload_plugins=False) as runner:
                return runner.run(Pipeline("p", [Job.from_callable(later), Job.from_callable(one)])).outputs

        assert {"later": 5, "one": 1} == self.in_a_loop(call)

    def test_a_process(self, url: str, tmp_path: Path) -> None:
        """An async callable in a process, from within a loop."""
        (tmp_path / "in_process.py").write_text("async def f(): return 6\n")
        text = (
            "version: '1.0'\nname: p\n"
            "jobs: [{id: a, type: custom, callable: 'in_process:f', isolation: process}]\n"
        )
        (tmp_path / "p.yaml").write_text(text)

        def call() -> Any:
            with bunsui.Runner(url, autoload_plugins=False) as runner:
                return runner.run(runner.load(tmp_path / "p.yaml")).outputs

        assert {"a": 6} == self.in_a_loop(call)

    def test_async_with(self, url: str) -> None:
        """The runner is closed without blocking the loop: what runs there may take its time."""
        gate = Gate()

        async def main() -> bunsui.Session:
            async with bunsui.Runner(url, autoload_plugins=False) as runner:
                session = await asyncio.to_thread(
                    runner.start, Pipeline("p", [Job.from_callable(gate, id="a")])
                )
                await wait_for(gate.entered)
                # The loop has to go on for this while the runner is being closed.
                asyncio.get_running_loop().call_later(0.05, gate.opened.set)
            with pytest.raises(bunsui.StateError):
                runner.start(SIMPLE)
            return session

        assert {"a": "through"} == asyncio.run(main()).outputs

    def test_async_with_an_exception(self, url: str) -> None:
        """It is closed at once, as with `with`."""
        gate = Gate()

        async def main() -> None:
            async with bunsui.Runner(url, autoload_plugins=False) as runner:
                await asyncio.to_thread(runner.start, gated(gate))
                await wait_for(gate.entered)
                raise LookupError("out")

        with pytest.raises(LookupError, match="out"):
            asyncio.run(main())
        gate.opened.set()

    def test_a_job_that_runs_a_pipeline(self, runner: bunsui.Runner) -> None:
        """An async job may run another pipeline in another runner, and await it in the loop of the jobs."""

        async def outer() -> Any:
            async with bunsui.Runner("memory://", autoload_plugins=False) as inner:
                return (await inner.run_async(SIMPLE)).outputs

        assert {"outer": {"a": 1}} == runner.run(Pipeline("p", [Job.from_callable(outer)])).outputs
