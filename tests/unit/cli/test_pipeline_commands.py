"""``bunsui pipeline ...``, ``session start``, ``schema`` and ``explain``: what they print, how they end."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import bunsui
from bunsui.cli import render
from bunsui.cli.main import run

V1 = """\
version: "1.0"
name: flow
description: |
  From here
  to there
parameters:
  - {name: n, type: integer, default: 2}
jobs:
  - {id: good, type: custom, command: [test, -f, pipeline.yaml], parameters: {n: "${n}"}}
"""
V2 = V1 + '  - {id: more, type: custom, command: ["true"], depends_on: [good]}\n'
WRONG = 'version: "1.0"\nname: bad\njobs:\n  - {id: a, type: custom, command: [x], depends_on: [bb]}\n'
UNKNOWN_JOB = "job 'a' depends on 'bb', which does not exist"

Said = Callable[[], tuple[str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a pipeline and a store of its own, which is the current one."""
    (tmp_path / "pipeline.yaml").write_text(V1, encoding="utf-8")
    (tmp_path / "v2.yaml").write_text(V2, encoding="utf-8")
    (tmp_path / "wrong.yaml").write_text(WRONG, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BUNSUI_STORE", f"sqlite:///{tmp_path}/store.db")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """What has been printed since: stdout and stderr."""
    return lambda: tuple(capsys.readouterr())  # type: ignore[return-value]


@pytest.fixture
def flow(folder: Path, said: Said) -> Path:
    """The folder, with two revisions of flow registered from it."""
    assert 0 == run(["pipeline", "create", "-f", "pipeline.yaml"])
    assert 0 == run(["pipeline", "update", "-f", "v2.yaml"])
    said()
    return folder


def on_terminal(folder: Path, *arguments: str, answer: str = "", **environment: str) -> tuple[int, str]:
    """The exit code of a command in a terminal, and what is to be seen in that."""
    master, slave = pty.openpty()
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM")}
    process = subprocess.Popen(
        [sys.executable, "-m", "bunsui", *arguments],
        cwd=folder,
        env={**clean, "TERM": "xterm", **environment},
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    os.write(master, answer.encode())
    seen = b""
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:  # Linux: nobody has the other end any more.
            break
        if not chunk:
            break
        seen += chunk
    os.close(master)
    return process.wait(60), seen.decode().replace("\r\n", "\n")


class TestCreateAndUpdate:
    """``pipeline create`` and ``pipeline update``."""

    def test_they_print_the_name_that_start_takes(self, folder: Path, said: Said) -> None:
        """NAME@REVISION, alone."""
        assert 0 == run(["pipeline", "create", "-f", "pipeline.yaml"])
        assert 0 == run(["pipeline", "update", "-f", "v2.yaml"])

        assert ("flow@1\nflow@2\n", "") == said()

    def test_a_name_that_exists_is_a_conflict(self, flow: Path, said: Said) -> None:
        """Exit code 5."""
        assert 5 == run(["pipeline", "create", "-f", "pipeline.yaml"])

        assert (
            "",
            "bunsui: pipeline 'flow' is registered already, with revision 2;"
            " update it to make another revision\n",
        ) == said()

    def test_a_name_that_does_not_exist_is_not_found(self, folder: Path, said: Said) -> None:
        """Exit code 3, and no store comes into being."""
        assert 3 == run(["pipeline", "update", "-f", "pipeline.yaml"])

        assert said()[1].startswith("bunsui: there is no pipeline 'flow' in this store")
        assert not (folder / "store.db").exists()

    @pytest.mark.parametrize("command", ["create", "update"])
    @pytest.mark.parametrize(
        ("file", "expected"),
        [
            ("wrong.yaml", "wrong.yaml:4:54: error[unknown-job]"),
            ("no.yaml", "no.yaml: error[unreadable-file]"),
        ],
    )
    def test_a_wrong_definition_is_not_registered(
        self, folder: Path, said: Said, command: str, file: str, expected: str
    ) -> None:
        """Exit code 2."""
        assert 2 == run(["pipeline", command, "-f", file])

        assert said()[1].startswith(expected)
        assert not (folder / "store.db").exists()


class TestDelete:
    """``pipeline delete``."""

    def test_yes_does_not_ask(self, flow: Path, said: Said) -> None:
        """And says nothing."""
        assert 0 == run(["pipeline", "delete", "flow", "--yes"])
        assert ("", "") == said()
        assert 0 == run(["pipeline", "list"])

        assert ("", "no pipelines\n") == said()

    def test_without_a_terminal_it_is_refused(self, flow: Path, said: Said) -> None:
        """Exit code 2: there is nobody to ask."""
        assert 2 == run(["pipeline", "delete", "flow"])

        assert "there is no terminal to ask at; give --yes to delete it" in said()[1]
        assert 0 == run(["pipeline", "show", "flow"])

    @pytest.mark.parametrize(("answer", "left"), [("y", []), ("n", ["flow"]), ("", ["flow"])])
    def test_in_a_terminal_it_asks(self, flow: Path, said: Said, answer: str, left: list[str]) -> None:
        """Anything but yes deletes nothing."""
        code, seen = on_terminal(flow, "pipeline", "delete", "flow", answer=f"{answer}\n")

        assert 0 == code
        assert "Delete pipeline 'flow' with its 2 revisions? Its sessions stay. [y/N]:" in seen
        assert ("nothing was deleted" in seen) is bool(left)
        run(["pipeline", "list", "--format", "json"])
        assert left == [found["name"] for found in json.loads(said()[0])]

    @pytest.mark.parametrize("arguments", [[], ["--yes"]])
    def test_what_is_not_there_is_not_found(self, flow: Path, said: Said, arguments: list[str]) -> None:
        """Exit code 3, before anything is asked."""
        assert 3 == run(["pipeline", "delete", "flwo", *arguments])

        assert "bunsui: there is no pipeline 'flwo' in this store; did you mean 'flow'?\n" == said()[1]


class TestList:
    """``pipeline list``."""

    def test_as_a_table(self, flow: Path, said: Said) -> None:
        """A line for each name; of a description, its first line."""
        assert 0 == run(["pipeline", "list"])

        heading, line = said()[0].splitlines()
        assert ["PIPELINE", "REVISION", "JOBS", "UPDATED", "DESCRIPTION"] == heading.split()
        name, revision, jobs, _, *description = line.split()
        assert ("flow", "2", "2", "From here") == (name, revision, jobs, " ".join(description))

    @pytest.mark.parametrize("form", ["json", "yaml"])
    def test_as_data(self, flow: Path, said: Said, form: str) -> None:
        """An array of these, alone on stdout."""
        assert 0 == run(["pipeline", "list", "--format", form])

        out, err = said()
        (found,) = json.loads(out) if form == "json" else yaml.safe_load(out)
        assert "" == err
        assert ["name", "revision", "digest", "created_at", "updated_at", "description", "jobs"] == list(
            found
        )
        assert ("flow", 2, bunsui.Pipeline.parse(V2).digest, 2) == (
            found["name"],
            found["revision"],
            found["digest"],
            found["jobs"],
        )
        assert found["created_at"] < found["updated_at"]

    @pytest.mark.parametrize(
        ("form", "expected"),
        [("table", ("", "no pipelines\n")), ("json", ("[]\n", "")), ("yaml", ("[]\n", ""))],
    )
    def test_a_store_that_is_not_there_is_empty(
        self, folder: Path, said: Said, form: str, expected: tuple[str, str]
    ) -> None:
        """And listing it does not make it."""
        assert 0 == run(["pipeline", "list", "--format", form])

        assert expected == said()
        assert not (folder / "store.db").exists()


class TestShow:
    """``pipeline show``."""

    @pytest.mark.parametrize(("name", "text"), [("flow", V2), ("flow@2", V2), ("flow@1", V1)])
    @pytest.mark.parametrize("form", ["yaml", "json"])
    def test_it_prints_the_definition(self, flow: Path, said: Said, name: str, text: str, form: str) -> None:
        """What is printed is the same pipeline again."""
        assert 0 == run(["pipeline", "show", name, "--format", form])

        assert bunsui.Pipeline.parse(text) == bunsui.Pipeline.parse(said()[0], format=form)

    def test_as_a_table(self, flow: Path, said: Said) -> None:
        """A line for each job."""
        assert 0 == run(["pipeline", "show", "flow", "--format", "table"])

        assert [["JOB", "TYPE", "DEPENDS", "ON"], ["good", "custom"], ["more", "custom", "good"]] == [
            line.split() for line in said()[0].splitlines()
        ]

    def test_a_missing_revision_is_not_found(self, flow: Path, said: Said) -> None:
        """Exit code 3."""
        assert 3 == run(["pipeline", "show", "flow@3"])

        assert ("", "bunsui: pipeline 'flow' has no revision 3; it has revisions 1 to 2\n") == said()


class TestValidate:
    """``pipeline validate``."""

    def test_all_problems_of_all_files_are_shown(self, folder: Path, said: Said) -> None:
        """As they are rendered; how many, on stderr; exit code 2."""
        (folder / "empty.yaml").write_text("", encoding="utf-8")
        assert 2 == run(["pipeline", "validate", "wrong.yaml", "pipeline.yaml", "no.yaml", "empty.yaml"])

        problems = [
            problem.render()
            for file in ("wrong.yaml", "no.yaml", "empty.yaml")
            for problem in bunsui.validate(Path(file))
        ]
        assert ("\n".join(problems) + "\n", "4 files: 3 errors\n") == said()

    def test_nothing_wrong_is_0(self, folder: Path, said: Said) -> None:
        """And no store is opened."""
        assert 0 == run(["pipeline", "validate", "pipeline.yaml"])

        assert ("", "1 file: no problems\n") == said()
        assert not (folder / "store.db").exists()

    def test_warnings_alone_are_0(self, folder: Path, said: Said) -> None:
        """They are shown and counted."""
        (folder / "odd.yaml").write_text(
            V1 + "templates:\n  spare: {type: custom, command: [x]}\n", encoding="utf-8"
        )
        assert 0 == run(["pipeline", "validate", "odd.yaml", "pipeline.yaml"])

        out, err = said()
        assert out.startswith("odd.yaml:11:3: warning[unused-template]: ")
        assert "2 files: 1 warning\n" == err

    def test_a_store_that_cannot_be_opened_is_no_matter(
        self, folder: Path, said: Said, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is not asked for."""
        monkeypatch.setenv("BUNSUI_STORE", "nonsense")

        assert 0 == run(["pipeline", "validate", "pipeline.yaml"])

    def test_as_json(self, folder: Path, said: Said) -> None:
        """An array of these, alone on stdout; null where there is no place."""
        assert 2 == run(["pipeline", "validate", "wrong.yaml", "no.yaml", "--format", "json"])

        out, err = said()
        assert "" == err
        wrong, missing = json.loads(out)
        (problem,) = bunsui.validate(Path("wrong.yaml"))
        assert {
            "file": "wrong.yaml",
            "line": 4,
            "column": 54,
            "path": "/jobs/0/depends_on/0",
            "code": "unknown-job",
            "severity": "error",
            "message": problem.message,
            "hint": problem.hint,
        } == wrong
        assert ("no.yaml", None, None, "unreadable-file") == (
            missing["file"],
            missing["line"],
            missing["column"],
            missing["code"],
        )

    def test_nothing_wrong_as_json(self, folder: Path, said: Said) -> None:
        """An empty array."""
        assert 0 == run(["pipeline", "validate", "pipeline.yaml", "--format", "json"])

        assert ("[]\n", "") == said()

    def test_as_workflow_commands(self, folder: Path, said: Said) -> None:
        """One for each problem: place, code, message; without a place where there is none."""
        assert 2 == run(["pipeline", "validate", "wrong.yaml", "no.yaml", "--format", "github"])

        out, err = said()
        wrong, missing = out.splitlines()
        assert "" == err
        assert wrong.startswith(
            "::error file=wrong.yaml,line=4,col=54,endColumn=56,title=bunsui unknown-job::" + UNKNOWN_JOB
        )
        assert (
            "::error file=no.yaml,title=bunsui unreadable-file::"
            "the definition can't be read: No such file or directory" == missing
        )

    def test_workflow_commands_are_escaped(self, folder: Path, said: Said) -> None:
        """Whatever a file or a job is called, it can't begin another command or another property."""
        name = "a,b:c%d\n::stop.yaml"
        (folder / name).write_text(WRONG.replace("[bb]", '["b%\\r\\n::b"]'), encoding="utf-8")
        assert 2 == run(["pipeline", "validate", name, "--format", "github"])

        (line,) = said()[0].splitlines()
        assert line.startswith("::error file=a%2Cb%3Ac%25d%0A%3A%3Astop.yaml,line=4,col=54,endColumn=65,")
        assert "::job 'a' depends on 'b%25\\r\\n::b', which does not exist" in line

    def test_workflow_commands_are_safe_for_a_terminal(self, folder: Path, said: Said) -> None:
        """The name of a file is escaped there as in all else that is printed."""
        name = "a\x1b]0;b\x07\u202e.yaml"
        (folder / name).write_text(WRONG, encoding="utf-8")
        assert 2 == run(["pipeline", "validate", name, "--format", "github"])

        (line,) = said()[0].splitlines()
        assert line.startswith(r"::error file=a\x1b]0;b\x07\u202e.yaml,line=4,col=54,")

    def test_a_hint_is_a_line_of_a_workflow_command(self, folder: Path, said: Said) -> None:
        """Behind an escaped newline."""
        (folder / "near.yaml").write_text(
            WRONG.replace("bb", "extrct") + "  - {id: extract, type: custom, command: [x]}\n",
            encoding="utf-8",
        )
        run(["pipeline", "validate", "near.yaml", "--format", "github"])

        assert said()[0].endswith("does not exist%0Adid you mean 'extract'?\n")

    @pytest.mark.parametrize(
        ("files", "severities", "expected"),
        [
            (2, ["error", "warning", "error", "error"], "2 files: 3 errors, 1 warning"),
            (1, ["warning", "warning"], "1 file: 2 warnings"),
            (3, [], "3 files: no problems"),
        ],
    )
    def test_errors_and_warnings_are_counted_apart(
        self, files: int, severities: list[str], expected: str
    ) -> None:
        """What there is none of is left out."""
        problems = [bunsui.Problem("some-code", "wrong", severity=severity) for severity in severities]

        assert expected == render.problem_counts(files, problems)

    def test_a_warning_is_a_workflow_command_of_its_own(self) -> None:
        """::warning, without properties that are not known."""
        problem = bunsui.Problem("some-code", "odd", hint="look", severity="warning")

        assert "::warning title=bunsui some-code::odd%0Alook" == render.problem_annotation(problem)

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            (WRONG.encode(), f"<stdin>:4:54: error[unknown-job]: {UNKNOWN_JOB}"),
            (b"name", "<stdin>:1:1: error[wrong-type]"),
            (b"\xff", "<stdin>:1:1: error[bad-encoding]: byte 0xff is not UTF-8"),
            (b"", "<stdin>:1:1: error[empty-document]"),
        ],
    )
    def test_a_dash_is_standard_input(
        self, folder: Path, said: Said, monkeypatch: pytest.MonkeyPatch, given: bytes, expected: str
    ) -> None:
        """Whatever it holds; the problems name it."""
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        assert 2 == run(["pipeline", "validate", "-"])

        out, err = said()
        assert out.startswith(expected)
        assert "1 file: 1 error\n" == err

    def test_without_a_file_it_is_a_usage_error(self, folder: Path, said: Said) -> None:
        """Exit code 2."""
        assert 2 == run(["pipeline", "validate"])

        assert "Missing argument 'FILE...'" in said()[1]

    def test_a_terminal_shows_severity_and_carets_in_colour(self, folder: Path) -> None:
        """Without the colours it is the same text."""
        code, seen = on_terminal(folder, "pipeline", "validate", "wrong.yaml")

        assert 2 == code
        assert "wrong.yaml:4:54: \x1b[31m\x1b[1merror[unknown-job]\x1b[0m: " in seen
        assert " \x1b[31m\x1b[1m^^\x1b[0m" in seen
        plain = seen.replace("\x1b[31m\x1b[1m", "").replace("\x1b[0m", "")
        (problem,) = bunsui.validate(folder / "wrong.yaml")
        assert f"{problem.render().replace(f'{folder}/', '')}\n1 file: 1 error\n" == plain

    @pytest.mark.parametrize("unwanted", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
    def test_colours_can_be_refused(self, folder: Path, unwanted: dict[str, str]) -> None:
        """NO_COLOR, or a terminal that has none."""
        _, seen = on_terminal(folder, "pipeline", "validate", "wrong.yaml", **unwanted)

        assert "error[unknown-job]" in seen
        assert "\x1b" not in seen


class TestDiff:
    """``pipeline diff``."""

    def test_two_files(self, folder: Path, said: Said) -> None:
        """A line for each difference; exit code 0; no store comes into being."""
        assert 0 == run(["pipeline", "diff", "pipeline.yaml", "v2.yaml"])

        assert ("+ job 'more' (custom)\n", "") == said()
        assert not (folder / "store.db").exists()

    def test_two_files_need_no_store(self, folder: Path, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
        """A store that can't be opened is in nobody's way."""
        monkeypatch.setenv("BUNSUI_STORE", "bogus://x")
        assert 0 == run(["pipeline", "diff", "pipeline.yaml", "v2.yaml"])
        assert ("+ job 'more' (custom)\n", "") == said()

    @pytest.mark.parametrize(("before", "after"), [("flow@2", "flow@1"), ("flow", "pipeline.yaml")])
    def test_registered_pipelines(self, flow: Path, said: Said, before: str, after: str) -> None:
        """By name, with or without a revision, also against a file."""
        assert 0 == run(["pipeline", "diff", before, after])

        assert ("- job 'more' (custom)\n", "") == said()

    def test_a_file_wins_over_a_name(self, flow: Path, said: Said) -> None:
        """But a folder does not."""
        (flow / "flow").write_text(V1, encoding="utf-8")
        (flow / "flow@1").mkdir()
        assert 0 == run(["pipeline", "diff", "flow", "flow@1"])

        assert ("", "no differences\n") == said()

    def test_as_json(self, folder: Path, said: Said) -> None:
        """An array of these, alone on stdout."""
        (folder / "v3.yaml").write_text(V1.replace("default: 2", "default: 3"), encoding="utf-8")
        assert 0 == run(["pipeline", "diff", "pipeline.yaml", "v3.yaml", "--format", "json"])

        out, err = said()
        assert "" == err
        assert [
            {
                "change": "changed",
                "path": "/parameters/n/default",
                "what": "parameter 'n'",
                "field": "default",
                "before": 2,
                "after": 3,
            }
        ] == json.loads(out)

    @pytest.mark.parametrize(("after", "code"), [("v2.yaml", 1), ("pipeline.yaml", 0)])
    def test_the_exit_code_can_tell(self, folder: Path, after: str, code: int) -> None:
        """--exit-code: 1 where there are differences."""
        assert code == run(["pipeline", "diff", "pipeline.yaml", after, "--exit-code"])

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("flow@7", "there is no file 'flow@7', and pipeline 'flow' has no revision 7"),
            ("flwo", "there is no file 'flwo', and there is no pipeline 'flwo' in this store; did you mean"),
            ("x" * 5000, f"there is no file '{'x' * 5000}', and there is no pipeline"),
        ],
    )
    def test_what_is_neither_is_not_found(self, flow: Path, said: Said, text: str, expected: str) -> None:
        """Exit code 3, and what it was looked for as."""
        assert 3 == run(["pipeline", "diff", "pipeline.yaml", text])

        assert said()[1].startswith(f"bunsui: {expected}")


class TestSessionStart:
    """``session start``."""

    def test_it_runs_the_newest_revision(self, flow: Path, said: Said) -> None:
        """As ``run`` does: progress, outputs, how it ended."""
        assert 0 == run(["session", "start", "flow"])

        out = said()[0]
        assert "more  succeeded  attempt 1" in out
        assert "succeeded in" in out.splitlines()[-1]

    def test_a_revision_with_parameters_from_another_folder(
        self,
        flow: Path,
        said: Said,
        tmp_path_factory: pytest.TempPathFactory,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Its command still runs where it was registered from."""
        monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
        assert 0 == run(["session", "start", "flow@1", "-p", "n=7", "--format", "json"])

        document = json.loads(said()[0])
        assert ("flow", {"n": 7}, ["good"]) == (
            document["pipeline"],
            document["parameters"],
            list(document["jobs"]),
        )

    def test_a_session_that_fails_is_1(self, folder: Path, said: Said) -> None:
        """The exit codes are those of ``run``."""
        (folder / "pipeline.yaml").write_text(V1.replace("-f, pipeline", "-d, pipeline"), encoding="utf-8")
        run(["pipeline", "create", "-f", "pipeline.yaml"])

        assert 1 == run(["session", "start", "flow"])

    def test_bindings_and_local_reach_the_runner(self, folder: Path, said: Said) -> None:
        """--local refuses what is not bound, --bindings binds it."""
        (folder / "aws.yaml").write_text(
            'version: "1.0"\nname: aws\njobs: [{id: a, type: lambda, function: fn}]\n', encoding="utf-8"
        )
        (folder / "handlers.py").write_text(
            "def handle(event, context):\n    return 'ok'\n", encoding="utf-8"
        )
        (folder / "bound.yaml").write_text('lambda: {fn: "handlers:handle"}\n', encoding="utf-8")
        run(["pipeline", "create", "-f", "aws.yaml"])
        said()

        assert 2 == run(["session", "start", "aws", "--local"])
        assert "the run is local, so nothing may run on AWS" in said()[1]
        assert 0 == run(["session", "start", "aws", "--local", "--bindings", "bound.yaml"])

    @pytest.mark.parametrize("name", ["flwo", "flow@9"])
    def test_what_is_not_registered_is_not_found(self, flow: Path, said: Said, name: str) -> None:
        """Exit code 3, and no session."""
        assert 3 == run(["session", "start", name])
        said()
        run(["session", "list"])

        assert ("", "no sessions\n") == said()


class TestSchemaAndExplain:
    """``schema`` and ``explain``."""

    def test_the_schema_is_the_librarys(self, said: Said) -> None:
        """As JSON, alone on stdout."""
        assert 0 == run(["schema"])

        out, err = said()
        assert (bunsui.json_schema(), "") == (json.loads(out), err)

    def test_a_code_is_explained(self, said: Said) -> None:
        """As the library explains it."""
        from bunsui.dsl.codes import explain

        assert 0 == run(["explain", "unknown-job"])

        assert (explain("unknown-job").rstrip("\n") + "\n", "") == said()

    def test_an_explanation_as_data(self, said: Said) -> None:
        """What the listing gives, and the text."""
        from bunsui.dsl.codes import CODES, explain

        assert 0 == run(["explain", "unknown-job", "--format", "json"])

        assert {
            "code": "unknown-job",
            "summary": CODES["unknown-job"].summary,
            "explanation": explain("unknown-job").rstrip("\n"),
        } == json.loads(said()[0])

    def test_an_unknown_code_is_not_found(self, said: Said) -> None:
        """Exit code 3, and the one that may be meant."""
        assert 3 == run(["explain", "unknwon-job"])

        assert "did you mean 'unknown-job'?" in said()[1]

    @pytest.mark.parametrize("form", ["json", "yaml"])
    def test_without_a_code_all_are_listed(self, said: Said, form: str) -> None:
        """An array of {code, summary}, alone on stdout."""
        from bunsui.dsl.codes import CODES

        assert 0 == run(["explain", "--format", form])

        out, err = said()
        found: list[dict[str, Any]] = json.loads(out) if form == "json" else yaml.safe_load(out)
        assert "" == err
        assert [{"code": code.code, "summary": code.summary} for code in CODES.values()] == found

    def test_the_codes_as_a_table(self, said: Said) -> None:
        """A line for each."""
        from bunsui.dsl.codes import CODES

        assert 0 == run(["explain"])

        heading, *lines = said()[0].splitlines()
        assert ["CODE", "PROBLEM"] == heading.split()
        assert list(CODES) == [line.split()[0] for line in lines]


class TestTheOtherCommand:
    """Who gives a name to one command that another takes is told so."""

    def test_a_file_is_not_shown(self, folder: Path, said: Said) -> None:
        """`pipeline show` takes a name, `run` a file."""
        assert 3 == run(["pipeline", "show", "pipeline.yaml"])
        assert "a file is run with 'bunsui run pipeline.yaml'" in said()[1]

    def test_a_name_is_not_run(self, folder: Path, said: Said) -> None:
        """And the other way round."""
        assert 2 == run(["run", "flow"])
        assert "a registered pipeline is run with 'bunsui session start NAME'" in said()[1]

    def test_one_revision_is_not_deleted(self, flow: Path, said: Said) -> None:
        """Nor is, by mistake, all that there is."""
        assert 2 == run(["pipeline", "delete", "flow@1", "--yes"])
        assert "'pipeline delete flow' deletes all" in said()[1]
        assert 0 == run(["pipeline", "show", "flow@2"])

    def test_a_pipeline_whose_folder_is_gone_is_not_started(self, folder: Path, said: Said) -> None:
        """What it runs would not be found."""
        (folder / "gone").mkdir()
        (folder / "pipeline.yaml").rename(folder / "gone" / "pipeline.yaml")
        assert 0 == run(["pipeline", "create", "-f", "gone/pipeline.yaml"])
        (folder / "gone").rename(folder / "elsewhere")
        assert 2 == run(["session", "start", "flow"])
        assert "the folder of the definition" in said()[1]


def test_endless_input_is_refused(folder: Path, said: Said) -> None:
    """As much is read as a definition may have, and not more."""
    assert 2 == run(["pipeline", "validate", "/dev/zero"])
    assert "error[too-large]: the text has more than 16,777,216 bytes" in said()[0]


def test_json_is_wanted_for_lists(folder: Path, said: Said) -> None:
    """A list on the command line is JSON, and how it is quoted is shown."""
    (folder / "p.yaml").write_text(V1.replace("jobs:", "  - {name: xs, type: array}\njobs:"))
    assert 2 == run(["run", "p.yaml", "-p", "xs=a,b"])
    assert """write JSON, as in -p 'xs=["a", "b"]'""" in said()[1]
