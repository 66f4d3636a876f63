"""Schemas rewritten for references: what they accept, over random schemas and values."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from bunsui.dsl.publishing.choices import ANY
from bunsui.dsl.publishing.referable import Referable, holds_reference

TYPES = ["string", "integer", "number", "boolean", "array", "object", "null"]
NAMES = st.sampled_from(["a", "b"])
SCALARS = st.sampled_from([None, True, False, 0, 1, 2.5, "", "x", "xyz", "$${x}"])


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=2)


VALUES = st.recursive(SCALARS, containers, max_leaves=6)


@st.composite
def keywords(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> Any:
    """A schema of a few keywords."""
    some = st.lists(inner, min_size=1, max_size=2)
    possible = {
        "type": st.sampled_from(TYPES)
        | st.lists(st.sampled_from(TYPES), min_size=1, max_size=3, unique=True),
        "enum": st.lists(VALUES, min_size=1, max_size=3),
        "const": VALUES,
        "minimum": st.integers(0, 2),
        "minLength": st.integers(0, 6),
        "maxLength": st.integers(0, 3),
        "pattern": st.sampled_from(["^x", "y", "^$"]),
        "items": inner,
        "prefixItems": some,
        "contains": inner,
        "maxContains": st.integers(0, 2),
        "minItems": st.integers(0, 2),
        "uniqueItems": st.booleans(),
        "properties": st.dictionaries(NAMES, inner, max_size=2),
        "patternProperties": st.dictionaries(st.just("^a"), inner, max_size=1),
        "additionalProperties": inner,
        "propertyNames": st.just({"maxLength": 1}),
        "required": st.lists(NAMES, max_size=2, unique=True),
        "minProperties": st.integers(0, 2),
        "dependentRequired": st.just({"a": ["b"]}),
        "dependentSchemas": st.dictionaries(NAMES, inner, max_size=1),
        "allOf": some,
        "anyOf": some,
        "oneOf": some,
        "not": inner,
        "if": inner,
        "then": inner,
        "else": inner,
        "unevaluatedProperties": inner,
        "unevaluatedItems": inner,
        "$ref": st.just("#/$defs/shared"),
    }
    chosen = draw(st.lists(st.sampled_from(list(possible)), max_size=4, unique=True))
    return {name: draw(possible[name]) for name in chosen}


SCHEMAS = st.recursive(st.booleans() | keywords(st.booleans()), keywords, max_leaves=5)
POINTING_AT_ITSELF = {"items": {"$ref": "#/$defs/shared"}, "properties": {"a": {"$ref": "#/$defs/shared"}}}
SHARED = st.builds(
    lambda schema, itself: {**schema, **itself},
    keywords(st.sampled_from([True, False, {"type": "integer"}, {"required": ["a"]}])).map(
        lambda schema: {key: value for key, value in schema.items() if key != "$ref"}
    ),
    st.sampled_from([{}, POINTING_AT_ITSELF]),
)


def rewritten(schema: Any, shared: Any = True, *, partial: bool = False) -> Draft202012Validator:
    """The validator of values of `schema` that may hold references."""
    defs = {
        "reference": {"type": "string", "pattern": ANY.holds},
        "holds-reference": holds_reference(ANY.holds),
    }
    made = Referable({"$defs": {"shared": shared}}, "t", defs, ANY, "jobs", partial=partial).value(schema)
    whole = {"allOf": [made], "$defs": defs}
    Draft202012Validator.check_schema(whole)
    return Draft202012Validator(whole)


def original(schema: Any, shared: Any = True) -> Draft202012Validator:
    return Draft202012Validator({"allOf": [schema], "$defs": {"shared": shared}})


@given(SCHEMAS, SHARED, VALUES)
def test_without_references_nothing_changes(schema, shared, value):
    """A value without references is valid where it was, and only there."""
    assert rewritten(schema, shared).is_valid(value) == original(schema, shared).is_valid(value)


@st.composite
def with_references(draw: st.DrawFn, value: Any) -> Any:
    """`value` with references instead of some of its parts."""
    if draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from(["${x}", "a ${parameters.x} b"]))
    if isinstance(value, dict):
        return {key: draw(with_references(part)) for key, part in value.items()}
    if isinstance(value, list):
        return [draw(with_references(part)) for part in value]
    return value


@given(SCHEMAS, SHARED, VALUES, st.data())
def test_what_references_can_make_valid_is_valid(schema, shared, value, data):
    """Where a value is valid, so is the same with references instead of any of its parts."""
    if original(schema, shared).is_valid(value):
        held = data.draw(with_references(value))
        assert rewritten(schema, shared).is_valid(held)


@st.composite
def parts_of(draw: st.DrawFn, value: Any) -> Any:
    """`value` without some of the fields of its mappings: the rest can be merged into it."""
    if isinstance(value, dict):
        return {key: draw(parts_of(part)) for key, part in value.items() if draw(st.booleans())}
    return value


@given(SCHEMAS, SHARED, VALUES, st.data())
def test_what_merging_can_make_valid_is_valid(schema, shared, value, data):
    """Where a value is valid, so is any part of it that something is merged with."""
    if original(schema, shared).is_valid(value):
        assert rewritten(schema, shared, partial=True).is_valid(data.draw(parts_of(value)))


@given(SCHEMAS, SHARED)
def test_the_schema_is_only_read(schema, shared):
    """A job type's schema is left as it is."""
    before = copy.deepcopy([schema, shared])
    rewritten(schema, shared)
    rewritten(schema, shared, partial=True)
    assert before == [schema, shared]


