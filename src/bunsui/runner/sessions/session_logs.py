"""The logs of a session, as its handle gives them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from bunsui.dsl.problems import did_you_mean, quoted
from bunsui.errors import ConfigError, NotFound
from bunsui.logging.filters import make_filter
from bunsui.logging.reading import Reading
from bunsui.model.status import JobStatus
from bunsui.model.times import from_text
from bunsui.runner.waiting import POLL, pauses

if TYPE_CHECKING:
    from datetime import datetime

    from bunsui.logging.filters import Filter
    from bunsui.logging.sources import SessionSource
    from bunsui.model.log import LogRecord
    from bunsui.model.pipeline import Job, Pipeline
    from bunsui.model.session import JobState
    from bunsui.runner.sessions.remote_logs import RemoteLogs
    from bunsui.runner.view import View

#: Begin the codes that only a process which has ended can fail with.
_OF_A_PROCESS = ("ExitCode.", "Signal.")


def read(
    session: View,
    now: datetime,
    job: str | Iterable[str] | None,
    level: str | None,
    since: datetime | str | None,
    until: datetime | str | None,
    grep: str | None,
    follow: bool,
    fields: Mapping[str, str] | None,
    last: int | None,
    idle: Callable[[], object] = lambda: None,
) -> Iterator[LogRecord]:
    """The records of a session; see `Session.logs` for all the rest.

    Where the session is followed and a look has found nothing new, `idle` is called before the next one.
    """
    if last is not None and (not isinstance(last, int) or isinstance(last, bool) or last < 0):
        raise ConfigError(f"last is {quoted(last)}; it is a number of records, such as 10")
    chosen = make_filter(level, since, until, grep, fields, now)
    wanted = None if job is None else _jobs(session.definition, job)
    begin = from_text(chosen.since) if chosen.since else None
    logs = session._control.logs  # noqa: SLF001 - this is a part of it
    source = logs.source(session.id, lambda: session.finished_at, begin, is_followed=follow)
    remote = _remote(session, wanted, chosen, source, follow=follow)
    reading = Reading(session.id, source, wanted, chosen, lambda: _ran_as_processes(session), remote)
    return _records(session, reading, remote, source, last, idle, follow=follow)


def costs_calls(session: View) -> bool:
    """Whether each question about the session's own logs is calls of AWS, which may take their time."""
    return session._control.logs.cloud is not None  # noqa: SLF001 - this is a part of it


def is_kept_here(session: View) -> bool:
    """Whether the session's own logs stand in its folder, and outlive its runner."""
    return session._control.logs.is_kept_here  # noqa: SLF001 - this is a part of it


def _remote(
    session: View, wanted: frozenset[str] | None, chosen: Filter, source: SessionSource, *, follow: bool
) -> RemoteLogs | None:
    """The logs that its jobs may have at services; None: they have none."""
    jobs = [job for job in session.definition.jobs if wanted is None or job.id in wanted]
    # The type that runs everywhere on this machine: then no plugin is asked, and nothing imported for it.
    if not (jobs := [job for job in jobs if job.type != "custom"]):
        return None
    from bunsui.runner.sessions.remote_logs import RemoteLogs  # noqa: PLC0415 - see above

    control = session._control  # noqa: SLF001 - this is a part of it
    return RemoteLogs(control, session.id, jobs, chosen, source, follow=follow)


def _records(
    session: View,
    reading: Reading,
    remote: RemoteLogs | None,
    source: SessionSource,
    last: int | None,
    idle: Callable[[], object],
    *,
    follow: bool,
) -> Iterator[LogRecord]:
    try:
        yield from _read(session, reading, last, idle, follow=follow)
    finally:
        source.close()
        if remote is not None:
            remote.close()


def _read(
    session: View, reading: Reading, last: int | None, idle: Callable[[], object], *, follow: bool
) -> Iterator[LogRecord]:
    yield from reading.records(last, ends=not follow)
    if follow:
        looks = pauses(POLL)

        def wait(any_new: bool) -> None:
            nonlocal looks
            if any_new:
                looks = pauses(POLL)
            else:
                idle()
            time.sleep(next(looks))

        yield from reading.follow(lambda: session.status.is_resting, wait)
    reading.check()


def _jobs(pipeline: Pipeline, job: str | Iterable[str]) -> frozenset[str]:
    ids = [each.id for each in pipeline.jobs]
    wanted = frozenset([job] if isinstance(job, str) else job)
    for name in sorted(map(str, wanted)):
        if name not in ids:
            raise NotFound(
                f"the session has no job {quoted(name)}",
                kind="job",
                name=name,
                hint=did_you_mean(name, ids) or f"there are: {', '.join(ids[:20])}",
            )
    return wanted


def _ran_as_processes(session: View) -> list[str]:
    """The jobs of which it is certain that they have left a folder of logs: commands that have ended.

    An attempt may end before there is a process: without a secret, or with an output of the cache.
    """
    states = session.jobs
    return [job.id for job in session.definition.jobs if _is_command(job) and _had_process(states[job.id])]


def _had_process(state: JobState) -> bool:
    if state.status is JobStatus.SUCCEEDED and state.attempts and state.cached_from is None:
        return True
    return any(a.error is not None and a.error.code.startswith(_OF_A_PROCESS) for a in state.attempts)


def _is_command(job: Job) -> bool:
    return job.type == "custom" and "command" in job.options
