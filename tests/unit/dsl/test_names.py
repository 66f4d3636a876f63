"""What references and conditions may name, and where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bunsui
from bunsui.dsl.names import Declared, Names, Place, is_secret_reference
from bunsui.dsl.parser import parse, plain
from bunsui.dsl.validator import validate
from bunsui.dsl.wiring import MAX_REFERENCES
from bunsui.expressions.references import one_reference
from bunsui.expressions.references import parse as parse_references
from bunsui.model.graph import Graph
from bunsui.ports.job_type import JobType


class Probe(JobType):
    name = "probe"
    schema = {"type": "object", "properties": {"word": {"type": "string"}, "shown": {"type": "string"}}}
    open_fields = frozenset({"shown"})

    def run(self, call):
        return None


TYPES = {**bunsui.Plugins(autoload=False).job_types, "probe": Probe()}


def found(text):
    return validate(parse(text) if isinstance(text, str) else plain(text), TYPES).problems


def definition(fields: str) -> str:
    """Jobs before, beside and behind the job 'me', which has these fields."""
    return (
        'version: "1.0"\n'
        "name: n\n"
        "parameters: [{name: table}, {name: number, type: integer}, {name: pw, secret: true}]\n"
        "jobs:\n"
        "  - {id: far, type: probe}\n"
        "  - {id: up, type: probe, depends_on: [far]}\n"
        "  - {id: other, type: probe}\n"
        "  - id: me\n"
        "    type: probe\n"
        "    depends_on: [up]\n"
        f"    {fields}\n"
        "  - {id: down, type: probe, depends_on: [me]}\n"
    )


WRONG = [
    ("${tabel}", "unknown-reference"),
    ("${parameters.tab}", "unknown-reference"),
    ("${parameters}", "unknown-reference"),
    ("${job.up.output}", "unknown-reference"),
    ("${jobs}", "unknown-reference"),
    ("${jobs.upp.output}", "unknown-reference"),
    ("${jobs.up}", "unknown-reference"),
    ("${jobs.up.rows}", "unknown-reference"),
    ("${jobs.up[0]}", "unknown-reference"),
    ("${jobs.up.status.x}", "unknown-reference"),
    ("${jobs.other.output}", "not-upstream"),
    ("${jobs.other.status}", "not-upstream"),
    ("${jobs.me.output}", "not-upstream"),
    ("${jobs.down.output}", "not-upstream"),
    ("${session.name}", "unknown-reference"),
    ("${session}", "unknown-reference"),
    ("${session.id.x}", "unknown-reference"),
    ("${pipeline}", "unknown-reference"),
    ("${pipeline.version}", "unknown-reference"),
    ("${env}", "unknown-reference"),
    ("${env.A.B}", "unknown-reference"),
    ("${env[0]}", "unknown-reference"),
    ("${secrets}", "unknown-reference"),
    ("${secrets.a.b}", "unknown-reference"),
    ("${pw.x}", "unknown-reference"),
    ("${item}", "unknown-reference"),
    ("${item.x}", "unknown-reference"),
    ("${item_index}", "unknown-reference"),
    ("${inputs.x}", "unknown-reference"),
    ("${", "bad-reference"),
    ("${1}", "bad-reference"),
    ("${}", "bad-reference"),
    ("${table!}", "bad-reference"),
    ("${table..x}", "bad-reference"),
]
RIGHT = [
    "${table}",
    "${ table }",
    "${parameters.table}",
    '${parameters["table"]}',
    "${table.deep[0]}",
    "${jobs.up.output}",
    "${jobs.far.output.a[0]}",
    '${jobs["far"].output["a b"]}',
    "${jobs.up.status}",
    "${session.id}",
    "${session.started_at}",
    "${pipeline.name}",
    "${env.HOME}",
    '${env["PATH"]}',
    "${secrets.db_password}",
    "${pw}",
    "$${nothing}",
    "$$${nothing}",
    "$nothing {x}",
]
FIELDS = ["parameters: {deep: [{x: 'ab %s cd'}]}", "word: 'ab %s cd'"]


@pytest.mark.parametrize(("reference", "code"), WRONG)
@pytest.mark.parametrize("field", FIELDS)
def test_wrong_reference(reference, code, field):
    """A wrong reference, nested or in a field of the type, is underlined exactly, within its text."""
    if reference == "${":
        field = field.replace(" cd", "")
    text = definition(field % reference)
    (problem,) = found(text)
    line = text.splitlines()[10]
    assert (code, 11, line.index("${") + 1, len(reference)) == (
        problem.code,
        problem.line,
        problem.column,
        problem.length,
    )


@pytest.mark.parametrize("reference", RIGHT)
@pytest.mark.parametrize("field", FIELDS)
def test_right_reference(reference, field):
    """What exists and has ended can be referred to, with a path of any form."""
    assert [] == found(definition(field % reference))


def test_two_references_in_one_text():
    """Each wrong reference of a text has its own place."""
    problems = found(definition("word: '${no} ${nay}'"))
    assert [(12, 5), (18, 6)] == [(p.column, p.length) for p in problems]


def test_two_wrong_references_in_one_text_of_plain_data():
    """They are two problems also where there are no places in a text to tell them apart."""
    job = {"id": "a", "type": "probe", "word": "${no} ${nay}"}
    assert ["unknown-reference"] * 2 == [
        p.code for p in found({"version": "1.0", "name": "n", "jobs": [job]})
    ]


def test_a_parameter_may_be_called_like_a_root():
    """A parameter of such a name is reached by its whole name."""
    text = definition("word: '${parameters.item} ${parameters.jobs}'").replace(
        "{name: table}", "{name: table}, {name: item}, {name: jobs}"
    )
    assert [] == found(text)


def test_order_is_not_judged_in_a_cycle():
    """In a cycle no reference is called out of order: the cycle is the problem."""
    jobs = [
        {"id": "a", "type": "probe", "depends_on": ["b"], "word": "${jobs.b.output}"},
        {"id": "b", "type": "probe", "depends_on": ["a"], "word": "${jobs.a.output}"},
    ]
    assert ["cycle"] == [p.code for p in found({"version": "1.0", "name": "n", "jobs": jobs})]


def test_order_is_not_judged_of_the_second_job_with_an_id():
    """What it depends on is not what the first one does: that there are two is the problem."""
    jobs = [
        {"id": "up", "type": "probe"},
        {"id": "a", "type": "probe"},
        {"id": "a", "type": "probe", "depends_on": ["up"], "word": "${jobs.up.output}"},
    ]
    assert ["duplicate-id"] == [p.code for p in found({"version": "1.0", "name": "n", "jobs": jobs})]


# Items


@pytest.mark.parametrize(
    "fields",
    [
        "parameters: {x: '${item}', y: '${item.deep[0]} ${item_index}'}",
        "word: '${item}'",
        "shown: '${item_index}'",
    ],
)
def test_an_item_in_a_fan_out(fields):
    """A job with for_each has an item, and its index, in its parameters and its type's fields."""
    assert [] == found(definition(f"for_each: [1]\n    {fields}"))


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ("for_each: ['${item}']", "unknown-reference"),
        ("for_each: '${item.files}'", "unknown-reference"),
        ("for_each: [1]\n    condition: '${item} > 0'", "unknown-reference"),
        ("for_each: [1]\n    word: '${item_index.x}'", "unknown-reference"),
    ],
)
def test_no_item_before_the_fan_out(fields, code):
    """A fan-out's list and its condition come before there is an item; an index has no parts."""
    assert [code] == [p.code for p in found(definition(fields))]


