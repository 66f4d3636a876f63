"""What is printed of each wrong definition of tests/fixtures/definitions, word by word."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui.dsl.codes import CODES, parts
from bunsui.dsl.parser import parse
from bunsui.dsl.problems import MAX_SHOWN, Problem, display_width, printable
from bunsui.errors import DefinitionError

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
_spec = importlib.util.spec_from_file_location("freeze_definitions", FIXTURES / "freeze_definitions.py")
assert _spec is not None
assert _spec.loader is not None
freeze = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(freeze)

NAMES = freeze.definitions()


@pytest.fixture(autouse=True)
def in_their_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The definitions are named as seen from their folder."""
    monkeypatch.chdir(freeze.FOLDER)


@pytest.fixture(params=NAMES, ids=str)
def path(request: pytest.FixtureRequest) -> Path:
    """One of the wrong definitions."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def problems(path: Path) -> list[Problem]:
    return bunsui.validate(path)


def placed(problems: list[Problem]) -> Iterator[tuple[str, Problem]]:
    """The problems that have a place, each with the text of its line."""
    for problem in problems:
        if problem.source is not None:
            yield problem.source, problem


def test_there_are_many() -> None:
    """No definition has been lost, and no text is without its definition."""
    assert len(NAMES) >= 70
    assert {name.with_suffix(".txt") for name in NAMES} == {Path(text.name) for text in Path().glob("*.txt")}


def test_what_is_printed(path: Path) -> None:
    """Exactly the text beside it: all problems, in order."""
    expected = path.with_suffix(".txt").read_text(encoding="utf-8")
    assert expected == freeze.printed(path)
    assert expected


def test_an_error_is_raised_with_that_text(path: Path, problems: list[Problem]) -> None:
    """Loading it raises what validating it finds, unless there are only warnings."""
    if all(problem.severity == "warning" for problem in problems):
        bunsui.Pipeline.load(path)
        return
    with pytest.raises(DefinitionError) as caught:
        bunsui.Pipeline.load(path)
    assert freeze.printed(path) == f"{caught.value}\n"


def test_sorted_by_position(problems: list[Problem]) -> None:
    """The problems stand in the order of the text."""
    places = [(problem.line or 0, problem.column or 0) for problem in problems]
    # What is said of all problems together, stands last.
    if problems[-1].code == "too-many-problems":
        places.pop()
    assert sorted(places) == places


def test_codes_are_documented(problems: list[Problem]) -> None:
    """Each code has a page of its own."""
    assert {problem.code for problem in problems} <= set(CODES)


def test_no_message_is_jsonschemas(problems: list[Problem]) -> None:
    """What the jsonschema library says of a schema's branches helps nobody."""
    assert not [problem for problem in problems if "given schemas" in problem.message]


def test_paths_lead_into_the_data(path: Path, problems: list[Problem]) -> None:
    """A problem's JSON pointer leads to a value, or to one that a mapping or list that is there lacks."""
    with contextlib.suppress(DefinitionError):  # There is no data then.
        data = parse(path.read_bytes(), path.suffix[1:]).data
        lost = [problem.path for problem in problems if not leads(data, problem.path)]
        assert [] == lost


def leads(data: Any, pointer: str) -> bool:
    """Whether all of a JSON pointer but its last step leads to something."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
    for step in steps[:-1]:
        try:
            data = data[int(step)] if isinstance(data, list) else data[step]
        except (KeyError, IndexError, ValueError, TypeError):
            return False
    return not steps or isinstance(data, dict | list)


def test_places_are_in_the_text(path: Path, problems: list[Problem]) -> None:
    """A problem's source is the line that it names, and what it underlines begins within that line."""
    text = path.read_bytes().decode("utf-8", "replace")
    lines = text.split("\n")
    for source, problem in placed(problems):
        assert problem.line is not None
        assert problem.column is not None
        assert lines[problem.line - 1] == source
        assert 1 <= problem.column <= len(source) + 1
        assert problem.column - 1 + problem.length <= max(len(source), problem.column)


def test_carets_are_under_what_is_meant(problems: list[Problem]) -> None:
    """What stands above the carets is the stretch of the line that the problem names."""
    for source, problem in placed(problems):
        _, shown, below = problem.render().split("\n")
        assert problem.column is not None
        start = problem.column - 1
        stretch = printable(source[start : start + problem.length])[: MAX_SHOWN // 2] or " "
        before, _, after = below.partition("^")
        carets = 1 + len(after) - len(after.lstrip("^"))
        assert display_width(stretch) == carets
        assert stretch == above(f"{shown} ", len(before), carets)


def above(line: str, column: int, width: int) -> str:
    """What stands in `width` columns of a terminal from `column` on."""
    at = 0
    found = ""
    for char in line:
        if column <= at < column + width:
            found += char
        at += display_width(char)
    return found


def test_every_code_of_definitions_is_met() -> None:
    """Each code whose example is a definition is met in one of these, too."""
    met = {problem.code for name in NAMES for problem in bunsui.validate(name)}
    wanted = {code for code, known in CODES.items() if parts(known.wrong)[0].language == "yaml"}
    wanted -= {code for code, known in CODES.items() if parts(known.wrong)[0].file is not None}
    assert set() == wanted - met
