"""What a Runner and its Sessions share: who drives a session, and how it is taken over."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import evolve

from bunsui.engine.events import ResumeRequested, SessionResumed
from bunsui.errors import ConfigError, StateError
from bunsui.local import bindings as bound
from bunsui.model.status import SessionStatus
from bunsui.runner.sessions import preflight, reading, recovery, reruns
from bunsui.runner.sessions.assuming import assumed
from bunsui.runner.waiting import Steps, complete

if TYPE_CHECKING:
    from bunsui.engine.events import RunnerClaimed, SessionCreated
    from bunsui.model.pipeline import Pipeline
    from bunsui.ports.job_type import JobType
    from bunsui.ports.store import Store
    from bunsui.runner.assembly import Parts
    from bunsui.runner.attempts.artifacts import Artifacts
    from bunsui.runner.attempts.logs import Logs
    from bunsui.runner.driving.live import Live
    from bunsui.runner.driving.requests import Request


class Control:
    """Drives sessions with the parts of one Runner; may be used from any thread."""

    def __init__(
        self,
        parts: Parts,
        bindings: Mapping[str, Mapping[str, Any]],
        lease: float,
    ) -> None:
        self.parts = parts
        self._job_types: Mapping[str, JobType] = parts.job_types
        #: The bindings that were given in Python: those a history can't hold are taken from them.
        self._bindings = bindings
        self._lease = lease
        self._pid = os.getpid()
        self._lock = threading.Lock()
        #: Pipelines by digest, while somebody holds them: what was read from the store, and those with
        #: callables that have no name elsewhere.
        self._known: weakref.WeakValueDictionary[str, Pipeline] = weakref.WeakValueDictionary()
        self._used = False
        self._closed = False

    @property
    def store(self) -> Store:
        """Where everything durable lives."""
        return self.parts.store

    @property
    def logs(self) -> Logs:
        """Where the jobs' logs are."""
        return self.parts.logs

    @property
    def artifacts(self) -> Artifacts | None:
        """Where large outputs are; None: in the histories."""
        return self.parts.artifacts

    @property
    def is_here(self) -> bool:
        """Whether this is the process that the Runner was made in: a forked child has none of its threads."""
        return os.getpid() == self._pid

    def require_open(self) -> None:
        """Raises StateError where the Runner can't drive anything (any more)."""
        if self._closed:
            raise StateError("this runner is closed", hint="make another one")
        if not self.is_here:
            raise StateError(
                "this runner was made before this process was forked", hint="make another one here"
            )

    def live(self, session: str) -> Live | None:
        """The session, as far as this Runner drives it now.

        Raises:
            ConfigError: what is given is no id.
        """
        _require_id(session)
        return self.parts.driver.drives(session) if self.is_here else None

    def drive(self, live: Live) -> None:
        """Claims a session for this Runner and drives it; returns when the claim is durable, or failed.

        Raises:
            StoreError: the store failed for a whole lease.
            StateError: the Runner was closed meanwhile.
        """
        complete(self.driving(live))

    def driving(self, live: Live) -> Steps[None]:
        """The steps of `drive`."""
        with self._lock:
            if not self._used:
                self._used = True
                self.parts.begin()
                if self.parts.surroundings.closes_at_exit:
                    _close_at_exit(self)
        self.parts.heartbeat.start()
        self.parts.driver.adopt(live)
        yield live.begun
        if live.error is not None:
            raise live.error

    def know(self, pipeline: Pipeline) -> None:
        """Remembers a pipeline that was started here: its sessions can be resumed with its own callables."""
        if any(job.function is not None for job in pipeline.jobs):
            self._known[pipeline.digest] = pipeline

    def pipeline_of(self, created: SessionCreated) -> Pipeline:
        """The definition that a session runs; see `reading.pipeline_of`."""
        found = reading.pipeline_of(self.store, created, self._known.get(created.digest))
        self._known.setdefault(created.digest, found)
        return found

    def claim(self, live: Live) -> None:
        """Puts this Runner's claim into a session's next commit."""
        parts = self.parts
        recovery.claim(live, parts.id, parts.clock, self._lease, parts.telling)

    def load(self, session: str) -> Live:
        """A session as its history leaves it, to be looked at and taken over.

        Raises:
            NotFound: there is no such session.
            StoreError: its history is damaged, or of a later version.
        """
        return recovery.load(self.store, session, self.pipeline_of, self.artifacts)

    def earlier(self, session: str) -> reruns.Earlier:
        """A session that is to run again; see `reruns.Earlier.of`.

        Raises:
            ConfigError: what is given is no id.
        """
        _require_id(session)
        return reruns.Earlier.of(self.load(session), self.artifacts)

    def take_over(
        self,
        session: str,
        request: Request | None = None,
        *,
        orphaned_at: int | None = None,
        assume: Mapping[str, str] | None = None,
        loaded: Live | None = None,
    ) -> Live:
        """Claims a session that nobody drives, and drives it.

        Args:
            session: its id.
            request: what is done first; without one, a paused session goes on.
            orphaned_at: the position at which it was seen already that nobody drives it (any more).
            assume: what became of attempts of which nobody can tell; see `assuming.assumed`.
            loaded: what `load` gave a moment ago; it saves reading the history again.

        Raises:
            NotFound: there is no such session, or no such job to assume something of.
            StateError: it has ended, or its runner lives, or somebody has written to it since `orphaned_at`,
                or nothing was said of an unknown job.
            ConfigError: what has yet to run can't be found by this process.
        """
        return complete(
            self.taking_over(session, request, orphaned_at=orphaned_at, assume=assume, loaded=loaded)
        )

    def taking_over(
        self,
        session: str,
        request: Request | None = None,
        *,
        orphaned_at: int | None = None,
        assume: Mapping[str, str] | None = None,
        loaded: Live | None = None,
    ) -> Steps[Live]:
        """The steps of `take_over`."""
        self.require_open()
        if self.live(session) is not None:
            raise StateError(
                f"session {session} is driven by this runner already",
                hint="wait for it: runner.session(id).wait()",
            )
        live = loaded or self.load(session)
        state = live.machine.state
        if state.status.is_terminal:
            raise has_ended(session, state.status, "resume")
        if orphaned_at not in (None, live.position):
            # Also by the runner that was taken for dead: it lives, and trusts its claim after each commit.
            raise StateError(f"session {session} was driven on by another runner just now")
        clock = self.parts.clock
        said = [] if request is not None else assumed(live.machine, assume, live.at(clock.now()))
        if request is None or request.action == "resume":
            live.bindings = recovery.bindings(live, bound.from_mapping(self._bindings, self._job_types))
            preflight.check_resumable(live, self.parts, self._job_types)
            reruns.restore(live, self.load)
        else:  # Nothing starts, so nothing needs to be found; but what ran at a service is asked for there.
            live.bindings = recovery.bindings_to_tell_apart(live)
        if orphaned_at is None:
            yield from recovery.until_orphaned(live, self.store, clock)
        paused = state.status is SessionStatus.PAUSED
        self.parts.alerting.go_on(live)
        self.claim(live)
        at = live.at(clock.now())
        if request is not None:
            if paused and request.action == "cancel" and live.machine.running:
                live.record(SessionResumed(at))  # What runs has to end, which it can't in a paused session.
            live.record(request.event(at))
        elif paused:
            live.record(SessionResumed(at))
        elif state.pause is not None:
            live.record(ResumeRequested(at, self.parts.surroundings.new_id()))
        for event in said:
            live.record(evolve(event, at=live.at(clock.now())))
        yield from self.driving(live)
        if self.artifacts is not None and not live.lost:
            self.artifacts.tidy(session)
        return live

    def watch(self, session: str, position: int, held: RunnerClaimed) -> recovery.Watch:
        """Watches the runner that holds a session."""
        return recovery.Watch(self.store, session, position, held, self.parts.clock)

    def look_for_requests(self) -> None:
        """Has the driver look at once, rather than at its next tick."""
        driver = self.parts.driver
        if driver.alive:  # Else nobody would take the message out.
            driver.post(driver.look_for_requests)

    def close(self, timeout: float) -> None:
        """See `Runner.close`; a call that was interrupted may be repeated."""
        if self.is_here:
            self._closed = True
            self.parts.close(timeout)


def has_ended(session: str, status: SessionStatus, action: str) -> StateError:
    """What says that a session that has ended can't be paused, resumed or cancelled any more.

    Args:
        session: its id.
        status: how it ended.
        action: what was asked for, as a verb.
    """
    return StateError(
        f"session {session} is {status}: there is nothing to {action}",
        hint=f"to run it again: bunsui session rerun {session}, in Python runner.rerun(id)",
    )


def _close_at_exit(control: Control) -> None:
    """Ends what was started when the interpreter ends before it was closed."""
    reference = weakref.ref(control)

    def close() -> None:
        left = reference()
        if left is not None:
            left.close(timeout=0)

    atexit.register(close)
    # Not itself at the end of the interpreter, where it may come first, and `close` would never be called.
    weakref.finalize(control, atexit.unregister, close).atexit = False


def _require_id(session: object) -> None:
    """Refuses what is no text: a store would say of it that it can't be bound, or hashed.

    None is let through: of a request that names none, there is no session.
    """
    if session is not None and not isinstance(session, str):
        raise ConfigError(
            f"a session is named by its id, a text, not by {type(session).__name__}",
            hint="give session.id, or the session_id of what runner.sessions() lists",
        )
