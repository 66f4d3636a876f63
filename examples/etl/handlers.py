"""The two Lambda functions of the ETL pipeline: extract and load.

They have Lambda's signature, ``(event, context)``, and are bound to this machine by bindings.yaml.
Each may run twice for one session, because a job runs *at least* once: the second run writes what
the first one wrote, in its place.
"""

from __future__ import annotations

import csv
import gzip
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import IO, Any, TextIO

import places

MISSING = "NA"

# What a well-formed row holds in the columns that are used. Delays are whole minutes, distance
# is in whole miles, and dep_time is the local time as HHMM without leading zeros.
PATTERNS: Mapping[str, re.Pattern[str]] = {
    "year": re.compile(r"[0-9]{4}"),
    "month": re.compile(r"[0-9]{1,2}"),
    "day": re.compile(r"[0-9]{1,2}"),
    "dep_time": re.compile(r"NA|[0-9]{1,4}"),
    "dep_delay": re.compile(r"NA|-?[0-9]{1,5}"),
    "arr_delay": re.compile(r"NA|-?[0-9]{1,5}"),
    "carrier": re.compile(r"[A-Z0-9]{2}"),
    "flight": re.compile(r"[0-9]{1,5}"),
    "origin": re.compile(r"[A-Z]{3}"),
    "dest": re.compile(r"[A-Z]{3}"),
    "distance": re.compile(r"[0-9]{1,5}"),
}


