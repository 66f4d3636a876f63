"""References: parsed, found, resolved."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bunsui.expressions.references import (
    MAX_LENGTH,
    BadReference,
    ReferenceFailed,
    Scope,
    parse,
    references,
    resolve,
)
from bunsui.model.json import Json
from bunsui.model.session import Failure, JobState
from bunsui.model.status import JobStatus

OUTPUT = {
    "rows": [{"id": 1}, {"id": 2}],
    "a.b": 1,
    "": 2,
    "0": "zero",
    "text": "${p}",
    "big": {f"k{i}": i for i in range(12)},
}


def scope(**parameters: Any) -> Scope:
    return Scope(
        parameters=parameters,
        jobs={
            "my-job_1": JobState(JobStatus.SUCCEEDED, encoded_output=Json.of(OUTPUT)),
            "listing": JobState(JobStatus.SUCCEEDED, encoded_output=Json.of([[1], [2]])),
            "failed": JobState(JobStatus.FAILED, error=Failure("E", "m")),
            "skipped": JobState(JobStatus.SKIPPED),
            "nothing": JobState(JobStatus.SUCCEEDED),
        },
        session_id="s1",
        started_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        pipeline="my pipeline",
    )


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
        ("${x." + "y" * MAX_LENGTH + "}", "a reference of more than 1024 characters", 0, 2),
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
    assert text == resolve(text.replace("${", "$${"), scope())


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
    """A text of 100,000 escapes and references is resolved in one go."""
    assert "${1" * 100_000 == resolve("$${${x}" * 100_000, scope(x=1))


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


# Resolving


@pytest.mark.parametrize("value", ["text", 1, 1.0, True, None, [1, {"x": None}], {"a": []}, "${x}", ""])
def test_a_text_that_is_one_reference_keeps_the_type(value: Any) -> None:
    """A text that is nothing but a reference becomes the value, with its type."""
    resolved = resolve("${x}", scope(x=value))
    assert (value, type(value)) == (resolved, type(resolved))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is \n\"'", "as it is \n\"'"),
        (1, "1"),
        (1.0, "1"),
        (-0.0, "0"),
        (1.5, "1.5"),
        (1e22, "10000000000000000000000"),
        (True, "true"),
        (False, "false"),
        (None, "null"),
        ([1.0, {"x": [2.0, "t", None]}], '[1,{"x":[2,"t",null]}]'),
        ({}, "{}"),
        ("${x}", "${x}"),
        ("$${x}", "$${x}"),
        (["${x}"], '["${x}"]'),
    ],
)
def test_within_a_text_a_value_is_rendered(value: Any, text: str) -> None:
    """Text as it is, a whole number without point, all else as compact JSON; nothing is evaluated again."""
    assert f"<{text}>" == resolve("<${x}>", scope(x=value))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${jobs.my-job_1.output.rows}", OUTPUT["rows"]),
        ("${jobs.my-job_1.output.rows[1].id}", 2),
        ("${jobs.my-job_1.output.rows.1.id}", 2),
        ('${jobs.my-job_1.output["rows"][0]["id"]}', 1),
        ('${jobs.my-job_1.output["a.b"]}', 1),
        ('${jobs.my-job_1.output[""]}', 2),
        ("${jobs.my-job_1.output.0}", "zero"),
        ("${jobs.my-job_1.output.text}", "${p}"),
        ("${jobs.my-job_1.status}", "succeeded"),
        ("${jobs.listing.output[1][0]}", 2),
        ("${jobs.failed.status}", "failed"),
        ("${jobs.failed.output}", None),
        ("${jobs.failed.output.rows[3]}", None),
        ("${jobs.skipped.output}", None),
        ("${jobs.nothing.output}", None),
        ("${session.id}", "s1"),
        ("${session.started_at}", "2026-01-02T03:04:05.000000Z"),
        ("${pipeline.name}", "my pipeline"),
        ("${parameters.p}", "P"),
        ("${parameters.session}", "a parameter of a root's name"),
    ],
)
def test_what_references_reach(text: str, value: Any) -> None:
    """Parameters, outputs and statuses of jobs, the session and the pipeline can be reached."""
    assert value == resolve(text, scope(p="P", session="a parameter of a root's name"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${y}", "${y}: parameters has no 'y'; it has: x, n, l, e"),
        ("${x.y}", "${x.y}: parameters.x has no 'y'; it is str"),
        ("${n.y}", "${n.y}: parameters.n has no 'y'; it is null"),
        ("${l[2]}", "${l[2]}: parameters.l has no 2; it is a list of 2"),
        ("${l.y}", "${l.y}: parameters.l has no 'y'; it is a list of 2"),
        ('${l["²"]}', "${l[\"²\"]}: parameters.l has no '²'; it is a list of 2"),
        ('${l["\u0660"]}', "${l[\"\u0660\"]}: parameters.l has no '\u0660'; it is a list of 2"),
        ("${l.1234567890}", "${l.1234567890}: parameters.l has no '1234567890'; it is a list of 2"),
        ("${e.y}", "${e.y}: parameters.e has no 'y'; it is empty"),
        ("${e[0]}", "${e[0]}: parameters.e has no 0; it is empty"),
        (
            "a ${jobs.my-job_1.output.big.k99} b",
            "${jobs.my-job_1.output.big.k99}: jobs.my-job_1.output.big has no 'k99';"
            " it has: k0, k1, k2, k3, k4, k5, k6, k7, k8, k9",
        ),
        (
            "${jobs.my-job_1.output.rows[0].name}",
            "${jobs.my-job_1.output.rows[0].name}: jobs.my-job_1.output.rows.0 has no 'name'; it has: id",
        ),
        ("${jobs.nothing.output.x}", "${jobs.nothing.output.x}: jobs.nothing.output has no 'x'; it is null"),
        ("${session.owner}", "${session.owner}: session has no 'owner'; it has: id, started_at"),
    ],
)
def test_what_is_not_there(text: str, message: str) -> None:
    """A path that isn't there fails, naming it and what there is instead."""
    with pytest.raises(ReferenceFailed) as caught:
        resolve(text, scope(x="text", n=None, l=[1, 2], e={}))
    assert message == str(caught.value)


