"""``bunsui pipeline stats``: figures of past runs, as a table and as data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

import bunsui
from bunsui.cli.commands.stats import stats_command
from bunsui.cli.main import run
from bunsui.monitoring.figures import LIMIT
from bunsui.stores.sessions import ALL, SESSION

JOB_KEYS = ["runs", "success_rate", "duration", "queue_time", "attempts", "retries"]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store with two runs of `etl`, one of which failed, and one of `other`."""
    url = f"sqlite:///{tmp_path}/store.db"
    monkeypatch.setenv("BUNSUI_STORE", url)
    outcomes = iter([None, ValueError("it broke")])

    def load() -> None:
        error = next(outcomes)
        if error is not None:
            raise error

    etl = bunsui.Pipeline(
        "etl",
        [
            bunsui.Job.from_callable(lambda: 1, id="extract"),
            bunsui.Job.from_callable(load, id="load", depends_on=["extract"]),
        ],
    )
    with bunsui.Runner(url) as runner:
        runner.run(etl)
        runner.run(etl)
        runner.run(bunsui.Pipeline("other", [bunsui.Job.from_callable(lambda: 1, id="only")]))
    return url


def test_a_pipeline(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for the pipeline, then one for each of its jobs."""
    assert 0 == run(["pipeline", "stats", "etl"])
    out, err = capsys.readouterr()
    lines = [line.split() for line in out.splitlines()]
    assert ["PIPELINE", "RUNS", "SUCCESS", "P50", "P95", "P99", "QUEUE", "P95", "RETRIES"] == lines[0]
    assert ["etl", "1", "failed,", "1", "succeeded", "50.0%"] == lines[1][:6]
    assert ["JOB", "RUNS", "SUCCESS", "P50", "P95", "P99", "QUEUE", "P95", "RETRIES"] == lines[3]
    assert ["extract", "2", "succeeded", "100.0%"] == lines[4][:4]
    assert ["load", "1", "failed,", "1", "succeeded", "50.0%"] == lines[5][:6]
    assert ["0", "0", "0"] == [lines[number][-1] for number in (1, 4, 5)]
    assert "" == err


def test_all_pipelines(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a name there is a line for each, and none for jobs."""
    assert 0 == run(["pipeline", "stats"])
    out = capsys.readouterr().out
    assert ["PIPELINE", "etl", "other"] == [line.split()[0] for line in out.splitlines()]


def test_data(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON and YAML hold the same, under names that do not change."""
    assert 0 == run(["pipeline", "stats", "--since", "1h", "--format", "json"])
    found = json.loads(capsys.readouterr().out)
    assert [
        "at", "since", "sessions", "has_more", "damaged_entries", "damaged_histories", "pipelines"
    ] == list(found)  # fmt: skip
    assert (3, False, 0, 0) == tuple(list(found.values())[2:6])
    etl, other = found["pipelines"]
    assert ["pipeline", *JOB_KEYS, "jobs"] == list(etl)
    assert ["job", *JOB_KEYS] == list(etl["jobs"][0])
    assert ["count", "p50", "p95", "p99"] == list(etl["duration"])
    assert ("etl", {"failed": 1, "succeeded": 1}, 0.5, 4) == (
        etl["pipeline"],
        etl["runs"],
        etl["success_rate"],
        etl["attempts"],
    )
    assert ["only"] == [job["job"] for job in other["jobs"]]
    assert 0 == run(["pipeline", "stats", "--since", "1h", "--format", "yaml"])
    assert found["pipelines"] == yaml.safe_load(capsys.readouterr().out)["pipelines"]


def test_a_limit_is_said(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr, so that data stays data."""
    assert 0 == run(["pipeline", "stats", "--limit", "2", "--format", "json"])
    out, err = capsys.readouterr()
    assert json.loads(out)["has_more"]
    assert "these are the newest 2 runs; --limit counts more\n" == err


def test_damage_is_said(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What can be read is shown all the same, exit code 0."""
    with bunsui.Runner(store) as runner:
        runner.store.put(SESSION, "b" * 16, {"status": "odd"}, groups=[(ALL, "2999")])
    assert 0 == run(["pipeline", "stats"])
    out, err = capsys.readouterr()
    assert 3 == len(out.splitlines())
    assert "1 run can't be read; 'bunsui doctor' says more\n" == err


def test_no_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A store that is not there is empty, and stays away; so is a pipeline that nobody ran."""
    where = ["--store", f"sqlite:///{tmp_path}/none.db"]
    assert 0 == run(["pipeline", "stats", "etl", *where])
    assert ("", "no runs\n") == tuple(capsys.readouterr())
    assert 0 == run(["pipeline", "stats", "--format", "json", *where])
    assert [] == json.loads(capsys.readouterr().out)["pipelines"]
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    ("given", "said"), [(["--since", "soon"], "since is 'soon'"), (["--limit", "0"], "0")]
)
def test_wrong_options(store: str, capsys: pytest.CaptureFixture[str], given: list[str], said: str) -> None:
    """They are wrong usage."""
    assert 2 == run(["pipeline", "stats", *given])
    assert said in capsys.readouterr().err


def test_the_limit_is_the_one_of_a_snapshot() -> None:
    """The help says it by itself: what has it is imported by who counts."""
    limit = next(option for option in stats_command.params if option.name == "limit")
    assert f"{LIMIT} by default" in str(getattr(limit, "help", ""))
