"""Whether values fit the configuration's schema."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bunsui import ConfigError
from bunsui.configuration.checking import check, fits, parsed
from bunsui.configuration.keys import HIDDEN, KEYS, SCHEMA, USER_ONLY, schema_of
from bunsui.configuration.keys import example as example_of

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 50)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not x.is_integer())
    | st.sampled_from(
        ["", "a", "env:A", "env:", ":x", "a b", "REGION", "sqlite:///x.db", "é:1", "A\n", "x:\n"]
    )
    | st.text(max_size=5)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["gpu", "a b", "", "x\n", "é", "A1_-"]), inner, max_size=3)
    ),
    max_leaves=4,
)


def test_the_schema_is_one() -> None:
    """Of the draft that it names; every key has words, an example that fits, and a default that does."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for schema in KEYS.values():
        assert schema["description"]
        assert schema["title"]
        assert all(fits(value, schema) for value in schema["examples"])
        assert "default" not in schema or fits(schema["default"], schema)


@pytest.mark.parametrize("key", KEYS)
@given(value=VALUES)
@example(value=0)
@example(value=31_536_001)
@example(value={"gpu": True})
def test_it_says_what_jsonschema_says(key: str, value: Any) -> None:
    """For each key, of whatever value."""
    assert jsonschema.Draft202012Validator(KEYS[key]).is_valid(value) == fits(value, KEYS[key])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_are_finite(value: float) -> None:
    """TOML has others."""
    assert not fits(value, KEYS["lease"])


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("lease", "x", "f:1: lease is 'x'; it is a number of seconds above 0, at most a year, such as 30"),
        ("lease", True, "f:1: lease is true; it is a number of seconds above 0, at most a year, such as 30"),
        ("pools", {"gpu": 0}, "f:1: pools.gpu is 0; it is a whole number of at least 1, such as 2"),
        (
            "pools",
            {"g u": 1},
            "f:1: pools has the key 'g u'; a name is a letter, then up to 63 letters, digits, '_' or '-'",
        ),
        ("env", ["A", "B=hunter2"], "f:1: env[1] is not the name of a variable, without its value"),
        (
            "secrets",
            {"db": "hunter2"},
            "f:1: secrets.db is not where the value is found, as SOURCE:KEY, such as env:DB_PASSWORD;"
            " not the value",
        ),
    ],
)
def test_the_error_names_the_part_and_hides_what_may_be_secret(key: str, value: Any, expected: str) -> None:
    """With what it should be."""
    with pytest.raises(ConfigError) as caught:
        check(value, KEYS[key], "f:1: ", key, hidden=key in HIDDEN)
    assert expected == str(caught.value)


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("store", "true", "true"),
        ("lease", "30", 30),
        ("lease", "1.5", 1.5),
        ("lease", "soon", "soon"),
        ("max_concurrency", "8", 8),
        ("max_concurrency", "8.5", "8.5"),
        ("local", "true", True),
        ("local", "0", False),
        ("local", "yes", "yes"),
        ("env", '["A"]', ["A"]),
        ("env", "A", "A"),
        ("pools", '{"gpu": 2}', {"gpu": 2}),
        ("pools", "[" * 100_000, "[" * 100_000),
        ("pools.gpu", "2", 2),
        ("secrets.db", "env:A", "env:A"),
    ],
)
def test_a_text_is_read_by_the_type_of_its_key(key: str, text: str, expected: Any) -> None:
    """What can't be read stays a text, which does not fit."""
    assert expected == parsed(text, schema_of(key))


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("leese", "there is no key 'leese'; did you mean 'lease'?"),
        ("secret.db", "there is no key 'secret'; did you mean 'secrets'?"),
        ("lease.x", "there is no key 'lease.x'; 'lease' has no parts"),
        ("pools.a.b", "'a.b' can't be a name in 'pools'; a name is a letter"),
        ("pools.", "'' can't be a name in 'pools'"),
        ("", "there is no key ''; the keys are store, artifacts, logs, lease,"),
    ],
)
def test_a_key_that_is_none(key: str, expected: str) -> None:
    """Says which it may be."""
    with pytest.raises(ConfigError) as caught:
        schema_of(key)
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize("key", KEYS)
def test_examples_are_right(key: str) -> None:
    """What errors and guides offer can be set."""
    name, text = example_of(key)
    schema = schema_of(name)
    assert fits(parsed(text.strip("'"), schema), schema)


def test_what_only_the_user_says() -> None:
    """All that names secrets, variables, commands or who calls AWS; a new key that does has to come here."""
    assert {"alert_channels", "alerts", "aws", "aws_allowed_roles", "bindings", "env", "secrets"} == USER_ONLY
