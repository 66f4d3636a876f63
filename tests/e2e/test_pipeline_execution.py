"""The main job as a user meets it: the command, its output, its exit codes, and its interruption."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
RAW = ROOT / "examples" / "etl" / "data" / "flights" / "2013-01.csv.gz"
SLOW_PIPELINE = """\
version: "1.0"
name: slow
jobs:
  - {id: first, type: custom, command: [python, -c, "print('hello')"]}
  - {id: second, type: custom, command: [python, wait.py], depends_on: [first]}
  - {id: third, type: custom, command: [python, -c, "pass"], depends_on: [second]}
"""
#: Ends at once when the file `go` is there.
WAIT = """\
import pathlib, time
pathlib.Path("waiting").touch()
while not pathlib.Path("go").exists():
    time.sleep(0.02)
"""


def bunsui(*arguments: str | Path, cwd: Path, check: int | None = 0) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "bunsui", *arguments],
        cwd=cwd,
        env=environment(cwd),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if check is not None:
        assert check == done.returncode, done.stdout + done.stderr
    return done


def environment(folder: Path) -> dict[str, str]:
    """The environment of a user whose home is empty, with a store of its own."""
    return {
        **os.environ,
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder / "data-home"),
        "BUNSUI_STORE": f"sqlite:///{folder}/store.db",
    }


def start(*arguments: str | Path, cwd: Path, lease: str = "30") -> subprocess.Popen[str]:
    """Starts the command."""
    return subprocess.Popen(
        [sys.executable, "-m", "bunsui", *arguments],
        cwd=cwd,
        env=environment(cwd) | {"BUNSUI_LEASE": lease},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path: Path) -> None:
    """Waits until a file is there."""
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.01)


def expected_summary() -> dict[tuple[str, str], dict[str, Any]]:
    """What the example must compute, computed by other means."""
    spec = importlib.util.spec_from_file_location(
        "etl_expected", ROOT / "tests" / "fixtures" / "etl_expected.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.expected_summary(RAW)


def summary_table(database: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The table that the example wrote, by day and carrier."""
    with sqlite3.connect(database) as connection:
        connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in connection.execute("SELECT * FROM daily_summary")]
    connection.close()
    return {(row.pop("day"), row.pop("carrier")): row for row in rows}


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A copy of the example."""
    folder = tmp_path / "etl"
    shutil.copytree(ROOT / "examples" / "etl", folder, ignore=shutil.ignore_patterns("output"))
    return folder


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A pipeline whose second job waits until it is told to go on."""
    (tmp_path / "pipeline.yaml").write_text(SLOW_PIPELINE, encoding="utf-8")
    (tmp_path / "wait.py").write_text(WAIT, encoding="utf-8")
    return tmp_path


def listed(folder: Path) -> list[dict[str, Any]]:
    """What ``session list`` says."""
    return json.loads(bunsui("session", "list", "--format", "json", cwd=folder).stdout)


