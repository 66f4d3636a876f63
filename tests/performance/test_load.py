"""Many sessions and many jobs in one runner, in a size for every run of the tests; no times are asserted.

``benchmarks/sessions.py``, ``benchmarks/idle.py`` and ``nox -s soak`` have the sizes that were asked for.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui.engine.decide import Machine
from bunsui.runner.attempts.work import Work
from bunsui.runner.driving.live import Live

Job, Pipeline = bunsui.Job, bunsui.Pipeline
#: Jobs that are there before anything is counted, and jobs after that.
WARM_UP, JOBS = 300, 2_000


def noop() -> None:
    """The job: all else is around it."""


def flaky() -> None:
    """Fails at its first attempt."""
    if bunsui.current_call().attempt == 1:
        raise ConnectionError


def items() -> list[int]:
    """What a fan-out runs for."""
    return list(range(20))


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[bunsui.Runner]:
    """A runner on a real disk, that beats often."""
    with bunsui.Runner(f"sqlite:///{tmp_path}/store.db", lease=3.0, autoload_plugins=False) as made:
        yield made


def alive(*classes: type) -> int:
    """How many objects of these classes are reachable."""
    gc.collect()
    # By their types: what an object says of itself may be anything.
    return sum(issubclass(type(found), classes) for found in gc.get_objects())


def test_a_hundred_sessions_at_once_keep_their_claims(runner: bunsui.Runner) -> None:
    """All are open together in one runner; each is claimed once, and succeeds."""
    opened = threading.Event()
    retry = bunsui.RetryPolicy(max_attempts=2, delay=0.05, jitter="none")
    pipeline = Pipeline(
        name="many",
        jobs=[
            Job.from_callable(opened.wait, id="first"),
            Job.from_callable(flaky, id="second", depends_on=["first"], retry=retry),
            Job.from_callable(noop, id="third", depends_on=["second"]),
        ],
    )
    sessions = [runner.start(pipeline) for _ in range(100)]
    assert 100 == len(runner.sessions(status="running", limit=200))
    opened.set()
    for session in sessions:
        session.wait(120)
    assert {("succeeded", 1): 100} == Counter(
        (str(session.status), session.state.epoch) for session in sessions
    )


class Counted(Machine):
    """Counts how often it is asked what to do."""

    asked: Counter[str] = Counter()

    def decide(self, *arguments: Any) -> Any:
        self.asked[threading.current_thread().name] += 1
        return super().decide(*arguments)


def test_who_waits_for_a_place_is_not_asked_for_each_that_gets_free() -> None:
    """What a turn costs does not grow with the sessions that have to wait."""
    opened = threading.Event()
    with bunsui.Runner("memory://", max_concurrency=1, autoload_plugins=False) as runner:
        sessions = [runner.start(Pipeline(name="gate", jobs=[Job.from_callable(opened.wait, id="x")]))]
        sessions += [
            runner.start(Pipeline(name="waits", jobs=[Job.from_callable(noop, id="x")])) for _ in range(100)
        ]
        for session in sessions:
            live = runner._control.live(session.id)
            assert live is not None
            live.machine.__class__ = Counted
        Counted.asked.clear()
        opened.set()
        assert {"succeeded"} == {str(session.wait(120)) for session in sessions}
    # When a place is free for it, when it has ended, and each time once more for "nothing further".
    assert Counted.asked.total() <= 8 * len(sessions)


def mixed() -> list[Pipeline]:
    """A chain, a fan-out, and one that fails: 36 jobs, the items counted."""
    chain = [Job.from_callable(noop, id=f"j{i}", depends_on=[f"j{i - 1}"] if i else []) for i in range(10)]
    retry = bunsui.RetryPolicy(max_attempts=2, delay=0.001)
    fan = [
        Job.from_callable(items, id="list"),
        Job.from_callable(noop, id="each", depends_on=["list"], for_each="${jobs.list.output}", timeout=None),
        Job.from_callable(flaky, id="again", depends_on=["each"], retry=retry),
    ]
    fails = [
        Job.from_callable(int, id="a", parameters={"x": 1}),
        Job.from_callable(noop, id="b", depends_on=["a"]),
    ]
    return [Pipeline(name="mixed", jobs=jobs) for jobs in (chain, fan, fails)]


def run(runner: bunsui.Runner, jobs: int) -> None:
    """Runs sessions until there were so many jobs."""
    while jobs > 0:
        sessions = [runner.start(pipeline) for pipeline in mixed() for _ in range(4)]
        for session in sessions:
            session.wait(120)
            jobs -= sum(1 + len(state.items or ()) for state in session.jobs.values())


def process() -> dict[str, int]:
    """What this process has, as far as it can be counted."""
    counts = {"threads": threading.active_count(), "lives": alive(Live), "works": alive(Work)}
    if sys.platform == "linux":
        counts["descriptors"] = sum(1 for _ in Path("/proc/self/fd").iterdir())
    return counts


def settled(expected: dict[str, int]) -> dict[str, int]:
    """What this process has as soon as that is what is expected, else after a while."""
    deadline = time.monotonic() + 30
    while (found := process()) != expected and time.monotonic() < deadline:
        time.sleep(0.05)  # A thread that has reported its end may still be at its last lines.
    return found


def test_thousands_of_jobs_leave_nothing_behind(tmp_path: Path) -> None:
    """Neither threads, nor descriptors, nor a session or an attempt that nobody holds."""
    url = f"sqlite:///{tmp_path}/store.db"
    before = process()
    # Nothing beats: the heartbeat would open a connection of its own somewhere in between.
    with bunsui.Runner(url, max_concurrency=4, lease=3600, autoload_plugins=False) as runner:
        run(runner, WARM_UP)
        # All threads of the pool, whatever the machine's load was.
        barrier = threading.Barrier(4)
        waits = [Job.from_callable(lambda: barrier.wait(60) and None, id=f"j{i}") for i in range(4)]
        runner.run(Pipeline(name="all", jobs=waits)).raise_for_status()
        warm = settled({**process(), "lives": before["lives"], "works": before["works"]})
        run(runner, JOBS)
        assert warm == settled(warm)
        assert (before["lives"], before["works"]) == (warm["lives"], warm["works"])
    # What tests before this one have left may have ended meanwhile.
    after = settled(before)
    assert {name: after[name] for name in before if after[name] > before[name]} == {}


def test_a_handle_of_an_ended_session_holds_no_decoded_output() -> None:
    """What was decoded for its jobs goes when it ends, however long somebody holds the handle."""
    pipeline = Pipeline(
        name="held",
        jobs=[
            Job.from_callable(items, id="list"),
            Job.from_callable(str, id="each", depends_on=["list"], for_each="${jobs.list.output}"),
            Job.from_callable(
                str, id="one", depends_on=["list"], parameters={"object": "${jobs.list.output[3]}"}
            ),
        ],
    )
    with bunsui.Runner("memory://", autoload_plugins=False) as runner:
        session = runner.run(pipeline)
        session.raise_for_status()
        live = session._driven
        assert live is not None
        assert ({}, {}) == (live.items, live.decoded)
    assert 20 == len(session.outputs["each"])
