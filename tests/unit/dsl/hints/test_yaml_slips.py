# ruff: noqa: E501 - rows of messages, written as they are shown
"""What is said of texts that are no YAML: where the slip is, and how to mend it."""

from __future__ import annotations

import contextlib

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bunsui.dsl.hints.yaml_slips import tag_hint
from bunsui.dsl.parser import parse
from bunsui.errors import DefinitionError

CHECK_INDENT = "this line is indented by 2 spaces, which fits nothing above it"
QUOTED = "something stands behind a quoted text"
CLOSED_LATE = "this quote is closed only on line 2"
NO_BREAK = "a no-break space (U+00A0) can't indent"
NEITHER = "is neither 'name: value' nor an item of a list"
#: (text, what is underlined, with its line; message; hint).
SLIPS = [
    ("a:\n\tb: 1\n", (2, "\t"), "a tab can't indent", "indent with spaces, not tabs"),
    ("a:\n  b: 1\n\tc: 1\n", (3, "\t"), "a tab can't indent", "indent with spaces, not tabs"),
    ("a: @b c\n", (1, "@b c"), "a text can't begin with '@'", 'put it in quotes: "@b c"'),
    ('a: @"b"\n', (1, '@"b"'), "a text can't begin with '@'", "put it in quotes: '@\"b\"'"),
    ("a: [x, %b]\n", (1, "%b"), "a text can't begin with '%'", 'put it in quotes: "%b"'),
    ("a: `b`  # c\n", (1, "`b`"), "a text can't begin with '`'", 'put it in quotes: "`b`"'),
    ("a: * *\n", (1, "* *"), "a text can't begin with '*'", 'put it in quotes: "* *"'),
    ("a: [ls, *.csv]\n", (1, "*.csv"), "a text can't begin with '*'", 'put it in quotes: "*.csv"'),
    ("a: & b\n", (1, "& b"), "a text can't begin with '&'", 'put it in quotes: "& b"'),
    ("a: >10 x\n", (1, ">10 x"), "a text can't begin with '>'", 'put it in quotes: ">10 x"'),
    ("a: |x\n", (1, "|x"), "a text can't begin with '|'", 'put it in quotes: "|x"'),
    (f"a: @{'b' * 99}\n", (1, f"@{'b' * 99}"), "a text can't begin with '@'", "put it in quotes"),
    ("a: x: y\n", (1, ":"), "a text that holds ': ' must stand in quotes", 'put it in quotes: "x: y"'),
    ("x y: b: c\n", (1, ":"), "a ':' can't stand here", "quote text that holds ': '"),
    ("a: 1\n  b: 2\n", (2, "b"), "'b' is indented more than 'a', which has a value already",
     "indent it by 0 spaces, as 'a' is"),
    ("- a: 1\n     b: 2\n", (2, "b"), "'b' is indented more than 'a', which has a value already",
     "indent it by 2 spaces, as 'a' is"),
    ('version "1.0"\nname: x\n', (1, 'version "1.0"'), f"'version \"1.0\"' {NEITHER}",
     "put a ':' behind the name: version: \"1.0\""),
    ("a:1\nb: 2\n", (1, "a:1"), f"'a:1' {NEITHER}", "put a space behind the ':': a: 1"),
    ("jobs:\n  -id: a\n   type: b\n", (2, "-id: a"), f"'-id: a' {NEITHER}", "put a space behind the '-': - id: a"),
    ("a: 1\nb\nc: 2\n", (2, "b"), f"'b' {NEITHER}", "write 'name: value'"),
    ("- a: 1\n  b = 2\n  c: 3\n", (2, "b = 2"), f"'b = 2' {NEITHER}", "put a ':' behind the name: b: 2"),
    ("a: - b\n", (1, "-"), "a list with '-' can't begin on the line of its field",
     "write a: [b], or begin the list on the next line"),
    ("a: 'b\nc: d\n", (1, "'"), "this quote is never closed", "put ' behind the text"),
    ('name: "Nightly\njobs:\n  - id: "a"\n', (1, '"'), "this quote is closed only on line 3",
     'put " behind the text that it opens'),
    ("a: 'it's fine'\n", (1, "s fine'"), QUOTED, "put it in other quotes: \"it's fine\""),
    ('a: "b" c\n', (1, "c"), QUOTED, "put the quotes around the whole text"),
    ('a: "b" "c"\n', (1, '"c"'), QUOTED, "put the quotes around the whole text"),
    ("a: {b: ${c}}\n", (1, "${c}"), "inside {...} a reference must stand in quotes", 'write "${c}"'),
    ("a: [b, x/${c}/y]\n", (1, "x/${c}/y"), "inside [...] a reference must stand in quotes", 'write "x/${c}/y"'),
    ("a: [b\nc: d\n", (1, "["), "this '[' is not closed", "put ']' behind the last item"),
    ("a: {b: 1\nc: d\n", (1, "{"), "this '{' is not closed", "put '}' behind the last item"),
    ("a: [b]]\n", (1, "]"), "this ']' closes nothing", "take it out"),
    ("a: {b: 1 c: 2}\n", (1, ":"), "',' or '}' is missing before this, in the '{' of column 4",
     "separate items with ','; quote a text that holds one of , : [ ] { }"),
    ("a:\n    b: 1\n  c: 2\n", (3, "c: 2"), CHECK_INDENT, "indent it by 4 spaces, as 'b' is"),
    ("a:\n    - b: 1\n\n  # x\n  - c: 2\n", (5, "- c: 2"), CHECK_INDENT, "indent it by 4 spaces, as '- b: 1' is"),
    ("a:\n    - b\n  c: 2\n", (3, "c: 2"), CHECK_INDENT, "indent it by 0 spaces, as 'a' is"),
    ("a:\n  - b: 1\n  c: 2\n", (3, "c: 2"), "a field can't stand between the items of a list",
     "begin it with '- ', or indent it as its item is"),
    ("a:\n  b: 1\n  - c\n", (3, "- c"), "an item of a list can't stand between fields",
     "put the list below a field of its own"),
    ('a: "C:\\users"\n', (1, "\\"), "a backslash that begins no escape", r"write \\ for a backslash, or single quotes"),
    ('a: "\\x1"\n', (1, "\\"), "a backslash that begins no escape", r"write \\ for a backslash, or single quotes"),
    ('a: "\\U12345g"\n', (1, "\\"), "a backslash that begins no escape", r"write \\ for a backslash, or single quotes"),
    ('condition: "p" == ${e}\n', (1, "== ${e}"), QUOTED, """put it in other quotes: '"p" == ${e}'"""),
    ("condition: '${e} == 'p''\n", (1, "p''"), QUOTED, """put it in other quotes: "${e} == 'p'\""""),
    ("condition: '${e}' == 'p'\n", (1, "== 'p'"), QUOTED, """put it in other quotes: "${e} == 'p'\""""),
    ("""condition: "p" in ['q', ${e}]\n""", (1, "in ['q', ${e}]"), QUOTED,
     """put it in other quotes: '"p" in [''q'', ${e}]'"""),
    ('condition: "p" or nonsense\n', (1, "or nonsense"), QUOTED, "put the quotes around the whole text"),
    ("a: 'say 'hi''\n", (1, "hi''"), QUOTED, """put it in other quotes: "say 'hi'\""""),
    (f'condition: "p" == "{"q" * 80}"\n', (1, f'== "{"q" * 80}"'), QUOTED, "put the quotes around the whole text"),
    ("a:\n  {% for x in y %}\n  - b\n", (2, "{%"), "'{%' can't stand here",
     "there is no templating of text; use for_each, or templates"),
    ('a: [b, "${c}]\nd: "${e}"\n', (1, '"'), CLOSED_LATE, 'put " behind the text that it opens'),
    ('a: [b, "${c}]\nd: ["e"]\n', (1, '"'), CLOSED_LATE, 'put " behind the text that it opens'),
    ("a: {b: 'c}\nd: {e: 'f'}\n", (1, "'"), CLOSED_LATE, "put ' behind the text that it opens"),
    ('a: ["b\n  c", d\ne: f\n', (1, "["), "this '[' is not closed", "put ']' behind the last item"),
    ("a: [b's, \"c\"\nd: 'e'\n", (1, "["), "this '[' is not closed", "put ']' behind the last item"),
    ("- a: b\n \u00a0c: d\n", (2, "\u00a0"), NO_BREAK, "indent with plain spaces"),
    ("a:\n  b: c\n\u00a0\u00a0d: e\n  f: g\n", (3, "\u00a0"), NO_BREAK, "indent with plain spaces"),
    ("a:\u00a0b\nc: d\n", (1, "a:\u00a0b"), f"'a:\\xa0b' {NEITHER}",
     "put a plain space behind the ':', not a no-break space (U+00A0)"),
    ('a: "C:\\data"\n', (1, "\\"), "a backslash that begins no escape", r"write \\ for a backslash, or single quotes"),
]  # fmt: skip