# Which references are wrong, one by one

REFUSED = [
    ({"type": "integer"}, "$${x}"),
    ({"type": "integer"}, "${x"),
    ({"type": "integer"}, "x"),
    ({"enum": ["a"]}, "$${x}"),
    ({"type": "object", "required": ["a"]}, {"b": "${x}"}),
    ({"type": "array", "maxItems": 1}, ["${x}", "${x}"]),
    ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}], "type": "object"}, {"a": "${x}", "b": 1}),
    ({"properties": {"a": {"const": 1}}, "additionalProperties": False}, {"a": "${x}", "c": 1}),
]


@pytest.mark.parametrize(("schema", "value"), REFUSED)
def test_refused(schema, value):
    """What no value of a reference can make valid is refused, where that is said of the shape alone."""
    assert not rewritten(schema).is_valid(value)


ROOT = {
    "$id": "https://example.com/types/t.json",
    "$defs": {"n/m": {"type": "integer"}, "anchored": {"$anchor": "here", "type": "boolean"}},
    "properties": {"list": {"type": "array", "prefixItems": [{"const": 3}]}},
}


@pytest.mark.parametrize(
    ("pointer", "right", "wrong"),
    [
        ("#/$defs/n~1m", 1, "x"),
        ("#/%24defs/n~1m", 1, "x"),
        ("t.json#/$defs/n~1m", 1, "x"),
        ("https://example.com/types/t.json#here", True, 1),
        ("#here", True, 1),
        ("#/properties/list/prefixItems/0", 3, 4),
    ],
)
def test_pointers_within_a_schema(pointer, right, wrong):
    """A job type's schema may point at its own parts in every way."""
    defs: dict[str, Any] = {"reference": {"type": "string", "pattern": ANY.holds}}
    made = Referable(ROOT, "t", defs, ANY, "jobs").value({"$ref": pointer})
    validator = Draft202012Validator({"allOf": [made], "$defs": defs})
    assert [True, False, True] == [validator.is_valid(value) for value in (right, wrong, "${x}")]


@pytest.mark.parametrize(
    "pointer", ["https://example.com/other.json", "#/$defs/nothing", "#nothing", "x.json"]
)
def test_pointers_elsewhere_say_nothing(pointer):
    """What a pointer names outside of the schema is not looked for; nothing dangles."""
    assert Referable(ROOT, "t", {}, ANY, "jobs").value({"title": "T", "$ref": pointer}) == {"title": "T"}
