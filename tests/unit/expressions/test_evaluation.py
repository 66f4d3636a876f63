"""What conditions say: equality, order, membership, and what does not fit."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest
from attrs import evolve
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bunsui.expressions.conditions import parse_condition
from bunsui.expressions.evaluation import ConditionFailed, holds, same
from bunsui.expressions.kinds import describe, kind_of
from bunsui.expressions.references import Reference
from bunsui.expressions.resolution import ReferenceFailed, Scope
from bunsui.expressions.syntax import CALLS, Call, Combine, Compare, Items, Literal, Node, Not, Operand
from bunsui.model.json import Json
from bunsui.model.session import Failure, JobState
from bunsui.model.status import JobStatus

JOBS = {
    "good": JobState(JobStatus.SUCCEEDED, encoded_output=Json.of({"rows": 3, "none": None})),
    "bad": JobState(JobStatus.FAILED, error=Failure("E", "m")),
    "left": JobState(JobStatus.SKIPPED),
    "stopped": JobState(JobStatus.CANCELLED),
}


def scope(**parameters: Any) -> Scope:
    return Scope(
        parameters, JOBS, "s1", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "my pipeline", {"HOME": "/h"}
    )


def says(text: str, **parameters: Any) -> bool:
    return holds(parse_condition(text).root, scope(**parameters))


def failure(text: str, **parameters: Any) -> str:
    with pytest.raises(ConditionFailed) as caught:
        says(text, **parameters)
    return str(caught.value)


# Equality

#: Values of which no two are equal.
DIFFERENT: list[Any] = [
    *(None, True, False, 0, 1, -1, 0.5, 2**53, 2**53 + 1, 1e300),
    *("", "0", "1", "true", "null", "a", "A", "é", "e\u0301", "a ", "[]"),
    *([], [None], [0], [False], ["0"], [[]], [1, 2], [2, 1]),
    *({}, {"a": None}, {"a": 1}, {"a": True}, {"b": 1}, {"a": 1, "b": 2}, {"a": {}}, {"a": []}),
]


@pytest.mark.parametrize("value", DIFFERENT, ids=repr)
def test_a_value_equals_itself(value: Any) -> None:
    """And is not different from itself."""
    assert (True, False) == (says("${x} == ${y}", x=value, y=value), says("${x} != ${y}", x=value, y=value))


def test_equality_never_crosses_types() -> None:
    """1 == "1", true == 1 and null == false are false, in lists and mappings too: no pair is equal."""
    for left, right in itertools.permutations(DIFFERENT, 2):
        assert (False, True) == (
            says("${x} == ${y}", x=left, y=right),
            says("${x} != ${y}", x=left, y=right),
        ), (left, right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, 1.0),
        (0, -0.0),
        (-3, -3.0),
        (2**53, 2.0**53),
        ([1, [2.0]], [1.0, [2]]),
        ({"a": 1, "b": [0]}, {"b": [0.0], "a": 1.0}),
    ],
)
def test_a_whole_number_equals_the_one_with_a_point(left: Any, right: Any) -> None:
    """1 == 1.0 is true, wherever the numbers stand."""
    assert says("${x} == ${y}", x=left, y=right)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ('1 == "1"', False),
        ("1 == 1.0", True),
        ("true == 1", False),
        ("false == 0", False),
        ("null == false", False),
        ('"" == null', False),
        ("[1, 'a'] == ${x}", True),
        ("[(1 < 2)] == [true]", True),
        ("(1 == 1) == true", True),
        ("(1 == 2) != (2 == 1)", False),
        ("9007199254740993 == 9007199254740992.0", False),
        ("${jobs.good.output.rows} == 3", True),
        ("${jobs.good.output.none} == null", True),
        ("${jobs.bad.output} == null", True),
        ("${jobs.left.output.rows[0]} == null", True),
        ("${jobs.left.status} == 'skipped'", True),
        ("${session.id} == 's1'", True),
        ("${pipeline.name} == 'my pipeline'", True),
        ("${env.HOME} == '/h'", True),
    ],
)
def test_equality(text: str, result: bool) -> None:
    """What the language says of equality, in its own words."""
    assert result is says(text, x=[1, "a"])


plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-3, 3).map(float)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=1), inner, max_size=2),
    max_leaves=6,
)


def typed(value: Any) -> Any:
    """A value such that Python's own equality is that of the language."""
    if isinstance(value, bool) or value is None:
        return ("word", value)
    if isinstance(value, int | float):
        return ("number", Fraction(value))
    if isinstance(value, str):
        return ("text", value)
    if isinstance(value, dict):
        return ("mapping", frozenset((key, typed(item)) for key, item in value.items()))
    return ("list", tuple(map(typed, value)))


