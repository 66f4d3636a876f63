"""A session while a driver drives it."""

from __future__ import annotations

import math
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, field

from bunsui.concurrency.notice import Notice
from bunsui.engine.decide import Machine
from bunsui.engine.events import RunnerReleased
from bunsui.errors import BunsuiError, StoreError
from bunsui.ports.store import Append, Commit
from bunsui.runner.attempts.kept_secrets import KeptSecrets
from bunsui.runner.driving.tempo import INDEX_DELAY
from bunsui.runner.sessions import index
from bunsui.stores.records import OVERHEAD, body_of, encode_event, split
from bunsui.stores.sqlite_errors import of_session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from typing import Any

    from bunsui.engine.actions import Recover
    from bunsui.engine.events import Event
    from bunsui.engine.units import Unit
    from bunsui.local.bindings import Bindings
    from bunsui.model.alerts import AlertRule
    from bunsui.model.json import Json
    from bunsui.model.pipeline import Pipeline
    from bunsui.model.status import SessionStatus
    from bunsui.monitoring.spans import Carried
    from bunsui.monitoring.telemetry import Followed
    from bunsui.ports.store import Put
    from bunsui.runner.attempts.work import Work


@define(eq=False)
class Live:
    """What the driver knows of one session; from its adoption on, only the driver changes it."""

    id: str
    pipeline: Pipeline
    machine: Machine
    #: The number of commits that are durable.
    position: int
    bindings: Bindings
    #: The claim that this driver holds.
    epoch: int
    #: Random; begins the ids of this driver's commits.
    token: str = field(factory=lambda: uuid.uuid4().hex, init=False)
    #: Whether every job must run on this machine.
    local: bool = False
    #: The rules for its alerts; where it has none, nothing is done for them.
    alerts: tuple[AlertRule, ...] = ()
    #: Called with the session's id, where it has rules, once something of which somebody may have to be told
    #: is durable, and once its end is.
    alerted: Callable[[str], None] | None = None
    #: The ids of the rules of which something is due, as far as that was said by `alerted`. None: it is to be
    #: called with the next commit, as time may make something due.
    told: tuple[str, ...] | None = field(default=(), init=False)
    #: The status, the claim's epoch, what alerts are due and how many jobs have which status, as the last
    #: index entry shows it, sent or not; None before the first.
    indexed: tuple[SessionStatus, int | None, tuple[str, ...], tuple[int, ...]] | None = None
    #: When that was made (monotonic).
    indexed_at: float = -math.inf
    #: Whether the next commit carries the index entry, also where the status is the same.
    index_due: bool = False
    #: Whether a timer will set `index_due`.
    index_timed: bool = False
    #: Facts that no commit holds yet.
    events: list[Event] = field(factory=list)
    #: Commits that are not known to be durable, oldest first, with their facts.
    unsent: list[tuple[Append, Sequence[Event]]] = field(factory=list)
    #: The items of the jobs that fan out, as far as they were asked for.
    items: dict[str, list[Any]] = field(factory=dict)
    #: Some outputs of jobs, decoded, for what refers to parts of them.
    decoded: dict[str, Any] = field(factory=dict)
    #: The values of secrets that its jobs share; none is kept once it is driven no more.
    secrets: KeptSecrets = field(factory=KeptSecrets, init=False)
    #: What jobs are to take over from the session that this one runs again, each with its origin.
    reusable: dict[str, tuple[str, Json]] = field(factory=dict)
    #: Attempts that have started and not ended.
    works: dict[Unit, Work] = field(factory=dict)
    #: Attempts to submit as soon as their start is durable.
    starts: list[Work] = field(factory=list)
    #: Attempts of a runner that is gone, whose leavings on this machine wait for the claim to be durable.
    left: list[Recover] = field(factory=list)
    #: What else waits for the facts that decided it to be durable.
    then: list[Callable[[], None]] = field(factory=list)
    #: Which start of its driver was this session's last one; 0: none was.
    served: int = 0
    #: Requests that the next commit answers; their documents are deleted after it.
    answered: list[str] = field(factory=list)
    #: When the first append of the oldest unsent commit began (monotonic), where one failed: it may be
    #: durable all the same; None: none failed.
    in_doubt_since: float | None = None
    #: Whether it is known that the claim is durable.
    is_claimed: bool = False
    #: When the last append of a commit began that showed that the claim stood (monotonic).
    confirmed_at: float = -math.inf
    #: When the store first failed (monotonic), while it does.
    failing_since: float | None = None
    #: When an output that a job needs first could not be read (monotonic), while it can't.
    unread_since: float | None = None
    #: Why the driver gave the session up.
    error: BunsuiError | None = None
    #: Whether another runner has claimed the session.
    lost: bool = False
    #: What is told of it to OpenTelemetry; None: nothing.
    followed: Followed | None = None
    #: The trace of who has started it, which its work belongs to where nothing is told of itself.
    carried: Carried | None = None
    #: Set when the first commit here is durable, or never will be.
    begun: Notice = field(factory=Notice)
    #: Set when the driver drives it no more: it rests, was released, lost, or given up.
    done: Notice = field(factory=Notice)
    _callable_folders: tuple[Path, ...] | None = field(default=None, init=False)
    #: The parameters whose values are references to secrets.
    secret_parameters: frozenset[str] = field(init=False)

    @secret_parameters.default
    def _secret_parameters(self) -> frozenset[str]:
        return frozenset(parameter.name for parameter in self.pipeline.parameters if parameter.secret)

    @property
    def callable_folders(self) -> tuple[Path, ...]:
        """Where callables are looked up before ``sys.path``: beside the definition, beside the bindings."""
        if self._callable_folders is None:
            created = self.machine.state.created
            beside = None if created is None else created.bindings_dir
            self._callable_folders = callable_folders(self.pipeline, beside)
        return self._callable_folders

    @property
    def is_released(self) -> bool:
        """Whether its release is recorded, durable or not: nothing may be recorded after it."""
        return self.machine.state.claim is None

    def give_way(self, driven: Live) -> None:
        """Leaves the session to a faster one of the same runner.

        Only when that has begun: before its first commit is durable, there may be no such session at all.
        """
        self.lost = True

        def leave() -> None:
            self.error = driven.error
            self.begun.set()
            self.done.set()

        driven.begun.call(leave)

    def fault(self, cause: Exception) -> BunsuiError:
        """What those who wait for the session are told where the driver itself failed."""
        text = f"session {self.id} can't be driven: {type(cause).__name__}: {cause}"
        fault = BunsuiError(text, hint="this is a fault of bunsui; the session can be resumed")
        fault.__cause__ = cause
        return fault

    def stopped_by(self, error: StoreError) -> StoreError:
        """What those who wait for the session are told where the store fails."""
        return of_session(error) if self.begun.is_set() or self.position else error

    def unrecorded(self) -> StoreError:
        """What those who wait for the session are told where a runner was closed over facts of it."""
        text = f"the runner was closed while the store failed: the last of {self.id} is not recorded"
        return StoreError(text, hint="the session can be resumed once the store works")

    def record(self, event: Event) -> None:
        """Takes a fact into the state and into the next commit."""
        self.machine.handle(event)
        self.events.append(event)

    def at(self, time: datetime) -> datetime:
        """`time`, or the time of the last fact where that is later: times never decrease in a history."""
        last = self.machine.state.last_at
        return time if last is None or time > last else last

    def release(self, time: datetime) -> Append:
        """An append that gives the session back behind its last durable commit, whatever came after that."""
        released = encode_event(RunnerReleased(self.at(time), self.epoch))
        return Append(self.id, Commit(self.position + 1, f"{self.token}-released", body_of([released])))

    def seal(self, max_bytes: int, now: float) -> None:
        """Makes commits of the facts that no commit holds yet; an empty one where only the index is due.

        Each has the index entry that is true with it, where one is due: what comes after it may be lost.

        Args:
            max_bytes: of one commit.
            now: the monotonic time.
        """
        if not self.events and (self.unsent or not self.index_due):
            return
        events, self.events = self.events, []
        position = self.position + len(self.unsent)
        encoded = [encode_event(event) for event in events]
        if sum(map(len, encoded)) + len(encoded) < max_bytes - OVERHEAD:
            chunks = [encoded]
        else:
            chunks = split(encoded, max_bytes)
        for i, chunk in enumerate(chunks, start=1):
            position += 1
            # Unique: no other driver has this token, and none makes two commits for a position.
            commit = Commit(position, f"{self.token}-{position}", body_of(chunk))
            document = self._index_entry(now) if i == len(chunks) else None
            if position == 1 and document is None:
                # Nobody would find a session of which only this one becomes durable.
                document = index.entry(self.machine.state, still_open=True)
            self.unsent.append((Append(self.id, commit, document), events[: len(chunk)]))
            events = events[len(chunk) :]

    @property
    def _shown(self) -> tuple[SessionStatus, int | None, tuple[str, ...], tuple[int, ...]]:
        """What the index entry says that changes."""
        state = self.machine.state
        epoch = None if state.claim is None else state.claim.epoch
        return state.status, epoch, self._due_alerts(), tuple(state.counts.values())

    def _due_alerts(self) -> tuple[str, ...]:
        """The ids of the rules by which somebody may have to be told of something, as far as facts say it."""
        if not self.alerts:
            return ()
        from bunsui.monitoring.alerts import due  # noqa: PLC0415 - few sessions have alerts

        return tuple(found.rule.id for found in due(self.alerts, self.machine.state))

    def alert(self) -> None:
        """Has it said once that an alert may be due, or that the session has ended; all facts are durable."""
        if self.alerted is None or self.indexed is None:
            return
        told = self.indexed[2]
        if told != self.told or self.machine.state.status.is_terminal:
            self.told = told
            self.alerted(self.id)

    @property
    def is_behind(self) -> bool:
        """Whether the index entry does not say how many jobs have which status."""
        return self.indexed != self._shown

    def _index_entry(self, now: float) -> Put | None:
        """The index entry of the session as it stands, where one is due: it goes along with facts."""
        shown = self._shown
        is_new = self.indexed is None or self.indexed[:3] != shown[:3]
        is_old = self.indexed != shown and now - self.indexed_at >= INDEX_DELAY
        if not (self.index_due or is_new or is_old):
            return None
        self.index_due = False
        self.indexed, self.indexed_at = shown, now
        return index.entry(self.machine.state, shown[2])

    def made(self, commit: Commit) -> bool:
        """Whether a commit of the history is this driver's."""
        return commit.id.startswith(self.token)

    def next_append(self) -> Append:
        """The oldest commit that is not known to be durable."""
        return self.unsent[0][0]

    def sent(self, append: Append) -> Sequence[Event]:
        """Notes that an append is durable; its facts."""
        _, events = self.unsent.pop(0)
        self.position = append.commit.position
        self.failing_since = None
        return events


def callable_folders(pipeline: Pipeline, bindings_dir: str | None) -> tuple[Path, ...]:
    """Where a session's callables are looked up first: beside its definition, beside its bindings."""
    beside = None if bindings_dir is None else Path(bindings_dir)
    return tuple(dict.fromkeys(folder for folder in (pipeline.base_dir, beside) if folder is not None))
