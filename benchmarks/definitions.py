"""Reading definitions of up to 10,000 jobs, against PyYAML's C loader on the same text in the same run.

``parse`` builds plain data that knows where each value stands; ``load`` also validates and builds the
pipeline. The ``rich`` definition has conditions, fan-outs and a template. Run it with::

    python benchmarks/definitions.py [--jobs N] [--rounds N]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import yaml

import bunsui
from bunsui.dsl.parser import parse

HEAD = 'version: "1.0"\nname: large\nparameters:\n  - {name: x, type: string, default: y}\n'
TEMPLATES = """\
templates:
  step:
    inputs: [{name: script, required: true}]
    type: custom
    command: [python, "${inputs.script}"]
    retry: 3
"""


def plain(jobs: int) -> str:
    """A YAML text of `jobs` jobs, six lines each."""
    return f"{HEAD}jobs:\n" + "".join(
        f"  - id: job_{i}\n    type: custom\n    command: [python, work.py]\n"
        f"    depends_on: [{f'job_{i - 1}' if i else ''}]\n    parameters:\n      value: ${{x}}\n"
        for i in range(jobs)
    )


def rich(jobs: int) -> str:
    """A YAML text of `jobs` jobs, six lines each, with a template, conditions, fan-outs and outputs."""
    return f"{HEAD}{TEMPLATES}jobs:\n" + "".join(
        f"  - id: job_{i}\n    template: step\n    with: {{script: work_{i}.py}}\n"
        + (
            f'    depends_on: [job_{i - 1}]\n    condition: ${{jobs.job_{i - 1}.status}} == "succeeded"\n'
            f"    parameters: {{value: '${{jobs.job_{max(i - 2, 0)}.output}}'}}\n"
            if i
            else "    for_each: [1, 2, 3]\n    max_concurrency: 2\n    parameters: {value: '${item}'}\n"
        )
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
    jobs = arguments.jobs
    text, small, full = plain(jobs), plain(jobs // 100), rich(jobs)
    as_json = json.dumps(yaml.load(text, yaml.CSafeLoader), indent=2)
    rows = [
        (
            cost(lambda: yaml.load(text, yaml.CSafeLoader)),
            cost(lambda: parse(text)),
            cost(lambda: bunsui.Pipeline.parse(text)),
            cost(lambda: bunsui.Pipeline.parse(as_json, "json")),
            cost(lambda: [bunsui.Pipeline.parse(small) for _ in range(10)]) / 10,
            cost(lambda: yaml.load(full, yaml.CSafeLoader)),
            cost(lambda: bunsui.Pipeline.parse(full)),
        )
        for _ in range(arguments.rounds)
    ]
    theirs, parsed, loaded, from_json, hundredth, theirs_full, loaded_full = (
        statistics.median(column) for column in zip(*rows, strict=True)
    )
    print(f"{jobs} jobs, {text.count(chr(10))} lines, CPU seconds, medians of {arguments.rounds}")
    print(f"yaml.load with CSafeLoader       {theirs:7.3f}")
    print(f"parse                            {parsed:7.3f}  {parsed / theirs:5.2f} x yaml.load")
    print(f"Pipeline.parse                   {loaded:7.3f}  {loaded / theirs:5.2f} x yaml.load (goal 1.0)")
    print(
        f"Pipeline.parse of JSON           {from_json:7.3f}  {from_json / loaded:5.2f} x the YAML (goal 0.75)"
    )
    grows = loaded / hundredth
    print(f"Pipeline.parse of {jobs // 100:5} jobs     {hundredth:7.3f}  x 100: {grows:.0f} x (goal 144)")
    print(f"yaml.load of the rich one        {theirs_full:7.3f}")
    print(
        f"Pipeline.parse of the rich one   {loaded_full:7.3f}  {loaded_full / theirs_full:5.2f} x yaml.load"
    )


if __name__ == "__main__":
    main()
