"""What must hold after every step, whatever happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bunsui.engine import events as ev
from bunsui.errors import StateError, StoreError
from bunsui.runner.driving import heartbeat, requests
from bunsui.runner.sessions import index
from bunsui.stores.records import decode_body
from bunsui.testing.simulation.history import SessionHistory
from bunsui.testing.simulation.ledger import Ledger

if TYPE_CHECKING:
    from bunsui.model.pipeline import Pipeline
    from bunsui.ports.job_type import JobCall
    from bunsui.ports.store import Commit, Store
    from bunsui.runner.attempts.work import Work
    from bunsui.runner.driving.live import Live
    from bunsui.testing.simulation.ledger import Run
    from bunsui.testing.simulation.world import Process, World


class Invariants:
    """Looks at everything that becomes durable, and at everything that is started.

    Args:
        world: told of what does not hold.
        pipelines: by their digests.
    """

    def __init__(self, world: World, pipelines: Mapping[str, Pipeline]) -> None:
        self.sessions: dict[str, SessionHistory] = {}
        self.ledger = Ledger()
        #: The job types whose work runs elsewhere, and whether the ledger knows of it.
        self.remote: dict[str, bool] = {}
        self._world = world
        self._pipelines = pipelines
        #: When each runner has beaten.
        self._beats: dict[str, list[float]] = {}
        #: The claims that each request was meant for.
        self._asked: dict[str, set[int]] = {}
        #: When each session was first given to a driver.
        self._adopted: dict[str, float] = {}

    def adopted(self, live: Live) -> None:
        """A driver was given a session, which may not be durable yet."""
        self._adopted.setdefault(live.id, self._world.time)

    # What becomes durable

    def committed(self, process: Process, session: str, commit: Commit) -> None:
        """A commit is durable from now on."""
        known = self.sessions.get(session)
        if known is None:
            known = self._created(session, commit)
        held = known.fold.claim
        beats = self._beats.get(held.runner, []) if held is not None else []
        known.take(process.name, commit, beats, self._asked)
        names = ",".join(_short(event) for event in known.commits[-1])
        self._world.note(process.name, f"committed {session[:4]}@{commit.position} {names}")

    def _created(self, session: str, commit: Commit) -> SessionHistory:
        events = decode_body(commit.body, "the first commit")
        first = events[0] if events else None
        if not isinstance(first, ev.SessionCreated):
            self._world.fail("illegal", f"session {session} begins with {first}")
        pipeline = self._pipelines[first.digest]
        known = SessionHistory(self._world, session, pipeline, self.ledger, self.remote)
        self.sessions[session] = known
        known.began_at = self._adopted.get(session, self._world.time)
        return known

    def was_put(self, kind: str, key: str, value: Mapping[str, Any]) -> None:
        """A document is there from now on."""
        if kind == heartbeat.KIND:
            self._beats.setdefault(key, []).append(self._world.time)
        elif kind == requests.KIND:
            self._asked.setdefault(key, set()).add(value["epoch"])

    # What is started

    def submitted(self, process: Process, work: Work) -> None:
        """A driver has handed an attempt to its pool."""
        known = self.sessions.get(work.live.id)
        if known is None or (work.unit, work.attempt, work.live.epoch) not in known.started:
            self._world.fail("write-ahead", f"{process.name} starts {_named(work)}, which is not recorded")
        elif known.fold.epoch > work.live.epoch:
            # It was frozen before its last check of the claim, so that check should have held it back.
            self._world.fail("stale-start", f"{process.name} starts {_named(work)} under an old claim")

    def begun(self, process: Process, work: Work) -> Run:
        """An attempt begins to run."""
        known = self.sessions[work.live.id]
        held = known.fold.claim
        holds = held is not None and (held.runner, held.epoch) == (process.name, work.live.epoch)
        if holds and not known.runs(work.unit, work.attempt):
            state = known.state_of(work.unit).status
            self._world.fail("late-start", f"{process.name} runs {_named(work)}, which is {state}")
        for run in self.ledger.runs(work):
            if run.epoch == work.live.epoch and (not run.is_over or run.attempt == work.attempt):
                self._world.fail("twice", f"{process.name} runs {_named(work)} twice under one claim")
        self._world.note(process.name, f"runs {_named(work)}")
        return self.ledger.begin(work)

    def ended(self, process: Process, run: Run, work: Work) -> None:
        """An attempt has run; its runner need not have heard of it."""
        self.ledger.end(run, work)
        came = work.failure.code if work.failure is not None else "success"
        self._world.note(process.name, f"ran {_named(work)}: {came}")

    def ran_remotely(self, call: JobCall, under_way: Sequence[float]) -> None:
        """A service that can tell has run work for a call, so many times, submitted as long before each."""
        known = self.sessions.get(call.session_id)
        if known is None or call.idempotency_key not in known.keys:
            self._world.fail("write-ahead", f"{call.job_id} was submitted, which is not recorded")
        # Who is held up for half a lease between his last look and the call may come too late.
        if len(under_way) > 1 and max(under_way) < self._world.lease / 2:
            self._world.fail("twice", f"{call.job_id} of {call.session_id} ran {len(under_way)} times")

    # What a driver believes

    def believes(self, process: Process, live: Live) -> None:
        """What a driver takes for durable must be, and come to the same state."""
        error = live.error
        if error is not None and not isinstance(error, StoreError | StateError):
            self._world.fail("fault", f"{process.name} gave up session {live.id}: {error}")
        known = self.sessions.get(live.id)
        length = 0 if known is None else known.position
        if live.position > length:
            text = f"{process.name} takes {live.position} commits of session {live.id} for durable; it has"
            self._world.fail("lost", f"{text} {length}")
        if known is None or live.position < length or live.unsent or live.events:
            return
        mine, true = live.machine.state, known.fold
        if (mine.status, mine.epoch, mine.jobs, mine.items) != (
            true.status,
            true.epoch,
            true.jobs,
            true.items,
        ):
            self._world.fail("divergence", f"{process.name} has another view of session {live.id}")

    def acknowledged(self, process: Process, session: str, request: str) -> None:
        """Somebody was told that his request is in the history."""
        known = self.sessions.get(session)
        if known is None or request not in known.fold.requests:
            self._world.fail("lost", f"{process.name} was told that {request} is in session {session}")

    # The end

    def check_end(self, store: Store) -> None:
        """All sessions rest, and listings show it."""
        for known in self.sessions.values():
            known.check_end()
            document = store.get(index.KIND, known.session)
            shown = None if document is None else index.summary(document).status
            if shown is not known.fold.status:
                text = f"session {known.session} is {known.fold.status}; listings say {shown}"
                self._world.fail("index", text)

    @property
    def restless(self) -> list[SessionHistory]:
        """The sessions that neither have ended nor are paused."""
        return [known for known in self.sessions.values() if not known.rests]


def _named(work: Work) -> str:
    return f"{work.unit} attempt {work.attempt} of {work.live.id[:4]} (claim {work.live.epoch})"


def _short(event: ev.Event) -> str:
    """An event in a trace: its name and what it is about."""
    parts = [
        str(getattr(event, name))
        for name in ("runner", "job", "item", "attempt", "request", "epoch")
        if hasattr(event, name)
    ]
    return f"{type(event).__name__}({' '.join(parts)})"
