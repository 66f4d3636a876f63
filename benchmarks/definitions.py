"""Reading a definition of 10,000 jobs, against PyYAML's C loader on the same text in the same run.

``parse`` builds plain data that knows where each value stands; ``load`` also validates and builds the
pipeline. Run it with::

    python benchmarks/definitions.py [--jobs N] [--rounds N]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import yaml

import bunsui
from bunsui.dsl.parser import parse


def definition(jobs: int) -> str:
    """A YAML text of `jobs` jobs, six lines each."""
    head = 'version: "1.0"\nname: large\nparameters:\n  - {name: x, type: string, default: y}\njobs:\n'
    return head + "".join(
        f"  - id: job_{i}\n    type: custom\n    command: [python, work.py]\n"
        f"    depends_on: [{f'job_{i - 1}' if i else ''}]\n    parameters:\n      value: ${{x}}\n"
        for i in range(jobs)
    )


def cost(work: Callable[[], object]) -> float:
    """CPU seconds."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    text = definition(arguments.jobs)
    rows = [
        (
            cost(lambda: yaml.load(text, yaml.CSafeLoader)),
            cost(lambda: parse(text)),
            cost(lambda: bunsui.Pipeline.parse(text)),
        )
        for _ in range(arguments.rounds)
    ]
    theirs, parsed, loaded = (statistics.median(column) for column in zip(*rows, strict=True))
    print(f"{arguments.jobs} jobs, {text.count(chr(10))} lines, CPU seconds, medians")
    print(f"yaml.load with CSafeLoader {theirs:7.2f}")
    print(f"parse                      {parsed:7.2f}  ratio {parsed / theirs:.2f}")
    print(f"Pipeline.parse             {loaded:7.2f}  ratio {loaded / theirs:.2f}")


if __name__ == "__main__":
    main()
