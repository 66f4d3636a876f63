"""Secrets from environment variables and files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bunsui.errors import JobError
from bunsui.local.secret_sources import EnvironmentSource, FileSource
from bunsui.ports.secrets import SecretSource
from bunsui.testing import SecretSourceSuite
from bunsui_tests.held import leaves_nothing


class TestEnvironmentAsASource(SecretSourceSuite):
    """The environment keeps what every source has to keep."""

    known = ("BNS_TEST_SECRET", " hunter2-é\n")
    unknown = "BNS_TEST_NOT_SET"

    @pytest.fixture
    def source(self, monkeypatch: pytest.MonkeyPatch) -> EnvironmentSource:
        monkeypatch.setenv(*self.known)
        return EnvironmentSource()

    def change(self, source: SecretSource) -> str:
        os.environ["BNS_TEST_SECRET"] = "another"
        return "another"


class TestFilesAsASource(SecretSourceSuite):
    """Files keep what every source has to keep."""

    @pytest.fixture
    def source(self, tmp_path: Path) -> FileSource:
        self.path = tmp_path / "secret"
        self.path.write_text("hunter2-é \n\n")
        self.known = (str(self.path), "hunter2-é \n")
        self.unknown = str(tmp_path / "none")
        return FileSource()

    def change(self, source: SecretSource) -> str:
        self.path.write_text("another")
        return "another"


class TestEnvironment:
    def test_value(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A key is a variable, whose value is as it is."""
        monkeypatch.setenv("BNS_TEST_SECRET", " hunter2\n")
        assert " hunter2\n" == EnvironmentSource().get("BNS_TEST_SECRET")

    def test_read_when_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A variable is read when it is asked for, not before."""
        source = EnvironmentSource()
        monkeypatch.setenv("BNS_TEST_SECRET", "one")
        first = source.get("BNS_TEST_SECRET")
        monkeypatch.setenv("BNS_TEST_SECRET", "two")
        assert ("one", "two") == (first, source.get("BNS_TEST_SECRET"))

    @pytest.mark.parametrize("key", ["BNS_TEST_NOT_SET", "a=b", "a\0b"])
    def test_missing(self, key: str) -> None:
        """A variable that is not set is not there."""
        with pytest.raises(LookupError):
            EnvironmentSource().get(key)


class TestFile:
    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (b"hunter2", "hunter2"),
            (b"hunter2\n", "hunter2"),
            (b"hunter2\r\n", "hunter2"),
            (b"hunter2\n\n", "hunter2\n"),
            (b"hunter2\r", "hunter2\r"),
            (b"a\r\nb\n", "a\r\nb"),
            (b" \xc3\xa9 ", " é "),
            (b"\n", ""),
            (b"", ""),
        ],
    )
    def test_value(self, tmp_path: Path, content: bytes, expected: str) -> None:
        """The value is the file's text, without one line break at its end."""
        (tmp_path / "db").write_bytes(content)
        assert expected == FileSource().get(str(tmp_path / "db"))

    def test_read_when_asked(self, tmp_path: Path) -> None:
        """A file is read when it is asked for, not before."""
        source, file = FileSource(), tmp_path / "db"
        file.write_text("one")
        first = source.get(str(file))
        file.write_text("two")
        assert ("one", "two") == (first, source.get(str(file)))

    def test_home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """~ is the user's folder."""
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / "db").write_text("hunter2")
        assert "hunter2" == FileSource().get("~/db")

    def test_link(self, tmp_path: Path) -> None:
        """A link is followed: mounted secrets are links to their newest version."""
        (tmp_path / "v1").write_text("hunter2")
        (tmp_path / "db").symlink_to("v1")
        assert "hunter2" == FileSource().get(str(tmp_path / "db"))

    @pytest.mark.parametrize("key", ["nothing", "file/below", "~no-such-user-here/db", "a\0b"])
    def test_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
        """A file that does not exist is not there."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "file").touch()
        with pytest.raises(LookupError):
            FileSource().get(key)

    def test_largest(self, tmp_path: Path) -> None:
        """A file of 64 KiB is read."""
        (tmp_path / "db").write_bytes(b"x" * 64 * 1024)
        assert "x" * 64 * 1024 == FileSource().get(str(tmp_path / "db"))

    def test_too_large(self, tmp_path: Path) -> None:
        """A file of more than 64 KiB is refused."""
        (tmp_path / "db").write_bytes(b"x" * (64 * 1024 + 1))
        with pytest.raises(JobError) as caught:
            FileSource().get(str(tmp_path / "db"))
        assert ("FileTooLarge", False) == (type(caught.value).__name__, caught.value.retryable)

    def test_not_utf8(self, tmp_path: Path) -> None:
        """A file that is not UTF-8 is refused, and the error keeps nothing of it."""
        (tmp_path / "db").write_bytes(b"hunter2\xff")
        with pytest.raises(JobError) as caught:
            FileSource().get(str(tmp_path / "db"))
        error = caught.value
        assert ("FileNotUtf8", False, None, None) == (
            type(error).__name__,
            error.retryable,
            error.__cause__,
            error.__context__,
        )

    def test_fifo(self, tmp_path: Path) -> None:
        """A pipe is refused without waiting for somebody to write to it."""
        os.mkfifo(tmp_path / "db")
        with pytest.raises(JobError) as caught:
            FileSource().get(str(tmp_path / "db"))
        assert ("NotARegularFile", False) == (type(caught.value).__name__, caught.value.retryable)

    @pytest.mark.parametrize("key", [".", "/dev/null"])
    def test_not_a_file(self, key: str) -> None:
        """A folder and a device are refused."""
        with pytest.raises(JobError) as caught:
            FileSource().get(key)
        assert "NotARegularFile" == type(caught.value).__name__

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_not_permitted(self, tmp_path: Path) -> None:
        """A file that may not be read fails for good."""
        (tmp_path / "db").touch(mode=0o000)
        with pytest.raises(JobError) as caught:
            FileSource().get(str(tmp_path / "db"))
        assert ("FileNotPermitted", False) == (type(caught.value).__name__, caught.value.retryable)

    @pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
    def test_descriptor(self, tmp_path: Path) -> None:
        """No file stays open, whether it was read or refused."""
        (tmp_path / "db").write_text("x")
        with leaves_nothing():
            FileSource().get(str(tmp_path / "db"))
            with pytest.raises(JobError):
                FileSource().get(str(tmp_path))
