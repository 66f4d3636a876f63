"""Whether the store is there, whole, and can be written."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import stat
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bunsui.diagnosis.check import Check, failed, ok, problem, warning
from bunsui.diagnosis.content import integrity, rows_of
from bunsui.diagnosis.sizes import in_bytes
from bunsui.errors import BunsuiError, StoreError
from bunsui.stores.access import Access, access_to, may_write
from bunsui.stores.filesystems import damaging, network_mount
from bunsui.stores.sqlite_schema import SCHEMA_VERSION
from bunsui.stores.urls import shown, sqlite_path

if TYPE_CHECKING:
    from bunsui.aws.settings import AwsSettings
    from bunsui.plugins.registry import Plugins
    from bunsui.ports.store import Store

#: Bytes of free space below which there is a warning, and a problem.
LITTLE_SPACE, NO_SPACE = 500 * 1024 * 1024, 20 * 1024 * 1024
#: Bytes of a log that should have been written back: bunsui does so at a hundredth of it.
LARGE_LOG = 64 * 1024 * 1024
#: The kind of the document that is written and removed again.
KIND = "doctor"
_ELSEWHERE = "name another store with: bunsui config set --user store URL"


def open_store(
    url: str, plugins: Plugins, aws: AwsSettings | None = None
) -> tuple[Store | None, list[Check]]:
    """Opens a store if there is one, and says what was found on the way; makes none."""
    checks: list[Check] = []
    path = sqlite_path(url)
    try:
        if path is not None:
            checks += location(path)
            if not path.exists():
                return None, checks
        store = plugins.open_store(url, aws)
    except OSError as error:  # A folder on the way that may not be entered, or that was removed.
        return None, [*checks, problem("store", f"{path}: {error.strerror}", _ELSEWHERE)]
    except RuntimeError as error:  # Links that go round in a circle.
        return None, [*checks, problem("store", str(error), _ELSEWHERE)]
    except BunsuiError as error:
        return None, [*checks, failed("store", error, _ELSEWHERE)]
    if path is None:
        return store, [*checks, ok("store", f"{shown(url)} was opened")]
    return store, [*checks, ok("store", f"{path} was opened; its schema is {SCHEMA_VERSION}")]


def location(path: Path) -> Iterator[Check]:
    """The place of a SQLite store: file system, rights, size, space. Nothing is opened."""
    real = path.resolve()
    there = next(place for place in (real, *real.parents) if place.exists())
    folder = there if there.is_dir() else there.parent
    mount = network_mount(folder)
    if mount is not None:
        what = f"{path} {damaging(mount)}"
        yield problem("store's disk", what, f"move it to a disk of this machine, or {_ELSEWHERE}")
    if there == real and real.is_file():
        yield from _rights(real)
        yield _size(real)
    elif there == real:
        yield problem("store", f"{path} is no file, but a folder or the like", _ELSEWHERE)
    elif may_write(folder) and folder.is_dir():
        yield ok("store", f"{path} is not there yet; the first run makes it in {folder}")
    else:
        yield problem(
            "store", f"{path} is not there, and can't be made: {folder} can't be written", _ELSEWHERE
        )
    yield space(folder)


def _rights(path: Path) -> Iterator[Check]:
    for place in (path, path.parent):
        what = "file" if place is path else "folder"
        mode = place.stat().st_mode
        # In a folder with the sticky bit, such as /tmp, others can't replace what is not theirs.
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            yield warning(
                "store's rights", f"every user may write the {what} {place}", f"chmod o-w '{place}'"
            )
            return
        if not may_write(place):
            yield problem(
                "store's rights",
                f"this user may not write the {what} {place}: sessions can be looked at, not driven",
                "run as a user who may, or give the right with chmod or chown",
            )
            return
    yield ok("store's rights", f"this user may write the file and its folder, and not everybody may: {path}")


def _size(path: Path) -> Check:
    log = Path(f"{path}-wal")
    of_log = log.stat().st_size if log.exists() else 0
    text = f"{in_bytes(path.stat().st_size)}, and {in_bytes(of_log)} of log"
    if of_log > LARGE_LOG:
        return warning(
            "store's size",
            text,
            "a program keeps the log from being written back: end what has been reading the store for long",
        )
    return ok("store's size", text)


def space(folder: Path, little: int = LITTLE_SPACE, least: int = NO_SPACE) -> Check:
    """The free space of the disk that a folder is on.

    Args:
        folder: is there.
        little: bytes below which it is a warning.
        least: bytes below which it is a problem.
    """
    free = shutil.disk_usage(folder).free
    text = f"{in_bytes(free)} are free on the disk of {folder}"
    remedy = "free some space: a session rests where its store is full, and goes on afterwards"
    if free < least:
        return problem("store's disk", text, remedy)
    return warning("store's disk", text, remedy) if free < little else ok("store's disk", text)


def write(store: Store) -> Check:
    """Writes a document, reads it and removes it: so the lock of the store can be had, too."""
    key, began = uuid.uuid4().hex, time.monotonic()
    # Whoever is interrupted here leaves a document that goes by itself.
    expires_at = time.time() + 60
    try:
        store.put(KIND, key, {"key": key}, expires_at=expires_at)
        found = store.get(KIND, key)
        store.delete(KIND, key)
        left = store.get(KIND, key)
    except StoreError as error:
        return failed("store's writes", error, "try again")
    took = (time.monotonic() - began) * 1000
    if found is None or found.value != {"key": key} or left is not None:
        return problem(
            "store's writes", "the store does not give back what was written", "restore it from a backup"
        )
    return ok("store's writes", f"a document was written, read and removed in {took:.1f} ms")


def content(path: Path, seconds: float = 20.0, *, was_written: bool = True) -> Iterator[Check]:
    """Whether a SQLite store is whole: SQLite's own look at it, then the checksum of every row.

    Args:
        path: of a store that could be opened.
        seconds: that each of the two may take.
        was_written: whether a document could be written: then the tables have to be there.
    """
    real = path.resolve()
    try:
        query = "immutable=1" if access_to(real) is Access.FROZEN else "mode=ro"
        with contextlib.closing(sqlite3.connect(f"{real.as_uri()}?{query}", uri=True)) as connection:
            yield integrity(connection, path, seconds)
            # A file that was made as the disk was full is empty until it can be written.
            if not was_written and not connection.execute("SELECT 1 FROM sqlite_master").fetchall():
                return
            yield rows_of(connection, path, seconds)
    except (StoreError, sqlite3.Error) as error:
        yield problem("store's integrity", f"{path}: {error}", "restore it from a backup")
