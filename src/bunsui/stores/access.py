"""What may be done to a database in write-ahead mode, by the rights on its file and its folder.

Also who only reads such a database needs its ``-shm`` file, and may have to make it
(https://www.sqlite.org/wal.html#read_only_databases). A reader without the right to write leaves nothing of
his own behind: a file that belongs to him could keep the owner out.

======================  ======================  ==========================================
the file may be         its log                 access
======================  ======================  ==========================================
written, folder too     any                     `Access.WRITE`
written, folder not     there, with its -shm    `Access.WRITE`
read                    there, with its -shm    `Access.READ`: a writer has it open, or died
read                    none, or empty          `Access.FROZEN`: everything is in the file
read                    there, without -shm     none: only a writer can make sense of it
======================  ======================  ==========================================
"""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path

from attrs import frozen

from bunsui.errors import StoreError


class Access(Enum):
    """How a file is opened; the value is the query of its SQLite URI."""

    WRITE = "mode=rw"
    READ = "mode=ro"
    #: As a file that nobody changes: SQLite takes no locks, so whoever reads must look whether it is true.
    FROZEN = "immutable=1"


@frozen
class Stamp:
    """What changes when somebody writes to a frozen file."""

    size: int
    #: Nanoseconds since the epoch.
    changed: int
    log: bool


def stamp_of(path: Path) -> Stamp:
    """The stamp of the database at `path`, which is free of symbolic links."""
    about = path.stat()
    return Stamp(about.st_size, about.st_mtime_ns, bool(_log_size(path)))


def access_to(path: Path) -> Access:
    """How the database at `path`, which is free of symbolic links, can be opened.

    Raises:
        StoreError: it may not be written, and can't be read before somebody has.
    """
    log = _log_size(path)
    shared = log is not None and _beside(path, "-shm").exists()
    if may_write(path) and (may_write(path.parent) or shared):
        return Access.WRITE
    if shared:
        return Access.READ
    if not log:
        return Access.FROZEN
    raise StoreError(
        f"store {path} may only be read, and a part of it is still in {path.name}-wal",
        hint="open it once as a user who may write the file and its folder, such as with"
        " 'bunsui session list'",
        lasting=True,
    )


def read_only(path: Path) -> StoreError:
    """The error of a write to the database at `path`, whose access is not `Access.WRITE`."""
    what = "its folder" if may_write(path) else "the file"
    return StoreError(
        f"store {path} may only be read: {what} may not be written",
        hint="run as a user who may write both, or name another store with --store or BUNSUI_STORE",
        lasting=True,
    )


def _beside(path: Path, suffix: str) -> Path:
    return Path(f"{path}{suffix}")


def _log_size(path: Path) -> int | None:
    """Bytes of the log; None where there is none."""
    try:
        return _beside(path, "-wal").stat().st_size
    except FileNotFoundError:
        return None


def may_write(path: Path) -> bool:
    """Whether this process may, on this mount; asked of the system, since for root the modes don't tell."""
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)