@pytest.fixture(params=["libyaml", "python"])
def each_yaml(request, monkeypatch):
    """Runs a test with libyaml, and with the parser that is used where libyaml is missing."""
    if request.param == "python":
        monkeypatch.setattr(yaml, "__with_libyaml__", False)


def problem(text):
    with pytest.raises(DefinitionError) as caught:
        parse(text)
    (found,) = caught.value.problems
    return found


@pytest.mark.usefixtures("each_yaml")
@pytest.mark.parametrize(("text", "where", "message", "hint"), SLIPS)
def test_slip(text, where, message, hint):
    """The problem stands where the slip is, says what it is, and how to mend it."""
    found = problem(text)
    underlined = found.source[found.column - 1 : found.column - 1 + found.length]
    assert (where, message, hint) == ((found.line, underlined), found.message, found.hint)


def test_an_unknown_slip():
    """What no hint is known for, is said in the parser's words."""
    found = problem("a:\n  b: 1\nc: !<x\n")
    assert (3, "while scanning a tag: did not find the expected '>'", None) == (
        found.line,
        found.message,
        found.hint,
    )


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("!failed(sum)", "write not failed(sum)"),
        ("!succeeded(load-1)", "write not succeeded(load-1)"),
        ("!Ref", "remove it, or quote the value; a reference is written ${name}"),
        (f"!failed({'x' * 1_000_000})", "remove it, or quote the value; a reference is written ${name}"),
    ],
)
def test_a_tag(tag, expected):
    """A negated call is written with a word."""
    assert expected == tag_hint(tag)


