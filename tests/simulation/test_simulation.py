"""Whole runners in a simulated world: every invariant holds, and it is noticed where one does not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bunsui.engine import events as ev
from bunsui.errors import DefinitionError, StoreError
from bunsui.model.job import Job
from bunsui.model.pipeline import Pipeline
from bunsui.ports.job_type import JobType
from bunsui.ports.store import Append, Appended, Commit
from bunsui.runner.attempts.attempts import Attempts
from bunsui.runner.attempts.remotes import Remotes
from bunsui.runner.control import Control
from bunsui.runner.driving import driver, requests
from bunsui.runner.driving.commits import Commits
from bunsui.runner.driving.driver import Driver
from bunsui.runner.driving.live import Live
from bunsui.runner.sessions.recovery import Watch
from bunsui.testing import SimulationFailed, simulate
from bunsui.testing.simulation.simulation import Simulation
from bunsui.testing.simulation.store import ProcessStore
from bunsui.testing.simulation.world import Violation, World

BLOCKS = 10
GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "developer" / "simulation.md"


def seeds() -> range:
    """BUNSUI_SIMULATE is BASE:COUNT; 500 seeds without it."""
    base, _, count = os.environ.get("BUNSUI_SIMULATE", "0:500").partition(":")
    return range(int(base), int(base) + int(count or 1))


@pytest.mark.timeout(0)
@pytest.mark.parametrize("block", range(BLOCKS))
def test_every_invariant_holds(block: int) -> None:
    """Runners are killed and frozen, stores and services fail, clocks jump; then all comes to rest."""
    for seed in seeds()[block::BLOCKS]:
        simulate(seed)


ONCE = (4000934, 4002990, 4003522, 7004528, 7006059, 7007922, 9007873, 20000589, 20007204)


@pytest.mark.parametrize("seed", ONCE)
def test_what_once_failed(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions without a true entry in the index, sessions that nobody went on with, work that ran twice."""
    monkeypatch.setattr(driver, "TICK", 0.2)  # As they were found: with other looks they are other worlds.
    simulate(seed)


def test_a_claim_is_looked_at_right_before_a_start() -> None:
    """Not before requests of other sessions were deleted, in a store that takes minutes for it."""
    simulate(770007822)


def test_a_wrong_pipeline_is_no_failure_of_the_simulation() -> None:
    """Whoever forgets to give the job type is told that, and gets no seed to run again."""
    with pytest.raises(DefinitionError, match="job 'a' has the type 'queue', which does not exist"):
        simulate(0, pipelines=[Pipeline("p", [Job("a", "queue")])])


def test_what_fails_as_job_types_are_made_fails_the_simulation() -> None:
    """`World.fail` comes out as `SimulationFailed` wherever it is called."""

    def broken(world: World) -> list[JobType]:
        world.fail("never", "it was made")

    with pytest.raises(SimulationFailed, match="seed 1: never: it was made") as caught:
        simulate(1, job_types=broken)
    assert (1, "never", ()) == (caught.value.seed, caught.value.kind, caught.value.faults)


def test_the_same_seed_gives_the_same_simulation() -> None:
    """Also in another process, in which sets have another order and garbage is collected at other times."""
    script = (
        "import gc, sys\n"
        "from bunsui.testing import simulate\n"
        "gc.set_threshold(int(sys.argv[1]))\n"
        "for seed in range(15): print(*simulate(seed).trace, sep='\\n')\n"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", script, allocations],
            env={**os.environ, "PYTHONHASHSEED": order},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for order, allocations in (("1", "50"), ("2", "1000000"))
    }
    here = "\n".join(line for seed in range(15) for line in simulate(seed).trace)

    assert {here + "\n"} == told


