"""The store in one SQLite file: the port's clauses, and what a file on a disk adds to them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import bunsui
from bunsui.errors import StoreError
from bunsui.ports.store import Append, Appended, Commit, Put
from bunsui.stores import cursors, sqlite_file, sqlite_schema
from bunsui.stores.sqlite import SqliteStore
from bunsui.testing import StoreSuite

OK = [Appended()]
FDS = Path("/proc/self/fd")
NOBODY = 65534
CHECK_HINT = "check that the file and its folder exist and that you may write to them"


class TestSqliteStore(StoreSuite):
    """Every clause of the port holds for the store in a file."""

    @pytest.fixture
    def store(self, tmp_path):
        store = SqliteStore(tmp_path / "store.db")
        yield store
        store.close()

    def another_handle(self, store):
        return SqliteStore(store.path)


class TestSqliteStoreInOneHandle(StoreSuite):
    """Every clause holds also where all threads share one handle."""

    @pytest.fixture
    def store(self, tmp_path):
        store = SqliteStore(tmp_path / "store.db")
        yield store
        store.close()


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "folder" / "store.db"


@pytest.fixture
def store(path):
    store = SqliteStore(path, lock_timeout=0.05)
    yield store
    store.close()


@pytest.fixture
def open_folder():
    """A folder that every user of this machine can reach."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


@pytest.fixture
def fast_folder():
    """A folder where a commit does not wait for a disk, as far as there is one."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


def append(store, position, history="h", body="{}", document=None, commit=None):
    """The outcome of one append."""
    commit = Commit(position, commit or f"c{position}", body)
    return store.append([Append(history, commit, document)])[0]


def fill(store, count, history="h", body="{}"):
    """Appends `count` commits to an empty history."""
    for position in range(1, count + 1):
        assert append(store, position, history, body).ok


def script(code, *arguments, wrapper=(), **options):
    """Runs `code` in a Python of its own, and returns what it printed."""
    done = subprocess.run(
        [*wrapper, sys.executable, "-c", PRELUDE + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stderr
    assert "" == done.stderr
    return done.stdout


PRELUDE = """
import os, sys, traceback
from pathlib import Path
from bunsui.errors import StoreError
from bunsui.ports.store import Append, Appended, Commit, Put
from bunsui.stores import sqlite_file
from bunsui.stores.sqlite import SqliteStore

path = Path(sys.argv[1])

def append(store, position, commit=None, history="h", body="{}", document=None):
    return store.append([Append(history, Commit(position, commit or f"c{position}", body), document)])[0]

def child(function):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            function()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    return pid

