"""Seconds to resume a history of 100,000 events, and the memory that it takes.

Two histories, written through the store with the encoders that a driver uses, in commits as runs leave them:

* items: jobs that fan out over 10,000 items each, a commit for every 50 events;
* attempts: 10,000 jobs of which each fails until its last attempt, a commit for every 4 events.

What is measured, in a process of its own for each round, is from the call of `Runner.resume` until its claim
is durable: reading, decoding and folding the history, and looking at what has yet to run. The reference is
`json.loads` of every commit in the same process, the least that any reader does. Run it with::

    python benchmarks/resume.py [--events N] [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import bunsui
from bunsui.engine import events as ev
from bunsui.model.json import Json
from bunsui.model.session import Failure
from bunsui.ports.store import Append, Commit, Store
from bunsui.runner.attempts.work import idempotency_key
from bunsui.stores.records import body_of, encode_event
from bunsui.stores.sessions import DEFINITION

#: Seconds that a resume may take.
GOAL = 3.0
SESSION = "benchmarkresume1"
JOBS = 10_000
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
OUTPUT = Json.of({"rows": 1200, "path": "bucket/prefix/part-00017.parquet"})
FAILURE = Failure("ConnectionError", "the service did not answer within 10 seconds")


def noop() -> None:
    """The job that is left."""


def definition(ids: list[str], **fields: Any) -> bunsui.Pipeline:
    """A pipeline of these jobs, and of one that waits for all of them."""
    job = {"type": "custom", "callable": "resume:noop"}
    parameters = [{"name": "files", "type": "array", "default": list(range(JOBS))}]
    jobs = [*({"id": name, **job, **fields} for name in ids), {"id": "last", **job, "depends_on": ids}]
    return bunsui.Pipeline.from_dict(
        {"version": "1.0", "name": "benchmark", "parameters": parameters, "jobs": jobs}
    )


def items(events: int) -> tuple[bunsui.Pipeline, Iterator[ev.Event], int]:
    """Fan-outs over 10,000 items; the definition, the facts of its jobs, and how many make a commit."""
    ids = [f"fan{i}" for i in range(max(1, events // (2 * JOBS)))]
    width = events // (2 * len(ids))
    at = BEGAN

    def facts() -> Iterator[ev.Event]:
        nonlocal at
        for job in ids:
            yield ev.FanOutStarted(at, job, width)
            for item in range(width):
                at += timedelta(milliseconds=3)
                yield ev.ItemStarted(at, job, item, 1, idempotency_key(SESSION, job, 1, item))
                yield ev.ItemSucceeded(at + timedelta(milliseconds=2), job, item, 1, OUTPUT)
            yield ev.FanOutSucceeded(at, job)

    return definition(ids, for_each="${files}"), facts(), 50


def attempts(events: int) -> tuple[bunsui.Pipeline, Iterator[ev.Event], int]:
    """Jobs that fail until their last attempt."""
    tries = max(1, events // (2 * JOBS))
    ids = [f"job{i}" for i in range(min(JOBS - 1, events // (2 * tries)))]
    at = BEGAN

    def facts() -> Iterator[ev.Event]:
        nonlocal at
        for job in ids:
            for attempt in range(1, tries + 1):
                at += timedelta(milliseconds=3)
                yield ev.JobStarted(at, job, attempt, idempotency_key(SESSION, job, attempt))
                if attempt < tries:
                    yield ev.AttemptFailed(at, job, attempt, FAILURE, 0.5)
            yield ev.JobSucceeded(at, job, tries, OUTPUT)

    return definition(ids, retry=tries), facts(), 4


HISTORIES = {"items": items, "attempts": attempts}


def write(store: Store, history: str, events: int) -> tuple[int, int]:
    """Writes a session that nobody drives any more; how many events and commits it has."""
    pipeline, facts, size = HISTORIES[history](events)
    store.put(DEFINITION, pipeline.digest, pipeline.to_dict())
    parameters = {"files": list(range(JOBS))}
    commit = [
        ev.SessionCreated(
            BEGAN,
            SESSION,
            pipeline.name,
            pipeline.digest,
            parameters,
            base_dir=str(Path(__file__).resolve().parent),
        ),
        ev.RunnerClaimed(BEGAN, "benchmark", 1),
        ev.SessionStarted(BEGAN),
    ]
    position = written = 0
    last = BEGAN
    while commit:
        position += 1
        body = body_of(map(encode_event, commit))
        (outcome,) = store.append([Append(SESSION, Commit(position, f"benchmark-{position}", body))])
        assert outcome.ok, outcome
        written += len(commit)
        last = commit[-1].at
        commit = list(islice(facts, size))
    body = body_of([encode_event(ev.RunnerReleased(last, 1))])
    store.append([Append(SESSION, Commit(position + 1, "benchmark-released", body))])
    return written + 1, position + 1


def resume(url: str) -> dict[str, float]:
    """One resume in this process."""
    with bunsui.Runner(url, autoload_plugins=False) as runner:
        began = time.perf_counter()
        for commit in runner.store.read(SESSION):
            json.loads(commit.body)
        reference = time.perf_counter() - began
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began, cpu = time.perf_counter(), time.process_time()
        session = runner.session(SESSION)
        session.resume()  # What `Runner.resume` does until the claim is durable; it then waits for the end.
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        session.wait()
        session.raise_for_status()
    return {"seconds": seconds, "cpu": cpu, "reference": reference, "megabytes": (peak - before) / 1024}


def measure(history: str, events: int, rounds: int) -> dict[str, Any]:
    """The medians of `rounds` resumes, each of the same history in a new process."""
    found = []
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name).resolve()
        with bunsui.Runner(f"sqlite:///{folder}/written.db", autoload_plugins=False) as runner:
            written, commits = write(runner.store, history, events)
        for i in range(rounds):
            shutil.copy(folder / "written.db", folder / f"{i}.db")
            child = [sys.executable, __file__, "--child", f"sqlite:///{folder}/{i}.db"]
            found.append(json.loads(subprocess.run(child, check=True, capture_output=True).stdout))
    seconds = [one["seconds"] for one in found]
    return {
        "history": history,
        "events": written,
        "commits": commits,
        "seconds": round(statistics.median(seconds), 2),
        "seconds_max": round(max(seconds), 2),
        # Where others use the machine too, this says more than the seconds do.
        "cpu_s": round(statistics.median(one["cpu"] for one in found), 2),
        "times_json_loads": round(statistics.median(o["seconds"] / o["reference"] for o in found), 1),
        "megabytes": round(statistics.median(one["megabytes"] for one in found), 1),
    }


def main() -> None:
    """Measures both histories and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--child", metavar="URL", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(resume(arguments.child)))
        return
    print(f"resume, from the call to a durable claim; goal: at most {GOAL:g} s for 100,000 events")
    columns = ("s", "max", "cpu s")
    print(f"{'history':<10}{'events':>8}{'commits':>9}", end="")
    print(*(f"{name:>7}" for name in columns), f"{'x json.loads':>14}{'MB more':>9}", sep="")
    results = []
    for history in HISTORIES:
        row = measure(history, arguments.events, arguments.rounds)
        results.append(row)
        print(
            f"{history:<10}{row['events']:>8}{row['commits']:>9}{row['seconds']:>7}{row['seconds_max']:>7}"
            f"{row['cpu_s']:>7}{row['times_json_loads']:>14}{row['megabytes']:>9}"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
