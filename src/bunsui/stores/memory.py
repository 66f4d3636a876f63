"""A store in this process's memory, for tests and throw-away runs."""

from __future__ import annotations

import copy
import json
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import frozen

from bunsui.errors import Conflict
from bunsui.ports.store import Append, Appended, Commit, Document, Put, Store
from bunsui.stores import cursors, prefixes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


@frozen
class _Stored:
    value: Mapping[str, Any]
    version: int
    expires_at: float | None
    groups: tuple[tuple[str, str], ...]


class MemoryStore(Store):
    """Histories and documents that live as long as the last reference to this object.

    Args:
        now: the time by which documents expire, in seconds since the Unix epoch.
    """

    #: See `Store.max_commit_bytes`: 16 MiB.
    max_commit_bytes: ClassVar[int] = 16 * 1024 * 1024

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._histories: dict[str, list[Commit]] = {}
        self._documents: dict[str, dict[str, _Stored]] = {}
        self._writes = 0
        self._own_writes: Counter[int] = Counter()

    def append(self, appends: Sequence[Append]) -> list[Appended]:
        """See `Store.append`."""
        # First of all, so that nothing is written where one of them is no JSON.
        values = [None if entry.document is None else _own(entry.document.value) for entry in appends]
        with self._lock:
            return [self._append(entry, value) for entry, value in zip(appends, values, strict=True)]

    def _append(self, entry: Append, value: Mapping[str, Any] | None) -> Appended:
        history = self._histories.get(entry.history, [])
        commit = entry.commit
        if 1 <= commit.position <= len(history):
            return Appended(conflict=history[commit.position - 1].id != commit.id)
        if commit.position != len(history) + 1:
            return Appended(conflict=True)
        self._histories.setdefault(entry.history, history).append(commit)
        if (put := entry.document) is not None and value is not None:
            self._put(put.kind, put.key, value, None, put.groups)
        self._wrote()
        return Appended()

    def _wrote(self) -> None:
        self._writes += 1
        self._own_writes[threading.get_ident()] += 1

    def read(self, history: str, after: int = 0) -> Iterator[Commit]:
        """See `Store.read`."""
        with self._lock:
            commits = self._histories.get(history, [])[after:]
        yield from commits

    def _live(self, kind: str, key: str) -> _Stored | None:
        stored = self._documents.get(kind, {}).get(key)
        if stored is not None and stored.expires_at is not None and stored.expires_at <= self._now():
            return None
        return stored

    def put(
        self,
        kind: str,
        key: str,
        value: Mapping[str, Any],
        if_version: int | None = None,
        expires_at: float | None = None,
        groups: Sequence[tuple[str, str]] = (),
    ) -> int:
        """See `Store.put`."""
        put = Put(kind, key, _own(value), groups)
        with self._lock:
            stored = self._live(kind, key)
            version = 0 if stored is None else stored.version
            if if_version is not None and if_version != version:
                raise Conflict(f"{kind} '{key}' has version {version}, not {if_version}")
            self._wrote()
            return self._put(kind, key, put.value, expires_at, put.groups)

    def _put(
        self,
        kind: str,
        key: str,
        value: Mapping[str, Any],
        expires_at: float | None,
        groups: Sequence[tuple[str, str]],
    ) -> int:
        stored = self._live(kind, key)
        version = 1 if stored is None else stored.version + 1
        self._documents.setdefault(kind, {})[key] = _Stored(value, version, expires_at, tuple(groups))
        return version

    def get(self, kind: str, key: str) -> Document | None:
        """See `Store.get`."""
        with self._lock:
            stored = self._live(kind, key)
        return None if stored is None else _document(key, stored, "")

    def delete(self, kind: str, key: str) -> None:
        """See `Store.delete`."""
        with self._lock:
            if self._documents.get(kind, {}).pop(key, None) is not None:
                self._wrote()

    def find(
        self,
        kind: str,
        group: str | None = None,
        reverse: bool = False,
        after: str | None = None,
        limit: int = 100,
    ) -> list[Document]:
        """See `Store.find`."""
        found: list[tuple[tuple[str, str], _Stored]] = []
        with self._lock:
            for key in self._documents.get(kind, {}):
                stored = self._live(kind, key)
                if stored is None:
                    continue
                sorts = [""] if group is None else [s for g, s in stored.groups if g == group]
                found.extend(((sort, key), stored) for sort in sorts)
        found.sort(key=lambda pair: pair[0], reverse=reverse)
        if after is not None:
            last = cursors.parse(after)
            found = [pair for pair in found if (pair[0] < last if reverse else pair[0] > last)]
        return [_document(place[1], stored, cursors.make(*place)) for place, stored in found[:limit]]

    def find_prefix(self, kind: str, prefix: str, limit: int = 100) -> list[Document]:
        """See `Store.find_prefix`."""
        return prefixes.find(self, kind, prefix, limit)

    def remove(self, history: str, document: tuple[str, str] | None = None) -> None:
        """See `Store.remove`."""
        with self._lock:
            self._histories.pop(history, None)
            if document is not None:
                self._documents.get(document[0], {}).pop(document[1], None)
            self._wrote()

    def changed(self, token: object) -> object:
        """See `Store.changed`."""
        del token
        with self._lock:
            return self._writes - self._own_writes[threading.get_ident()]

    def close(self) -> None:
        """See `Store.close`: nothing is held open."""


def _own(value: Mapping[str, Any]) -> Mapping[str, Any]:
    # Through JSON, so that nobody shares an object with the store and every store takes the same.
    own: Mapping[str, Any] = json.loads(json.dumps(value, allow_nan=False))
    return own


def _document(key: str, stored: _Stored, cursor: str) -> Document:
    return Document(key, copy.deepcopy(stored.value), stored.version, cursor)