def ends(pids):
    assert [0] * len(pids) == [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
"""


# The file


def test_modes(path, store):
    """The folder is its owner's alone, and so is every file in it, whatever the umask."""
    umask = os.umask(0)
    try:
        assert append(store, 1).ok
        store.checkpoint()
    finally:
        os.umask(umask)
    modes = {file.name: file.stat().st_mode & 0o777 for file in [path.parent, *path.parent.iterdir()]}
    names = ("store.db", "store.db-wal", "store.db-shm", "store.db-checkpoint")
    assert {"folder": 0o700, **dict.fromkeys(names, 0o600)} == modes


def test_reading_a_missing_file_makes_nothing(path, store):
    """Where there is no file, everything that reads finds nothing and makes nothing."""
    found = [
        list(store.read("h")),
        store.get("k", "x"),
        store.find("k"),
        store.find("k", "g"),
        store.append([]),
    ]
    store.changed(None)
    store.delete("k", "x")
    store.close()
    assert [[], None, [], [], []] == found
    assert not path.parent.exists()


def test_a_missing_file_appears(path, store):
    """A handle that found no file sees the one that another handle makes."""
    token = store.changed(None)
    with contextlib.closing(SqliteStore(path)) as other:
        assert append(other, 1).ok
    assert token != store.changed(token)
    assert [Commit(1, "c1", "{}")] == list(store.read("h"))


def test_an_empty_file(tmp_path):
    """An empty file, as `mktemp` makes it, becomes a store."""
    path = tmp_path / "store.db"
    path.touch()
    with contextlib.closing(SqliteStore(path)) as store:
        assert append(store, 1).ok


def test_an_empty_file_is_read_as_it_is(tmp_path):
    """Who only reads makes no store of an empty file, and finds nothing in it."""
    path = tmp_path / "store.db"
    path.touch()
    with contextlib.closing(SqliteStore(path)) as store:
        assert [[], None, []] == [list(store.read("h")), store.get("k", "x"), store.find("k", "g")]
        store.remove("h", ("k", "x"))
        store.delete("k", "x")
    assert [(path.name, 0)] == [(found.name, found.stat().st_size) for found in tmp_path.iterdir()]


def test_what_is_removed_makes_room(path, store):
    """The file keeps its size where a history goes, and does not grow when as much is written again."""
    fill(store, 50, history="a", body="x" * 20_000)
    store.checkpoint()
    size = path.stat().st_size
    for history in ("a", "b", "c", "d"):
        store.remove(history)
        fill(store, 50, history=chr(ord(history) + 1), body="x" * 20_000)
        store.checkpoint()
    assert path.stat().st_size < 1.2 * size


def test_a_key_is_found_without_looking_at_all(path, store):
    """The beginning of a key, and a place behind a key, are looked up in the order of the keys."""
    store.put("k", "x", {})
    asked = []
    with contextlib.closing(sqlite3.connect(path)) as connection:
        store._file.connection().set_trace_callback(asked.append)
        store.find_prefix("k", "m", 5)
        store.find("k", after=cursors.make("", "m"), reverse=True)
        store._file.connection().set_trace_callback(None)
        plans = [str(connection.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()) for sql in asked]
    assert 3 == len(plans)
    assert all("SEARCH documents USING PRIMARY KEY (kind=? AND key" in plan for plan in plans)
    # What is sorted is what was found, not what was looked at.
    assert all(plan.index("SCAN") < plan.index("TEMP B-TREE") for plan in plans[1:])


def test_a_relative_path_stays(tmp_path, monkeypatch):
    """The path is that of the working directory in which the store was made."""
    monkeypatch.chdir(tmp_path)
    store = SqliteStore("store.db")
    monkeypatch.chdir("/")
    assert append(store, 1).ok
    store.close()
    assert (tmp_path / "store.db").exists()


def test_a_path_with_signs(tmp_path):
    """A name that looks like a URI or a pattern is a name."""
    path = tmp_path / "a?mode=ro&b#%20 'ü.db"
    with contextlib.closing(SqliteStore(path)) as store:
        assert append(store, 1).ok
    assert ["a?mode=ro&b#%20 'ü.db"] == [file.name for file in tmp_path.iterdir()]


def test_the_data_is_in_the_file_after_close(path, store):
    """A closed store is one file: a copy of it holds everything."""
    fill(store, 10)
    store.put("k", "x", {"n": 1})
    store.close()
    assert ["store.db"] == [file.name for file in path.parent.iterdir()]
    shutil.copy(path, path.with_name("copy.db"))
    with contextlib.closing(SqliteStore(path.with_name("copy.db"))) as copy:
        assert 10 == len(list(copy.read("h")))


def snapshot(path):
    """The bytes of the file and its log."""
    return {file.name: file.read_bytes() for file in path.parent.iterdir() if not file.name.endswith("-shm")}


def crashed(path, statement):
    """A store whose process died: its last change, `statement`, stands in the log alone."""
    with contextlib.closing(SqliteStore(path)) as store:
        fill(store, 3)
    source = sqlite3.connect(path, isolation_level=None)
    source.execute("PRAGMA wal_autocheckpoint = 0")
    source.execute(statement)
    found = {
        file.name: file.read_bytes() for file in path.parent.iterdir() if file.name.startswith(path.name)
    }
    source.close()
    for name, content in found.items():
        path.with_name(name).write_bytes(content)
    path.with_name(f"{path.name}-shm").unlink()


@pytest.mark.parametrize("died", [False, True], ids=["closed", "died"])
def test_a_newer_schema_is_refused(path, died):
    """A file of a later version is refused with its reason, and stays as it is, byte for byte."""
    if died:
        crashed(path, "PRAGMA user_version = 7")
    else:
        with contextlib.closing(SqliteStore(path)) as store:
            fill(store, 3)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA user_version = 7")
    before = snapshot(path)
    with pytest.raises(StoreError) as caught:
        SqliteStore(path)
    assert (
        f"{path} has schema 7; this bunsui knows up to 1; use a later bunsui; the file is unchanged"
    ) == str(caught.value)
    assert before == snapshot(path)
    assert died == ("store.db-wal" in before)


@pytest.mark.parametrize(
    "statements",
    [
        ("CREATE TABLE mine (a)",),
        ("CREATE TABLE mine (a)", "PRAGMA user_version = 1"),
        ("PRAGMA user_version = 1",),
        ("PRAGMA journal_mode = WAL", "CREATE TABLE mine (a)"),
        ("PRAGMA application_id = 1", "PRAGMA user_version = 1", "CREATE TABLE commits (a)"),
    ],
)
def test_another_programs_database_is_refused(path, statements):
    """A database that is not ours is refused, and stays as it is."""
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
    before = snapshot(path)
    with pytest.raises(StoreError) as caught:
        SqliteStore(path)
    assert (f"{path} is another program's database; name another file with --store or BUNSUI_STORE") == str(
        caught.value
    )
    assert before == snapshot(path)


@pytest.mark.parametrize("when", ["AFTER INSERT ON commits", "BEFORE UPDATE ON documents"])
def test_triggers_are_refused(path, store, when):
    """A store whose writes somebody has made do something else is refused: here they undo each commit."""
    store.append([Append("h", Commit(1, "h-1", "{}"))])
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TRIGGER t {when} BEGIN DELETE FROM commits; END")
        connection.commit()
    with pytest.raises(StoreError, match="is damaged: it has triggers, and bunsui makes none; restore"):
        SqliteStore(path)


def test_no_database(path):
    """A file that is no database is refused, and stays as it is."""
    path.parent.mkdir()
    path.write_text("a diary, and not a short one: " * 100)
    before = snapshot(path)
    with pytest.raises(StoreError) as caught:
        SqliteStore(path)
    assert (
        f"store {path}: file is not a database; "
        "the file is damaged, or no bunsui store; restore it from a backup"
    ) == str(caught.value)
    assert before == snapshot(path)


def test_a_folder_is_no_store(tmp_path):
    """A path that is a folder is refused."""
    with pytest.raises(StoreError) as caught:
        SqliteStore(tmp_path)
    assert f"store {tmp_path}: unable to open database file; {CHECK_HINT}" == str(caught.value)


def test_a_file_where_a_folder_should_be(tmp_path):
    """A store below a file can be read, as empty, and a write to it says what is wrong."""
    (tmp_path / "file").touch()
    store = SqliteStore(tmp_path / "file" / "store.db")
    assert [] == list(store.read("h"))
    with pytest.raises(StoreError) as caught:
        store.put("k", "x", {})
    assert (
        f"store {store.path} can't be made: File exists; name another place with --store or BUNSUI_STORE"
    ) == str(caught.value)


@pytest.mark.parametrize("size", [1000, 5_000_000], ids=["small", "large"])
def test_a_damaged_file(path, size):
    """A small file with a torn page is refused when it is opened, a large one where the page is read."""
    with contextlib.closing(SqliteStore(path)) as store:
        fill(store, 4, body="x" * size)
        fill(store, 300, history="other")
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    assert (size < 10_000) == (len(content) <= sqlite_schema.CHECKED_BYTES)
    before = snapshot(path)
    with pytest.raises(StoreError) as caught:
        list(SqliteStore(path).read("h"))
    if size < 10_000:
        assert str(caught.value).startswith(f"store {path} is damaged: ")
    else:
        assert f"store {path}: database disk image is malformed; the file is damaged" in str(caught.value)
    assert str(caught.value).endswith("restore it from a backup")
    assert before[path.name] == path.read_bytes()


# Permissions: as root every file may be written, so the script gives that up first.

DROP = f"""
import atexit
def drop():
    if os.geteuid() == 0:
        Path("/").as_uri()  # Imports what it needs (Python 3.13) as long as that may be read.
        # Back at the end, for what measures the coverage and writes it down then.
        atexit.register(os.seteuid, 0)
        os.seteuid({NOBODY})
"""


def test_a_folder_that_may_not_be_written(open_folder):
    """Where no file may be made, reading finds nothing, and a write says so."""
    open_folder.chmod(0o555)
    code = """
drop()
store = SqliteStore(path)
print([*store.read("h")], append(store, 1).error)
"""
    path = open_folder / "store.db"
    assert (
        f"[] store {path} can't be made: Permission denied; name another place with --store or BUNSUI_STORE\n"
    ) == script(DROP + code, path)


def test_a_file_that_may_not_be_read(open_folder):
    """A store of somebody else, 0600, is refused with StoreError."""
    path = open_folder / "store.db"
    with contextlib.closing(SqliteStore(path)) as store:
        fill(store, 1)
    path.chmod(0)
    code = """
drop()
try:
    SqliteStore(path)
except StoreError as error:
    print(error)
"""
    assert f"store {path}: unable to open database file; {CHECK_HINT}\n" == script(DROP + code, path)


def test_a_folder_that_may_not_be_entered(open_folder):
    """A store in somebody else's folder, 0700, is refused with StoreError, and is not taken for missing."""
    path = open_folder / "folder" / "store.db"
    with contextlib.closing(SqliteStore(path)) as store:
        fill(store, 1)
    path.parent.chmod(0)
    code = """
drop()
try:
    SqliteStore(path)
except StoreError as error:
    print(error)
"""
    try:
        assert f"store {path}: Permission denied; {CHECK_HINT}\n" == script(DROP + code, path)
    finally:
        path.parent.chmod(0o700)


def test_a_file_that_may_only_be_read(open_folder):
    """It can be read; a write gives StoreError, and nothing changes, the folder included."""
    path = open_folder / "store.db"
    with contextlib.closing(SqliteStore(path)) as store:
        fill(store, 3)
    path.chmod(0o444)
    before = snapshot(path)
    code = """
drop()
store = SqliteStore(path)
print([commit.position for commit in store.read("h")], append(store, 4).error)
"""
    open_folder.chmod(0o777)
    assert (
        f"[1, 2, 3] store {path} may only be read: the file may not be written; "
        "run as a user who may write both, or name another store with --store or BUNSUI_STORE\n"
    ) == script(DROP + code, path)
    assert before == snapshot(path)


def test_a_checkpoint_that_fails_is_no_failed_append(open_folder):
    """An append is ok once its commit is durable, also where the checkpoint that was due fails."""
    path = open_folder / "store.db"
    code = """
sqlite_file.CHECKPOINT_BYTES = 1
store = SqliteStore(path)
assert append(store, 1).ok
path.with_name(f"{path.name}-checkpoint").unlink()
path.parent.chmod(0o555)
drop()
print(append(store, 2))
try:
    store.checkpoint()
except StoreError as error:
    print(error)
os.seteuid(os.getuid())
print([commit.position for commit in store.read("h")])
"""
    if os.geteuid() == 0:
        os.chown(open_folder, NOBODY, NOBODY)
    assert (
        "Appended(conflict=False, error=None)\n" f"store {path}: Permission denied; {CHECK_HINT}\n" "[1, 2]\n"
    ) == script(DROP + code, path)


# A disk that is full: needs a small file system of one's own


def unshare_works() -> bool:
    """Whether a namespace with its own mounts can be had."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return False
    return 0 == subprocess.run([unshare, "-rm", "true"], capture_output=True, check=False).returncode


@pytest.mark.skipif(not unshare_works(), reason="needs `unshare -rm` for a small file system")
def test_a_full_disk(tmp_path):
    """On a full disk an append fails with its reason; what was ok is there, and with space all goes on."""
    code = """
import subprocess
folder = path.parent
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], check=True)
(folder / "filler").write_bytes(b"x" * 300_000)
store = SqliteStore(path)
position, outcome = 0, Appended()
while outcome.ok:
    position += 1
    outcome = append(store, position, body="x" * 5000, document=Put("k", "x", {"n": position}))
