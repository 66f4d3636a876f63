"""The configuration files: which are found, which are trusted, and what stands in which line."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import pytest

from bunsui import ConfigError
from bunsui.configuration.files import ConfigFile, parse, project_paths, read, user_path
from bunsui.configuration.origins import Source

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "bunsui.toml"
    path.write_text("lease = 60\n")
    path.chmod(0o644)
    return path


def lines(text: str) -> dict[str, int]:
    return dict(parse(text.encode(), Path("f"), Source.USER).lines)


def test_lines() -> None:
    """Each key and each entry of a table has the line at which its statement begins."""
    text = """\ufeff# comment
store = "x" # and more
env = [
  # not a key = 1
  "A",
  "B",
]

text = '''
lease = 5
[pools]
'''
pools.a = 1
"pools"."b" = 2
inline = {x = 1, y = 2}

[secrets]

db = "env:A"
[  other . inner ]
z = 1
[[list]]
q = 1
"""
    assert {
        "store": 2,
        "env": 3,
        "text": 9,
        "pools": 13,
        "pools.a": 13,
        "pools.b": 14,
        "inline": 15,
        "inline.x": 15,
        "inline.y": 15,
        "secrets": 17,
        "secrets.db": 19,
        "other": 20,
        "other.inner": 20,
        "list": 22,
        "list.q": 23,
    } == lines(text)


def test_lines_with_carriage_returns() -> None:
    """They end lines on Windows."""
    assert {"lease": 2, "local": 3} == lines("\r\nlease = 1\r\nlocal = true\r\n")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"lease = 1\nlease = 2\n", "f:2: it is not TOML: Cannot overwrite a value; a line is KEY = VALUE"),
        (b"a = 1\nstore = sqlite", "f:2: it is not TOML: Invalid value"),
        (b"x = " + b"[" * 4000, "f: it is not TOML: it is nested too deeply"),
        (b"a = 1\nb = '\xff'", "f:2: it is not UTF-8"),
        (b"#" * 70_000, "f has more than 65536 bytes"),
        (b"\n" + b"a." * 3000 + b"a = 1", "f:2: the line has more than 4096 characters"),
    ],
)
def test_what_is_not_toml(content: bytes, expected: str) -> None:
    """Is refused with its line."""
    with pytest.raises(ConfigError) as caught:
        parse(content, Path("f"), Source.PROJECT)
    assert str(caught.value).startswith(expected)


def test_what_is_wrong_shows_no_text_of_the_file() -> None:
    """It may be a secret."""
    with pytest.raises(ConfigError) as caught:
        parse(b'[secrets]\ndb = hunter2"', Path("f"), Source.USER)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_hostile_file_takes_no_time() -> None:
    """Lines and keys that Python's reader takes time by the square of; the limit is a hundred times more."""
    for content in (b"a.a = 1\n" * 6000, b"x = [\n" + b"1,\n" * 20_000, (b"a." * 2000 + b"a=1\n") * 16):
        began = time.process_time()
        with contextlib.suppress(ConfigError):
            parse(content, Path("f"), Source.PROJECT)
        assert time.process_time() - began < 20


class TestTrust:
    def test_the_users_own(self, file: Path) -> None:
        """Is read."""
        found = read(file, Source.PROJECT)
        assert isinstance(found, ConfigFile)
        assert {"lease": 60} == found.data

    @pytest.mark.parametrize("source", [Source.PROJECT, Source.USER])
    @pytest.mark.parametrize("mode", [0o646, 0o666])
    def test_one_that_others_may_write(self, file: Path, mode: int, source: Source) -> None:
        """Is not."""
        file.chmod(mode)
        assert "other users may write it" == read(file, source)

    @needs_root
    def test_one_that_a_shared_group_may_write(self, file: Path) -> None:
        """Is not."""
        os.chown(file, 0, 12345)
        file.chmod(0o664)
        assert "other users may write it" == read(file, Source.PROJECT)

    def test_one_that_the_users_own_group_may_write(self, file: Path) -> None:
        """Is read: many systems make a group for each user, and let it write what he makes."""
        import grp
        import pwd

        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(os.getegid())
        if group.gr_name != user.pw_name or set(group.gr_mem) - {user.pw_name}:
            pytest.skip("this user has no group of his own")
        os.chown(file, -1, os.getegid())
        file.chmod(0o664)
        assert isinstance(read(file, Source.PROJECT), ConfigFile)

    @needs_root
    @pytest.mark.parametrize("source", [Source.PROJECT, Source.USER])
    def test_another_users(self, file: Path, source: Source) -> None:
        """Is not."""
        os.chown(file, 12345, 12345)
        assert "it belongs to another user" == read(file, source)

    @needs_root
    def test_a_link_that_another_user_made(self, file: Path, tmp_path: Path) -> None:
        """To a file of the user: not the user said that it is of this project."""
        link = tmp_path / "link.toml"
        link.symlink_to(file)
        assert isinstance(read(link, Source.PROJECT), ConfigFile)
        os.lchown(link, 12345, 12345)
        assert "it belongs to another user" == read(link, Source.PROJECT)

    def test_a_pipe(self, tmp_path: Path) -> None:
        """Is not waited for."""
        os.mkfifo(tmp_path / "bunsui.toml")
        assert "it is not a regular file" == read(tmp_path / "bunsui.toml", Source.PROJECT)

    def test_a_folder(self, tmp_path: Path) -> None:
        """Is no file."""
        assert "it is not a regular file" == read(tmp_path, Source.USER)


class TestPlaces:
    def test_upwards(self, file: Path, tmp_path: Path) -> None:
        """The nearest comes first."""
        inner = tmp_path / "a" / "b"
        inner.mkdir(parents=True)
        (tmp_path / "a" / "bunsui.toml").touch()
        assert [tmp_path / "a" / "bunsui.toml", file] == list(project_paths(inner))[:2]

    def test_not_above_the_home_folder(
        self, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Which is looked at itself."""
        home = tmp_path / "home"
        (home / "work").mkdir(parents=True)
        monkeypatch.setenv("HOME", str(home))
        assert [] == list(project_paths(home / "work"))
        (home / "bunsui.toml").touch()
        assert [home / "bunsui.toml"] == list(project_paths(home / "work"))
        assert file in list(project_paths(tmp_path))

    def test_a_folder_that_was_removed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Is in no project."""
        gone = tmp_path / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()
        assert [] == list(project_paths(None))

    def test_the_users(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """BUNSUI_CONFIG, where it says something."""
        assert tmp_path / "x.toml" == user_path({"BUNSUI_CONFIG": str(tmp_path / "x.toml")})
        monkeypatch.setenv("HOME", str(tmp_path))
        assert tmp_path / "x.toml" == user_path({"BUNSUI_CONFIG": "~/x.toml"})
        assert "config.toml" == user_path({"BUNSUI_CONFIG": ""}).name
        assert "bunsui" in user_path({}).parts
