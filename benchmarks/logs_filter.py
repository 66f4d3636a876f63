"""``Session.logs`` over a log of 1,000,000 lines of which 1% is wanted, against a plain loop in the same run.

The loop looks for bytes in each line of the files, and decodes those that have them with ``json.loads``. Run
it with::

    python benchmarks/logs_filter.py [--lines N] [--rounds N]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bunsui.logging.filters import make_filter
from bunsui.logging.log_store import JobLog
from bunsui.logging.reading import Reading
from bunsui.logging.records import to_line
from bunsui.model.times import to_text
from bunsui.runner.clock import SystemClock

START = datetime(2026, 1, 31, tzinfo=UTC)


def write(folder: Path, jobs: int, lines: int) -> None:
    """Logs of `jobs` jobs, `lines` in all; every 100th is an error that names a table."""
    for job in range(jobs):
        log = JobLog(folder, f"job_{job}", SystemClock(), limit=2**40)
        for begin in range(job, lines, 1000 * jobs):
            numbers = range(begin, min(begin + 1000 * jobs, lines), jobs)
            log.append(b"".join(_line(number, f"job_{job}") for number in numbers))
        log.close()


def _line(number: int, job: str) -> bytes:
    wanted = number // 8 % 100 == 0
    record: dict[str, Any] = {
        "time": to_text(START + timedelta(milliseconds=number)),
        "level": "ERROR" if wanted else "INFO",
        "job": job,
        "attempt": 1,
        "stream": "log",
        "logger": "app.load",
        "message": f"row {number} {'refused' if wanted else 'loaded'} after 12 ms, é",
        "fields": {"table": "daily" if wanted else "hourly", "rows": number},
    }
    return to_line(record)


def reference(folder: Path, sign: bytes) -> int:
    """How many lines have `sign`; each is decoded."""
    count = 0
    for path in sorted(folder.glob("*.jsonl")):
        with path.open("rb") as file:
            for line in file:
                if sign in line:
                    json.loads(line)
                    count += 1
    return count


def filtered(folder: Path, **given: Any) -> int:
    """How many records are wanted."""
    names = ("level", "since", "until", "grep", "fields")
    chosen = make_filter(*(given.get(name) for name in names), now=START)
    return sum(1 for _ in Reading(folder, None, chosen).records())


def cost(work: Callable[[], int], expected: int) -> float:
    """Seconds."""
    began = time.perf_counter()
    assert work() == expected
    return time.perf_counter() - began


def medians(folder: Path, sign: bytes, given: dict[str, Any], rounds: int) -> tuple[float, float]:
    """Seconds of the plain loop, and of reading logs; one after the other in each round."""
    expected = reference(folder, sign)
    measured = [
        (
            cost(lambda: reference(folder, sign), expected),
            cost(lambda: filtered(folder, **given), expected),
        )
        for _ in range(rounds)
    ]
    plain, logs = (statistics.median(column) for column in zip(*measured, strict=True))
    return plain, logs


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    asked: list[tuple[str, bytes, dict[str, Any]]] = [
        ("grep, a text", b"refused", {"grep": "refused"}),
        ("grep, an expression", b"refused", {"grep": "ref.sed after [0-9]+"}),
        ("level", b'"level":"ERROR"', {"level": "ERROR"}),
        ("field", b'"table":"daily"', {"fields": {"table": "daily"}}),
    ]
    print(f"{'':<24}{'jobs':>6}{'plain s':>10}{'logs s':>10}{'ratio':>8}")
    for jobs in (1, 8):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write(folder, jobs, arguments.lines)
            for label, sign, given in asked:
                plain, logs = medians(folder, sign, given, arguments.rounds)
                print(f"{label:<24}{jobs:>6}{plain:>10.3f}{logs:>10.3f}{logs / plain:>8.2f}")


if __name__ == "__main__":
    main()
