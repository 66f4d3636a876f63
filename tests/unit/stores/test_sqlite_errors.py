"""What SQLite and the system say, as errors with a remedy."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from bunsui.stores.sqlite_errors import damaged, of_session, store_error

PATH = Path("/x/store.db")


def of_sqlite(code: int, text: str) -> sqlite3.Error:
    """An error as the module raises it."""
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code  # type: ignore[misc]
    return error


def of_system(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("error", "text", "hint", "lasting"),
    [
        (
            of_sqlite(sqlite3.SQLITE_BUSY, "database is locked"),
            "database is locked",
            "another process",
            False,
        ),
        # Extended codes keep the primary one in their last byte.
        (of_sqlite(sqlite3.SQLITE_BUSY_SNAPSHOT, "database is locked"), "locked", "another process", False),
        (of_sqlite(sqlite3.SQLITE_FULL, "database or disk is full"), "full", "free some space", True),
        (of_sqlite(sqlite3.SQLITE_READONLY_DBMOVED, "attempt"), "attempt", "check that the file", True),
        (of_sqlite(sqlite3.SQLITE_CANTOPEN, "unable to open"), "unable", "check that the file", True),
        (of_sqlite(sqlite3.SQLITE_CORRUPT_INDEX, "malformed"), "malformed", "the file is damaged", True),
        (of_sqlite(sqlite3.SQLITE_NOTADB, "no database"), "no database", "the file is damaged", True),
        (of_sqlite(sqlite3.SQLITE_ERROR, "no such column"), "no such", "the file is damaged", True),
        (of_sqlite(sqlite3.SQLITE_IOERR_SHMSIZE, "disk I/O error"), "disk I/O", "free some space", True),
        # A disk may work again, and the words are not what counts.
        (of_sqlite(sqlite3.SQLITE_IOERR_WRITE, "disk I/O error, full"), "disk", "try again once", False),
        (sqlite3.ProgrammingError("closed"), "closed", "try again once", False),
        (of_system(errno.ENOSPC), os.strerror(errno.ENOSPC), "free some space", True),
        (of_system(errno.EDQUOT), os.strerror(errno.EDQUOT), "free some space", True),
        (of_system(errno.EROFS), os.strerror(errno.EROFS), "check that the file", True),
        (of_system(errno.EACCES), os.strerror(errno.EACCES), "check that the file", True),
        (of_system(errno.ENAMETOOLONG), os.strerror(errno.ENAMETOOLONG), "name another place", True),
        (of_system(errno.ENOTDIR), os.strerror(errno.ENOTDIR), "name another place", True),
        (of_system(errno.EIO), os.strerror(errno.EIO), "try again once", False),
        (OSError("odd"), "odd", "try again once", False),
    ],
)
def test_errors_go_by_their_codes(
    error: sqlite3.Error | OSError, text: str, hint: str, lasting: bool
) -> None:
    """The file, what happened, what to do next, and whether trying again can help before that."""
    found = store_error(PATH, error)
    assert found.message.startswith("store /x/store.db: ")
    assert text in found.message
    assert found.hint is not None
    assert found.hint.startswith(hint)
    assert lasting == found.lasting
    assert str(found) == f"{found.message}; {found.hint}"


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "free some space; the session can be resumed"),
        (errno.EIO, "the session can be resumed once the store works again"),
        (errno.EACCES, store_error(PATH, of_system(errno.EACCES)).hint),
    ],
)
def test_what_is_said_of_a_session(number: int, hint: str) -> None:
    """That it can be resumed is said where there is one, and nowhere else."""
    error = store_error(PATH, of_system(number))
    found = of_session(error)
    assert (error.message, hint, error.lasting) == (found.message, found.hint, found.lasting)
    assert "resumed" not in str(error)


@pytest.mark.parametrize(
    "error",
    [
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        sqlite3.OperationalError("Could not decode to UTF-8 column 'body' with text '\ufffd'"),
    ],
)
def test_text_that_is_none(error: sqlite3.Error | UnicodeDecodeError) -> None:
    """Both of the module's ways to say it are damage, without the text itself."""
    assert str(damaged(PATH, "it holds text that is not UTF-8")) == str(store_error(PATH, error))