class TestMainJob:
    """`bunsui run examples/etl/pipeline.yaml --local -p source_bucket=flights`."""

    def test_the_result_equals_the_independent_figures(self, example: Path, tmp_path: Path) -> None:
        """Every day and carrier of analytics.daily_summary is what the raw file says."""
        bunsui("run", "etl/pipeline.yaml", "--local", "-p", "source_bucket=flights", cwd=tmp_path)

        assert expected_summary() == summary_table(example / "output" / "analytics.db")

    def test_progress_and_outputs_are_printed(self, example: Path, tmp_path: Path) -> None:
        """A line for each start and end of a job, then the outputs with the place of the result."""
        done = bunsui(
            "run", example / "pipeline.yaml", "--local", "-p", "source_bucket=flights", cwd=tmp_path
        )

        lines = [line.split() for line in done.stdout.splitlines()]
        for job in ("extract_data", "transform_data", "load_data"):
            assert [job, "running", "attempt", "1"] in lines
            (ended,) = [line for line in lines if line[:2] == [job, "succeeded"]]
            assert ["attempt", "1", "s"] == [ended[2], ended[3], ended[5]]
            float(ended[4])
        assert str(example / "output" / "analytics.db") in done.stdout
        assert "" == done.stderr

    def test_json_is_one_document_of_the_documented_shape(self, example: Path, tmp_path: Path) -> None:
        """--format json prints one document and nothing else on stdout."""
        done = bunsui(
            "run", example / "pipeline.yaml", "--local", "-p", "source_bucket=flights", "--format", "json",
            cwd=tmp_path,
        )  # fmt: skip

        document = json.loads(done.stdout)
        assert {
            "session_id", "pipeline", "status", "paused_reason", "parameters", "outputs", "jobs",
        } == set(document)  # fmt: skip
        assert "succeeded" == document["status"]
        assert {"source_bucket": "flights", "target_table": "analytics.daily_summary"} == document[
            "parameters"
        ]
        job = document["jobs"]["load_data"]
        assert {"status", "attempts", "output", "error", "started_at", "finished_at"} == set(job)
        assert (1, None, 460) == (job["attempts"], job["error"], job["output"]["rows"])
        assert document["outputs"]["load_data"] == job["output"]

    def test_it_is_listed_and_shown_afterwards(self, example: Path, tmp_path: Path) -> None:
        """session list and session status read what the run left in the store."""
        ran = bunsui(
            "run", example / "pipeline.yaml", "--local", "-p", "source_bucket=flights", "--format", "json",
            cwd=tmp_path,
        )  # fmt: skip
        document = json.loads(ran.stdout)

        (entry,) = listed(tmp_path)
        assert {
            "session_id", "pipeline", "status", "created_at", "started_at", "finished_at", "jobs",
        } == set(entry)  # fmt: skip
        assert {"succeeded": 3} == entry["jobs"]
        shown = bunsui("session", "status", entry["session_id"], "--format", "json", cwd=tmp_path)
        assert document == json.loads(shown.stdout)

    def test_the_files_of_the_store_are_the_users_own(self, example: Path, tmp_path: Path) -> None:
        """The default store lies in the user's data directory, 0600 in a 0700 folder."""
        variables = {k: v for k, v in environment(tmp_path).items() if k != "BUNSUI_STORE"}
        subprocess.run(
            [sys.executable, "-m", "bunsui", "run", example / "pipeline.yaml", "-p", "source_bucket=flights"],
            cwd=tmp_path, env=variables, check=True, capture_output=True, timeout=60,
        )  # fmt: skip

        database = tmp_path / "data-home" / "bunsui" / "bunsui.db"
        assert 0o600 == database.stat().st_mode & 0o777
        assert 0o700 == database.parent.stat().st_mode & 0o777


