"""Large outputs, end to end: they lie beside the store, are read when asked for, and missed by name."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui import Job, Pipeline, Runner
from bunsui.engine import events as ev
from bunsui.errors import ConfigError, NotFound, StoreError
from bunsui.model.artifact import INLINE, Artifact
from bunsui.ports.remote import Found, Running, Succeeded
from bunsui.runner.attempts.artifact_folder import FolderArtifacts
from bunsui.stores.memory import MemoryStore
from bunsui_tests.conditions import until
from bunsui_tests.services import Service, ServicePlugin

LARGE = 40_000

#: A program that prints a line, and has a large output.
SAYS = "import json, os; print('said'); json.dump('x' * 40_000, open(os.environ['BUNSUI_OUTPUT'], 'w'))"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store on the real disk."""
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def runner(url: str) -> Iterator[Runner]:
    """A runner that is closed at the end."""
    with Runner(url, autoload_plugins=False) as made:
        yield made


def text(size: int) -> str:
    return "x" * size


def echo(**given: Any) -> dict[str, Any]:
    return given


def sized(name: str, size: int = LARGE, **fields: Any) -> Job:
    """A job whose output has this many characters."""
    return Job.from_callable(text, id=name, parameters={"size": size}, **fields)


def files(tmp_path: Path, session: bunsui.Session) -> list[Path]:
    """The artifacts of a session."""
    folder = tmp_path / "store.db-artifacts" / session.id
    return sorted(folder.iterdir()) if folder.is_dir() else []


def artifact_of(session: bunsui.Session, job: str) -> Artifact:
    """A job's output, which is one."""
    found = session.jobs[job].encoded_output
    assert isinstance(found, Artifact)
    return found


def file_of(tmp_path: Path, session: bunsui.Session, job: str) -> Path:
    """Where it lies."""
    return tmp_path / "store.db-artifacts" / session.id / artifact_of(session, job).sha256


