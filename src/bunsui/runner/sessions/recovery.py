"""Taking a session over: from its history to something that a driver can drive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bunsui.engine import events as ev
from bunsui.engine.decide import Machine
from bunsui.errors import StateError
from bunsui.local import bindings as bound
from bunsui.local.identity import is_dead, this_process
from bunsui.ports.job_type import Function
from bunsui.runner.driving import heartbeat
from bunsui.runner.driving.live import Live
from bunsui.runner.sessions import reading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bunsui.model.pipeline import Pipeline
    from bunsui.ports.clock import Clock
    from bunsui.ports.store import Store
    from bunsui.runner.attempts.artifacts import Artifacts
    from bunsui.runner.driving.telling import Telling
    from bunsui.runner.waiting import Steps


def load(
    store: Store,
    session: str,
    pipeline_of: Callable[[ev.SessionCreated], Pipeline],
    artifacts: Artifacts | None = None,
) -> Live:
    """A session as its history leaves it: not yet claimed, and without its bindings.

    Args:
        store: where it is.
        session: its id.
        pipeline_of: gives the definition that a session runs.
        artifacts: where its large outputs lie.

    Raises:
        NotFound: there is no such session.
        StoreError: the history is damaged, contradicts itself, or is of a later version.
    """
    first = reading.created(store, session)
    pipeline = pipeline_of(first)
    machine = Machine(pipeline)
    position = reading.replay(store, session, machine.handle, artifacts=artifacts)
    return Live(
        id=session,
        pipeline=pipeline,
        machine=machine,
        position=position,
        bindings={},
        epoch=machine.state.epoch,
        local=first.local,
    )


def bindings(live: Live, given: bound.Bindings) -> bound.Bindings:
    """What the session's jobs were bound to when it was created.

    Args:
        live: the session.
        given: the runner's own bindings, for callables without a name.

    Raises:
        ConfigError: one is a callable that exists in another process only.
    """
    return {
        kind: {name: bound.from_data(value, given.get(kind, {}).get(name)) for name, value in names.items()}
        for kind, names in _bound_to(live).items()
    }


def bindings_to_tell_apart(live: Live) -> bound.Bindings:
    """The same, only to tell what was bound: a callable of another process can't be called here."""
    return {
        kind: {
            name: bound.from_data(value, Function(value.get("callable", ""))) for name, value in names.items()
        }
        for kind, names in _bound_to(live).items()
    }


def _bound_to(live: Live) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    created = live.machine.state.created
    return {} if created is None else created.bindings


def claim(live: Live, runner: str, clock: Clock, lease: float, telling: Telling) -> None:
    """Puts the claim of `runner` into the session's next commit. It holds once that is durable."""
    live.epoch += 1
    at = live.at(clock.now())
    telling.follow(live, at)
    trace = None if live.followed is None else live.followed.trace
    live.record(ev.RunnerClaimed(at, runner, live.epoch, this_process(), lease, trace))


class Watch:
    """Whether the runner that holds a session still lives, as far as can be told from here.

    It is dead at once where its process on this host is gone. Else it is taken for dead when neither its
    heartbeat nor the session's history has changed for one lease, on the watcher's monotonic clock: no
    time that another machine wrote is ever compared.
    """

    def __init__(
        self, store: Store, session: str, position: int, held: ev.RunnerClaimed, clock: Clock
    ) -> None:
        #: Whether the runner has shown a sign of life since the watch began.
        self.has_moved = False
        self._store = store
        self._session = session
        self._position = position
        self._held = held
        self._clock = clock
        self._beat = self._read_beat()
        self._since = clock.monotonic()

    def _read_beat(self) -> int:
        document = self._store.get(heartbeat.KIND, self._held.runner)
        return 0 if document is None else document.version

    def is_dead(self) -> bool:
        """Whether the runner is gone: its process is, or it gave no sign for the lease of its claim."""
        if is_dead(self._held.process):
            return True
        # Before it looks: what came while the store took its time would not be seen.
        looked_at = self._clock.monotonic()
        position, beat = self._position, self._read_beat()
        for commit in self._store.read(self._session, self._position):
            position = commit.position
        if (position, beat) != (self._position, self._beat):
            self._position, self._beat = position, beat
            self._since = self._clock.monotonic()
            self.has_moved = True
        return looked_at - self._since >= self._held.lease


def until_orphaned(live: Live, store: Store, clock: Clock) -> Steps[None]:
    """Ends once nobody drives the session.

    Raises:
        StateError: its runner is alive.
    """
    held = live.machine.state.claim
    if held is None or is_dead(held.process):
        return
    watched = Watch(store, live.id, live.position, held, clock)
    while not watched.is_dead():
        if watched.has_moved:
            raise StateError(
                f"session {live.id} is driven by a runner on {held.process.get('host')}"
                f" (pid {held.process.get('pid')})",
                hint="wait for it, or pause it there",
            )
        yield min(held.lease / 10, 0.5)
