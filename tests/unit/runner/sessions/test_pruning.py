"""Removing sessions that ended: which, in which order, and what others see of it."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import bunsui
from bunsui.errors import ConfigError, Conflict, NotFound, StoreError
from bunsui.local.identity import this_process
from bunsui.ports.store import Store
from bunsui.runner.driving import requests
from bunsui.runner.sessions import index, pruning, reading
from bunsui.stores.memory import MemoryStore
from bunsui.stores.sqlite import SqliteStore


def noop() -> int:
    return 1


def fail() -> None:
    raise ValueError("no")


def pipeline(function=noop) -> bunsui.Pipeline:
    return bunsui.Pipeline(name="p", jobs=[bunsui.Job.from_callable(function, id="a")])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s.db"


@pytest.fixture
def runner(path: Path):
    with bunsui.Runner(f"sqlite:///{path}", autoload_plugins=False) as runner:
        yield runner


def aged(runner: bunsui.Runner, session: bunsui.Session, days: float) -> str:
    """The id of a session that now looks as if it had begun and ended `days` ago."""
    document = runner.store.get(index.KIND, session.id)
    at = (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    value = dict(document.value) | {"created_at": at, "started_at": at}
    if value["finished_at"] is not None:
        value["finished_at"] = at
    groups = ((index.ALL, at), (index.pipeline_group(value["pipeline"]), at))
    runner.store.put(index.KIND, session.id, value, groups=groups)
    return session.id


def left_by(runner: bunsui.Runner, session: str, path: Path) -> list[Path]:
    """A log of 10 bytes and an artifact of 7 that a session has left."""
    files = [Path(f"{path}-logs") / session / "a.1.log", Path(f"{path}-artifacts") / session / "deep" / "x"]
    for file, size in zip(files, (10, 7), strict=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * size)
    return files


def ids(runner: bunsui.Runner) -> set[str]:
    return {summary.session_id for summary in runner.sessions(limit=100)}


def test_old_sessions_go_with_all_that_they_left(runner, path) -> None:
    """Succeeded and failed ones that ended long enough ago; a younger one stays as it is."""
    old = [aged(runner, runner.run(pipeline(function)), days) for function, days in ((noop, 40), (fail, 31))]
    young = aged(runner, runner.run(pipeline()), 29)
    files = [left_by(runner, session, path) for session in (*old, young)]
    logs = sum(f.stat().st_size for session in old for f in runner.session(session).log_folder.iterdir())
    for each in (*old, young):
        runner.store.put(requests.KIND, f"r-{each}", {"session": each, "action": "pause", "epoch": 1})

    pruned = runner.prune("30d")

    assert old == [session.session_id for session in pruned.sessions]
    assert ["succeeded", "failed"] == [session.status for session in pruned.sessions]
    assert (logs, 14, (), False) == (pruned.log_bytes, pruned.artifact_bytes, pruned.kept, pruned.dry_run)
    assert {young} == ids(runner)
    assert [[False, False], [False, False], [True, True]] == [[f.exists() for f in each] for each in files]
    assert [f"r-{young}"] == [document.key for document in runner.store.find(requests.KIND)]
    assert [[], []] == [list(runner.store.read(session)) for session in old]
    assert {"a": 1} == runner.session(young).outputs
    for session in old:
        with pytest.raises(NotFound):
            runner.session(session)
    assert () == runner.prune("30d").sessions


def test_a_dry_run_says_the_same_and_changes_nothing(runner, path) -> None:
    """Not a file, not a document."""
    session = aged(runner, runner.run(pipeline()), 2)
    files = left_by(runner, session, path)
    token = runner.store.changed(None)

    would = runner.prune(86400, dry_run=True)

    assert token == runner.store.changed(token)
    assert all(file.exists() for file in files)
    done = runner.prune(timedelta(days=1))
    assert (True, False) == (would.dry_run, done.dry_run)
    assert (would.sessions, would.kept) == (done.sessions, done.kept)


def test_what_has_not_ended_stays(runner) -> None:
    """Paused, running and created sessions, however old."""
    for status in ("paused", "running", "created"):
        session = runner.run(pipeline())
        aged(runner, session, 1000)
        document = runner.store.get(index.KIND, session.id)
        value = dict(document.value) | {"status": status, "finished_at": None}
        at = value["created_at"]
        runner.store.put(index.KIND, session.id, value, groups=((index.ALL, at), ("pipeline:p", at)))

    assert ((), ()) == ((pruned := runner.prune("1s")).sessions, pruned.kept)
    assert 3 == len(ids(runner))


def test_one_that_began_long_ago_and_ended_just_now_stays(runner) -> None:
    """It is the end that counts."""
    session = runner.run(pipeline())
    aged(runner, session, 100)
    document = runner.store.get(index.KIND, session.id)
    ended = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    at = document.value["created_at"]
    value = dict(document.value) | {"finished_at": ended}
    runner.store.put(index.KIND, session.id, value, groups=((index.ALL, at),))

    assert () == runner.prune("30d").sessions


class Crash(BaseException):
    """The process is gone at this point."""


@pytest.mark.parametrize("at", range(6))
def test_cut_off_anywhere_the_next_one_completes_it(path, monkeypatch, at: int) -> None:
    """After each step that removes something, a session is listed and can be read, or is not there at all."""

    class Store(SqliteStore):
        left = 10**6

        def step(self):
            self.left -= 1
            if self.left < 0:
                raise Crash

        def delete(self, kind, key):
            self.step()
            super().delete(kind, key)

        def remove(self, history, document=None):
            self.step()
            super().remove(history, document)

    def removing(folder, remove=shutil.rmtree):
        store.step()
        remove(folder)

    with bunsui.Runner(store := Store(path), autoload_plugins=False) as runner:
        old = [aged(runner, runner.run(pipeline()), days) for days in (3, 2)]
        for session in old:
            left_by(runner, session, path)
        monkeypatch.setattr(shutil, "rmtree", removing)
        store.left = at
        with pytest.raises(Crash):
            runner.prune("1d")
        store.left = 10**6

        listed = ids(runner)
        assert all(runner.session(session).status == "succeeded" for session in listed)
        assert all(not list(store.read(session)) for session in set(old) - listed)
        # The process that pruned is gone.
        gone = dict(this_process()) | {"started": 1}
        runner.store.put(*pruning.LOCK, gone)
        assert listed == {session.session_id for session in runner.prune("1d").sessions}
        assert set() == ids(runner)
        assert [] == [*Path(f"{path}-logs").iterdir(), *Path(f"{path}-artifacts").iterdir()]
    store.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may remove everything")
def test_a_folder_that_may_not_be_removed_keeps_its_session(runner, path) -> None:
    """Its history stays too, the reason is told, and the others go."""
    stuck, free = (aged(runner, runner.run(pipeline()), days) for days in (3, 2))
    folder = left_by(runner, stuck, path)[0].parent
    folder.chmod(0o500)
    try:
        pruned = runner.prune("1d")
    finally:
        folder.chmod(0o700)
    assert [free] == [session.session_id for session in pruned.sessions]
    assert [(stuck, "Permission denied")] == [
        (kept.session_id, kept.reason.rpartition(": ")[2]) for kept in pruned.kept
    ]
    assert "succeeded" == runner.session(stuck).status


def test_a_link_in_a_folders_place_is_not_followed(runner, path, tmp_path) -> None:
    """What it leads to stays, and so does the session."""
    session = aged(runner, runner.run(pipeline()), 3)
    target = tmp_path / "precious"
    target.mkdir()
    (target / "file").touch()
    logs = Path(f"{path}-logs") / session
    logs.parent.mkdir(exist_ok=True)
    logs.symlink_to(target)

    pruned = runner.prune("1d")

    assert (target / "file").exists()
    assert [session] == [kept.session_id for kept in pruned.kept]


def test_an_entry_that_names_a_path_removes_nothing(runner, path, tmp_path) -> None:
    """The key of a damaged or hostile index entry never becomes a folder."""
    session = runner.run(pipeline())
    aged(runner, session, 3)
    document = runner.store.get(index.KIND, session.id)
    at = document.value["created_at"]
    (tmp_path / "precious").mkdir()
    runner.store.put(index.KIND, "../precious", document.value, groups=((index.ALL, at),))

    pruned = runner.prune("1d")

    assert ["../precious"] == [kept.session_id for kept in pruned.kept]
    assert (tmp_path / "precious").exists()


@pytest.mark.parametrize(
    "wrong",
    [0, -1, "0d", "soon", "30", "", "30d\n", True, None, float("nan"), float("inf"), timedelta(0), [1]],
)
def test_a_wrong_age_is_refused(runner, wrong) -> None:
    """Before anything is looked at, with examples."""
    with pytest.raises(
        ConfigError, match=r"it must be more than 0; a timedelta, seconds, or a text such as '30d'"
    ):
        runner.prune(wrong)


def test_an_age_before_all_times(runner) -> None:
    """Nothing is that old."""
    runner.run(pipeline())
    assert () == runner.prune("999999d").sessions


def test_one_at_a_time(runner) -> None:
    """Somebody who lives and prunes is not disturbed; one that is gone is."""
    session = aged(runner, runner.run(pipeline()), 3)
    runner.store.put(*pruning.LOCK, this_process())
    with pytest.raises(Conflict, match="somebody else prunes this store"):
        runner.prune("1d")
    assert {session} == ids(runner)
    assert 1 == len(runner.prune("1d", dry_run=True).sessions)

    runner.store.put(*pruning.LOCK, dict(this_process()) | {"started": 1})
    assert 1 == len(runner.prune("1d").sessions)
    assert runner.store.get(*pruning.LOCK) is None


def test_a_lock_that_was_lost_is_not_taken_for_ones_own(path, monkeypatch) -> None:
    """Whoever was stopped for so long that its lock expired ends, and leaves the lock of the next one there.

    That one's document may have the same version.
    """
    monkeypatch.setattr(pruning, "LOCK_RENEWED", -1.0)  # Renewed before each session.
    others = this_process() | {"token": "another's"}

    class Slow(SqliteStore):
        def remove(self, history, document=None):
            super().remove(history, document)
            version = self.get(*pruning.LOCK).version
            self.delete(*pruning.LOCK)
            for _ in range(version):
                self.put(*pruning.LOCK, others)

    with bunsui.Runner(store := Slow(path), autoload_plugins=False) as runner:
        _, second = (aged(runner, runner.run(pipeline()), days) for days in (3, 2))
        with pytest.raises(Conflict, match="somebody else prunes this store"):
            runner.prune("1d")
        assert ({second}, others) == (ids(runner), store.get(*pruning.LOCK).value)
    store.close()


def test_a_lock_that_expired_and_that_nobody_has_is_taken_again(path, monkeypatch) -> None:
    """The prune goes on, and gives it back."""
    monkeypatch.setattr(pruning, "LOCK_RENEWED", -1.0)

    class Slow(SqliteStore):
        def remove(self, history, document=None):
            super().remove(history, document)
            self.delete(*pruning.LOCK)

    with bunsui.Runner(store := Slow(path), autoload_plugins=False) as runner:
        for days in (3, 2):
            aged(runner, runner.run(pipeline()), days)
        assert 2 == len(runner.prune("1d").sessions)
        assert store.get(*pruning.LOCK) is None
    store.close()


def test_a_store_that_cannot_remove_is_left_alone(tmp_path) -> None:
    """A third party's store of eight methods: refused before a log is gone, dry or not."""

    class EightMethods(MemoryStore):
        find_prefix, remove = Store.find_prefix, Store.remove
        path = tmp_path / "s"

    with bunsui.Runner(EightMethods(), autoload_plugins=False) as runner:
        session = aged(runner, runner.run(pipeline()), 3)
        files = left_by(runner, session, tmp_path / "s")
        for dry_run in (True, False):
            with pytest.raises(StoreError, match="EightMethods can't remove sessions"):
                runner.prune("1d", dry_run=dry_run)
        assert all(file.exists() for file in files)
        assert {session} == ids(runner)