# Secrets

SECRETS = ["${pw}", "${parameters.pw}", "${secrets.x}", "a ${pw} b"]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("field", ["parameters: {x: ['%s']}", "word: '%s'"])
def test_secrets_may_stand_where_only_the_job_sees_them(secret, field):
    """Parameters, and fields of the type that nobody else can read, may hold a secret."""
    assert [] == found(definition(field % secret))


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("field", ["shown: '%s'", "for_each: ['%s']"])
def test_secrets_may_not_stand_where_others_read(secret, field):
    """Command lines and the like, and what is kept in the history, can't hold a secret."""
    assert ["secret-not-allowed"] == [p.code for p in found(definition(field % secret))]


@pytest.mark.parametrize("secret", ["${pw}", "${secrets.x}"])
def test_no_secrets_in_conditions(secret):
    """A condition's outcome would tell of the secret."""
    assert ["secret-not-allowed"] == [p.code for p in found(definition(f"condition: '{secret} == \"a\"'"))]


@pytest.mark.parametrize("kind", ["custom", "lambda", "ecs"])
def test_no_secrets_in_open_fields_of_the_built_in_types(kind):
    """Others see a command line, and the name of what is run."""
    field = {"custom": "command", "lambda": "function", "ecs": "task_definition"}[kind]
    value = ["run", "${secrets.x}"] if kind == "custom" else "${secrets.x}"
    job = {"id": "a", "type": kind, field: value}
    assert ["secret-not-allowed"] == [p.code for p in found({"version": "1.0", "name": "n", "jobs": [job]})]


def test_a_fan_out_over_a_secret():
    """One secret is no list."""
    assert ["bad-for-each", "secret-not-allowed"] == sorted(
        p.code for p in found(definition("for_each: '${pw}'"))
    )


# Conditions


@pytest.mark.parametrize(
    "condition",
    [
        "always()",
        "succeeded(up) or failed(far)",
        '${jobs.up.output.rows} > 0 and ${table} == "x"',
        '${jobs.up.status} in ["failed", "skipped"]',
        "not (${number} == 1)",
        "${number} == null",
        "true",
    ],
)
def test_right_condition(condition):
    """Comparisons of references and literals, and what became of the jobs upstream."""
    assert [] == found(definition(f"condition: '{condition}'"))


