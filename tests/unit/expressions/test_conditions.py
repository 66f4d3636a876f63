"""The text of a condition: its grammar, and what is said of a text that does not follow it."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bunsui.expressions.conditions import MAX_DEPTH, MAX_PARTS, BadCondition, parse_condition
from bunsui.expressions.references import parse
from bunsui.expressions.syntax import MAX_LENGTH, Call, Combine, Compare, Items, Literal, Node, Not, Operand

ANYWHERE = (0, 0)


def lit(value: Any) -> Literal:
    return Literal(value, ANYWHERE)


def ref(text: str) -> Operand:
    ((reference, _, _),) = parse(f"${{{text}}}")
    return Operand(reference, ANYWHERE)


def items(*nodes: Node) -> Items:
    return Items(nodes, ANYWHERE)


def call(function: str, job: str | None = None) -> Call:
    return Call(function, job, ANYWHERE)


def no(node: Node) -> Not:
    return Not(node, ANYWHERE)


def both(*parts: Node) -> Combine:
    return Combine("and", parts, ANYWHERE)


def either(*parts: Node) -> Combine:
    return Combine("or", parts, ANYWHERE)


def compare(left: Node, operator: str, right: Node) -> Compare:
    return Compare(operator, left, right, ANYWHERE)


A, B, C, D = ref("a"), ref("b"), ref("c"), ref("d")


def tree(text: str) -> Node:
    return parse_condition(text).root


def verdict(text: str) -> tuple[Node | None, BadCondition | None]:
    """The tree of a text, or why it is none; any other exception fails the test."""
    try:
        return tree(text), None
    except BadCondition as bad:
        return None, bad


def shape(node: Any) -> Any:
    """A tree as plain values that tells 1 from 1.0 and from true."""
    match node:
        case Literal():
            return (type(node.value).__name__, repr(node.value))
        case Operand():
            return ("${}", node.reference.text)
        case Items():
            return ["list", *map(shape, node.items)]
        case Call():
            return (node.function, node.job)
        case Not():
            return ("not", shape(node.of))
        case Combine():
            return (node.operator, *map(shape, node.parts))
        case Compare():
            return (node.operator, shape(node.left), shape(node.right))
    raise AssertionError(node)


# The grammar


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("0", 0),
        ("-0", 0),
        ("12", 12),
        ("-3", -3),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("1.0", 1.0),
        ("-0.5", -0.5),
        ("1e3", 1000.0),
        ("1E-2", 0.01),
        ("2.5e+1", 25.0),
        ("1.7976931348623157e308", 1.7976931348623157e308),
        ('""', ""),
        ("''", ""),
        ('"prod"', "prod"),
        ("'prod'", "prod"),
        ('"it\'s"', "it's"),
        ("'say \"no\"'", 'say "no"'),
        (r'"\"\\\/\b\f\n\r\t"', '"\\/\b\f\n\r\t'),
        (r"'\''", "'"),
        (r'"\u00e9"', "é"),
        (r'"\ud83d\ude00"', "\U0001f600"),
        (r'"\ud83d"', "\ufffd"),
        ('"é水\U0001f600"', "é水\U0001f600"),
        ('"two\nlines"', "two\nlines"),
        ('"# no comment // /* */"', "# no comment // /* */"),
        ('"true"', "true"),
        ('"$"', "$"),
        ('"$ {a} $5"', "$ {a} $5"),
        ('"$${a}"', "${a}"),
        ('"$$${a}"', "$${a}"),
        (r'"\\$${a}"', r"\${a}"),
        (r'"\u0024\u0024{a}"', "$${a}"),
        (r'"\u0024{a}"', "${a}"),
        ('"{{ a }} {% a %} %s {0}"', "{{ a }} {% a %} %s {0}"),
    ],
)
def test_what_is_written_out(text: str, value: Any) -> None:
    """Texts, numbers and the three words are as in JSON; texts may stand in single quotes too."""
    assert shape(lit(value)) == shape(tree(text))


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("${a}", A),
        ("${ a }", A),
        ('${jobs.x.output["a b"][0].c}', ref('jobs.x.output["a b"][0].c')),
        ("${parameters.and}", ref("parameters.and")),
        ("[]", items()),
        ("[1, 'a', ${a}, [true]]", items(lit(1), lit("a"), A, items(lit(True)))),
        ("[(1 == 2), always()]", items(compare(lit(1), "==", lit(2)), call("always"))),
        ("succeeded(load_data)", call("succeeded", "load_data")),
        ("failed(a-1_B)", call("failed", "a-1_B")),
        ("succeeded ( not )", call("succeeded", "not")),
        ("failed(always)", call("failed", "always")),
        ("always()", call("always")),
        *((f"${{a}} {op} ${{b}}", compare(A, op, B)) for op in ("==", "!=", "<", "<=", ">", ">=", "in")),
        ("${a} not in ${b}", compare(A, "not in", B)),
        ("${a}not  in${b}", compare(A, "not in", B)),
        ("${a}==${b}and'x'!=${c}", both(compare(A, "==", B), compare(lit("x"), "!=", C))),
        ("not ${a}", no(A)),
        ("not not ${a}", no(no(A))),
        ("not(${a})", no(A)),
        ("${a} and ${b} and ${c}", both(A, B, C)),
        ("${a} or ${b} or ${c}", either(A, B, C)),
        ("((${a}))", A),
        (" \t\r\n${a}\n ", A),
    ],
)
def test_what_each_form_means(text: str, node: Node) -> None:
    """Every form of the grammar makes its tree."""
    assert shape(node) == shape(tree(text))


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("${a} or ${b} and ${c}", either(A, both(B, C))),
        ("${a} and ${b} or ${c}", either(both(A, B), C)),
        ("${a} and ${b} or ${c} and ${d}", either(both(A, B), both(C, D))),
        ("(${a} or ${b}) and ${c}", both(either(A, B), C)),
        ("${a} and (${b} and ${c})", both(A, both(B, C))),
        ("not ${a} and ${b}", both(no(A), B)),
        ("not (${a} and ${b})", no(both(A, B))),
        ("not ${a} == ${b}", no(compare(A, "==", B))),
        ("(not ${a}) == ${b}", compare(no(A), "==", B)),
        ("not ${a} in ${b}", no(compare(A, "in", B))),
        ("not ${a} not in ${b}", no(compare(A, "not in", B))),
        ("${a} and not ${b} or ${c}", either(both(A, no(B)), C)),
        ("${a} == ${b} and ${c} < 1", both(compare(A, "==", B), compare(C, "<", lit(1)))),
        ("(${a} == ${b}) == ${c}", compare(compare(A, "==", B), "==", C)),
        ("${a} == -1", compare(A, "==", lit(-1))),
    ],
)
def test_precedence(text: str, node: Node) -> None:
    """Comparison binds tighter than not, not than and, and than or; parentheses decide otherwise."""
    assert shape(node) == shape(tree(text))


def test_references_and_calls_come_in_the_order_of_the_text() -> None:
    """Whoever checks names finds all of them, each as often as it stands there."""
    condition = parse_condition("${b} == ${a} and not failed(y) or ${b} in [${c}, succeeded(x)]")
    assert ["b", "a", "b", "c"] == [operand.reference.text for operand in condition.operands]
    assert [("failed", "y"), ("succeeded", "x")] == [(one.function, one.job) for one in condition.calls]


@pytest.mark.parametrize(
    ("text", "replaces"),
    [
        ("${a}", False),
        ("${jobs.a.status} == 'failed'", False),
        ('"always()" == "failed(a)"', False),
        ("${always}", False),
        ("always()", True),
        ("${a} and succeeded(b)", True),
        ("not (${a} or [failed(b)] == [true])", True),
    ],
)
def test_what_replaces_all_upstream_succeeded(text: str, replaces: bool) -> None:
    """A condition that calls one of the three functions, wherever in it."""
    assert replaces is parse_condition(text).replaces_upstream


@pytest.mark.parametrize(
    ("text", "part", "node"),
    [
        ("  ${ a }  ", "${ a }", Operand),
        (" 'x y' ", "'x y'", Literal),
        ("(-1.5)", "-1.5", Literal),
        ("null == null", "null", Literal),
        ("[ 1 , 2 ] == ${a}", "[ 1 , 2 ]", Items),
        ("${a} or succeeded( b )", "succeeded( b )", Call),
        ("${a} and not  ${b}  or ${c}", "not  ${b}", Not),
        ("(${a}  ==  1 )", "${a}  ==  1", Compare),
        ("(${a} or ${b}) and ${c}  ", "(${a} or ${b}) and ${c}", Combine),
        ("(${a} or ${b}) and ${c}", "${a} or ${b}", Combine),
    ],
)
def test_each_part_knows_its_place(text: str, part: str, node: type) -> None:
    """The first part of a kind spans what its author wrote, without the space around it."""
    found = next(one for one in walk(tree(text)) if isinstance(one, node) and spanned(text, one) == part)
    assert (text.index(part), len(part)) == found.span


def walk(node: Node) -> list[Node]:
    match node:
        case Items():
            return [node, *(inner for item in node.items for inner in walk(item))]
        case Not():
            return [node, *walk(node.of)]
        case Combine():
            return [node, *(inner for part in node.parts for inner in walk(part))]
        case Compare():
            return [node, *walk(node.left), *walk(node.right)]
    return [node]


def spanned(text: str, node: Node) -> str:
    offset, length = node.span
    return text[offset : offset + length]


# What is no condition

VALUE = "expected a value, found "
MORE = "expected 'and', 'or' or the end, found "
END = "the end of the condition"
STANDS = " can't stand in a condition"
NUMBER = "a number is written as in JSON, such as 12, -0.5 or 1e6"
BITS = "the number does not fit into 64 bits"
ARITHMETIC = "there is no arithmetic: let a job compute it"
ATTRIBUTES = "values have no attributes here; a path stands inside the braces: ${jobs.ID.output.rows}"
BRACES = "write ${name} for a reference; there are no mappings here"
CHAIN = "compare two values at a time, and join comparisons with 'and'"
FUNCTIONS = "there are succeeded(job), failed(job) and always()"
QUOTED = "what stands in quotes is plain text, not a reference"
QUOTES = "take the quotes away for the reference; for a literal '${' write '$${'"
OPEN_TEXT = "the text has no closing quote"
NESTED = f"parentheses, lists and 'not' are nested more than {MAX_DEPTH} deep"
REFERENCE = (
    "a reference is a name and its path, such as ${parameters.x} or ${jobs.ID.output.x};"
    " for a literal '${' write '$${'"
)


def alone(name: str) -> str:
    return f'write ${{{name}}} for a parameter, or "{name}" for a text'


#: A text, the carets below it, and what is said of it.
BAD: list[tuple[str, str, str, str | None]] = [
    ("", "^", "the condition is empty", None),
    ("  ", "^", "the condition is empty", None),
    # Incomplete
    ("(", " ^", VALUE + END, None),
    (")", "^", VALUE + "')'", None),
    ("()", " ^", VALUE + "')'", None),
    ("(${a}", "     ^", f"expected ')', found {END}", None),
    ("${a})", "    ^", MORE + "')'", None),
    ("${a} ==", "       ^", VALUE + END, None),
    ("== ${a}", "^^", VALUE + "'=='", CHAIN),
    ("${a} and", "        ^", VALUE + END, None),
    ("or ${a}", "^^", VALUE + "'or'", None),
    ("${a} and or ${b}", "         ^^", VALUE + "'or'", None),
    ("not", "   ^", VALUE + END, None),
    ("${a} not", "        ^", f"expected 'in' after 'not', found {END}", None),
    ("${a} not ${b}", "         ^^^^", "expected 'in' after 'not', found '${b}'", None),
    ("${a} in", "       ^", VALUE + END, None),
    ("in ${a}", "^^", VALUE + "'in'", None),
    ("${a} in not [1]", "        ^^^", VALUE + "'not'", None),
    ("${a} == not ${b}", "        ^^^", VALUE + "'not'", None),
    ("${a} ${b}", "     ^^^^", MORE + "'${b}'", None),
    ("1 'a'", "  ^^^", MORE + "\"'a'\"".replace('"', "'"), None),
    ("[1, 2", "     ^", f"expected ',', found {END}", None),
    ("[1 2]", "   ^", "expected ',', found '2'", None),
    ("[1,, 2]", "   ^", VALUE + "','", None),
    ("[, 1]", " ^", VALUE + "','", None),
    ("[1, ]", "    ^", VALUE + "']'", None),
    # Two comparisons at once
    ("1 < ${a} < 3", "         ^", MORE + "'<'", CHAIN),
    ("${a} == ${b} == ${c}", "             ^^", MORE + "'=='", CHAIN),
    ("${a} <> 1", "      ^", VALUE + "'>'", CHAIN),
    ("${a} in [1] in [2]", "            ^^", MORE + "'in'", None),
    # What other languages have
    ("${a} = 1", "     ^", f"'='{STANDS}", "compare with '=='"),
    ("${a} === 1", "       ^", f"'='{STANDS}", "compare with '=='"),
    ("${a} && ${b}", "     ^", f"'&'{STANDS}", "write 'and'"),
    ("${a} || ${b}", "     ^", f"'|'{STANDS}", "write 'or'"),
    ("!${a}", "^", f"'!'{STANDS}", "write 'not', or '!='"),
    ("${a} AND ${b}", "     ^^^", MORE + "'AND'", "write 'and'"),
    ("${a} OR ${b}", "     ^^", MORE + "'OR'", "write 'or'"),
    ("NOT ${a}", "^^^", "'NOT' alone is not a value", "write 'not'"),
    ("True", "^^^^", "'True' alone is not a value", "write 'true'"),
    ("${a} == False", "        ^^^^^", "'False' alone is not a value", "write 'false'"),
    ("${a} == None", "        ^^^^", "'None' alone is not a value", "write 'null'"),
    ("${a} is null", "     ^^", MORE + "'is'", None),
    ("${a} if ${b} else ${c}", "     ^^", MORE + "'if'", None),
    ("rows > 0", "^^^^", "'rows' alone is not a value", alone("rows")),
    ("${a} == prod", "        ^^^^", "'prod' alone is not a value", alone("prod")),
    ("x" * 99, "^" * 99, f"'{'x' * 40}' alone is not a value", alone("x" * 99)),
    ("${a} + 1", "     ^", f"'+'{STANDS}", ARITHMETIC),
    ("${a} - 1", "     ^", f"'-'{STANDS}", ARITHMETIC),
    ("${a} * 2", "     ^", f"'*'{STANDS}", ARITHMETIC),
    ("${a} / 2", "     ^", f"'/'{STANDS}", ARITHMETIC),
    ("${a} % 2", "     ^", f"'%'{STANDS}", ARITHMETIC),
    ("${a} -1", "     ^^", MORE + "'-1'", None),
    ("${a}.b", "    ^", f"'.'{STANDS}", ATTRIBUTES),
    ("'a'.upper()", "   ^", f"'.'{STANDS}", ATTRIBUTES),
    ("${a}[0]", "    ^", MORE + "'['", None),
    ("{}", "^", f"'{{'{STANDS}", BRACES),
    ("${a}}", "    ^", f"'}}'{STANDS}", BRACES),
    ("{{ a }}", "^", f"'{{'{STANDS}", BRACES),
    ("$a", "^", f"'$'{STANDS}", "a reference is written ${name}"),
    ("$(a)", "^", f"'$'{STANDS}", "a reference is written ${name}"),
    ("$${a}", "^", f"'$'{STANDS}", "a reference is written ${name}"),
    ("${a} ; ${b}", "     ^", f"';'{STANDS}", None),
    ("${a} # why", "     ^", f"'#'{STANDS}", None),
    ("`a`", "^", f"'`'{STANDS}", None),
    ("é == 1", "^", f"'é'{STANDS}", None),
    ("${a} \uff1d\uff1d 1", "     ^", f"'\uff1d'{STANDS}", None),
    ("${a} == \u201cx\u201d", "        ^", f"'\u201c'{STANDS}", None),
    ("${a}\x00", "    ^", rf"'\x00'{STANDS}", None),
    # Functions
    ("f(${a})", "^", "there is no function 'f'", FUNCTIONS),
    ("len ( 'a' )", "^^^", "there is no function 'len'", FUNCTIONS),
    ("true()", "^^^^", "there is no function 'true'", FUNCTIONS),
    ("Always()", "^^^^^^", "there is no function 'Always'", FUNCTIONS),
    ("y" * 99 + "()", "^" * 99, f"there is no function '{'y' * 40}'", FUNCTIONS),
    ("succeeded", "^" * 9, "'succeeded' alone is not a value", alone("succeeded")),
    (
        "succeeded()",
        "          ^",
        "succeeded() takes the id of a job",
        "write the id without quotes: succeeded(extract_data)",
    ),
    (
        "failed('a')",
        "       ^",
        "failed() takes the id of a job",
        "write the id without quotes: failed(extract_data)",
    ),
    (
        "failed(${a})",
        "       ^",
        "failed() takes the id of a job",
        "write the id without quotes: failed(extract_data)",
    ),
    ("failed(a", "        ^", f"expected ')', found {END}", None),
    ("failed(a, b)", "        ^", "expected ')', found ','", None),
    ("failed(a.b)", "        ^", f"'.'{STANDS}", ATTRIBUTES),
    ("always(a)", "       ^", "expected ')', found 'a'", None),
    ("always(always())", "       ^^^^^^", "expected ')', found 'always'", None),
    # Texts
    ("'abc", "^", f'"\'"{STANDS}', OPEN_TEXT),
    ('${a} == "abc', "        ^", f"'\"'{STANDS}", OPEN_TEXT),
    (r"'a\'", "^", f'"\'"{STANDS}', OPEN_TEXT),
    ("'a'b'", "   ^", MORE + "'b'", None),
    (r'"a\x41"', "  ^^", r"'\x' is not an escape", r"write \\ for a backslash"),
    (r'"C:\dir"', "   ^^", r"'\d' is not an escape", r"write \\ for a backslash"),
    (r'"\u12"', " ^^", r"'\u' is not an escape", r"write \\ for a backslash"),
    (r'"$${a}\q"', "      ^^", r"'\q' is not an escape", r"write \\ for a backslash"),
    ('"${a}"', " ^^", QUOTED, QUOTES),
    ("'$${a} ${b}'", "       ^^", QUOTED, QUOTES),
    # Numbers
    ("01", "^", f"'0'{STANDS}", NUMBER),
    ("1.", "^", f"'1'{STANDS}", NUMBER),
    (".5", "^", f"'.'{STANDS}", ATTRIBUTES),
    ("1.2.3", "^", f"'1'{STANDS}", NUMBER),
    ("1e", "^", f"'1'{STANDS}", NUMBER),
    ("0x10", "^", f"'0'{STANDS}", NUMBER),
    ("1_000", "^", f"'1'{STANDS}", NUMBER),
    ("10m", "^", f"'1'{STANDS}", NUMBER),
    ("+1", "^", f"'+'{STANDS}", ARITHMETIC),
    ("- 1", "^", f"'-'{STANDS}", ARITHMETIC),
    ("NaN", "^^^", "'NaN' alone is not a value", alone("NaN")),
    ("\u0661", "^", f"'\u0661'{STANDS}", None),
    ("9223372036854775808", "^" * 19, BITS, None),
    ("-9223372036854775809", "^" * 20, BITS, None),
    ("9" * 4000, "^" * 4000, BITS, None),
    ("${a} < 1e999", "       ^^^^^", BITS, None),
    # References
    ("${", "^^", "'${' without '}'", None),
    ("1 == ${a", "     ^^^", "'${' without '}'", None),
    ("${}", "^^^", REFERENCE, None),
    ("${1}", "^^^^", REFERENCE, None),
    ("${${a}}", "^^^^^^", REFERENCE, None),
    ("1 < ${a b}", "    ^^^^^^", "' b' is not a step of a path: write .name, [0] or [\"key\"]", None),
    ("${f(x)}", "^^^^^^^", "'(x)' is not a step of a path: write .name, [0] or [\"key\"]", None),
    # Nesting
    ("(" * 33 + "1" + ")" * 33, " " * 32 + "^", NESTED, None),
    ("[" * 33 + "]" * 33, " " * 32 + "^", NESTED, None),
    ("not " * 33 + "${a}", " " * 132 + "^", NESTED, None),
    ("(" * 20_000, "^", "a condition of more than 4,096 characters", None),
]


@pytest.mark.parametrize(("text", "carets", "message", "hint"), BAD, ids=[text[:30] for text, *_ in BAD])
def test_a_bad_condition_says_what_and_where(text: str, carets: str, message: str, hint: str | None) -> None:
    """What can't stand is named, with the characters that it takes and what to do about it."""
    with pytest.raises(BadCondition) as caught:
        parse_condition(text)
    bad = caught.value
    assert (message, hint) == (str(bad), bad.hint)
    assert carets == " " * bad.offset + "^" * bad.length


