# ruff: noqa: E501 - rows of values, each on a line
"""The inputs of templates, put into their texts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bunsui.dsl.filling import BadFill, Filling, Input, UnknownInput
from bunsui.dsl.origins import Composed
from bunsui.expressions.conditions import parse_condition
from bunsui.expressions.references import parse
from bunsui.expressions.resolution import MAX_RENDERED, Scope, resolve

SOURCE = ("jobs", 0, "with")


def filling(**inputs):
    return Filling({name: Input(value, (*SOURCE, name)) for name, value in inputs.items()}, 1_000_000)


def fill(value, path=("templates", "t", "parameters"), **inputs):
    return filling(**inputs).fill(value, path)[0]


def condition(text, **inputs):
    return fill(text, ("templates", "t", "condition"), **inputs)


def refused(value, path=("templates", "t", "parameters"), **inputs):
    """What is said where an input does not fit, and where."""
    with pytest.raises(BadFill) as caught:
        filling(**inputs).fill(value, path)
    return caught.value.code, caught.value.path


# Values

WHOLE = [None, True, False, 0, 1.0, -1.5, "", "text", "é水", [], [1, [None]], {}, {"a": {"b": []}}]


@pytest.mark.parametrize("value", WHOLE)
def test_a_whole_value_keeps_its_type(value):
    """A text that is one input becomes the input's value."""
    filled = fill("${inputs.x}", x=value)
    assert (type(value), value) == (type(filled), filled)


INSIDE = [
    ("", ""),
    ("a b", "a b"),
    ("é水", "é水"),
    (0, "0"),
    (-7, "-7"),
    (1.0, "1"),
    (1.5, "1.5"),
    (True, "true"),
    (False, "false"),
    (None, "null"),
    ([1, 2.0, "a", None], '[1,2,"a",null]'),
    ({"a": {"b": True}}, '{"a":{"b":true}}'),
    ({}, "{}"),
]


@pytest.mark.parametrize(("value", "text"), INSIDE)
def test_inside_text_a_value_is_rendered(value, text):
    """Text as it is, everything else as compact JSON, a whole number without point: as when a job starts."""
    assert f"<{text}>" == fill("<${inputs.x}>", x=value)


@pytest.mark.parametrize(("value", "text"), INSIDE)
def test_an_input_and_a_parameter_are_rendered_alike(value, text):
    """Whether a value comes in when the definition is read or when the job starts is all the same."""
    del text
    scope = Scope({"x": value}, {}, "s", datetime(2026, 1, 1, tzinfo=UTC), "p")
    assert resolve("<${x}>", scope) == resolve(fill("<${inputs.x}>", x=value), scope)


def test_the_order_of_keys_inside_text():
    """It does not count: what is written in another order is the same definition."""
    assert '<{"a":{"c":1,"d":2},"b":3}>' == fill("<${inputs.x}>", x={"b": 3, "a": {"d": 2, "c": 1}})


def test_several_inputs_in_one_text():
    """Each has its place; what stands between them stays."""
    text = "${inputs.a}-${x}-${inputs.b}${inputs.a} $ {} $${inputs.a} $"
    assert "1-${x}-[]1 $ {} $${inputs.a} $" == fill(text, a=1, b=[])


def test_at_every_depth():
    """Texts in lists and mappings are filled; keys, and what is no text, stay."""
    value = {"${inputs.x}": [{"a": "${inputs.x}"}, 3, None, "x"], "b": {"c": "-${inputs.x}"}}
    assert {"${inputs.x}": [{"a": 1}, 3, None, "x"], "b": {"c": "-1"}} == fill(value, x=1)


def test_what_is_filled_is_a_copy():
    """The template itself stays as it is."""
    template = {"a": ["${inputs.x}"]}
    assert [{"a": [1]}, {"a": [2]}] == [fill(template, x=1), fill(template, x=2)]
    assert {"a": ["${inputs.x}"]} == template


@pytest.mark.parametrize("name", ["inputs.x", " inputs.x ", 'inputs["x"]'])
def test_ways_to_write_an_input(name):
    """All that a reference may look like."""
    assert [3, "-3"] == fill([f"${{{name}}}", f"-${{{name}}}"], x=3)


def test_an_escaped_reference_is_kept():
    """'$${' is no reference to an input, and stays what it is until the job starts."""
    texts = ["$${inputs.x}", "$${x} ${inputs.x}", "$$${inputs.x}", "$"]
    assert ["$${inputs.x}", "$${x} 1", "$$${inputs.x}", "$"] == fill(texts, x=1)


