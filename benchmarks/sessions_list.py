"""What it costs to list sessions, and to find one by the beginning of its id, with 100 and 100,000 of them.

The stores hold the index entries and the first commits that sessions of ten pipelines leave. Pages of 50
are taken from the newest end, from the middle and from the oldest, in one process; ``bunsui session list`` is
also run as a whole cold process. A page has to cost the same in both stores, and a cold listing of 10,000 at
most 0.5 seconds. ``rare status`` looks for what one session in a store has: all entries are looked at. Run it
with::

    python benchmarks/sessions_list.py [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from base64 import b32encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bunsui
from bunsui.model.times import to_text
from bunsui.ports.store import Append, Commit, Put
from bunsui.runner.sessions import index
from bunsui.stores.sqlite import SqliteStore

SIZES = (100, 10_000, 100_000)
PIPELINES = 10
PAGE = 50


def fill(path: Path, count: int) -> list[str]:
    """Makes a store of `count` sessions, and returns their ids, oldest first."""
    store = SqliteStore(path)
    begin = datetime.now(UTC) - timedelta(seconds=count)
    ids = [b32encode(secrets.token_bytes(10)).decode().lower() for _ in range(count)]
    for start in range(0, count, 1000):
        appends = []
        for n in range(start, min(start + 1000, count)):
            at, pipeline = to_text(begin + timedelta(seconds=n)), f"pipeline {n % PIPELINES}"
            value = {
                "pipeline": pipeline,
                "status": "timed_out" if n == 0 else "succeeded",
                **dict.fromkeys(("created_at", "started_at", "finished_at"), at),
                "jobs": {"succeeded": 12},
                "held_by": None,
            }
            groups = ((index.ALL, at), (index.pipeline_group(pipeline), at))
            document = Put(index.KIND, ids[n], value, groups)
            appends.append(Append(ids[n], Commit(1, f"c{n}", "x" * 2000), document))
        store.append(appends)
    store.checkpoint()
    store.close()
    return ids


def milliseconds(call: Callable[[], Any], rounds: int) -> float:
    """The median of a call, after one that is not counted."""
    times = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:]) * 1000


def cold(path: Path, *options: str) -> None:
    """The whole command."""
    command = [sys.executable, "-m", "bunsui", "session", "list", *options, "--store", f"sqlite:///{path}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def measure(folder: Path, count: int, rounds: int) -> dict[str, float]:
    """The figures for a store of `count` sessions, in milliseconds."""
    path = folder / f"{count}.db"
    ids = fill(path, count)
    with bunsui.Runner(f"sqlite:///{path}", autoload_plugins=False) as runner:
        middle = runner.sessions(limit=count // 2)[-1].cursor
        oldest = runner.sessions(limit=count - PAGE)[-1].cursor
        calls: dict[str, Callable[[], Any]] = {
            "newest page": lambda: runner.sessions(limit=PAGE),
            "middle page": lambda: runner.sessions(limit=PAGE, after=middle),
            "oldest page": lambda: runner.sessions(limit=PAGE, after=oldest),
            "of a pipeline": lambda: runner.sessions(pipeline="pipeline 3", limit=PAGE),
            "common status": lambda: runner.sessions(status="succeeded", limit=PAGE),
            "rare status": lambda: runner.sessions(status="timed_out", limit=PAGE),
            "id of 8 signs": lambda: index.beginning(runner.store, ids[count // 2][:8], 11),
        }
        figures = {name: milliseconds(call, rounds) for name, call in calls.items()}
    figures["cold"] = milliseconds(lambda: cold(path), max(rounds // 3, 3))
    figures["cold, pipeline"] = milliseconds(
        lambda: cold(path, "--pipeline", "pipeline 3"), max(rounds // 3, 3)
    )
    return figures


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as folder:
        found = {size: measure(Path(folder).resolve(), size, arguments.rounds) for size in SIZES}
    print(f"{'milliseconds, medians':<24}{''.join(f'{size:>12,}' for size in SIZES)}")
    for name in found[SIZES[0]]:
        goal = {"cold": "   goal: 500 at 10,000", "rare status": "   all are looked at"}.get(name, "")
        print(f"{name:<24}{''.join(f'{found[size][name]:>12.2f}' for size in SIZES)}{goal}")
    print("goal: but for a rare status, the same with 100,000 sessions as with 100")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