print(outcome.error)
read = [commit.position for commit in store.read("h")]
assert read[: position - 1] == list(range(1, position)), (read, position)
assert store.get("k", "x").value["n"] >= position - 1
(folder / "filler").unlink()
for again in range(position, position + 10):
    assert append(store, again, body="x" * 5000).ok
store.close()
assert list(range(1, position + 10)) == [commit.position for commit in SqliteStore(path).read("h")]
print(position > 20)
"""
    path = tmp_path / "store.db"
    printed = script(code, path, wrapper=["unshare", "-rm"])
    assert f"store {path}: database or disk is full; free some space\nTrue\n" == printed


# Locks


@pytest.fixture
def writer(path, store):
    """Another program's connection that holds the write lock."""
    fill(store, 1)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def test_locked(path, store, writer):
    """An append that gets no lock within the timeout fails with the reason, and can be done again."""
    outcomes = store.append([Append(h, Commit(1, h, "{}"), Put("k", h, {})) for h in ("a", "b")])
    assert [
        f"store {path}: database is locked; another process has been writing to it for too long; try again"
    ] * 2 == [str(outcome.error) for outcome in outcomes]
    assert [False, False] == [outcome.ok for outcome in outcomes]
    writer.execute("ROLLBACK")
    assert [Appended()] * 2 == store.append([Append(h, Commit(1, h, "{}")) for h in ("a", "b")])


