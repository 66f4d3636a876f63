"""`View`: what the history of a session tells of it."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from bunsui.engine.fold import Fold
from bunsui.errors import SessionFailed
from bunsui.model.later import missing
from bunsui.model.status import SessionStatus
from bunsui.runner import awaiting
from bunsui.runner.outputs import Outputs
from bunsui.runner.sessions import reading
from bunsui.runner.sessions.index import is_orphaned
from bunsui.runner.waiting import POLL

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from bunsui.engine.events import Event
    from bunsui.model.log import LogRecord
    from bunsui.model.pipeline import Pipeline
    from bunsui.model.session import JobState, SessionState
    from bunsui.runner.alerting.watched import Delivery
    from bunsui.runner.control import Control
    from bunsui.runner.driving.live import Live

#: Commits that are read at once for `View.stream`.
MOST_COMMITS = 256


class View:
    """The part of a `Session` that only reads: status, jobs, outputs, logs, events."""

    def __init__(
        self, control: Control, pipeline: Pipeline, session_id: str, live: Live | None = None
    ) -> None:
        self._control = control
        self._store = control.store
        self._pipeline = pipeline
        self._id = session_id
        self._forget()
        self._lock = threading.Lock()
        #: As a driver of this process knows it, if one drives or drove it for this handle.
        self._driven = live
        #: The last of those whose fold was taken over.
        self._taken: Live | None = None

    def _forget(self) -> None:
        """Has the next look read the history from its beginning."""
        self._fold, self._position = Fold(self._pipeline.graph.upstream), 0

    @property
    def id(self) -> str:
        """The session's id: 16 characters of base32, in small letters."""
        return self._id

    @property
    def pipeline(self) -> str:
        """The pipeline's name."""
        return self._pipeline.name

    @property
    def definition(self) -> Pipeline:
        """The definition that the session runs: its own copy."""
        return self._pipeline

    @property
    def state(self) -> SessionState:
        """All of it, at one position of the history."""
        with self._lock:
            self._read()
            return self._fold.snapshot(self._position)

    def _read(self) -> Fold:
        live = self._driven
        if live is not None and live is not self._taken and live.done.is_set():
            self._taken = live
            if live.error is None and not live.lost and live.position > self._position:
                # The driver has let go of it, and all that it folded is durable: no need to do it twice.
                self._fold, self._position = live.machine.state, live.position
        if not self._fold.status.is_terminal:
            before = self._position
            try:
                fold, artifacts = self._fold, self._control.artifacts
                self._position = reading.replay(self._store, self._id, fold.apply, before, artifacts)
                if self._position == before:  # Nothing new, or nothing at all any more.
                    reading.require(self._store, self._id, before)
            except BaseException:  # Only to read anew: a part of a commit may be in the state. It goes on.
                self._forget()
                raise
        return self._fold

    @property
    def _live(self) -> Live | None:
        """What this process's driver knows of it, if it drives or drove it for this handle."""
        return (self._control.live(self._id) or self._driven) if self._control.is_here else None

    @property
    def status(self) -> SessionStatus:
        """Where the session stands."""
        with self._lock:
            return self._read().status

    @property
    def paused_reason(self) -> str | None:
        """Why it is paused; None unless it is."""
        return self.state.paused_reason

    @property
    def is_orphaned(self) -> bool:
        """Whether it is neither paused nor ended and nobody drives it (any more), as far as can be told here.

        A runner on another machine that is gone is found out by `Runner.resume` and `Runner.recover`, which
        wait for a sign of life.
        """
        with self._lock:
            before = None
            while True:
                fold = self._read()
                held = None if fold.claim is None else fold.claim.process
                if fold.status.is_resting or not is_orphaned(held):
                    return False
                if self._position == before:
                    return True
                # Who is dead now may have ended the session after it was read: once more.
                before = self._position

    @property
    def is_driven_here(self) -> bool:
        """Whether this handle's runner drives it now."""
        return self._control.live(self._id) is not None

    @property
    def asked(self) -> str | None:
        """``pause`` or ``cancel``, where that was asked for and what runs has yet to end; None else."""
        with self._lock:
            fold = self._read()
        if fold.status.is_resting:
            return None
        return "cancel" if fold.cancel is not None else None if fold.pause is None else "pause"

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The values of all declared parameters."""
        return self.state.parameters

    @property
    def tags(self) -> Mapping[str, str]:
        """What it was started with."""
        return self.state.tags

    @property
    def created_at(self) -> datetime | None:
        """When it was created, in UTC."""
        return self.state.created_at

    @property
    def started_at(self) -> datetime | None:
        """When its first runner began to drive it, in UTC."""
        return self.state.started_at

    @property
    def finished_at(self) -> datetime | None:
        """When it ended, in UTC."""
        return self.state.finished_at

    @property
    def jobs(self) -> Mapping[str, JobState]:
        """Where each job stands, in the definition's order."""
        return self.state.jobs

    @property
    def outputs(self) -> dict[str, Any]:
        """The declared outputs, else every job's output by its id.

        A declared output is None until the session has succeeded, a job's until the job has. Outputs of jobs
        that are artifacts are read when they are asked for, each by itself.

        Raises:
            NotFound: the artifact that holds the declared outputs is gone; of a job's it is raised when that
                output is asked for.
            StoreError: likewise, where it is damaged or can't be read.
        """
        state = self.state
        if not self._pipeline.outputs:
            return Outputs({job: job_state.encoded_output for job, job_state in state.jobs.items()})
        if state.outputs is None:
            return dict.fromkeys(self._pipeline.outputs)
        return dict(state.outputs.value)

    @property
    def alerts(self) -> tuple[Delivery, ...]:
        """What became of its alerts, at each channel; empty where none was due.

        They are known until 30 days after all were told or given up.

        Such as::

            print([(told.alert.on, told.channel, told.state) for told in session.alerts])  # []

        Raises:
            StoreError: the store can't be read.
        """
        from bunsui.runner.alerting.watched import of_session  # noqa: PLC0415 - few have alerts

        found = of_session(self._store, self._id)
        return () if found is None else found.deliveries

    def raise_for_status(self) -> None:
        """Returns where the session has succeeded, or has yet to end.

        Such as::

            failed = runner.run(pipeline, {"source_bucket": "missing"})
            try:
                failed.raise_for_status()
            except bunsui.SessionFailed as error:
                print(list(error.errors))  # ['extract_data']

        Raises:
            SessionFailed: it ended without success; the error names the failed jobs and theirs.
        """
        state = self.state
        if not state.status.is_terminal or state.status is SessionStatus.SUCCEEDED:
            return
        errors = {
            job: job_state.error.to_error()
            for job, job_state in state.jobs.items()
            if job_state.error is not None and job_state.status == "failed"
        }
        reason = None if state.error is None else state.error.to_error()
        raise SessionFailed(self._id, str(state.status), errors, reason)

    @property
    def log_folder(self) -> Path:
        """The folder of the log files, ``JOB.jsonl``, a line of JSON for each record; see `logs`.

        There is none before one is written. Where logs are kept in CloudWatch Logs, they are not in it.
        """
        return self._control.logs.session_folder(self._id)

    def logs(
        self,
        job: str | Iterable[str] | None = None,
        level: str | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        grep: str | None = None,
        follow: bool = False,
        fields: Mapping[str, str] | None = None,
        last: int | None = None,
    ) -> Iterator[LogRecord]:
        """What its jobs have written and logged, by time, for each job in the order in which it was written.

        What is at a service, such as the log of an ECS task, is read there, as far as it has come; see
        `JobType.log_page`. What could not be read is a record of the logger ``bunsui.logs``.

        Such as::

            found = session.logs(level="INFO", grep="read.*flights")
            print([(record.job, record.message) for record in found])  # [('extract_data', 'reading flights')]

        Args:
            job: only of the job, or jobs, with this id.
            level: only this level and those above it, such as ``WARNING``; see `LogRecord.level`.
            since: only from this time on: an aware time, or a text, RFC 3339 or how long ago, as ``10m``.
            until: only before this time, likewise.
            grep: only where this regular expression (of RE2) is found in the message or the traceback.
            follow: whether further records are waited for, until the session rests and all has been read;
                of one that nobody drives any more (`is_orphaned`), until somebody has taken it over. What is
                at a service is waited for until 30 seconds after the end of its attempt.
            fields: only where these have these values: what was given as ``extra``, or what the record itself
                has under that name, such as ``stream``. A text is compared as it is, all else as JSON.
            last: only the last so many records; with `follow`, those and what follows.

        Raises:
            ConfigError: a level, time or expression is wrong.
            NotFound: the session has no such job. When all else has been read: a log is gone.
            StoreError: the store can't be read.
            AwsError: the logs are in CloudWatch Logs, and can't be read there.
        """
        from bunsui.runner.sessions import session_logs  # noqa: PLC0415 - where logs are read

        given = (job, level, since, until, grep, follow, fields, last)
        return session_logs.read(self, self._control.parts.clock.now(), *given)

    def events(self, follow: bool = False) -> Iterator[Event]:
        """Its facts so far, oldest first; with `follow`, further ones as they come, until it rests.

        Where its runner has died, none comes until somebody takes the session over: `is_orphaned` tells so,
        and `Runner.resume` or `Runner.recover` goes on with it.

        Such as::

            print([type(event).__name__ for event in session.events()][:1])  # ['SessionCreated']

        Raises:
            NotFound: the session was pruned.
            StoreError: the store can't be read.
        """
        position = 0
        while True:
            resting = self.status.is_resting
            for last, events in reading.history(self._store, self._id, position, self._control.artifacts):
                yield from events
                position = last
            if not follow or resting:
                return
            time.sleep(POLL)

    def stream(self) -> AsyncGenerator[Event, None]:
        """Its facts, oldest first, and further ones as they come, until it rests; for ``async for``.

        Of a session that nobody drives any more none comes until somebody takes it over, as with `events`.
        The store is read in threads of the event loop's default executor.

        Such as::

            import asyncio

            async def names(session):
                return [type(event).__name__ async for event in session.stream()]

            print(asyncio.run(names(session))[-1])  # SessionSucceeded
        """
        return awaiting.stream(self._live, self._news)

    def _news(self, position: int) -> awaiting.News:
        """Some of its facts behind a position; it reads the store."""
        resting = self.status.is_resting
        read = list(
            islice(reading.history(self._store, self._id, position, self._control.artifacts), MOST_COMMITS)
        )
        events = [event for _, committed in read for event in committed]
        last = read[-1][0] if read else position
        return awaiting.News(events, last, len(read) == MOST_COMMITS, resting)

    if not TYPE_CHECKING:
        # Not for type checkers: to them a class with __getattr__ has every name.
        def __getattr__(self, name: str) -> Any:
            raise missing(self, name)

    def __repr__(self) -> str:
        # What is known without reading the store, and stays true: a notebook's cell that ends with a session
        # must not hide a failure.
        live, status = self._driven, self._fold.status
        if live is not None and live.done.is_set() and live.error is None and not live.lost:
            status = live.machine.state.status
        elif status is SessionStatus.PAUSED:  # Perhaps not any more.
            status = SessionStatus.RUNNING
        known = f": {status}" if status.is_resting else ""
        return f"<Session {self._id} of {self.pipeline!r}{known}>"
