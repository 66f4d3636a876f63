"""Which records are wanted: what is asked for wrongly, and that no line is ruled out that is wanted."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bunsui.dsl.fields import DURATION_PATTERN
from bunsui.dsl.schema import seconds
from bunsui.errors import ConfigError
from bunsui.logging.filters import Filter, make_filter
from bunsui.logging.records import from_line, to_line
from bunsui.model.times import to_text

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
LINE = {
    "time": to_text(NOW),
    "level": "ERROR",
    "job": "load",
    "item": 0,
    "attempt": 2,
    "stream": "log",
    "logger": "app.db",
    "message": "took 3 s",
    "fields": {"table": "daily", "rows": 12, "tags": ["a", "b"], "of": {"x": None}},
    "exception": "ValueError: no\n",
}


def make(**given: Any) -> Filter:
    """A filter that asks for only these."""
    names = ("level", "since", "until", "grep", "fields")
    return make_filter(*(given.get(name) for name in names), now=NOW)


def wanted(found: Filter, block: bytes) -> list[bytes]:
    """The lines of a block that are given."""
    return [line for line in found.lines(block) if found.takes(from_line(line, "load"), line)]


def plainly(found: Filter, block: bytes) -> list[bytes]:
    """The same, by decoding every line."""
    return [line for line in block.split(b"\n") if line and found.takes(from_line(line, "load"), line)]


@pytest.mark.parametrize(
    "given",
    [
        {"level": "error"},
        {"since": NOW},
        {"since": "1s"},
        {"until": "2026-01-31T13:00:01+01:00"},
        {"grep": "3 s"},
        {"grep": "^took .* s$"},
        {"grep": "ValueError"},
        {"grep": r"no\n$"},
        {"fields": {"logger": "app.db", "item": "0", "attempt": 2, "job": "load", "level": "ERROR"}},
        {"fields": {"rows": "12", "table": "daily"}},
        {"fields": {"tags": '["a", "b"]'}},
        {"fields": {"of": {"x": None}}},
    ],
)
def test_takes(given):
    """A record that has what is asked for is given."""
    assert [to_line(LINE)[:-1]] == wanted(make(**given), to_line(LINE))


@pytest.mark.parametrize(
    "given",
    [
        {"level": "CRITICAL"},
        {"since": NOW + timedelta(microseconds=1)},
        {"until": NOW},
        {"grep": "load"},
        {"grep": "^3"},
        {"fields": {"rows": "1"}},
        {"fields": {"message": "took 3 s"}},
        {"fields": {"table": "dail"}},
        {"fields": {"nothing": "null"}},
    ],
)
def test_takes_not(given):
    """A record that lacks something that is asked for is not given."""
    assert [] == wanted(make(**given), to_line(LINE))


@given(st.from_regex(DURATION_PATTERN, fullmatch=True))
@example("1500ms")
@example("0.5h")
def test_a_duration_of_the_language_says_how_long_ago(duration):
    """Each means the same here, as far as there were times."""
    try:
        then = NOW - timedelta(seconds=seconds(duration))
    except OverflowError:
        with pytest.raises(ConfigError, match="which is no time"):
            make(since=duration)
        return
    assert Filter(since=to_text(then)) == make(since=duration)


@pytest.mark.parametrize(("text", "ago"), [("1w", 7 * 86400), ("10 m", 600), (" 2h ", 7200), ("0s", 0)])
def test_how_long_ago_may_also_be(text, ago):
    """Weeks, with spaces, and now."""
    assert Filter(since=to_text(NOW - timedelta(seconds=ago))) == make(since=text)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"level": "WARN"}, "there is no level 'WARN'; did you mean 'WARNING'?"),
        ({"level": "loud"}, "there is no level 'loud'; there are: DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ({"since": "yesterday"}, "since is 'yesterday', which is no time; such as '10m' (ago) or"),
        ({"until": "2026-01-31T12:00:00"}, "until is '2026-01-31T12:00:00', which is no time; such as"),
        ({"until": "999999999w"}, "until is '999999999w', which is no time"),
        ({"since": datetime(2026, 1, 31)}, "a time without offset; such as datetime.now"),  # noqa: DTZ001
        ({"since": 3}, "since is 3, which is no time"),
        ({"grep": "(a"}, "grep is '(a', which is no regular expression of RE2: missing )"),
        ({"grep": "(?<=a)b"}, "which is no regular expression of RE2"),
        ({"grep": "\udcff"}, "which is no regular expression of RE2: no UTF-8"),
        ({"grep": 3}, "grep is 3; it is a regular expression; such as"),
        ({"fields": ["a=b"]}, "it is a mapping of names to values"),
        ({"fields": {"a": {1}}}, "fields has a value that is no JSON"),
    ],
)
def test_wrong(given, said):
    """What is asked for wrongly is an error that says how it is done."""
    with pytest.raises(ConfigError) as raised:
        make(**given)
    assert said in str(raised.value)


#: What messages are made of here: all that JSON escapes, what it can write in more ways, and parts of lines.
PIECES = st.one_of(
    st.sampled_from(
        [
            "a",
            "B",
            "ab",
            " ",
            '"',
            "\\",
            "/",
            "\n",
            "\t",
            "\x1b",
            "\x7f",
            "\x85",
            "é",
            "水",
            "😀",
            "\ud83d",
            "\ude00",
            *("\u2028", "\u202e", "\\u0061", "\\n", '"level":"ERROR"', '"k":"a', "1", "{", "}", "null"),
        ]
    ),
    st.text(max_size=3),
)
TEXTS = st.lists(PIECES, max_size=5).map("".join)
VALUES = st.one_of(TEXTS, st.integers(), st.booleans(), st.none(), st.floats(), st.lists(TEXTS, max_size=2))
TIMES = st.integers(-3, 3).map(lambda seconds: NOW + timedelta(seconds=seconds))
LEVEL = st.sampled_from(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])


@st.composite
def lines(draw):
    """A line as it is written here, or by somebody else, or a damaged one."""
    record = {
        "time": to_text(draw(TIMES)),
        "level": draw(LEVEL),
        "job": "load",
        "attempt": 1,
        "stream": "log",
    }
    record |= {"logger": draw(TEXTS), "message": draw(TEXTS)}
    if draw(st.booleans()):
        record["fields"] = draw(st.dictionaries(st.sampled_from(["k", "é", '"', "a\nb"]), VALUES, max_size=2))
    if draw(st.booleans()):
        record["exception"] = draw(TEXTS)
    line = to_line(record)[:-1]
    kind = draw(st.sampled_from(["own", "own", "ascii", "torn", "broken"]))
    if kind == "ascii":
        line = json.dumps(record).encode()
    elif kind == "torn":
        line = line[: draw(st.integers(0, len(line)))]
    elif kind == "broken":
        at = draw(st.integers(0, len(line)))
        line = line[:at] + draw(st.sampled_from([b"\xff", b"\x00", b"{", b'"', b"\\"])) + line[at:]
    return line


GREPS = st.one_of(
    TEXTS,
    st.sampled_from(
        [
            "(?i)AB",
            "^a",
            "b$",
            "a|b",
            r"\w+\s\w",
            r"\Bb",
            r"\ba\b",
            "[^a]b",
            r"\x{e9}",
            r"\Q(a",
            ".",
            "",
            "a.b",
            r"\\",
        ]
    ),
)
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "level": LEVEL,
        "since": TIMES,
        "until": TIMES,
        "grep": GREPS,
        "fields": st.dictionaries(
            st.sampled_from(["k", "é", '"', "a\nb", "logger", "level", "attempt"]),
            st.one_of(VALUES, LEVEL),
            max_size=2,
        ),
    },
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(lines(), max_size=6), FILTERS)
@example([json.dumps(LINE | {"message": "\ud83d\ude00"}).encode()], {"grep": "😀"})
@example([to_line(LINE | {"message": "\ud83d\ude00"})[:-1]], {"grep": "😀"})
@example([b'{"time":"2026-01-31T12:00:00.000000Z","level":"ERROR","mess'], {"level": "ERROR"})
@example([to_line(LINE)[:-1]], {"fields": {"tags": ["a", "b"]}})
@example([b'{"time":"2026-01-31T12:00:00.000000Z","level":"ERROR","job":"a","message":"x'], {"grep": "ERR.R"})
def test_exact(found, given):
    """Looking for signs gives the very lines that decoding all of them gives, whatever stands in them."""
    try:
        chosen = make(**given)
    except ConfigError:
        return
    block = b"".join(line + b"\n" for line in found)
    assert plainly(chosen, block) == wanted(chosen, block)


def test_rules_out():
    """Of lines without what is looked for, none is decoded."""
    block = to_line(LINE | {"message": "é \x1b[31m \\ \n"}) * 3
    asked = [{"grep": "waits"}, {"level": "CRITICAL"}, {"fields": {"k": "v"}}, {"until": NOW}]
    assert [[], [], [], []] == [list(make(**each).lines(block)) for each in asked]


@pytest.mark.parametrize("message", ["it works", "\\ it works"])
def test_rules_out_before_the_message(message):
    """What an expression finds in time, level and logger does not have a line decoded."""
    block = to_line(LINE | {"logger": "app\\db", "message": message, "fields": {}, "exception": "E"}) * 3
    found = list(make(grep="time.*log").lines(block))
    assert (3 if "\\" in message else 0) == len(found)


def test_damaged():
    """A line that can't be read is given where all that is asked for stands in it."""
    torn = to_line(LINE)[:-40]
    assert [1, 1, 0, 0] == [
        len(wanted(make(level="ERROR", **each), torn + b"\n"))
        for each in ({"grep": "took"}, {"fields": {"table": "daily"}}, {"grep": "waits"}, {"until": NOW})
    ]