def test_locked_for_one_append(store, writer):
    """A single append without a document, one statement, fails and recovers in the same way."""
    assert not append(store, 2).ok
    writer.execute("ROLLBACK")
    assert append(store, 2).ok


@pytest.mark.parametrize("kind", ["session", "runner"])
def test_locked_for_a_document(path, store, writer, kind):
    """A put and a delete that get no lock raise StoreError, and work afterwards."""
    for write in (lambda: store.put(kind, "x", {}), lambda: store.delete(kind, "x")):
        with pytest.raises(StoreError, match="database is locked"):
            write()
    writer.execute("ROLLBACK")
    assert 1 == store.put(kind, "x", {})
    assert append(store, 2).ok


def busy_timeout(store):
    """Milliseconds that this thread's connection waits for a lock."""
    return store._file.connection().execute("PRAGMA busy_timeout").fetchone()[0]


def test_the_lock_timeout_is_only_ever_lowered(path):
    """For the connections that are open and for those to come."""
    with contextlib.closing(SqliteStore(path)) as store:
        fill(store, 1)
        assert 5000 == busy_timeout(store)
        for seconds, expected in ((7.5, 5000), (0.25, 250), (1.0, 250)):
            store.limit_lock_timeout(seconds)
            assert expected == busy_timeout(store)
            with ThreadPoolExecutor(1) as pool:
                assert expected == pool.submit(busy_timeout, store).result()