@settings(deadline=None, max_examples=500)
@given(plain_values, plain_values)
def test_same_is_what_the_model_says(left: Any, right: Any) -> None:
    """Equality is that of the values with their types, numbers compared exactly."""
    assert (typed(left) == typed(right)) is same(left, right)


@settings(deadline=None, max_examples=500)
@given(plain_values, plain_values, plain_values)
@example(2**53, float(2**53), 2**53 + 1)
@example([1], [1.0], [True])
def test_same_is_an_equivalence(one: Any, two: Any, three: Any) -> None:
    """It is reflexive, symmetric and transitive, also between whole numbers and those with a point."""
    assert same(one, one)
    assert same(one, two) is same(two, one)
    assert same(one, three) or not (same(one, two) and same(two, three))


# Order


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (-1, 0),
        (1, 2),
        (1, 1.5),
        (0.1, 1),
        (2**53, 2**53 + 1),
        (2.0**53, 2**53 + 1),
        (-1e300, -(2**63)),
        ("", "a"),
        ("A", "a"),
        ("Z", "a"),
        ("a", "aa"),
        ("a", "b"),
        ("10", "9"),
        ("z", "é"),
        ("2026-01-02", "2026-01-10"),
        ("\x00", "\x01"),
        # By UTF-16 code units: what lies beyond the first plane is written with surrogates, D800 to DFFF.
        ("\U0001f600", "\uffff"),
        ("\U0001f600", "\ue000"),
        ("\ud7ff", "\U00010000"),
        ("\U00010000", "\U00010001"),
        ("\U0010ffff", "\ue000"),
        ("a\U0001f600", "a\uff5e"),
    ],
)
def test_order(low: Any, high: Any) -> None:
    """Numbers are ordered by their value, texts by UTF-16 code units, as JavaScript and JSONata do."""
    pairs = [(low, high), (high, low), (low, low)]
    assert {
        "<": [True, False, False],
        "<=": [True, False, True],
        ">": [False, True, False],
        ">=": [False, True, True],
    } == {
        operator: [says(f"${{x}} {operator} ${{y}}", x=left, y=right) for left, right in pairs]
        for operator in ("<", "<=", ">", ">=")
    }


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=4), st.text(max_size=4))
def test_texts_are_ordered_by_their_code_units(left: str, right: str) -> None:
    """As a naive model, which splits characters into surrogates by hand, says."""
    assert (units(left) < units(right)) is says("${x} < ${y}", x=left, y=right)


def units(text: str) -> list[int]:
    found: list[int] = []
    for code in map(ord, text):
        if code < 0x10000:
            found.append(code)
        else:
            found += [0xD800 + (code - 0x10000) // 0x400, 0xDC00 + (code - 0x10000) % 0x400]
    return found


def test_half_a_surrogate_pair_has_an_order() -> None:
    """An output may hold one; it is a code unit like any other."""
    assert says("${x} < ${y}", x="\ud83d", y="\ud83e")


NO_ORDER = [None, True, False, [], [1], {}, {"a": 1}]


@pytest.mark.parametrize("operator", ["<", "<=", ">", ">="])
def test_what_has_no_order(operator: str) -> None:
    """Two numbers or two texts have one, any other pair fails, each side named by its kind."""
    for left, right in itertools.product([*NO_ORDER, 1, 1.5, "a"], repeat=2):
        if kind_of(left) == kind_of(right) and kind_of(left) in ("number", "text"):
            continue
        message = failure(f"${{x}} {operator} ${{y}}", x=left, y=right)
        assert (
            f"'{operator}' compares two numbers or two texts,"
            f" not {describe(left)} (${{x}}) and {describe(right)} (${{y}})"
        ) == message


# Membership


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("1 in [1, 2]", True),
        ("3 in [1, 2]", False),
        ("1 in []", False),
        ("1 in [1.0]", True),
        ("'1' in [1]", False),
        ("true in [1]", False),
        ("null in [null]", True),
        ("null in [false, 0, '']", False),
        ("[1] in [[1]]", True),
        ("1 in [[1]]", False),
        ("${m} in [${m}]", True),
        ("2 in ${l}", True),
        ("'b' in ${l}", False),
        ("1 not in [1]", False),
        ("3 not in [1]", True),
        ("1 not in []", True),
        ("not 1 in [1]", False),
    ],
)
def test_membership(text: str, result: bool) -> None:
    """A value is in a list that has one equal to it."""
    assert result is says(text, l=[1, 2], m={"a": 1})


