"""Regular expressions that a definition brings."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bunsui.dsl.parameters.patterns import MAX_LENGTH, BadPattern, quick, search, size

ORDINARY = r"""
^[a-z0-9-]{3,63}$
^s3://([^/]+)/(.*?([^/]+)/?)$
^\d{4}-\d{2}-\d{2}$
^(dev|prod)$
^[\w.+-]+@[\w-]+(\.[\w-]+)+$
^[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}$
^((25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(25[0-5]|2[0-4]\d|1?\d?\d)$
^arn:(aws|aws-cn|aws-us-gov):lambda:[a-z]{2}(-gov)?-[a-z]+-\d:\d{12}:function:[a-zA-Z0-9-_]{1,64}(:(\$LATEST|[\w-]+))?$
^P(\d+Y)?(\d+M)?(\d+D)?(T(\d+H)?(\d+M)?(\d+S)?)?$
^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]\d{2}:\d{2})$
^v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+)?$
^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$
^cron\((\S+ ){5}\S+\)$
(?i)^[a-z]+$
^[à-ÿœ]+(-[à-ÿœ]+)*$
\.csv$
""".strip().split("\n")
#: What Python's matcher takes for ever over.
FOR_EVER = r"""
^(a+)+$
^(a|a)*$
^(a|aa)+$
^(\w+\s?)*$
(x+x+)+y
((a*)*)*b
^(a?){30}a{30}$
^(.*a){20}$
^(a{1,9}){1,9}$x
.*.*.*.*.*.*=.*
""".strip().split("\n")


@pytest.mark.parametrize("pattern", ORDINARY)
def test_ordinary_patterns(pattern: str) -> None:
    """What people write to describe a parameter can be used, and is quick."""
    assert quick(pattern)("?") is search(pattern, "?") is False


@pytest.mark.timeout(60)
@pytest.mark.parametrize("pattern", FOR_EVER)
def test_no_pattern_takes_for_ever(pattern: str) -> None:
    """A long text that almost matches is looked at once, not in every way."""
    assert search(pattern, "a" * 100_000 + "!") is False


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", "missing ): ("),
        ("[a", "missing ]: [a"),
        ("^(?=a)", "invalid perl operator: (?="),
        ("(?<=a)b", "invalid perl operator: (?<="),
        (r"(a)\1", r"invalid escape sequence: \1"),
        ("a{1001}", "invalid repetition size: {1001}"),
        ("x" * (MAX_LENGTH + 1), "it has more than 1,000 characters"),
        ("a{1000}" * 101, "it is too large when its repeats are written out"),
        (r"\pL{999}", "pattern too large - compile failed"),
    ],
)
def test_what_is_refused(pattern: str, reason: str, capfd: pytest.CaptureFixture[str]) -> None:
    """The one who wrote it is told what is wrong, and nobody else: nothing is printed."""
    for use in (size, lambda pattern: search(pattern, "a"), quick):
        with pytest.raises(BadPattern) as caught:
            use(pattern)
        assert reason == str(caught.value)
    assert ("", "") == capfd.readouterr()


def test_a_large_pattern_is_not_quick() -> None:
    """One that may cost much at each character can be used, but not as if it cost nothing."""
    pattern = "(a|bc)*a(a|bc){300}$"
    assert search(pattern, "a" * 400)
    with pytest.raises(BadPattern):
        quick(pattern)


PATTERNS = st.recursive(
    st.sampled_from(["a", "b", "[ab]", ".", "ab", "[^a]", "é", "\\w", "\\d"]),
    lambda inner: st.one_of(
        st.builds("({}|{})".format, inner, inner),
        st.builds("{}{}".format, inner, inner),
        st.builds("({}){}".format, inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{2,}", "*?"])),
    ),
    max_leaves=6,
)


@given(
    pattern=PATTERNS,
    anchor=st.sampled_from(["", "^"]),
    end=st.sampled_from(["", "$"]),
    text=st.text("abé1", max_size=8),
)
@settings(max_examples=300, deadline=None)
def test_it_agrees_with_python(pattern: str, anchor: str, end: str, text: str) -> None:
    """What both know means the same, but that \\w and \\d are ASCII here, as in JSON Schema."""
    whole = f"{anchor}{pattern}{end}"
    assert search(whole, text) == (re.search(whole, text, re.ASCII) is not None)


@given(st.text(alphabet="ab.^$*+?{}[]()|\\-,0129dwsWSDbBAZ:=!<P>#éœ\n", max_size=24))
@settings(max_examples=500, deadline=None)
def test_any_text(pattern: str) -> None:
    """Any text is a pattern or refused, and a pattern can be used."""
    try:
        size(pattern)
    except BadPattern:
        return
    assert search(pattern, "ab") in (True, False)
