"""A store whose bytes changed on the disk: detected or unaffected, never a wrong state."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

import bunsui
from bunsui.errors import BunsuiError

#: How many bytes are flipped and ends cut off.
FLIPS, CUTS = (5000, 500) if os.environ.get("BUNSUI_FAULTS") == "full" else (200, 50)
SEED = int(os.environ.get("BUNSUI_SEED", "0"))


def job() -> str:
    return "done"


def pipelines() -> list[bunsui.Pipeline]:
    return [
        bunsui.Pipeline(
            name=f"p{i}",
            jobs=[
                bunsui.Job.from_callable(job, id="x"),
                bunsui.Job.from_callable(job, id="y", depends_on=["x"]),
            ],
        )
        for i in range(4)
    ]


@frozen
class View:
    """What a store says: the listing by session, and each session's state and facts."""

    listed: dict[str, tuple[Any, ...]]
    states: dict[str, Any]
    events: dict[str, list[Any]]


def view(path: Path, ids: list[str] | None = None) -> View:
    """Reads all that there is; a session that can't be read is left out of the view."""
    found = View({}, {}, {})
    with bunsui.Runner(f"sqlite:///{path}", autoload_plugins=False) as runner:
        try:
            for one in runner.sessions():
                found.listed[one.session_id] = (one.pipeline, one.status, one.created_at, one.jobs)
        except BunsuiError:
            if ids is None:
                raise
        for session_id in ids or found.listed:
            try:
                session = runner.session(session_id)
                events, state = list(session.events()), session.state
            except BunsuiError:
                if ids is None:
                    raise
            else:
                found.events[session_id] = events
                found.states[session_id] = (state, session.definition)
    return found


@pytest.fixture
def folder() -> Iterator[Path]:
    """Without a disk where there is one: what is looked for is not there."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


def closed_store(folder: Path) -> Path:
    """A store of four sessions, all of it in one file."""
    path = folder / "store.db"
    with bunsui.Runner(f"sqlite:///{path}", autoload_plugins=False) as runner:
        for pipeline in pipelines():
            assert "succeeded" == runner.run(pipeline).status
    assert ["store.db"] == [file.name for file in folder.iterdir() if file.suffix == ".db"]
    assert not path.with_name("store.db-wal").exists()
    return path


def agrees(found: View, expected: View) -> None:
    """All that is shown is what was written."""
    for session_id, entry in found.listed.items():
        assert expected.listed[session_id] == entry
    for session_id, state in found.states.items():
        assert expected.states[session_id] == state
        assert expected.events[session_id] == found.events[session_id]


def check(folder: Path, content: bytes, expected: View) -> bool:
    """Whether a store of this content was found to be damaged; it shows nothing that is wrong."""
    path = folder / "damaged.db"
    for left in folder.glob("damaged.db*"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    path.write_bytes(content)
    try:
        found = view(path, list(expected.states))
    except BunsuiError:
        assert path.read_bytes() == content, "a refused open changed the file"
        return True
    agrees(found, expected)
    return found != expected


def test_flipped_bits(folder: Path) -> None:
    """Of a bit that was flipped anywhere in the file, nothing wrong is shown."""
    path = closed_store(folder)
    expected, content = view(path), path.read_bytes()
    drawn = random.Random(SEED)
    detected = 0
    for _ in range(FLIPS):
        offset, bit = drawn.randrange(len(content)), drawn.randrange(8)
        changed = bytearray(content)
        changed[offset] ^= 1 << bit
        try:
            detected += check(folder, bytes(changed), expected)
        except BaseException:
            print(f"bit {bit} of byte {offset}, seed {SEED}")
            raise
    # Most of the file is free room; were nothing found, nothing would have been looked at.
    assert detected > FLIPS / 10


def test_files_cut_short(folder: Path) -> None:
    """Of a file that lost its end, nothing wrong is shown."""
    path = closed_store(folder)
    expected, content = view(path), path.read_bytes()
    drawn = random.Random(SEED)
    # An empty file is an empty store: there is nothing to tell it by.
    cuts = [drawn.randrange(1, len(content)) for _ in range(CUTS)]
    assert [True] * CUTS == [check(folder, content[:length], expected) for length in cuts]


def test_damage_in_the_log(folder: Path) -> None:
    """SQLite takes it for the log's end: facts may be missing at the end of a history, and none is wrong."""
    store = folder / "store.db"
    files: dict[str, bytes] = {}
    with bunsui.Runner(f"sqlite:///{store}", autoload_plugins=False) as runner:
        for pipeline in pipelines():
            assert "succeeded" == runner.run(pipeline).status
        # As a process that is killed leaves it.
        files = {file.name: file.read_bytes() for file in folder.iterdir() if file.name in WRITTEN}
    expected = view(store)
    log = files["store.db-wal"]
    assert len(log) > 32 * 1024
    drawn = random.Random(SEED)
    shorter = 0
    for _ in range(FLIPS):
        for left in folder.glob("store.db*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        changed = bytearray(log)
        changed[drawn.randrange(len(log))] ^= 1 << drawn.randrange(8)
        store.write_bytes(files["store.db"])
        store.with_name("store.db-wal").write_bytes(changed)
        try:
            found = view(store, list(expected.states))
        except BunsuiError:
            shorter += 1
            continue
        for session_id, events in found.events.items():
            assert expected.events[session_id][: len(events)] == events
        shorter += found != expected
    assert shorter > FLIPS / 10


WRITTEN = {"store.db", "store.db-wal"}


def test_the_check_would_notice_a_wrong_state(folder: Path) -> None:
    """The broken twin: another output in a place that is shown fails the check."""
    expected = view(closed_store(folder))
    session_id = next(iter(expected.states))
    wrong = View(expected.listed, {**expected.states, session_id: ("other", None)}, expected.events)
    agrees(expected, expected)
    with pytest.raises(AssertionError):
        agrees(wrong, expected)
    with pytest.raises(AssertionError):
        agrees(View({session_id: ("other",)}, {}, {}), expected)
