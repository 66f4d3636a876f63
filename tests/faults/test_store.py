"""A store that can't be written, or not be read: said at once and clearly, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

#: Both jobs note that they ran; `b` waits for the file `go`.
JOBS = """
import pathlib, time
HERE = pathlib.Path(__file__).parent
def note(name):
    with open(HERE / "ran", "a") as ran:
        ran.write(name + "\\n")
def a():
    note("a")
def b():
    note("b")
    while not (HERE / "go").exists():
        time.sleep(0.01)
def c():
    note("c")
"""
DEFINITION = """
version: "1.0"
name: p
jobs:
  - {id: a, type: custom, callable: "jobs:a"}
  - {id: b, type: custom, callable: "jobs:b", depends_on: [a]}
  - {id: c, type: custom, callable: "jobs:c", depends_on: [b]}
"""
#: No test outlives this lease: who waits for it, fails.
PRELUDE = """
import os, signal, sqlite3, subprocess, sys, threading, time
from pathlib import Path
import bunsui
from bunsui.errors import BunsuiError, StoreError

place = Path(sys.argv[1])
path = place / "store" / "store.db"
work = place / "work"
ran = work / "ran"

def runner(lease=3600, **options):
    return bunsui.Runner(f"sqlite:///{path}", lease=lease, autoload_plugins=False, **options)

def pipeline():
    return bunsui.Pipeline.load(work / "p.yaml")

def fails(call):
    began = time.monotonic()
    try:
        call()
    except StoreError as error:
        assert time.monotonic() - began < 60, "that was not at once"
        print(error)
    else:
        raise AssertionError("no StoreError")

def snapshot():
    return {file.name: file.read_bytes() for file in path.parent.iterdir() if not file.name.endswith("-shm")}

def paused():
    # A session of which `a` and `b` have ended, in a store that is closed.
    with runner() as one:
        session = one.start(pipeline())
        while not ran.exists() or "b" not in ran.read_text():
            time.sleep(0.01)
        session.pause("later")
        (work / "go").touch()
        assert "paused" == session.wait(60)
    return session.id

def reading(id):
    with runner() as one:
        summary, = one.sessions()
        session = one.session(id)
        jobs = [f"{job}:{state.status}" for job, state in session.jobs.items()]
        print(summary.status, session.status, *jobs, len(list(session.events())) > 5)
"""
READ = "paused paused a:succeeded b:succeeded c:pending True\n"


def can_unshare() -> bool:
    """Whether a namespace with its own mounts can be had."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return False
    return 0 == subprocess.run([unshare, "-rm", "true"], capture_output=True, check=False).returncode


needs_mounts = pytest.mark.skipif(not can_unshare(), reason="needs `unshare -rm` for mounts of its own")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder, which every user can enter, with a definition in `work` and room for a store in `store`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for inner in ("store", "work"):
            (folder / inner).mkdir()
        (folder / "work" / "jobs.py").write_text(JOBS, encoding="utf-8")
        (folder / "work" / "p.yaml").write_text(DEFINITION, encoding="utf-8")
        yield folder


