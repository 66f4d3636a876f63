"""SQLite's and the system's errors as ours: what happened, to which file, and what to do next."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

from bunsui.errors import StoreError

#: The hint of a store whose lock could not be had.
LOCKED = "another process has been writing to it for too long; try again"
#: The hint of a full disk.
FULL = "free some space"
#: Within the hints of errors that were met while a session was driven, and that harm none.
RESUMABLE = "the session can be resumed"
_DENIED = "check that the file and its folder exist and that you may write to them"
_ELSEWHERE = "name another place with --store or BUNSUI_STORE"
_DAMAGED = "the file is damaged, or no bunsui store; restore it from a backup"
_ELSE = "try again once the store works again"
_OF_SESSIONS = {FULL: f"{FULL}; {RESUMABLE}", _ELSE: f"{RESUMABLE} once the store works again"}

#: By result code (https://www.sqlite.org/rescode.html), an extended one before its primary one: the hint, and
#: whether the error lasts.
_BY_CODE = {
    # What a full disk says to whoever opens a store, which needs a file beside it even to be read.
    sqlite3.SQLITE_IOERR_SHMSIZE: (FULL, True),
    sqlite3.SQLITE_BUSY: (LOCKED, False),
    sqlite3.SQLITE_LOCKED: (LOCKED, False),
    sqlite3.SQLITE_FULL: (FULL, True),
    sqlite3.SQLITE_READONLY: (_DENIED, True),
    sqlite3.SQLITE_CANTOPEN: (_DENIED, True),
    sqlite3.SQLITE_PERM: (_DENIED, True),
    sqlite3.SQLITE_CORRUPT: (_DAMAGED, True),
    sqlite3.SQLITE_NOTADB: (_DAMAGED, True),
    # Of statements that are always the same: the schema that they meet is not the one that was made.
    sqlite3.SQLITE_ERROR: (_DAMAGED, True),
    sqlite3.SQLITE_CONSTRAINT: (_DAMAGED, True),
    sqlite3.SQLITE_MISMATCH: (_DAMAGED, True),
}
_BY_ERRNO = {
    errno.ENOSPC: (FULL, True),
    errno.EDQUOT: (FULL, True),
    errno.EACCES: (_DENIED, True),
    errno.EPERM: (_DENIED, True),
    errno.EROFS: (_DENIED, True),
    errno.ENAMETOOLONG: (_ELSEWHERE, True),
    errno.ENOTDIR: (_ELSEWHERE, True),
}


def store_error(path: Path, error: sqlite3.Error | OSError | UnicodeDecodeError) -> StoreError:
    """What is raised in place of `error`."""
    if isinstance(error, UnicodeDecodeError):
        return damaged(path, "it holds text that is not UTF-8")
    if isinstance(error, OSError):
        text = error.strerror or str(error)
        hint, lasting = _BY_ERRNO.get(error.errno or 0, (_ELSE, False))
    else:
        text = str(error)
        # What is raised by the module itself, such as of a closed connection, has no code.
        code = getattr(error, "sqlite_errorcode", 0)
        hint, lasting = _BY_CODE.get(code) or _BY_CODE.get(code & 0xFF, (_ELSE, False))
        if text.startswith("Could not decode to UTF-8"):
            return damaged(path, "it holds text that is not UTF-8")
    return StoreError(f"store {path}: {text}", hint=hint, lasting=lasting)


def of_session(error: StoreError) -> StoreError:
    """The error as it is told of a session that is in the store: its hint says that it can be resumed."""
    hint = _OF_SESSIONS.get(error.hint or "")
    if hint is None:
        return error
    told = StoreError(error.message, hint=hint, lasting=error.lasting)
    told.__cause__ = error
    return told


def not_made(path: Path, error: OSError) -> StoreError:
    """The error of a store that is not there, and that can't be made."""
    return StoreError(
        f"store {path} can't be made: {error.strerror}",
        hint=_ELSEWHERE,
        lasting=True,
    )


def nowhere(path: str | Path) -> StoreError:
    """The error of a relative path where the working directory was removed."""
    return StoreError(
        f"store {path} can't be found: the working directory was removed",
        hint="go to another folder, or name the store by its whole path, as in sqlite:////srv/bunsui.db",
        lasting=True,
    )


def damaged(path: Path, text: str) -> StoreError:
    """The error of a store whose content can't be what was written."""
    return StoreError(f"store {path} is damaged: {text}", hint="restore it from a backup", lasting=True)
