"""Values against the schemas that a definition brings."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from bunsui import DefinitionError, Parameter, Pipeline
from bunsui.dsl.parameters.budget import MAX_COMPARISONS, Budget
from bunsui.dsl.parameters.inputs import resolve_parameters
from bunsui.dsl.parameters.patterns import size
from bunsui.dsl.parameters.values import ValueSchema, weight
from bunsui.dsl.parser import plain


def said(schema: Any, value: Any, budget: Budget | None = None) -> list[tuple[str, str, str]]:
    """(code, message, path) of what is wrong with a value."""
    document = plain({"v": value})
    budget = Budget() if budget is None else budget
    found = ValueSchema(schema).problems(document, document.data["v"], ("v",), "it", budget)
    return [(problem.code, problem.message, problem.path) for problem in found]


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"type": "array", "uniqueItems": True}, [1, "1", True, [1], {"a": 1}, None], []),
        (
            {"type": "array", "uniqueItems": True},
            [{"a": 1, "b": [2]}, {"b": [2.0], "a": 1.0}],
            [("bad-value", "it must not hold the same item twice", "/v")],
        ),
        ({"type": "string", "pattern": "^a+$"}, "aa", []),
        (
            {"type": "string", "pattern": "^a+$"},
            "ab",
            [("bad-value", "it is 'ab'; it must match the pattern ^a+$", "/v")],
        ),
        (
            {
                "type": "object",
                "patternProperties": {"^n_": {"type": "integer"}},
                "additionalProperties": False,
            },
            {"n_a": 1, "n_b": "x", "other": 1},
            [
                ("wrong-type", "'n_b' of it must be a whole number, not the text 'x'", "/v/n_b"),
                ("unknown-field", "it has no field 'other'", "/v/other"),
            ],
        ),
        (
            {"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "boolean"}},
            {"a": 1, "b": True, "c": 1},
            [("wrong-type", "'c' of it must be true or false, not the number 1", "/v/c")],
        ),
        (
            {"type": "object", "propertyNames": {"pattern": "^a"}},
            {"b": 1},
            [("bad-value", "'b' can't be a name in it; it must match the pattern ^a", "/v/b")],
        ),
        (
            {"properties": {"a": False}},
            {"a": 1},
            [("bad-value", "it holds what its schema does not allow", "/v")],
        ),
        (
            {"anyOf": [False, {"type": "string"}]},
            1,
            [
                (
                    "bad-value",
                    "it has none of the forms that it may have: it holds what its schema does not"
                    " allow; or it must be text, not the number 1",
                    "/v",
                )
            ],
        ),
    ],
)
def test_keywords_of_our_own(schema: Any, value: Any, expected: list[tuple[str, str, str]]) -> None:
    """The keywords that are not the library's say what is wrong, and where."""
    assert expected == said(schema, value)


KEYS = st.sampled_from(["a", "b", "ab", "1"])
ATOMS = st.one_of(st.none(), st.booleans(), st.integers(-1, 2), st.sampled_from([1.0, 0.0, "", "a", "ab"]))
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)
SCHEMAS = st.recursive(
    st.one_of(
        st.booleans(), st.fixed_dictionaries({"type": st.sampled_from(["string", "integer", "array"])})
    ),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "uniqueItems": st.booleans(),
            "pattern": st.sampled_from(["^a", "b$"]),
            "properties": st.dictionaries(KEYS, inner, max_size=2),
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "b$"]), inner, max_size=2),
            "additionalProperties": inner,
            "propertyNames": inner,
            "items": inner,
            "anyOf": st.lists(inner, min_size=1, max_size=2),
        },
    ),
    max_leaves=6,
)


@given(SCHEMAS, VALUES)
def test_it_agrees_with_the_library(schema: Any, value: Any) -> None:
    """Our keywords find something wrong where the library's do."""
    whole = {"allOf": [schema]}
    assert Draft202012Validator(whole).is_valid(value) == (said(whole, value) == [])


def test_comparing_is_bounded() -> None:
    """What the budget does not cover is refused, once, before anything is compared."""
    schema = {"type": "array", "items": {"multipleOf": 1}}
    assert (4, 3) == (weight(schema), weight([0, 1]))
    budget = Budget(12)
    assert [] == said(schema, [0, 1], budget)
    assert 0 == budget.left
    message = (
        "it is too much to check: against a schema of 4 keywords and values, no more than 0 values can be"
        " compared here"
    )
    assert [("too-complex", message, "/v")] == said(schema, [0, 1], budget)
    assert [] == said(schema, [0, 1], budget)


def test_what_is_plainly_right_costs_nothing() -> None:
    """The most items, of a type and within bounds, are checked without limit."""
    budget = Budget(0)
    assert [] == said({"type": "array", "items": {"type": "integer", "minimum": 0}}, [1] * 10_000, budget)
    assert 0 == budget.left


_LARGE = "(a|bc)*a(a|bc){300}$"


def test_a_large_pattern_costs_by_its_size() -> None:
    """It is the instructions that count, not how short the pattern is."""
    budget = Budget()
    assert [] == said({"type": "string", "pattern": _LARGE}, "a" * 400, budget)
    assert MAX_COMPARISONS - budget.left == 3 + size(_LARGE) // 10 > 50


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, 1), ("a" * 1023, 1), ("a" * 1024, 2), ([], 1), ([1, [2, {"a": 3}]], 6), ({"a" * 2048: 1}, 4)],
)
def test_weight(value: Any, expected: int) -> None:
    """Each value counts, and a text once more for each 1,024 characters."""
    assert expected == weight(value)


def test_what_a_session_is_started_with_may_cost_more() -> None:
    """A list that a definition could not give as a default can be given at the start."""
    items = {"anyOf": [{"multipleOf": 7}, {"multipleOf": 2}, {"multipleOf": 3}, {"multipleOf": 5}]}
    pipeline = Pipeline.from_dict(
        {
            "version": "1.0",
            "name": "n",
            "parameters": [{"name": "p", "type": "array", "items": items}],
            "jobs": [{"id": "a", "type": "lambda", "function": "f"}],
        }
    )
    values = list(range(0, 12_000, 2))
    assert {"p": values} == resolve_parameters(pipeline, {"p": values})
    with pytest.raises(DefinitionError, match="too much to check"):
        resolve_parameters(pipeline, {"p": list(range(0, 200_000, 2))})
    parameter = Parameter("p", type="array", default=values, constraints={"items": items})
    with pytest.raises(DefinitionError, match="too much to check"):
        Pipeline(name="n", jobs=pipeline.jobs, parameters=[parameter])
