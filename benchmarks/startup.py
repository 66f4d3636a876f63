"""What it costs to import bunsui, and to run one job from a cold start.

Whole processes, alternating, so that a machine whose speed drifts slows all of them; the figures are
medians. Run it with::

    python benchmarks/startup.py [--rounds N]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BARE = "pass"
IMPORT = "import bunsui"
TOUCH = "import bunsui; bunsui.Runner; bunsui.Pipeline"
PEERS = "import attrs, pluggy, opentelemetry.trace"
NOOP = """\
version: "1.0"
name: noop
jobs:
  - {id: noop, type: custom, callable: "noop:noop"}
"""


def seconds(command: list[str], folder: str) -> float:
    """Wall time of a process, from its start to its end."""
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = str(Path(name).resolve())
        Path(folder, "pipeline.yaml").write_text(NOOP, encoding="utf-8")
        Path(folder, "noop.py").write_text("def noop():\n    pass\n", encoding="utf-8")
        run = ["-m", "bunsui", "run", "pipeline.yaml"]
        commands = {
            "bare": [sys.executable, "-c", BARE],
            "import": [sys.executable, "-c", IMPORT],
            "touch": [sys.executable, "-c", TOUCH],
            "peers": [sys.executable, "-c", PEERS],
        }
        times: dict[str, list[float]] = {key: [] for key in [*commands, "cold run"]}
        for i in range(rounds + 1):
            for key, command in commands.items():
                times[key].append(seconds(command, folder))
            store = f"sqlite:///{folder}/{i}.db"  # A store of its own: making it is part of a cold run.
            times["cold run"].append(seconds([sys.executable, *run, "--store", store], folder))
        # The first round compiled and cached; it is not counted.
        median = {key: statistics.median(values[1:]) for key, values in times.items()}
    bare = median["bare"]
    print(f"Python {sys.version.split()[0]}, {rounds} rounds, medians")
    print(f"import bunsui, over bare Python          {(median['import'] - bare) * 1000:8.1f} ms  (goal: 60)")
    print(f"with Runner and Pipeline touched         {(median['touch'] - bare) * 1000:8.1f} ms")
    print(f"import attrs, pluggy, opentelemetry.trace{(median['peers'] - bare) * 1000:8.1f} ms")
    ratio = (median["touch"] - bare) / (median["peers"] - bare)
    print(f"ratio of these two                       {ratio:8.2f}     (goal: 1.5)")
    print(f"bunsui run of one no-op job, cold        {median['cold run']:8.3f} s   (goal: 0.6)")


if __name__ == "__main__":
    main()
