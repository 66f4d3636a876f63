"""What is found of a store, whole or damaged."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import bunsui
from bunsui import Plugins
from bunsui.diagnosis.check import Check, Status
from bunsui.diagnosis.doctor import the_store
from bunsui.diagnosis.sessions import sessions
from bunsui.diagnosis.store import content, location, space, write
from bunsui.engine import events as ev
from bunsui.engine.fold import Fold
from bunsui.ports.store import Append, Commit
from bunsui.runner.sessions import index
from bunsui.stores.memory import MemoryStore
from bunsui.stores.records import body_of, encode_event
from bunsui.stores.sqlite import SqliteStore

PLUGINS = Plugins(autoload=False)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with a session that has ended."""
    tmp_path.chmod(0o700)
    path = tmp_path / "store.db"
    pipeline = bunsui.Pipeline("p", [bunsui.Job("a", "custom", command=["true"])])
    with bunsui.Runner(f"sqlite:///{path}", autoload_plugins=False, config={}) as runner:
        runner.run(pipeline)
    return path


def look(path: Path) -> dict[str, Check]:
    """By name, the worst of each."""
    found: dict[str, Check] = {}
    for check in the_store(f"sqlite:///{path}", PLUGINS):
        if check.name not in found or check.status is not Status.OK:
            found[check.name] = check
    return found


def bad(path: Path) -> list[str]:
    return [name for name, check in look(path).items() if check.status is not Status.OK]


@contextlib.contextmanager
def changed(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        yield connection
        connection.commit()


def test_a_whole_store(path: Path) -> None:
    """Every check is made, and nothing is left in it."""
    found = look(path)
    assert [] == [check for check in found.values() if check.status is not Status.OK]
    assert {
        "store", "store's rights", "store's size", "store's disk", "store's writes", "store's integrity",
        "store's rows", "sessions", "runners", "clock", "logs", "artifacts", "artifacts' content",
    } == set(found)  # fmt: skip
    with changed(path) as connection:
        number = sum(
            connection.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("commits", "documents")
        )
        assert [] == connection.execute("SELECT key FROM documents WHERE kind = 'doctor'").fetchall()
    assert f"the checksums of all {number} rows are right" == found["store's rows"].what


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """It says that the first run makes it."""
    found = look(tmp_path / "a" / "b.db")
    assert ["ok", "ok"] == [str(check.status) for check in found.values()]
    assert found["store"].what.endswith(f"is not there yet; the first run makes it in {tmp_path}")
    assert [] == list(tmp_path.iterdir())


def test_a_folder_in_place_of_a_store(tmp_path: Path) -> None:
    """Is none."""
    assert "store" in bad(tmp_path)


def test_a_later_schema(path: Path) -> None:
    """Is told with what helps, and the file is unchanged."""
    with changed(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    found = look(path)["store"]
    assert (Status.PROBLEM, "use a later bunsui; the file is unchanged") == (found.status, found.remedy)
    assert before == path.read_bytes()


def test_another_programs_database(tmp_path: Path) -> None:
    """Is none of ours."""
    with changed(tmp_path / "x.db") as connection:
        connection.execute("CREATE TABLE t (x)")
    assert "another program's database" in look(tmp_path / "x.db")["store"].what


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    """Is told."""
    (tmp_path / "x.db").write_bytes(b"no database" * 1000)
    assert ["store"] == bad(tmp_path / "x.db")


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE commits SET crc = crc + 1 WHERE position = 1",
        "UPDATE commits SET body = replace(body, 'SessionCreated', 'SessionCreateD') WHERE position = 1",
        "UPDATE commits SET body = x'ff' WHERE position = 1",
        "UPDATE documents SET value = '{}' WHERE kind = 'session'",
    ],
)
def test_a_row_that_is_not_what_was_written(path: Path, damage: str) -> None:
    """SQLite finds it whole; the checksums tell."""
    with changed(path) as connection:
        connection.execute(damage)
    found = look(path)
    assert Status.PROBLEM is found["store's rows"].status
    assert "damaged" in found["store's rows"].what
    assert Status.OK is found["store's integrity"].status


