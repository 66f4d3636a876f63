"""Changing a configuration file: what was not meant stays, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bunsui import ConfigError, NotFound
from bunsui.configuration.editing import set_value, unset
from bunsui.configuration.origins import Source

FILE = """\
# Ours.
lease   =  60     # a slow disk

[pools]   # of one machine
gpu = 2   # two cards
# the end
"""
#: Ways to say things that TOML has; each is a file by itself.
FILES = [
    "",
    FILE,
    "pools = {gpu = 1}\nlease = 2 # c\n",
    "pools.gpu = 1\n\n# c\npools.net = 2\n",
    "[pools]\n\n[other]\nx = 1\n",
    "# only a comment",
    'env = [\n  "A", # first\n  "B",\n]\n[secrets]\ndb = "env:A"\n',
    "[[list]]\na = 1\n[[list]]\nb = 2\n",
    "lease = 1\r\n[pools]\r\ngpu = 2\r\n",
]
CHANGES = [
    ("lease", "5"), ("pools.gpu", "7"), ("pools.new", "3"), ("local", "true"), ("max_concurrency", "4"),
    ("pools", '{"a": 1}'), ("env", '["X"]'), ("secrets.key", "file:/k"), ("store", "sqlite:///x.db"),
]  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bunsui.toml"


def write(path: Path, text: str) -> None:
    path.write_bytes(text.encode())
    path.chmod(0o640)


def test_comments_and_layout_stay(path: Path) -> None:
    """Only what was said changes, and the file's mode stays."""
    write(path, FILE)
    set_value(path, Source.PROJECT, "pools.gpu", "3")
    set_value(path, Source.PROJECT, "lease", "90")
    assert FILE.replace("gpu = 2", "gpu = 3").replace("60", "90") == path.read_text()
    assert 0o640 == path.stat().st_mode & 0o777


@given(text=st.sampled_from(FILES), changes=st.lists(st.sampled_from(CHANGES), max_size=4))
def test_what_is_read_again_is_what_was_meant(
    tmp_path_factory: pytest.TempPathFactory, text: str, changes: list[tuple[str, str]]
) -> None:
    """Whatever the layout: the file says what it said, and what was set; unsetting takes that back."""
    path = tmp_path_factory.mktemp("edit") / "c.toml"
    write(path, text)
    expected = tomllib.loads(text.replace("\r\n", "\n"))
    comments = {line.partition("#")[2] for line in text.splitlines() if "#" in line and "env = [" not in text}
    for key, value in changes:
        set_value(path, Source.USER, key, value)
        name, dot, entry = key.partition(".")
        meant = (
            value
            if key in ("secrets.key", "store")
            else tomllib.loads(f"v = {value.replace(': ', ' = ')}".replace('"a"', "a"))["v"]
        )
        if dot:
            expected.setdefault(name, {})[entry] = meant
        else:
            expected[name] = meant
    found = path.read_text()
    assert expected == tomllib.loads(found)
    if not any(
        key in ("pools", "env") for key, _ in changes
    ):  # A table that is replaced takes its comments along.
        assert all(comment in found for comment in comments)
    for key in {key for key, _ in changes if "." in key}:
        if key.partition(".")[2] in tomllib.loads(path.read_text()).get(key.partition(".")[0], {}):
            unset(path, Source.USER, key)
            name, _, entry = key.partition(".")
            del expected[name][entry]
    left = tomllib.loads(path.read_text())
    assert {name: value for name, value in expected.items() if value != {}} == {
        name: value for name, value in left.items() if value != {}
    }


def test_a_new_file_is_private_for_the_user(tmp_path: Path) -> None:
    """With its folder; a project's can be read, and be written by nobody else, whatever the umask."""
    before = os.umask(0)
    try:
        set_value(tmp_path / "a" / "b" / "config.toml", Source.USER, "lease", "5")
        set_value(tmp_path / "bunsui.toml", Source.PROJECT, "lease", "5")
    finally:
        os.umask(before)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("a/b/config.toml", "a/b", "bunsui.toml")]
    assert [0o600, 0o700, 0o644] == modes
    assert ["bunsui.toml"] == [path.name for path in tmp_path.iterdir() if path.is_file()]