def extract(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Clean a bucket's flights into the session's ``flights.csv``.

    A flight without a departure time was cancelled. It is a good row: it stays in the file, marked,
    and counts in ``rows`` as well as in ``cancelled``. Malformed rows are left out and counted in
    ``rejected``: a wrong number of fields, a date that is not in the calendar, a value that is not
    of its column's form, a departure without a delay, or a delay without a departure.

    Args:
        event: ``{"bucket": name}``; a bucket is a folder below ``data``.
        context: carries BUNSUI_SESSION_ID in ``client_context.custom``.

    Raises:
        ValueError: the bucket's name is not a plain name, or a file lacks a column.
        LookupError: there is no such bucket, or it holds no ``*.csv.gz``.
    """
    sources = _sources(event.get("bucket"))
    target = places.flights_file(_session_id(context))
    with places.replacing(target) as file:
        counts = clean(((source.name, source) for source in sources), file)
    return {**counts, "path": str(target)}


def clean(sources: Iterable[tuple[str, Path | IO[bytes]]], file: TextIO) -> dict[str, int]:
    """Write the flights of raw files into one file, and count them; see `extract`.

    Args:
        sources: the raw files by name, each a path or the gzipped bytes themselves.
        file: gets the cleaned flights.

    Raises:
        ValueError: a raw file lacks a column.
    """
    counts = {"rows": 0, "rejected": 0, "cancelled": 0}
    writer = csv.DictWriter(file, places.FLIGHT_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for name, source in sources:
        for raw in _raw_rows(name, source):
            flight = _cleaned(raw)
            if flight is None:
                counts["rejected"] += 1
                continue
            counts["rows"] += 1
            counts["cancelled"] += flight["cancelled"]
            writer.writerow(flight)
    return counts


def load(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Replace a table with the session's daily summary, in one transaction.

    ``analytics.daily_summary`` is the table ``daily_summary`` of the SQLite file ``analytics.db``.

    Args:
        event: ``{"table": "schema.table", "rows": n}``; n flights were extracted.
        context: carries BUNSUI_SESSION_ID in ``client_context.custom``.

    Raises:
        ValueError: the table's name is not of that form, or the summary's flights are not n. The
            table is then as it was before.
    """
    schema, table = schema_and_table(event.get("table"))
    with places.summary_file(_session_id(context)).open(encoding="utf-8", newline="") as file:
        groups = whole_summary(file, event.get("rows"))
    database = places.output_folder() / f"{schema}.db"
    replace_table(database, schema, table, groups)
    return {"table": f"{schema}.{table}", "rows": len(groups), "database": str(database)}


def whole_summary(file: TextIO, rows: object) -> list[dict[str, str]]:
    """The groups of a daily summary.

    Raises:
        ValueError: their flights are not the ``rows`` that were extracted.
    """
    groups = list(csv.DictReader(file))
    flights = sum(int(group["flights"]) for group in groups)
    if flights != rows:
        raise ValueError(
            f"the summary holds {flights} flights, but {rows!r} were extracted: "
            "rerun the session from extract_data"
        )
    return groups


def replace_table(database: Path, schema: str, table: str, groups: Sequence[Mapping[str, str]]) -> None:
    """Replace a table of a SQLite file, which need not be there yet, in one transaction.

    The names are plain identifiers; see `schema_and_table`.
    """
    columns = ", ".join(places.SUMMARY_COLUMNS)
    # The quotes are for names that are SQL keywords as well.
    name = f'"{schema}"."{table}"'
    with closing(sqlite3.connect(":memory:", timeout=30, isolation_level=None)) as connection:
        connection.execute(f'ATTACH DATABASE ? AS "{schema}"', [str(database)])
        connection.execute("BEGIN IMMEDIATE")
        # Closing the connection rolls back what was not committed.
        connection.execute(f"DROP TABLE IF EXISTS {name}")
        connection.execute(
            f"CREATE TABLE {name} (day TEXT NOT NULL, carrier TEXT NOT NULL,"
            " flights INTEGER NOT NULL, cancelled INTEGER NOT NULL, mean_departure_delay REAL,"
            " mean_arrival_delay REAL, distance INTEGER NOT NULL, PRIMARY KEY (day, carrier))"
        )
        connection.executemany(
            f"INSERT INTO {name} ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)",
            ([group[column] or None for column in places.SUMMARY_COLUMNS] for group in groups),
        )
        connection.execute("COMMIT")


def _session_id(context: Any) -> str:
    """The session that this call belongs to, from Lambda's client context."""
    return str(context.client_context.custom["BUNSUI_SESSION_ID"])


def _sources(bucket: object) -> list[Path]:
    """The bucket's files, in the order of their names."""
    folder = places.DATA / places.checked_name(bucket, "bucket")
    if not folder.is_dir():
        known = sorted(entry.name for entry in places.DATA.iterdir() if entry.is_dir())
        raise LookupError(f"there is no bucket {bucket!r}; available: {', '.join(known)}")
    sources = sorted(folder.glob("*.csv.gz"))
    if not sources:
        raise LookupError(f"bucket {bucket!r} holds no *.csv.gz file")
    return sources


def _raw_rows(name: str, source: Path | IO[bytes]) -> Iterator[dict[str | None, Any]]:
    """The rows of one raw file, unchecked; a field too many is under None, one too few is None."""
    with gzip.open(source, "rt", encoding="utf-8", errors="replace", newline="") as file:
        # The raw files quote nothing: a stray quote is to spoil its own row, not those that follow.
        reader = csv.DictReader(file, quoting=csv.QUOTE_NONE)
        lacking = PATTERNS.keys() - set(reader.fieldnames or ())
        if lacking:
            raise ValueError(f"{name} lacks the columns {', '.join(sorted(lacking))}")
        yield from reader


def _cleaned(raw: Mapping[str | None, Any]) -> dict[str, Any] | None:
    """The flight as it goes into the cleaned file; None where the row is malformed."""
    if None in raw or None in raw.values():
        return None
    if not all(pattern.fullmatch(raw[column]) for column, pattern in PATTERNS.items()):
        return None
    cancelled = raw["dep_time"] == MISSING
    if cancelled != (raw["dep_delay"] == MISSING) or (cancelled and raw["arr_delay"] != MISSING):
        return None
    try:
        day = date(int(raw["year"]), int(raw["month"]), int(raw["day"]))
    except ValueError:
        return None
    return {
        "day": day.isoformat(),
        "carrier": raw["carrier"],
        "flight": int(raw["flight"]),
        "origin": raw["origin"],
        "destination": raw["dest"],
        "cancelled": int(cancelled),
        "departure_delay": "" if cancelled else int(raw["dep_delay"]),
        "arrival_delay": "" if raw["arr_delay"] == MISSING else int(raw["arr_delay"]),
        "distance": int(raw["distance"]),
    }


def schema_and_table(name: object) -> tuple[str, str]:
    """The two parts of ``schema.table``.

    Raises:
        ValueError: it is not of that form, or one of SQLite's own names.
    """
    identifier = r"([A-Za-z_][A-Za-z0-9_]{0,62})"
    found = re.fullmatch(rf"{identifier}\.{identifier}", name) if isinstance(name, str) else None
    if found is None:
        raise ValueError(f"table {name!r} is not of the form schema.table, such as analytics.daily")
    schema, table = found.groups()
    if schema.lower() in {"main", "temp"} or table.lower().startswith("sqlite_"):
        raise ValueError(f"table {name!r} uses a name that SQLite keeps for itself: take another")
    return schema, table