YAML = st.text(alphabet="ab:- \n\t\"'[]{},&*!|>%@`#$\\?", max_size=40)


@settings(max_examples=2000, deadline=None)
@given(YAML)
@example("a: b\n" * 10 + "c")
def test_any_text(text):
    """Whatever is wrong, it is said at a place in the text, and nothing else is raised."""
    with contextlib.suppress(DefinitionError):
        try:
            parse(text)
        except DefinitionError as error:
            lines = text.split("\n")
            for found in error.problems:
                assert 1 <= found.column <= len(lines[found.line - 1]) + 1
                assert found.render()
            raise


LONG = 2**20


@pytest.mark.parametrize(
    "text",
    [
        "a: [" + "x" * LONG + "\nb: c\n",
        "a: 'x' " + "y" * LONG,
        "a:\n    b: 1\n" + "    # c\n" * (LONG // 8) + "  c: 2\n",
        "a:\n" + "    b:\n" * (LONG // 8) + "  c: 2\n",
        "a: {b: " + "$" * LONG + "{c}}\n",
        "x" * LONG + ": y: z\n",
        " " * LONG + "a: b\n c: d\n",
        "a: " + "- " * LONG,
        "a: [" + "' " * LONG + '"\nb: "c"\n',
        "condition: 'a' " + "b" * LONG + "\n",
        "\u00a0" * LONG + "a: b\n  c: d\n",
        '"' + "\\U" * LONG,
    ],
    ids=range(12),
)
@pytest.mark.timeout(20)
def test_long_text(text):
    """What is looked at around the place is bounded."""
    with contextlib.suppress(DefinitionError):
        parse(text)