@pytest.mark.parametrize(("lease", "expected"), [(30.0, 5000), (2.0, 500)])
def test_a_runner_waits_for_a_lock_for_a_part_of_its_lease(path, lease, expected):
    """A quarter of it at most: its driver makes no turn meanwhile."""
    with contextlib.closing(SqliteStore(path)) as store:
        fill(store, 1)
        with bunsui.Runner(store, lease=lease, autoload_plugins=False):
            assert expected == busy_timeout(store)


def test_reading_while_locked(store, writer):
    """A writer holds up no reader."""
    assert [Commit(1, "c1", "{}")] == list(store.read("h"))
    assert store.get("k", "x") is None


def test_a_change_is_not_missed_after_an_error(path, store):
    """A token does not equal one of the connection that was dropped for an error."""
    fill(store, 1)
    token = store.changed(None)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("DELETE FROM documents")
        other.execute("BEGIN IMMEDIATE")
        assert not append(store, 2).ok
        other.execute("ROLLBACK")
        assert token != store.changed(token)


def test_own_writes_are_no_change(store):
    """What a thread writes itself does not change its token."""
    fill(store, 1)
    token = store.changed(None)
    store.put("runner", "x", {})
    append(store, 2, document=Put("k", "x", {}))
    assert token == store.changed(token)


@pytest.mark.parametrize(("kind", "level"), [("runner", 2), ("session", 2)])
def test_only_beats_may_be_lost(store, kind, level):
    """The connection is back at synchronous=FULL after the put of whatever kind."""
    store.put(kind, "x", {})
    assert (level,) == store._file.connection().execute("PRAGMA synchronous").fetchone()


def test_a_put_that_conflicts_leaves_the_connection_at_full(store):
    """The connection is back at synchronous=FULL after a beat that was refused."""
    store.put("runner", "x", {})
    with pytest.raises(Exception, match="runner 'x' has version 1, not 0"):
        store.put("runner", "x", {}, if_version=0)
    assert (2,) == store._file.connection().execute("PRAGMA synchronous").fetchone()
    assert not store._file.connection().in_transaction


def test_a_connection_is_not_used_after_an_error(store, writer):
    """After an error the thread's connection is opened anew: what it knows may be wrong."""
    before = store._file.connection()
    assert not append(store, 2).ok
    assert before not in store._file._open
    assert before is not store._file.connection()