@pytest.mark.parametrize(
    ("condition", "code", "underlined"),
    [
        ("${tabel} == 1", "unknown-reference", "${tabel}"),
        ("${jobs.other.output} == 1", "not-upstream", "${jobs.other.output}"),
        ("succeeded(upp)", "unknown-job", "succeeded(upp)"),
        ("true and failed(other)", "not-upstream", "failed(other)"),
        ("failed(me)", "not-upstream", "failed(me)"),
        ("succeeded(down)", "not-upstream", "succeeded(down)"),
        ("${number} = 1", "bad-condition", "="),
        ("${number} == 1 and", "bad-condition", ""),
        ("${number}", "type-mismatch", "${number}"),
        ('${number} == "1"', "type-mismatch", '${number} == "1"'),
        ("${table} > 1", "type-mismatch", "${table} > 1"),
        ("1 in ${table}", "type-mismatch", "${table}"),
        ("${inputs.x} == 1", "unknown-reference", "${inputs.x}"),
    ],
)
def test_wrong_condition(condition, code, underlined):
    """What is wrong with a condition is underlined within it."""
    text = definition(f"condition: '{condition}'")
    (problem,) = found(text)
    line = text.splitlines()[10]
    at = line.index(underlined, line.index("'")) if underlined else line.rindex("'")
    assert (code, 11, at + 1, max(len(underlined), 1)) == (
        problem.code,
        problem.line,
        problem.column,
        problem.length,
    )


def test_a_condition_that_is_too_long():
    """That it is too long is said once; what else may be wrong with it is not looked for."""
    (problem,) = found(definition("condition: '" + "(" * 4097 + "'"))
    message = "'condition' of job 'me' must have at most 4,096 characters, not 4,097"
    assert ("out-of-range", message) == (problem.code, problem.message)


# Outputs


def with_outputs(value):
    jobs = [{"id": "a", "type": "probe"}, {"id": "b", "type": "probe"}]
    parameters = [{"name": "pw", "secret": True}, {"name": "x"}]
    tree = {"version": "1.0", "name": "n", "jobs": jobs, "parameters": parameters, "outputs": value}
    return [(p.code, p.path) for p in found(tree)]


def test_outputs_may_name_every_job():
    """When a session ends, all jobs have."""
    assert [] == with_outputs({"a": "${jobs.a.output}", "deep": [{"b": "${jobs.b.status} ${x}"}]})


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("${jobs.c.output}", "unknown-reference"),
        ("${item}", "unknown-reference"),
        ("${pw}", "secret-not-allowed"),
        ("${secrets.s}", "secret-not-allowed"),
        ("${", "bad-reference"),
    ],
)
def test_wrong_outputs(value, code):
    """What does not exist then, or must stay secret, can't be an output."""
    assert [(code, "/outputs/k/0")] == with_outputs({"k": [value]})


# Limits


def test_at_most_a_thousand_references_in_a_job():
    """What resolving a job's input may cost is bounded."""
    job = {"id": "a", "type": "probe", "parameters": {"x": ["${session.id}"] * MAX_REFERENCES}}
    tree = {"version": "1.0", "name": "n", "jobs": [job]}
    assert [] == found(tree)
    job["word"] = "${session.id}"
    assert ["too-many-references"] == [p.code for p in found(tree)]


# The parts by themselves


@given(st.text('ab.${}[]0" ', max_size=12))
def test_one_reference_or_none(text):
    """A text is one reference exactly where parsing it gives one reference and nothing else."""
    try:
        parts = parse_references(text)
    except ValueError:
        parts = ()
    expected = parts[0][0] if len(parts) == 1 and not isinstance(parts[0], str) else None
    assert expected == one_reference(text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${secrets.x}", True),
        ("${ secrets.x }", True),
        ('${secrets["x y"]}', True),
        ("${secrets}", False),
        ("${secrets.x.y}", False),
        ("a${secrets.x}", False),
        ("$${secrets.x}", False),
        ("${x}", False),
        ("${", False),
        (3, False),
        (["${secrets.x}"], False),
    ],
)
def test_secret_reference(value, expected):
    """Only one whole reference to a secret stands for one."""
    assert expected is is_secret_reference(value)


KINDS = [
    ("${table}", "text"),
    ("${number}", "number"),
    ("${list}", "list"),
    ("${list[0]}", None),
    ("${session.started_at}", "text"),
    ("${env.X}", "text"),
    ("${jobs.a.status}", "text"),
    ("${jobs.a.output}", None),
    ("${item}", None),
]


@pytest.mark.parametrize(("reference", "kind"), KINDS)
def test_kind(reference, kind):
    """The kind of a value is known of parameters and of what is always a text."""
    declared = {"table": Declared("string"), "number": Declared("integer"), "list": Declared("array")}
    one = one_reference(reference)
    assert one is not None
    assert kind == Names(declared, Graph({"a": []})).kind(one)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_the_order_of_jobs_is_that_of_the_graph(pairs, me, other):
    """A job may name exactly those jobs of which it is certain that they have ended."""
    edges = {f"j{i}": [f"j{a}" for a, b in pairs if b == i and a < b] for i in range(6)}
    graph = Graph(edges)
    one = one_reference(f"${{jobs.j{other}.output}}")
    assert one is not None
    wrong = Names({}, graph).wrong(one, Place(f"j{me}"))
    assert (f"j{other}" in graph.ancestors(f"j{me}")) is (wrong is None)
