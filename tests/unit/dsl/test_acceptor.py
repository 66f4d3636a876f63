"""The acceptor and the jsonschema library agree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from bunsui.dsl import schema
from bunsui.dsl.acceptor import _KNOWN, acceptor
from bunsui.dsl.parameters.fields import PARAMETER_TYPES
from bunsui.plugins.registry import Plugins

JOB_TYPES = Plugins(autoload=False).job_types

atoms = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 5),
    st.sampled_from([0.0, 1.0, 1.5, -0.0, 3.0]),
    st.sampled_from(["", "a", "ab", "abc", "1", "true"]),
)
values = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "b", "ab", ""]), inner, max_size=3)
    ),
    max_leaves=8,
)
types = st.sampled_from(["string", "integer", "number", "boolean", "array", "object", "null"])
bounds = st.integers(-1, 3)
sizes = st.integers(0, 2)


def keywords(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Schemas of the keywords that the acceptor understands, and of some that it does not."""
    return st.fixed_dictionaries(
        {},
        optional={
            "type": st.one_of(types, st.lists(types, min_size=1, max_size=3, unique=True)),
            "enum": st.lists(atoms, min_size=1, max_size=3),
            "const": atoms,
            "pattern": st.sampled_from(["^a", "b$", "^[a-z]{2}$"]),
            "minLength": sizes,
            "maxLength": sizes,
            "minimum": bounds,
            "maximum": bounds,
            "exclusiveMinimum": bounds,
            "exclusiveMaximum": bounds,
            "items": inner,
            "minItems": sizes,
            "maxItems": sizes,
            "properties": st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
            "required": st.lists(st.sampled_from(["a", "b"]), max_size=2, unique=True),
            "additionalProperties": st.one_of(st.booleans(), inner),
            "propertyNames": inner,
            "minProperties": sizes,
            "maxProperties": sizes,
            "description": st.just("x"),
            "multipleOf": st.integers(1, 3),
            "anyOf": st.lists(inner, min_size=1, max_size=2),
        },
    )


schemas = st.recursive(st.one_of(st.booleans(), st.just({})), keywords, max_leaves=6)


@settings(max_examples=500)
@given(schemas, values)
@example({"enum": [1]}, True)
@example({"const": 0}, False)
@example({"type": "integer"}, 1.0)
@example({"type": "integer"}, True)
@example({"enum": ["a"], "const": "b"}, "a")
def test_what_it_accepts_is_valid(json_schema: Any, value: Any) -> None:
    """Whatever the acceptor accepts, jsonschema does too."""
    if acceptor(json_schema)(value):
        assert Draft202012Validator(json_schema).is_valid(value)


field_values = st.one_of(
    values,
    st.sampled_from(
        ["15m", "${x}", "id", "custom", "thread", "process", 'x == "y"', ["a"], {"max_attempts": 3}, 60, 0.5]
    ),
)


@settings(max_examples=500)
@given(st.data())
@pytest.mark.parametrize("name", sorted(JOB_TYPES))
def test_it_accepts_every_valid_job(name: str, data: st.DataObject) -> None:
    """For the schemas of jobs it is exact, but for whole numbers written with a point."""
    json_schema = schema.job_schema(JOB_TYPES[name])
    fields = st.sampled_from([*json_schema["properties"], "unknown"])
    job = {"id": "a", "type": name, **dict.fromkeys(json_schema["required"], "x")}
    job |= data.draw(st.dictionaries(fields, field_values, max_size=4))
    valid = Draft202012Validator(json_schema).is_valid(job)
    accepted = acceptor(json_schema)(job)
    assert accepted == valid or (valid and ".0" in str(job))


def test_a_pattern_that_cannot_be_compiled_is_left_to_the_library() -> None:
    """It accepts nothing where it can't tell."""
    assert not acceptor({"type": "string", "pattern": "("})("a")


def within(json_schema: Any) -> Iterator[dict[str, Any]]:
    """A schema and all that stand in it."""
    if isinstance(json_schema, dict):
        yield json_schema
        for part in json_schema.get("properties", {}).values():
            yield from within(part)
        for name in ("items", "additionalProperties", "propertyNames"):
            yield from within(json_schema.get(name))


@pytest.mark.parametrize(
    "json_schema",
    [
        *(schema.PIPELINE, schema.ANY_JOB, schema.TEMPLATED, schema.TEMPLATE),
        *(schema.job_schema(job_type) for job_type in JOB_TYPES.values()),
        *(schema.parameter_schema(kind) for kind in PARAMETER_TYPES),
    ],
)
def test_the_schemas_of_the_language_have_only_known_keywords(json_schema: dict[str, Any]) -> None:
    """All of our own schemas is understood, at any depth: nothing falls back to the slow way."""
    found = list(within(json_schema))
    assert set() == {keyword for part in found for keyword in part} - _KNOWN
    assert len(found) > 2
