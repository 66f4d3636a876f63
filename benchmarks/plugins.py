"""Jobs per second with 20 plugins that observe events, against none, in the same run.

Each plugin is an object with the hook ``bunsui_session_event``, and does what most observers do: it looks at
what kind of event it is, and counts it under the session. The jobs are no-ops, so that observers have the
least that they can hide behind. Run it with::

    python benchmarks/plugins.py [--rounds N] [--plugins N] [--json FILE]

Rounds alternate between the two, so that a machine whose speed drifts slows both, and swap who is first; the
figures are medians of the rounds' ratios. The time ends when the session does; whether the observers had seen
all of it once the runner was closed is checked.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import engine
import shapes

import bunsui

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The part of the jobs/s with none that is to be left.
GOAL = 0.8


class Observing:
    """A plugin."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[str, str]] = Counter()

    @bunsui.hookimpl
    def bunsui_session_event(self, session_id: str, event: Any) -> None:
        self.seen[session_id, type(event).__name__] += 1


def seconds_of(definition: Path, store: str, plugins: Sequence[Observing]) -> float:
    """Seconds that `Runner.run` takes with these plugins; see benchmarks/engine.py for what is outside."""
    with bunsui.Runner(store, plugins=plugins, autoload_plugins=False) as runner:
        runner.run(bunsui.Pipeline(name="warm", jobs=[bunsui.Job.from_callable(engine.noop)]))
        pipeline = runner.load(definition)
        began = time.perf_counter()
        session = runner.run(pipeline)
        seconds = time.perf_counter() - began
        session.raise_for_status()
        count = len(list(session.events()))
    for plugin in plugins:
        seen = sum(number for (session_id, _), number in plugin.seen.items() if session_id == session.id)
        if seen != count:
            sys.exit(f"an observer saw {seen} of {count} events")
    return seconds


def measure(name: str, shape: shapes.Shape, store: str, rounds: int, count: int) -> dict[str, Any]:
    """The medians of `rounds` rounds of both."""
    pairs = []
    for number in range(rounds):
        taken = {}
        for plugins in (0, count) if number % 2 else (count, 0):
            with tempfile.TemporaryDirectory(dir=".") as folder:
                definition = engine.write_definition(shape, Path(folder).resolve())
                url = store.format(Path(folder).resolve())
                taken[plugins] = seconds_of(definition, url, [Observing() for _ in range(plugins)])
        pairs.append((taken[0], taken[count]))
    return {
        "shape": name,
        "store": store.partition(":")[0],
        "jobs": len(shape),
        "plugins": count,
        "none_jobs_per_s": round(len(shape) / statistics.median(none for none, _ in pairs)),
        "plugins_jobs_per_s": round(len(shape) / statistics.median(with_ for _, with_ in pairs)),
        "ratio": round(statistics.median(none / with_ for none, with_ in pairs), 2),
        "ratio_min": round(min(none / with_ for none, with_ in pairs), 2),
        "ratio_max": round(max(none / with_ for none, with_ in pairs), 2),
    }


def main() -> None:
    """Measures some shapes and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--plugins", type=int, default=20)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    named = {
        "chain of 200": shapes.chain(),
        "1 -> 1000 -> 1": shapes.fan(),
        "layered 1000 in 20": shapes.layered(),
    }
    print(f"Python {sys.version.split()[0]}, {arguments.plugins} plugins with observers, goal {GOAL:g} x")
    print(f"{'shape':<22}{'store':<8}{'jobs':>6}{'none/s':>9}{'plugins/s':>11}{'ratio':>7}  min-max")
    results = []
    for store in ("sqlite:///{}/bunsui.db", "memory://"):
        for name, shape in named.items():
            row = measure(name, shape, store, arguments.rounds, arguments.plugins)
            results.append(row)
            print(
                f"{name:<22}{row['store']:<8}{row['jobs']:>6}{row['none_jobs_per_s']:>9}"
                f"{row['plugins_jobs_per_s']:>11}{row['ratio']:>7}  {row['ratio_min']}-{row['ratio_max']}"
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
