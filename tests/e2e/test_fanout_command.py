"""`bunsui run` of jobs that fan out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

TASKS = """
def work(x):
    if x == 2:
        raise ValueError("no two")
    return x
"""


def run(folder: Path, *arguments: str, **items: list[int]) -> subprocess.CompletedProcess[str]:
    """Runs a pipeline with one job for each of these lists; 2 fails, and is tried twice."""
    (folder / "tasks.py").write_text(TASKS, encoding="utf-8")
    jobs: list[dict[str, Any]] = [
        {
            "id": name,
            "type": "custom",
            "callable": "tasks:work",
            "for_each": values,
            "parameters": {"x": "${item}"},
            "retry": {"max_attempts": 2, "delay": 0},
        }
        for name, values in items.items()
    ]
    definition = {"version": "1.0", "name": "fans", "jobs": jobs}
    (folder / "p.json").write_text(json.dumps(definition), encoding="utf-8")
    store = f"sqlite:///{folder}/s.db"
    return subprocess.run(
        [sys.executable, "-m", "bunsui", "run", "p.json", "--store", store, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def progress(done: subprocess.CompletedProcess[str]) -> list[list[str]]:
    """The lines of a run up to its end, in words, without the seconds."""
    lines = done.stdout.partition("\n\n")[0].splitlines()[1:]
    return [[word for word in line.replace(" s ", " ").split() if "." not in word] for line in lines]


def test_few_items_have_a_line_each(tmp_path: Path) -> None:
    """How many there are, and each one's end."""
    done = run(tmp_path, few=[1, 3])
    first, *ends, last = progress(done)

    assert ["few", "running", "2", "items"] == first
    assert [[f"few[{i}]", "succeeded", "attempt", "1", "s"] for i in range(2)] == sorted(ends)
    assert ["few", "succeeded", "2", "items"] == last
    assert "few: [1, 3]" in done.stdout


def test_many_items_have_a_line_for_each_tenth(tmp_path: Path) -> None:
    """Of a hundred items, nine lines tell how far they are."""
    first, *between, last = progress(run(tmp_path, many=[1] * 100))

    assert (["many", "running", "100", "items"], ["many", "succeeded", "100", "items"]) == (first, last)
    assert [["many", "running", str(n), "of", "100", "items"] for n in range(10, 100, 10)] == between


def test_an_item_that_fails(tmp_path: Path) -> None:
    """Its attempts have lines, its error names it, and its log is named; exit code 1."""
    done = run(tmp_path, bad=[2])
    session = next((tmp_path / "s.db-logs").iterdir()).name

    assert [
        ["bad", "running", "1", "item"],
        ["bad[0]", "retrying", "attempt", "1", "ValueError,", "again", "in", "s"],
        ["bad[0]", "failed", "attempt", "2", "ValueError"],
        ["bad", "failed", "ValueError"],
    ] == progress(done)
    log = f"bunsui logs filter {session} --job bad --store "
    assert f"  bad: ValueError: item 0: no two\n    log: {log}" in done.stdout
    assert (1, "") == (done.returncode, done.stderr)


def test_attempts_of_all_items_are_counted(tmp_path: Path) -> None:
    """As JSON, `attempts` of the job is their sum."""
    found = json.loads(run(tmp_path, "--format", "json", some=[1, 2]).stdout)["jobs"]["some"]

    assert ("failed", 3, "item 1: no two") == (found["status"], found["attempts"], found["error"]["message"])
