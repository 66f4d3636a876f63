"""Hostile definitions, each read by a process of its own: a typed error, in bounded time and memory.

Time is the child's own processor time. Other work on the machine lengthens it all the same: in a run of all
tests only what is far beyond the limits fails, and of the files from 200 kB on a fifth is read. ``nox -s
hostile`` reads them all, those of 16 MiB, too, and holds the limits themselves, by what PyYAML takes for an
ordinary text in the same run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

HARNESS = Path(__file__).resolve().parents[1] / "fixtures" / "hostile_harness.py"
#: Whether the limits themselves are held.
STRICT = "BUNSUI_TEST_LIMITS" in os.environ
GROUPS = [
    *("aliases", "depth", "sizes", "values", "encodings", "json", "patterns", "schemas"),
    *("graphs", "references", "output", "nasty", "fuzz"),
]
#: Bytes that count as one megabyte, seconds up to that and beyond, megabytes over an idle process, bytes.
MB, SECONDS, MORE_SECONDS, MEGABYTES, OUTPUT = 1_048_576, 1.0, 5.0, 150.0, 100_000
#: Processor seconds that PyYAML's C loader took for the text of `reference` where the limits were set.
USUAL = 0.32


def reference() -> float:
    """Processor seconds of PyYAML's C loader for 8,000 small mappings: the best of three."""
    text = "".join(f"- {{id: job_{i}, command: [python, work.py], x: {{y: {i}}}}}\n" for i in range(8000))
    times = []
    for _ in range(3):
        began = time.process_time()
        yaml.load(text, yaml.CSafeLoader)
        times.append(time.process_time() - began)
    return min(times)


@pytest.fixture(scope="module")
def patience() -> float:
    """How much longer a file may take, as this machine is slower now, and where the limits are not held."""
    return max(1.0, reference() / USUAL) if STRICT else 5.0


def read(group: str) -> list[dict[str, Any]]:
    """What became of each file of a group."""
    done = subprocess.run(
        [sys.executable, str(HARNESS), group, *([] if STRICT else ["--sample"])],
        capture_output=True,
        text=True,
        check=True,
        timeout=280,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def broken(found: dict[str, Any], patience: float) -> list[str]:
    """Which limits one file has broken."""
    seconds = SECONDS if found["bytes"] <= MB else MORE_SECONDS
    return [
        what
        for what, wrong in (
            ("killed", found["exit"] != 0),
            ("raised something else", "trace" in found),
            ("slow", found["seconds"] >= seconds * patience),
            ("large", found["megabytes"] >= MEGABYTES),
            ("talkative", found.get("output", 0) >= OUTPUT),
            ("unsafe on a terminal", found.get("unsafe", 0) > 0),
            ("not as expected", found["expected"] not in ("", found["outcome"])),
        )
        if wrong
    ]


@pytest.mark.parametrize("group", [*GROUPS, *(["large", "large definitions"] if STRICT else [])])
def test_every_file_is_read_or_refused_within_the_limits(group: str, patience: float) -> None:
    """Nothing kills the process, and nothing but a DefinitionError comes out."""
    rows = read(group)
    assert len(rows) >= 5
    wrong = {row["name"]: (broken(row, patience), row["outcome"]) for row in rows}
    assert {} == {name: found for name, found in wrong.items() if found[0]}
