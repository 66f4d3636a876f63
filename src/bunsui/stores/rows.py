"""Rows of the SQLite store as commits and documents, or StoreError where they are not what was written."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bunsui.ports.store import Commit, Document
from bunsui.stores import checksums, cursors
from bunsui.stores.sqlite_errors import damaged

#: How many commits are fetched at once.
CHUNK = 256
#: The columns that `document` takes.
DOCUMENT = "kind, key, version, value, expires_at, group1, sort1, group2, sort2, crc"
#: Where `expires_at` stands among them.
EXPIRES_AT = 4

# Of the row behind the last one only the place is looked at: its body may be large.
_READ = """
SELECT history, position, id, CASE WHEN history = ? THEN body END, crc FROM commits
WHERE (history, position) > (?, ?) ORDER BY history, position LIMIT ?
"""
_BEFORE = """
SELECT history, position, id, crc FROM commits
WHERE (history, position) <= (?, ?) ORDER BY history DESC, position DESC LIMIT 1
"""


def read_commits(
    connection: sqlite3.Connection, path: Path, history: str, after: int
) -> tuple[list[Commit], bool]:
    """Up to `CHUNK` commits of a history behind position `after`, and whether they are its last ones.

    The rows at both of their ends are looked at, too: a commit whose name was damaged stands there, and
    would else be missing.

    Raises:
        StoreError: a row is not what was written, or one is missing.
    """
    found = connection.execute(_READ, (history, history, after, CHUNK + 1)).fetchall()
    commits: list[Commit] = []
    for name, position, id_, body, crc in found:
        _check_place(path, name, position, id_, crc)
        if name != history or len(commits) == CHUNK:
            break
        if position != max(after, 0) + len(commits) + 1 or not isinstance(body, str):
            raise damaged(path, f"commit {max(after, 0) + len(commits) + 1} of {history} is missing")
        commits.append(Commit(position, id_, body))
    if not commits:
        row = connection.execute(_BEFORE, (history, after)).fetchone()
        if row is not None:
            _check_place(path, *row)
    return commits, len(found) <= CHUNK or found[len(commits)][0] != history


def _check_place(path: Path, history: object, position: object, id_: object, crc: object) -> None:
    if (
        not isinstance(history, str)
        or not isinstance(position, int)
        or not isinstance(id_, str)
        or crc != checksums.of_commit(history, position, id_)
    ):
        raise damaged(path, f"the checksum of commit {position!r} of {history!r} is wrong")


def document(path: Path, row: Sequence[Any], sort: str | None = None) -> Document:
    """A document.

    Args:
        path: the store's file, for the error.
        row: the columns of `DOCUMENT`.
        sort: the sort key under which it was found, for its cursor; None: it was not looked for in order.

    Raises:
        StoreError: the row is not what was written.
    """
    kind, key, version, value, expires_at, *places, crc = row
    try:
        good = isinstance(version, int) and crc == checksums.of_document(kind, key, value, expires_at, places)
    except (TypeError, ValueError):  # A column of another type.
        good = False
    if not good:
        raise damaged(path, f"the checksum of {kind!r} {key!r} is wrong")
    return Document(
        key, _mapping(path, kind, key, value), version, "" if sort is None else cursors.make(sort, key)
    )


def _mapping(path: Path, kind: str, key: str, text: str) -> dict[str, Any]:
    """The value of a document. A checksum says that it is what somebody wrote, not that bunsui did."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"the value of {kind!r} {key!r} is not JSON") from error
    if not isinstance(value, dict):
        raise damaged(path, f"the value of {kind!r} {key!r} is no mapping")
    return value
