"""``-p``: assignments and files, and where what is wrong with them stands."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import pytest

from bunsui.cli.main import run

#: Where each problem is, and its code.
CODES = re.compile(r"^(.*?)error\[(.*?)\]", re.MULTILINE)
PIPELINE = """\
version: "1.0"
name: flow
parameters:
  - {name: n, type: integer, default: 2}
  - {name: s, type: string, default: x}
  - {name: o, type: object, default: {}}
  - {name: key, type: string, secret: true}
jobs:
  - {id: a, type: custom, command: ["true"]}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a pipeline, which is the current one; the store is in memory."""
    (tmp_path / "p.yaml").write_text(PIPELINE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BUNSUI_STORE", "memory://")
    return tmp_path


def values(capsys: pytest.CaptureFixture[str], *given: str) -> dict[str, object]:
    """The parameters of a session that was started so."""
    options = [option for text in given for option in ("-p", text)]
    assert 0 == run(["run", "p.yaml", "--format", "json", *options])
    return json.loads(capsys.readouterr().out)["parameters"]


def refused(capsys: pytest.CaptureFixture[str], *given: str) -> str:
    """What is said of what was given."""
    options = [option for text in given for option in ("-p", text)]
    assert 2 == run(["run", "p.yaml", *options])
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("v.json", '\ufeff{"n": 3, "s": "=1", "o": {"deep": [1, null]}}'),
        ("v.yaml", "n: 3\ns: '=1'\no: {deep: [1, null]}\n"),
        ("v", '{"n": 3, "s": "=1", "o": {"deep": [1, null]}}'),
        ("@v=1.json", '{"n": 3, "s": "=1", "o": {"deep": [1, null]}}'),
    ],
)
def test_a_file_gives_all_at_once(
    folder: Path, name: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A JSON object, or YAML by its ending; types are those of the file."""
    (folder / name).write_text(text, encoding="utf-8")
    assert {"n": 3, "s": "=1", "o": {"deep": [1, None]}, "key": None} == values(capsys, f"@{name}")


def test_standard_input(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """-p @- reads it."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"n": 5}')))
    assert 5 == values(capsys, "@-")["n"]


def test_what_stands_later_wins(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of files and of keys, in any order."""
    (folder / "1.json").write_text('{"n": 1, "s": "one"}', encoding="utf-8")
    (folder / "2.json").write_text('{"n": 7}', encoding="utf-8")
    found = [
        tuple(values(capsys, *given)[name] for name in ("n", "s"))
        for given in (
            ["@1.json", "@2.json"],
            ["@2.json", "@1.json"],
            ["@1.json", "n=9"],
            ["n=9", "@1.json"],
            ["s=a", "@2.json", "n=3"],
        )
    ]
    assert [(7, "one"), (1, "one"), (9, "one"), (1, "one"), (3, "a")] == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{\n "n": "three"}', "v.json:2:2: error[wrong-type]: the value of parameter 'n'"),
        ('{"m": 1}', "v.json:1:2: error[unknown-parameter]: pipeline 'flow' has no parameter 'm'"),
        ('{"n": 1', "v.json:1:"),
        ('{"n": 1, "n": 2}', "v.json:1:10: error[duplicate-key]"),
        ("[1]", "v.json:1:1: error[wrong-type]: parameters must be an object"),
        ("", "v.json: error[empty-document]"),
        ('{"n": NaN}', "v.json:1:7: error["),
        ("[" * 100_000, "v.json:1:65: error["),
    ],
)
def test_a_wrong_file(folder: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """File, line and key are named; exit code 2."""
    (folder / "v.json").write_text(text, encoding="utf-8")
    assert refused(capsys, "@v.json").startswith(said)


@pytest.mark.parametrize("name", ["no.json", "", "a\0b", "."])
def test_a_file_that_cannot_be_read(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is named, with the reason."""
    said = refused(capsys, f"@{name}")
    assert "error[unreadable-file]: the parameters can't be read: " in said


@pytest.mark.parametrize("text", ["", " \n", "\ufeff"])
def test_an_empty_file(folder: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The hint speaks of parameters, not of a definition."""
    (folder / "v.json").write_text(text, encoding="utf-8")
    said = refused(capsys, "@v.json")
    assert "v.json: error[empty-document]: there are no parameters in it\n    such as {" in said


def test_a_file_without_a_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """How it is given."""
    assert "name a file, as in -p @values.json; @- is standard input\n" in refused(capsys, "@")


def test_a_secret_in_a_file_is_not_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A value that stands where a reference belongs is named by its place alone."""
    (folder / "v.json").write_text('{"key": "hunter2hunter2"}', encoding="utf-8")
    said = refused(capsys, "@v.json")
    assert said.startswith("v.json:1:2: error[bad-secret]: parameter 'key' is secret")
    assert "hunter2" not in said


def test_the_later_one_is_the_one_that_is_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file is not blamed for what was given after it."""
    (folder / "v.json").write_text('{"n": 1}', encoding="utf-8")
    assert refused(capsys, "@v.json", 'n="x"').startswith("/parameters/n: error[wrong-type]")


def test_twice_by_hand_is_a_slip(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two assignments of one key are refused, as before."""
    assert "parameter 'n' is given twice" in refused(capsys, "n=1", "n=2")


def test_all_that_is_wrong_is_told_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that there is not beside a value that can't be read, and one that is missing."""
    text = PIPELINE.replace("type: object, default: {}", "type: object, required: true")
    (folder / "p.yaml").write_text(text, encoding="utf-8")
    (folder / "v.json").write_text('{"s": 3, "m": 1}', encoding="utf-8")
    found = CODES.findall(refused(capsys, "n=ten", "enviroment=prod", "@v.json", "plain"))
    assert [
        ("", "bad-assignment"),
        ("/parameters/enviroment: ", "unknown-parameter"),
        ("/parameters/n: ", "wrong-type"),
        ("p.yaml:6:12: ", "missing-parameter"),
        ("v.json:1:10: ", "unknown-parameter"),
        ("v.json:1:2: ", "wrong-type"),
    ] == sorted(found)


def test_what_can_not_be_read_is_not_missing_as_well(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One thing is said of one parameter."""
    text = PIPELINE.replace("type: integer, default: 2", "type: integer, required: true")
    (folder / "p.yaml").write_text(text, encoding="utf-8")
    assert [("/parameters/n: ", "wrong-type")] == CODES.findall(refused(capsys, "n=ten"))
