"""References: parsed, and found."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bunsui.expressions.references import MAX_LENGTH, BadReference, parse, references

# Parsing


@pytest.mark.parametrize(
    ("text", "root", "path"),
    [
        ("x", "parameters", ("x",)),
        ("my-param_2", "parameters", ("my-param_2",)),
        (" x ", "parameters", ("x",)),
        ("parameters.x", "parameters", ("x",)),
        ("parameters.jobs", "parameters", ("jobs",)),
        ("x.y.z", "parameters", ("x", "y", "z")),
        ("x[0][12]", "parameters", ("x", 0, 12)),
        ("x.0", "parameters", ("x", "0")),
        ('x["a key, with . and [0]"]', "parameters", ("x", "a key, with . and [0]")),
        ('x[""].y', "parameters", ("x", "", "y")),
        ("jobs.my-job_1.output.rows[0].id", "jobs", ("my-job_1", "output", "rows", 0, "id")),
        ("session.id", "session", ("id",)),
        ("item", "item", ()),
        ("items", "parameters", ("items",)),
    ],
)
def test_parse_of_one_reference(text: str, root: str, path: tuple[str | int, ...]) -> None:
    """A reference is a root and a path; a first name that is no root is a parameter."""
    ((reference, offset, length),) = parse(f"${{{text}}}")
    assert (text.strip(), root, path) == (reference.text, reference.root, reference.path)
    assert (0, len(text) + 3) == (offset, length)


def shown(text: str) -> list[Any]:
    """The parts of a text, references as (text, offset, length)."""
    return [part if isinstance(part, str) else (part[0].text, part[1], part[2]) for part in parse(text)]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", [""]),
        ("plain $ { } text", ["plain $ { } text"]),
        ("a${x}b", ["a", ("x", 1, 4), "b"]),
        ("${x}${y}", [("x", 0, 4), ("y", 4, 4)]),
        ("$${x}", ["${x}"]),
        ("a$${${x}}", ["a${", ("x", 4, 4), "}"]),
        ("$${x}$${y}", ["${x}${y}"]),
        ("$$${x}", ["$${x}"]),
        ("5$ ${x}", ["5$ ", ("x", 3, 4)]),
        ("$", ["$"]),
        ("$$", ["$$"]),
    ],
)
def test_parse_of_texts(text: str, parts: list[Any]) -> None:
    """A text is its literals and its references with their places; `$${` is a literal `${`."""
    assert parts == shown(text)


SHAPE = (
    "a reference is a name and its path, such as ${parameters.x} or ${jobs.ID.output.x};"
    " for a literal '${' write '$${'"
)
STEP = """ is not a step of a path: write .name, [0] or ["key"]"""


@pytest.mark.parametrize(
    ("text", "message", "offset", "length"),
    [
        ("ab${x", "'${' without '}'", 2, 3),
        ("ab${", "'${' without '}'", 2, 2),
        ("ab${}c", SHAPE, 2, 3),
        ("${ }", SHAPE, 0, 4),
        ("a${x} ${1}", SHAPE, 6, 4),
        ("${.x}", SHAPE, 0, 5),
        ("${${x}}", SHAPE, 0, 6),
        ("é${x y}", "' y'" + STEP, 1, 6),
        ("${x.}", "'.'" + STEP, 0, 5),
        ("${x[-1]}", "'[-1]'" + STEP, 0, 8),
        ("${x['a']}", "'['a']'" + STEP, 0, 9),
        ("${x[1234567890]}", "'[1234567890]'" + STEP, 0, 16),
        ("${x[\u0663]}", "'[\u0663]'" + STEP, 0, 7),
        ("${x + 1}", "' + 1'" + STEP, 0, 8),
        ("${f(x)}", "'(x)'" + STEP, 0, 7),
        ("${x." + "y" * MAX_LENGTH + "}", "a reference of more than 1,024 characters", 0, MAX_LENGTH + 5),
        ("${x!" + "y" * 100 + "}", "'!" + "y" * 19 + "'" + STEP, 0, 105),
    ],
)
def test_bad_references(text: str, message: str, offset: int, length: int) -> None:
    """What is no reference is refused, with its place in the text."""
    with pytest.raises(BadReference) as caught:
        parse(text)
    assert (message, offset, length) == (str(caught.value), caught.value.offset, caught.value.length)


@given(st.text())
def test_every_text_can_be_escaped(text: str) -> None:
    """With `$${` for `${` any text stands for itself."""
    assert (text,) == parse(text.replace("${", "$${"))


def parsed(text: str) -> tuple[Any, BadReference | None]:
    try:
        return parse(text), None
    except BadReference as bad:
        return (), bad


@given(st.text('${}x.[]"0 -', max_size=30))
def test_parse_refuses_or_accounts_for_every_character(text: str) -> None:
    """A text is refused with a place inside it, or its parts are all of it."""
    parts, bad = parsed(text)
    if bad is not None:
        assert text.startswith("${", bad.offset)
        assert 2 <= bad.length <= len(text) - bad.offset
        return
    literals = "".join(part for part in parts if isinstance(part, str))
    taken = sum(part[2] for part in parts if not isinstance(part, str))
    assert len(text) - text.count("$${") == len(literals) + taken


@pytest.mark.parametrize(
    "text",
    [
        "${" * 20_000,
        "{" * 20_000,
        "$" * 1_000_000 + "{",
        "${x" + "[" * 20_000 + "}",
        "${" + " " * 10**6 + "}",
    ],
    ids=["openings", "braces", "dollars", "brackets", "blanks"],
)
def test_hostile_texts_end_at_once(text: str) -> None:
    """Large texts are refused or taken as they are: no nesting, no backtracking."""
    parts, bad = parsed(text)
    assert 1 == len(parts) if bad is None else bad.offset == 0


def test_a_text_of_many_references() -> None:
    """A text may hold 10,000 references, and any number of escapes."""
    parts = parse("$${${x}" * 10_000)
    assert (10_000, 10_000) == (parts.count("${"), sum(not isinstance(part, str) for part in parts))
    with pytest.raises(BadReference, match="a text with more than 10,000 references") as caught:
        parse("$${${x}" * 10_001 + "${")
    assert (70_003, 4) == (caught.value.offset, caught.value.length)


# Finding


def test_references_are_found_with_their_place() -> None:
    """Every reference of a value is found, in its order, with the path to its text."""
    value = {"a": ["${x}", {"b": "1 ${y} ${z.w}"}], "c": 1, "d": ("$${no}", "${x}"), "${key}": None}
    found = [(where, offset, length, item.text) for where, offset, length, item in references(value)]
    assert [
        (("a", 0), 0, 4, "x"),
        (("a", 1, "b"), 2, 4, "y"),
        (("a", 1, "b"), 7, 6, "z.w"),
        (("d", 1), 0, 4, "x"),
    ] == found


def test_bad_references_are_found_with_the_good_ones() -> None:
    """A bad reference is reported in its place, and what follows it elsewhere is found."""
    found = list(references(["a ${", "${x}"], ("jobs", 3)))
    assert [(("jobs", 3, 0), 2, 2), (("jobs", 3, 1), 0, 4)] == [item[:3] for item in found]
    assert isinstance(found[0][3], BadReference)


def test_references_in_a_deep_value() -> None:
    """The depth of a value is not limited by Python's stack."""
    value: Any = "${x}"
    for _ in range(5_000):
        value = [value]
    ((where, *_),) = references(value)
    assert (0,) * 5_000 == where
