"""A soak: 50,000 jobs through one runner, and whether anything grows that should not.

Batches of sessions of every kind (``mixture.py``) run one after the other in one process: chains, fan-outs,
conditions, retries, failures, processes and commands, sessions that are paused and resumed, and cancelled
ones. The items of a fan-out count as jobs. What the process has is taken every 5,000 jobs, at rest: the
first 10,000 are its warm-up. After it, memory may grow by 5%, and the numbers of file descriptors, threads
and child processes not at all. What the disk holds grows, as histories and logs are kept. Run it with
``nox -s soak``, or::

    python benchmarks/soak.py [--jobs N] [--json FILE] [--as-is]

It ends with 1 where something grew, and says what.

The C library's allocator keeps freed memory for each thread, in arenas and caches, and with 36 threads takes
more than 100,000 jobs to fill them: growth, but of what nobody holds. So the soak has it keep one arena and
no caches, as it can be asked to when a process starts; ``--as-is`` leaves it as programs have it.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import resource
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import attrs
import mixture

import bunsui

#: Jobs between two samples, and of the warm-up.
EVERY, WARM_UP = 5_000, 10_000
#: Part by which memory may grow after the warm-up.
GROWTH = 0.05
#: Has glibc's allocator keep nothing for threads (mallopt(3); "Memory Allocation Tunables" in its manual);
#: other C libraries do not look at it.
ALLOCATOR = {"MALLOC_ARENA_MAX": "1", "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}
#: How many sessions of each shape make a batch, of about 1,000 jobs, and how each of them ends.
BATCH = (
    (mixture.chain, 10, "succeeded"),
    (mixture.fan_out, 4, "succeeded"),
    (mixture.layers, 6, "succeeded"),
    (mixture.failing, 4, "failed"),
    (mixture.processes, 1, "succeeded"),
)
PAUSED, CANCELLED = 2, 3


@attrs.frozen
class Sample:
    """What the process has at rest."""

    jobs: int
    megabytes: float
    descriptors: int
    threads: int
    processes: int
    objects: int


def sample(jobs: int) -> Sample:
    """What this process has now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    children = [path.read_text(encoding="ascii") for path in Path("/proc/self/task").glob("*/children")]
    return Sample(
        jobs=jobs,
        megabytes=round(pages * resource.getpagesize() / 1e6, 1),
        descriptors=sum(1 for _ in Path("/proc/self/fd").iterdir()),
        threads=threading.active_count(),
        processes=len(" ".join(children).split()),
        objects=len(gc.get_objects()),
    )


def kinds() -> Counter[str]:
    """How many objects of each type there are."""
    return Counter(f"{type(found).__module__}.{type(found).__qualname__}" for found in gc.get_objects())


def fill_interned() -> None:
    """Has Python's own table of interned texts grow to the size that it keeps.

    Each part of a Path is interned, the name of a log too, and goes with the Path; but the table notes what
    has gone only when it is made anew, and is then larger by a megabyte, once. Where that happened in the
    middle of a soak, it would look like growth by 2%.
    """
    for i in range(200_000):
        Path(f"part{i}")


def batch(runner: bunsui.Runner, seed: int) -> int:
    """Runs a batch to its end; how many jobs it had."""
    started = [
        (runner.start(mixture.pipeline(shape), {"seed": seed % 10}), end)
        for shape, number, end in BATCH
        for _ in range(number)
    ]
    for _ in range(PAUSED):
        session = runner.start(mixture.pipeline(mixture.chain))
        with contextlib.suppress(bunsui.StateError):  # It has ended before.
            session.pause()
            session.wait()
            session.resume()
        started.append((session, "succeeded"))
    for _ in range(CANCELLED):
        session = runner.start(mixture.pipeline(mixture.waiting))
        session.cancel()
        started.append((session, "cancelled"))
    jobs = 0
    for session, end in started:
        status = session.wait()
        if status != end:
            raise SystemExit(f"session {session.id} of {session.pipeline} ended as {status}, not as {end}")
        jobs += sum(1 + len(state.items or ()) for state in session.jobs.values())
    return jobs


def grown(samples: list[Sample]) -> list[str]:
    """What grew after the warm-up, in words."""
    warm = samples[: next(i for i, one in enumerate(samples, 1) if one.jobs >= WARM_UP)]
    later = samples[len(warm) :]
    found = []
    before, after = warm[-1].megabytes, max((one.megabytes for one in later), default=0.0)
    if after > before * (1 + GROWTH):
        found.append(f"memory grew by {after / before - 1:.1%}, from {before} to {after} MB")
    for name in ("descriptors", "threads", "processes"):
        most = max(getattr(one, name) for one in warm)
        now = max((getattr(one, name) for one in later), default=0)
        if now > most:
            found.append(f"{name} grew from {most} to {now}")
    return found


def soak(runner: bunsui.Runner, jobs: int) -> tuple[list[Sample], Counter[str]]:
    """Runs so many jobs; the samples, and which types have more objects than after the warm-up."""
    header = [field.name for field in attrs.fields(Sample)]
    print("".join(f"{name:>12}" for name in [*header, "seconds"]))
    samples: list[Sample] = []
    warm: Counter[str] = Counter()
    done = seed = 0
    fill_interned()
    began = time.monotonic()
    while done < jobs:
        done += batch(runner, seed)
        seed += 1
        if done >= EVERY * (len(samples) + 1):
            samples.append(sample(done))
            values = [*attrs.astuple(samples[-1]), round(time.monotonic() - began, 1)]
            print("".join(f"{value:>12}" for value in values), flush=True)
            if not warm and done >= WARM_UP:
                warm = kinds()
    return samples, kinds() - warm


def main() -> None:
    """Runs the soak; ends with 1 where something grew."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=50_000, help="more than the warm-up's 10,000")
    parser.add_argument("--json", type=Path, help="also write the samples here")
    parser.add_argument("--as-is", action="store_true", help="leave the allocator as programs have it")
    arguments = parser.parse_args()
    if arguments.jobs <= WARM_UP:
        parser.error(f"--jobs is more than {WARM_UP}, the warm-up")
    if not arguments.as_is and not ALLOCATOR.items() <= os.environ.items():
        # What is for the allocator must be there when a process starts.
        os.execve(sys.executable, sys.orig_argv, os.environ | ALLOCATOR)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        url = f"sqlite:///{Path(folder).resolve()}/bunsui.db"
        pools = {"processes": mixture.PROCESSES}
        # A short lease, so that the heartbeat has its connection to the store within the warm-up.
        with bunsui.Runner(url, pools=pools, lease=3.0, autoload_plugins=False) as runner:
            samples, more = soak(runner, arguments.jobs)
    if arguments.json:
        text = json.dumps([attrs.asdict(one) for one in samples], indent=2)
        arguments.json.write_text(text, encoding="utf-8")
    found = grown(samples)
    if found:
        print("; ".join(found))
        print("objects more than after the warm-up, by type:", more.most_common(12))
        sys.exit(1)
    print("nothing grew")


if __name__ == "__main__":
    main()
