"""Writes docs/architecture/history.rst from the events and the transition tables.

Run ``python docs/make_history.py`` after a change of either; a test fails where the page is out of date.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import fields

from bunsui.engine import events as ev
from bunsui.engine import transitions

PAGE = Path(__file__).parent / "architecture" / "history.rst"
HEAD = """\
The history
===========

.. Written by docs/make_history.py from the code; a test holds the two together.

A session's history is a list of commits; a commit is a list of events. In a store each commit's body is
JSON, ``{"v": 1, "crc": CHECKSUM, "events": [...]}``, its checksum the CRC-32 of the text of the events, and
each event an object with ``event`` (its name), ``at`` (RFC 3339 in UTC, six digits, never decreasing) and
its fields. An event that this version
does not know is ignored where it says ``"optional": true``; else the session can't be read, and says so.

All events have version 1, but for those whose output is an artifact, a file of its own, as it is larger than
32 KiB. They have version 2, and their name says so: ``"event": "JobSucceeded@2"``, with
``"artifact": {"sha256": ..., "bytes": ...}`` in place of the output. A bunsui that knows no artifacts so
refuses the session, where it would else take the output for null.

Events
------
"""


def event_entry(name: str, cls: type[ev.Event]) -> str:
    """An event's entry: its meaning and its fields."""
    meaning = " ".join((cls.__doc__ or "").split())
    own = ", ".join(f"``{a.name}``" for a in fields(cls) if a.name != "at")
    return f"``{name}``\n    {meaning}\n" + (f"\n    Fields: {own}.\n" if own else "")


def table(title: str, transition_table: Mapping[tuple[type[ev.Event], Any], Any]) -> str:
    """A transition table as reStructuredText, a line for each event and status afterwards."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for (event, before), after in transition_table.items():
        outcome = "unchanged" if after is before else str(after)
        grouped.setdefault((event.__name__, outcome), []).append(str(before))
    rows = [("Event", "Before", "After")]
    rows += [(event, ", ".join(before), after) for (event, after), before in grouped.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = " ".join("=" * width for width in widths)
    lines = [
        " ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join([title, "-" * len(title), "", rule, lines[0], rule, *lines[1:], rule, ""])


def page() -> str:
    """The whole page."""
    return "\n".join(
        [
            HEAD,
            *(event_entry(name, cls) for name, cls in ev.EVENTS.items()),
            table("How a session's status changes", transitions.SESSION),
            table("How a job's status changes", transitions.JOB),
            table("How the status of an item changes, in a job that fans out", transitions.ITEM),
        ]
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
