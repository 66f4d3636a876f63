"""What is to be written instead of a value: that it is what the field takes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bunsui.dsl.fields import DURATION_PATTERN, IDENTIFIER_PATTERN, JOB_FIELDS, PIPELINE_FIELDS
from bunsui.dsl.hints.remedies import missing, remedy
from bunsui.dsl.schema import seconds

BOOLEAN, NUMBER, INTEGER, LIST = ({"type": name} for name in ("boolean", "number", "integer", "array"))
MAPPING, TEXT = {"type": "object"}, {"type": "string"}
TYPES = {"enum": ["string", "integer", "number", "boolean", "array", "object"]}
YES_NO = "without quotes; yes, no, on and off are text"
NO_REFERENCE = "a reference can't stand here: write the value itself"
ITEM = "then its other fields below"


@pytest.mark.parametrize(
    ("value", "schema", "path", "expected"),
    [
        ("${x}", BOOLEAN, ("allow_failure",), NO_REFERENCE),
        ("${x}", INTEGER, ("max_concurrency",), NO_REFERENCE),
        ("${x}", LIST, ("depends_on",), NO_REFERENCE),
        ("${x}", {"type": ["integer", "object"], "examples": [3]}, ("retry",), NO_REFERENCE),
        ("“3”", INTEGER, ("retry",), "write it without quotes: 3"),
        ("\u2018yes\u2019", BOOLEAN, ("required",), f"write true, {YES_NO}"),
        ("yes", BOOLEAN, ("required",), f"write true, {YES_NO}"),
        ("Off", BOOLEAN, ("required",), f"write false, {YES_NO}"),
        ("maybe", BOOLEAN, ("required",), None),
        ("3", INTEGER, ("retry",), "write it without quotes: 3"),
        (" -3 ", INTEGER, (), "write it without quotes: -3"),
        ("1.5", NUMBER, (), "write it without quotes: 1.5"),
        ("1.5", INTEGER, (), None),
        ("30s", NUMBER, ("delay",), "write the number of seconds: 30"),
        ("1h30m", NUMBER, ("delay",), "write the number of seconds: 5400"),
        ("extract", LIST, ("depends_on",), "write a list: [extract]"),
        ("a, b  c", LIST, ("depends_on",), "write a list: [a, b, c]"),
        ("a {b}", LIST, ("on",), None),
        ("x" * 99, LIST, ("on",), None),
        (5, TEXT, ("command", 1), 'write it as text: "5"'),
        (True, TEXT, ("condition",), 'write it as text: "true"'),
        (42, {"type": "string", "pattern": IDENTIFIER_PATTERN}, ("id",), None),
        ({"extract": {}}, LIST, ("jobs",), f"write a list: '- id: extract', {ITEM} 'id'"),
        ({"id": "load"}, LIST, ("jobs",), f"write a list: '- id: load', {ITEM} 'id'"),
        ({}, LIST, ("jobs",), f"write a list: '- id: extract', {ITEM} 'id'"),
        (None, LIST, ("jobs",), f"write a list: '- id: extract', {ITEM} 'id'"),
        ({"day": {}}, LIST, ("parameters",), f"write a list: '- name: day', {ITEM} 'name'"),
        ("extract", MAPPING, ("jobs", 0), f"write '- id: extract', {ITEM} 'id'"),
        ("two words", MAPPING, ("parameters", 3), f"write '- name: source_bucket', {ITEM} 'name'"),
        ({"load": "done"}, LIST, ("depends_on",), "write a list of ids: [load]"),
        ([{"name": "x"}], MAPPING, ("parameters",), "write it as 'name: value', not as a list"),
        (None, TEXT, ("name",), "write a value, or take the field out"),
        ([], {"type": "string", "examples": ["ETL"]}, ("name",), "such as ETL"),
        (True, {"type": ["integer", "object"], "examples": [3, {"a": 1}]}, ("retry",), "such as 3"),
        ("x", {"type": ["integer", "object"], "examples": [3, {"a": 1}]}, ("retry",), "such as 3"),
    ],
)
def test_a_value_of_another_kind(value, schema, path, expected):
    """The hint is the value as it ought to be written, or an example."""
    assert expected == remedy("type", value, schema, path)


@pytest.mark.parametrize(
    ("value", "schema", "path", "expected"),
    [
        ("str", TYPES, ("type",), "here it is called 'string'"),
        ("dict", TYPES, ("type",), "here it is called 'object'"),
        ("strng", TYPES, ("type",), "did you mean 'string'?"),
        ("String", TYPES, ("type",), "did you mean 'string'?"),
        ("dict", {"enum": ["fast"]}, ("type",), None),
        ("STOP", {"enum": ["continue", "stop"]}, ("on_failure",), "did you mean 'stop'?"),
        (None, {"enum": ["continue", "stop"]}, ("on_failure",), "write a value, or take the field out"),
    ],
)
def test_a_value_that_is_not_among_those_allowed(value, schema, path, expected):
    """The hint names the one that is meant, where that can be told."""
    assert expected == remedy("enum", value, schema, path)


def test_a_version_that_is_a_number():
    """It becomes a text."""
    assert 'write it as text: "1.0"' == remedy("const", 1.0, {"const": "1.0"}, ("version",))


@pytest.mark.parametrize("value", ["2.0", "1", 1, "v1"])
def test_another_version(value):
    """The hint has the quotes without which the version would be a number."""
    assert 'write version: "1.0"' == remedy("const", value, {"const": "1.0"}, ("version",))


def test_a_constant_without_a_name():
    """An item of a list has none."""
    assert "write 3" == remedy("const", 4, {"const": 3}, ("sizes", 0))


def test_a_name_that_is_a_reference():
    """What is suggested is not the name of what it refers to."""
    assert NO_REFERENCE == remedy("pattern", "${x}", {"pattern": IDENTIFIER_PATTERN}, ("pool",))


def test_a_choice_in_curly_quotes():
    """The hint is about the quotes, not the word."""
    assert 'use straight quotes: "array"' == remedy("enum", "“array”", TYPES, ("type",))


DURATION = {
    "type": ["number", "string"],
    "pattern": DURATION_PATTERN,
    "exclusiveMinimum": 0,
    "examples": ["9m"],
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("15 min", "write 15m"),
        ("8 hours", "write 8h"),
        ("1 Hour and 30 Minutes", "write 90m"),
        ("1h 30m", "write 90m"),
        ("90 seconds", "write 90s"),
        ("1.5 days", "write 36h"),
        ("500 milliseconds", "write 500ms"),
        ("00:15:00", "write 15m"),
        ("1:30", "write 90m"),
        ("PT15M", "write 15m"),
        ("P1DT1S", "write 86401s"),
        ("900", "write seconds without quotes: 900, or with a unit: 900s"),
        (0, "leave it out where there is no limit"),
        (-1, "leave it out where there is no limit"),
        (None, "leave it out where there is no limit"),
        ("soon", "such as 9m"),
        ("15 months", "such as 9m"),
        ("0s", "such as 9m"),
        (f"P{'9' * 5000}D", "such as 9m"),
        ("P999999999D", "write 999999999d"),
        (f"{'9' * 500} hours", "such as 9m"),
        ("999999999 days 1 second", "such as 9m"),
        (f"1{' ' * 1_000_000}x", "such as 9m"),
        ("1s " * 1_000_000, "such as 9m"),
        ("${minutes}m", NO_REFERENCE),
        ("$${minutes}", "such as 9m"),
        ("“15m”", 'use straight quotes: "15m"'),
        (f"\u2018{'x' * 61}\u2019", "use straight quotes"),
        ([], "such as 9m"),
    ],
)
def test_a_duration(value, expected):
    """As other tools write it, it becomes one of the language."""
    assert expected == remedy("pattern", value, DURATION, ("timeout",))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "leave 'cache' out where the job is to run each time"),
        (-1, "leave 'cache' out where the job is to run each time"),
        (None, "write a value, or take the field out"),
        ("1 day", "write 1d"),
    ],
)
def test_how_long_an_output_is_kept(value, expected):
    """There is no limit that could be left out: without the field it is an hour."""
    assert expected == remedy("pattern", value, DURATION, ("cache", "ttl"))


@given(
    st.lists(st.tuples(st.integers(1, 999), st.sampled_from(["s", "m", "h", "d"])), min_size=2, max_size=4)
)
def test_any_duration(terms):
    """What is to be written instead is a duration of the language, and as long."""
    given_ = " ".join(f"{count}{unit}" for count, unit in terms)
    hint = remedy("pattern", given_, DURATION, ("timeout",))
    written = re.fullmatch(r"write (\S+)", hint)[1]
    assert re.search(DURATION_PATTERN, written)
    assert sum(seconds(f"{count}{unit}") for count, unit in terms) == seconds(written)


@given(st.text(max_size=80))
def test_any_identifier(text):
    """A name that is suggested is one."""
    hint = remedy("pattern", text, {"pattern": IDENTIFIER_PATTERN}, ("id",))
    suggested = (hint or "").startswith("such as ")
    assert not suggested or re.search(IDENTIFIER_PATTERN, hint.removeprefix("such as "))


@pytest.mark.parametrize(
    ("name", "schema", "near", "expected"),
    [
        ("version", PIPELINE_FIELDS["version"], [], 'add version: "1.0"'),
        ("name", PIPELINE_FIELDS["name"], [], "such as name: ETL Pipeline"),
        ("id", JOB_FIELDS["id"], ["task"], "such as id: extract_data"),
        ("function", {}, ["fuction"], "did you mean 'function' where it says 'fuction'?"),
        ("jobs", {}, [], f"add jobs: and below it a list: '- id: extract', {ITEM} 'id'"),
        ("function", {}, [], None),
    ],
)
def test_a_missing_field(name, schema, near, expected):
    """The hint says where it is misspelt, or how it is written."""
    assert expected == missing(name, schema, near)
