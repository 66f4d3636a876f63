"""The kinds of values, and what they are called."""

from __future__ import annotations

from typing import Any

import pytest

from bunsui.dsl.words import TYPES, kind
from bunsui.expressions.kinds import NAMES, describe, kind_of


@pytest.mark.parametrize(
    ("value", "of_schema"),
    [(None, "null"), (True, "boolean"), (1.5, "number"), ("x", "string"), ([], "array"), ({}, "object")],
)
def test_a_kind_is_called_the_same_at_load_and_at_run_time(value: Any, of_schema: str) -> None:
    """What a schema asks for is called what a run says that there is."""
    assert TYPES[of_schema] == describe(value) == NAMES[kind_of(value)]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (False, "false"),
        (3, "the number 3"),
        ("x", "the text 'x'"),
        ((), "a list"),
        ({}, "a mapping"),
        (b"", "bytes"),
    ],
)
def test_a_value_of_a_definition_is_shown(value: Any, shown: str) -> None:
    """As far as that is short; a key made in Python may be of any type."""
    assert shown == kind(value)
