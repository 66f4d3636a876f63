"""Which regular expressions a definition may bring."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from re import _constants as sre
from re import _parser
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bunsui.dsl.patterns import MAX_COST, MAX_LENGTH, cost, why_refused

ORDINARY = r"""
^[a-z0-9-]{3,63}$
^s3://[^/]+/.*$
^s3://([^/]+)/(.*?([^/]+)/?)$
^\d{4}-\d{2}-\d{2}$
^\d{4}\d{2}\d{2}$
^(dev|prod)$
^(json|yaml|yml|csv|parquet)$
^[\w.+-]+@[\w-]+(\.[\w-]+)+$
^[^@\s]+@[^@\s]+\.[^@\s]+$
^\S+@\S+\.\S+$
^[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}$
^[A-Za-z][A-Za-z0-9_-]{0,63}(?!\n)$
^(?=.*[1-9])[0-9]{1,9}(\.[0-9]{1,9})?(ms|s|m|h|d)(?!\n)$
^(?=.*\d)(?=.*[a-z])(?=.*[A-Z]).{8,}$
^(?!.*\.\.)[a-z.]+$
^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+(?!\n)$
^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$
^(\d{1,3}\.){3}\d{1,3}$
^((25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(25[0-5]|2[0-4]\d|1?\d?\d)$
^arn:(aws|aws-cn|aws-us-gov):lambda:[a-z]{2}(-gov)?-[a-z]+-\d:\d{12}:function:[a-zA-Z0-9-_]{1,64}(:(\$LATEST|[\w-]+))?$
^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,6}$
^P(\d+Y)?(\d+M)?(\d+D)?(T(\d+H)?(\d+M)?(\d+S)?)?$
^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]\d{2}:\d{2})$
^v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+)?$
^https?://[^\s/$.?#].[^\s]*$
^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*$
^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$
^-?\d+(\.\d+)?([eE][+-]?\d+)?$
^"(?:[^"\\]|\\.)*"$
^\w+( \w+)*$
^(\w+\s)*\w+$
^[A-Z][a-z]+(?: [A-Z][a-z]+)*$
^\s*\w+\s*=\s*\w+\s*$
^(/[^/]+)*/?$
^(.*/)?([^/]*)$
^.{1,1000}$
^cron\((\S+ ){5}\S+\)$
(?i)^[a-z]+$
^[à-ÿ]+\s[à-ÿ]+$
^[à-ÿœ]+(-[à-ÿœ]+)*$
\.csv$
[a-z]+
foo.*
.*\.csv
[^/]+\.csv$
""".strip().split("\n")  # fmt: skip
FOR_EVER = r"""
^(a+)+$
^(a*)*$
^(a|a)*$
^(a|ab|b)*$
^(a|aa)+$
^(a|a?)+$
^([a-z]+)*$
^(\w+\s?)*$
^(\d+)*x$
(x+x+)+y
^(?:a+){2,}b
^(?:a{2,9}){3,}b
((a*)*)*b
^(([a-z])+.)+[A-Z]([a-z])+$
^\s*(\S+\s*)*:$
^(?=(a+)+$)b
^(?!(a+)+$)b
^((?i:a)|A)+$
^(a?){30}a{30}$
^(a{1,9}){1,9}x$
^(.*a){20}$
^(.*,){11}P
.*.*.*.*=
a*a*a*a*b
^.{0,999}.{0,999}.{0,999}.{0,999}x
(a|b|ab)*c
^(ab|a|bc|c)*$
^(é|[à-ü]x?)+$
^(\w|[à-ÿ]x?)+$
""".strip().split("\n")


@pytest.mark.parametrize("pattern", ORDINARY)
def test_ordinary_patterns(pattern: str) -> None:
    """What people write to describe a parameter is accepted."""
    assert why_refused(pattern) is None


@pytest.mark.parametrize("pattern", FOR_EVER)
def test_patterns_that_take_for_ever(pattern: str) -> None:
    """What Python's matcher takes exponential time for, or the fourth power of the text's length, is not."""
    assert why_refused(pattern) is not None


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("^(a+)+$", "a repeated part of it can match the same text in several ways, which can take for ever"),
        ("(a?)*", "it repeats what may be empty, such as (a*)*, which can take for ever"),
        (
            "a*a*a*a*b",
            "too many of its repeats can match the same text, which can take very long; let fewer overlap,"
            " or begin with '^'",
        ),
        ("^(a?){20}b", "it has too many ways to match the same text, which can take very long"),
        (r"(a)\1", r"a reference to a group, such as \1, can take for ever to match"),
        ("(a)(?(1)b|c)", "a condition on a group, such as (?(1)a|b), can take for ever to match"),
        ("(", "it is no regular expression of Python: missing ), unterminated subpattern at position 0"),
        ("(?<=a+)b", "it is no regular expression of Python: look-behind needs a fixed width"),
        ("[[a]", "it is not clear: Possible nested set at position 1"),
        ("x" * (MAX_LENGTH + 1), "it has more than 1,000 characters"),
        ("(" * 51 + ")" * 51, "its groups are nested too deep"),
        ("((a{99}){99}){99}", "it is too large when its repeats are written out"),
        ("(?i)[\u0100-\uffff]", "a range of so many characters is slow to compile without regard to case"),
    ],
)
def test_reason(pattern: str, reason: str) -> None:
    """The one who wrote it is told what is wrong."""
    assert reason == why_refused(pattern)


@pytest.mark.parametrize(
    ("pattern", "length"),
    [
        ("^(dev|prod)$", 16 * 2**20),
        ("^[a-z]+$", 16 * 2**20),
        (r"[^/]+\.csv$", 4472),
        (r"^\S+@\S+\.\S+$", 271),
    ],
)
def test_cost_grows_with_the_ways(pattern: str, length: int) -> None:
    """A pattern that is read in one way may meet any text; one that is read in many, a short one."""
    assert cost(pattern, length) <= MAX_COST
    assert length == 16 * 2**20 or cost(pattern, length + 1) > MAX_COST


class Steps:
    """A matcher that backtracks and counts, and tries everything, as if it all failed in the end."""

    def __init__(self, text: str, most: int) -> None:
        self.text, self.left = text, most

    def search(self, pattern: str) -> None:
        """Goes through every way to match; AssertionError where they are too many."""
        items = list(_parser.parse(pattern))
        anchored = bool(items) and items[0] == (sre.AT, sre.AT_BEGINNING)
        for start in range(1 if anchored else len(self.text) + 1):
            for _ in self.match(items, start):
                pass

    def match(self, items: list[Any], at: int) -> Iterator[int]:
        """Where the items can end that begin at `at`."""
        assert self.left > 0, "too many steps"
        self.left -= 1
        if not items:
            yield at
            return
        (op, value), rest = items[0], items[1:]
        for end in self.one(op, value, at):
            yield from self.match(rest, end)

    def one(self, op: Any, value: Any, at: int) -> Iterator[int]:
        """Where one item can end."""
        char = self.text[at : at + 1]
        if op is sre.AT:
            if (at == 0) if value is sre.AT_BEGINNING else at == len(self.text):
                yield at
        elif op is sre.BRANCH:
            for body in value[1]:
                yield from self.match(list(body), at)
        elif op is sre.SUBPATTERN:
            yield from self.match(list(value[3]), at)
        elif op in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            least, most, body = value
            if most is sre.MAXREPEAT or most > 0:
                again = (op, (max(least - 1, 0), most if most is sre.MAXREPEAT else most - 1, body))
                for end in self.match(list(body), at):
                    if end > at or least > 0:
                        yield from self.one(*again, end)
            if least == 0:
                yield at
        elif char and re.fullmatch(self.class_of(op, value), char):
            yield at + 1

    @staticmethod
    def class_of(op: Any, value: Any) -> str:
        """The regular expression of one character."""
        if op is sre.ANY:
            return "."
        if op is sre.LITERAL:
            return re.escape(chr(value))
        return "[" + "".join(re.escape(chr(detail)) for _, detail in value) + "]"


PATTERNS = st.recursive(
    st.sampled_from(["a", "b", "[ab]", ".", "ab", "ba"]),
    lambda inner: st.one_of(
        st.builds("({}|{})".format, inner, inner),
        st.builds("{}{}".format, inner, inner),
        st.builds("({}){}".format, inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{2,}", "*?"])),
    ),
    max_leaves=7,
)


@given(
    pattern=PATTERNS,
    anchor=st.sampled_from(["", "^"]),
    end=st.sampled_from(["", "$", "c"]),
    text=st.tuples(*[st.text("ab", min_size=k, max_size=3) for k in (0, 1, 0)]),
    times=st.integers(1, 16),
)
@settings(max_examples=400, deadline=None)
def test_what_is_accepted_has_few_ways(
    pattern: str, anchor: str, end: str, text: tuple[str, str, str], times: int
) -> None:
    """Going through all ways to match what is accepted takes no more than its cost, but for a factor."""
    pattern = f"{anchor}{pattern}{end}"
    assume(why_refused(pattern) is None)
    word = text[0] + text[1] * times + text[2]

    # The factor: steps of this matcher for each character and each item of the pattern that is tried there.
    Steps(word, 20 * len(pattern) * cost(pattern, len(word) + 1)).search(pattern)


@given(st.text(alphabet="ab.^$*+?{}[]()|\\-,0129dwsWSDbBAZ:=!<P>#éœ\n", max_size=24))
@settings(max_examples=500, deadline=None)
def test_any_text(pattern: str) -> None:
    """Of any text it is said whether it can be used; what is accepted compiles."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if why_refused(pattern) is None:
            re.compile(pattern)