# Limits


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        (
            "'" + "x" * (MAX_LENGTH - 2) + "'",
            "'" + "x" * (MAX_LENGTH - 1) + "'",
            "a condition of more than 4,096 characters",
        ),
        ("[" + "1," * 998 + "1]", "[" + "1," * 999 + "1]", "a condition of more than 1,000 parts"),
        ("1<2 and " * 332 + "1<2", "1<2 and " * 333 + "1", "a condition of more than 1,000 parts"),
        ("(" * 32 + "1" + ")" * 32, "(" * 33 + "1" + ")" * 33, NESTED),
        ("[" * 32 + "]" * 32, "[" * 33 + "]" * 33, NESTED),
        ("not " * 32 + "1", "not " * 33 + "1", NESTED),
        ("not (" * 16 + "1" + ")" * 16, "not (" * 16 + "[1]" + ")" * 16, NESTED),
    ],
    ids=["length", "parts", "parts of comparisons", "parentheses", "lists", "not", "mixed"],
)
def test_the_limits(good: str, bad: str, message: str) -> None:
    """What is within a limit is taken, what is just beyond is refused."""
    parse_condition(good)
    with pytest.raises(BadCondition) as caught:
        parse_condition(bad)
    assert message == str(caught.value)


def test_what_is_beside_does_not_count_for_the_depth() -> None:
    """Only what is nested does."""
    parse_condition(" and ".join(["not (${a} in [1])"] * 80))


