"""Removing sessions that ended long ago, with all that they have left."""

from __future__ import annotations

import contextlib
import re
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

from attrs import frozen

from bunsui.dsl.fields import DURATION_PATTERN
from bunsui.dsl.schema import seconds
from bunsui.errors import AwsError, ConfigError, Conflict, StoreError
from bunsui.local.identity import is_dead, this_process
from bunsui.ports.store import Store
from bunsui.runner.alerting.watched import KIND as ALERTS
from bunsui.runner.driving import requests
from bunsui.runner.sessions import index

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from bunsui.model.status import SessionStatus
    from bunsui.ports.store import Document
    from bunsui.runner.control import Control

#: The kind and the key of the document of the one who prunes.
LOCK = ("prune", "prune")
#: Seconds after which a lock is forgotten that nobody renews, and between two renewals.
LOCK_KEPT, LOCK_RENEWED = 600.0, 60.0
#: Sessions that are read of the index at once.
PAGE = 500
# A name from a store becomes one of a folder only where it is an id.
_ID = re.compile(r"[a-z2-7]{16}\Z")


@frozen
class PrunedSession:
    """A session that was removed, or would be."""

    session_id: str
    pipeline: str
    status: SessionStatus
    #: When it ended, in UTC.
    finished_at: datetime
    #: Bytes of its logs; 0 where they are in CloudWatch Logs, which does not tell.
    log_bytes: int
    #: Bytes of its artifacts.
    artifact_bytes: int


@frozen
class KeptSession:
    """A session that ended long enough ago, and could not be removed."""

    session_id: str
    pipeline: str
    #: Why; the next prune tries again.
    reason: str


@frozen
class Pruned:
    """What `Runner.prune` removed, or would remove; oldest session first."""

    sessions: tuple[PrunedSession, ...]
    #: What could not be removed.
    kept: tuple[KeptSession, ...]
    #: Whether nothing was changed.
    dry_run: bool

    @property
    def log_bytes(self) -> int:
        """Bytes of logs that were freed, or would be."""
        return sum(session.log_bytes for session in self.sessions)

    @property
    def artifact_bytes(self) -> int:
        """Bytes of artifacts that were freed, or would be."""
        return sum(session.artifact_bytes for session in self.sessions)


def age(given: timedelta | float | str) -> timedelta:
    """The ``older_than`` of `Runner.prune`.

    Raises:
        ConfigError: it is none, or not more than 0.
    """
    found: float | None = None
    if isinstance(given, timedelta):
        found = given.total_seconds()
    elif isinstance(given, str):
        if re.match(DURATION_PATTERN, given):
            found = seconds(given)
    elif isinstance(given, int | float) and not isinstance(given, bool):
        found = float(given)
    with contextlib.suppress(OverflowError, ValueError):  # Infinity, and NaN.
        if found is not None and found > 0:
            return timedelta(seconds=found)
    raise ConfigError(
        f"older_than is {given!r:.100}; it must be more than 0",
        hint="a timedelta, seconds, or a text such as '30d' (ms, s, m, h, d)",
    )


def prune(control: Control, older_than: timedelta, *, dry_run: bool) -> Pruned:
    """Removes sessions that ended longer ago than `older_than`; see `Runner.prune`."""
    store = control.store
    if type(store).remove is Store.remove:
        raise StoreError(f"{type(store).__name__} can't remove sessions", lasting=True)
    try:
        before = control.parts.clock.now() - older_than
    except OverflowError:  # Before there were times: nothing is that old.
        return Pruned((), (), dry_run)
    if dry_run:
        return _result([_weighed(control, summary) for summary in _ended(store, before)], dry_run)
    found: list[PrunedSession | KeptSession] = []
    with _locked(control) as lock:
        asked = requests.by_session(store)
        for summary in _ended(store, before):
            lock.renew()
            weighed = _weighed(control, summary)
            if isinstance(weighed, PrunedSession):
                weighed = _removed(control, weighed, asked.get(weighed.session_id, ()))
            found.append(weighed)
    return _result(found, dry_run)