class TestWhatIsOne:
    """Above 32 KiB an output is a file; up to that it is in the history."""

    def test_the_limit(self, runner: Runner, tmp_path: Path) -> None:
        """Of its JSON, to the byte; all is read as if it were in the history."""
        session = runner.run(
            Pipeline(name="p", jobs=[sized("in", INLINE - 2), sized("out", INLINE - 1), sized("small", 1)])
        )
        kinds = [type(state.encoded_output) is Artifact for state in session.jobs.values()]
        assert ("succeeded", [False, True, False], 1) == (
            session.status,
            kinds,
            len(files(tmp_path, session)),
        )
        assert {"in": text(INLINE - 2), "out": text(INLINE - 1), "small": "x"} == session.outputs

    def test_the_history_does_not_hold_it(self, runner: Runner) -> None:
        """Commits stay small, whatever jobs return."""
        session = runner.run(Pipeline(name="p", jobs=[sized("a", 10**6)]))
        assert "succeeded" == session.status
        assert 10_000 > max(len(commit.body) for commit in runner.store.read(session.id))

    def test_references_reach_it(self, runner: Runner) -> None:
        """As a whole and in parts, in inputs, conditions, lists of items and declared outputs."""

        def rows() -> dict[str, Any]:
            return {"all": list(range(10_000)), "few": [1, 2], "n": 3}

        pipeline = Pipeline(
            name="p",
            jobs=[
                Job.from_callable(rows, id="rows"),
                Job.from_callable(
                    echo,
                    id="one",
                    depends_on=["rows"],
                    condition="${jobs.rows.output.n} == 3",
                    parameters={"n": "${jobs.rows.output.n}", "whole": "${jobs.rows.output}"},
                ),
                Job.from_callable(
                    echo,
                    id="fan",
                    depends_on=["rows"],
                    for_each="${jobs.rows.output.few}",
                    parameters={"item": "${item}"},
                ),
            ],
            outputs={"last": "${jobs.one.output.whole.all.9999}", "fan": "${jobs.fan.output}"},
        )
        session = runner.run(pipeline)
        assert {"last": 9999, "fan": [{"item": 1}, {"item": 2}]} == session.outputs
        assert rows() == session.jobs["one"].output["whole"]

    @pytest.mark.parametrize(("size", "count"), [(LARGE, 3), (2_000, 20), (0, 12_000 // 2)])
    def test_the_list_of_a_fan_out(self, runner: Runner, tmp_path: Path, size: int, count: int) -> None:
        """Large items make a large list, and so do many small ones; it is in the items' order."""

        def item(i: int) -> list[Any]:
            return [i, text(size)]

        jobs = [
            Job.from_callable(item, id="fan", for_each=list(range(count)), parameters={"i": "${item}"}),
            Job.from_callable(
                echo, id="after", depends_on=["fan"], parameters={"last": f"${{jobs.fan.output.{count - 1}}}"}
            ),
        ]
        session = runner.run(Pipeline(name="p", jobs=jobs))
        ended = next(event for event in session.events() if isinstance(event, ev.FanOutSucceeded))
        assert ended.output == session.jobs["fan"].encoded_output == artifact_of(session, "fan")
        assert [item(i) for i in range(count)] == session.outputs["fan"]
        assert {"last": item(count - 1)} == session.outputs["after"]

    def test_a_short_list_stays_in_the_history(self, runner: Runner, tmp_path: Path) -> None:
        """It is put together from its items, as before."""
        fan = Job.from_callable(text, id="fan", for_each=[1, 2], parameters={"size": "${item}"})
        session = runner.run(Pipeline(name="p", jobs=[fan]))
        ended = next(event for event in session.events() if isinstance(event, ev.FanOutSucceeded))
        assert (None, ["x", "xx"], []) == (ended.output, session.outputs["fan"], files(tmp_path, session))

    def test_declared_outputs(self, runner: Runner) -> None:
        """What a session gives is an artifact, too, where it is large."""
        session = runner.run(Pipeline(name="p", jobs=[sized("a")], outputs={"x": "${jobs.a.output}"}))
        assert isinstance(session.state.outputs, Artifact)
        assert {"x": text(LARGE)} == session.outputs

    def test_async_and_remote_and_processes(self, tmp_path: Path, url: str) -> None:
        """Wherever an attempt ends, its output is kept, and neither loop nor driver writes it."""
        wrote: set[str] = set()

        class Echo(Service):
            def submit(self, call: Any) -> Any:
                return call.parameters["size"]

            def outcome(self, handle: Any) -> Any:
                return Succeeded(text(handle))

        async def later(size: int) -> str:
            await asyncio.sleep(0)
            return text(size)

        real = FolderArtifacts.put

        def put(self: FolderArtifacts, *arguments: Any) -> Artifact:
            wrote.add(threading.current_thread().name)
            return real(self, *arguments)

        command = "import json, os; json.dump('x' * 40000, open(os.environ['BUNSUI_OUTPUT'], 'w'))"
        jobs = [
            Job.from_callable(later, id="later", parameters={"size": LARGE}),
            Job("remote", "service", parameters={"size": LARGE}),
            Job("command", "custom", {"command": ["python", "-c", command]}),
        ]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(FolderArtifacts, "put", put)
            with Runner(url, autoload_plugins=False, plugins=[ServicePlugin(Echo())]) as runner:
                session = runner.run(Pipeline(name="p", jobs=jobs))
        assert dict.fromkeys(["later", "remote", "command"], text(LARGE)) == session.outputs
        assert 3 == len({artifact_of(session, job.id).whose for job in jobs})
        assert all(name.startswith("bunsui-job-") for name in wrote), wrote

    def test_secrets_are_looked_for_before(
        self, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What holds one is not written anywhere."""
        monkeypatch.setenv("ARTIFACT_SECRET", "open sesame 12345")
        leak = Job.from_callable(lambda key: [key, text(LARGE)], id="a", parameters={"key": "${secrets.k}"})
        with Runner(url, autoload_plugins=False, config={"secrets": {"k": "env:ARTIFACT_SECRET"}}) as runner:
            session = runner.run(Pipeline(name="p", jobs=[leak]))
        error = session.jobs["a"].error
        assert error is not None
        assert ("SecretInOutput", []) == (error.code, files(tmp_path, session))

    def test_a_store_that_is_no_file(self, tmp_path: Path) -> None:
        """There they stay in the history, unless a folder is given."""
        pipeline = Pipeline(name="p", jobs=[sized("a")], outputs={"x": "${jobs.a.output}"})
        with Runner(MemoryStore(), autoload_plugins=False) as runner:
            session = runner.run(pipeline)
        assert (type(session.jobs["a"].encoded_output) is Artifact, {"x": text(LARGE)}) == (
            False,
            session.outputs,
        )
        folder = tmp_path / "given"
        with Runner(MemoryStore(), autoload_plugins=False, artifacts=folder) as runner:
            session = runner.run(pipeline)
        assert ({"x": text(LARGE)}, [session.id]) == (
            session.outputs,
            [path.name for path in folder.iterdir()],
        )

    @pytest.mark.parametrize("given", ["", " ", 3, "gs://bucket", "s3:bucket", Path("s3://bucket"), b"x"])
    def test_what_is_no_folder(self, given: Any) -> None:
        """It is refused when the runner is made."""
        with pytest.raises(ConfigError, match=r"artifacts is .*path of a folder, such as"):
            Runner("memory://", autoload_plugins=False, artifacts=given)
        with pytest.raises(ConfigError, match="which is no folder"):
            Runner("memory://", autoload_plugins=False, artifacts=__file__)


class TestWhatIsLost:
    """It is named; everything else still reads, and runs."""

    @pytest.fixture
    def session(self, runner: Runner, tmp_path: Path) -> bunsui.Session:
        """One of whose two artifacts the first is gone."""
        session = runner.run(Pipeline(name="p", jobs=[sized("a"), sized("b", LARGE + 1), sized("c", 3)]))
        file_of(tmp_path, session, "a").unlink()
        return session

    def test_reading(self, session: bunsui.Session, url: str, tmp_path: Path) -> None:
        """Status, events, the other outputs; by whoever opens the store later, too."""
        missing = f"the output of job 'a' in session {session.id} is gone: there is no file {tmp_path}"
        with Runner(url, autoload_plugins=False) as other:
            for read in (session, other.session(session.id)):
                with pytest.raises(NotFound) as caught:
                    read.outputs["a"]
                assert str(caught.value).startswith(missing)
                with pytest.raises(NotFound):
                    read.jobs["a"].output  # noqa: B018
                assert (text(LARGE + 1), "xxx") == (read.outputs["b"], read.outputs.get("c"))
                assert ("succeeded", 3, ["a", "b", "c"]) == (read.status, len(read.jobs), list(read.outputs))
                assert 3 == sum(isinstance(event, ev.JobSucceeded) for event in read.events())
            assert ["succeeded"] == [str(summary.status) for summary in other.sessions()]

    @pytest.mark.parametrize("declared", [False, True])
    def test_the_command_shows_the_rest(
        self, runner: Runner, tmp_path: Path, url: str, declared: bool
    ) -> None:
        """Null in the JSON, and a note on stderr that names it, once; the text leaves it out."""
        outputs = {"all": "${jobs.a.output}"} if declared else {}
        session = runner.run(Pipeline(name="p", jobs=[sized("a"), sized("c", 3)], outputs=outputs))
        file_of(tmp_path, session, "a").unlink()
        if declared:
            (tmp_path / "store.db-artifacts" / session.id / session.state.outputs.sha256).unlink()  # type: ignore[union-attr]
        command = [sys.executable, "-m", "bunsui", "session", "status", session.id, "--store", url]
        shown = subprocess.run([*command, "--format", "json"], capture_output=True, text=True, check=False)
        data = json.loads(shown.stdout)
        expected = {"all": None} if declared else {"a": None, "c": "xxx"}
        assert (0, expected, None, "xxx", "succeeded") == (
            shown.returncode,
            data["outputs"],
            data["jobs"]["a"]["output"],
            data["jobs"]["c"]["output"],
            data["status"],
        )
        lines = shown.stderr.splitlines()
        assert (1 + declared, 1) == (len(lines), sum("the output of job 'a'" in line for line in lines))
        plain = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (0, declared, 1) == (
            plain.returncode,
            "c: " not in plain.stdout,
            plain.stderr.count("is gone"),
        )

    @pytest.mark.parametrize(
        ("damage", "says"),
        [(Path.unlink, "is gone"), (lambda path: path.write_bytes(path.read_bytes()[:-1]), "is damaged")],
    )
    def test_who_needs_it_fails(self, url: str, tmp_path: Path, damage: Any, says: str) -> None:
        """For good, by a JobError that names it; who does not need it runs, and so does the runner."""
        gate = threading.Event()
        jobs = [
            sized("a"),
            Job.from_callable(lambda: gate.wait(30), id="wait", depends_on=["a"]),
            Job.from_callable(
                echo, id="needs", depends_on=["wait", "a"], parameters={"x": "${jobs.a.output}"}, retry=5
            ),
            Job.from_callable(lambda: 1, id="no-need", depends_on=["wait"]),
        ]
        with Runner(url, autoload_plugins=False) as runner:
            session = runner.start(Pipeline(name="p", jobs=jobs))
            until(lambda: session.jobs["a"].status == "succeeded")
            damage(file_of(tmp_path, session, "a"))
            gate.set()
            session.wait(30)
            error = session.jobs["needs"].error
            assert error is not None
            assert ("OutputLost", False, 0) == (
                error.code,
                error.retryable,
                session.jobs["needs"].attempt_count,
            )
            assert (
                f"${{jobs.a.output}}: the output of job 'a' in session {session.id} {says}" in error.message
            )
            assert ("failed", "succeeded") == (session.status, session.jobs["no-need"].status)

    def test_a_fan_out_whose_item_is_lost(self, url: str, tmp_path: Path) -> None:
        """Its list can't be made: the job fails by it, and names the item."""
        gate = threading.Event()

        def item(i: int) -> str:
            return text(LARGE) if i == 0 else str(gate.wait(30))

        fan = Job.from_callable(item, id="fan", for_each=[0, 1], parameters={"i": "${item}"})
        with Runner(url, autoload_plugins=False) as runner:
            session = runner.start(Pipeline(name="p", jobs=[fan]))
            until(lambda: len(files(tmp_path, session)) == 1)
            until(lambda: any(isinstance(event, ev.ItemSucceeded) for event in session.events()))
            files(tmp_path, session)[0].unlink()
            gate.set()
            session.wait(30)
        error = session.jobs["fan"].error
        assert error is not None
        assert ("NotFound", True) == (error.code, "item 0 of job 'fan' in session" in error.message)


class TestInterrupted:
    """A runner that dies, or whose disk is full, loses nothing that was recorded."""

    def test_who_resumes_reads_what_was_kept(self, url: str, tmp_path: Path) -> None:
        """After kill -9 behind the first artifact another runner goes on, and removes half a file."""
        (tmp_path / "tasks.py").write_text(
            "import os\n"
            "def first(): return 'x' * 40000\n"
            "def second(size):\n"
            "    if os.environ.get('KILL'): os.kill(os.getpid(), 9)\n"
            "    return size\n"
        )
        (tmp_path / "p.yaml").write_text(
            'version: "1.0"\nname: p\njobs:\n'
            '  - {id: a, type: custom, callable: "tasks:first"}\n'
            '  - {id: b, type: custom, callable: "tasks:second", depends_on: [a],'
            ' parameters: {size: "${jobs.a.output}"}}\n'
        )
        command = [sys.executable, "-m", "bunsui", "run", tmp_path / "p.yaml", "--store", url]
        killed = subprocess.run(command, env={**os.environ, "KILL": "1"}, capture_output=True, check=False)
        assert -signal.SIGKILL == killed.returncode
        with Runner(url, autoload_plugins=False) as runner:
            (summary,) = runner.sessions()
            stray = tmp_path / "store.db-artifacts" / summary.session_id / "writing-abc"
            stray.write_text("half")
            session = runner.resume(summary.session_id)
        assert ("succeeded", dict.fromkeys("ab", text(40_000))) == (session.status, session.outputs)
        assert not stray.exists()
        assert 1 == sum(isinstance(e, ev.JobStarted) and e.job == "a" for e in session.events())

    def test_a_store_that_is_named_by_a_link(self, tmp_path: Path) -> None:
        """Logs and outputs are the same by whatever name the store is opened."""
        (tmp_path / "folder").mkdir()
        (tmp_path / "link.db").symlink_to("folder/real.db")
        job = Job("a", "custom", command=[sys.executable, "-c", SAYS])
        with Runner(f"sqlite:///{tmp_path}/link.db") as runner:
            written = runner.run(Pipeline("p", jobs=[job]))
        with Runner(f"sqlite:///{tmp_path}/folder/real.db") as runner:
            read = runner.session(written.id)
            assert ("x" * 40_000, ["said"]) == (read.outputs["a"], [each.message for each in read.logs()])
        assert ["folder", "link.db"] == sorted(each.name for each in tmp_path.iterdir())

    def test_a_disk_that_stays_full(self, url: str, tmp_path: Path) -> None:
        """After a lease the session is set aside with what to do, and can be resumed."""
        (tmp_path / "store.db-artifacts").write_text("in the way")
        ran: list[str] = []

        def once() -> str:
            ran.append("x")
            return text(LARGE)

        pipeline = Pipeline(name="p", jobs=[Job.from_callable(once, id="a"), sized("b", 1)])
        with Runner(url, autoload_plugins=False, lease=0.6) as runner:
            with pytest.raises(
                StoreError, match=r"the output of job 'a' can't be written: .*make room"
            ) as caught:
                runner.run(pipeline)
            (summary,) = runner.sessions()
            assert "running" == summary.status
            until(lambda: runner.session(summary.session_id).is_orphaned)
            (tmp_path / "store.db-artifacts").unlink()
            session = runner.resume(summary.session_id)
        assert ("succeeded", text(LARGE), 2) == (session.status, session.outputs["a"], len(ran))
        assert not caught.value.lasting

    def test_a_disk_with_room_again(self, url: str, tmp_path: Path) -> None:
        """Within a lease nothing is lost, and nothing runs again; lists and declared outputs included."""
        way = tmp_path / "store.db-artifacts"
        way.write_text("in the way")
        ran: list[str] = []

        def once(i: int) -> str:
            ran.append("x")
            return text(20_000)

        fan = Job.from_callable(once, id="fan", for_each=[0, 1], parameters={"i": "${item}"})
        pipeline = Pipeline(name="p", jobs=[fan], outputs={"all": "${jobs.fan.output}"})
        with Runner(url, autoload_plugins=False) as runner:
            session = runner.start(pipeline)
            until(lambda: sum(isinstance(e, ev.ItemSucceeded) for e in session.events()) == 2)
            assert "running" == session.jobs["fan"].status
            way.unlink()
            session.wait(30)
        assert ("succeeded", {"all": [text(20_000)] * 2}, 2) == (session.status, session.outputs, len(ran))

    def test_a_pause_waits_for_the_list(self, url: str, tmp_path: Path) -> None:
        """And a session that is cancelled meanwhile ends: nothing is recorded after its end."""
        way = tmp_path / "store.db-artifacts"
        fan = Job.from_callable(text, id="fan", for_each=[20_000] * 2, parameters={"size": "${item}"})
        pipeline = Pipeline(name="p", jobs=[fan, sized("after", 1, depends_on=["fan"])])
        with Runner(url, autoload_plugins=False) as runner:
            way.write_text("in the way")
            session = runner.start(pipeline)
            until(lambda: sum(isinstance(e, ev.ItemSucceeded) for e in session.events()) == 2)
            session.pause()
            time.sleep(0.2)
            assert "running" == session.status
            way.unlink()
            assert "paused" == session.wait(30)
            assert ("succeeded", "pending") == tuple(str(state.status) for state in session.jobs.values())
            session.resume()
            assert "succeeded" == session.wait(30)

    def test_declared_outputs_of_a_session_that_is_cancelled(self, url: str, tmp_path: Path) -> None:
        """It is cancelled; what was being written comes too late."""
        way = tmp_path / "store.db-artifacts"
        jobs = [sized(name, 20_000) for name in "ab"]
        pipeline = Pipeline(name="p", jobs=jobs, outputs={"a": "${jobs.a.output}", "b": "${jobs.b.output}"})
        with Runner(url, autoload_plugins=False) as runner:
            way.write_text("in the way")
            session = runner.start(pipeline)
            until(lambda: all(state.status == "succeeded" for state in session.jobs.values()))
            session.cancel()
            assert "cancelled" == session.wait(30)
            way.unlink()
            time.sleep(0.7)
        kinds = [type(event) for event in session.events()]
        assert kinds[kinds.index(ev.SessionCancelled) + 1 :] in ([], [ev.RunnerReleased])

    def test_a_service_goes_on_while_the_disk_is_full(self, url: str, tmp_path: Path) -> None:
        """What it gave is kept once there is room: it is asked neither to stop nor again."""
        asked: list[str] = []

        class Slow(Service):
            def outcome(self, handle: Any) -> Any:
                asked.append("poll")
                return Succeeded(text(LARGE)) if len(asked) > 1 else Running()

            def cancel(self, handle: Any) -> None:
                asked.append("cancel")

            def find(self, call: Any) -> Any:
                return Found("handle")

        (tmp_path / "store.db-artifacts").write_text("in the way")
        with Runner(url, autoload_plugins=False, plugins=[ServicePlugin(Slow())]) as runner:
            session = runner.start(Pipeline(name="p", jobs=[Job("a", "service", timeout=2)]))
            until(lambda: len(asked) == 2)
            time.sleep(2.2)  # Its timeout is over meanwhile.
            (tmp_path / "store.db-artifacts").unlink()
            session.wait(30)
        assert ("succeeded", text(LARGE), ["poll"] * 2) == (session.status, session.outputs["a"], asked)


def test_an_earlier_version_refuses_the_session(runner: Runner) -> None:
    """It would take an output that is not there for null; so the event has a name that it does not know."""
    session = runner.run(Pipeline(name="p", jobs=[sized("a"), sized("b", 1)]))
    bodies = [json.loads(commit.body) for commit in runner.store.read(session.id)]
    names = {event["event"] for body in bodies for event in body["events"]}
    assert ("JobSucceeded@2" in names, "JobSucceeded" in names) == (True, True)
    assert not {"JobSucceeded@2"} & set(ev.EVENTS)


class TestReruns:
    """A session that runs another one again has files of its own."""

    def test_what_is_taken_over(self, url: str, tmp_path: Path) -> None:
        """It outlives the session that it came from; what is lost there runs here."""
        fails = [True]

        def last(a: str, fan: list[str]) -> list[int]:
            if fails:
                raise ValueError(fails.pop())
            return [len(a), *map(len, fan)]

        jobs = [
            sized("a"),
            sized("lost"),
            Job.from_callable(text, id="fan", for_each=[20_000] * 2, parameters={"size": "${item}"}),
            Job.from_callable(
                last,
                id="last",
                depends_on=["a", "fan", "lost"],
                parameters={"a": "${jobs.a.output}", "fan": "${jobs.fan.output}"},
            ),
        ]
        with Runner(url, autoload_plugins=False) as runner:
            first = runner.run(Pipeline(name="p", jobs=jobs))
            # The same content as that of `a`, and so the same file: it is another one here.
            other = runner.run(Pipeline(name="q", jobs=[sized("b")]))
            again = runner.rerun(first.id)
            reused = {job: state.reused_from for job, state in again.jobs.items()}
            assert ({"a", "lost", "fan"}, [LARGE, 20_000, 20_000]) == (
                {job for job in reused if reused[job] == first.id},
                again.outputs["last"],
            )
            for path in files(tmp_path, first):  # With their sizes, so that only who reads them sees it.
                size = path.stat().st_size
                path.unlink()  # Other sessions have names of their own for it.
                path.write_bytes(b"?" * size)
            third = runner.rerun(again.id, jobs=["last"])
            assert (first.id, text(LARGE)) == (third.jobs["a"].reused_from, third.outputs["a"])
            fourth = runner.rerun(first.id, jobs=["last"])
        assert other.outputs["b"] == text(LARGE)
        assert ("succeeded", None, text(LARGE)) == (
            fourth.status,
            fourth.jobs["a"].reused_from,
            fourth.outputs["a"],
        )
        assert any(
            isinstance(event, ev.ReuseFailed) and "is damaged" in event.reason for event in fourth.events()
        )

    @pytest.mark.parametrize(
        ("lose", "wrong"),
        [(Path.unlink, "is gone"), (lambda path: path.write_bytes(path.read_bytes()[:-1]), "is damaged")],
    )
    def test_the_plan_looks_whether_they_are_there(
        self, runner: Runner, tmp_path: Path, lose: Any, wrong: str
    ) -> None:
        """What has lost its output runs, and all that follows it; the rerun does what its plan says."""
        jobs = [
            sized("a"),
            sized("b", LARGE + 1),
            sized("c", 1, depends_on=["a"]),
            sized("d", 1, depends_on=["c", "b"]),
            sized("e", 1, depends_on=["b"]),
        ]
        first = runner.run(Pipeline(name="p", jobs=jobs))
        assert {"reuse": 4, "run": 1} == runner.plan(rerun=first.id, jobs=["e"]).counts
        lose(file_of(tmp_path, first, "a"))
        plan = runner.plan(rerun=first.id, jobs=["e"])
        assert {
            "a": ("run", f"its output of session {first.id} {wrong}"),
            "b": ("reuse", "nothing that it depends on has changed"),
            "c": ("run", "it follows 'a', which runs"),
            "d": ("run", "it follows 'c', which runs"),
            "e": ("run", "it was asked for"),
        } == {job.id: (job.prospect, job.reason) for job in plan.jobs}
        again = runner.rerun(first.id, jobs=["e"])
        assert {job.id: job.origin for job in plan.jobs} == {
            job: state.reused_from for job, state in again.jobs.items()
        }
        assert not any(isinstance(event, ev.ReuseFailed) for event in again.events())

    def test_the_plan_looks_whether_the_cache_has_them(self, runner: Runner, tmp_path: Path) -> None:
        """After the session that made the output was pruned, its job runs, and the plan says so."""
        job = {
            "id": "a",
            "type": "custom",
            "cache": {},
            "command": [
                sys.executable,
                "-c",
                "import os; open(os.environ['BUNSUI_OUTPUT'], 'w').write('[' + '7, ' * 20_000 + '7]')",
            ],
        }
        pipeline = Pipeline.from_dict({"version": "1.0", "name": "p", "jobs": [job]})
        first = runner.run(pipeline)
        first.raise_for_status()
        assert ("cached", first.id) == (
            runner.plan(pipeline).job("a").prospect,
            runner.plan(pipeline).job("a").origin,
        )
        runner.prune(0.000001)
        assert "run" == runner.plan(pipeline).job("a").prospect
        assert None is runner.run(pipeline).jobs["a"].cached_from

    def test_a_disk_that_is_full_meanwhile(
        self, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is there is not taken for gone: with room again it is taken over, and nothing runs again."""
        ran: list[str] = []

        def once() -> str:
            ran.append("x")
            return text(LARGE)

        def full(*_: Any, **__: Any) -> Any:
            raise OSError(28, "No space left on device", str(tmp_path))

        pipeline = Pipeline(name="p", jobs=[Job.from_callable(once, id="a"), sized("b", 1, depends_on=["a"])])
        with Runner(url, autoload_plugins=False, lease=0.6) as runner:
            first = runner.run(pipeline)
            with monkeypatch.context() as patched:
                patched.setattr("tempfile.mkstemp", full)
                with pytest.raises(StoreError, match=r"can't be written: .*No space left.*make room"):
                    runner.rerun(first.id, jobs=["b"])
            (summary,) = [each for each in runner.sessions() if each.session_id != first.id]
            until(lambda: runner.session(summary.session_id).is_orphaned)
            again = runner.resume(summary.session_id)
        assert ("succeeded", first.id, 1) == (again.status, again.jobs["a"].reused_from, len(ran))

    def test_pruning_takes_the_files_along(self, tmp_path: Path) -> None:
        """Also those of a folder that was given."""
        folder = tmp_path / "given"
        with Runner(f"sqlite:///{tmp_path}/s.db", autoload_plugins=False, artifacts=folder) as runner:
            session = runner.run(Pipeline(name="p", jobs=[sized("a")]))
            (pruned,) = runner.prune(0.000001).sessions
        assert (session.id, LARGE + 2, []) == (
            pruned.session_id,
            pruned.artifact_bytes,
            list(folder.iterdir()),
        )
