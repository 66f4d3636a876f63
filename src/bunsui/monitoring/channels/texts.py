"""Alerts as text: JSON for programs, lines for people, never longer than a receiver takes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bunsui.dsl.problems import printable

if TYPE_CHECKING:
    from bunsui.ports.alerts import Alert

#: The most that a message has, in bytes, so that both SNS (262,144 bytes with its attributes: "Publish" in
#: its API reference) and EventBridge (256 KB an entry: "Calculating PutEvents event entry size" in its guide)
#: take it.
MAX_BYTES = 250_000
#: The most of a summary that is left of an alert that is too long, in characters.
MAX_SUMMARY = 1_000
#: Stands in place of details that are too long, or are no JSON.
IS_CUT = "is_cut"


def as_json(alert: Alert, most: int = MAX_BYTES) -> str:
    """The alert as an object of JSON, in ASCII, of at most `most` bytes.

    Where it would have more, ``details`` is left out and ``summary`` is cut, and ``is_cut`` is true. So is
    it where the details are no JSON: an alert that can't be told whole is told in part.
    """
    data = alert.to_dict()
    try:
        text = _dumped(data)
    except (TypeError, ValueError, RecursionError):
        text = None
    if text is not None and len(text) <= most:
        return text
    data.pop("details", None)
    return _dumped({**data, "summary": shortened(data["summary"], MAX_SUMMARY), IS_CUT: True})


def _dumped(data: Any) -> str:
    return json.dumps(data, allow_nan=False)


def shortened(text: str, most: int) -> str:
    """`text` on one line, with what a terminal can't show escaped, cut to `most` characters."""
    line = printable(text)
    return line if len(line) <= most else f"{line[: most - 1]}…"


def as_text(alert: Alert, most: int = MAX_BYTES) -> str:
    """The alert as lines for a person: its summary, its fields, its details; of at most `most` bytes."""
    fields = json.loads(as_json(alert, most))
    details = fields.pop("details", None)
    lines = [printable(fields.pop("summary")), ""]
    lines += [f"{name.replace('_', ' ')}: {printable(str(value))}" for name, value in fields.items()]
    if details is not None:
        lines += ["", *json.dumps(details, indent=2).splitlines()]
    text = "\n".join(lines)
    # As lines it may be longer than as JSON.
    return text if len(text.encode()) <= most else as_json(alert, most)
