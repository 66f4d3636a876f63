# ruff: noqa: E501 - rows of messages, written as they are shown
"""Hints for references and conditions: that they name what is meant."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bunsui.dsl.hints.slips import condition_hint, mismatch_hint, reference_hint
from bunsui.expressions.conditions import BadCondition, parse_condition
from bunsui.expressions.references import BadReference, parse

COMPUTED = "nothing is computed here: let a job compute it"
STRAIGHT = 'use straight quotes, as in "text"'
TRUE = "leave '== true' out: a comparison is true or false by itself"
DEFAULT = "a default stands in the declaration of the parameter, as 'default'"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${{ bucket }", "write ${bucket}"),
        ("${{ jobs.a.output[0] }", "write ${jobs.a.output[0]}"),
        ("${'bucket'}", "write ${bucket}"),
        ('${ "bucket" }', "write ${bucket}"),
        ("${}", "write the name of a parameter, as in ${source_bucket}"),
        ("${bucket:-raw}", DEFAULT),
        ("${bucket:=raw}", DEFAULT),
        ("${bucket.upper()}", COMPUTED),
        ("${rows + 1}", COMPUTED),
        ("${bucket | upper}", COMPUTED),
        ("${rows > 1}", COMPUTED),
        ("${a if b else c}", COMPUTED),
        ("${bucket['name']}", 'write double quotes: ${bucket["name"]}'),
        ("${bucket[-1]}", "an index counts from the start: [0] is the first item"),
        ("${bucket..name}", "take one of the dots out"),
        ("${bucket/orders", "close it with '}'; for a literal '${' write '$${'"),
        ("${AWS::Region}", "write ${env.NAME} for a variable, ${NAME} for a parameter"),
        ("${a b}", None),
        ("${jobs.list.output[files]}", "did you mean ${jobs.list.output.files}?"),
        ("${jobs[list].output[0].name}", "did you mean ${jobs.list.output[0].name}?"),
        ("${a[b][c]}", None),
        ("${jobs.a.output[“b”]}", STRAIGHT),
        (f"${{{'a' * 500}+}}", None),
    ],
)
def test_a_reference(text, expected):
    """The hint is the reference that was meant, or says what there is not."""
    with pytest.raises(BadReference):
        parse(text)
    assert expected == reference_hint(text)


@given(st.text(alphabet="ab.[]0 {}'\"|+:-()", max_size=20))
def test_what_is_suggested_is_a_reference(inner):
    """Whatever stands in the braces: what is to be written instead can be read."""
    hint = reference_hint(f"${{{inner}}}") or ""
    if found := re.fullmatch(r"(?:write |write double quotes: |did you mean )(\$\{.*\})\??", hint):
        parse(found[1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('${x} = "a"', None),
        ('${x} =~ "a"', "there are no patterns: let a job compute it"),
        ("${x} <> 1", "write '!=' for 'is not'"),
        ("${x} is 1", "compare with '=='"),
        ("${x} is not null", "compare with '!='"),
        ("${x} eq 1", "compare with '=='"),
        ("${x} in (1, 2)", "write a list in brackets, as in [1, 2]"),
        ("failed(a, b)", "name one job at a time: failed(a) or failed(b)"),
        ('failed("a")', "write the id of a job alone, as in failed(extract_data)"),
        ("succeeded(${jobs.a})", "write the id of a job alone, as in failed(extract_data)"),
        (
            "success()",
            "did you mean succeeded(job)? That all upstream succeeded is asked without a condition",
        ),
        ("failure()", "did you mean failed(job)?"),
        ("always", "did you mean always()?"),
        ("always and ${x}", "did you mean always()?"),
        (
            'contains(${x}, "a")',
            "there is only succeeded(job), failed(job) and always(); else let a job compute it",
        ),
        ("jobs.a.output > 0", "put all of it into braces: ${...}"),
        ("{{ x }} > 0", "write ${name}"),
        ("${{ x }} > 0", "write ${x}"),
        ("${x > 0", "close it with '}'; for a literal '${' write '$${'"),
        ("${x} > 0 and", None),
        ("${x} >= 10 == True", TRUE),
        ("${x} == 10 ==  true and ${y}", TRUE),
        ("${x} > 1 == False", "write 'not' before the comparison instead"),
        ("${x} > 1 != True", "write 'not' before the comparison instead"),
        ("${x} == 10 == 10", None),
        ("== 10", None),
        ("${x} == “prod”", STRAIGHT),
        ("\u2018${x}\u2019 == 1", STRAIGHT),
        ("${x} in (   1, 2)", "write a list in brackets, as in [1, 2]"),
    ],
)
def test_a_condition(text, expected):
    """The hint says how it is written here, at the place where the condition goes wrong."""
    with pytest.raises(BadCondition) as caught:
        parse_condition(text)
    assert expected == condition_hint(text, caught.value.offset)


@pytest.mark.parametrize(
    ("message", "text", "expected"),
    [
        ("a number is compared with a text, so this is never true", '${x} == "1"', "write numbers without quotes"),
        ("a number is compared with a text", '1  ==   [  "-1"', "write numbers without quotes"),
        ("a number is looked for in a list without any", '${x} in ["1"]', "write numbers without quotes"),
        ("true or false is compared with a text", "${x} == 'true'", "write true and false without quotes"),
        ("true or false is compared with a number, so", "${x} == 1", "write true or false"),
        (
            "each side of 'or' must be true or false, not a text",
            '"b"',
            'write the comparison again, or ${x} in ["a", "b"]',
        ),
        ("a condition must be true or false, not a text", '"always"', "write it without quotes: always()"),
        ("'>' compares two numbers or two texts, not a list", "${x}", "a list is not counted here: let a job compute it"),
        (
            "'in' takes a list, not a text",
            "${x}",
            'write a list, as in ["a", "b"]; a part of a text can\'t be looked for',
        ),
        ("a number is compared with a text, so this is never true", '${x} == "a"', None),
    ],
)  # fmt: skip
def test_a_mismatch(message, text, expected):
    """The hint says how the value that is meant is written."""
    assert expected == mismatch_hint(message, text)


SIZE = 2_000_000


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    ["1 ==" + " " * SIZE + '"x"', "in" * SIZE, "<" * SIZE, "'tru" * SIZE, "[" * SIZE],
    ids=["spaces", "in", "less", "true", "brackets"],
)
def test_a_mismatch_in_a_long_text(text):
    """What is looked at is bounded; of so many spaces, it took hours."""
    assert mismatch_hint("a number is compared with a text", text) is None


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("before", "here"),
    [
        ("in(" * SIZE + "\nx", ","),
        ("failed(" * SIZE + "\nx", ","),
        ("1" + " " * SIZE + "x", "is 1"),
        ("", "${" + "a" * SIZE + "!}"),
        ("", "${a" + " " * SIZE + "}"),
        ("", "${a" + "[b" * SIZE + "}"),
    ],
    ids=range(6),
)
def test_a_place_in_a_long_condition(before, here):
    """What is looked at on each side is bounded."""
    condition_hint(before + here, len(before))
