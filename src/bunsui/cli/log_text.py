"""Records of logs as text, lines of JSON and CSV, safe for a terminal."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence

from bunsui.dsl.problems import printable
from bunsui.logging.records import to_dict
from bunsui.logging.text import INDENT, fields_text, further, json_text
from bunsui.model.log import LogRecord
from bunsui.model.times import to_text

#: The columns of CSV.
COLUMNS = ("time", "level", "job", "item", "attempt", "stream", "logger", "message", "fields", "exception")
#: How a formula begins in a spreadsheet.
_FORMULA = ("=", "+", "-", "@")


def text(record: LogRecord) -> str:
    """A record for people: a line, and an indented one for each further line of message and traceback.

    So no message can look like a record of its own.
    """
    where = record.job if record.item is None else f"{record.job}[{record.item}]"
    if record.attempt is not None and record.attempt > 1:
        where += f"#{record.attempt}"
    source = record.logger if record.logger is not None else record.stream
    mark = " (damaged)" if record.damaged else ""
    more = " (goes on)" if record.continues else ""
    first, *rest = record.message.split("\n")
    fields = fields_text(record.fields)
    head = f"{to_text(record.time)} {record.level:<8} {printable(where)} {printable(source)}:"
    lines = [f"{head} {printable(first)}{fields if not rest else ''}{more}{mark}"]
    rest += record.exception.split("\n") if record.exception is not None else []
    lines += further(rest)
    if len(lines) > 1 and fields and "\n" in record.message:
        lines.append(f"{INDENT[1:]}{fields}")
    return "\n".join(lines)


def json_line(record: LogRecord) -> str:
    """A record as a line of JSON, in ASCII."""
    return json_text(to_dict(record))


def csv_line(record: LogRecord) -> str:
    """A record as a line of CSV (RFC 4180), with its CR; what a terminal must not get is escaped.

    A cell that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    found = to_dict(record)
    if "fields" in found:
        found["fields"] = json.dumps(found["fields"], ensure_ascii=False)
    return _csv([_cell(str(found.get(name, ""))) for name in COLUMNS])


def _cell(text: str) -> str:
    shown = printable(text)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def _csv(cells: Sequence[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r").writerow(cells)
    return out.getvalue()


#: How a record is written, by the name of the format, and what stands before the first one.
FORMATS: dict[str, tuple[Callable[[LogRecord], str], str | None]] = {
    "text": (text, None),
    "jsonl": (json_line, None),
    "csv": (csv_line, _csv(COLUMNS)),
}
