"""SIGSTOP for longer than a lease, then SIGCONT: the old runner is fenced, and stands down."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from bunsui.engine import events as ev

SHAPE = {"width": 3, "length": 10, "seconds": 0.015}
#: Seconds; the store's own patience is less than a third of it, as a driver's has to be.
LEASE, LOCK_TIMEOUT = 0.6, 0.15

Rounds = Callable[[int, int], int]


def pair(bench: Any, **broken: bool) -> tuple[Any, Any]:
    """The runner that is stopped, and the one that takes over."""
    old = bench.worker(LEASE, LOCK_TIMEOUT, **broken)
    return old, bench.worker(LEASE, LOCK_TIMEOUT)


def claimed(bench: Any, new: Any, session: str) -> bool:
    """Has the new runner take over from one that is stopped; False: it could not.

    It can't where the session had ended, or where the write lock of the file stopped with its owner.
    """
    new.tell("resume", session=session)
    while not new.has_answered(0.01):
        if bench.history(session).epochs == [1, 2]:
            return True
    return bench.history(session).epochs == [1, 2]


def drive_to_its_end(bench: Any, new: Any, session: str) -> None:
    """After a claim that failed: whoever holds the session ends it."""
    # The claim that failed is given back as soon as the store works; then nobody drives the session.
    while not bench.history(session).has_succeeded:
        if not bench.history(session).is_held:
            new.ask("resume", session=session)
        time.sleep(0.02)


def one_round(bench: Any, old: Any, new: Any, moment: random.Random) -> str:
    """Stops the old runner somewhere on its way, and wakes it somewhere on the way of the new one."""
    session = old.ask("start", shape=SHAPE)["session"]
    old.tell("wait", session=session)
    time.sleep(moment.uniform(0, 0.3))
    old.freeze()
    if not claimed(bench, new, session):
        answer = new.answer()
        old.wake()
        drive_to_its_end(bench, new, session)
        old.answer()
        assert [] == bench.history(session).wrong()
        if answer["error"] == "StateError":
            return "had ended"
        assert ("StoreError", True) == (answer["error"], "locked" in answer["message"]), answer
        return "locked"
    time.sleep(moment.choice([0.0, moment.uniform(0, 0.3)]))
    old.wake()
    assert {"status": "succeeded"} == new.answer()
    assert {"status": "succeeded", "here": False} == old.answer()
    history = bench.history(session)
    assert [] == history.wrong()
    assert [1, 2] == history.epochs
    # At least once, as the docs say: at most what it had on its way to its threads.
    assert len(history.late) <= SHAPE["width"]
    return "late start" if history.late else "taken over"


def test_a_stopped_runner_stands_down(bench: Any, rounds: Rounds) -> None:
    """Woken behind the takeover it appends nothing, and what is recorded ran under the claim that says so."""
    old, new = pair(bench)
    moment = random.Random(1)
    counts: Counter[str] = Counter()
    while counts["taken over"] + counts["late start"] < rounds(200, 5):
        counts[one_round(bench, old, new, moment)] += 1
        # Else there would be no round to speak of, and no end of them.
        assert counts["locked"] + counts["had ended"] <= 20 + 3 * counts["taken over"], counts
    print(dict(counts))


def test_the_check_notices_a_runner_without_a_fence(bench: Any, rounds: Rounds) -> None:
    """The broken twin: a store that appends behind whatever is there is found out."""
    moment = random.Random(2)
    found: list[str] = []
    for _ in range(rounds(20, 8)):
        old, new = pair(bench, fenced=False)
        session = old.ask("start", shape={**SHAPE, "seconds": 0.04})["session"]
        time.sleep(moment.uniform(0.1, 0.4))
        old.freeze()
        if claimed(bench, new, session):
            old.wake()
            deadline = time.monotonic() + 10
            while not found and time.monotonic() < deadline:
                found += bench.history(session).wrong()
                time.sleep(0.05)
        old.end()
        new.end()
        if found:
            break
    assert [text for text in found if "by a runner whose claim was over" in text]


def stopped_behind_an_append(bench: Any, old: Any, new: Any, number: int) -> Any:
    """The history of a session whose runner stopped between its n-th append and the start that it is for."""
    while True:
        old.tell("start", shape=SHAPE, stop_after=number)
        old.await_stop()
        (session,) = [s for s in sessions(bench) if not bench.history(s).has_succeeded]
        if claimed(bench, new, session):
            break
        # Its heartbeat stopped in the middle of a beat, with the file's write lock: nobody can take over.
        assert "locked" in new.answer()["message"]
        old.wake()
        assert session == old.answer()["session"]
        drive_to_its_end(bench, new, session)
    old.wake()
    assert session == old.answer()["session"]
    assert {"status": "succeeded"} == new.answer()
    assert {"status": "succeeded", "here": False} == old.ask("wait", session=session)
    return bench.history(session)


def late_of_that_append(history: Any) -> list[Any]:
    """What ran behind the takeover, of what the old runner recorded as started in its last append."""
    commits = [events for _, _, events in history.commits]
    (takeover,) = [
        n
        for n, events in enumerate(commits)
        if any(isinstance(event, ev.RunnerClaimed) and event.epoch == 2 for event in events)
    ]
    started = {event.job for event in commits[takeover - 1] if isinstance(event, ev.JobStarted)}
    return [trace for trace in history.late if trace.job in started]


def sessions(bench: Any) -> list[str]:
    return [document.key for document in bench.store.find("session", "all", limit=1000)]


def test_a_runner_that_stopped_behind_its_append_starts_nothing(bench: Any, rounds: Rounds) -> None:
    """What it has recorded as started, and not started, is its successor's to start."""
    old, new = pair(bench)
    for number in range(rounds(20, 3)):
        history = stopped_behind_an_append(bench, old, new, 1 + number % 10)
        assert ([], []) == (late_of_that_append(history), history.wrong())
        # What it had recorded before may have been on its way to its threads, as above.
        assert len(history.late) <= SHAPE["width"]


def test_the_check_notices_a_runner_that_does_not_look(bench: Any) -> None:
    """The broken twin: one that takes a session for its own without a look starts what is not its own."""
    old, new = pair(bench, careful=False)
    # Not in each round: what it is about to start may have ended by then.
    assert any(
        late_of_that_append(stopped_behind_an_append(bench, old, new, 2 + number % 7)) for number in range(50)
    )
