"""What a test of a pipeline costs: `run_pipeline` with 10 stubbed jobs, at most 20 ms after the first.

Three shapes of ten jobs: a chain, ten side by side, and a chain in which each job fails once and waits an
hour before its second attempt. Run it with::

    python benchmarks/run_pipeline.py [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

from bunsui import JobError, Pipeline
from bunsui.testing import in_turn, run_pipeline

JOBS = 10
#: Milliseconds.
GOAL = 20


def pipeline(*, chained: bool, retry: dict[str, Any] | None = None) -> Pipeline:
    """Ten jobs, one after the other or side by side."""
    jobs: list[dict[str, Any]] = []
    for n in range(JOBS):
        job: dict[str, Any] = {"id": f"job{n}", "type": "lambda", "function": f"function{n}"}
        if chained and n:
            job |= {
                "depends_on": [f"job{n - 1}"],
                "parameters": {"rows": f"${{jobs.job{n - 1}.output.rows}}"},
            }
        if retry is not None:
            job["retry"] = retry
        jobs.append(job)
    return Pipeline.from_dict({"version": "1.0", "name": "ten", "jobs": jobs})


def milliseconds(made: Pipeline, stub: Any, rounds: int) -> tuple[float, float, float]:
    """The first run, and the median and the slowest of the others."""
    times = []
    for _ in range(rounds + 1):
        stubs = {job.id: stub() for job in made.jobs}
        began = time.perf_counter()
        run_pipeline(made, stubs=stubs).raise_for_status()
        times.append((time.perf_counter() - began) * 1000)
    return times[0], statistics.median(times[1:]), max(times[1:])


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    patient = {"max_attempts": 2, "delay": 3600, "max_delay": 3600}
    cases = {
        "a chain of 10": (pipeline(chained=True), lambda: {"rows": 3}),
        "10 side by side": (pipeline(chained=False), lambda: {"rows": 3}),
        "10 that fail once": (
            pipeline(chained=True, retry=patient),
            lambda: in_turn(JobError("busy", code="Busy"), {"rows": 3}),
        ),
    }
    found = {name: milliseconds(made, stub, arguments.rounds) for name, (made, stub) in cases.items()}
    print(f"{'milliseconds':<20}{'first':>10}{'median':>10}{'slowest':>10}")
    for name, (first, median, slowest) in found.items():
        print(f"{name:<20}{first:>10.1f}{median:>10.2f}{slowest:>10.1f}")
    print(f"goal: a median of {GOAL} at most after the first")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