def test_an_escape_in_an_input_is_kept():
    """It is text of the language: a literal '${' is written '$${' in an input, too."""
    assert ["$${y}", "a$${y}b"] == fill(["${inputs.x}", "a${inputs.x}b"], x="$${y}")


# References


@pytest.mark.parametrize("reference", ["${jobs.a.output}", "${ p }", "${item}", "x ${a} y ${b}"])
def test_an_input_may_be_a_reference_or_hold_some(reference):
    """They stand in the job as if they had been written there."""
    assert [reference, f"<{reference}>"] == fill(["${inputs.x}", "<${inputs.x}>"], x=reference)


def test_an_input_may_be_a_value_with_references_in_it():
    """They are resolved where the value stands."""
    value = {"a": ["${p}", {"b": "x ${item}"}]}
    assert [value, ["${p}", {"b": "x ${item}"}]] == fill(["${inputs.x}", "${inputs.x.a}"], x=value)


EXTENDED = [
    ("${inputs.x.rows}", "${jobs.a.output}", "${jobs.a.output.rows}"),
    ("${inputs.x.rows[0].b}", "${jobs.a.output}", "${jobs.a.output.rows[0].b}"),
    ('${inputs.x["a b"][2]}', "${item}", '${item["a b"][2]}'),
    ('${inputs["x"].rows}', "${item}", "${item.rows}"),
    ("${ inputs.x.rows }", "${ item }", "${item.rows}"),
    ("<${inputs.x.rows}>", "${item}", "<${item.rows}>"),
    ("${inputs.x.deep.rows}", {"deep": "${item}"}, "${item.rows}"),
    ('${inputs.x.deep[1].a["b-c"].d}', {"deep": [0, "${item}"]}, "${item.a.b-c.d}"),
]


@pytest.mark.parametrize(("text", "value", "expected"), EXTENDED)
def test_a_path_into_a_reference_makes_it_longer(text, value, expected):
    """What is below an input that is a reference is below what it names, however deep the reference stands."""
    assert expected == fill(text, x=value)


VALUE = {"a": [10, {"b c": "x", "0": "zero"}], "n": None, "false": False}
PATHS = [
    ("${inputs.x.a}", [10, {"b c": "x", "0": "zero"}]),
    ("${inputs.x.a[0]}", 10),
    ("${inputs.x.a.0}", 10),
    ('${inputs.x.a[1]["b c"]}', "x"),
    ("${inputs.x.a[1].0}", "zero"),
    ("${inputs.x.n}", None),
    ("${inputs.x.false}", False),
]


@pytest.mark.parametrize(("text", "expected"), PATHS)
def test_a_path_into_a_value(text, expected):
    """It leads to the same as a path into a parameter does."""
    scope = Scope({"x": VALUE}, {}, "s", datetime(2026, 1, 1, tzinfo=UTC), "p")
    assert expected == fill(text, x=VALUE)
    assert expected == resolve(text.replace("inputs.", ""), scope)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("${inputs.x.b}", ()),
        ("${inputs.x.a[2]}", ("a",)),
        ("${inputs.x.a.b}", ("a",)),
        ("${inputs.x.a[0].b}", ("a", 0)),
        ("${inputs.x.n.b}", ("n",)),
        ("${inputs.x[0]}", ()),
        ("<${inputs.x.b}>", ()),
        ("${inputs.t.b}", None),
    ],
)
def test_a_path_that_is_not_there(text, path):
    """It is refused at once, at the deepest value that is there."""
    where = (*SOURCE, "t") if path is None else (*SOURCE, "x", *path)
    assert ("bad-input", where) == refused(text, x=VALUE, t="a ${item}")


@pytest.mark.parametrize("text", ["${inputs.y}", "a ${inputs.y.z} b", "${inputs}", "${inputs[0]}"])
def test_an_input_that_there_is_not(text):
    """The template is wrong then, not the job."""
    with pytest.raises(UnknownInput) as caught:
        fill([text], x=1)
    assert ("templates", "t", "parameters", 0) == caught.value.path


# What would become something else

TRAPS = [
    ("${inputs.x}${p}", "$"),
    ("${inputs.x}{p}", "$"),
    ("${inputs.x}{", "US$"),
    ("a ${inputs.x}${inputs.y}", "$"),
    ("${inputs.x}${inputs.e}{p}", "$"),
    ("${inputs.x}${inputs.e}${p}", "$$"),
]