def test_the_same_key_starts_anew(runner) -> None:
    """A key that named a session which was removed names the next one."""
    session = runner.run(pipeline(), idempotency_key="k")
    first = session.created_at
    aged(runner, session, 3)
    runner.prune("1d")
    again = runner.run(pipeline(), idempotency_key="k")
    assert (session.id, True) == (again.id, again.created_at > first)
    assert {again.id} == ids(runner)


def test_who_watches_a_session_that_is_removed_is_told(path) -> None:
    """A handle that had not seen the end gets NotFound: no wrong state, and no waiting for ever."""
    with (
        bunsui.Runner(f"sqlite:///{path}", autoload_plugins=False) as runner,
        bunsui.Runner(f"sqlite:///{path}", autoload_plugins=False) as other,
    ):
        session = runner.run(pipeline())
        ended, watching = other.session(session.id), other.session(session.id)
        assert "succeeded" == ended.status
        # As if it had looked before the last commit.
        commits = [*reading.history(other.store, session.id)]
        for position, events in commits[:-1]:
            for event in events:
                watching._fold.apply(event)
            watching._position = position
        aged(runner, session, 3)
        runner.prune("1d")

        assert "succeeded" == ended.status
        for _ in range(2):
            with pytest.raises(NotFound, match=f"session {session.id} was removed"):
                watching.wait(timeout=60)
