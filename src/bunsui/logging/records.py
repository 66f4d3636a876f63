"""One record of a job's log, and the line of JSON that it is kept as.

A line has, in this order and as far as there is something to say: ``time``, ``level``, ``job``, ``item``,
``attempt``, ``stream``, ``logger``, ``message``, ``fields``, ``exception``, ``continues``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from bunsui.model.log import LEVELS, LogRecord
from bunsui.model.times import from_text, to_text

#: The levels of what a process writes by itself.
STREAM_LEVELS = {"stdout": "INFO", "stderr": "WARNING"}
#: Where records of `logging` come from, and bunsui's own.
LOG = "log"
#: The logger of bunsui's own records: what is missing in a log, and why.
OWN = "bunsui.logs"

#: Bytes of a damaged line that are shown.
MAX_DAMAGED = 1024 * 1024
_T = TypeVar("_T")
_decode = json.JSONDecoder().raw_decode
#: A text as a string of JSON; what is not ASCII stays as it is.
as_json_string = json.encoder.encode_basestring


def to_dict(record: LogRecord) -> dict[str, Any]:
    """A record in plain data, as its line of JSON has it; what says nothing is left out."""
    found: dict[str, Any] = {"time": to_text(record.time), "level": record.level, "job": record.job}
    found |= {"item": record.item} if record.item is not None else {}
    found |= {"attempt": record.attempt} if record.attempt is not None else {}
    found["stream"] = record.stream
    found |= {"logger": record.logger} if record.logger is not None else {}
    found["message"] = record.message
    found |= {"fields": dict(record.fields)} if record.fields else {}
    found |= {"exception": record.exception} if record.exception is not None else {}
    return found | {name: True for name in ("continues", "damaged") if getattr(record, name)}


def to_line(record: Mapping[str, Any]) -> bytes:
    """A record in plain data as its line, with the line break."""
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace") + b"\n"  # A surrogate: so it is its JSON, too.


def lines_of(data: bytes, head: str, time: str, tail: str = "}") -> bytes:
    """Whole lines that a process wrote as lines of JSON that share all but their message.

    Args:
        data: the lines, without the last line break.
        head: what stands between the time and the message of each.
        time: as text.
        tail: what stands behind the message.
    """
    text = data.decode("utf-8", "backslashreplace")
    if "\r" in text:
        text = "\n".join(line.removesuffix("\r") for line in text.split("\n"))
    start, end, as_json = f'{{"time":"{time}"{head}', f"{tail}\n", as_json_string
    return "".join([f"{start}{as_json(line)}{end}" for line in text.split("\n")]).encode()


def head_of(job: str, attempt: int, item: int | None, stream: str, level: str) -> str:
    """What stands between time and message of all lines of a stream of an attempt."""
    of_item = "" if item is None else f'"item":{item},'
    return f',"level":"{level}","job":"{job}",{of_item}"attempt":{attempt},"stream":"{stream}","message":'


def from_line(line: bytes, job: str) -> LogRecord:
    """The record that a line is; a damaged one where it is none.

    Args:
        line: without its line break.
        job: whose log it stands in.
    """
    try:
        text = line.decode()
        found, end = _decode(text)  # Half the time of json.loads with bytes.
        if text[end:].strip():
            raise ValueError("something else follows")
        return LogRecord(
            from_text(found["time"]),
            found["level"] if found["level"] in LEVELS else "INFO",
            str(found["job"]),
            str(found["message"]),
            str(found["stream"]),
            _as(int, found, "attempt"),
            _as(int, found, "item"),
            _as(str, found, "logger"),
            _as(dict, found, "fields") or {},
            _as(str, found, "exception"),
            bool(found.get("continues")),
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        shown = line[:MAX_DAMAGED].decode("utf-8", "backslashreplace")
        return LogRecord(_time_in(shown), "WARNING", job, shown, damaged=True)


def _as(kind: type[_T], found: Mapping[str, Any], name: str) -> _T | None:
    """A field of a line, or None; of another kind it is nothing that bunsui has written."""
    value = found.get(name)
    if value is None or type(value) is kind:
        return value
    raise TypeError(f"{name} is no {kind.__name__}")


def _time_in(text: str) -> datetime:
    try:
        return from_text(text[len('{"time":"') :][:27])
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
