"""kill -9 at any moment, and again while it is resumed: another process finishes, and nothing runs twice."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
WORKFLOWS = FIXTURES / "workflows"

#: Whether all pairs of crashes are tried.
FULL = os.environ.get("BUNSUI_FAULTS") == "full"

#: Appended to the example's handlers in a copy of it: who really ran.
RECORDING = """

def _recorded(function):
    def wrapper(event, context):
        with open(os.environ["HARNESS_RUNS"], "a") as ran:
            ran.write(context.client_context.custom["BUNSUI_JOB_ID"] + "\\n")
        return function(event, context)
    return wrapper


import os  # noqa: E402
extract = _recorded(extract)
load = _recorded(load)
"""
TASK = """
import os


def task(name, upstream):
    with open(os.environ["HARNESS_RUNS"], "a") as ran:
        ran.write(name + "\\n")
    return {"job": name, "upstream": upstream}
"""


def harness(definition: Path, folder: Path, parameters: dict[str, Any], every: int) -> list[dict[str, Any]]:
    """What happened at each failpoint; one of `every` pairs of them is tried, or all."""
    done = subprocess.run(
        [
            sys.executable,
            FIXTURES / "crash_harness.py",
            definition,
            folder,
            json.dumps(parameters),
            str(1 if FULL else every),
        ],
        capture_output=True,
        text=True,
        timeout=3500 if FULL else 250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check(results: list[dict[str, Any]], expected_outputs: dict[str, Any] | None = None) -> None:
    """Every crash was survived: finished at once by the next runner, each recorded job run once."""
    crashed = [r for r in results if r["code"] == 99]
    # Before the first append there is no session; after it there always is one.
    assert [r["failpoint"] for r in crashed if r["session"] is None] == ["before append 1"]
    again = [second for result in crashed for second in result["again"]]
    assert len(again) >= 2
    for result in (*crashed[1:], *again):
        place = result["failpoint"]
        terminal = result["resume_code"] == 1 and set(result["jobs"]) == set(result["ended_before"])
        if not terminal:
            assert (place, 0) == (place, result["resume_code"])
            claims = result["epochs_before"]
            assert (place, [*claims, len(claims) + 1]) == (place, result["epochs"])
        assert (place, "succeeded") == (place, result["status"])
        assert (place, set()) == (place, set(result["ended_before"]) & set(result["ran_after"]))
        if expected_outputs is not None:
            assert (place, expected_outputs) == (place, result["outputs"])


def shape(name: str, folder: Path) -> tuple[Path, dict[str, Any]]:
    """A real workflow as a definition of callables that record that they ran, and its outputs."""
    tasks = json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))["tasks"]
    ids = {task["id"]: f"t{i}" for i, task in enumerate(tasks)}
    parents = {ids[task["id"]]: [ids[parent] for parent in task["parents"]] for task in tasks}
    jobs = [
        {
            "id": job,
            "type": "custom",
            "callable": "tasks:task",
            "depends_on": up,
            "parameters": {"name": job, "upstream": [f"${{jobs.{parent}.output.job}}" for parent in up]},
        }
        for job, up in parents.items()
    ]
    (folder / "tasks.py").write_text(TASK, encoding="utf-8")
    definition = folder / "pipeline.json"
    definition.write_text(json.dumps({"version": "1.0", "name": name, "jobs": jobs}), encoding="utf-8")
    return definition, {job: {"job": job, "upstream": up} for job, up in parents.items()}


def test_the_example_survives_a_crash_before_and_after_every_append(tmp_path: Path) -> None:
    """The ETL example, killed at every append, is finished by a resume from another folder."""
    example = tmp_path / "etl"
    shutil.copytree(ROOT / "examples" / "etl", example, ignore=shutil.ignore_patterns("output"))
    handlers = example / "handlers.py"
    handlers.write_text(handlers.read_text(encoding="utf-8") + RECORDING, encoding="utf-8")

    (tmp_path / "runs").mkdir()
    results = harness(example / "pipeline.yaml", tmp_path / "runs", {"source_bucket": "flights"}, 9)

    assert len(results) >= 8
    check(results)
    for result in results:
        if result.get("status") is not None:
            assert 460 == result["outputs"]["load_data"]["rows"]


@pytest.mark.parametrize("name", ["blast-chameleon-small-001", "seismology-chameleon-100p-001"])
def test_real_shapes_survive_a_crash_before_and_after_every_append(name: str, tmp_path: Path) -> None:
    """A real workflow, killed at every append, ends with the outputs of an undisturbed run."""
    definition, outputs = shape(name, tmp_path)

    (tmp_path / "runs").mkdir()
    results = harness(definition, tmp_path / "runs", {}, 23)

    assert len(results) >= 8
    check(results, outputs)


def test_the_check_would_notice_a_job_that_runs_again() -> None:
    """The broken twin: a result in which a recorded job ran again fails the check."""
    good = {
        "failpoint": "after append 1",
        "code": 99,
        "session": "s",
        "resume_code": 0,
        "epochs_before": [1],
        "epochs": [1, 2],
        "status": "succeeded",
        "ended_before": ["a"],
        "ran_after": ["b"],
        "jobs": {},
        "again": [],
    }
    second = {
        **good,
        "failpoint": "after append 1, after append 1",
        "epochs_before": [1, 2],
        "epochs": [1, 2, 3],
    }
    good["again"] = [second, second]
    nothing = {"failpoint": "before append 1", "code": 99, "session": None, "again": []}
    check([nothing, good])
    with pytest.raises(AssertionError):
        check([nothing, {**good, "ran_after": ["a", "b"]}])
    with pytest.raises(AssertionError):
        check([nothing, {**good, "status": "running"}])
    with pytest.raises(AssertionError):
        check([nothing, {**good, "again": [second, {**second, "ran_after": ["a", "b"]}]}])
    with pytest.raises(AssertionError):
        check([nothing, {**good, "again": [second, {**second, "epochs": [1, 2]}]}])
