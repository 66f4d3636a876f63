"""Jobs per second of the embedded engine, against a plain durable loop in the same run.

The reference ("floor") is graphlib and a thread pool with one SQLite commit for each completed job, at the
same durability: write-ahead log and synchronous=FULL. Run it with::

    python benchmarks/engine.py [--rounds N] [--json FILE]

Rounds alternate between the two, so that a machine whose speed drifts slows both; the figures are medians
of the rounds' ratios. The collector has been through all that was imported before the clock starts: what one
pass over that takes, 15 to 20 ms here, would else fall into some rounds and not into others. No figure is
asserted anywhere.
"""

from __future__ import annotations

import argparse
import gc
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from graphlib import TopologicalSorter
from pathlib import Path
from queue import SimpleQueue

import shapes

import bunsui

THREADS = 32


def noop() -> None:
    """The job: what is measured is everything around it."""


def floor(shape: shapes.Shape, folder: Path) -> float:
    """Seconds that the plain durable loop takes."""
    connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE done (job TEXT PRIMARY KEY, at REAL)")
    done: SimpleQueue[str] = SimpleQueue()

    def work(job: str) -> None:
        noop()
        done.put(job)

    with ThreadPoolExecutor(THREADS) as pool:
        gc.collect()
        began = time.perf_counter()
        order = TopologicalSorter(shape)
        order.prepare()
        while order.is_active():
            for job in order.get_ready():
                pool.submit(work, job)
            job = done.get()
            connection.execute("INSERT INTO done VALUES (?, ?)", (job, time.time()))
            order.done(job)
        seconds = time.perf_counter() - began
    connection.close()
    return seconds


def ours(definition: Path, folder: Path) -> float:
    """Seconds that `Runner.run` takes, session creation and end included, in a new store.

    What is outside: reading and checking the definition (benchmarks/definitions.py), and a run of one job
    before, which makes the file (as the reference's does) and imports what runs need.
    """
    with bunsui.Runner(f"sqlite:///{folder}/bunsui.db", autoload_plugins=False) as runner:
        runner.run(bunsui.Pipeline(name="warm", jobs=[bunsui.Job.from_callable(noop)]))
        pipeline = runner.load(definition)
        gc.collect()
        began = time.perf_counter()
        session = runner.run(pipeline)
        seconds = time.perf_counter() - began
        session.raise_for_status()
    return seconds


def write_definition(shape: shapes.Shape, folder: Path) -> Path:
    """A pipeline of no-op callables with this shape, as a file."""
    jobs = [
        {"id": job, "type": "custom", "callable": "engine:noop", "depends_on": upstream}
        for job, upstream in shape.items()
    ]
    file = folder / "pipeline.json"
    file.write_text(json.dumps({"version": "1.0", "name": "benchmark", "jobs": jobs}), encoding="utf-8")
    return file


def measure(name: str, shape: shapes.Shape, rounds: int) -> dict[str, float | str | int]:
    """The medians of `rounds` rounds of both."""
    pairs = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir=".") as name:
            folder = Path(name).resolve()
            pairs.append((floor(shape, folder), ours(write_definition(shape, folder), folder)))
    return {
        "shape": name,
        "jobs": len(shape),
        "floor_jobs_per_s": round(len(shape) / statistics.median(f for f, _ in pairs)),
        "bunsui_jobs_per_s": round(len(shape) / statistics.median(o for _, o in pairs)),
        "ratio": round(statistics.median(f / o for f, o in pairs), 2),
        "ratio_min": round(min(f / o for f, o in pairs), 2),
        "ratio_max": round(max(f / o for f, o in pairs), 2),
    }


def main() -> None:
    """Measures every shape and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--only", help="only this shape")
    arguments = parser.parse_args()
    named = {
        "chain of 200": shapes.chain(),
        "1 -> 1000 -> 1": shapes.fan(),
        "layered 1000 in 20": shapes.layered(),
        **shapes.workflows(),
    }
    print(f"Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}, {THREADS} threads")
    print(f"{'shape':<40}{'jobs':>6}{'floor/s':>9}{'bunsui/s':>10}{'ratio':>7}  min-max")
    results = []
    for name, shape in named.items():
        if arguments.only and arguments.only not in name:
            continue
        row = measure(name, shape, arguments.rounds)
        results.append(row)
        print(
            f"{name:<40}{row['jobs']:>6}{row['floor_jobs_per_s']:>9}{row['bunsui_jobs_per_s']:>10}"
            f"{row['ratio']:>7}  {row['ratio_min']}-{row['ratio_max']}"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