@pytest.mark.parametrize("operator", ["in", "not in"])
@pytest.mark.parametrize(
    ("value", "kind"),
    [("text", "text"), ({"a": 1}, "a mapping"), (1, "a number"), (None, "null"), (True, "true or false")],
)
def test_in_takes_a_list(operator: str, value: Any, kind: str) -> None:
    """No part of a text, no key of a mapping: anything but a list fails."""
    assert f"'{operator}' takes a list, not {kind} (${{x}})" == failure(f"'a' {operator} ${{x}}", x=value)


# True and false

YES, NO = "1 == 1", "1 == 2"


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("true", True),
        ("false", False),
        ("${t}", True),
        ("${f}", False),
        ("not ${t}", False),
        ("not not ${t}", True),
        ("${t} and ${t}", True),
        ("${t} and ${f}", False),
        ("${f} and ${t}", False),
        ("${f} and ${f}", False),
        ("${t} or ${t}", True),
        ("${t} or ${f}", True),
        ("${f} or ${t}", True),
        ("${f} or ${f}", False),
        ("${t} and ${t} and ${f}", False),
        ("${f} or ${f} or ${t}", True),
        ("${t} or ${f} and ${f}", True),
        ("(${t} or ${f}) and ${f}", False),
        ("not ${f} and ${t}", True),
        ("not (${f} and ${t})", True),
    ],
)
def test_and_or_not(text: str, result: bool) -> None:
    """The truth tables, and which of them binds tighter."""
    assert result is says(text, t=True, f=False)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${f} and ${there_is_none}", False),
        ("${t} or ${there_is_none}", True),
        ("${f} and ${n}", False),
        ("${t} or ${n}", True),
        ("${f} and 1 < 'a'", False),
        ("${t} or 1 in 2", True),
        ("${x} != null and ${x} > 5", False),
        ("${x} == null or ${x} > 5", True),
        ("${f} and (${n} or ${n}) or ${t}", True),
    ],
)
def test_what_decides_first_decides(text: str, result: bool) -> None:
    """What follows is not evaluated: it may name what is not there, or be of any type."""
    assert result is says(text, t=True, f=False, n=1, x=None)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, "a number"),
        (0, "a number"),
        ("", "text"),
        ("true", "text"),
        (None, "null"),
        ([], "a list"),
        ({}, "a mapping"),
    ],
)
@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("${x}", "the condition"),
        ("not ${x}", "what follows 'not'"),
        ("${x} and true", "each side of 'and'"),
        ("true and ${x}", "each side of 'and'"),
        ("${x} or true", "each side of 'or'"),
        ("false or ${x}", "each side of 'or'"),
    ],
)
def test_nothing_else_is_true_or_false(text: str, what: str, value: Any, kind: str) -> None:
    """There is no truth in numbers, texts, lists or null: whatever is asked for it fails."""
    assert f"{what} must be true or false, not {kind} (${{x}})" == failure(text, x=value)


def test_what_is_written_out_is_not_named() -> None:
    """Only references have names."""
    assert "the condition must be true or false, not a number" == failure("1")


def test_a_message_does_not_show_values() -> None:
    """They may be long, or nobody's business: the kind is enough."""
    assert "hunter2" not in failure("${x} < 1", x="hunter2")


def test_a_condition_that_fails_is_not_retried() -> None:
    """The failure has its own code, and another attempt can't help."""
    with pytest.raises(ConditionFailed) as caught:
        says("1")
    assert ("ConditionError", False) == (caught.value.code, caught.value.retryable)


def test_a_path_that_is_not_there_fails() -> None:
    """As it does in any other place."""
    with pytest.raises(ReferenceFailed) as caught:
        says("${jobs.good.output.size} > 0")
    assert "${jobs.good.output.size}: jobs.good.output has no 'size'; it has: rows, none" == str(caught.value)


