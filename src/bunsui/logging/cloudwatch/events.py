"""Events of CloudWatch Logs: how large they may be, and which of them make a batch.

All limits are those of "PutLogEvents" in the API reference of CloudWatch Logs, and of "CloudWatch Logs
quotas" in its guide.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import islice
from typing import Any, NamedTuple

from bunsui.logging.records import to_line

#: Bytes of a batch, at most, and what each event counts beside its text.
MAX_BATCH, OVERHEAD = 1_048_576, 26
#: Events of a batch, at most.
MAX_EVENTS = 10_000
#: Milliseconds between the first and the last event of a batch: they may not be as much as 24 hours apart.
MAX_SPAN = 24 * 3600 * 1000
#: Bytes of one event's text, at most. AWS says "1 MB", and not which; it is the smaller one here.
MAX_TEXT = 1_000_000 - OVERHEAD
#: Bytes that each part of a record may take that is too long, so that all of them fit.
_PART = 300_000
_CUT = " [cut: it had {:,} bytes]"


class Event(NamedTuple):
    """Something to be sent."""

    #: Milliseconds since 1970.
    time: int
    #: UTF-8; never empty.
    text: bytes
    #: How many records it says are missing; 0: it is a record itself.
    missing: int = 0

    @property
    def size(self) -> int:
        """Bytes that it counts."""
        return len(self.text) + OVERHEAD


def first_batch(events: Iterable[Event], most: int = MAX_EVENTS) -> list[Event]:
    """As many events from the beginning as make one batch: at least one, where there is any.

    Args:
        events: in the order in which they are sent.
        most: how many at most; it is at least 1.
    """
    batch: list[Event] = []
    size = 0
    for event in islice(events, min(most, MAX_EVENTS)):
        size += event.size
        # Times fall where a clock was wrong.
        if batch and (size > MAX_BATCH or not batch[-1].time <= event.time < batch[0].time + MAX_SPAN):
            break
        batch.append(event)
    return batch


def fitting_text(text: str) -> bytes:
    """A text as that of an event, which says so where it was cut."""
    data = text.encode("utf-8", "backslashreplace")
    if len(data) > MAX_TEXT:
        said = _CUT.format(len(data)).encode()
        data = data[: MAX_TEXT - len(said)].decode("utf-8", "ignore").encode() + said
    return data or b" "  # None may be empty.


def fitting_line(line: bytes, most: int = MAX_TEXT) -> bytes:
    """A record's line that is too long as a shorter one: its texts are cut, and its fields left out.

    Args:
        line: a line of JSON, as `bunsui.logging.records` has it, without its line break.
        most: bytes that it may have.
    """
    if len(line) <= most:
        return line
    record: dict[str, Any] = json.loads(line)
    fields = record.get("fields", {})
    kept = {} if len(json.dumps(fields)) > _PART else fields
    record["fields"] = kept | {"cut": len(line)}
    for name, part in (("logger", 1000), ("message", _PART), ("exception", _PART)):
        if name in record:
            record[name] = _shortened(str(record[name]), part)
    return to_line(record)[:-1]


def _shortened(text: str, most: int) -> str:
    """A text of which its JSON takes so many bytes, about."""
    size = whole = _size(text)
    if size <= most:
        return text
    while size > most:
        text = text[: len(text) * most // size - 1]
        size = _size(text)
    return text + _CUT.format(whole)


def _size(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "backslashreplace"))
