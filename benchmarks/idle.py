"""What idle sessions cost, and how soon their runner sees what another process asks for.

A process drives 1, 100 and 1,000 sessions, each with a job that waits for an event in a thread of its own
(``max_concurrency`` is the number of sessions, so that all jobs run). While nothing happens, its processor
time is taken over some seconds, and before that the time of a bare loop that asks SQLite as often whether
anything has changed: where a neighbour empties the caches of the machine, any waking costs many times as
much, that loop's too. Then this process, which shares nothing with it but the store, pauses and
cancels sessions; a call returns once the request is in the session's history. Run it with::

    python benchmarks/idle.py [--seconds S] [--requests N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bunsui
from bunsui.runner.driving.tempo import TICK

#: Part of one core that idle sessions may take, and seconds until a request is in the history.
CPU_GOAL, SEEN_GOAL = 0.01, 1.0
#: Seconds in which what the start of the sessions left to do comes to an end.
SETTLE = 3.0
COUNTS = (1, 100, 1000)
_gate = threading.Event()


def wait() -> None:
    """The job: idle until the process is told to end."""
    _gate.wait()


def share(work: Callable[[], None]) -> float:
    """Processor time of this process while it does `work`, as a part of the time that passes."""
    before, began = time.process_time(), time.monotonic()
    work()
    return (time.process_time() - before) / (time.monotonic() - began)


def ask_only(seconds: float) -> None:
    """The reference: asks SQLite, as often as a driver does, whether another process has written."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        connection = sqlite3.connect(f"{folder}/bare.db")
        connection.execute("CREATE TABLE bare (x)")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(TICK)
            connection.execute("PRAGMA data_version").fetchone()
        connection.close()


def drive(url: str, count: int, seconds: float) -> None:
    """The process with the sessions: prints its share of a core, and waits until its input ends."""
    bare = share(lambda: ask_only(seconds))
    with bunsui.Runner(url, max_concurrency=count, autoload_plugins=False) as runner:
        pipeline = bunsui.Pipeline(name="idle", jobs=[bunsui.Job.from_callable(wait)])
        sessions = [runner.start(pipeline).id for _ in range(count)]
        time.sleep(SETTLE)
        idle = share(lambda: time.sleep(seconds))
        print(json.dumps({"cpu": idle, "bare": bare, "sessions": sessions}), flush=True)
        sys.stdin.read()
        _gate.set()


def ask(runner: bunsui.Runner, session_id: str, action: str) -> float:
    """Seconds from the call until the request is in the history."""
    session = runner.session(session_id)
    began = time.perf_counter()
    getattr(session, action)()
    return time.perf_counter() - began


def measure(count: int, seconds: float, requests: int) -> dict[str, Any]:
    """The figures for `count` sessions."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        url = f"sqlite:///{Path(folder).resolve()}/bunsui.db"
        command = [sys.executable, __file__, "--child", url, str(count), "--seconds", str(seconds)]
        with (
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
            bunsui.Runner(url, autoload_plugins=False) as runner,
        ):
            assert process.stdout is not None
            found = json.loads(process.stdout.readline())
            ids = found["sessions"][:: max(1, count // requests)][:requests]
            # One session after the other, and for each its pause before its end.
            seen = [ask(runner, one, action) for one in ids for action in ("pause", "cancel")]
            process.communicate()
    return {
        "sessions": count,
        "cpu_percent": round(100 * found["cpu"], 2),
        "bare_percent": round(100 * found["bare"], 2),
        "seen_s": round(statistics.median(seen), 3),
        "seen_max_s": round(max(seen), 3),
        "requests": len(seen),
    }


def main() -> None:
    """Measures each number of sessions and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--requests", type=int, default=20, help="sessions that are paused and cancelled")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        url, count = arguments.child
        drive(url, int(count), arguments.seconds)
        return
    print(f"idle sessions; goals: under {CPU_GOAL:.0%} of a core, requests seen within {SEEN_GOAL:g} s")
    print(f"{'sessions':>8}{'% of a core':>13}{'bare loop':>11}{'seen, s':>9}{'max':>7}{'requests':>10}")
    results = []
    for count in COUNTS:
        row = measure(count, arguments.seconds, arguments.requests)
        results.append(row)
        print(
            f"{row['sessions']:>8}{row['cpu_percent']:>13}{row['bare_percent']:>11}{row['seen_s']:>9}{row['seen_max_s']:>7}"
            f"{row['requests']:>10}"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
