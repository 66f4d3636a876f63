"""``bunsui session``: how a session is named, pages of a listing, and what is removed."""

from __future__ import annotations

import contextlib
import errno
import json
import shlex
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

import bunsui
from bunsui.cli.drive import drive
from bunsui.cli.main import run
from bunsui.cli.progress import Progress
from bunsui.engine.events import JobSubmitted
from bunsui.runner.sessions import index
from bunsui.stores.sqlite import SqliteStore
from bunsui.stores.sqlite_errors import store_error

PIPELINE = """\
version: "1.0"
name: flow
jobs:
  - {id: a, type: custom, command: ["true"]}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a pipeline and a store of its own, which is the current one."""
    (tmp_path / "pipeline.yaml").write_text(PIPELINE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BUNSUI_STORE", f"sqlite:///{tmp_path}/store.db")
    return tmp_path


def put(folder: Path, session_id: str, created_at: str, pipeline: str = "flow") -> None:
    """An index entry, as a session leaves it."""
    store = SqliteStore(folder / "store.db")
    value = {"pipeline": pipeline, "status": "succeeded", "jobs": {"succeeded": 1}, "held_by": None}
    value |= dict.fromkeys(("created_at", "started_at", "finished_at"), created_at)
    groups = ((index.ALL, created_at), (index.pipeline_group(pipeline), created_at))
    store.put(index.KIND, session_id, value, groups=groups)
    store.close()


def started(capsys: pytest.CaptureFixture[str]) -> str:
    """The id of a session that has run."""
    assert 0 == run(["run", "pipeline.yaml", "--format", "json"])
    return json.loads(capsys.readouterr().out)["session_id"]


class TestNaming:
    """A session's id, the beginning of it, or @last."""

    @pytest.mark.parametrize("length", [1, 5, 15, 16])
    def test_the_beginning_is_enough(
        self, folder: Path, length: int, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Also one character, where there is one session."""
        session = started(capsys)
        assert 0 == run(["session", "status", session[:length], "--format", "json"])
        assert session == json.loads(capsys.readouterr().out)["session_id"]

    def test_last_is_the_newest(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """By the time of creation."""
        _, second = started(capsys), started(capsys)
        assert 0 == run(["session", "status", "@last", "--format", "json"])
        assert second == json.loads(capsys.readouterr().out)["session_id"]

    @pytest.mark.parametrize("command", ["status", "pause", "cancel", "resume"])
    def test_every_command_takes_them(
        self, folder: Path, command: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """What is done to a session that has ended names its whole id."""
        session = started(capsys)
        assert (0 if command == "status" else 5) == run(["session", command, session[:4]])
        said = capsys.readouterr()
        assert session in said.out + said.err

    def test_more_than_one_begin_so(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Exit code 2, with what tells them apart, escaped; ten of them at most."""
        for letter in "abcdefghijklm":
            put(folder, f"aaaa{letter * 12}", "2026-01-31T00:00:00.000000Z", "p\x1b[2J")
        assert 2 == run(["session", "status", "aaaa"])
        lines = capsys.readouterr().err.splitlines()
        assert "bunsui: 'aaaa' is the beginning of more than one session's id:" == lines[0]
        assert "  aaaaaaaaaaaaaaaa  succeeded, 2026-01-31T00:00:00.000000Z, p\\x1b[2J" == lines[1]
        assert ["  ...", "give more characters of the one that is meant"] == lines[11:]

    @pytest.mark.parametrize(
        "text", ["zz", "", "@first", "A", "\x1b", "zzzzzzzzzzzzzzzz", "-", "\udcff", "z" * 16 + "\udcff"]
    )
    def test_none_begins_so(self, folder: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
        """Exit code 3."""
        started(capsys)
        assert 3 == run(["session", "status", "--", text])
        assert "\x1b" not in capsys.readouterr().err

    def test_no_last_one(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """In an empty store there is none, and none is made."""
        assert 3 == run(["session", "status", "@last"])
        assert f"bunsui: there are no sessions in store {folder}/store.db\n" == capsys.readouterr().err
        assert not (folder / "store.db").exists()


class TestNoText:
    """Arguments that are not UTF-8; nobody takes the store for broken."""

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            (["session", "start", "\udcff"], 3, "there is no file '\\udcff', and there is no pipeline"),
            (["pipeline", "show", "\udcff"], 3, "there is no pipeline '\\udcff'"),
            (["pipeline", "delete", "--yes", "\udcff"], 3, "there is no pipeline '\\udcff'"),
            (["logs", "filter", "\udcff"], 3, "there is no session '\\udcff'"),
            (["session", "list", "--pipeline", "\udcff"], 2, "pipeline is '\\udcff', which is no UTF-8; '"),
            (["run", "pipeline.yaml", "-p", "who=\udcff"], 2, "parameter 'who' is not UTF-8\n    give it in"),
        ],
    )
    def test_it_is_said(
        self, folder: Path, arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """With the exit code of what is not there, or of a wrong argument."""
        started(capsys)
        assert code == run(arguments)
        assert said in capsys.readouterr().err.encode(errors="backslashreplace").decode()


class TestStarting:
    """``session start NAME[@REVISION]|FILE``."""

    def started(self, *arguments: str) -> int:
        """The exit code."""
        return run(["session", "start", *arguments, "--format", "json"])

    @pytest.mark.parametrize(
        "path", ["pipeline.yaml", "./pipeline.yaml", "../{0.name}/pipeline.yaml", "{0}/pipeline.yaml"]
    )
    def test_a_file(self, folder: Path, path: str, capsys: pytest.CaptureFixture[str]) -> None:
        """A file that is there needs not be registered."""
        assert 0 == self.started(path.format(folder))
        assert "flow" == json.loads(capsys.readouterr().out)["pipeline"]

    def test_a_registered_one(self, folder: Path) -> None:
        """By its name, with or without a revision."""
        run(["pipeline", "create", "-f", "pipeline.yaml"])
        assert [0, 0, 3] == [self.started(name) for name in ("flow", "flow@1", "flow@2")]

    def test_both(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Nothing is guessed, and each of the two ways that are said works."""
        run(["pipeline", "create", "-f", "pipeline.yaml"])
        (folder / "flow").write_text(PIPELINE.replace("flow", "other"), encoding="utf-8")
        capsys.readouterr()
        assert 2 == self.started("flow")
        assert (
            "bunsui: 'flow' is both a file here and a registered pipeline; the file is './flow'; for the"
            " other, give its revision ('flow@1') or run this in another folder\n"
        ) == capsys.readouterr().err
        found = []
        for name in ("./flow", "flow@1"):
            assert 0 == self.started(name)
            found.append(json.loads(capsys.readouterr().out)["pipeline"])
        assert ["other", "flow"] == found

    @pytest.mark.parametrize("name", ["flo", "no.yaml", "a/b", "x" * 5000, "\x1b[2J"])
    def test_neither(self, folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        """Both possibilities are named; exit code 3."""
        run(["pipeline", "create", "-f", "pipeline.yaml"])
        capsys.readouterr()
        assert 3 == self.started(name)
        said = capsys.readouterr().err
        assert said.startswith("bunsui: there is no file '")
        assert "and there is no pipeline '" in said
        assert ("did you mean 'flow'?" in said) == (name == "flo")

    def test_a_path_that_is_not_there(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """What can only be a file is reported as one."""
        assert 2 == self.started("./no.yaml")
        assert "./no.yaml: error[unreadable-file]" in capsys.readouterr().err.replace("no.yaml", "./no.yaml")


def test_pages(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each page says which option shows the next one, as a shell takes it; the last one says nothing."""
    for number in range(5):
        put(folder, str(number) * 16, f"2026-01-0{number + 1}T00:00:00.000000Z")
    pages, option = [], []
    while True:
        assert 0 == run(["session", "list", "--limit", "2", "--format", "json", *option])
        shown = capsys.readouterr()
        pages.append([session["session_id"][0] for session in json.loads(shown.out)])
        if not shown.err:
            break
        option = shlex.split(shown.err.splitlines()[1].removeprefix("the next page: "))
    assert [["4", "3"], ["2", "1"], ["0"]] == pages


def test_a_wrong_place(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2."""
    assert 2 == run(["session", "list", "--after", "x"])
    assert "'x' is no cursor" in capsys.readouterr().err


class TestPrune:
    """``session prune``."""

    def test_as_data(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A dry run asks nothing and says what would go; with --yes it goes."""
        put(folder, "a" * 16, "2020-01-01T00:00:00.000000Z")
        young = started(capsys)
        logs = folder / "store.db-logs" / ("a" * 16)
        logs.mkdir(parents=True)
        (logs / "a.1.log").write_text("x" * 1500, encoding="utf-8")
        found = []
        for option in ("--dry-run", "--yes"):
            arguments = ["session", "prune", "--older-than", "30d", option, "--format", "json"]
            assert 0 == run(arguments)
            found.append(json.loads(capsys.readouterr().out))
        entry = {
            "session_id": "a" * 16,
            "pipeline": "flow",
            "status": "succeeded",
            "finished_at": "2020-01-01T00:00:00.000000Z",
            "log_bytes": 1500,
            "artifact_bytes": 0,
        }
        expected = {"sessions": [entry], "kept": [], "log_bytes": 1500, "artifact_bytes": 0}
        assert [{"dry_run": dry} | expected for dry in (True, False)] == found
        with bunsui.Runner(autoload_plugins=False) as runner:
            assert [young] == [summary.session_id for summary in runner.sessions()]
        assert not logs.exists()

    def test_as_a_table(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A line for each, and what was freed on stderr."""
        put(folder, "a" * 16, "2020-01-01T00:00:00.000000Z")
        assert 0 == run(["session", "prune", "--older-than", "1d", "--yes"])
        said = capsys.readouterr()
        assert [["SESSION", "PIPELINE", "STATUS", "FINISHED", "FILES"], ["a" * 16, "flow", "succeeded"]] == [
            (words := line.split())[: 5 if words[0] == "SESSION" else 3] for line in said.out.splitlines()
        ]
        assert "1 session was removed, with 0 B of logs and 0 B of artifacts\n" == said.err

    def test_without_a_terminal_it_wants_to_be_told(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Exit code 2, and nothing is removed."""
        put(folder, "a" * 16, "2020-01-01T00:00:00.000000Z")
        assert 2 == run(["session", "prune", "--older-than", "1d"])
        assert "there is no terminal to ask at; give --yes to remove them, or --dry-run" in (
            capsys.readouterr().err
        )
        assert 0 == run(["session", "list", "--format", "json"])
        assert 1 == len(json.loads(capsys.readouterr().out))

    @pytest.mark.parametrize(("text", "gone"), [("1w", 1), ("0.5w", 1), ("900000000w", 0), ("9000d", 0)])
    def test_how_long_ago(
        self, folder: Path, text: str, gone: int, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Weeks, too, as for logs."""
        put(folder, "a" * 16, "2020-01-01T00:00:00.000000Z")
        arguments = ["session", "prune", "--dry-run", "--format", "json", "--older-than"]
        assert (0 if gone or text == "9000d" else 2) == run([*arguments, text])
        said = capsys.readouterr().out
        assert gone == (len(json.loads(said)["sessions"]) if said else 0)

    @pytest.mark.parametrize("text", ["", "w", "1w2d", "dw", "\u0661w"])
    def test_what_is_no_duration(self, folder: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
        """It says how one is written here."""
        assert 2 == run(["session", "prune", "--yes", "--older-than", text])
        assert "which is no duration; such as 30d or 1w (ms, s, m, h, d, w); more than 0\n" in (
            capsys.readouterr().err
        )

    def test_on_a_full_disk(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """No session is meant: it says what can be removed though the store can't be written."""
        put(folder, "a" * 16, "2020-01-01T00:00:00.000000Z")

        def fails(*_: object, **__: object) -> None:
            raise store_error(folder / "store.db", OSError(errno.ENOSPC, "No space left on device"))

        monkeypatch.setattr(SqliteStore, "put", fails)
        assert 6 == run(["session", "prune", "--yes", "--older-than", "1d"])
        said = capsys.readouterr().err
        assert f"No space left on device; free some space first: in {folder}/store.db-logs each" in said
        assert "resumed" not in said

    def test_what_could_not_be_removed(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """It is named with its reason, and the exit code is 1."""
        put(folder, "../x", "2020-01-01T00:00:00.000000Z")
        assert 1 == run(["session", "prune", "--older-than", "1d", "--yes"])
        assert "session ../x can't be removed: its id is none that bunsui gives\n" in capsys.readouterr().err

    @pytest.mark.parametrize("age", ["soon", "0d", "-1d", "30"])
    def test_a_wrong_age(self, folder: Path, age: str, capsys: pytest.CaptureFixture[str]) -> None:
        """Exit code 2, with an example."""
        assert 2 == run(["session", "prune", "--older-than", age, "--yes"])
        assert "such as 30d or 1w" in capsys.readouterr().err


class TestDriving:
    """What a command says that drives a session."""

    def test_a_store_that_fails(self, folder: Path) -> None:
        """The command that goes on with the session is said, with its store, as after Ctrl-C."""
        error = store_error(folder / "store.db", OSError(errno.ENOSPC, "No space left on device"))

        def begin() -> bunsui.Session:
            raise error

        with pytest.raises(bunsui.StoreError) as raised:
            drive(bunsui.Runner(), begin, Progress(quiet=True, session_id="abc"), "text", " --store URL")
        assert str(raised.value).endswith(
            "free some space; the session can be resumed. Continue it with:\n"
            "  bunsui session resume abc --store URL"
        )
        with pytest.raises(bunsui.StoreError) as raised:  # There is none yet.
            drive(bunsui.Runner(), begin, Progress(quiet=True), "text", "")
        assert raised.value.__cause__ in (error, None)
        assert str(raised.value).endswith("free some space")

    def test_a_store_that_was_locked(self, folder: Path) -> None:
        """To try again is to go on with the session: the same command would start another one."""
        locked = sqlite3.connect(folder / "locked.db", timeout=0)
        locked.execute("BEGIN EXCLUSIVE")

        def begin() -> bunsui.Session:
            with contextlib.closing(sqlite3.connect(folder / "locked.db", timeout=0)) as other:
                try:
                    other.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError as error:
                    raise store_error(folder / "locked.db", error) from error
            raise AssertionError

        with contextlib.closing(locked), pytest.raises(bunsui.StoreError) as raised:
            drive(bunsui.Runner(), begin, Progress(quiet=True, session_id="abc"), "text", " --store URL")
        assert str(raised.value).endswith(
            "for too long; try again. Continue it with:\n  bunsui session resume abc --store URL"
        )

    def test_no_jobs_to_rerun(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """An empty list is not taken for the default."""
        session = started(capsys)
        for text in ("", ",", " , "):
            assert 2 == run(["session", "rerun", session, "--jobs", text])
            assert "names no job; such as --jobs load,report+\n" in capsys.readouterr().err

    def test_where_an_output_is_from(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Also where a job's output was in the cache."""
        cached = PIPELINE.replace("}", ", cache: {ttl: 1d, key: x}}")
        (folder / "pipeline.yaml").write_text(cached, encoding="utf-8")
        first = started(capsys)
        started(capsys)
        assert 0 == run(["session", "status", "@last"])
        assert f"cached from {first}" in capsys.readouterr().out

    def test_a_long_output_is_shortened(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """It says how long it is, and how to get all of it."""
        (folder / "long.py").write_text("def long():\n    return 'x' * 3000\n", encoding="utf-8")
        text = PIPELINE.replace('command: ["true"]', 'callable: "long:long"')
        (folder / "pipeline.yaml").write_text(text, encoding="utf-8")
        assert 0 == run(["run", "pipeline.yaml"])
        assert "xxx… (3,002 bytes; --format json gives it whole)\n" in capsys.readouterr().out

    @pytest.mark.parametrize("declared", ["", 'outputs: {a: "${jobs.a.output}"}\n'])
    def test_a_large_output_is_not_read(
        self, folder: Path, declared: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Not for its beginning: that it is gone is not even noticed."""
        (folder / "long.py").write_text("def long():\n    return 'x' * 2_000_000\n", encoding="utf-8")
        text = PIPELINE.replace('command: ["true"]', 'callable: "long:long"')
        (folder / "pipeline.yaml").write_text(text + declared, encoding="utf-8")
        started(capsys)
        for path in (folder / "store.db-artifacts").rglob("*"):
            if path.is_file():
                path.unlink()
        assert 0 == run(["session", "status", "@last"])
        said = capsys.readouterr()
        assert "\n  a: (2,000,0" in said.out
        assert "; --format json gives it whole)\n" in said.out
        assert "" == said.err


class Endless(bunsui.RemoteJobType):
    """Work at a service that goes on until somebody stops it."""

    name = "endless"
    schema = {"type": "object", "properties": {}}

    def submit(self, call: bunsui.JobCall) -> object:
        return {"id": "r4"}

    def poll(self, handles: Sequence[object]) -> Sequence[bunsui.Running]:
        return [bunsui.Running() for _ in handles]

    def cancel(self, handle: object) -> None:
        """It is not asked."""

    def find(self, call: bunsui.JobCall) -> bunsui.CannotTell:
        return bunsui.CannotTell()

    @bunsui.hookimpl
    def bunsui_job_types(self) -> list[bunsui.JobType]:
        return [self]


def test_what_is_cancelled_and_may_go_on_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the job's type is not known here, nobody stops its work: the command says so, and what it is."""
    pipeline = bunsui.Pipeline(
        "flow", [bunsui.Job("a", "endless"), bunsui.Job("b", "custom", command=["true"], depends_on=["a"])]
    )
    with bunsui.Runner(plugins=[Endless()], autoload_plugins=False) as runner:
        session = runner.start(pipeline)
        next(event for event in session.events(follow=True) if isinstance(event, JobSubmitted))
        runner.close(timeout=0)
    capsys.readouterr()
    assert 0 == run(["session", "cancel", session.id])
    assert [
        f"session {session.id} is cancelled",
        "a: the session was cancelled; what became of attempt 1 is not known; its service knows it as"
        ' {"id":"r4"}',
    ] == capsys.readouterr().err.splitlines()