def test_nothing_stays_open_after_close(store):
    """What is read after close is opened for that call only."""
    fill(store, 1)
    store.close()
    assert ["c1"] == [commit.id for commit in store.read("h")]
    assert {} == store._file._open


# Checkpoints


def test_a_checkpoint_keeps_everything(path, store):
    """What a checkpoint moves is there afterwards, for this handle and for a new one."""
    fill(store, 50, body="x" * 1000)
    before = path.stat().st_size
    store.checkpoint()
    assert path.stat().st_size > before
    assert 50 == len(list(store.read("h")))
    with contextlib.closing(SqliteStore(path)) as other:
        assert 50 == len(list(other.read("h")))


def test_one_checkpoint_at_a_time(path, store):
    """While another process holds the checkpoint's lock, nothing is moved, and appends go on."""
    fcntl = pytest.importorskip("fcntl")
    fill(store, 50, body="x" * 1000)
    before = path.stat().st_size
    with path.with_name("store.db-checkpoint").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        store.checkpoint()
        assert before == path.stat().st_size
        assert append(store, 51).ok
    store.checkpoint()
    assert before < path.stat().st_size


def wal(path):
    """Bytes of the log."""
    return path.with_name(f"{path.name}-wal").stat().st_size


def test_the_log_stays_small(fast_folder):
    """Over thousands of appends the log does not grow beyond what lies between two checkpoints."""
    path = fast_folder / "store.db"
    with contextlib.closing(SqliteStore(path)) as store:
        fill(store, 5000)
        assert wal(path) < 4 * sqlite_file.CHECKPOINT_BYTES
        assert 5000 == sum(1 for _ in store.read("h"))
        assert path.stat().st_size > 5000 * 10


def test_the_log_stays_small_under_large_commits(fast_folder):
    """The log is bounded in bytes, not in appends: few large commits don't pile up."""
    path = fast_folder / "store.db"
    with contextlib.closing(SqliteStore(path)) as store:
        for position in range(1, 101):
            assert append(store, position, body="x" * 500_000).ok
        assert wal(path) < 4 * 500_000


def test_the_log_stays_small_under_beats(fast_folder):
    """A process that only puts documents bounds the log, too."""
    path = fast_folder / "store.db"
    with contextlib.closing(SqliteStore(path)) as store:
        for beat in range(5000):
            store.put("runner", "x", {"beat": beat})
        assert wal(path) < 3 * sqlite_file.CHECKPOINT_BYTES


# Threads and processes


def test_threads_that_ended_hold_nothing_open(store):
    """The connections of threads that ended are closed, so that a long life does not run out of files."""
    fill(store, 1)
    for _ in range(100):
        thread = threading.Thread(target=store.get, args=("k", "x"))
        thread.start()
        thread.join()
    assert len(store._file._open) <= 3


@pytest.mark.skipif(not FDS.is_dir(), reason="needs /proc")
def test_threads_that_ended_leave_no_files(path, store):
    """The files that a hundred short threads opened are closed."""
    fill(store, 1)
    for _ in range(100):
        thread = threading.Thread(target=append, args=(store, 1))
        thread.start()
        thread.join()
    opened = Counter(str(fd.readlink()) for fd in FDS.iterdir() if fd.is_symlink())
    assert opened[str(path)] <= 4


def test_close_frees_the_files_of_all_threads(path, store):
    """Closing closes the connections of threads that still live."""
    if not FDS.is_dir():
        pytest.skip("needs /proc")
    fill(store, 1)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: store.get("k", "x"), range(50)))
        store.close()
        assert [] == [fd for fd in FDS.iterdir() if fd.is_symlink() and str(path) in str(fd.readlink())]


def test_closing_while_others_read(path):
    """Threads that use a store while it is closed get what they ask for or a StoreError, nothing else."""
    for _ in range(10):
        store = SqliteStore(path)
        fill(store, 1)
        barrier = threading.Barrier(4)

        def use(store=store, barrier=barrier):
            barrier.wait()
            for _ in range(30):
                with contextlib.suppress(StoreError):
                    store.get("k", "x")
                    store.changed(None)
                    list(store.read("h"))

        with ThreadPoolExecutor(3) as pool:
            users = [pool.submit(use) for _ in range(3)]
            barrier.wait()
            store.close()
            for user in users:
                user.result()
        store.close()
        assert set() == set(store._file._open)