def test_a_failed_reference_is_not_retried() -> None:
    """The failure of a reference has its own code, and another attempt can't help."""
    with pytest.raises(ReferenceFailed) as caught:
        resolve("${y}", scope())
    assert ("ReferenceError", False) == (caught.value.code, caught.value.retryable)


def test_resolve_copies_the_value() -> None:
    """Whatever is done to the resolved value, the definition stays as it is."""
    definition = {"a": [{"b": "${x}"}], "c": ["no reference"], "d": ({},)}
    resolved = resolve(definition, scope(x=1))
    resolved["a"][0]["b"] = 2
    resolved["c"].append(3)
    resolved["d"][0]["x"] = 4
    assert {"a": [{"b": "${x}"}], "c": ["no reference"], "d": ({},)} == definition


def test_resolve_leaves_keys_alone() -> None:
    """References stand in values only."""
    assert {"${x}": 1} == resolve({"${x}": "${x}"}, scope(x=1))


@pytest.mark.parametrize(
    ("text", "value"),
    [("${jobs.my-job_1.output.rows}", OUTPUT["rows"]), ("${x}", {"deep": [1]}), ("${x.deep}", [1])],
)
def test_what_one_reader_does_another_does_not_see(text: str, value: Any) -> None:
    """Outputs and parameters are not shared between the jobs that read them."""
    there = scope(x={"deep": [1]})
    one = resolve(text, there)
    one.clear()
    assert value == resolve(text, there)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
        max_leaves=8,
    )
)
def test_what_is_brought_in_is_never_evaluated(value: Any) -> None:
    """Any value comes in as it is, whole or rendered, whatever texts it holds."""
    there = scope(x={"v": value, "w": "${secret}"}, secret="no")
    assert value == resolve("${x.v}", there)
    rendered = resolve(" ${x.v}", there)[1:]
    assert value == (rendered if isinstance(value, str) else json.loads(rendered))
    assert "${secret}" == resolve("${x.w}", there)