class TestInterruption:
    """A run that ends before its session does."""

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_an_interrupted_session_is_released_and_resumable(self, slow: Path, number: int) -> None:
        """Ctrl-C and SIGTERM exit with 130, say how to go on, and a resume from elsewhere finishes."""
        process = start("run", "pipeline.yaml", cwd=slow)
        wait_for(slow / "waiting")
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        (entry,) = listed(slow)

        assert 130 == process.returncode
        assert "Traceback" not in said
        (slow / "go").touch()
        elsewhere = slow / "elsewhere"
        elsewhere.mkdir()
        begun, proposed = said.splitlines()[-2:]
        assert f"interrupted; session {entry['session_id']} is kept. Continue it with:" == begun
        resumed = bunsui(*shlex.split(proposed)[1:], "--format", "json", cwd=elsewhere)
        document = json.loads(resumed.stdout)
        assert "succeeded" == document["status"]
        assert [1, 1, 1] == [job["attempts"] for job in document["jobs"].values()]

    @pytest.mark.parametrize("moment", [0.15, 0.3, 0.4, 0.5, 0.6, 0.7])
    def test_kill_9_of_the_command_at_any_moment(self, example: Path, tmp_path: Path, moment: float) -> None:
        """The killed run is resumed at once from another folder, and its result is right."""
        process = start("run", example / "pipeline.yaml", "-p", "source_bucket=flights", cwd=tmp_path)
        time.sleep(moment)
        process.kill()
        process.communicate(timeout=60)

        sessions = listed(tmp_path)
        if not sessions:  # It was killed before the session began: nothing is half there.
            bunsui("run", example / "pipeline.yaml", "-p", "source_bucket=flights", cwd=tmp_path)
        elif sessions[0]["status"] != "succeeded":
            # The default lease is 30 s; a command that waited for it would not end in time here.
            bunsui("session", "resume", sessions[0]["session_id"], cwd=tmp_path)
        assert expected_summary() == summary_table(example / "output" / "analytics.db")

    def test_resuming_a_session_whose_runner_lives_is_refused(self, slow: Path) -> None:
        """A second runner does not take over from one that beats: exit code 5."""
        process = start("run", "pipeline.yaml", cwd=slow, lease="1.5")
        wait_for(slow / "waiting")
        (entry,) = listed(slow)
        refused = bunsui("session", "resume", entry["session_id"], cwd=slow, check=None)
        (slow / "go").touch()
        process.communicate(timeout=60)

        assert (5, 0) == (refused.returncode, process.returncode)
        assert "is driven by a runner" in refused.stderr


class TestEnds:
    """How a session that ends is told."""

    def test_resuming_an_ended_session_is_a_wrong_state(self, slow: Path) -> None:
        """There is nothing to resume: exit code 5."""
        (slow / "go").touch()
        bunsui("run", "pipeline.yaml", cwd=slow)
        (entry,) = listed(slow)
        done = bunsui("session", "resume", entry["session_id"], cwd=slow, check=5)

        session = entry["session_id"]
        assert (
            f"bunsui: session {session} is succeeded: there is nothing to resume;"
            f" to run it again: bunsui session rerun {session}, in Python runner.rerun(id)\n"
        ) == done.stderr

    def test_an_unknown_session_is_not_found(self, tmp_path: Path) -> None:
        """Exit code 3, and no store comes into being for it."""
        done = bunsui("session", "status", "nosuchsession", cwd=tmp_path, check=3)

        assert f"there is no session 'nosuchsession' in store {tmp_path}/store.db" in done.stderr
        assert not (tmp_path / "store.db").exists()

    def test_a_store_that_is_not_there_lists_nothing(self, tmp_path: Path) -> None:
        """An empty JSON array, exit code 0, and no store comes into being."""
        assert [] == listed(tmp_path)
        assert [] == list(tmp_path.iterdir())

    def test_a_failing_job_is_named_with_its_error_and_log(self, tmp_path: Path) -> None:
        """Exit code 1; type and message in the output, the traceback in the log only."""
        (tmp_path / "pipeline.yaml").write_text(
            "version: '1.0'\nname: failing\njobs:\n"
            "  - {id: bad, type: custom, callable: 'tasks:bad'}\n"
            "  - {id: after, type: custom, callable: 'tasks:bad', depends_on: [bad]}\n",
            encoding="utf-8",
        )
        (tmp_path / "tasks.py").write_text(
            "def bad():\n    raise LookupError('no such flight')\n", encoding="utf-8"
        )
        done = bunsui("run", "pipeline.yaml", cwd=tmp_path, check=1)

        assert "  bad: LookupError: no such flight\n" in done.stdout
        assert "skipped    job 'bad' is failed" in done.stdout
        assert "Traceback" not in done.stdout + done.stderr
        (log,) = (tmp_path / "store.db-logs").rglob("bad.jsonl")
        text = json.loads(log.read_text(encoding="utf-8"))["exception"]
        assert "Traceback (most recent call last):" in text
        assert "raise LookupError('no such flight')" in text
        assert "bunsui" not in text
