"""All benchmarks, one after the other, as one page with the machine and the date.

Nothing else should run beside it; it takes about half an hour. Run it with::

    python benchmarks/report.py [-o FILE] [--only NAME]...

Without ``-o`` the page goes to stdout; ``docs/performance/figures.md`` is the last one that was kept.
"""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
#: In this order: those that others disturb most come first.
BENCHMARKS = (
    "startup",
    "engine",
    "telemetry",
    "definitions",
    "run_pipeline",
    "plugins",
    "logs",
    "logs_filter",
    "sessions_list",
    "resume",
    "idle",
    "sessions",
    "soak",
)


def machine() -> list[str]:
    """What it is measured on, a line each."""
    model = platform.processor() or platform.machine()
    kind = "?"
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        below = [mount for mount in mounts if Path(tempfile.gettempdir()).is_relative_to(mount[1])]
        kind = max(below, key=lambda mount: len(mount[1]))[2]
    except OSError:  # Not Linux.
        pass
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return [
        f"{os.cpu_count()} x {model}, {memory:.0f} GiB, {platform.system()} {platform.release()}",
        f"temporary files on {kind}",
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, PyYAML {version('pyyaml')}",
    ]


def measured(name: str) -> str:
    """The section of one benchmark."""
    path = FOLDER / f"{name}.py"
    began, load = time.monotonic(), os.getloadavg()[0]
    print(f"{name} ...", file=sys.stderr, flush=True)
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=False)
    lines = path.read_text(encoding="utf-8").split('"""')[1].splitlines()
    end = "" if not done.returncode else f"\nended with {done.returncode}: {done.stderr[-2000:]}"
    took = f"{time.monotonic() - began:.0f} s; load when it began: {load:.1f}"
    return f"## {name}.py\n\n{lines[0]}\n\n```text\n{done.stdout.rstrip()}{end}\n```\n\n({took})\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--only", action="append", choices=BENCHMARKS)
    arguments = parser.parse_args()
    head = [
        "# Figures",
        f"<!-- Written by benchmarks/report.py. -->\n\nMeasured on {datetime.now(UTC):%Y-%m-%d}, bunsui"
        f" {version('bunsui')}:",
        "\n".join(f"- {line}" for line in machine()),
        "Each benchmark says in its first lines what it does; ratios are to a reference in the same run.",
    ]
    sections = [measured(name) for name in arguments.only or BENCHMARKS]
    page = "\n\n".join([*head, *sections]).rstrip() + "\n"
    if arguments.output is None:
        print(page, end="")
    else:
        arguments.output.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