def test_a_condition_has_at_most_1000_parts() -> None:
    """However it is made up, a condition that is taken has no more parts to evaluate."""
    pieces = ["1", "1<2", "(1)", "[1,2]", "not 1"]
    taken = {True: 0, False: 0}
    for seed in range(100):
        rng = Random(seed)
        root, bad = verdict(rng.choice((" and ", " or ")).join(rng.choices(pieces, k=rng.randint(430, 470))))
        taken[root is not None] += 1
        assert len(walk(root)) <= MAX_PARTS if root is not None else "parts" in str(bad)
    assert min(taken.values()) > 10


# Printed and parsed

OPERATORS = ("==", "!=", "<", "<=", ">", ">=", "in", "not in")
IDS = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,8}", fullmatch=True)
#: Half of a surrogate pair can't be written in a condition.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ["${a}", "$${a}", "$", "'\"\\", "\x00\n\u2028", "\\u0041", "always()", "\U0001f600"]
)
leaves = st.one_of(
    st.sampled_from([True, False, None]).map(lit),
    st.integers(-(2**63), 2**63 - 1).map(lit),
    st.floats(allow_nan=False, allow_infinity=False).map(lit),
    TEXTS.map(lit),
    st.sampled_from(["a", "jobs.x.output.rows[0].y", 'a["k k"]', "env.HOME", "session.id"]).map(ref),
    st.builds(call, st.sampled_from(["succeeded", "failed"]), IDS),
    st.just(call("always")),
)