# Statuses


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("always()", True),
        ("not always()", False),
        ("succeeded(good)", True),
        ("succeeded(bad)", False),
        ("succeeded(left)", False),
        ("succeeded(stopped)", False),
        ("failed(good)", False),
        ("failed(bad)", True),
        ("failed(left)", False),
        ("failed(stopped)", False),
        ("failed(bad) and not succeeded(left)", True),
        ("[failed(bad)] == [true]", True),
    ],
)
def test_statuses(text: str, result: bool) -> None:
    """A job has succeeded, or failed, or neither: it was skipped or cancelled."""
    assert result is says(text)


# The whole, against a model


class Fails(Exception):
    """Something does not fit."""


def model(node: Node, values: dict[str, Any]) -> Any:
    """What a node amounts to, by the letter of the language."""
    match node:
        case Literal():
            return node.value
        case Operand():
            return values[node.reference.text]
        case Items():
            return [model(item, values) for item in node.items]
        case Call():
            wanted = {"succeeded": JobStatus.SUCCEEDED, "failed": JobStatus.FAILED}
            return node.job is None or JOBS[node.job].status is wanted[node.function]
        case Not():
            return not truth(node.of, values)
        case Combine("and"):
            return all(truth(part, values) for part in node.parts)
        case Combine():
            return any(truth(part, values) for part in node.parts)
    left, right = typed(model(node.left, values)), typed(model(node.right, values))
    match node.operator:
        case "==":
            return left == right
        case "!=":
            return left != right
        case "in" | "not in":
            if right[0] != "list":
                raise Fails
            return (left in right[1]) is (node.operator == "in")
    if left[0] != right[0] or left[0] not in ("number", "text"):
        raise Fails
    low, high = (units(left[1]), units(right[1])) if left[0] == "text" else (left[1], right[1])
    return {"<": low < high, "<=": low <= high, ">": low > high, ">=": low >= high}[node.operator]


def truth(node: Node, values: dict[str, Any]) -> bool:
    value = model(node, values)
    if not isinstance(value, bool):
        raise Fails
    return value


PLACE = (0, 1)
some_values = st.sampled_from(
    [None, True, False, 0, 1, 1.0, 2.5, "", "a", "b", "\U0001f600", "\uffff", [], [1], ["a"], {}]
)
names = st.sampled_from("xyz")
leaves = st.one_of(
    st.sampled_from([True, False, None, 0, 1, 1.0, "a", "b", ""]).map(lambda value: Literal(value, PLACE)),
    names.map(lambda name: Operand(Reference(name, "parameters", (name,)), PLACE)),
    st.builds(Call, st.sampled_from(["succeeded", "failed"]), st.sampled_from(list(JOBS)), st.just(PLACE)),
    st.just(Call("always", None, PLACE)),
)


def grown(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    place = st.just(PLACE)
    operators = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "not in"])
    compares = st.builds(Compare, operators, inner, inner, place)
    truths = compares | st.builds(Not, compares, place)
    parts = st.lists(truths | inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Items, st.lists(inner, max_size=3).map(tuple), place),
        st.builds(Not, truths | inner, place),
        st.builds(Combine, st.sampled_from(["and", "or"]), parts, place),
        compares,
    )


@settings(deadline=None, max_examples=700)
@given(st.recursive(leaves, grown, max_leaves=10), st.fixed_dictionaries(dict.fromkeys("xyz", some_values)))
def test_a_condition_says_what_the_model_says(node: Node, values: dict[str, Any]) -> None:
    """Any tree over any values is true, false, or fails, as the model says."""
    try:
        expected: bool | None = truth(node, values)
    except Fails:
        expected = None
    try:
        actual: bool | None = holds(node, scope(**values))
    except ConditionFailed:
        actual = None
    assert expected is actual


@settings(deadline=None, max_examples=200)
@given(plain_values)
def test_every_value_has_a_kind(value: Any) -> None:
    """The kind of a JSON value is that of the model's."""
    word = {None: "null", True: "boolean", False: "boolean"}
    assert (word[value] if typed(value)[0] == "word" else typed(value)[0]) == kind_of(value)


@pytest.mark.parametrize("name", [name for name, status in CALLS.items() if status is not None])
def test_a_call_is_true_for_the_status_of_its_name(name: str) -> None:
    """And for no other: what is called can't be taken for something else."""
    state = {str(status): JobState(status) for status in JobStatus}
    around = evolve(scope(), jobs=state)
    true = [each for each in state if holds(parse_condition(f"{name}({each})").root, around)]
    assert [name] == true
