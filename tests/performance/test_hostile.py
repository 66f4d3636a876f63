"""Hostile definitions, each read by a process of its own: a typed error, in bounded time and memory.

Time is the child's own processor time. Other work on the machine, a debugger and the like lengthen it all the
same: in a run of all tests only what is far beyond the limits fails. ``nox -s hostile`` holds the limits
themselves, and reads the largest files, too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HARNESS = Path(__file__).resolve().parents[1] / "fixtures" / "hostile_harness.py"
#: Whether the limits themselves are held.
STRICT = "BUNSUI_TEST_LIMITS" in os.environ
GROUPS = [
    *("aliases", "depth", "sizes", "values", "encodings", "json", "patterns", "schemas"),
    *("graphs", "references", "output", "nasty", "fuzz"),
]
#: Bytes that count as one megabyte, seconds up to that and beyond, megabytes over an idle process, bytes.
MB, SECONDS, MORE_SECONDS, MEGABYTES, OUTPUT = 1_048_576, 1.0, 5.0, 150.0, 100_000
#: How much longer a file may take where the limits are not held.
PATIENCE = 1 if STRICT else 5


def read(group: str) -> list[dict[str, Any]]:
    """What became of each file of a group."""
    # Measuring coverage would take most of the time.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run(
        [sys.executable, str(HARNESS), group],
        capture_output=True,
        text=True,
        check=True,
        timeout=280,
        env=environment,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def broken(found: dict[str, Any]) -> list[str]:
    """Which limits one file has broken."""
    seconds = SECONDS if found["bytes"] <= MB else MORE_SECONDS
    return [
        what
        for what, wrong in (
            ("killed", found["exit"] != 0),
            ("raised something else", "trace" in found),
            ("slow", found["seconds"] >= seconds * PATIENCE),
            ("large", found["megabytes"] >= MEGABYTES),
            ("talkative", found.get("output", 0) >= OUTPUT),
            ("unsafe on a terminal", found.get("unsafe", 0) > 0),
            ("not as expected", found["expected"] not in ("", found["outcome"])),
        )
        if wrong
    ]


@pytest.mark.parametrize("group", [*GROUPS, *(["large", "large definitions"] if STRICT else [])])
def test_every_file_is_read_or_refused_within_the_limits(group: str) -> None:
    """Nothing kills the process, and nothing but a DefinitionError comes out."""
    rows = read(group)
    assert rows
    assert {} == {row["name"]: (broken(row), row["outcome"]) for row in rows if broken(row)}
