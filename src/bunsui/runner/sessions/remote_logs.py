"""The logs that the jobs of a session have at services, read when somebody reads the session's logs.

Each attempt's log there is a source. One that is followed may grow while its attempt runs, and for a grace
time after that::

    attempt      started ------------- finished
    its log      .....|..|||.|......|...|..|       lines come late
    looked at       ^       ^       ^       ^  ...  ^
                                                    the first look at GRACE or more behind the end is the last
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from threading import Event
from typing import TYPE_CHECKING

from attrs import evolve

from bunsui.aws.connections import Connections
from bunsui.errors import AwsError, BunsuiError
from bunsui.logging.reading import Elsewhere
from bunsui.logging.records import OWN, from_line
from bunsui.model.log import LogRecord
from bunsui.model.text import text_of
from bunsui.model.times import from_text
from bunsui.ports.job_type import JobType
from bunsui.ports.remote_log import TAIL, LogPage, RemoteLog
from bunsui.runner.sessions import reading
from bunsui.runner.sessions.given import Givens
from bunsui.runner.sessions.remote_source import Source, checked

if TYPE_CHECKING:
    from bunsui.logging.filters import Filter
    from bunsui.logging.sources import SessionSource
    from bunsui.model.pipeline import Job
    from bunsui.model.session import Attempt
    from bunsui.runner.control import Control
    from bunsui.runner.driving.live import Live

#: How long after the end of an attempt lines may still come.
GRACE = timedelta(seconds=30)
#: Seconds between two looks at a log that is followed; and how many logs are looked at in a second, so that
#: those of many attempts are looked at more seldom. AWS takes 25 calls a second ("CloudWatch Logs quotas").
LOOK, LOOKS_A_SECOND = 2.0, 10.0
#: Seconds for which a reading tries again what does not work for the moment, over all logs; tries of a call.
PATIENCE, TRIES = 10.0, 6
#: How far the clocks of a service and of this machine may be apart.
SKEW = timedelta(minutes=5)
#: Lines that are held in memory, over all logs, as long as each has some; and most and fewest of one page.
LINES, MOST, FEWEST = 20_000, 10_000, 100
#: Bytes of the blocks in which a job's own log is looked through.
_BLOCK = 256 * 1024
_MARK = f'"{TAIL}":true'.encode()

#: An attempt: its job, its item and its number.
Key = tuple[str, int | None, int | None]


class RemoteLogs(Elsewhere):
    """The logs of a session at services, for one reading of it.

    Nothing is asked of a service before its lines are wanted. `close` is for who has read.

    Args:
        control: of the handle that reads; its runner may be closed.
        session: the session's id.
        jobs: those that may have such logs.
        chosen: which records are wanted.
        source: the jobs' own logs.
        follow: whether they are waited for: then there is a next look at what can't be read now.
    """

    def __init__(
        self,
        control: Control,
        session: str,
        jobs: list[Job],
        chosen: Filter,
        source: SessionSource,
        *,
        follow: bool,
    ) -> None:
        self._control = control
        self._session = session
        self._chosen = chosen
        self._follow = follow
        parts = control.parts
        self._clock = parts.clock
        # Its own: those of a runner are closed with it, and a session stays readable.
        self._aws = Connections(parts.aws.settings, random=parts.surroundings.random, wait=parts.aws.wait)
        self._givens = Givens(parts.secrets.get)
        self._kinds: dict[str, JobType] = {}
        self._notices: list[LogRecord] = []
        #: What was said already: the job, and what kind of failure it was.
        self._said: set[tuple[str, str]] = set()
        self._find_kinds(jobs)
        #: The jobs' own logs, looked through for tails.
        self._own = {job: source.source(job) for job in self._kinds}
        self._tailed: set[str] = set()
        self._live: Live | None = None
        self._sources: dict[Key, Source | None] = {}
        self._open: list[Source] = []
        self._refresh_at = self._clock.monotonic()
        self._has_all = False
        self._last: int | None = None
        self._limit = MOST
        self._left = PATIENCE
        #: What can't be reached now, with why: it is not asked for each of its logs.
        self._down: dict[tuple[str, str, str], Exception] = {}

    def _find_kinds(self, jobs: list[Job]) -> None:
        types = self._control.parts.job_types.with_connections(self._aws)
        for job in jobs:
            try:
                kind = types.get(job.type)
            except BunsuiError as error:  # A plugin that can't be used.
                self._say(job.id, None, None, "plugin", str(error))
                continue
            if kind is not None and type(kind).log_page is not JobType.log_page:
                self._kinds[job.id] = kind

    def close(self) -> None:
        """Closes its connections."""
        self._aws.close()

    # What there is

    @property
    def may_grow(self) -> bool:
        """See `Elsewhere.may_grow`."""
        return bool(self._kinds) and not (self._has_all and all(each.is_settled for each in self._open))

    def look(self, last: int | None, *, ends: bool) -> list[Iterator[tuple[datetime, LogRecord | None]]]:
        """See `Elsewhere.look`."""
        if not self._kinds:
            return []
        tails, now = self._new_tails(), self._clock.monotonic()
        if tails or now >= self._refresh_at or (ends and not self._has_all):
            self._refresh(tails, ends=ends)
            self._refresh_at = now + LOOK
            self._has_all = ends
        self._open = [each for each in self._open if not each.is_settled]
        due = [each for each in self._open if each.due_at <= now]
        self._last = last
        self._limit = min(max(LINES // max(len(due), 1), FEWEST), MOST)
        self._down.clear()
        return [each.records(self._ask) for each in due]

    def replaces(self, job: str) -> bool:
        """See `Elsewhere.replaces`."""
        return job in self._tailed

    def takes(self, record: LogRecord) -> bool:
        """See `Elsewhere.takes`: what is only the end of a log is left out where the whole was read."""
        if record.fields.get(TAIL) is not True:
            return True
        source = self._sources.get((record.job, record.item, record.attempt))
        if source is None or source.has_come:
            return source is None
        if self._follow and not source.is_settled:
            source.held.append(record)
            return False
        return True

    def rest(self) -> Iterator[LogRecord]:
        """See `Elsewhere.rest`: ends whose whole did not come, and what could not be read."""
        for source in self._open:
            if source.held and (source.has_come or source.is_settled):
                held, source.held = source.held, []
                yield from () if source.has_come else held
        notices, self._notices = self._notices, []
        yield from notices

    def _new_tails(self) -> list[LogRecord]:
        """The first record of each end of a log that has come into the jobs' own since the last look."""
        found: dict[Key, LogRecord] = {}
        for job, files in self._own.items():
            files.look(0)
            while block := files.block(_BLOCK):
                at = -1
                while (at := block.find(_MARK, at + 1)) >= 0:
                    start, end = block.rfind(b"\n", 0, at) + 1, block.find(b"\n", at)
                    record = from_line(block[start:end], job)
                    if not record.damaged and record.fields.get(TAIL) is True:
                        found.setdefault((record.job, record.item, record.attempt), record)
                    at = end
        self._tailed.update(record.job for record in found.values())
        return list(found.values())

    def _refresh(self, tails: list[LogRecord], *, ends: bool) -> None:
        """Reads what attempts there are, and when they ended."""
        control = self._control
        if self._live is None:
            self._live = control.load(self._session)
        else:
            live = self._live
            live.position = reading.replay(
                control.store, live.id, live.machine.handle, live.position, control.artifacts
            )
        by_attempt = {(each.job, each.item, each.attempt): each for each in tails}
        for job in self._kinds:
            for item, attempt in self._attempts(job):
                key = (job, item, attempt.number)
                source, tail = self._sources.get(key), by_attempt.get(key)
                if source is None and (key not in self._sources or tail is not None):
                    self._sources[key] = source = self._source(job, item, attempt, tail)
                    self._open += [] if source is None else [source]
                if source is not None and source.about.finished_at is None:
                    # What nobody can tell the end of has its last lines when the session rests.
                    at = attempt.finished_at or (self._clock.now() if ends and self._follow else None)
                    source.about = evolve(source.about, finished_at=at)

    def _attempts(self, job: str) -> Iterator[tuple[int | None, Attempt]]:
        assert self._live is not None  # noqa: S101 - it is read before
        state = self._live.machine.state
        found = state.jobs[job]
        for attempt in found.attempts:
            yield None, attempt
        for item, each in enumerate(state.items.get(job) or found.items or ()):  # While it runs, or after.
            for attempt in each.attempts:
                yield item, attempt

    def _source(self, job: str, item: int | None, attempt: Attempt, tail: LogRecord | None) -> Source | None:
        """The log of an attempt; None where there is none, or nothing in it that is wanted."""
        handle = None if attempt.handle is None else attempt.handle.value
        if attempt.cached_from is not None or (handle is None and tail is None):
            return None
        since = from_text(self._chosen.since) if self._chosen.since else None
        if since is not None and attempt.finished_at is not None and attempt.finished_at + SKEW < since:
            return None
        if self._chosen.until and attempt.started_at - SKEW > from_text(self._chosen.until):
            return None
        assert self._live is not None  # noqa: S101 - it is read before
        kind = self._kinds[job]
        given = self._givens.of(self._live, job, item, kind)
        if given is None:
            return None
        about = RemoteLog(
            session_id=self._session,
            job_id=job,
            attempt=attempt.number,
            item_index=item,
            handle=handle,
            options=given.options,
            tail=None if tail is None else dict(tail.fields),
            started_at=attempt.started_at,
            finished_at=attempt.finished_at,
            since=since if tail is None else None,  # It is whole, or none.
        )
        return Source(kind, about, tail, given.redact, self._chosen)

    # Asking

    def _ask(self, source: Source) -> LogPage | None:
        """The next page of a log; None where there is none now."""
        down = self._down.get(_where(source))
        if down is not None:
            self._failed(source, down, self._clock.now(), has_asked=False)
            return None
        for tries in count(1):
            at, began = self._clock.now(), self._clock.monotonic()
            try:
                about = evolve(source.about, limit=self._limit, last=self._last)
                page = checked(source.kind.log_page(about, source.token), source.kind.name)
            except KeyboardInterrupt:  # Of who reads.
                raise
            except BaseException as error:  # Foreign code: it may raise SystemExit, too.
                failed = error
            else:
                self._came(source, page, at)
                return page
            self._left -= self._clock.monotonic() - began
            if not (_is_passing(failed) and self._waits(failed, tries)):
                break
        self._failed(source, failed, at, has_asked=True)
        return None

    def _waits(self, failed: BaseException, tries: int) -> bool:
        """Waits until a call may be made again; whether it may."""
        if self._follow or self._left <= 0 or tries >= TRIES:
            return False
        budget = self._aws.budget(failed.service if isinstance(failed, AwsError) else "")
        seconds = min(budget.wait(tries), self._left)
        self._left -= seconds
        self._aws.wait(Event(), seconds)
        return True

    def _came(self, source: Source, page: LogPage, at: datetime) -> None:
        source.failing_since = None
        if page.is_end:
            is_whole = source.tail is not None and (source.has_come or bool(page.lines))
            source.is_settled = is_whole or self._is_over(source, at)
            self._look_later(source)

    def _failed(self, source: Source, error: BaseException, at: datetime, *, has_asked: bool) -> None:
        now = self._clock.monotonic()
        if source.failing_since is None:
            source.failing_since = now
        passes = _is_passing(error) or (isinstance(error, AwsError) and error.kind == "credentials")
        if passes and has_asked and isinstance(error, Exception):
            self._down[_where(source)] = error
        source.is_settled = not self._follow or not passes or self._is_over(source, at)
        if source.is_settled or not _is_passing(error) or now - source.failing_since >= PATIENCE:
            about, code = source.about, getattr(error, "code", None)
            text = (
                str(error) if isinstance(error, BunsuiError) else f"{type(error).__name__}: {text_of(error)}"
            )
            what = f"the log of attempt {about.attempt} at its service could not be read"
            said = f"{what}: {source.redact(text)}"
            self._say(about.job_id, about.attempt, about.item_index, f"{type(error).__name__} {code}", said)
        self._look_later(source)

    def _is_over(self, source: Source, at: datetime) -> bool:
        """Whether a look at a time is the last one."""
        ended = source.about.finished_at
        return not self._follow or (ended is not None and at >= ended + GRACE)

    def _look_later(self, source: Source) -> None:
        source.due_at = self._clock.monotonic() + max(LOOK, len(self._open) / LOOKS_A_SECOND)

    def _say(self, job: str, attempt: int | None, item: int | None, kind: str, text: str) -> None:
        if (job, kind) not in self._said:
            self._said.add((job, kind))
            now = self._clock.now()
            self._notices.append(LogRecord(now, "WARNING", job, text, attempt=attempt, item=item, logger=OWN))


def _where(source: Source) -> tuple[str, str, str]:
    """What is likely to be reached or not as a whole."""
    options = source.about.options
    return source.kind.name, str(options.get("region")), str(options.get("role"))


def _is_passing(error: BaseException) -> bool:
    """Whether the same call may work a moment later."""
    return isinstance(error, OSError) or (isinstance(error, AwsError) and error.kind in ("busy", "open"))