@pytest.mark.parametrize(("text", "x"), TRAPS)
def test_the_dollar_trap(text, x):
    """An input's '$' does not become part of a reference that nobody wrote, or of an escape."""
    assert ("bad-input", (*SOURCE, "x")) == refused(text, x=x, y="{p}", e="")


@pytest.mark.parametrize(
    ("text", "x", "expected"),
    [
        ("${inputs.x} ${p}", "$", "$ ${p}"),
        ("${inputs.x}", "$", "$"),
        ("${inputs.x}$${p}", "$", "$$${p}"),
        ("$ ${inputs.x}", "{p}", "$ {p}"),
        ("$${${inputs.x}", "p}", "$${p}"),
    ],
)
def test_a_dollar_that_is_no_trap(text, x, expected):
    """Elsewhere a '$' may stand as it likes."""
    assert expected == fill(text, x=x)


PIECE = st.sampled_from(["$", "{", "}", "a", "${p}", "$${", "$$", "", " "])


def flat(parts):
    """The parts of a text with neighbouring literals joined: (literal text, or the reference's)."""
    made = []
    for part in parts:
        if isinstance(part, str):
            made[-1:] = [made[-1] + part] if made and isinstance(made[-1], str) else [*made[-1:], part]
        else:
            made.append((part[0].text,))
    return [part for part in made if part]


@settings(max_examples=500)
@given(
    st.lists(PIECE | st.integers(0, 2), max_size=7),
    st.lists(st.lists(PIECE, max_size=3), min_size=3, max_size=3),
)
def test_what_is_put_together_reads_as_its_parts_do(pieces, values):
    """A text with inputs in it has the references and the literals of the template and of the inputs: or is refused."""
    inputs = {f"i{k}": "".join(value) for k, value in enumerate(values)}
    # Pieces of the template are joined first: there a '$' and a '{' are what they seem.
    text = "".join(piece if isinstance(piece, str) else f"${{inputs.i{piece}}}" for piece in pieces)
    try:
        template = parse(text)
        each = {name: parse(value) for name, value in inputs.items()}
    except ValueError:
        return  # Somebody wrote a wrong reference: that is reported as such.
    expected = []
    for part in template:
        is_input = not isinstance(part, str) and part[0].root == "inputs"
        expected += each[part[0].path[0]] if is_input else [part]
    try:
        filled = fill(text, **inputs)
    except BadFill:
        assert any(value.endswith("$") for value in inputs.values())
        return
    assert flat(expected) == flat(parse(filled))


@pytest.mark.parametrize("value", [["${item}"], {"a": ["x ${p}"]}])
def test_a_value_with_references_inside_text(value):
    """Its JSON would be wrong as soon as what they bring holds a quote."""
    assert ("bad-input", (*SOURCE, "x")) == refused("<${inputs.x}>", x=value)


@pytest.mark.parametrize("value", [["$${a}"], {"${k}": 1}, {"a": {"$${k}": ["$"]}}])
def test_a_value_with_escapes_inside_text(value):
    """A literal '${' in a list, and one in a key, is one when the job starts."""
    scope = Scope({}, {}, "s", datetime(2026, 1, 1, tzinfo=UTC), "p")
    meant = resolve(value, scope)
    rendered = resolve("<${x}>", Scope({"x": meant}, {}, "s", datetime(2026, 1, 1, tzinfo=UTC), "p"))
    assert rendered == resolve(fill("<${inputs.x}>", x=value), scope)


# Conditions

LITERALS = [
    ("dev", '"dev" == 1'),
    ('say "hi"\\\n', '"say \\"hi\\"\\\\\\n" == 1'),
    ("$${x}", '"$${x}" == 1'),
    ("é", '"\\u00e9" == 1'),
    ("", '"" == 1'),
    (3, "3 == 1"),
    (-1.5, "-1.5 == 1"),
    (1e300, "1e+300 == 1"),
    (True, "true == 1"),
    (None, "null == 1"),
    (["a", 1, [None]], '["a", 1, [null]] == 1'),
    ([], "[] == 1"),
    ("${p}", "${p} == 1"),
    ("${jobs.a.output.rows}", "${jobs.a.output.rows} == 1"),
    (["${p}", "a"], '[${p}, "a"] == 1'),
]


