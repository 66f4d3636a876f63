"""The quick look at a job type's schema never takes one that JSON Schema would refuse."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, SchemaError

from bunsui.jobs.aws_lambda import LambdaJobType
from bunsui.jobs.batch import BatchJobType
from bunsui.jobs.custom import CustomJobType
from bunsui.jobs.ecs import EcsJobType
from bunsui.jobs.glue import GlueJobType
from bunsui.plugins.schemas import _KEYWORDS, _is_surely_valid, what_is_wrong

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.floats(-1, 1)
    | st.sampled_from(["string", "object", "[", "a+", ""]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
    max_leaves=5,
)
SCHEMAS = st.recursive(
    st.dictionaries(st.sampled_from(sorted({*_KEYWORDS, "if", "$ref", "unknown"})), VALUES, max_size=3),
    lambda inner: st.dictionaries(
        st.sampled_from(
            ["properties", "$defs", "items", "allOf", "not", "additionalProperties", "prefixItems"]
        ),
        inner | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2) | st.lists(inner, max_size=2),
        max_size=3,
    ),
    max_leaves=8,
)


def is_valid(schema: Any) -> bool:
    try:
        Draft202012Validator.check_schema(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    except SchemaError:
        return False
    return True


@given(SCHEMAS)
def test_what_is_surely_valid_is_valid(schema: Any) -> None:
    """Whatever the schema: only jsonschema refuses, and what is taken without it, it would have taken."""
    assert not _is_surely_valid(schema) or is_valid(schema)


@pytest.mark.parametrize("kind", [CustomJobType, LambdaJobType, EcsJobType, BatchJobType, GlueJobType])
def test_schemas_of_job_types_are_taken_without_jsonschema(kind: Any) -> None:
    """As those that come with bunsui show, the quick look is enough for what job types say."""
    assert (True, None) == (_is_surely_valid(dict(kind.schema)), what_is_wrong(dict(kind.schema)))


@pytest.mark.parametrize("keyword", sorted(_KEYWORDS))
def test_every_keyword_of_the_quick_look_is_json_schemas(keyword: str) -> None:
    """With a value that no keyword of it takes, jsonschema refuses each, but for those that take any."""
    refused = not is_valid({keyword: {"type": "nothing"} if keyword in ("items", "not") else 3.5})
    assert refused is (
        keyword not in ("default", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    )
