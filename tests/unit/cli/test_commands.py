"""The commands in this process: what they print, and with which exit code they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bunsui.cli.main import run

PIPELINE = """\
version: "1.0"
name: flow
parameters:
  - {name: n, type: integer, default: 2}
jobs:
  - {id: good, type: custom, command: [python, -c, "pass"], parameters: {n: "${n}"}}
  - {id: bad, type: custom, command: [python, -c, "import sys; sys.exit(4)"], depends_on: [good],
     retry: {max_attempts: 2, delay: 0}}
  - {id: after, type: custom, command: [python, -c, "pass"], depends_on: [bad]}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a pipeline and a store of its own, which is the current one."""
    (tmp_path / "pipeline.yaml").write_text(PIPELINE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BUNSUI_STORE", f"sqlite:///{tmp_path}/store.db")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture
def session_id(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """A session that failed."""
    assert 1 == run(["run", "pipeline.yaml", "--format", "json"])
    return json.loads(capsys.readouterr().out)["session_id"]


def test_progress_names_every_fate_of_a_job(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Running, succeeded, retrying, failed, skipped: each is a line."""
    assert 1 == run(["run", "pipeline.yaml"])

    lines = capsys.readouterr().out.splitlines()
    fates = [tuple(line.split()[:2]) for line in lines if line.startswith(("good", "bad", "after"))]
    assert [
        ("good", "running"),
        ("good", "succeeded"),
        ("bad", "running"),
        ("bad", "retrying"),
        ("bad", "running"),
        ("bad", "failed"),
        ("after", "skipped"),
    ] == fates
    assert "  bad: ExitCode.4: the command failed with exit code 4" in lines
    assert any(line.endswith("ExitCode.4, again in 0.0 s") for line in lines)


