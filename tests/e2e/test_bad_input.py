"""Bad input gets a clear error and exit code 2, and nothing is written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAD = 'version: "1.0"\nname: bad\n'
ETL = """\
version: "1.0"
name: etl
parameters:
  - {name: bucket, type: string, required: true}
  - {name: days, type: integer, default: 7}
jobs:
  - {id: extract, type: lambda, function: extract-function}
  - {id: load, type: ecs, task_definition: load-task, depends_on: [extract]}
"""


def run(folder: Path, definition: str | None, *arguments: str, **files: str) -> tuple[int, str, list[str]]:
    """Exit code and stderr of ``bunsui run pipeline.yaml``, and the files that are there afterwards."""
    written = {name.replace("__", "."): text for name, text in files.items()}
    if definition is not None:
        written["pipeline.yaml"] = definition
    for name, text in written.items():
        (folder / name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "bunsui", "run", "pipeline.yaml", *arguments],
        cwd=folder,
        env={**os.environ, "BUNSUI_STORE": f"sqlite:///{folder}/store.db", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "" == done.stdout
    assert "Traceback" not in done.stderr
    left = sorted(path.name for path in folder.iterdir() if path.name not in written)
    return done.returncode, done.stderr, left


CASES = {
    "no such file": (
        None,
        (),
        "pipeline.yaml: error[unreadable-file]:" " the definition can't be read: No such file or directory\n",
    ),
    "not YAML": (
        HEAD + "jobs: [}\n",
        (),
        "pipeline.yaml:3:8: error[syntax]: ",
    ),
    "missing parameter": (
        ETL,
        (),
        "pipeline.yaml:4:12: error[missing-parameter]:"
        " pipeline 'etl' needs the parameter 'bucket', text\n"
        "    4 |   - {name: bucket, type: string, required: true}\n"
        "      |            ^^^^^^ give it with -p bucket=..., or in the mapping of parameters\n",
    ),
    "mistyped parameter": (
        ETL,
        ("-p", "bucket=b", "-p", "days=soon"),
        "/parameters/days: error[wrong-type]: parameter 'days' must be a whole number, not 'soon'\n",
    ),
    "unknown parameter": (
        ETL,
        ("-p", "bucket=b", "-p", "day=3"),
        "/parameters/day: error[unknown-parameter]: pipeline 'etl' has no parameter 'day'\n"
        "    did you mean 'days'?\n",
    ),
    "cycle": (
        HEAD + "jobs:\n"
        "  - {id: a, type: custom, command: [x], depends_on: [c]}\n"
        "  - {id: b, type: custom, command: [x], depends_on: [a]}\n"
        "  - {id: c, type: custom, command: [x], depends_on: [b]}\n",
        (),
        "pipeline.yaml:4:54: error[cycle]: these jobs wait for each other: a -> c -> b -> a\n",
    ),
    "unknown dependency": (
        HEAD + "jobs:\n"
        "  - {id: extract, type: custom, command: [x]}\n"
        "  - {id: load, type: custom, command: [x], depends_on: [extrct]}\n",
        (),
        "pipeline.yaml:5:57: error[unknown-job]:"
        " job 'load' depends on 'extrct', which does not exist\n"
        "    5 |   - {id: load, type: custom, command: [x], depends_on: [extrct]}\n"
        "      |                                                         ^^^^^^ did you mean 'extract'?\n",
    ),
    "duplicate id": (
        HEAD + "jobs:\n  - {id: a, type: custom, command: [x]}\n  - {id: a, type: custom, command: [x]}\n",
        (),
        "pipeline.yaml:5:10: error[duplicate-id]: two jobs have the id 'a'; the first is job 1\n",
    ),
    "alert on an unknown job": (
        HEAD + "alerts: [{on: failure, job: b, channel: ops}]\njobs: [{id: a, type: custom, command: [x]}]\n",
        (),
        "pipeline.yaml:3:29: error[unknown-job]: 'job' of alert 1 (on: failure) is 'b', which does not"
        " exist\n",
    ),
    "alert on an unknown metric": (
        HEAD + "alerts: [{on: cpu, channel: ops}]\njobs: [{id: a, type: custom, command: [x]}]\n",
        (),
        "pipeline.yaml:3:15: error[bad-value]: 'on' of alert 1 is 'cpu'; it must be one of: failure,"
        " recovery, duration, success_rate, stalled\n",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_definition_or_parameter(case: str, tmp_path: Path) -> None:
    """The problem is named with its place; exit code 2; no store, no log, no output comes into being."""
    definition, arguments, expected = CASES[case]
    code, said, left = run(tmp_path, definition, *arguments)

    assert (2, []) == (code, left)
    assert said.startswith(expected)


def test_all_unbound_jobs_are_listed(tmp_path: Path) -> None:
    """Under --local every unbound job is named at once."""
    code, said, left = run(tmp_path, ETL, "--local", "-p", "bucket=b")

    assert (2, []) == (code, left)
    assert [
        "pipeline.yaml:7:43: error[unbound-job]: job 'extract': function 'extract-function'"
        " is not bound, and the run is local, so nothing may run on AWS",
        "    7 |   - {id: extract, type: lambda, function: extract-function}",
        f"      | {' ' * 42}{'^' * 16} bind it under 'lambda:' in bindings.yaml beside the definition",
        "pipeline.yaml:8:44: error[unbound-job]: job 'load': task_definition 'load-task'"
        " is not bound, and the run is local, so nothing may run on AWS",
        "    8 |   - {id: load, type: ecs, task_definition: load-task, depends_on: [extract]}",
        f"      | {' ' * 43}{'^' * 9} bind it under 'ecs:' in bindings.yaml beside the definition",
    ] == said.splitlines()


@pytest.mark.parametrize(
    ("handlers", "reason"),
    [
        (None, "ModuleNotFoundError: No module named 'handlers'"),
        ("def other(event, context): ...\n", "module 'handlers' has no 'extract'"),
        ("import nosuchmodule\n", "ModuleNotFoundError: No module named 'nosuchmodule'"),
        ("def extract(:\n", "SyntaxError: invalid syntax (handlers.py, line 1)"),
        ("extract = 3\n", "it is int, which can't be called"),
    ],
)
def test_a_binding_that_cannot_be_imported(handlers: str | None, reason: str, tmp_path: Path) -> None:
    """The reason is given before anything starts."""
    files = {
        "bindings__yaml": "lambda: {extract-function: 'handlers:extract'}\necs: {load-task: {command: [x]}}\n"
    }
    if handlers is not None:
        files["handlers__py"] = handlers
    code, said, left = run(tmp_path, ETL, "-p", "bucket=b", **files)

    assert (2, []) == (code, left)
    assert (
        f"{tmp_path}/bindings.yaml:1:28: error[unimportable-binding]:"
        f" binding 'lambda: extract-function': callable 'handlers:extract' can't be imported: {reason}\n"
        "    1 | lambda: {extract-function: 'handlers:extract'}\n"
        "      |                            ^^^^^^^^^^^^^^^^^^ the module is looked for besid"
        "e the bindings file, then on sys.path\n"
    ) == said


def test_a_wrong_store_is_named(tmp_path: Path) -> None:
    """An unknown scheme says which there are."""
    code, said, left = run(tmp_path, ETL, "-p", "bucket=b", "--store", "sqlit:///x.db")

    assert (2, []) == (code, left)
    assert (
        "bunsui: store 'sqlit:///x.db' begins with none of memory://, sqlite://, dynamodb://;"
        " did you mean 'sqlite'?\n"
    ) == said


def test_a_store_that_is_no_store_is_unavailable(tmp_path: Path) -> None:
    """Some other file: exit code 6, and the file stays as it is."""
    (tmp_path / "pipeline.yaml").write_text(
        HEAD + "jobs: [{id: a, type: custom, command: ['true']}]\n", encoding="utf-8"
    )
    (tmp_path / "notes.txt").write_text("not a database, but long enough to be looked at\n" * 100)
    before = (tmp_path / "notes.txt").read_bytes()
    done = subprocess.run(
        [sys.executable, "-m", "bunsui", "run", "pipeline.yaml", "--store", "sqlite:///notes.txt"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert 6 == done.returncode
    assert "file is not a database" in done.stderr
    assert before == (tmp_path / "notes.txt").read_bytes()


def test_an_output_that_is_not_json_fails_its_job(tmp_path: Path) -> None:
    """It is the job's failure, with a code of its own; the run ends with 1."""
    (tmp_path / "tasks.py").write_text("def bad():\n    return {1, 2}\n", encoding="utf-8")
    (tmp_path / "pipeline.yaml").write_text(
        HEAD + "jobs: [{id: a, type: custom, callable: 'tasks:bad'}]\n", encoding="utf-8"
    )
    done = subprocess.run(
        [sys.executable, "-m", "bunsui", "run", "pipeline.yaml", "--store", "memory://"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert 1 == done.returncode
    assert (
        "  a: OutputNotJson: what the job returned is not JSON: it is of type set;"
        " convert it to text, a number, a list or a dict\n"
    ) in done.stdout


def test_a_run_says_what_validate_says(tmp_path: Path) -> None:
    """Of several problems each is shown in the same way, the first one as the others."""
    jobs = "jobs:\n  - {id: a, type: custm}\n  - {id: a, type: custom}\n"
    code, said, _ = run(tmp_path, HEAD + jobs)
    done = subprocess.run(
        [sys.executable, "-m", "bunsui", "pipeline", "validate", "pipeline.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (2, done.stdout) == (code, said)
    assert 2 < said.count("error[")