def test_a_damaged_page(path: Path) -> None:
    """SQLite's own look finds it, when it is opened or afterwards."""
    with changed(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content_ = bytearray(path.read_bytes())
    for place in range(5000, len(content_), 97):
        content_[place] ^= 0xFF
    path.write_bytes(content_)
    assert bad(path)


def test_an_index_that_lacks_a_row(path: Path) -> None:
    """Is found by the look at the whole, also where a large file is opened without one."""
    with changed(path) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM sqlite_master WHERE name = 'documents_2'")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] != "ok"
    found = {check.name: check for check in content(path)}
    assert Status.PROBLEM is found["store's integrity"].status


def test_a_look_that_takes_too_long_is_given_up(path: Path) -> None:
    """And says how to look at all of it."""
    with changed(path) as connection:
        connection.execute(
            "CREATE TABLE big AS WITH RECURSIVE n(i) AS"
            " (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 200000) SELECT i FROM n"
        )
        connection.execute("CREATE INDEX big_i ON big (i)")
    found = {check.name: check for check in content(path, seconds=0)}
    assert [Status.WARNING, Status.WARNING] == [check.status for check in found.values()]
    assert "PRAGMA integrity_check" in (found["store's integrity"].remedy or "")


def test_little_space(tmp_path: Path) -> None:
    """Against what is really free."""
    free = shutil.disk_usage(tmp_path).free
    assert [Status.OK, Status.WARNING, Status.PROBLEM] == [
        space(tmp_path, little, least).status
        for little, least in ((0, 0), (2 * free, 0), (2 * free, 2 * free))
    ]


def test_a_large_log(path: Path) -> None:
    """Somebody keeps it from being written back."""
    with Path(f"{path}-wal").open("wb") as log:
        log.truncate(65 * 1024 * 1024)
    found = {check.name: check for check in location(path)}
    assert Status.WARNING is found["store's size"].status


def test_rights_of_everybody(path: Path) -> None:
    """On the file or its folder; /tmp's, where each may only remove what is his, are no such."""
    path.chmod(0o666)
    assert ["store's rights"] == bad(path)
    path.chmod(0o600)
    path.parent.chmod(0o777)
    assert ["store's rights"] == bad(path)
    path.parent.chmod(0o777 | stat.S_ISVTX)
    assert [] == bad(path)


@pytest.mark.parametrize(("empty", "rows"), [(False, {"store's rows ok"}), (True, set())])
def test_a_store_that_may_only_be_read(path: Path, empty: bool, rows: set[str]) -> None:
    """Is a problem of rights and of writes; sessions can still be looked at. One without tables yet is no
    damaged one.
    """
    if empty:
        path.write_bytes(b"")
    code = """
import os, sys
from bunsui.diagnosis.doctor import the_store
from bunsui import Plugins
import bunsui.stores.sqlite, bunsui.stores.records
bunsui.stores.records._converter()  # What is imported late can't be, where only root may read it.
if os.geteuid() == 0:
    os.setegid(65534); os.seteuid(65534)
for check in the_store("sqlite:///" + sys.argv[1], Plugins(autoload=False)):
    print(check.name, check.status)
if os.getuid() == 0:
    os.seteuid(0)
"""
    for folder in path.parents:
        if folder.stat().st_uid == os.geteuid() and folder != folder.parent:
            folder.chmod(folder.stat().st_mode | 0o055)
    path.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    finally:
        path.parent.chmod(0o700)
    lines = done.stdout.splitlines()
    assert {"store's rights problem", "store's writes problem", "sessions ok", *rows} <= set(lines)
    assert rows == {line for line in lines if line.startswith("store's rows")}


def test_a_lock_that_cant_be_had(path: Path) -> None:
    """By the write: another program holds it."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        store = SqliteStore(path, lock_timeout=0.05)
        try:
            found = write(store)
        finally:
            store.close()
    assert (Status.PROBLEM, "another process has been writing to it for too long; try again") == (
        found.status, found.remedy,
    )  # fmt: skip


class Forgetful(MemoryStore):
    """Takes what is written, and does not keep it."""

    def get(self, kind: str, key: str) -> None:
        del kind, key


def test_a_store_that_forgets() -> None:
    """What was written is read again."""
    assert "does not give back" in write(Forgetful()).what
    assert Status.OK is write(MemoryStore()).status


def test_a_url_that_is_none() -> None:
    """Is told as it is everywhere, without a password."""
    found = list(the_store("vault://ann:hunter2@x", PLUGINS))
    assert [Status.PROBLEM] == [check.status for check in found]
    assert ["store"] == [check.name for check in the_store("memory://", PLUGINS)][:1]
    assert "hunter2" not in found[0].what


def created(store: MemoryStore, session: str, at: datetime) -> None:
    """A session that was created, and that nobody has claimed."""
    fact = ev.SessionCreated(at, session, "p", "digest", {})
    fold = Fold(())
    fold.apply(fact)
    commit = Commit(1, f"{session}-1", body_of([encode_event(fact)]))
    assert store.append([Append(session, commit, index.entry(fold))])[0].ok


def test_orphans_are_named() -> None:
    """With the command that goes on with one, in the same store."""
    store = MemoryStore()
    created(store, "lost", NOW)
    found = {check.name: check for check in sessions(store, NOW, lambda: " --store URL")}
    assert (Status.WARNING, "continue one with: bunsui session resume lost --store URL") == (
        found["sessions"].status, found["sessions"].remedy,
    )  # fmt: skip
    assert Status.OK is found["clock"].status


def test_a_session_from_later() -> None:
    """Somebody's clock is wrong."""
    store = MemoryStore()
    created(store, "early", NOW + timedelta(minutes=5))
    found = {check.name: check for check in sessions(store, NOW)}
    assert "300 seconds from now" in found["clock"].what
    assert Status.WARNING is found["clock"].status


def test_runners_are_counted() -> None:
    """By their heartbeats."""
    store = MemoryStore()
    store.put("runner", "r1", {"beat": 1, "turn": 1})
    found = {check.name: check for check in sessions(store, NOW)}
    assert found["runners"].what.startswith("1 with a heartbeat")


def test_no_thread_is_left(path: Path) -> None:
    """Nor a connection: the file can be removed, and warnings are errors here."""
    before = threading.active_count()
    look(path)
    assert before == threading.active_count()
