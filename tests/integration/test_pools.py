"""Pools: how many jobs of a kind run at once, over all sessions of a runner."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui import Job, Pipeline, RetryPolicy, Runner
from bunsui.engine import events as ev
from bunsui.ports.store import Append, Commit
from bunsui.stores.records import body_of, encode_event


class Gauge:
    """Measures how many callables run at once."""

    def __init__(self) -> None:
        self.most = 0
        self._running = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self._running += 1
            self.most = max(self.most, self._running)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._running -= 1


class Gate:
    """A job that says that it runs, and ends when it is told to."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        assert self.opened.wait(60)
        return "through"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A SQLite store on the real disk."""
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def runner(url: str) -> Iterator[Runner]:
    """A runner with the pools `one` and `two`, of these sizes."""
    with Runner(url, pools={"one": 1, "two": 2}, autoload_plugins=False) as made:
        yield made


def pipeline(*jobs: Job, **fields: Any) -> Pipeline:
    return Pipeline(name="pools", jobs=jobs, **fields)


def job(function: Callable[..., Any], name: str = "a", pool: str | None = "one", **fields: Any) -> Job:
    return Job.from_callable(function, id=name, pool=pool, **fields)


def ok() -> str:
    return "ok"


def wait_for(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class TestLimits:
    """How many run at once."""

    def test_over_all_sessions(self, runner: Runner) -> None:
        """Never more than the pool takes, and as many as that; jobs and items alike."""
        gauge, two = Gauge(), threading.Barrier(2)

        def work(x: int = 0) -> None:
            with gauge:
                two.wait(30)

        fan = job(work, "fan", "two", for_each=[1, 2, 3, 4], parameters={"x": "${item}"})
        sessions = [
            runner.start(pipeline(job(work, "a", "two"), job(work, "b", "two"), fan)) for _ in range(3)
        ]

        assert ["succeeded"] * 3 == [session.wait(60) for session in sessions]
        assert 2 == gauge.most

    def test_each_pool_has_its_own(self, runner: Runner) -> None:
        """While one is full, jobs of others and of none run."""
        gate = Gate()
        session = runner.start(
            pipeline(
                job(gate), job(ok, "waits"), job(ok, "other", "two"), job(ok, "none", None), max_concurrency=9
            )
        )
        wait_for(lambda: [session.jobs[name].status for name in ("other", "none")] == ["succeeded"] * 2)

        assert (True, "pending") == (gate.entered.wait(30), session.jobs["waits"].status)
        gate.opened.set()
        assert "succeeded" == session.wait(60)

    def test_places_of_the_runner_count_too(self, url: str) -> None:
        """A pool that is larger than max_concurrency does not widen it."""
        gauge, two = Gauge(), threading.Barrier(2)

        def work() -> None:
            with gauge:
                two.wait(30)

        jobs = [job(work, f"j{i}", "wide") for i in range(6)]
        with Runner(url, pools={"wide": 5}, max_concurrency=2, autoload_plugins=False) as runner:
            assert "succeeded" == runner.run(pipeline(*jobs)).status
        assert 2 == gauge.most

    def test_runners_have_pools_of_their_own(self, url: str) -> None:
        """One that another runner has filled does not hold this one."""
        gate = Gate()
        with Runner(url, pools={"one": 1}, autoload_plugins=False) as first:
            session = first.start(pipeline(job(gate)))
            assert gate.entered.wait(30)
            with Runner(url, pools={"one": 1}, autoload_plugins=False) as second:
                assert "succeeded" == second.run(pipeline(job(ok))).status
            gate.opened.set()
            assert "succeeded" == session.wait(60)


class TestUnknown:
    """A pool that the runner does not have."""

    def test_is_refused_at_the_start(self, runner: Runner) -> None:
        """With the path of the first job that names it, and nothing is written."""
        with pytest.raises(bunsui.DefinitionError) as caught:
            runner.start(pipeline(job(ok), job(ok, "b", "tow"), job(ok, "c", "gpu"), job(ok, "d", "gpu")))

        assert [
            ("unknown-pool", "/jobs/1/pool", "the runner has no pool 'tow'", "did you mean 'two'?"),
            (
                "unknown-pool",
                "/jobs/2/pool",
                "the runner has no pool 'gpu'",
                'give it, as in Runner(pools={"gpu": 2}), or with: bunsui config set pools.gpu 2',
            ),
        ] == [(p.code, p.path, p.message, p.hint) for p in caught.value.problems]
        assert [] == runner.sessions()

    def test_is_missed_before_a_session_is_resumed(self, runner: Runner, url: str) -> None:
        """ConfigError; the session stays as it is, and resumable."""
        gate = Gate()
        first = Job.from_callable(gate, id="first")
        later = Job("later", "custom", {"callable": "builtins:dict"}, ["first"], pool="one")
        session = runner.start(pipeline(first, later))
        assert gate.entered.wait(30)
        session.pause()
        gate.opened.set()
        assert "paused" == session.wait(60)
        before = list(session.events())
        with (
            Runner(url, autoload_plugins=False) as other,
            pytest.raises(bunsui.ConfigError, match=f"no pool 'one'.*session {session.id} stays resumable"),
        ):
            other.resume(session.id)

        assert before == list(session.events())
        assert "succeeded" == runner.resume(session.id).status


def fail() -> None:
    raise ValueError("no")


class TestRelease:
    """A place is given back, however its job ends."""

    def after(self, runner: Runner, *first: Job, **fields: Any) -> str:
        """What became of a job of the pool `one` after these."""
        runner.run(pipeline(*first, **fields))
        return str(runner.start(pipeline(job(ok))).wait(30))

    def test_success(self, runner: Runner) -> None:
        """The next one runs."""
        assert "succeeded" == self.after(runner, job(ok))

    @pytest.mark.parametrize("on_failure", ["continue", "stop"])
    def test_failure(self, runner: Runner, on_failure: str) -> None:
        """Also where it stops the session."""
        assert "succeeded" == self.after(runner, job(fail), job(fail, "b"), on_failure=on_failure)

    def test_a_start_that_fails(self, runner: Runner) -> None:
        """Of a job whose input can't be resolved."""
        first = job(dict, parameters={"x": "${p.nothing}"})
        parameters = [bunsui.Parameter("p", "object", default={})]
        assert "succeeded" == self.after(runner, first, parameters=parameters)

    def test_timeout_of_a_process(self, runner: Runner) -> None:
        """Which is ended."""
        first = Job("a", "custom", {"command": ["sleep", "600"]}, pool="one", timeout=0.3)
        assert "succeeded" == self.after(runner, first)

    def test_timeout_of_a_thread(self, url: str) -> None:
        """Which goes on, and holds no place any more; when it ends at last, no place is given back twice."""
        gate, gauge = Gate(), Gauge()

        def work() -> None:
            with gauge:
                time.sleep(0.02)

        stuck = Job("a", "lambda", {"function": "f"}, pool="one", timeout=0.3)
        bindings = {"lambda": {"f": lambda event, context: gate()}}
        with Runner(url, pools={"one": 1}, bindings=bindings, autoload_plugins=False) as runner:
            assert "failed" == runner.run(pipeline(stuck)).status
            assert "succeeded" == runner.run(pipeline(job(work))).status
            gate.opened.set()
            assert "succeeded" == runner.run(pipeline(*(job(work, f"j{i}") for i in range(5)))).status

        assert 1 == gauge.most

    def test_cancellation(self, runner: Runner, tmp_path: Path) -> None:
        """Of a session whose job runs."""
        script = f"touch {tmp_path}/on; sleep 600"
        running = Job("a", "custom", {"command": script, "shell": True}, pool="one")
        session = runner.start(pipeline(running))
        wait_for((tmp_path / "on").exists)
        session.cancel()

        assert ("cancelled", "succeeded") == (session.wait(60), runner.run(pipeline(job(ok))).status)

    def test_the_timeout_of_a_session(self, runner: Runner) -> None:
        """Which stops its work."""
        first = Job("a", "custom", {"command": ["sleep", "600"]}, pool="one")
        assert "succeeded" == self.after(runner, first, timeout=0.5)

    def test_a_wait_for_the_next_attempt(self, runner: Runner) -> None:
        """Others run while a job waits."""
        seen: list[str] = []

        def flaky() -> None:
            seen.append("flaky")
            if len(seen) == 1:
                raise ValueError("again")

        retry = RetryPolicy(2, delay=0.5, jitter="none")
        first = job(flaky, retry=retry)
        assert "succeeded" == runner.run(pipeline(first, job(lambda: seen.append("b"), "b"))).status
        assert ["flaky", "b", "flaky"] == seen

    def test_a_session_that_is_lost(self, runner: Runner) -> None:
        """Its work holds the place until it ends, though its session is driven elsewhere."""
        gate = Gate()
        lost = runner.start(pipeline(job(gate)))
        assert gate.entered.wait(30)
        live = runner._control.live(lost.id)
        assert live is not None
        claimed = ev.RunnerClaimed(datetime.now(UTC), "other", 2)
        commit = Commit(live.position + 1, "foreign", body_of([encode_event(claimed)]))
        assert runner.store.append([Append(lost.id, commit)])[0].ok
        waiting = runner.start(pipeline(job(ok)))
        assert "pending" == waiting.jobs["a"].status
        gate.opened.set()

        assert "succeeded" == waiting.wait(60)


