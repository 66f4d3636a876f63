"""Registered pipelines on a real disk: through a Runner, from several processes, cut off between writes."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui.errors import StoreError
from bunsui.runner import registered
from bunsui.stores.sqlite import SqliteStore

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def runner(url: str) -> Iterator[bunsui.Runner]:
    with bunsui.Runner(url, autoload_plugins=False) as made:
        yield made


def pipeline(text: str, callable_: str = "json:dumps", **fields: Any) -> bunsui.Pipeline:
    job = bunsui.Job("a", "custom", {"callable": callable_}, parameters={"obj": 1})
    return bunsui.Pipeline(name="flow", description=text, jobs=[job], **fields)


class TestRunner:
    """The methods of a Runner."""

    def test_a_registered_pipeline_runs_in_another_runner(self, runner: bunsui.Runner, url: str) -> None:
        """Each revision is the definition that was registered as it."""
        made = [runner.create_pipeline(pipeline("v1")), runner.update_pipeline(pipeline("v2"))]
        with bunsui.Runner(url, autoload_plugins=False) as other:
            found = [other.pipeline("flow", 1), other.pipeline("flow")]
            session = other.run(other.pipeline("flow", 1))

        assert made == found
        assert [1, 2] == [one.revision for one in found]
        assert ("succeeded", {"a": "1"}, "v1") == (
            session.status,
            session.outputs,
            session.definition.description,
        )

    def test_its_summaries_are_listed(self, runner: bunsui.Runner) -> None:
        """With the times of the runner's clock."""
        before = datetime.now(UTC)
        made = runner.create_pipeline(pipeline("v1"))
        (found,) = runner.pipelines()

        assert ("flow", 1, made.digest, "v1", 1) == (
            found.name,
            found.revision,
            found.digest,
            found.description,
            found.jobs,
        )
        assert before <= found.created_at <= datetime.now(UTC)

    @pytest.mark.parametrize("method", ["create_pipeline", "update_pipeline"])
    def test_a_wrong_pipeline_is_refused(self, runner: bunsui.Runner, method: str) -> None:
        """As `start` refuses it, and nothing is written."""
        runner.create_pipeline(pipeline("v1"))
        path = Path(runner.store.path)
        wrong = path.parent / "wrong.yaml"
        wrong.write_text(
            'version: "1.0"\nname: flow\njobs: [{id: a, type: custom, command: [x], depends_on: [b]}]\n',
            encoding="utf-8",
        )
        with pytest.raises(bunsui.DefinitionError, match="unknown-job"):
            getattr(runner, method)(runner.load(wrong))
        with pytest.raises(bunsui.ConfigError, match="not dict"):
            getattr(runner, method)({"name": "flow"})

        assert [1] == [one.revision for one in runner.pipelines()]

    def test_a_job_type_of_another_runner_is_refused(self, runner: bunsui.Runner) -> None:
        """A pipeline is checked with the plugins of the runner that registers it."""

        class Odd(bunsui.JobType):
            name = "odd"
            schema = {"properties": {}}

            def run(self, call: bunsui.JobCall) -> None:
                """Nothing."""

        class Plugin:
            @bunsui.hookimpl
            def bunsui_job_types(self) -> list[bunsui.JobType]:
                return [Odd()]

        plugins = bunsui.Plugins([Plugin()], autoload=False)
        odd = bunsui.Pipeline.from_dict(
            {"version": "1.0", "name": "flow", "jobs": [{"id": "a", "type": "odd"}]}, plugins
        )
        with pytest.raises(bunsui.DefinitionError, match="unknown-job-type"):
            runner.create_pipeline(odd)

        assert [] == runner.pipelines()

    def test_deleting_keeps_sessions_and_their_definitions(self, runner: bunsui.Runner, url: str) -> None:
        """History, outputs and definition can be read, and a paused session goes on."""
        runner.create_pipeline(pipeline("v1"))
        ended = runner.run(runner.pipeline("flow"))
        runner.delete_pipeline("flow")
        with bunsui.Runner(url, autoload_plugins=False) as other:
            session = other.session(ended.id)

            assert [] == other.pipelines()
            assert ("succeeded", {"a": "1"}, "v1") == (
                session.status,
                session.outputs,
                session.definition.description,
            )
            assert [ended.id] == [one.session_id for one in other.sessions(pipeline="flow")]

    def test_modules_and_bindings_beside_the_file_are_found(
        self, runner: bunsui.Runner, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """From any folder, by who has only the name."""
        place = tmp_path / "place"
        place.mkdir()
        (place / "steps.py").write_text("def job():\n    return 'mine'\n", encoding="utf-8")
        (place / "handlers.py").write_text(
            "def handle(event, context):\n    return 'bound'\n", encoding="utf-8"
        )
        (place / "bindings.yaml").write_text('lambda: {fn: "handlers:handle"}\n', encoding="utf-8")
        (place / "pipeline.yaml").write_text(
            'version: "1.0"\nname: placed\njobs:\n'
            '  - {id: a, type: custom, callable: "steps:job"}\n'
            "  - {id: b, type: lambda, function: fn}\n"
            "  - {id: c, type: custom, command: [test, -f, steps.py]}\n",
            encoding="utf-8",
        )
        monkeypatch.chdir(place)
        runner.create_pipeline(runner.load("pipeline.yaml"))
        monkeypatch.chdir(tmp_path)
        with bunsui.Runner(url, local=True, autoload_plugins=False) as other:
            session = other.run(other.pipeline("placed"))

        assert ("succeeded", "mine", "bound") == (
            session.status,
            session.outputs["a"],
            session.outputs["b"],
        )

    def test_a_closed_runner_writes_nothing(self, runner: bunsui.Runner) -> None:
        """As it starts nothing; what there is can still be looked at."""
        runner.create_pipeline(pipeline("v1"))
        runner.close()
        calls: list[Callable[[], object]] = [
            lambda: runner.create_pipeline(pipeline("v2")),
            lambda: runner.update_pipeline(pipeline("v2")),
            lambda: runner.delete_pipeline("flow"),
            lambda: runner.prune("30d"),
        ]
        for call in calls:
            with pytest.raises(bunsui.StateError, match="this runner is closed; make another one"):
                call()
        assert [("flow", 1)] == [(each.name, each.revision) for each in runner.pipelines()]
        assert () == runner.prune("30d", dry_run=True).sessions

    def test_looking_creates_no_store(self, runner: bunsui.Runner, tmp_path: Path) -> None:
        """A store that isn't there has no pipelines."""
        assert [] == runner.pipelines()
        for look in (lambda: runner.pipeline("flow"), lambda: runner.delete_pipeline("flow")):
            with pytest.raises(bunsui.NotFound):
                look()

        assert [] == list(tmp_path.iterdir())


class Cut(SqliteStore):
    """Fails at its n-th write, before or after it, and at every one from then on."""

    def __init__(self, path: Path, number: int, *, after: bool) -> None:
        super().__init__(path)
        self._left = number
        self._after = after
        self.failed = False

    def _write(self, write: Callable[[], Any]) -> Any:
        self._left -= 1
        if self._left > 0:
            return write()
        if self._left == 0 and self._after:
            write()
        self.failed = True
        raise StoreError("cut off")

    def put(self, *arguments: Any, **keywords: Any) -> int:
        """See `Store.put`."""
        return self._write(lambda: super(Cut, self).put(*arguments, **keywords))  # type: ignore[no-any-return]

    def delete(self, kind: str, key: str) -> None:
        """See `Store.delete`."""
        self._write(lambda: super(Cut, self).delete(kind, key))


def texts(store: SqliteStore) -> list[str | None]:
    """The description of every revision of what is listed; each is read, and is what it says it is."""
    found = []
    for summary in registered.find(store):
        newest = registered.get(store, summary.name)
        assert (summary.digest, summary.revision) == (newest.digest, newest.revision)
        for revision in range(1, summary.revision + 1):
            read = registered.get(store, summary.name, revision)
            assert (read.revision, read.digest) == (revision, pipeline(read.description or "").digest)
            found.append(read.description)
    return found


OPERATIONS: dict[str, tuple[Callable[[SqliteStore], object], list[str], list[str]]] = {
    "create": (lambda store: registered.create(store, AT, pipeline("new")), [], ["new"]),
    "update": (
        lambda store: registered.update(store, AT, pipeline("new")),
        ["v1", "v2"],
        ["v1", "v2", "new"],
    ),
    "delete": (lambda store: registered.delete(store, "flow"), ["v1", "v2", "v3"], []),
}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_cut_off_anywhere_it_is_done_or_not_done(name: str, after: bool, tmp_path: Path) -> None:
    """Whatever is listed can be read, whole; and the name goes on as if nothing had happened."""
    operation, before, done = OPERATIONS[name]
    number, cut_off = 0, True
    while cut_off:
        number += 1
        path = tmp_path / f"{number}.db"
        store = SqliteStore(path)
        for i, text in enumerate(before):
            (registered.update if i else registered.create)(store, AT, pipeline(text))
        cutting = Cut(path, number, after=after)
        with contextlib.suppress(StoreError):
            operation(cutting)
        cut_off = cutting.failed
        cutting.close()
        left = texts(store)
        assert left in ([before, done] if cut_off else [done])
        if left == before:
            operation(store)
        assert done == texts(store)
        (registered.update if done else registered.create)(store, AT, pipeline("more"))
        assert [*done, "more"] == texts(store)
        store.close()
    assert number > 2


UPDATES = """
import json, sys
from datetime import UTC, datetime
import bunsui
from bunsui.runner import registered
from bunsui.stores.sqlite import SqliteStore

path, tag, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = SqliteStore(path)
job = bunsui.Job("a", "custom", {"callable": "json:dumps"}, parameters={"obj": 1})
print("ready", flush=True)
sys.stdin.readline()
made = {}
for i in range(count):
    text = f"{tag} {i}"
    pipeline = bunsui.Pipeline(name="flow", description=text, jobs=[job])
    made[registered.update(store, datetime.now(UTC), pipeline).revision] = text
print(json.dumps(made))
"""


def test_two_processes_that_update_at_once_get_a_number_each(tmp_path: Path) -> None:
    """No revision is lost, and each stands for what its maker registered as it."""
    path, count = tmp_path / "store.db", 40
    store = SqliteStore(path)
    registered.create(store, AT, pipeline("first"))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", UPDATES, str(path), tag, str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for tag in ("left", "right")
    ]
    said: list[dict[str, str]] = []
    for process in processes:
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        out, _ = process.communicate(timeout=120)
        said.append(json.loads(out))

    assert {str(n) for n in range(2, 2 * count + 2)} == said[0].keys() | said[1].keys()
    both = {**said[0], **said[1]}
    assert ["first", *(both[str(n)] for n in range(2, 2 * count + 2))] == texts(store)
    store.close()
