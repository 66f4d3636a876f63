"""Rows that are not what was written are told from those that are."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bunsui.errors import StoreError
from bunsui.ports.store import Append, Commit
from bunsui.stores.sqlite import SqliteStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with three histories of three commits, and some documents."""
    path = tmp_path / "store.db"
    with contextlib.closing(SqliteStore(path)) as store:
        for history in ("f", "h", "k"):
            for position in (1, 2, 3):
                commit = Commit(position, f"{history}-{position}", "{}")
                assert store.append([Append(history, commit)])[0].ok
        for key in ("x", "y"):
            store.put("k", key, {"n": 1}, expires_at=4e9, groups=[("g", key)])
    return path


Change = Callable[[Path, str], SqliteStore]


@pytest.fixture
def change() -> Iterator[Change]:
    """Changes a row behind the store's back, so that SQLite finds nothing wrong, and opens it."""
    with contextlib.ExitStack() as at_the_end:

        def change(path: Path, statement: str) -> SqliteStore:
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
                assert 1 == connection.execute(statement).rowcount
            return at_the_end.enter_context(contextlib.closing(SqliteStore(path)))

        yield change


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("UPDATE commits SET id = 'h-9' WHERE id = 'h-2'", "the checksum of commit 2 of 'h' is wrong"),
        ("UPDATE commits SET id = x'00' WHERE id = 'h-2'", "the checksum of commit 2 of 'h' is wrong"),
        ("UPDATE commits SET position = 4 WHERE id = 'h-3'", "the checksum of commit 4 of 'h' is wrong"),
        ("DELETE FROM commits WHERE id = 'h-2'", "commit 2 of h is missing"),
        ("UPDATE commits SET body = x'00' WHERE id = 'h-2'", "commit 2 of h is missing"),
        # What was the last commit of its history now stands behind it, under another name.
        ("UPDATE commits SET history = 'i' WHERE id = 'h-3'", "the checksum of commit 3 of 'i' is wrong"),
    ],
)
def test_a_commit_that_was_changed(path: Path, statement: str, text: str, change: Change) -> None:
    """StoreError when it, or what is before it, is read; histories further away are not touched."""
    store = change(path, statement)
    with pytest.raises(StoreError) as caught:
        list(store.read("h"))
    assert f"store {path} is damaged: {text}; restore it from a backup" == str(caught.value)
    assert ["f-1", "f-2", "f-3"] == [commit.id for commit in store.read("f")]


def test_the_only_commit_of_a_history(tmp_path: Path, change: Change) -> None:
    """A history whose only commit has another name now is not taken for one that never was."""
    path = tmp_path / "store.db"
    with contextlib.closing(SqliteStore(path)) as store:
        store.append([Append(history, Commit(1, history, "{}")) for history in ("f", "h", "k")])
    store = change(path, "UPDATE commits SET history = 'g' WHERE id = 'h'")
    with pytest.raises(StoreError, match="the checksum of commit 1 of 'g' is wrong"):
        list(store.read("h"))


@pytest.mark.parametrize(
    "assignment",
    [
        "value = '{\"n\":2}'",
        "value = x'00'",
        "value = 7",
        "expires_at = 5e9",
        "expires_at = NULL",
        "expires_at = 'text'",
        "group1 = 'h'",
        "group1 = NULL",
        "sort1 = 'z'",
        "group2 = 'g'",
        "crc = 1",
        "crc = 'text'",
        "version = 'text'",
    ],
)
def test_a_document_that_was_changed(path: Path, assignment: str, change: Change) -> None:
    """StoreError when it is read, alone or in a listing; the next one is not touched."""
    store = change(path, f"UPDATE documents SET {assignment} WHERE key = 'x'")
    for read in (lambda: store.get("k", "x"), lambda: store.find("k")):
        with pytest.raises(StoreError) as caught:
            read()
        assert (
            f"store {path} is damaged: the checksum of 'k' 'x' is wrong; restore it from a backup"
        ) == str(caught.value)
    assert {"n": 1} == store.get("k", "y").value  # type: ignore[union-attr]


@pytest.mark.parametrize("expires_at", [4_000_000_000, 4e9, 4e9 + 0.1, None])
def test_times_come_back(tmp_path: Path, expires_at: float | None) -> None:
    """The checksum is that of what SQLite makes of the time, whole numbers included."""
    with contextlib.closing(SqliteStore(tmp_path / "store.db")) as store:
        store.put("k", "x", {}, expires_at=expires_at)
        assert 1 == store.get("k", "x").version  # type: ignore[union-attr]


def test_a_document_that_seems_to_have_expired(path: Path, change: Change) -> None:
    """It is looked at before it is taken for expired."""
    with pytest.raises(StoreError, match="the checksum of 'k' 'x' is wrong"):
        change(path, "UPDATE documents SET expires_at = 0 WHERE key = 'x'").get("k", "x")


def test_text_that_is_no_utf8(path: Path, change: Change) -> None:
    """StoreError, whatever SQLite makes of it."""
    store = change(path, "UPDATE documents SET value = CAST(x'ff' AS TEXT) WHERE key = 'x'")
    with pytest.raises(StoreError, match="is damaged: it holds text that is not UTF-8"):
        store.get("k", "x")


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("DROP TABLE documents", "its tables are not those that were made"),
        ("DROP INDEX documents_2", "its tables are not those that were made"),
        ("ALTER TABLE commits RENAME COLUMN id TO name", "its tables are not those that were made"),
        ("PRAGMA user_version = -1", "its tables are not those that were made"),
    ],
)
def test_other_tables(path: Path, statement: str, text: str) -> None:
    """A store whose tables are others is refused, unchanged."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)
    before = path.read_bytes()
    with pytest.raises(StoreError) as caught:
        SqliteStore(path)
    assert f"store {path} is damaged: {text}; restore it from a backup" == str(caught.value)
    assert before == path.read_bytes()


def test_an_index_that_lost_an_entry(path: Path) -> None:
    """What no row says of itself, that it can't be found, is found when the store is opened."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'documents_1'").fetchone()
        connection.execute("UPDATE sqlite_master SET sql = NULL WHERE name = 'documents_1'")
        other = sql.replace("group1 IS NOT NULL", "group1 IS NULL")
        connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'documents_1'", (other,))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM documents WHERE key = 'x'")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'documents_1'", (sql,))
    with pytest.raises(StoreError, match=r"is damaged: .*documents_1"):
        SqliteStore(path)