@pytest.mark.parametrize(("value", "expected"), LITERALS)
def test_in_a_condition(value, expected):
    """An input becomes a literal of its type, or the reference that it is."""
    filled = condition("${inputs.x} == 1", x=value)
    assert expected == filled
    assert parse_condition(filled)


def test_a_whole_condition():
    """An input that is the whole condition is a literal all the same, never a condition's text."""
    assert ["true", '"always()"', "${p}"] == [
        condition("${inputs.x}", x=v) for v in (True, "always()", "${p}")
    ]


def test_a_path_in_a_condition():
    """A reference is made longer there, too."""
    assert "${jobs.a.output.rows} > 0" == condition("${inputs.x.rows} > 0", x="${jobs.a.output}")


@pytest.mark.parametrize(
    "value", [{}, {"a": 1}, [{"a": 1}], "a ${p}", "${p}${q}", ["a ${p}"], "a ${", "${p} == 1 or ${q}"]
)
def test_what_a_condition_has_no_literal_for(value):
    """Mappings, and texts with references in them, can't stand in a condition."""
    assert ("bad-input", (*SOURCE, "x")) == refused(
        "${inputs.x} == 1", ("templates", "t", "condition"), x=value
    )


def test_a_wrong_condition_is_left_alone():
    """What is wrong with the template's own text is reported with the template."""
    texts = ['"${inputs.x}" == 1', "${inputs.x} = 1", "${inputs.x", ""]
    assert texts == [condition(text, x="a") for text in texts]


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: "${" not in text),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=5,
    )
)
def test_literals_mean_the_value(value):
    """A condition's literal of a value is that value."""

    def meant(node):
        return [meant(item) for item in node.items] if hasattr(node, "items") else node.value

    root = parse_condition(condition("${inputs.x}", x=value)).root
    assert repr(value) == repr(meant(root))


def test_only_a_jobs_condition_is_one():
    """A field of that name elsewhere holds text."""
    path = ("templates", "t", "parameters", "condition")
    assert "dev == 1" == fill("${inputs.x} == 1", path, x="dev")


# Limits


def test_the_length_of_a_text():
    """A text does not grow beyond 64 Ki characters: neither by one input nor by many."""
    path = ("templates", "t", "parameters")
    assert 65 * 1001 == len(fill("${inputs.x} " * 65, x="x" * 1000))
    assert ("bad-input", path) == refused("${inputs.x} " * 66, x="x" * 1000)
    assert ("bad-input", path) == refused("<${inputs.x}>", x="x" * MAX_RENDERED)


def test_a_budget():
    """What is made counts: each value, and texts by their length."""
    narrow = Filling({"x": Input("x" * 6400, SOURCE)}, 50)
    with pytest.raises(BadFill, match="1,000,000 values"):
        narrow.fill("<${inputs.x}>", ("templates", "t", "parameters"))
    with pytest.raises(BadFill, match="1,000,000 values"):
        Filling({}, 50).fill([0] * 50, ("templates", "t", "parameters"))
    assert [0] * 49 == Filling({}, 50).fill([0] * 49, ("templates", "t", "parameters"))[0]


# Origins


def test_the_origin_of_a_value():
    """A value that an input is comes from where it is given, with the path that was taken into it."""
    path = ("templates", "t", "parameters")
    _, origin = filling(x=VALUE).fill({"p": "${inputs.x.a[1]}", "q": ["own"]}, path)
    assert {"p": (*SOURCE, "x", "a", 1), "q": (*path, "q"), None: path} == origin


def test_the_origin_of_parts_of_a_text():
    """Each part of a text comes from the template, or from the input that brought it."""
    text = "a ${x} ${inputs.x} c ${inputs.n}"
    filled, origin = filling(x="<${bad}>", n=12).fill(text, ("templates", "t", "parameters"))
    assert isinstance(origin, Composed)
    assert filled == "a ${x} <${bad}> c 12"

    def part(found):
        return origin.part(filled.index(found), len(found))

    path = ("templates", "t", "parameters")
    assert {
        "${x}": (path, (2, 4)),
        "${bad}": ((*SOURCE, "x"), (1, 6)),
        " c ": (path, (18, 3)),
        "12": ((*SOURCE, "n"), None),
        "x} <${bad": (path, (4, 14)),
        "${bad}> c 1": (path, (7, 25)),
    } == {found: part(found) for found in ["${x}", "${bad}", " c ", "12", "x} <${bad", "${bad}> c 1"]}
