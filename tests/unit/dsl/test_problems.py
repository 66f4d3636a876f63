"""How a problem is shown."""

from __future__ import annotations

import pytest

from bunsui.dsl.problems import Problem, did_you_mean, display_width, pointer, printable, quoted


def placed(source: str, column: int, length: int, hint: str | None = None) -> str:
    problem = Problem("c", "m", hint, "f", 3, column, length=length, source=source)
    return problem.render().split("\n", 1)[1]


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("code", "what"), "error[code]: what"),
        (Problem("code", "what", "do this"), "error[code]: what\n    do this"),
        (Problem("code", "what", file="f.yaml"), "f.yaml: error[code]: what"),
        (Problem("code", "what", path="/a/0"), "/a/0: error[code]: what"),
        (Problem("code", "what", severity="warning"), "warning[code]: what"),
        (
            Problem("code", "what", "do", "f.yaml", 14, 3, length=2, source="a bcd"),
            "f.yaml:14:3: error[code]: what\n   14 | a bcd\n      |   ^^ do",
        ),
    ],
)
def test_render(problem, text):
    """A problem shows place, severity, code and message, then source and hint where there are such."""
    assert text == problem.render()


@pytest.mark.parametrize("field", ["message", "hint", "file", "path", "source"])
def test_control_characters_are_escaped(field):
    """Nothing in a problem can send a control sequence to the terminal."""
    values = {"message": "m", "line": 1, "column": 1} | {field: "\x1b[31m\u202e\ud800\n"}
    if field == "path":
        del values["line"], values["column"]
    text = Problem("c", **values).render()
    assert "\\x1b[31m\\u202e\\ud800\\n" in text
    assert not {"\x1b", "\u202e", "\ud800"} & set(text)


def test_wide_characters():
    """Carets stand under what they mean where characters are two columns wide."""
    assert placed("水分: x", 5, 1) == "    3 | 水分: x\n      |       ^"


def test_carets_under_escapes():
    """Carets count a character that is shown escaped as its escape."""
    assert placed("a\tbc", 3, 2) == "    3 | a\\tbc\n      |    ^^"


def test_long_line():
    """Of a long line a window around the place is shown."""
    source = "x" * 500 + "here" + "y" * 500
    shown, below = placed(source, 501, 4).split("\n")
    at = below.index("^")
    assert ("here", "^^^^", 8 + 160) == (shown[at : at + 4], below[at:], len(shown))


def test_column_behind_the_line():
    """A place at the end of a line has a caret too."""
    assert placed("ab", 3, 1, "h") == "    3 | ab\n      |   ^ h"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a", "'a'"),
        ("it's", '"it\'s"'),
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        ({"k": [None, "水"]}, '{"k": [null, "水"]}'),
        ("x" * 100, "'" + "x" * 78 + "…"),
    ],
)
def test_quoted(value, shown):
    """A value is shown as text in quotes or as JSON, and shortened."""
    assert shown == quoted(value)


def test_pointer():
    """A pointer escapes tilde and slash, as RFC 6901 says."""
    assert pointer(["a/b", "~", 0, ""]) == "/a~1b/~0/0/"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("extrct", "did you mean 'extract'?"), ("zzz", None), ("", None), ("extract" * 100_000, None)],
)
def test_did_you_mean(name, hint):
    """The nearest candidate is named, if one is near; long texts are not compared in full."""
    assert hint == did_you_mean(name, ["extract", "load", "extrct" * 100_000])


def test_display_width():
    """Wide characters count twice, combining ones not at all."""
    assert [2, 4, 1] == [display_width(text) for text in ("ab", "水分", "e\u0301")]


def test_printable_keeps_text():
    """Text of any language is left as it is."""
    assert printable("é 水 ✓") == "é 水 ✓"


def test_sort_key():
    """Problems are ordered by file, line, column and path, numbers by their value."""
    problems = [
        Problem("c", "m", path="/jobs/2"),
        Problem("c", "m", path="/jobs/10"),
        Problem("c", "m", file="a", line=2, column=9),
        Problem("c", "m", file="a", line=10, column=1),
        Problem("c", "m", file="b", line=1, column=1),
    ]
    shuffled = [problems[i] for i in (3, 1, 4, 0, 2)]
    assert problems == sorted(shuffled, key=Problem.sort_key)