@pytest.mark.parametrize("key", ["secrets.db", "env", "bindings"])
def test_the_projects_file_takes_no_key_of_the_user(path: Path, key: str) -> None:
    """It says where it belongs, and makes no file."""
    values = {"secrets.db": "env:A", "env": '["A"]', "bindings": "b.yaml"}
    with pytest.raises(ConfigError, match=f"bunsui config set --user {key}"):
        set_value(path, Source.PROJECT, key, values[key])
    assert not path.exists()


def test_a_value_in_place_of_a_reference_is_not_shown(path: Path) -> None:
    """Nor written."""
    with pytest.raises(ConfigError) as caught:
        set_value(path, Source.USER, "secrets.db", "hunter2")
    assert "hunter2" not in str(caught.value)
    assert str(caught.value).endswith("; try: bunsui config set --user secrets.db env:DB_PASSWORD")
    assert not path.exists()


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("lease", "soon", "lease is 'soon'; it is a number of seconds above 0, at most a year, such as 30;"
         " try: bunsui config set lease 30"),
        ("pools.gpu", "two", "pools.gpu is 'two'; it is a whole number of at least 1, such as 2; try: bunsui"
         " config set pools.gpu 2"),
        ("store", "sqlite:////etc/x.db", "a project's file may name a store in its own folder only, such as"
         " sqlite:///bunsui.db; any"),
        ("leese", "1", "there is no key 'leese'; did you mean 'lease'?"),
    ],
)  # fmt: skip
def test_wrong_ones_come_with_an_example(path: Path, key: str, value: str, expected: str) -> None:
    """And change nothing."""
    write(path, FILE)
    with pytest.raises(ConfigError) as caught:
        set_value(path, Source.PROJECT, key, value)
    assert str(caught.value).startswith(expected)
    assert FILE == path.read_text()


def test_unset(path: Path) -> None:
    """Removes what there is, also what is no key, and says what is not."""
    with pytest.raises(NotFound, match=r"'lease' is not set: there is no file .*bunsui\.toml"):
        unset(path, Source.PROJECT, "lease")
    write(path, "leese = 1\n" + FILE)
    unset(path, Source.PROJECT, "leese")
    assert FILE == path.read_text()
    unset(path, Source.PROJECT, "pools.gpu")
    assert {"lease": 60, "pools": {}} == tomllib.loads(path.read_text())
    for key in ("local", "pools.gpu", "pools.", "lease.x"):
        with pytest.raises(NotFound, match="is not set in"):
            unset(path, Source.PROJECT, key)


def test_a_file_that_is_not_toml_stays(path: Path) -> None:
    """It is mended by hand."""
    write(path, "lease = \n")
    with pytest.raises(ConfigError, match=r"bunsui\.toml:1: it is not TOML"):
        set_value(path, Source.PROJECT, "lease", "5")
    assert "lease = \n" == path.read_text()


def test_a_file_of_others_is_not_changed(path: Path) -> None:
    """It would not be read afterwards."""
    write(path, FILE)
    path.chmod(0o666)
    with pytest.raises(ConfigError, match="is not changed: other users may write it"):
        set_value(path, Source.PROJECT, "lease", "5")
    assert FILE == path.read_text()


def test_a_link_stays_one(path: Path, tmp_path: Path) -> None:
    """What it leads to is changed."""
    real = tmp_path / "dotfiles.toml"
    write(real, FILE)
    path.symlink_to(real)
    set_value(path, Source.USER, "lease", "5")
    assert path.is_symlink()
    assert 5 == tomllib.loads(real.read_text())["lease"]


def test_a_folder_that_cant_be_written(tmp_path: Path) -> None:
    """Is named."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="can't be written"):
        set_value(tmp_path / "file" / "config.toml", Source.USER, "lease", "5")


def test_processes_that_change_it_at_once_lose_nothing(path: Path) -> None:
    """Each of them holds a lock from reading to replacing."""
    code = """
import sys
from pathlib import Path
from bunsui.configuration.editing import set_value
from bunsui.configuration.origins import Source
sys.stdin.read()
for i in range(8):
    set_value(Path(sys.argv[1]), Source.PROJECT, f"pools.p{sys.argv[2]}-{i}", "1")
"""
    workers = [
        subprocess.Popen([sys.executable, "-c", code, path, str(n)], stdin=subprocess.PIPE) for n in range(4)
    ]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.close()
    assert [0] * 4 == [worker.wait(120) for worker in workers]
    assert 32 == len(tomllib.loads(path.read_text())["pools"])
    assert ["bunsui.toml"] == [found.name for found in path.parent.iterdir()]