def test_closing_while_another_thread_writes(tmp_path):
    """Its write is done, not cut off in the middle of a statement, of which the process would die."""
    code = """
import sqlite3, threading, time
store = SqliteStore(path)
assert 1 == store.put("k", "x", {})
other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
other.execute("BEGIN IMMEDIATE")
versions = []
thread = threading.Thread(target=lambda: versions.append(store.put("k", "x", {})))
thread.start()
while "put" not in [frame.f_code.co_name for frame in (sys._current_frames().get(thread.ident),) if frame]:
    time.sleep(0.01)
threading.Timer(0.5, other.execute, ["ROLLBACK"]).start()
time.sleep(0.1)  # By now it waits for the lock, in SQLite.
store.close()
thread.join()
print(versions, store._file._open)
"""
    assert "[2] {}\n" == script(code, tmp_path / "store.db")


def test_a_call_that_ends_as_it_is_closed(path, monkeypatch):
    """Of a call that ends and a close at the same moment, one closes its connection."""
    store = SqliteStore(path)
    fill(store, 1)
    end, ended, closed = store._file._end_call, threading.Event(), threading.Event()

    def late():
        ended.set()
        assert closed.wait(30)
        end()

    monkeypatch.setattr(store._file, "_end_call", late)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(store.get, "k", "x")
        assert ended.wait(30)
        store.close()
        assert 1 == len(store._file._open)
        closed.set()
        assert read.result() is None
    assert {} == store._file._open


def test_processes_that_make_the_store_at_once(tmp_path):
    """Of several processes that write to a store that isn't there, all succeed."""
    code = """
for number in range(10):
    file = path / f"{number}" / "store.db"
    reader, writer = os.pipe()
    def first(name):
        os.close(writer)
        os.read(reader, 1)
        store = SqliteStore(file)
        outcome = append(store, 1, history=name)
        assert outcome.ok, outcome
        store.close()
    pids = [child(lambda name=name: first(name)) for name in "abcd"]
    os.close(reader)
    os.close(writer)
    ends(pids)
    store = SqliteStore(file)
    assert [1] * 4 == [len(list(store.read(name))) for name in "abcd"]
    store.close()
"""
    script(code, tmp_path)


def test_threads_that_make_the_store_at_once(tmp_path):
    """Of several threads that write to a store that isn't there, all succeed."""
    for number in range(10):
        store = SqliteStore(tmp_path / f"{number}.db")
        barrier = threading.Barrier(4)

        def first(history, store=store, barrier=barrier):
            barrier.wait()
            return append(store, 1, history)

        with ThreadPoolExecutor(4) as pool:
            assert [Appended()] * 4 == list(pool.map(first, "abcd"))
        store.close()


@pytest.mark.skipif(not FDS.is_dir(), reason="needs /proc")
def test_a_lost_race_to_make_the_file_opens_no_second_time(tmp_path):
    """Who finds the file made by another thread never opens and closes it beside SQLite.

    POSIX locks end when any descriptor of the file is closed, so it would take the other thread's locks.
    """
    code = """
import threading
opened = []
def watch(event, arguments):
    if event == "open" and str(arguments[0]) == str(path) and os.path.exists(path):
        opened.append(arguments)
sys.addaudithook(watch)
barrier = threading.Barrier(4)
def first(name):
    store = stores[number]
    barrier.wait()
    assert append(store, 1, history=name).ok
for number in range(20):
    path = Path(sys.argv[1]) / f"{number}.db"
    stores = {number: SqliteStore(path)}
    threads = [threading.Thread(target=first, args=(name,)) for name in "abcd"]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    stores[number].close()
print([flags for _, _, flags in opened if not flags & os.O_EXCL])
"""
    assert "[]\n" == script(code, tmp_path)


def test_processes_race_for_positions(tmp_path):
    """Of several processes that append to one history, each position goes to one; the history is dense."""
    path = tmp_path / "store.db"
    code = """
def race(name):
    store = SqliteStore(path)
    won = position = 0
    while won < 50:
        position = max([position, *(commit.position for commit in store.read("h", position))])
        outcome = append(store, position + 1, f"{name}-{position + 1}")
        assert outcome.error is None, outcome
        if outcome.ok:
            won += 1
            os.write(1, f"{name}-{position + 1}\\n".encode())  # One write: lines of two do not mix.
    store.close()
ends([child(lambda name=name: race(name)) for name in "abcd"])
"""
    acknowledged = script(code, path).split()
    with contextlib.closing(SqliteStore(path)) as store:
        commits = list(store.read("h"))
    assert list(range(1, 201)) == [commit.position for commit in commits]
    assert sorted(acknowledged) == sorted(commit.id for commit in commits)


