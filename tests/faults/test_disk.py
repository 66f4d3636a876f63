"""A disk that fails at any of its calls: nothing acknowledged is lost, nothing that ended runs again."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
FULL = os.environ.get("BUNSUI_FAULTS") == "full"
#: Without all faults, each of these modes gets every so many of the calls.
SAMPLE = 32
#: Mode and error; "from" is a disk that goes on failing, "done" one that does what it says it could not, and
#: "exit-within" ends the process in the middle of what it writes.
MODES = [
    ("once", errno.EIO),
    ("once", errno.ENOSPC),
    ("from", errno.EIO),
    ("from", errno.ENOSPC),
    ("done", errno.EIO),
    ("exit-before", 0),
    ("exit-after", 0),
    ("exit-within", 0),
]
TASKS = """
import os

def task(name):
    with open(os.environ["HARNESS_RUNS"], "a") as ran:
        ran.write(name + "\\n")
    return name * SIZE
"""
DEFINITION = """
version: "1.0"
name: diamond
jobs:
  - {id: a, type: custom, callable: "tasks:task", parameters: {name: a}}
  - {id: b, type: custom, callable: "tasks:task", parameters: {name: b}, depends_on: [a]}
  - {id: c, type: custom, callable: "tasks:task", parameters: {name: c}, depends_on: [a]}
  - {id: d, type: custom, callable: "tasks:task", parameters: {name: d}, depends_on: [b, c]}
"""
#: Characters of an output: in the history, and in an artifact.
SMALL, LARGE = 500, 40_000
OUTPUTS = {name: name * SMALL for name in "abcd"}


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shim, compiled."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler, `cc`, and Linux, for a disk that fails")
    library = tmp_path_factory.mktemp("shim") / "fault_shim.so"
    source = FIXTURES / "fault_shim.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def harness(shim: Path, folder: Path, faults: list[tuple[str, int, int]], size: int) -> list[dict[str, Any]]:
    """What became of a run with each of these faults."""
    folder.mkdir()
    (folder / "tasks.py").write_text(f"SIZE = {size}\n{TASKS}", encoding="utf-8")
    (folder / "p.yaml").write_text(DEFINITION, encoding="utf-8")
    plan = {"definition": str(folder / "p.yaml"), "folder": str(folder / "runs"), "faults": faults}
    (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, FIXTURES / "fault_harness.py", folder / "plan.json"],
        capture_output=True,
        text=True,
        timeout=3000,
        check=False,
        env={**os.environ, "LD_PRELOAD": str(shim), "FAULT_PREFIX": str(folder / "runs" / "stores")},
    )
    assert done.returncode == 0, done.stderr
    results: list[dict[str, Any]] = json.loads(done.stdout)
    for result in results:
        result["stderr"] = done.stderr
    return results


def check(result: dict[str, Any], size: int = SMALL) -> None:
    """The run ended or said why not; the next one finished it; nothing was lost, and nothing ran twice."""
    fault = result["fault"]
    assert (fault, 0) == (fault, result["finished"]), result["stderr"]
    outputs = {name: name * size for name in "abcd"}
    assert (fault, "succeeded", outputs) == (fault, result["status"], result["outputs"])
    # All that was acknowledged is there, in its place.
    assert (fault, []) == (fault, [line for line in result["noted"] if line not in result["commits"]])
    # Nothing that was recorded as ended ran again, and nothing ran more often than its start was recorded.
    assert (fault, set()) == (fault, set(result["before"]) & set(result["ran_after"]))
    ran = Counter(result["ran_before"] + result["ran_after"])
    too_often = {job: times for job, times in ran.items() if times > result["started"].get(job, 0)}
    assert (fault, {}) == (fault, too_often)


def ended_well(result: dict[str, Any]) -> None:
    """The process that met the fault said how it went, or ended where it was to."""
    fault = result["fault"]
    if fault[0].startswith("exit") and result["code"] == 99:
        return
    assert (fault, 0) == (fault, result["code"]), result["stderr"]
    status, _, _ = result["said"]
    if status != "succeeded":
        unwritten = ("StoreError: store ", "StoreError: the output of job ")
        assert status.startswith(unwritten), (fault, status)


def calls(shim: Path, folder: Path, size: int) -> int:
    """How many calls a run without faults makes, about."""
    (result,) = harness(shim, folder, [("none", 0, 0)], size)
    check(result, size)
    status, counted, injected = result["said"]
    assert ("succeeded", False) == (status, injected)
    assert counted > 40
    return int(counted)


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize(("mode", "error"), MODES)
def test_a_fault_at_every_call(shim: Path, tmp_path: Path, mode: str, error: int, size: int) -> None:
    """A run whose n-th call to the disk goes wrong, for each n, or a sample of them."""
    count = calls(shim, tmp_path / "whole", size)
    # Which calls are looked at differs from mode to mode.
    step, first = (1, 1) if FULL else (SAMPLE, 1 + MODES.index((mode, error)) * 4)
    faults = [(mode, n, error) for n in range(first, count + 3, step)]
    results = harness(shim, tmp_path / "faulty", faults, size)
    for result in results:
        ended_well(result)
        check(result, size)
    met = [result for result in results if result["said"] is None or result["said"][2]]
    assert len(met) > len(results) / 2
    if mode == "from":
        # Whoever can write nothing for one lease says so.
        assert any(result["said"][0].startswith("StoreError: ") for result in met)


def test_the_check_would_notice_what_is_lost_or_runs_again() -> None:
    """The broken twin: each part of a good result that is made bad fails the check."""
    good = {
        "fault": ["once", 1, 5],
        "finished": 0,
        "stderr": "",
        "status": "succeeded",
        "outputs": OUTPUTS,
        "noted": ["s 1 x"],
        "commits": ["s 1 x", "s 2 y"],
        "before": ["a"],
        "ran_before": ["a", "b"],
        "ran_after": ["b", "c", "d"],
        "started": {"a": 1, "b": 2, "c": 1, "d": 1},
        "code": 0,
        "said": ["StoreError: store x: disk I/O error", 1, True],
    }
    check(good)
    ended_well(good)
    for change in (
        {"finished": 1},
        {"status": "failed"},
        {"outputs": {**OUTPUTS, "a": "b"}},
        {"noted": ["s 1 z"]},
        {"ran_after": ["a", "b", "c", "d"]},
        {"started": {"a": 1, "b": 1, "c": 1, "d": 1}},
    ):
        with pytest.raises(AssertionError):
            check({**good, **change})
    for change in ({"code": 1}, {"code": -14}, {"said": ["failed", 1, True]}):
        with pytest.raises(AssertionError):
            ended_well({**good, **change})