def script(place: Path, code: str, *, mounts: bool = False) -> str:
    """Runs `code` in a Python of its own, and returns what it printed."""
    done = subprocess.run(
        [*(["unshare", "-rm"] if mounts else []), sys.executable, "-c", PRELUDE + code, place],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "" == done.stderr
    return done.stdout


# Read-only


READ_ONLY = """
before = snapshot()
reading(id)
with runner() as one:
    fails(lambda: one.start(pipeline()))
    fails(lambda: one.resume(id))
    # Not "driven by this runner already": it has let go of it.
    fails(lambda: one.resume(id))
    fails(lambda: one.session(id).cancel())
    fails(lambda: one.create_pipeline(pipeline()))
assert before == snapshot()
"""


def refused(what: str) -> str:
    """What all five of `READ_ONLY` print."""
    line = (
        f"store {{path}} may only be read: {what} may not be written; "
        "run as a user who may write both, or name another store with --store or BUNSUI_STORE\n"
    )
    return READ + line * 5


@needs_mounts
@pytest.mark.parametrize("left", ["closed", "killed"])
def test_a_mount_that_may_only_be_read(place: Path, left: str) -> None:
    """Sessions can be listed and read, also where a writer was killed; what would write fails at once."""
    code = """
id = paused()
if {killed}:
    # Who leaves so, leaves the log and its -shm behind.
    if os.fork() == 0:
        one = runner()
        one.store.put("other", "x", {{}})
        os._exit(0)
    os.wait()
    assert path.with_name("store.db-wal").stat().st_size
subprocess.run(["mount", "--bind", path.parent, path.parent], check=True)
subprocess.run(["mount", "-o", "remount,ro,bind", path.parent], check=True)
""".format(killed=left == "killed")
    expected = refused("the file").format(path=place / "store" / "store.db")
    assert expected == script(place, code + READ_ONLY, mounts=True)


@needs_mounts
def test_a_log_that_only_a_writer_can_read(place: Path) -> None:
    """Without its -shm, the log of a writer that died can't be read: said so, rather than left out."""
    code = """
id = paused()
if os.fork() == 0:
    runner().store.put("other", "x", {})
    os._exit(0)
os.wait()
path.with_name("store.db-shm").unlink()
subprocess.run(["mount", "--bind", path.parent, path.parent], check=True)
subprocess.run(["mount", "-o", "remount,ro,bind", path.parent], check=True)
before = snapshot()
fails(lambda: reading(id))
assert before == snapshot()
"""
    assert (
        f"store {place / 'store' / 'store.db'} may only be read, and a part of it is still in store.db-wal; "
        "open it once as a user who may write the file and its folder, such as with 'bunsui session list'\n"
    ) == script(place, code, mounts=True)


@pytest.mark.parametrize("what", ["the file", "its folder"])
def test_a_file_or_folder_that_may_only_be_read(place: Path, what: str) -> None:
    """Of another user: as on such a mount, and the reader leaves nothing that could keep the owner out."""
    if os.geteuid() != 0:
        pytest.skip("needs another user; only root can be one")
    code = f"""
id = paused()
path.parent.chmod({'0o777' if what == 'the file' else '0o755'})
path.chmod({'0o644' if what == 'the file' else '0o666'})
import atexit, importlib, pkgutil
# The other user may not be able to read the source: it can lie in a folder that is root's alone.
for module in pkgutil.walk_packages(bunsui.runner.__path__, "bunsui.runner."):
    importlib.import_module(module.name)
atexit.register(os.seteuid, 0)
os.seteuid(65534)
"""
    expected = refused(what).format(path=place / "store" / "store.db")
    assert expected == script(place, code + READ_ONLY)


@needs_mounts
def test_a_store_that_becomes_writable_again(place: Path) -> None:
    """One that was opened while it could only be read goes on when it may be written."""
    code = """
id = paused()
subprocess.run(["mount", "--bind", path.parent, path.parent], check=True)
subprocess.run(["mount", "-o", "remount,ro,bind", path.parent], check=True)
with runner() as one:
    fails(lambda: one.resume(id))
    subprocess.run(["mount", "-o", "remount,rw,bind", path.parent], check=True)
    print(one.resume(id).status)
print(*ran.read_text().split())
"""
    assert script(place, code, mounts=True).endswith("\nsucceeded\na b c\n")


# On a network


@needs_mounts
def test_a_network_file_system(place: Path) -> None:
    """Refused when it is opened, whether there is a store or not; nothing is made and nothing changed."""
    code = """
id = paused()
before = snapshot()
fake = place / "mountinfo"
fake.write_text(
    "22 1 259:2 / / rw - ext4 /dev/root rw\\n"
    f"30 22 0:5 / {place} rw - nfs4 server:/export rw\\n"
)
subprocess.run(["mount", "--bind", fake, f"/proc/{os.getpid()}/mountinfo"], check=True)
fails(runner)
assert before == snapshot()
path = place / "none" / "store.db"
fails(runner)
assert not path.parent.exists()
"""
    line = (
        f"store {place}/{{name}}/store.db lies on {place}, a network file system (nfs4), where SQLite can"
        " damage it; name a file on a disk of this machine with --store or BUNSUI_STORE\n"
    )
    assert line.format(name="store") + line.format(name="none") == script(place, code, mounts=True)


# Full


SMALL_DISK = """
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", path.parent], check=True)
def fill_up():
    try:
        with (path.parent / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(1000))
    except OSError:
        pass
def free():
    (path.parent / "filler").unlink()
"""


@needs_mounts
def test_starting_and_resuming_on_a_full_disk(place: Path) -> None:
    """Both fail at once, not after a lease; nothing ran, and with space both work."""
    code = f"""{SMALL_DISK}
id = paused()
with runner() as one:
    fill_up()
    fails(lambda: one.start(pipeline()))
    fails(lambda: one.resume(id))
    fails(lambda: one.resume(id))
    reading(id)
    assert ["a", "b"] == ran.read_text().split()
    free()
    print(one.resume(id).status, one.run(pipeline()).status, len(one.sessions()))
"""
    line = f"store {place / 'store' / 'store.db'}: database or disk is full; free some space"
    resumable = f"{line}; the session can be resumed\n" * 2
    # What could not be started is no session.
    assert f"{line}\n{resumable}{READ}succeeded succeeded 2\n" == script(place, code, mounts=True)


@needs_mounts
def test_a_disk_that_becomes_full(place: Path) -> None:
    """Nothing starts; after one lease StoreError; with space the session is resumed"""
    code = f"""{SMALL_DISK}
with runner(lease=1) as one:
    session = one.start(pipeline())
    while not ran.exists() or "b" not in ran.read_text():
        time.sleep(0.01)
    fill_up()
    (work / "go").touch()
    fails(lambda: session.wait(60))
    assert ["a", "b"] == ran.read_text().split()
free()
with runner() as other:
    print(other.resume(session.id).status)
print(*ran.read_text().split())
"""
    printed = script(place, code, mounts=True)
    assert "database or disk is full; free some space; the session can be resumed\nsucceeded\n" in printed
    # `b` ended when that could not be written down: it runs again.
    assert printed.endswith(("\na b c\n", "\na b b c\n"))


@needs_mounts
def test_a_disk_that_is_full_for_a_moment(place: Path) -> None:
    """Less than a lease: the results are kept, and the session ends as if nothing had been."""
    code = f"""{SMALL_DISK}
with runner() as one:
    session = one.start(pipeline())
    while not ran.exists() or "b" not in ran.read_text():
        time.sleep(0.01)
    fill_up()
    (work / "go").touch()
    time.sleep(1.2)
    assert ["a", "b"] == ran.read_text().split()
    free()
    print(session.wait(60), *ran.read_text().split())
"""
    assert "succeeded a b c\n" == script(place, code, mounts=True)


# Locked


LOCK = """
def lock(mode="BEGIN EXCLUSIVE"):
    # In a process of its own, until its input ends.
    code = f'''
import sqlite3, sys
connection = sqlite3.connect({str(path)!r}, isolation_level=None)
for statement in {mode!r}.split(";"):
    connection.execute(statement)
print("locked", flush=True)
sys.stdin.read()
'''
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "locked\\n"
    return holder
def unlock(holder):
    holder.communicate()
    assert holder.returncode == 0
"""


def test_starting_and_resuming_while_locked(place: Path) -> None:
    """Another process holds the write lock longer than a part of the lease: StoreError; then both work."""
    code = f"""{LOCK}
id = paused()
holder = lock()
with runner(lease=1) as one:
    fails(lambda: one.start(pipeline()))
    fails(lambda: one.resume(id))
    reading(id)
    unlock(holder)
with runner(lease=60) as one:
    print(one.resume(id).status, one.run(pipeline()).status, len(one.sessions()))
"""
    line = (
        f"store {place / 'store' / 'store.db'}: database is locked; "
        "another process has been writing to it for too long; try again\n"
    )
    assert f"{line * 2}{READ}succeeded succeeded 2\n" == script(place, code)


def test_locked_for_a_moment(place: Path) -> None:
    """The driver waits a little, tries again, and the session ends as if nothing had been."""
    code = f"""{LOCK}
from bunsui.stores.sqlite import SqliteStore
with bunsui.Runner(SqliteStore(path, lock_timeout=0.2), lease=3600, autoload_plugins=False) as one:
    session = one.start(pipeline())
    while not ran.exists() or "b" not in ran.read_text():
        time.sleep(0.01)
    holder = lock()
    (work / "go").touch()
    time.sleep(1.5)
    assert ["a", "b"] == ran.read_text().split()
    unlock(holder)
    print(session.wait(60), *ran.read_text().split())
"""
    assert "succeeded a b c\n" == script(place, code)


def test_locked_against_reading(place: Path) -> None:
    """A program that locks the file for itself alone is told of, and the file stays as it is."""
    code = f"""{LOCK}
id = paused()
holder = lock("PRAGMA locking_mode = EXCLUSIVE;BEGIN EXCLUSIVE;DELETE FROM documents WHERE 0;COMMIT")
before = path.read_bytes()
fails(lambda: bunsui.Runner(f"sqlite:///{{path}}", lease=1, autoload_plugins=False))
assert before == path.read_bytes()
unlock(holder)
reading(id)
"""
    printed = script(place, code)
    assert printed.startswith(f"store {place / 'store' / 'store.db'}: database is locked; another process")
    assert printed.endswith(READ)


@needs_mounts
def test_a_large_output_on_a_full_disk(place: Path) -> None:
    """Nothing of it counts; once there is room, within a lease, it is kept, and its job ran once."""
    code = f"""{SMALL_DISK}
import threading, time
from bunsui import Job, Pipeline
calls = []
def big():
    calls.append(1)
    fill_up()
    return "x" * 300_000
with runner() as one:
    session = one.start(Pipeline(name="big", jobs=[Job.from_callable(big, id="big")]))
    while not calls:
        time.sleep(0.01)
    time.sleep(0.3)
    folder = path.parent / "store.db-artifacts"
    assert [] == [file for file in folder.rglob("*") if file.is_file() and len(file.name) == 64]
    print(session.jobs["big"].status)
    free()
    print(session.wait(30), len(session.outputs["big"]), len(calls), len(list(folder.rglob("*"))))
"""
    assert "running\nsucceeded 300000 1 2\n" == script(place, code, mounts=True)
