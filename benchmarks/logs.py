"""What logs cost: writing them, masking secrets in them, finding something in them, a flood of output.

Each figure is set against what Python does without bunsui on the same lines, alternating; medians. Run it::

    python benchmarks/logs.py [--rounds N] [--lines N]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bunsui import Job, Pipeline, Runner
from bunsui.local.redaction import Redactor
from bunsui.logging.attempt import AttemptLog
from bunsui.logging.collector import Collector
from bunsui.logging.log_store import LogStore
from bunsui.runner.clock import SystemClock

#: What the example of a grep has, in one line of a hundred.
WORD = "timeout"


def lines(count: int) -> list[str]:
    """Lines as a job prints them; one in a hundred has WORD."""
    return [
        f"{i:07} processed part-{i % 97:04}.csv of analytics.daily in {i % 613} ms"
        f"{f', {WORD} of the first try' if i % 100 == 0 else ', key=abc/def+ghi'}"
        for i in range(count)
    ]


def seconds(call: Callable[[], object]) -> float:
    """Wall time of a call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def medians(rounds: int, **calls: Callable[[], object]) -> dict[str, float]:
    """Seconds of each call, in turn."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(seconds(call))
    return {name: statistics.median(each) for name, each in times.items()}


class Writing:
    """Ways to get the same lines into a file; each of them through the same pipe of a process, or without."""

    def __init__(self, folder: Path, text: bytes) -> None:
        self.folder = folder
        self.text = text
        self.source = folder / "source"
        self.source.write_bytes(text)
        self.count = 0

    def plain(self) -> None:
        """Python writes line by line."""
        with (self.folder / "plain").open("w", encoding="utf-8") as file:
            for line in self.text.decode().splitlines(keepends=True):
                file.write(line)

    def log(self, redactor: Redactor | None = None) -> None:
        """A pipe into the log of a job, of a size that does not meet its limit."""
        self.count += 1
        collector, clock = Collector(), SystemClock()
        name = self.folder / "logs" / str(self.count)
        log = AttemptLog(LogStore(clock), collector, clock, name, "a", 1, redactor=redactor)
        with log.streams() as pipes, self.source.open("rb") as source:
            while chunk := source.read(1 << 16):
                rest = memoryview(chunk)
                while rest:
                    rest = rest[os.write(pipes.stdout, rest) :]
        log.close()
        collector.close()
        kept = sum(path.stat().st_size for path in name.glob("*.jsonl"))
        assert kept > len(self.text), "the log is not complete"
        for path in name.iterdir():
            path.unlink()


def secrets(count: int) -> list[str]:
    """Secrets as they are: from 8 to 40 characters, with such as encodings change."""
    letters = string.ascii_letters + string.digits + "+/=&\"'<"
    source = random.Random(1)
    return ["".join(source.choice(letters) for _ in range(source.randint(8, 40))) for _ in range(count)]


def masking(text: bytes, redactor: Redactor) -> None:
    """Masks as the log of a process does."""
    stream = redactor.stream()
    assert stream is not None
    for at in range(0, len(text), 1 << 16):
        stream.feed(text[at : at + (1 << 16)])
    stream.feed(b"", ends=True)


BASELINE = """
import json, subprocess, sys
out = subprocess.run(["grep", "-h", sys.argv[1], *sys.argv[2:]], capture_output=True, check=True).stdout
found = [json.loads(line) for line in out.splitlines()]
sys.stdout.write("".join(f"{each['time']} {each['message']}\\n" for each in found))
"""

FLOOD = """
import sys
line = b"x" * 99 + b"\\n"
for _ in range(int(sys.argv[1]) // (len(line) * 1000)):
    sys.stdout.buffer.write(line * 1000)
"""


def filtering(folder: Path, count: int, rounds: int) -> dict[str, float]:
    """`logs filter` over a session's log, and grep with json.loads of what it finds, as whole processes."""
    store = f"sqlite:///{folder}/filter.db"
    (folder / "source.txt").write_text("\n".join(lines(count)) + "\n", encoding="utf-8")
    with Runner(store) as runner:
        # Of several jobs: the log of one has a limit.
        parts = [f"split -n l/{part}/4 {folder / 'source.txt'}" for part in range(1, 5)]
        jobs = [Job(f"a{i}", "custom", command=part.split()) for i, part in enumerate(parts)]
        session = runner.run(Pipeline("filter", jobs))
    files = sorted(map(str, session.log_folder.glob("a*.jsonl")))
    found = subprocess.run(
        [sys.executable, "-m", "bunsui", "logs", "filter", session.id, "--grep", WORD, "--store", store],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    kept = sum(Path(file).read_bytes().count(WORD.encode()) for file in files)
    assert kept == found.count("\n"), (kept, found.count("\n"))

    def run(*argv: str) -> Callable[[], object]:
        return lambda: subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)

    command = (sys.executable, "-m", "bunsui", "logs", "filter", session.id, "--store", store)
    tail = (*command[:4], "tail", *command[5:], "-n", "0")
    figures = medians(
        rounds,
        baseline=run(sys.executable, "-c", BASELINE, WORD, *files),
        command=run(*command, "--grep", WORD),
        regex=run(*command, "--grep", "time.*of"),
        start=run(*tail),
        library=lambda: sum(1 for _ in session.logs(grep=WORD)),
        grep=lambda: _grep_here(files),
    )
    figures["bytes"] = sum(Path(file).stat().st_size for file in files)
    return figures


def _grep_here(files: list[str]) -> int:
    """grep, and json.loads in this process of what it finds."""
    out = subprocess.run(["grep", "-h", WORD, *files], capture_output=True, check=True).stdout
    return len([json.loads(line) for line in out.splitlines()])


def flood(folder: Path, size: int) -> int:
    """Bytes by which the memory of this process grows while a command writes so many to its stdout."""
    with Runner(f"sqlite:///{folder}/flood.db") as runner:
        runner.run(Pipeline("warm", [Job("a", "custom", command=["python", "-c", FLOOD, "1000000"])]))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        took = seconds(
            lambda: runner.run(
                Pipeline("flood", [Job("a", "custom", command=["python", "-c", FLOOD, str(size)])])
            )
        )
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    print(f"{size / 1e9:.1f} GB of stdout: {took:.1f} s, {grown / 1e6:.1f} MB more memory (at most 50)")
    return grown


def main() -> None:
    """Measures and prints what is promised, beside what it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lines", type=int, default=1_000_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name).resolve()
        flood(folder, 1_000_000_000)
        text = ("\n".join(lines(min(given.lines, 400_000))) + "\n").encode()
        ways, redactor = Writing(folder, text), Redactor(secrets(100))
        took = medians(
            given.rounds,
            plain=ways.plain,
            log=ways.log,
            masked=lambda: ways.log(redactor),
            masking=lambda: masking(text, redactor),
        )
        size = len(text) / 1e6
        print(
            f"plain writes {size / took['plain']:.0f} MB/s, log {size / took['log']:.0f} MB/s:"
            f" {took['plain'] / took['log']:.2f} of it (at least 0.1)"
        )
        print(
            f"masking 100 secrets {size / took['masking']:.0f} MB/s (at least 20);"
            f" a log with it costs {took['masked'] / took['log']:.2f} times as much (at most 2)"
        )
        took = filtering(folder, given.lines, given.rounds)
        print(
            f"{given.lines:,} lines, {took['bytes'] / 1e6:.0f} MB, 1% match: grep and json.loads"
            f" {took['grep']:.2f} s, Session.logs {took['library']:.2f} s:"
            f" {took['library'] / took['grep']:.2f} times (at most 1.5)"
        )
        print(
            f"as commands: grep and json.loads {took['baseline']:.2f} s, logs filter {took['command']:.2f} s,"
            f" with a regular expression {took['regex']:.2f} s; {took['start']:.2f} s of that to start"
        )


if __name__ == "__main__":
    main()