def _result(found: list[PrunedSession | KeptSession], dry_run: bool) -> Pruned:
    return Pruned(
        tuple(one for one in found if isinstance(one, PrunedSession)),
        tuple(one for one in found if isinstance(one, KeptSession)),
        dry_run,
    )


def _ended(store: Store, before: datetime) -> Iterator[index.SessionSummary]:
    """The sessions that ended before a time, oldest first. What was created after it is not looked at."""
    after: str | None = None
    while page := store.find(index.KIND, index.ALL, after=after, limit=PAGE):
        for summary in map(index.summary, page):
            if summary.created_at >= before:
                return
            ended = summary.finished_at if summary.status.is_terminal else None
            if ended is not None and ended < before:
                yield summary
        after = page[-1].cursor


def _weighed(control: Control, summary: index.SessionSummary) -> PrunedSession | KeptSession:
    """What a session takes beside the store."""
    session, ended = summary.session_id, summary.finished_at
    if ended is None or not _ID.match(session):
        return KeptSession(session, summary.pipeline, "its id is none that bunsui gives")
    try:
        logs = control.logs.size(session)
        artifacts = 0 if control.artifacts is None else control.artifacts.size(session)
    except (OSError, AwsError) as error:
        return KeptSession(session, summary.pipeline, _reason(error))
    return PrunedSession(session, summary.pipeline, summary.status, ended, logs, artifacts)


def _reason(error: OSError | AwsError) -> str:
    return str(error) if isinstance(error, AwsError) else f"{error.filename}: {error.strerror}"


def _removed(control: Control, session: PrunedSession, asked: Sequence[str]) -> PrunedSession | KeptSession:
    """Removes a session: what lies beside the store first, then the history with its entry in the index.

    Whatever is cut off in between leaves a session that is listed and can be read, and that the next prune
    finds. As long as there is the history, nobody can start another session under the same idempotency key.
    """
    session_id = session.session_id
    try:
        control.logs.remove(session_id)
        if control.artifacts is not None:
            control.artifacts.remove(session_id)
    except (OSError, AwsError) as error:
        return KeptSession(session_id, session.pipeline, _reason(error))
    requests.answered(control.store, asked)
    control.store.delete(ALERTS, session_id)
    control.store.remove(session_id, (index.KIND, session_id))
    return session


@contextlib.contextmanager
def _locked(control: Control) -> Iterator[_Lock]:
    lock = _Lock(control)
    try:
        yield lock
    finally:
        lock.release()


class _Lock:
    """Makes sure that one at a time prunes a store, and that the store can be written at all.

    Of two at once, the slower one could remove what a new session under an old idempotency key has written.

    Raises:
        Conflict: somebody else prunes the store.
    """

    def __init__(self, control: Control) -> None:
        self._store, self._clock = control.store, control.parts.clock
        #: Says whose lock it is: versions begin anew once one has expired, so they may be equal.
        self._token = uuid.uuid4().hex
        found = self._store.get(*LOCK)
        if found is not None and not is_dead(found.value):
            raise self._taken()
        self._put(0 if found is None else found.version)

    def _put(self, version: int) -> None:
        expires_at = self._clock.now().timestamp() + LOCK_KEPT
        value = this_process() | {"token": self._token}
        try:
            self._store.put(*LOCK, value, if_version=version, expires_at=expires_at)
        except Conflict as error:
            raise self._taken() from error
        self._since = self._clock.monotonic()

    def _taken(self) -> Conflict:
        return Conflict("somebody else prunes this store", hint="try again when that has ended")

    def renew(self) -> None:
        """Keeps the lock from being forgotten.

        Raises:
            Conflict: it was, and somebody else has it now.
        """
        if self._clock.monotonic() - self._since > LOCK_RENEWED:
            found = self._store.get(*LOCK)
            if found is not None and not self._holds(found):
                raise self._taken()
            self._put(0 if found is None else found.version)

    def release(self) -> None:
        """Gives it back, unless it is somebody else's by now."""
        found = self._store.get(*LOCK)
        if found is not None and self._holds(found):
            self._store.delete(*LOCK)

    def _holds(self, found: Document) -> bool:
        return found.value.get("token") == self._token