def test_seeds_differ_in_all_that_matters() -> None:
    """Sessions of every end, several runners, disturbances of every kind."""
    outcomes = [simulate(seed) for seed in range(150)]
    statuses = {str(status) for outcome in outcomes for status in outcome.statuses.values()}
    text = "\n".join(line for outcome in outcomes for line in outcome.trace)

    assert {"succeeded", "failed", "cancelled", "timed_out", "paused"} == statuses
    for seen in (
        *("killed before append", "killed after append", "frozen before append", "slow after append"),
        *("append fails without effect", "append fails after its effect", "the store is away for all"),
        *("all wall clocks jump", "a thread begins late", "is closed", "answer to submit is lost"),
        *("submit is delivered twice", "submit is delivered late", "poll is throttled", "has forgotten"),
        *("credentials of named expire", "JobStalled", "ItemStalled"),
        *("AttemptLost", "JobUnknown", "JobSubmitted", "ItemSucceeded", "TimeoutReached", "PauseRequested"),
        *("ResumeRequested", "CancelRequested", "RunnerReleased", "SessionResumed", "AttemptFailed"),
    ):
        assert seen in text


# Broken twins


def _swim(self: ProcessStore, entry: Append) -> Appended:
    """No fencing: whoever comes too late is put behind the others."""
    position = self._truth.length(entry.history) + 1
    return self._truth.append([Append(entry.history, Commit(position, entry.commit.id, entry.commit.body))])[
        0
    ]


def _forget_ids(self: ProcessStore, entry: Append) -> Appended:
    """The same commit again is a conflict."""
    if entry.commit.position <= self._truth.length(entry.history):
        return Appended(conflict=True)
    return self._truth.append([entry])[0]


def _lose(self: ProcessStore, entry: Append) -> Appended:
    """Says that it is durable, now and then, and it is not."""
    if entry.commit.position > 1 and self._chance.random.random() < 0.1:
        return Appended()
    return self._truth.append([entry])[0]


def _renew(self: Live, max_bytes: int) -> None:
    """A commit that may have failed is made anew, with an id of its own."""
    for i, (append, events) in enumerate(self.unsent):
        commit = Commit(append.commit.position, f"{append.commit.id}x", append.commit.body)
        self.unsent[i] = (Append(append.history, commit, append.document), events)
    _seal(self, max_bytes)


def _trust(self: Commits, live: Live) -> bool:
    """Never looks whether the claim still stands."""
    return True


def _forget_attempts(self: Attempts, live: Live, lost: Any) -> None:
    """Nobody asks what became of an attempt whose runner is gone."""


def _rerun_blindly(self: Remotes, work: Any) -> None:
    """Work that a service may have is submitted again, without a look."""
    self._owner.never_ran(work)


def _resubmit_blindly(self: Remotes, live: Live, work: Any) -> None:
    """A submission that was not answered is made again, without a look."""
    self._again(work, self._submit_again)


def _overlook_beats(self: Watch) -> int:
    """A watcher that looks at the history only."""
    return 0


def _be_hasty(self: Watch) -> bool:
    """A watcher that waits for a third of the lease."""
    dead = _is_dead(self)
    return dead or (not self.has_moved and self._clock.monotonic() - self._since >= self._held.lease / 3)


def _go_by_the_wall(self: Watch) -> bool:
    """A watcher that measures with the wall clock."""
    now = self._clock.now().timestamp()
    since = self.__dict__.setdefault("wall", now)
    return _is_dead(self) or (not self.has_moved and now - since >= self._held.lease)


def _cling(self: Driver, live: Live, error: StoreError) -> None:
    """Gives a session up, and keeps its claim."""
    _append_failed(self, live, error)
    live.events = [event for event in live.events if not isinstance(event, ev.RunnerReleased)]


def _submit_first(self: Attempts, live: Live, action: Any) -> None:
    """Work is handed out before its start is durable."""
    _start(self, live, action)
    works, live.starts = live.starts, []
    self.submit(works)


def _obey_everybody(self: Driver) -> None:
    """Requests for earlier claims are granted, too."""
    try:
        found = requests.pending(self._inbox._store, self._inbox._runner)
    except StoreError:
        return
    for request in found:
        live = self._lives.get(request.session)
        if live is not None and live.error is None and request.id not in live.machine.state.requests:
            self.guard(live, live.record, request.event(live.at(self._clock.now())))
            live.answered.append(request.id)
            self.touch(live)


def _hurry(self: Driver, live: Live) -> None:
    """The session's timeout is over at half of its time."""
    _adopt(self, live)
    if live.pipeline.timeout is not None:
        self._timers.after(live.pipeline.timeout / 2, live, self._session_overdue)