def test_fork(tmp_path):
    """A forked child opens its own connections, and the parent's goes on; a grandchild likewise."""
    path = tmp_path / "store.db"
    code = """
import gc, sqlite3
def connections():
    gc.collect()
    return sum(type(found) is sqlite3.Connection for found in gc.get_objects())
store = SqliteStore(path)
assert append(store, 1).ok
def grandchild():
    outcome = append(store, 3)
    assert outcome.ok, outcome
    print("grandchild", connections())
def first():
    outcome = append(store, 2)
    assert outcome.ok, outcome
    print("child", connections())
    sys.stdout.flush()
    ends([child(grandchild)])
    assert append(store, 4).ok
    store.close()
ends([child(first)])
assert append(store, 5).ok
print([commit.position for commit in store.read("h")])
store.close()
"""
    # A fork finds the file closed, so that nothing is inherited.
    assert "child 1\ngrandchild 1\n[1, 2, 3, 4, 5]\n" == script(code, path)


def test_a_fork_during_a_checkpoint(tmp_path):
    """A child that was forked while a checkpoint ran does not keep its lock."""
    pytest.importorskip("fcntl")
    path = tmp_path / "store.db"
    code = """
store = SqliteStore(path)
for position in range(1, 51):
    assert append(store, position, body="x" * 1000).ok
reader, writer = os.pipe()
def wait():
    os.close(writer)
    os.read(reader, 1)
with store._file._checkpoint_lock() as mine:
    assert mine
    pid = child(wait)
for position in range(51, 101):
    assert append(store, position, body="x" * 1000).ok
before = path.stat().st_size
store.checkpoint()
print(before < path.stat().st_size)
os.close(writer)
ends([pid])
"""
    assert "True\n" == script(code, path)


def test_killed_while_writing(tmp_path):
    """What a process was told is durable is there after kill -9, and the history is dense."""
    path = tmp_path / "store.db"
    code = """
store = SqliteStore(path)
position = sum(1 for _ in store.read("h"))
while True:
    position += 1
    assert append(store, position, document=Put("k", "x", {"n": position})).ok
    print(position, flush=True)
"""
    last = 0
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", PRELUDE + code, path], stdout=subprocess.PIPE, text=True
        ) as process:
            for line in process.stdout:
                if int(line) >= last + 100:
                    break
            process.send_signal(signal.SIGKILL)
            last = max([int(line), *map(int, process.stdout.read().split())])
        with contextlib.closing(SqliteStore(path)) as store:
            positions = [commit.position for commit in store.read("h")]
            assert list(range(1, len(positions) + 1)) == positions
            assert len(positions) in (last, last + 1)
            assert {"n": len(positions)} == store.get("k", "x").value
        last = len(positions)


def test_interrupted_inside_a_transaction(store):
    """An exception within a batch, such as Ctrl-C, leaves neither a part of it nor the write lock."""
    fill(store, 1)

    class Interrupting(dict):
        def items(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.append(
            [
                Append("a", Commit(1, "a", "{}")),
                Append("b", Commit(1, "b", "{}"), Put("k", "x", Interrupting(a=1))),
            ]
        )
    assert [[], []] == [list(store.read("a")), list(store.read("b"))]
    with contextlib.closing(SqliteStore(store.path, lock_timeout=0)) as other:
        assert append(other, 1, "a").ok


@pytest.mark.parametrize("replace", [False, True])
def test_a_file_that_is_taken_away_is_missed(tmp_path, replace):
    """What would be written to a file that nobody can find any more is an error, for good."""
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    store.put("k", "x", {})
    for file in tmp_path.glob("store.db*"):
        file.rename(tmp_path / f"gone-{file.name}")
    if replace:
        other = SqliteStore(path)
        other.put("k", "y", {})
        other.close()
    said = "replaced" if replace else "removed"
    for _ in range(2):
        (outcome,) = store.append([Append("h", Commit(1, "a", "{}"))])
        assert outcome.error is not None
        assert f"was {said} while it was in use" in str(outcome.error)
        with pytest.raises(StoreError, match=said):
            store.get("k", "x")
    store.close()
