"""Eight processes want the same session at once: one drives it, and every job runs once."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

Rounds = Callable[[int, int], int]

SHAPE = {"width": 2, "length": 3, "seconds": 0.005}
JOBS = 6
RACERS = 8
#: Seconds after which the racers start, so that all of them have been told.
START = 0.05
#: What those are told who come too late.
LATE = ("is driven by a runner on", "there is nothing to resume")


#: Where the stores are: a file, and a table in an emulator of DynamoDB; with
#: BUNSUI_DYNAMODB in AWS's own, too.
#: Not in moto: a transaction that fails there takes back what others have written meanwhile.
STORES = ["file", "ministack", *(["dynamodb_local"] if "BUNSUI_DYNAMODB" in os.environ else [])]


@pytest.fixture(scope="module", params=STORES)
def bench(request: pytest.FixtureRequest) -> Any:
    """A file, and tables of DynamoDB."""
    if request.param == "file":
        return request.getfixturevalue("shared_bench")
    return request.getfixturevalue("tables")(request.param)


@pytest.fixture(scope="module")
def racers(bench: Any) -> list[Any]:
    return [bench.worker(lease=10) for _ in range(RACERS)]


@pytest.fixture(scope="module")
def forker(bench: Any) -> Any:
    return bench.worker()


def race(racers: list[Any], *requests: dict[str, Any]) -> list[dict[str, Any]]:
    """Has all racers do something at once; their answers."""
    at = time.monotonic() + START
    for racer, request in zip(racers, requests, strict=True):
        racer.tell(**request, at=at)
    return [racer.answer() for racer in racers]


def winner(bench: Any, session: str, racers: list[Any]) -> int:
    """Which racer has driven a session that another process had left; everything is as it must be."""
    history = bench.history(session)
    assert [] == history.wrong()
    assert [1, 2] == history.epochs
    assert history.has_succeeded
    dead, claim = history.claims
    # What the dead process had begun may have run there too; here everything else has, once.
    runs = Counter(trace.job for trace in history.traces if trace.pid != dead.pid)
    assert {claim.pid} == {trace.pid for trace in history.traces if trace.pid != dead.pid}
    assert dict.fromkeys(claim.ended, 1) == dict(runs)
    assert JOBS == len(claim.ended.keys() | dead.ended.keys())
    return [racer.pid for racer in racers].index(claim.pid)


def test_one_of_many_resumes_an_orphan(bench: Any, racers: list[Any], forker: Any, rounds: Rounds) -> None:
    """One claims it; the others follow it to its end, or are told that they came too late."""
    told: Counter[str] = Counter()
    for _ in range(rounds(200, 6)):
        session = forker.ask("orphan", shape=SHAPE)["session"]
        answers = race(racers, *[{"do": "resume", "session": session}] * RACERS)
        assert {"status": "succeeded"} == answers[winner(bench, session, racers)]
        for answer in answers:
            if "error" in answer:
                assert "StateError" == answer["error"]
                told[next(text for text in LATE if text in answer["message"])] += 1
            else:
                assert {"status": "succeeded"} == answer
                told["followed"] += 1
    print(dict(told))


def test_one_of_many_adopts_an_orphan(bench: Any, racers: list[Any], forker: Any, rounds: Rounds) -> None:
    """Half of them look for orphans, half have been told of this one: it is driven once."""
    for _ in range(rounds(50, 2)):
        session = forker.ask("orphan", shape=SHAPE)["session"]
        answers = race(
            racers,
            *[{"do": "recover"}] * (RACERS // 2),
            *[{"do": "resume", "session": session}] * (RACERS // 2),
        )
        won = winner(bench, session, racers)
        adopted = [i for i, answer in enumerate(answers) if answer.get("adopted")]
        assert adopted == ([won] if won < RACERS // 2 else [])
        for answer in answers:
            assert answer.get("error") in (None, "StateError"), answer


def test_one_session_for_one_key(bench: Any, racers: list[Any], rounds: Rounds) -> None:
    """All that run the same under one key get the same session."""
    for number in range(rounds(200, 4)):
        request = {"do": "keyed", "key": f"same-{number}", "number": 1, "shape": SHAPE}
        answers = race(racers, *[request] * RACERS)
        assert [] == [answer for answer in answers if "session" not in answer]
        assert [{"session": answers[0]["session"], "status": "succeeded"}] * RACERS == answers
        history = bench.history(answers[0]["session"])
        assert ([], [1]) == (history.wrong(), history.epochs)
        assert JOBS == len(history.traces)


def test_a_key_with_two_inputs_is_a_conflict(bench: Any, racers: list[Any], rounds: Rounds) -> None:
    """Whoever was first has the key; all with the other input get Conflict."""
    for number in range(rounds(200, 4)):
        answers = race(
            racers,
            *[
                {"do": "keyed", "key": f"other-{number}", "number": i % 2, "shape": SHAPE}
                for i in range(RACERS)
            ],
        )
        won = next(i % 2 for i, answer in enumerate(answers) if "session" in answer)
        for i, answer in enumerate(answers):
            if i % 2 == won:
                assert "succeeded" == answer["status"]
            else:
                assert "Conflict" == answer["error"]
                assert "which has another definition or other parameters" in answer["message"]


def test_the_check_notices_two_that_drive_a_session(bench: Any, forker: Any, rounds: Rounds) -> None:
    """The broken twin: without a fence there are two that drive it, and that is found out."""
    unfenced = [bench.worker(fenced=False) for _ in range(2)]
    for _ in range(rounds(20, 8)):
        session = forker.ask("orphan", shape=SHAPE)["session"]
        at = time.monotonic() + START
        for worker in unfenced:
            worker.tell("resume", session=session, at=at)
        bench.until(lambda session=session: bench.history(session).has_succeeded)
        for worker in unfenced:
            # Each may be told anything of such a history: what counts is what was written.
            worker.has_answered(1)
        if bench.history(session).wrong():
            return
        for worker in unfenced:
            worker.answer()
    pytest.fail("two drove a session at once, or none did, and nothing was noticed")
