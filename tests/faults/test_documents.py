"""Documents that somebody else wrote, with checksums that are right: a typed error, and no traceback."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui.errors import BunsuiError, StoreError
from bunsui.ports.store import Append, Commit
from bunsui.stores import checksums
from bunsui.stores.memory import MemoryStore
from bunsui.stores.records import body_of
from bunsui.stores.sqlite import SqliteStore

#: What a whole value may become, as text.
TEXTS = {
    "no JSON": "{",
    "nothing": "",
    "a list": "[]",
    "null": "null",
    "a number": "1",
    "too deep": "[" * 100_000,
    "too many digits": f'{{"n":{"9" * 5000}}}',
    "an empty mapping": "{}",
}
#: What a field of it may become.
VALUES: list[Any] = [None, True, -5, 1e308, "\x1b[31m", "", [], ["a"], {}, {"a": {"b": 1}}]
#: Those that the calls of `look` read.
KINDS = ("session", "pipeline", "definition")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with a session and a registered pipeline."""
    path = tmp_path / "store.db"
    job = bunsui.Job("a", "custom", {"callable": "json:dumps"}, parameters={"obj": 1})
    pipeline = bunsui.Pipeline(name="flow", jobs=[job])
    with bunsui.Runner(f"sqlite:///{path}", autoload_plugins=False) as runner:
        runner.create_pipeline(pipeline)
        assert "succeeded" == runner.run(pipeline).status
    return path


def change(path: Path, kind: str, make: Callable[[dict[str, Any]], str]) -> None:
    """Gives the document of a kind another value, and the checksum that belongs to it."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        key, value, expires_at, *places = connection.execute(
            "SELECT key, value, expires_at, group1, sort1, group2, sort2 FROM documents WHERE kind = ?",
            (kind,),
        ).fetchone()
        text = make(json.loads(value))
        crc = checksums.of_document(kind, key, text, expires_at, places)
        connection.execute(
            "UPDATE documents SET value = ?, crc = ? WHERE kind = ? AND key = ?", (text, crc, kind, key)
        )


def look(path: Path, session: str) -> set[str]:
    """Asks a store for all that it has; which calls ended in a typed error. Any other comes out."""
    failed = set()
    with bunsui.Runner(f"sqlite:///{path}", autoload_plugins=False) as runner:
        calls: dict[str, Callable[[], object]] = {
            "sessions": runner.sessions,
            "of a pipeline": lambda: runner.sessions(pipeline="flow"),
            "pipelines": runner.pipelines,
            "pipeline": lambda: runner.pipeline("flow"),
            "plan": lambda: runner.plan(runner.pipeline("flow")),
            "session": lambda: runner.session(session).outputs,
            "recover": runner.recover,
            "prune": lambda: runner.prune("1ms", dry_run=True),
        }
        for name, call in calls.items():
            try:
                call()
            except BunsuiError:
                failed.add(name)
    return failed


@pytest.fixture
def session(path: Path) -> str:
    with bunsui.Runner(f"sqlite:///{path}", autoload_plugins=False) as runner:
        return runner.sessions()[0].session_id


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("kind", KINDS)
def test_another_value(path: Path, session: str, kind: str, text: str) -> None:
    """It is refused by who reads it; the rest of the store can be read."""
    change(path, kind, lambda _: text)
    readers = {
        "session": {"sessions", "of a pipeline", "plan", "recover", "prune"},
        # A name without a revision is one that was deleted.
        "pipeline": {"pipelines", "pipeline", "plan"},
        "definition": {"pipeline", "plan", "session"},
    }
    assert readers[kind] == look(path, session)


@pytest.mark.parametrize("value", VALUES, ids=repr)
@pytest.mark.parametrize("kind", KINDS)
def test_another_field(path: Path, session: str, kind: str, value: Any) -> None:
    """Whatever a field is, it is taken or refused by a typed error."""
    names: list[str] = []
    change(path, kind, lambda data: json.dumps(names.extend(data) or data))
    for name in names:
        before: dict[str, Any] = {}

        def make(data: dict[str, Any], name: str = name, before: dict[str, Any] = before) -> str:
            before.update(data)
            return json.dumps(data | {name: value})

        change(path, kind, make)
        look(path, session)
        change(path, kind, lambda _, before=before: json.dumps(before))
    assert set() == look(path, session)


@pytest.mark.parametrize("field", ["status", "jobs", "pipeline", "created_at", "held_by"])
def test_the_error_names_the_session_and_the_way_out(path: Path, session: str, field: str) -> None:
    """What is wrong, with which session, and what to do."""
    change(path, "session", lambda data: json.dumps(data | {field: [1]}))
    with (
        bunsui.Runner(f"sqlite:///{path}", autoload_plugins=False) as runner,
        pytest.raises(StoreError, match=f"the entry of session '{session}' in the index is damaged; restore"),
    ):
        runner.sessions()


def test_a_pid_that_is_none(path: Path, session: str) -> None:
    """Of a number that no process can have it can't be told whether it lives."""

    def make(data: dict[str, Any]) -> str:
        return json.dumps(data | {"status": "running", "held_by": data["held_by"] | {"pid": 2**70}})

    change(path, "session", make)
    with bunsui.Runner(f"sqlite:///{path}", autoload_plugins=False) as runner:
        assert [False] == [found.is_orphaned for found in runner.sessions()]


@pytest.mark.parametrize("name", ["../../x", "a/b", "..", "a\n", "x" * 129])
def test_an_id_that_leads_elsewhere(path: Path, session: str, name: str) -> None:
    """A history under the name of another folder is refused: logs and artifacts would be looked for there."""
    copy = MemoryStore()
    with contextlib.closing(SqliteStore(path)) as store:
        for commit in store.read(session):
            events = json.loads(commit.body)["events"]
            if commit.position == 1:
                events[0]["session_id"] = name
            body = body_of(map(json.dumps, events))
            assert copy.append([Append(name, Commit(commit.position, commit.id, body))])[0].ok
    with bunsui.Runner(copy, autoload_plugins=False) as runner:
        for call in (runner.session, runner.resume, runner.rerun):
            with pytest.raises(StoreError, match="is no id of a session; restore the store from a backup"):
                call(name)
