"""Files of large outputs: whole or not there, checked each time, each session's in a folder of its own."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bunsui.errors import JobError, NotFound, StoreError
from bunsui.model.artifact import Artifact, owner
from bunsui.model.json import Json
from bunsui.runner.attempts import artifacts as module
from bunsui.runner.attempts.artifact_folder import FolderArtifacts
from bunsui.runner.attempts.artifacts import TooLarge
from bunsui.runner.attempts.keeping import Keeping, Unkept
from bunsui.runner.clock import SystemClock

TEXT = '"' + "x" * 50_000 + '"'
WHOSE = "job 'load'"


@pytest.fixture
def artifacts(tmp_path: Path) -> FolderArtifacts:
    """A place that does not exist yet."""
    return FolderArtifacts(tmp_path / "deep" / "store.db-artifacts")


def files(artifacts: FolderArtifacts, session: str = "s1") -> list[str]:
    """The names of a session's files."""
    return sorted(path.name for path in artifacts.session_folder(session).iterdir())


def mode(path: Path) -> int:
    """Who may do what with it."""
    return stat.S_IMODE(path.stat().st_mode)


class TestThereAndBack:
    """What was put is what is got."""

    @settings(max_examples=30, deadline=None)
    @given(parts=st.lists(st.text(st.characters(max_codepoint=127), max_size=50), max_size=5))
    def test_any_text(self, tmp_path_factory: pytest.TempPathFactory, parts: list[str]) -> None:
        """As a whole or in parts, under the SHA-256 of all of it."""
        artifacts = FolderArtifacts(tmp_path_factory.mktemp("any"))
        text = "".join(parts)
        put = artifacts.put("s1", iter(parts), WHOSE)

        assert put == artifacts.put("s1", text, WHOSE)
        assert (hashlib.sha256(text.encode()).hexdigest(), len(text)) == (put.sha256, put.size)
        assert (text, text) == (put.text, artifacts.get("s1", Artifact(put.sha256, put.size)))

    def test_a_default_umask_does_not_open_it(self, artifacts: FolderArtifacts) -> None:
        """0600 in 0700, as the store."""
        before = os.umask(0)
        try:
            put = artifacts.put("s1", TEXT, WHOSE)
        finally:
            os.umask(before)
        path = artifacts.path("s1", put)
        assert (0o600, 0o700, 0o700) == (mode(path), mode(path.parent), mode(artifacts.folder))

    def test_nothing_but_the_file_is_left(self, artifacts: FolderArtifacts) -> None:
        """No file that was being written; the same content twice is one file."""
        put = artifacts.put("s1", TEXT, WHOSE)
        artifacts.put("s1", TEXT, WHOSE)
        assert [put.sha256] == files(artifacts)

    def test_writing_again_mends(self, artifacts: FolderArtifacts) -> None:
        """A file of that name that is damaged does not stand for the content."""
        put = artifacts.put("s1", TEXT, WHOSE)
        artifacts.path("s1", put).write_text("x" * len(TEXT))
        assert TEXT == artifacts.put("s1", TEXT, WHOSE).text == put.text

    def test_more_than_the_most(self, artifacts: FolderArtifacts, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is refused while it is written, and nothing of it stays."""
        monkeypatch.setattr(module, "MAX_ARTIFACT", 100)
        with pytest.raises(TooLarge):
            artifacts.put("s1", ("x" * 30 for _ in range(1 << 60)), WHOSE)
        assert [] == files(artifacts)
        assert 100 == artifacts.put("s1", "x" * 100, WHOSE).size

    @pytest.mark.parametrize("session", ["", ".", "..", "a/b", "/etc", "a\0", "a\n", "é", "x" * 129])
    def test_no_path_is_made_of_what_is_no_id(self, artifacts: FolderArtifacts, session: str) -> None:
        """Nothing leaves the folder."""
        for call in (artifacts.session_folder, artifacts.tidy, lambda s: artifacts.put(s, TEXT, WHOSE)):
            with pytest.raises(ValueError, match="no id of a session"):
                call(session)

    @pytest.mark.parametrize(
        "digest", ["", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n", 3]
    )
    def test_no_path_is_made_of_what_is_no_digest(self, digest: str) -> None:
        """Nor from a history that somebody has written by hand."""
        with pytest.raises(ValueError, match="no SHA-256"):
            Artifact(digest, 1)


class TestGoneAndDamaged:
    """What can't be had is named."""

    def test_gone(self, artifacts: FolderArtifacts) -> None:
        """NotFound says whose it is, in which session, and which file."""
        put = artifacts.put("s1", TEXT, WHOSE)
        path = artifacts.path("s1", put)
        path.unlink()
        with pytest.raises(NotFound) as caught:
            put.text  # noqa: B018 - reading is the act
        assert (
            f"the output of job 'load' in session s1 is gone: there is no file {path}" == caught.value.message
        )
        assert ("artifact", str(path)) == (caught.value.kind, caught.value.name)

    def test_the_whole_folder_is_gone(self, artifacts: FolderArtifacts) -> None:
        """Likewise."""
        put = artifacts.put("s1", TEXT, WHOSE)
        shutil.rmtree(artifacts.session_folder("s1"))
        with pytest.raises(NotFound):
            put.text  # noqa: B018

    @pytest.mark.parametrize(
        "damage",
        [
            lambda data: data[:-1],
            lambda data: data + b" ",
            lambda data: b"",
            *(
                lambda data, i=i, bit=bit: data[:i] + bytes([data[i] ^ (1 << bit)]) + data[i + 1 :]
                for i, bit in ((0, 0), (100, 3), (49_999, 7), (50_001, 1))
            ),
        ],
    )
    def test_damaged(self, artifacts: FolderArtifacts, damage: object) -> None:
        """Any other byte, or length, is a StoreError that names the file and says what to do."""
        put = artifacts.put("s1", TEXT, WHOSE)
        path = artifacts.path("s1", put)
        path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
        with pytest.raises(StoreError, match=r"job 'load' in session s1 is damaged: .*restore it") as caught:
            put.text  # noqa: B018
        assert caught.value.lasting
        assert str(path) in str(caught.value)

    def test_what_is_no_file_is_not_followed_or_waited_for(
        self, artifacts: FolderArtifacts, tmp_path: Path
    ) -> None:
        """A link, a folder, a pipe that nobody writes to."""
        put = artifacts.put("s1", TEXT, WHOSE)
        path = artifacts.path("s1", put)
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(StoreError, match="can't be read"):
            put.text  # noqa: B018
        path.unlink()
        path.mkdir()
        with pytest.raises(StoreError, match="is damaged"):
            put.text  # noqa: B018
        path.rmdir()
        os.mkfifo(path)
        with pytest.raises(StoreError, match="is damaged"):
            put.text  # noqa: B018

    def test_nobody_said_where_it_lies(self) -> None:
        """An artifact without a way to it says so."""
        with pytest.raises(StoreError, match=r"item 3 of job 'a' is an artifact.*artifacts="):
            Artifact("a" * 64, 3, owner("a", 3)).value  # noqa: B018


class TestAdoption:
    """One session's artifact becomes another's, too."""

    def test_each_has_its_own_name_for_it(self, artifacts: FolderArtifacts) -> None:
        """It takes no further room, and outlives the session that it came from."""
        put = artifacts.put("s1", TEXT, WHOSE)
        adopted = artifacts.adopt(put, "s1", "s2", WHOSE)
        assert artifacts.path("s1", put).stat().st_ino == artifacts.path("s2", put).stat().st_ino
        assert adopted == artifacts.adopt(put, "s1", "s2", WHOSE)
        shutil.rmtree(artifacts.session_folder("s1"))
        assert (TEXT, [put.sha256]) == (adopted.text, files(artifacts, "s2"))

    def test_where_there_are_no_links_it_is_copied(
        self, artifacts: FolderArtifacts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another file system, for example."""

        def refused(*_: object, **__: object) -> None:
            raise OSError(18, "Invalid cross-device link")

        monkeypatch.setattr(os, "link", refused)
        put = artifacts.put("s1", TEXT, WHOSE)
        adopted = artifacts.adopt(put, "s1", "s2", WHOSE)
        assert artifacts.path("s1", put).stat().st_ino != artifacts.path("s2", put).stat().st_ino
        assert (TEXT, [put.sha256]) == (adopted.text, files(artifacts, "s2"))

    def test_what_is_broken_is_not_taken_over(self, artifacts: FolderArtifacts) -> None:
        """Gone or damaged, it is found out now, and named."""
        put = artifacts.put("s1", TEXT, WHOSE)
        artifacts.path("s1", put).write_text("x" * len(TEXT))
        with pytest.raises(StoreError, match="session s1 is damaged"):
            artifacts.adopt(put, "s1", "s2", WHOSE)
        artifacts.path("s1", put).unlink()
        with pytest.raises(NotFound, match="session s1 is gone"):
            artifacts.adopt(put, "s1", "s2", WHOSE)
        assert not artifacts.session_folder("s2").exists()


class TestHousekeeping:
    """What is left behind."""

    def test_what_a_dead_process_was_writing(self, artifacts: FolderArtifacts) -> None:
        """It never counts, and is removed by whoever has the session next."""
        code = f"""
import os, signal
from pathlib import Path
from bunsui.runner.attempts.artifact_folder import FolderArtifacts
def parts():
    yield "x" * 100_000
    os.kill(os.getpid(), signal.SIGKILL)
FolderArtifacts(Path({str(artifacts.folder)!r})).put("s1", parts(), "job 'a'")
"""
        put = artifacts.put("s1", TEXT, WHOSE)
        done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
        assert -signal.SIGKILL == done.returncode
        assert 2 == len(files(artifacts))
        artifacts.tidy("s1")
        assert ([put.sha256], TEXT) == (files(artifacts), put.text)
        artifacts.tidy("s9")

    def test_what_this_runner_writes_is_not_tidied_away(self, artifacts: FolderArtifacts) -> None:
        """A takeover tidies up when its driver may write already; what another runner began goes."""
        other = FolderArtifacts(artifacts.folder)

        def parts() -> Iterator[str]:
            yield '"'
            artifacts.tidy("s1")
            yield '"'

        assert '""' == artifacts.put("s1", parts(), "a").text
        writing = iter(parts())
        with pytest.raises(FileNotFoundError):
            other.put("s1", writing, "a")


class Fails(FolderArtifacts):
    """A disk that fails so many times."""

    def __init__(self, folder: Path, times: int) -> None:
        super().__init__(folder)
        self.left = times

    def put(self, *arguments: object) -> Artifact:  # type: ignore[override]
        """See `Artifacts.put`."""
        self.left -= 1
        if self.left >= 0:
            raise OSError(28, "No space left on device", "file")
        return super().put(*arguments)  # type: ignore[arg-type]

    def adopt(self, *arguments: object) -> Artifact:  # type: ignore[override]
        """See `Artifacts.adopt`."""
        self.left -= 1
        if self.left >= 0:
            raise OSError(28, "No space left on device", "file")
        return super().adopt(*arguments)  # type: ignore[arg-type]


class Ticking(SystemClock):
    """Each look takes a tenth of a second."""

    def __init__(self) -> None:
        self.time = 0.0

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        self.time += 0.1
        return self.time


class TestKeeping:
    """From outputs to artifacts."""

    @pytest.fixture
    def given_up(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
        """Nobody waits for real."""
        event = threading.Event()
        monkeypatch.setattr(event, "wait", lambda timeout: timeout)
        return event

    def test_what_is_due(self, tmp_path: Path) -> None:
        """Exactly what has more bytes than the history takes; nothing, where there is no place for it."""
        keeping = Keeping(FolderArtifacts(tmp_path), SystemClock(), 1.0, 10)
        assert [False, False, True] == [keeping.is_due(Json("1" * size)) for size in (1, 10, 11)]
        assert [False, False] == [keeping.is_due(output) for output in (None, Artifact("a" * 64, 11))]
        assert not Keeping(None, SystemClock(), 1.0, 10).is_due(Json("1" * 11))

    def test_the_list_of_a_fan_out(self, tmp_path: Path) -> None:
        """It is JSON, of outputs in the history as of artifacts."""
        artifacts = FolderArtifacts(tmp_path)
        keeping = Keeping(artifacts, SystemClock(), 1.0)
        outputs = [Json("1"), artifacts.put("s1", '{"a":[]}', "x"), Json("null")]
        assert [1, {"a": []}, None] == keeping.gather("s1", "a", outputs, threading.Event()).value
        assert "[]" == keeping.gather("s1", "a", [], threading.Event()).text

    def test_a_disk_that_works_again(self, tmp_path: Path, given_up: threading.Event) -> None:
        """Nothing is lost as long as it does so within a lease."""
        keeping = Keeping(Fails(tmp_path, 3), Ticking(), 1.0)
        assert "1" == keeping.keep("s1", Json("1"), WHOSE, given_up).text

    def test_a_disk_that_does_not(self, tmp_path: Path, given_up: threading.Event) -> None:
        """After a lease it is said, with the place and a remedy."""
        keeping = Keeping(Fails(tmp_path, 10**6), Ticking(), 1.0)
        with pytest.raises(Unkept, match=r"job 'load' can't be written: file: No space left.*; make room"):
            keeping.keep("s1", Json("1"), WHOSE, given_up)

    def test_taking_over_waits_for_the_disk_as_well(self, tmp_path: Path, given_up: threading.Event) -> None:
        """For as long; then it is said, and what is gone is said at once."""
        failing = Fails(tmp_path, 0)
        kept = failing.put("s1", TEXT, WHOSE)
        failing.left = 3
        assert TEXT == Keeping(failing, Ticking(), 1.0).adopt(kept, "s1", "s2", WHOSE, given_up).text
        failing.left = 10**6
        with pytest.raises(Unkept, match=r"job 'load' can't be written: file: No space left.*; make room"):
            Keeping(failing, Ticking(), 1.0).adopt(kept, "s1", "s2", WHOSE, given_up)
        failing.left = 0
        with pytest.raises(NotFound):
            Keeping(failing, Ticking(), 1.0).adopt(kept, "s9", "s2", WHOSE, given_up)

    def test_nobody_wants_it_any_more(self, tmp_path: Path, given_up: threading.Event) -> None:
        """Then it is tried once."""
        failing = Fails(tmp_path, 10**6)
        given_up.set()
        with pytest.raises(Unkept):
            Keeping(failing, SystemClock(), 1e9).keep("s1", Json("1"), WHOSE, given_up)
        assert 10**6 - 1 == failing.left

    def test_too_large(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A job that returns that much fails for good."""
        monkeypatch.setattr(module, "MAX_ARTIFACT", 100)
        with pytest.raises(JobError, match="job 'load' has more than 100 bytes") as caught:
            Keeping(FolderArtifacts(tmp_path), SystemClock(), 1.0).keep(
                "s1", Json("1" * 101), WHOSE, threading.Event()
            )
        assert ("OutputTooLarge", False) == (caught.value.code, caught.value.retryable)
