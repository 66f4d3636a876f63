"""1,000 sessions at once in one runner: throughput, memory, and whether its heartbeat comes in time.

Each session runs ``first``, then ``flaky``, whose first attempt fails and which waits before its second, then
``last``. The wait holds no thread, so that all sessions are open at the same time with the runner's usual 32
places. Eight threads start them. The lease is 3 seconds, a tenth of the usual one: another process watches
the heartbeat for its largest gap, which has to stay below that. Run it with::

    python benchmarks/sessions.py [--sessions N] [--wait SECONDS] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bunsui
from bunsui.runner.driving import heartbeat
from bunsui.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bunsui.ports.store import Append, Appended

#: Seconds: what a runner without a sign of life for so long loses.
LEASE = 3.0
#: Seconds between two looks of the watcher.
LOOK = 0.02
STARTERS = 8


class CountingStore(SqliteStore):
    """Counts what it makes durable."""

    transactions = commits = 0

    def append(self, appends: Sequence[Append]) -> list[Appended]:
        self.transactions += 1
        self.commits += len(appends)
        return super().append(appends)


def noop() -> None:
    """The job: what is measured is everything around it."""


def flaky() -> None:
    """Fails at its first attempt."""
    if bunsui.current_call().attempt == 1:
        raise ConnectionError


def definition(wait: float) -> bunsui.Pipeline:
    """What every session runs."""
    retry = {"max_attempts": 2, "delay": wait, "jitter": "none"}
    return bunsui.Pipeline(
        name="sessions",
        jobs=[
            bunsui.Job.from_callable(noop, id="first"),
            bunsui.Job.from_callable(flaky, id="flaky", depends_on=["first"], retry=retry),
            bunsui.Job.from_callable(noop, id="last", depends_on=["flaky"]),
        ],
    )


def watch(path: str) -> None:
    """Prints the largest gap between two beats that were seen, and how many; until the input ends."""
    store = SqliteStore(path)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    beat, since, gaps = 0, 0.0, []
    while not ended.wait(LOOK):
        now = time.monotonic()
        for document in store.find(heartbeat.KIND):
            if document.version != beat:
                if beat:
                    gaps.append(now - since)
                beat, since = document.version, now
    print(json.dumps({"gap": max(gaps, default=None), "beats": len(gaps) + 1}))


def resident() -> float:
    """Megabytes of memory that this process has now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


def measure(count: int, wait: float) -> dict[str, Any]:
    """The figures for `count` sessions that wait for `wait` seconds."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        path = Path(folder).resolve() / "bunsui.db"
        store = CountingStore(path)
        with bunsui.Runner(store, lease=LEASE, autoload_plugins=False) as runner:
            pipeline = definition(wait)
            runner.run(definition(0.0)).raise_for_status()  # Imports what runs need.
            before = resident()
            store.transactions = store.commits = 0
            watcher = subprocess.Popen(
                [sys.executable, __file__, "--watch", str(path)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            began = time.perf_counter()
            with ThreadPoolExecutor(STARTERS) as starters:
                sessions = list(starters.map(lambda _: runner.start(pipeline), range(count)))
            started = time.perf_counter() - began
            open_at_once = len(runner.sessions(status="running", limit=count))
            memory = resident() - before
            for session in sessions:
                session.wait()
            seconds = time.perf_counter() - began
            watched = json.loads(watcher.communicate()[0])
            states = [session.state for session in sessions]
    return {
        "sessions": count,
        "open_at_once": open_at_once,
        "start_s": round(started, 2),
        "all_s": round(seconds, 2),
        # The wait is the same for all, and nothing that anybody does.
        "jobs_per_s": round(3 * count / (seconds - wait)),
        "commits": store.commits,
        "transactions": store.transactions,
        "kb_per_session": round(1000 * memory / count, 1),
        "lease_s": LEASE,
        "largest_gap_s": None if watched["gap"] is None else round(watched["gap"], 2),
        "beats": watched["beats"],
        "succeeded": sum(state.status == "succeeded" for state in states),
        "claimed_once": sum(state.epoch == 1 for state in states),
    }


def main() -> None:
    """Measures, and prints each figure with what it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--wait", type=float, default=15.0)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--watch", metavar="PATH", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.watch:
        watch(arguments.watch)
        return
    row = measure(arguments.sessions, arguments.wait)
    goals = {"open_at_once": arguments.sessions, "largest_gap_s": f"under {LEASE:g}"}
    goals |= dict.fromkeys(("succeeded", "claimed_once"), arguments.sessions)
    for name, value in row.items():
        print(f"{name:<16}{value!s:>10}{f'  goal: {goals[name]}' if name in goals else ''}")
    if arguments.json:
        arguments.json.write_text(json.dumps(row, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