def test_run_reads_parameters_by_their_type(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """-p n=3 of an integer parameter is the number 3."""
    run(["run", "pipeline.yaml", "-p", "n=3", "--format", "json"])

    assert {"n": 3} == json.loads(capsys.readouterr().out)["parameters"]


def test_status_as_text_has_a_line_for_each_job(session_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status, attempts, and why a job was skipped."""
    assert 0 == run(["session", "status", session_id])

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["JOB", "STATUS", "ATTEMPTS", "SECONDS", "REASON"] == lines[0]
    assert ["bad", "failed", "2"] == lines[2][:3]
    assert ["after", "skipped", "0", "job", "'bad'", "is", "failed"] == lines[3]


def test_a_session_without_outputs_has_no_heading_for_them(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What failed stands below the jobs at once."""
    text = 'version: "1.0"\nname: one\njobs: [{id: bad, type: custom, command: ["false"]}]\n'
    (folder / "one.yaml").write_text(text, encoding="utf-8")
    assert 1 == run(["run", "one.yaml"])

    assert "\n\nfailed\n" in (out := capsys.readouterr().out)
    assert "outputs" not in out


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_status_as_data_gives_errors_and_counts(
    session_id: str, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """jobs: attempts is a count; error has code, message and retryable, or is null."""
    import yaml

    assert 0 == run(["session", "status", session_id, "--format", form])

    text = capsys.readouterr().out
    jobs = (json.loads(text) if form == "json" else yaml.safe_load(text))["jobs"]
    assert (2, "ExitCode.4", True) == (
        jobs["bad"]["attempts"],
        jobs["bad"]["error"]["code"],
        jobs["bad"]["error"]["retryable"],
    )
    assert (None, None) == (jobs["good"]["error"], jobs["after"]["error"])


def test_list_as_a_table(session_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A heading and a line for each session."""
    assert 0 == run(["session", "list"])

    heading, line = capsys.readouterr().out.splitlines()
    assert ["SESSION", "PIPELINE", "STATUS", "CREATED", "JOBS"] == heading.split()
    assert [session_id, "flow", "failed"] == line.split()[:3]
    assert line.endswith("1 succeeded, 1 failed, 1 skipped")


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["--status", "failed"], 1),
        (["--status", "succeeded"], 0),
        (["--pipeline", "flow"], 1),
        (["--pipeline", "other"], 0),
    ],
)
def test_list_filters(
    session_id: str, arguments: list[str], count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """By status and by pipeline."""
    assert 0 == run(["session", "list", *arguments, "--format", "json"])

    assert count == len(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize(("limit", "said"), [(1, "these are the newest 1; --limit shows more\n"), (2, "")])
def test_a_listing_says_that_there_are_more(
    session_id: str, limit: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two sessions: what the limit leaves out is not left out silently, and stdout has the data alone."""
    run(["run", "pipeline.yaml"])
    capsys.readouterr()
    assert 0 == run(["session", "list", "--limit", str(limit), "--format", "json"])

    shown = capsys.readouterr()
    assert limit == len(json.loads(shown.out))
    assert said == "".join(shown.err.splitlines(keepends=True)[:1])


def test_an_empty_table_says_so_on_stderr(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """stdout stays empty; that there is no store may mean that its name is mistyped."""
    url = f"sqlite:///{folder}/other.db"
    assert 0 == run(["session", "list", "--store", url])
    assert ("", f"no sessions: there is no file {folder}/other.db yet\n") == tuple(capsys.readouterr())

    assert 0 == run(["pipeline", "create", "-f", "pipeline.yaml", "--store", url])
    capsys.readouterr()
    assert 0 == run(["session", "list", "--store", url])
    assert ("", "no sessions\n") == tuple(capsys.readouterr())


def test_a_wrong_option_is_a_usage_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and what there is."""
    assert 2 == run(["run", "pipeline.yaml", "--format", "xml"])

    assert "'xml' is not one of 'text', 'json'" in capsys.readouterr().err


def test_a_wrong_lease_is_a_usage_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, with an example."""
    monkeypatch.setenv("BUNSUI_LEASE", "soon")
    assert 2 == run(["run", "pipeline.yaml"])

    assert (
        "bunsui: BUNSUI_LEASE is 'soon'; it is a number of seconds above 0, at most a year, such as 30\n"
        == (capsys.readouterr().err)
    )


def test_the_version_names_sqlites_too(capsys: pytest.CaptureFixture[str]) -> None:
    """Which SQLite runs decides which of its faults are there."""
    import sqlite3

    import bunsui

    assert 0 == run(["--version"])
    assert f"bunsui {bunsui.__version__} (SQLite {sqlite3.sqlite_version})\n" == capsys.readouterr().out


def test_control_characters_of_a_job_do_not_reach_the_terminal(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error's text is printed with its escape sequences escaped."""
    (folder / "evil.py").write_text(
        "def job():\n    raise ValueError('\\x1b[2Jgone\\nnext')\n", encoding="utf-8"
    )
    (folder / "evil.yaml").write_text(
        'version: "1.0"\nname: evil\njobs: [{id: a, type: custom, callable: "evil:job"}]\n', encoding="utf-8"
    )
    assert 1 == run(["run", "evil.yaml"])

    out = capsys.readouterr().out
    assert "  a: ValueError: \\x1b[2Jgone\\nnext\n" in out
    assert "\x1b" not in out


#: A mark that turns the direction of what follows, a bell, what goes to the beginning of a line, a line end.
UNSAFE = "a\u202eb\x07c\rd\u2028e"
ESCAPED = r"a\u202eb\x07c\rd\u2028e"


@pytest.mark.parametrize(
    "arguments",
    [
        ["pipeline", "show", UNSAFE],
        ["pipeline", "delete", UNSAFE],
        ["session", "start", UNSAFE],
        ["session", "status", UNSAFE],
        ["logs", "filter", UNSAFE],
        ["explain", UNSAFE],
        ["run", UNSAFE],
        ["session", "list", "--store", f"bad://{UNSAFE}"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_a_name_in_an_error_is_safe(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """What a command says of a name that is not there has nothing that a terminal would act upon."""
    assert run(arguments) in (2, 3)

    err = capsys.readouterr().err
    assert [] == [character for character in UNSAFE if not character.isprintable() and character in err]
    assert ESCAPED in err


def test_yaml_has_no_marks_of_direction(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a job returned is the same in YAML, with all escaped that a terminal would act upon."""
    import yaml

    (folder / "marks.py").write_text(f"def job():\n    return {UNSAFE!a}\n", encoding="utf-8")
    (folder / "marks.yaml").write_text(
        'version: "1.0"\nname: é\njobs: [{id: a, type: custom, callable: "marks:job"}]\n', encoding="utf-8"
    )
    assert 0 == run(["run", "marks.yaml"])
    capsys.readouterr()
    assert 0 == run(["session", "status", "@last", "--format", "yaml"])

    out = capsys.readouterr().out
    assert [] == [character for character in UNSAFE if not character.isprintable() and character in out]
    assert (UNSAFE, "é") == (yaml.safe_load(out)["outputs"]["a"], yaml.safe_load(out)["pipeline"])


def test_a_paused_session_ends_with_7(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """run returns when somebody pauses the session, and says how to go on."""
    (folder / "pausing.py").write_text(
        "import bunsui, os\n"
        "def job():\n"
        "    call = bunsui.current_call()\n"
        "    with bunsui.Runner(os.environ['BUNSUI_STORE'], autoload_plugins=False) as other:\n"
        "        other.session(call.session_id).pause()\n",
        encoding="utf-8",
    )
    (folder / "pausing.yaml").write_text(
        'version: "1.0"\nname: pausing\njobs:\n'
        '  - {id: a, type: custom, callable: "pausing:job"}\n'
        '  - {id: b, type: custom, command: ["true"], depends_on: [a]}\n',
        encoding="utf-8",
    )
    assert 7 == run(["run", "pausing.yaml", "--format", "json"])

    said = capsys.readouterr()
    document = json.loads(said.out)
    assert ("paused", "user") == (document["status"], document["paused_reason"])
    assert said.err.startswith(f"continue it with: bunsui session resume {document['session_id']} --store ")
    assert 0 == run(["session", "resume", document["session_id"]])
    assert "b  succeeded" in capsys.readouterr().out


def test_a_rerun_says_what_it_took_over(session_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The line of a reused job names the session that it is from, as does the end."""
    assert 1 == run(["session", "rerun", session_id])
    lines = capsys.readouterr().out.splitlines()
    assert f"good   reused     from session {session_id}" in lines
    assert lines[-1].endswith(f"a rerun of {session_id}")


def test_a_plan_of_a_rerun_says_why(session_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--plan tells of each job whether it would run, and why, and starts nothing."""
    assert 0 == run(["session", "rerun", session_id, "--plan", "-p", "n=3", "--format", "json"])
    plan = json.loads(capsys.readouterr().out)
    assert [
        ("good", "run", "its input n changed"),
        ("bad", "run", f"it is failed in session {session_id}"),
        ("after", "run", "it follows 'bad', which runs"),
    ] == [(job["id"], job["plan"], job["reason"]) for job in plan["jobs"]]
    assert (session_id, {"n": 3}) == (plan["rerun_of"], plan["parameters"])
    run(["session", "list", "--format", "json"])
    assert 1 == len(json.loads(capsys.readouterr().out))


def test_a_plan_in_which_nothing_runs_says_no_more(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not that at most 0 run at once."""
    text = 'version: "1.0"\nname: one\njobs: [{id: good, type: custom, command: ["true"]}]\n'
    (folder / "one.yaml").write_text(text, encoding="utf-8")
    assert 0 == run(["run", "one.yaml"])
    capsys.readouterr()
    assert 0 == run(["session", "rerun", "@last", "--plan"])

    assert "1 job: 1 reused" == capsys.readouterr().out.splitlines()[-1]


def test_a_rerun_of_jobs_that_are_not_there(session_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt job is not found, and the nearest is named."""
    assert 3 == run(["session", "rerun", session_id, "--jobs", "good,abd"])
    assert "has no job 'abd'; did you mean 'bad'?" in capsys.readouterr().err
