"""What is wrong with a condition whatever its references bring."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bunsui.expressions.checking import Mismatch, mismatches
from bunsui.expressions.conditions import BadCondition, parse_condition
from bunsui.expressions.evaluation import ConditionFailed, holds
from bunsui.expressions.references import Reference
from bunsui.expressions.resolution import Scope
from bunsui.expressions.syntax import Combine, Compare, Items, Node, Not

#: The kind of value that each parameter of these tests has; z may be anything.
KINDS = {"t": "text", "n": "number", "b": "boolean", "l": "list", "m": "mapping"}


def kind(reference: Reference) -> str | None:
    return KINDS.get(reference.text)


def found(text: str) -> list[Mismatch]:
    return list(mismatches(parse_condition(text), kind))


HINT = 'compare it with something, as in ${x} == "a"'
TYPES = 'equality never crosses types: 1 and "1" differ'
ORDER = "compares two numbers or two texts, not "

MISMATCHES: list[tuple[str, str, str, str | None]] = [
    # What must be true or false
    ("${t}", "^^^^", "a condition must be true or false, not text", HINT),
    ("  ${n}", "  ^^^^", "a condition must be true or false, not a number", HINT),
    ("${l}", "^^^^", "a condition must be true or false, not a list", HINT),
    ("${m}", "^^^^", "a condition must be true or false, not a mapping", HINT),
    ("null", "^^^^", "a condition must be true or false, not null", None),
    ("'true'", "^^^^^^", "a condition must be true or false, not text", None),
    ("1", "^", "a condition must be true or false, not a number", None),
    ("[true]", "^^^^^^", "a condition must be true or false, not a list", None),
    ("not ${t}", "    ^^^^", "what follows 'not' must be true or false, not text", HINT),
    ("${b} and ${n}", "         ^^^^", "each side of 'and' must be true or false, not a number", HINT),
    ("(${n}) or ${b}", " ^^^^", "each side of 'or' must be true or false, not a number", HINT),
    (
        "${b} and not (${z} or 0)",
        " " * 22 + "^",
        "each side of 'or' must be true or false, not a number",
        None,
    ),
    # What can never be equal
    ("${t} == 1", "^^^^^^^^^", "text is compared with a number, so this is never true", TYPES),
    ("'1' != ${n}", "^" * 11, "text is compared with a number, so this is always true", TYPES),
    ("${b} == 'true'", "^" * 14, "true or false is compared with text, so this is never true", None),
    ("[] == ${m}", "^" * 10, "a list is compared with a mapping, so this is never true", None),
    ("not  ${t} == 1", "     ^^^^^^^^^", "text is compared with a number, so this is never true", TYPES),
    ("(${t} == 'a') == 1", "^" * 18, "true or false is compared with a number, so this is never true", None),
    (
        "${b} == (${t} == 1)",
        " " * 9 + "^" * 9,
        "text is compared with a number, so this is never true",
        TYPES,
    ),
    (
        "[${t} , (1 == 'a')] == ${l}",
        " " * 9 + "^" * 8,
        "a number is compared with text, so this is never true",
        TYPES,
    ),
    # What has no order
    ("${t} < 1", "^^^^^^^^", f"'<' {ORDER}text and a number", None),
    ("1 >= ${t}", "^^^^^^^^^", f"'>=' {ORDER}a number and text", None),
    ("${b} > 1", "^^^^", f"'>' {ORDER}true or false", None),
    ("1 > ${l}", "    ^^^^", f"'>' {ORDER}a list", None),
    ("${z} <= null", "        ^^^^", f"'<=' {ORDER}null", None),
    ("${z} < (1 == 1)", "        ^^^^^^", f"'<' {ORDER}true or false", None),
    ("${z} < always()", "       ^^^^^^^^", f"'<' {ORDER}true or false", None),
    # What holds nothing
    ("'a' in ${t}", "       ^^^^", "'in' takes a list, not text", None),
    ("'a' not in ${m}", "           ^^^^", "'not in' takes a list, not a mapping", None),
    ("${z} in 'abc'", "        ^^^^^", "'in' takes a list, not text", None),
    ("${t} in [1, 2]", "^" * 14, "text is looked for in a list without any, so it is never there", None),
    (
        "${n} not in ['a', []]",
        "^" * 21,
        "a number is looked for in a list without any, so it is never there",
        None,
    ),
]


@pytest.mark.parametrize(
    ("text", "carets", "message", "hint"), MISMATCHES, ids=[text for text, *_ in MISMATCHES]
)
def test_what_can_never_fit(text: str, carets: str, message: str, hint: str | None) -> None:
    """It is named, with its place in the text."""
    assert [(message, (carets.index("^"), carets.count("^")), hint)] == found(text)


def test_all_of_it_is_found() -> None:
    """Each place is reported, in the order of the text."""
    text = "${t} == 1 and 'a' in ${n} or not ${m}"
    assert [0, 21, 33] == [offset for _, (offset, _), _ in found(text)]


@pytest.mark.parametrize(
    "text",
    [
        "${b}",
        "${z}",
        "true",
        "always() and not failed(x)",
        "${z} == 1 and ${z} == 'a'",
        "${t} == null",
        "null != ${m}",
        "null == null",
        "${n} == 1.5",
        "${n} < ${n}",
        "${t} >= 'a'",
        "${z} < 1",
        "${z} > ${z}",
        "${z} in ${z}",
        "${t} in ${l}",
        "${t} in []",
        "${t} in [1, 'a']",
        "${t} in [${z}, 1]",
        "${t} in [null]",
        "${z} in [1, 2]",
        "null in [1]",
        "null in ${l}",
        "${l} == [1, 'a']",
        "${l} in [[1], []]",
        "(${t} == 'a') == ${b}",
        "${b} in [(1 == 1)]",
        # Nobody need give a parameter: both may be null.
        "${t} == ${n}",
        "${l} != ${m}",
        "${t} in [1, ${n}]",
        "${t} not in [${n}]",
    ],
)
def test_what_may_fit_is_not_reported(text: str) -> None:
    """Only a run can tell; nothing is said where nothing is known."""
    assert [] == found(text)


# Soundness: what is reported is really of no use

#: What a reference may bring that is said to be of a kind: null too, where a parameter was not given.
VALUES: dict[str, list[Any]] = {
    "t": ["", "a", "1", None],
    "n": [0, 1, 2.5, None],
    "b": [True, False, None],
    "l": [[], [1], ["a", [1]], None],
    "m": [{}, {"a": 1}, None],
    "z": [None, True, False, 0, 1, "", "a", [], [1], {}],
}
OPERATORS = ("==", "!=", "<", "<=", ">", ">=", "in", "not in")
atoms = st.sampled_from([*(f"${{{name}}}" for name in VALUES), "1", "'a'", "true", "null", "[]", "always()"])
texts = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(OPERATORS), inner),
        st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner),
        st.builds("(not {})".format, inner),
        st.lists(inner, min_size=1, max_size=2).map(lambda parts: f"[{', '.join(parts)}]"),
    ),
    max_leaves=6,
)


def outcomes(node: Node) -> set[bool | None]:
    """All that a node can come to, over all values of the kinds: true, false, and None where it fails."""
    used = sorted({name for name in VALUES if f"'{name}'" in str(node)})
    combinations: list[dict[str, Any]] = [{}]
    for name in used:
        combinations = [{**one, name: value} for one in combinations for value in VALUES[name]][:2000]
    results: set[bool | None] = set()
    for parameters in combinations:
        try:
            results.add(holds(node, Scope(parameters, {}, "s", datetime(2026, 1, 1, tzinfo=UTC), "p")))
        except ConditionFailed:
            results.add(None)
    return results


def demands(node: Node) -> dict[tuple[int, int], list[Node]]:
    """By the place of each part: the parts that can be asked whether they are of any use.

    Where something true or false is demanded that is the part itself; a side of a comparison is of use where
    the comparison is.
    """
    places: dict[tuple[int, int], list[Node]] = defaultdict(list)

    def visit(part: Node, asked: Node) -> None:
        places[part.span].append(asked)
        match part:
            case Not():
                visit(part.of, part.of)
            case Combine():
                for inner in part.parts:
                    visit(inner, inner)
            case Items():
                for inner in part.items:
                    visit(inner, inner)
            case Compare():
                places[part.span].append(part)
                visit(part.left, part)
                visit(part.right, part)

    visit(node, node)
    return places


@settings(deadline=None, max_examples=600)
@given(texts)
def test_what_is_reported_fails_or_never_changes(text: str) -> None:
    """What is said to be wrong fails, or comes to the same, whatever of its kind each reference brings."""
    try:
        condition = parse_condition(text)
    except BadCondition:
        return
    places = demands(condition.root)
    for _, span, _ in mismatches(condition, kind):
        assert any(len(outcomes(part) - {None}) <= 1 for part in places[span])


@settings(deadline=None, max_examples=600)
@given(texts)
def test_a_comparison_that_is_reported_by_itself_is_of_no_use(text: str) -> None:
    """Of a condition of one comparison the whole fails or comes to the same."""
    try:
        condition = parse_condition(text)
    except BadCondition:
        return
    if len(re.findall(r"==|!=|<=|>=|<|>|\b(?:in|and|or)\b|\[", text)) > 1:
        return
    if list(mismatches(condition, kind)):
        assert len(outcomes(condition.root) - {None}) <= 1


@settings(deadline=None, max_examples=300)
@given(texts)
def test_what_always_fails_by_its_types_alone_is_reported(text: str) -> None:
    """A comparison of kinds that are all known and can't be compared does not pass unnoticed."""
    try:
        condition = parse_condition(text)
    except BadCondition:
        return
    root = condition.root
    if not isinstance(root, Compare) or root.operator not in ("<", "<=", ">", ">="):
        return
    if "z" not in text and {None} == outcomes(root):
        assert list(mismatches(condition, kind))
