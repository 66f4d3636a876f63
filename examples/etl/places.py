"""Where the three steps hand their files to each other, and how a file gets there in one piece.

Everything is found from this file's own folder, never from the working directory, so that the steps
agree whichever process they run in.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

HERE = Path(__file__).resolve().parent
DATA = HERE / "data"

#: Columns of the cleaned flights; delays in minutes, empty where there is none; distance in miles.
FLIGHT_COLUMNS = (
    "day",
    "carrier",
    "flight",
    "origin",
    "destination",
    "cancelled",
    "departure_delay",
    "arrival_delay",
    "distance",
)
#: Columns of the daily summary, in the file as in the table.
SUMMARY_COLUMNS = (
    "day",
    "carrier",
    "flights",
    "cancelled",
    "mean_departure_delay",
    "mean_arrival_delay",
    "distance",
)


def checked_name(name: object, what: str) -> str:
    """The name, where it can only ever be one entry of a folder.

    Raises:
        ValueError: it is no text, is empty, holds a path separator or "..", or starts with a dot.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(
            f"{what} {name!r} is not a plain name: use letters, digits, '.', '_' and '-', "
            "and begin with a letter or a digit"
        )
    if ".." in name:
        raise ValueError(f"{what} {name!r} holds '..'")
    return name


def output_folder() -> Path:
    """``output`` beside this file, or what ETL_OUTPUT names (a relative path counts from here)."""
    return (HERE / (os.environ.get("ETL_OUTPUT") or "output")).resolve()


def flights_file(session_id: str) -> Path:
    """The cleaned flights of a session, written by extract and read by transform."""
    return output_folder() / checked_name(session_id, "session id") / "flights.csv"


def summary_file(session_id: str) -> Path:
    """The daily summary of a session, written by transform and read by load."""
    return output_folder() / checked_name(session_id, "session id") / "daily_summary.csv"


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """A text file to write that takes the place of ``path`` at the end, or not at all.

    Who reads ``path`` meanwhile sees the old content, and two writers do not mix: each has a
    temporary file of its own in the same folder, and the last to finish wins.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("x", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            # The step counts as done once it returns: its file has to survive a power failure then.
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