def _take_what_there_is(self: Control, *arguments: Any, **named: Any) -> Any:
    """Takes a session over without a look at whoever holds it."""
    return _taking_over(self, *arguments, **{**named, "orphaned_at": _ANY})


class _Any(int):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


_ANY = _Any(0)
_seal, _is_dead, _start = Live.seal, Watch.is_dead, Attempts.start
_append_failed, _adopt, _taking_over = Driver._append_failed, Driver._adopt, Control.taking_over

#: What is taken out of whom, and the seed from which on it is looked for: those before it do not notice.
TWINS: list[tuple[type[Any], str, Callable[..., Any], int]] = [
    (ProcessStore, "_effect", _swim, 0),
    (ProcessStore, "_effect", _forget_ids, 20),
    (ProcessStore, "_effect", _lose, 0),
    (Live, "seal", _renew, 20),
    (Commits, "still_mine", _trust, 260),
    (Attempts, "recover", _forget_attempts, 0),
    (Attempts, "start", _submit_first, 0),
    (Remotes, "take_over", _rerun_blindly, 0),
    (Remotes, "_look", _resubmit_blindly, 170),
    (Watch, "_read_beat", _overlook_beats, 0),
    (Watch, "is_dead", _be_hasty, 0),
    (Watch, "is_dead", _go_by_the_wall, 0),
    (Driver, "_append_failed", _cling, 1300),
    (Driver, "look_for_requests", _obey_everybody, 220),
    (Driver, "_adopt", _hurry, 0),
    (Control, "taking_over", _take_what_there_is, 0),
]


@pytest.mark.parametrize(
    ("owner", "name", "broken", "first"), TWINS, ids=[broken.__name__ for _, _, broken, _ in TWINS]
)
def test_the_simulation_notices_a_broken_runner(
    owner: type[Any], name: str, broken: Callable[..., Any], first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of these faults is found within 2,000 seeds."""
    monkeypatch.setattr(owner, name, broken)

    assert next(failing([*range(first, 2000), *range(first)]), None) is not None


def failing(seeds: Iterable[int]) -> Iterator[tuple[int, str]]:
    """The seeds whose simulation fails, with the kinds of failure."""
    for seed in seeds:
        try:
            Simulation(World(seed)).run()
        except Violation as violation:
            yield seed, violation.kind


def _quarrel(self: Driver, live: Live) -> None:
    """Fails where it is given a session that another runner has had."""
    _adopt(self, live)
    assert live.epoch < 2


def test_a_failure_tells_what_is_needed_to_see_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The seed, the disturbances that it needs and no others, and the end of the trace."""
    monkeypatch.setattr(Driver, "_adopt", _quarrel)
    seed = next(seed for seed in range(200) if "crash" in outcome_of(seed))

    with pytest.raises(SimulationFailed) as caught:
        simulate(seed)

    text = str(caught.value)
    assert text.startswith(f"seed {seed}: crash AssertionError")
    assert f"bunsui.testing.simulate({seed})" in text
    assert caught.value.trace[-1] in text
    assert len(caught.value.faults) <= 2
    assert all(str(fault) in text for fault in caught.value.faults)


def outcome_of(seed: int) -> str:
    try:
        simulate(seed)
    except SimulationFailed as failed:
        return failed.kind
    return "success"


class TestTypesOfOthers:
    """Job types that are given to the simulation: the example of the developer guide."""

    @staticmethod
    def example(**replaced: str) -> str:
        (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
        for old, new in replaced.items():
            assert old in code
            code = code.replace(old, new)
        return code

    def test_the_example_holds(self) -> None:
        """A service that can tell what it was sent is sent each message once."""
        exec(self.example(), {})

    def test_a_wrong_type_is_found(self) -> None:
        """One that says of everything that it never ran."""
        careless = {"Found(call.idempotency_key) if known else NeverRan()": "NeverRan()"}
        code = self.example(**careless, **{"range(20)": "range(300)"})
        with pytest.raises(SimulationFailed, match="twice"):
            exec(code, {})