def grown(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    some = st.lists(inner, min_size=2, max_size=3)
    return st.one_of(
        st.lists(inner, max_size=3).map(lambda nodes: items(*nodes)),
        inner.map(no),
        some.map(lambda nodes: both(*nodes)),
        some.map(lambda nodes: either(*nodes)),
        st.builds(compare, inner, st.sampled_from(OPERATORS), inner),
    )


nodes = st.recursive(leaves, grown, max_leaves=12)


class Printer:
    """Writes a tree as text: with the parentheses that it needs, and at random some that it does not."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng

    def text(self, node: Any, tightness: int = 0) -> str:
        """`node` as it can stand where or (0), and (1), not (2) or a value (3) is expected."""
        written, own = self.bare(node)
        while own < tightness or self.rng.random() < 0.1:
            written, own, tightness = f"({self.space()}{written}{self.space()})", 3, 0
        return written

    def bare(self, node: Any) -> tuple[str, int]:
        blank = self.space
        match node:
            case Literal():
                return self.literal(node.value), 3
            case Operand():
                return f"${{{blank()}{node.reference.text}{blank()}}}", 3
            case Call():
                return f"{node.function}{blank()}({blank()}{node.job or ''}{blank()})", 3
            case Items():
                inner = f"{blank()},{blank()}".join(self.text(item, 3) for item in node.items)
                return f"[{blank()}{inner}{blank()}]", 3
            case Not():
                return f"not {blank()}{self.text(node.of, 2)}", 2
            case Combine():
                own = 1 if node.operator == "and" else 0
                parts = [self.text(part, own + 1) for part in node.parts]
                return f" {blank()}{node.operator}{blank()} ".join(parts), own
            case Compare():
                operator = node.operator.replace(" ", f" {blank()}")
                return f"{self.text(node.left, 3)} {operator} {blank()}{self.text(node.right, 3)}", 2
        raise AssertionError(node)

    def space(self) -> str:
        return self.rng.choice(("", "", " ", "\n\t"))

    def literal(self, value: Any) -> str:
        if not isinstance(value, str):
            return json.dumps(value)
        quote = self.rng.choice("'\"")
        body = json.dumps(value, ensure_ascii=self.rng.random() < 0.5)[1:-1]
        if quote == "'":
            body = body.replace('\\"', '"').replace("'", "\\'")
        return quote + body.replace("${", "$${") + quote


@settings(deadline=None, max_examples=400)
@given(nodes, st.integers(0, 1000))
def test_what_is_printed_parses_back(node: Node, seed: int) -> None:
    """Every tree has a text, with whatever space and further parentheses, and the text means that tree."""
    text = Printer(Random(seed)).text(node)
    parsed, bad = verdict(text)
    if parsed is None:  # Parentheses at random can be too many.
        assert NESTED == str(bad)
        return
    assert shape(node) == shape(parsed)


@settings(deadline=None, max_examples=200)
@given(nodes, st.integers(0, 1000))
def test_the_text_of_every_part_is_that_part(node: Node, seed: int) -> None:
    """What a part of the tree spans means the same by itself."""
    text = Printer(Random(seed)).text(node)
    parsed, bad = verdict(text)
    if parsed is None:
        assert NESTED == str(bad)
        return
    for part in walk(parsed):
        assert spanned(text, part) == spanned(text, part).strip()
        assert shape(part) == shape(tree(spanned(text, part)))


# Any text at all

TOKENS = st.sampled_from(
    [
        *("${a}", "${jobs.x.output}", "${", "}", "$", "$${", "${ }", "${a[", "${${a}}"),
        *("1", "-1", "0.5", "1e9", "1e999", "01", "-", "true", "false", "null", "None", "a", "not", "in"),
        *("and", "or", "succeeded", "failed", "always", "(", ")", "[", "]", ",", "==", "!=", "<", "<=", ">"),
        *(">=", "=", "!", "'a'", '"a"', "'", '"', "\\", "\\u", "\\'", ".", "\x00", "é", "\n", " ", "{", "#"),
    ]
)


def check_verdict(text: str) -> None:
    """The text is a condition, or it is refused with a place in it."""
    _, bad = verdict(text)
    if bad is not None:
        assert str(bad)
        assert 0 <= bad.offset <= len(text)
        assert 1 <= bad.length <= max(1, len(text) - bad.offset)


@settings(deadline=None, max_examples=1000)
@given(st.lists(TOKENS, max_size=30), st.sampled_from(["", " "]))
def test_any_row_of_tokens_is_taken_or_refused(tokens: list[str], between: str) -> None:
    """Whatever is put together from the grammar's own pieces ends in a tree or in BadCondition."""
    check_verdict(between.join(tokens))


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=60))
def test_any_text_is_taken_or_refused(text: str) -> None:
    """And so does any text."""
    check_verdict(text)


@settings(deadline=None, max_examples=300)
@given(nodes, st.integers(0, 1000), st.integers(0, 400), TOKENS)
def test_a_condition_with_a_slip_is_taken_or_refused(node: Node, seed: int, place: int, slip: str) -> None:
    """And so does a condition into which something has fallen."""
    text = Printer(Random(seed)).text(node)
    check_verdict(text[:place] + slip + text[place:])
    check_verdict(text[:place] + text[place + 1 :])