class TestFairness:
    """Nobody waits for others for ever."""

    def test_a_small_session_does_not_wait_for_all_of_a_large_one(self, runner: Runner) -> None:
        """Who has waited longest is next, not who came first."""
        order: list[Any] = []
        gate = Gate()

        def work(x: int) -> None:
            if x == 0:
                gate()
            order.append(x)

        large = job(work, "fan", for_each=list(range(30)), parameters={"x": "${item}"})
        first = runner.start(pipeline(large))
        assert gate.entered.wait(30)
        second = runner.start(pipeline(job(lambda: order.append("b"))))
        third = runner.start(pipeline(job(lambda: order.append("c"))))
        gate.opened.set()

        assert ["succeeded"] * 3 == [session.wait(60) for session in (first, second, third)]
        assert [0, "b", "c", 1] == order[:4]

    def test_so_it_is_with_the_places_of_the_runner(self, url: str) -> None:
        """Also without pools."""
        order: list[Any] = []
        gate = Gate()

        def first_of(name: str) -> Any:
            if name == "a0":
                gate()
            order.append(name)

        def session(name: str, count: int) -> Pipeline:
            each = [f"{name}{i}" for i in range(count)]
            return pipeline(job(first_of, "fan", None, for_each=each, parameters={"name": "${item}"}))

        with Runner(url, max_concurrency=1, autoload_plugins=False) as runner:
            first = runner.start(session("a", 3))
            assert gate.entered.wait(30)
            second = runner.start(session("b", 3))
            gate.opened.set()
            assert ["succeeded"] * 2 == [first.wait(60), second.wait(60)]

        assert ["a0", "b0", "a1", "b1", "a2", "b2"] == order

    def test_many_sessions_with_many_pools_all_end(self, url: str) -> None:
        """Whatever holds whatever: no place is lost on the way."""

        def work(x: int) -> None:
            if bunsui.current_call().attempt == 1 and x % 3 == 0:
                raise ValueError("again")

        def some(i: int) -> Pipeline:
            jobs = [
                job(
                    work,
                    f"j{k}",
                    (None, "one", "two")[(i + k) % 3],
                    for_each=list(range(4)),
                    parameters={"x": "${item}"},
                    retry=RetryPolicy(2, delay=0.01),
                    max_concurrency=2,
                )
                for k in range(4)
            ]
            return pipeline(*jobs, max_concurrency=3)

        pools = {"one": 1, "two": 2}
        with Runner(url, pools=pools, max_concurrency=4, autoload_plugins=False) as runner:
            sessions = [runner.start(some(i)) for i in range(12)]

            assert ["succeeded"] * 12 == [session.wait(120) for session in sessions]
            places = runner._control.parts.driver._places
            assert (4, pools) == (places.free, places.free_in_pools)
