"""The faults of SQLite's versions that concern the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator

from attrs import frozen

from bunsui.diagnosis.check import Check, Status, ok

_Version = tuple[int, ...]


@frozen
class Fault:
    """What some versions do wrong."""

    what: str
    status: Status
    #: What to do about it.
    remedy: str
    #: Where it is described.
    source: str
    concerns: Callable[[_Version], bool]


def _resets_its_log(version: _Version) -> bool:
    mended = (3, 44, 6) <= version < (3, 45) or (3, 50, 7) <= version < (3, 51) or version >= (3, 51, 3)
    return version >= (3, 7) and not mended


FAULTS = (
    Fault(
        "it does not know RETURNING, which the store needs",
        Status.PROBLEM,
        "use a Python with SQLite 3.35 or later",
        "https://www.sqlite.org/lang_returning.html",
        lambda version: version < (3, 35),
    ),
    Fault(
        "it can damage a database when two programs write its log back at once (the WAL-reset bug, mended in"
        " 3.51.3, 3.50.7 and 3.44.6)",
        Status.WARNING,
        "bunsui does so under a lock, one at a time; let no other program write to the store. A distribution"
        " may have mended it under the old number: its list of changes says so",
        "https://www.sqlite.org/wal.html#walresetbug",
        _resets_its_log,
    ),
)


def sqlite_version(
    version: _Version = sqlite3.sqlite_version_info, threadsafety: int = sqlite3.threadsafety
) -> Iterator[Check]:
    """The version of SQLite that this Python uses, with its known faults.

    Args:
        version: such as (3, 51, 3).
        threadsafety: see PEP 249; 0: only one thread may use it.
    """
    text = f"SQLite {'.'.join(map(str, version))}"
    found = [fault for fault in FAULTS if fault.concerns(version)]
    for fault in found:
        yield Check("sqlite", fault.status, f"{text}: {fault.what}", f"{fault.remedy}; {fault.source}")
    if threadsafety == 0:
        yield Check(
            "sqlite",
            Status.PROBLEM,
            f"{text} was built without threads, which a runner has",
            "use a Python whose SQLite was built with SQLITE_THREADSAFE=1;"
            " https://www.sqlite.org/threadsafe.html",
        )
    elif not found:
        yield ok("sqlite", f"{text}, without a known fault that concerns bunsui")
