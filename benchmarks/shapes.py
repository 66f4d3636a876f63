"""DAG shapes for the benchmarks: job id to the ids it waits for."""

from __future__ import annotations

import json
import re
from pathlib import Path

Shape = dict[str, list[str]]
WORKFLOWS = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "workflows"


def chain(length: int = 200) -> Shape:
    """One after the other."""
    return {f"j{i}": [f"j{i - 1}"] if i else [] for i in range(length)}


def fan(width: int = 1000) -> Shape:
    """1 -> width -> 1."""
    middle = [f"m{i}" for i in range(width)]
    return {"first": [], **{job: ["first"] for job in middle}, "last": middle}


def layered(jobs: int = 1000, layers: int = 20) -> Shape:
    """Layers of equal width; each job waits for three of the layer before."""
    width = jobs // layers
    shape: Shape = {}
    for layer in range(layers):
        for i in range(width):
            parents = {f"l{layer - 1}_{(i + k * 7) % width}" for k in range(3)} if layer else set()
            shape[f"l{layer}_{i}"] = sorted(parents)
    return shape


def workflow(path: Path) -> Shape:
    """A real workflow; ids are mapped to what a definition allows."""
    tasks = json.loads(path.read_text(encoding="utf-8"))["tasks"]
    ids: dict[str, str] = {}
    for i, task in enumerate(tasks):
        ids[task["id"]] = f"t{i}_" + re.sub(r"[^A-Za-z0-9_-]", "_", task["id"])[:40]
    return {ids[task["id"]]: [ids[parent] for parent in task["parents"]] for task in tasks}


def workflows() -> dict[str, Shape]:
    """The real workflows of the test fixtures, by name."""
    return {path.stem: workflow(path) for path in sorted(WORKFLOWS.glob("*.json"))}
