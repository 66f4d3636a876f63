# ruff: noqa: E501, RUF005, SIM905 - rows of messages, written as they are shown
"""The validator: what it says of each kind of wrong definition, word by word."""

from __future__ import annotations

import contextlib
import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bunsui
from bunsui.dsl.definition import to_pipeline
from bunsui.dsl.options import wrong_options
from bunsui.dsl.parser import parse, plain
from bunsui.dsl.validator import validate
from bunsui.errors import DefinitionError
from bunsui.ports.job_type import JobType


class Probe(JobType):
    """A job type with a schema of every kind."""

    name = "probe"
    schema = {
        "type": "object",
        "properties": {
            "mode": {"enum": ["fast", "slow", None]},
            "size": {"type": "integer", "minimum": 1, "exclusiveMaximum": 9},
            "step": {"type": "number", "multipleOf": 2},
            "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2, "uniqueItems": True},
            "either": {"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 3}]},
            "one": {"oneOf": [{"type": "string"}, {"type": "null"}]},
            "map": {"type": "object", "minProperties": 1, "maxProperties": 1},
            "coded": {"patternProperties": {"^x-": {}}, "additionalProperties": False},
            "word": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 3},
            "never": False,
        },
    }

    def check(self, options, job):
        if options.get("word") == "bug":
            raise KeyError("oops")
        return []

    def run(self, call):
        return None


TYPES = {**bunsui.Plugins(autoload=False).job_types, "probe": Probe()}


def shown(text: str) -> str:
    return "\n".join(problem.render() for problem in validate(parse(text, "yaml", "p.yaml"), TYPES))


def head(jobs: str, top: str = "") -> str:
    return f'version: "1.0"\nname: n\n{top}jobs:\n{jobs}'


def shown_job(fields: str) -> str:
    """What is said of one probe job, without position and source."""
    rendered = validate(parse(head(f"  - {{id: a, type: probe, {fields}}}\n")), TYPES)
    return "\n".join(f"{p.code}: {p.message}{f' ({p.hint})' if p.hint else ''}" for p in rendered)


WHOLE = [
    pytest.param(
        "- 1\n",
        "p.yaml:1:1: error[wrong-type]: the pipeline must be a mapping, not a list\n    1 | - 1\n      | ^",
        id="list",
    ),
    pytest.param(
        "text\n",
        "p.yaml:1:1: error[wrong-type]: the pipeline must be a mapping, not the text 'text'\n"
        "    1 | text\n      | ^^^^",
        id="text",
    ),
    pytest.param(
        "{}",
        "p.yaml:1:1: error[missing-field]: the pipeline needs 'version'\n    1 | {}\n      | ^\n"
        "p.yaml:1:1: error[missing-field]: the pipeline needs 'name'\n    1 | {}\n      | ^\n"
        "p.yaml:1:1: error[missing-field]: the pipeline needs 'jobs'\n    1 | {}\n      | ^",
        id="nothing-but-once-each",
    ),
    pytest.param(
        'version: "1.0"\nname: n\njobs: {}\n',
        "p.yaml:3:7: error[wrong-type]: 'jobs' of the pipeline must be a list, not a mapping\n"
        "    3 | jobs: {}\n      |       ^",
        id="jobs-mapping",
    ),
    pytest.param(
        'version: "1.0"\nname: n\njobs: []\n',
        "p.yaml:3:7: error[out-of-range]: 'jobs' of the pipeline must have at least 1 item, not 0\n"
        "    3 | jobs: []\n      |       ^",
        id="no-jobs",
    ),
    pytest.param(
        'version: "1.0"\nname: n\njobs: [a, null]\n',
        "p.yaml:3:8: error[wrong-type]: 'jobs.0' of the pipeline must be a mapping, not the text 'a'\n"
        "    3 | jobs: [a, null]\n      |        ^\n"
        "p.yaml:3:11: error[wrong-type]: 'jobs.1' of the pipeline must be a mapping, not null\n"
        "    3 | jobs: [a, null]\n      |           ^^^^",
        id="job-no-mapping",
    ),
    pytest.param(
        "version: 1.0\nname: n\njobs: [{id: a, type: probe}]\n",
        "p.yaml:1:10: error[bad-value]: 'version' of the pipeline is 1.0; it must be '1.0'\n"
        '    1 | version: 1.0\n      |          ^^^ write it as text: "1.0"',
        id="version-number",
    ),
    pytest.param(
        'version: "2.0"\nname: ""\njobs: [{id: a, type: probe}]\n',
        "p.yaml:1:10: error[bad-value]: 'version' of the pipeline is '2.0'; it must be '1.0'\n"
        '    1 | version: "2.0"\n      |          ^^^^^\n'
        "p.yaml:2:7: error[bad-value]: 'name' of the pipeline is ''; it must be one line without control"
        ' characters\n    2 | name: ""\n      |       ^^\n'
        "p.yaml:2:7: error[out-of-range]: 'name' of the pipeline must have at least 1 character, not 0\n"
        '    2 | name: ""\n      |       ^^',
        id="later-version-and-empty-name",
    ),
    pytest.param(
        'version: "1.0"\nname: "a\\u001b[1m"\njobs: [{id: a, type: probe}]\n',
        "p.yaml:2:7: error[bad-value]: 'name' of the pipeline is 'a\\x1b[1m'; it must be one line without"
        ' control characters\n    2 | name: "a\\u001b[1m"\n      |       ^^^^^^^^^^^^',
        id="name-control-characters",
    ),
    pytest.param(
        head("  - {id: a, type: probe, dependson: [b]}\n", "on_failur: stop\n"),
        "p.yaml:3:1: error[unknown-field]: the pipeline has no field 'on_failur'\n"
        "    3 | on_failur: stop\n      | ^^^^^^^^^ did you mean 'on_failure'?\n"
        "p.yaml:5:26: error[unknown-field]: job 'a' has no field 'dependson'\n"
        "    5 |   - {id: a, type: probe, dependson: [b]}\n"
        "      |                          ^^^^^^^^^ did you mean 'depends_on'?",
        id="unknown-fields",
    ),
    pytest.param(
        head("  - {type: lambda}\n"),
        "p.yaml:4:5: error[missing-field]: job 1 needs 'id'\n    4 |   - {type: lambda}\n      |     ^\n"
        "p.yaml:4:5: error[missing-field]: job 1 needs 'function'\n    4 |   - {type: lambda}\n      |     ^",
        id="missing-fields",
    ),
    pytest.param(
        head("  - id: 1st\n    type: probe\n"),
        "p.yaml:4:9: error[bad-value]: 'id' of job '1st' is '1st'; it must be a letter, then up to 63"
        " letters, digits, '_' or '-'\n    4 |   - id: 1st\n      |         ^^^",
        id="bad-id",
    ),
    pytest.param(
        head("  - {id: a, type: lamda, retry: 0}\n"),
        "p.yaml:4:19: error[unknown-job-type]: job 'a' has the type 'lamda', which does not exist\n"
        "    4 |   - {id: a, type: lamda, retry: 0}\n      |                   ^^^^^ did you mean 'lambda'?\n"
        "p.yaml:4:33: error[out-of-range]: 'retry' of job 'a' is 0; it must be at least 1\n"
        "    4 |   - {id: a, type: lamda, retry: 0}\n      |                                 ^",
        id="unknown-type-and-the-rest-of-the-job",
    ),
    pytest.param(
        head("  - {id: a}\n  - {id: b, type: null}\n"),
        "p.yaml:4:5: error[missing-field]: job 'a' needs 'type', the name of a job type\n"
        "    4 |   - {id: a}\n      |     ^ one of: custom, ecs, lambda, probe\n"
        "p.yaml:5:19: error[wrong-type]: 'type' of job 'b' must be text, not null\n"
        "    5 |   - {id: b, type: null}\n      |                   ^^^^",
        id="no-type",
    ),
    pytest.param(
        head("  - {id: load, type: probe, depends_on: [extrct]}\n  - {id: extract, type: probe}\n"),
        "p.yaml:4:42: error[unknown-job]: job 'load' depends on 'extrct', which does not exist\n"
        "    4 |   - {id: load, type: probe, depends_on: [extrct]}\n"
        "      |                                          ^^^^^^ did you mean 'extract'?",
        id="unknown-dependency",
    ),
    pytest.param(
        head(
            "  - {id: a, type: probe, depends_on: [c]}\n"
            "  - {id: b, type: probe, depends_on: [a]}\n"
            "  - {id: c, type: probe, depends_on: [b]}\n"
        ),
        "p.yaml:4:39: error[cycle]: these jobs wait for each other: a -> c -> b -> a\n"
        "    4 |   - {id: a, type: probe, depends_on: [c]}\n"
        "      |                                       ^ each depends on the next one; take one of these"
        " dependencies out",
        id="cycle",
    ),
    pytest.param(
        head("  - {id: a, type: probe, depends_on: [a]}\n"),
        "p.yaml:4:39: error[cycle]: these jobs wait for each other: a -> a\n"
        "    4 |   - {id: a, type: probe, depends_on: [a]}\n"
        "      |                                       ^ each depends on the next one; take one of these"
        " dependencies out",
        id="self",
    ),
    pytest.param(
        head("  - {id: a, type: probe}\n  - {id: b, type: probe}\n  - {id: a, type: probe}\n"),
        "p.yaml:6:10: error[duplicate-id]: two jobs have the id 'a'; the first is job 1\n"
        "    6 |   - {id: a, type: probe}\n      |          ^",
        id="duplicate-id",
    ),
]


@pytest.mark.parametrize(("text", "expected"), WHOLE)
def test_rendered(text, expected):
    """A wrong definition is reported with position, source line, carets and hint."""
    assert expected == shown(text)


JOBS = [
    (
        "mode: fats",
        "bad-value: 'mode' of job 'a' is 'fats'; it must be one of: fast, slow, null (did you mean 'fast'?)",
    ),
    ("mode: true", "bad-value: 'mode' of job 'a' is true; it must be one of: fast, slow, null"),
    ("size: 0", "out-of-range: 'size' of job 'a' is 0; it must be at least 1"),
    ("size: 9", "out-of-range: 'size' of job 'a' is 9; it must be less than 9"),
    ("size: true", "wrong-type: 'size' of job 'a' must be a whole number, not true"),
    ("size: 1.5", "wrong-type: 'size' of job 'a' must be a whole number, not the number 1.5"),
    ("step: 3", "bad-value: 'step' of job 'a' is 3; it must be a multiple of 2"),
    ("tags: [x, 2]", "wrong-type: 'tags.1' of job 'a' must be text, not the number 2"),
    ("tags: [x, x]", "bad-value: 'tags' of job 'a' must not hold the same item twice"),
    ("tags: [x, y, z]", "out-of-range: 'tags' of job 'a' must have at most 2 items, not 3"),
    (
        "either: 2",
        "bad-value: 'either' of job 'a' has none of the forms that it may have: 'either' of job 'a' must be"
        " text, not the number 2; or 'either' of job 'a' is 2; it must be at least 3",
    ),
    (
        "one: 2",
        "bad-value: 'one' of job 'a' has none of the forms that it may have: 'one' of job 'a' must be text,"
        " not the number 2; or 'one' of job 'a' must be null, not the number 2",
    ),
    ("map: {}", "out-of-range: 'map' of job 'a' must have at least 1 field, not 0"),
    ("coded: {x-a: 1, y: 2}", "unknown-field: 'coded' of job 'a' has no field 'y'"),
    ("word: A1", "bad-value: 'word' of job 'a' is 'A1'; it must match the pattern ^[a-z]+$"),
    ("word: bug", "job-type-failed: job 'a': its type failed to check it: KeyError: 'oops'"),
    ("depends_on: a", "wrong-type: 'depends_on' of job 'a' must be a list, not the text 'a'"),
    ("parameters: [1]", "wrong-type: 'parameters' of job 'a' must be a mapping, not a list"),
    ("allow_failure: no", "wrong-type: 'allow_failure' of job 'a' must be true or false, not the text 'no'"),
    (
        "isolation: proces",
        "bad-value: 'isolation' of job 'a' is 'proces'; it must be one of: thread, process"
        " (did you mean 'process'?)",
    ),
    ("retry: 1.5", "wrong-type: 'retry' of job 'a' must be a whole number or a mapping, not the number 1.5"),
    ("retry: true", "wrong-type: 'retry' of job 'a' must be a whole number or a mapping, not true"),
    ("retry: {delay: -1}", "out-of-range: 'retry.delay' of job 'a' is -1; it must be at least 0"),
    ("retry: {backoff: 0.5}", "out-of-range: 'retry.backoff' of job 'a' is 0.5; it must be at least 1"),
    (
        "retry: {max_attempt: 2}",
        "unknown-field: 'retry' of job 'a' has no field 'max_attempt' (did you mean 'max_attempts'?)",
    ),
    ("retry: {on: ['']}", "out-of-range: 'retry.on.0' of job 'a' must have at least 1 character, not 0"),
    (
        "retry: {jitter: ful}",
        "bad-value: 'retry.jitter' of job 'a' is 'ful'; it must be one of: full, none (did you mean 'full'?)",
    ),
    ("timeout: 0", "out-of-range: 'timeout' of job 'a' is 0; it must be more than 0"),
    ("timeout: []", "wrong-type: 'timeout' of job 'a' must be a number or text, not a list"),
]
JOBS += [
    (
        f"timeout: {text}",
        f"bad-value: 'timeout' of job 'a' is {value}; it must be more than 0: seconds, or a text such as 15m"
        " (ms, s, m, h, d)",
    )
    for text, value in [
        ("15 minutes", "'15 minutes'"),
        ("0s", "'0s'"),
        ("0.0m", "'0.0m'"),
        ('"15m\\n"', "'15m\\n'"),
        ("1e3s", "'1e3s'"),
        ("1234567890d", "'1234567890d'"),
    ]
]


@pytest.mark.parametrize(("fields", "expected"), JOBS)
def test_job_fields(fields, expected):
    """A wrong field of a job is reported with what it is and what it must be."""
    assert expected == shown_job(fields)


@pytest.mark.parametrize("timeout", ["15m", "1.5h", "1ms", "20s", "2d", "0.5", "3"])
def test_timeout_forms(timeout):
    """A timeout is seconds or a text with a unit."""
    assert shown_job(f"timeout: {timeout}") == ""


def test_id_with_line_break():
    """A line break at the end of an id is seen, although a pattern's $ allows it."""
    assert [p.code for p in validate(parse(head('  - {id: "a\\n", type: probe}\n')), TYPES)] == ["bad-value"]


def test_duplicate_dependency_is_harmless():
    """A dependency that is named twice counts once."""
    jobs = "  - {id: a, type: probe}\n  - {id: b, type: probe, depends_on: [a, a]}\n"
    assert shown(head(jobs)) == ""


def test_known_fields_are_listed():
    """Where no field is near, the hint lists those that there are."""
    (problem,) = validate(parse(head("  - {id: a, type: lambda, function: f, zzz: 1}\n")), TYPES)
    assert problem.hint == (
        "known here: allow_failure, cache, condition, depends_on, description, for_each, function, id,"
        " isolation, max_concurrency, name, on_lost, parameters, pool, retry, template, timeout, type, with"
    )


LATER_JOB = {
    "template": "t",
    "with": "{}",
    "condition": "always()",
    "for_each": "[1]",
    "max_concurrency": "2",
    "cache": "{}",
    "on_lost": "rerun",
    "pool": "gpu",
}
LATER_PIPELINE = {"defaults": "{}", "templates": "{}", "outputs": "{}", "timeout": "5", "alerts": "[]"}


@pytest.mark.parametrize("name", LATER_JOB)
def test_later_job_field(name):
    """A field of a job that this version does not do yet is refused, not ignored."""
    assert shown_job(f"{name}: {LATER_JOB[name]}") == (
        f"not-supported-yet: '{name}' is part of the language, but this version of bunsui does not do it yet"
        " (leave it out, or use a later version)"
    )


@pytest.mark.parametrize("name", LATER_PIPELINE)
def test_later_pipeline_field(name):
    """A field of a pipeline that this version does not do yet is refused, at its key."""
    text = head("  - {id: a, type: probe}\n", f"{name}: {LATER_PIPELINE[name]}\n")
    assert shown(text) == (
        f"p.yaml:3:1: error[not-supported-yet]: '{name}' is part of the language, but this version of bunsui"
        f" does not do it yet\n    3 | {name}: {LATER_PIPELINE[name]}\n      | {'^' * len(name)}"
        " leave it out, or use a later version"
    )


def test_secret_parameter():
    """A secret parameter is refused, as nothing would keep it secret yet."""
    text = head("  - {id: a, type: probe}\n", "parameters: [{name: x, secret: true}]\n")
    assert [p.message for p in validate(parse(text), TYPES)] == [
        "'secret' is part of the language, but this version of bunsui does not do it yet"
    ]


@pytest.mark.parametrize("root", ["env.X", "secrets.X", "item", "item_index", "inputs.x"])
def test_later_reference(root):
    """A reference that this version can't resolve yet is refused."""
    assert shown_job(f'parameters: {{x: "${{{root}}}"}}') == (
        f"not-supported-yet: ${{{root}}}: '{root.partition('.')[0]}' is not supported yet by this version of"
        " bunsui"
    )


# References


REFERENCES = [
    ("${tabel}", "unknown-reference: ${tabel}: there is no parameter 'tabel'", "did you mean 'table'?"),
    (
        "${parameters.tab}",
        "unknown-reference: ${parameters.tab}: there is no parameter 'tab'",
        "did you mean 'table'?",
    ),
    (
        "${job.up.output}",
        "unknown-reference: ${job.up.output}: there is no parameter 'job'",
        "did you mean 'jobs'?",
    ),
    ("${parameters}", "unknown-reference: ${parameters} needs a name after it", "write ${parameters.NAME}"),
    ("${jobs}", "unknown-reference: ${jobs} needs a name after it", "write ${jobs.NAME.output}"),
    (
        "${jobs.upp.output}",
        "unknown-reference: ${jobs.upp.output}: there is no job 'upp'",
        "did you mean 'up'?",
    ),
    (
        "${jobs.up.rows}",
        "unknown-reference: ${jobs.up.rows}: of a job there is .output, with a path, and .status",
        "such as ${jobs.up.output}",
    ),
    (
        "${jobs.up.status.x}",
        "unknown-reference: ${jobs.up.status.x}: of a job there is .output, with a path, and .status",
        "such as ${jobs.up.output}",
    ),
    (
        "${jobs.other.output}",
        "not-upstream: ${jobs.other.output}: job 'other' need not have ended when 'me' starts",
        "add 'other' to the 'depends_on' of 'me'",
    ),
    (
        "${jobs.me.status}",
        "not-upstream: ${jobs.me.status}: job 'me' can't have ended when 'me' starts",
        None,
    ),
    (
        "${jobs.down.output}",
        "not-upstream: ${jobs.down.output}: job 'down' can't have ended when 'me' starts",
        None,
    ),
    (
        "${session.name}",
        "unknown-reference: ${session.name} does not exist",
        "there is ${session.id} and ${session.started_at}",
    ),
    ("${pipeline}", "unknown-reference: ${pipeline} does not exist", "there is ${pipeline.name}"),
    ("${", "bad-reference: '${' without '}'", None),
    (
        "${1}",
        "bad-reference: a reference is a name and its path, such as ${parameters.x} or ${jobs.ID.output.x};"
        " for a literal '${' write '$${'",
        None,
    ),
    ("${table!}", "bad-reference: '!' is not a step of a path: write .name, [0] or [\"key\"]", None),
]


def with_reference(value: str, field: str = "parameters: {deep: [{x: '%s'}]}") -> str:
    return head(
        "  - {id: far, type: probe}\n"
        "  - {id: up, type: probe, depends_on: [far]}\n"
        "  - {id: other, type: probe}\n"
        "  - id: me\n"
        "    type: probe\n"
        "    depends_on: [up]\n"
        f"    {field % value}\n"
        "  - {id: down, type: probe, depends_on: [me]}\n",
        "parameters: [{name: table}]\n",
    )


@pytest.mark.parametrize(("reference", "expected", "hint"), REFERENCES)
@pytest.mark.parametrize("field", ["parameters: {deep: [{x: 'ab %s cd'}]}", "word: 'ab %s cd'"])
def test_wrong_reference(reference, expected, hint, field):
    """A wrong reference, nested or in a field of the type, is underlined exactly, within its text."""
    if reference == "${":
        field = field.replace(" cd", "")
    text = with_reference(reference, field)
    (problem,) = validate(parse(text), TYPES)
    line = text.splitlines()[10]
    assert (expected, hint, 11, line.index("${") + 1, len(reference)) == (
        f"{problem.code}: {problem.message}",
        problem.hint,
        problem.line,
        problem.column,
        problem.length,
    )


@pytest.mark.parametrize(
    "reference",
    [
        "${table}",
        "${parameters.table}",
        "${jobs.up.output}",
        "${jobs.far.output.a[0]}",
        "${jobs.up.status}",
        "${session.id}",
        "${session.started_at}",
        "${pipeline.name}",
        "$${nothing}",
    ],
)
def test_right_reference(reference):
    """Parameters, jobs upstream near and far, session and pipeline can be referred to."""
    assert shown(with_reference(reference)) == ""


def test_two_references_in_one_text():
    """Each wrong reference of a text has its own place."""
    problems = validate(parse(with_reference("${no} ${nay}")), TYPES)
    assert [(30, 5), (36, 6)] == [(p.column, p.length) for p in problems]


def test_order_is_not_judged_in_a_cycle():
    """In a cycle no reference is called out of order: the cycle is the problem."""
    jobs = (
        "  - {id: a, type: probe, depends_on: [b], parameters: {x: '${jobs.b.output}'}}\n"
        "  - {id: b, type: probe, depends_on: [a], parameters: {x: '${jobs.a.output}'}}\n"
    )
    assert [p.code for p in validate(parse(head(jobs)), TYPES)] == ["cycle"]


@pytest.mark.parametrize(
    "fields",
    ['size: "${n}"', 'tags: ["${n}"]', 'tags: "${n}"', 'word: "${n}"', 'mode: "${n}"', 'either: ["${n}"]'],
)
def test_references_are_validated_later(fields):
    """What holds a reference is not held to the schema before it is resolved."""
    text = head(f"  - {{id: a, type: probe, {fields}}}\n", "parameters: [{name: n}]\n")
    assert shown(text) == ""


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ('tags: ["${n}", 3]', "wrong-type"),
        ('map: {a: "${n}", b: 1}', "out-of-range"),
        ('coded: {y: "${n}"}', "unknown-field"),
        ('size: {a: "${n}"}', "wrong-type"),
        ('size: "${n}", sizes: "${n}"', "unknown-field"),
    ],
)
def test_what_references_cannot_change(fields, code):
    """What is wrong whatever a reference brings is reported at once."""
    text = head(f"  - {{id: a, type: probe, {fields}}}\n", "parameters: [{name: n}]\n")
    assert [p.code for p in validate(parse(text), TYPES)] == [code]


# Parameters


PARAMETERS = [
    ("{name: 1x}", "bad-value: 'name' of parameter '1x' is '1x'; it must be a letter, then up to 63 letters, digits, '_' or '-'"),
    ("{}", "missing-field: a parameter needs 'name'"),
    ("{name: x, type: strin}", "bad-value: 'type' of parameter 'x' is 'strin'; it must be one of: string, integer, number, boolean, array, object"),
    ("{name: x, type: [string]}", 'bad-value: \'type\' of parameter \'x\' is ["string"]; it must be one of: string, integer, number, boolean, array, object'),
    ("{name: x, minimum: 1}", "unknown-field: parameter 'x' has no field 'minimum'"),
    ("{name: x, type: integer, pattern: a}", "unknown-field: parameter 'x' has no field 'pattern'"),
    ("{name: x, pattern: '('}", "bad-schema: parameter 'x': '(' is not a 'regex'"),
    ("{name: x, pattern: 'a{99999999999}'}", "bad-schema: parameter 'x': a pattern in its schema is too large"),
    ("{name: x, enum: []}", "out-of-range: 'enum' of parameter 'x' must have at least 1 item, not 0"),
    ("{name: x, type: integer, minimum: low}", "bad-schema: parameter 'x': 'low' is not of type 'number'"),
    ("{name: x, type: integer, default: one}", "wrong-type: the default of parameter 'x' must be a whole number, not the text 'one'"),
    ("{name: x, type: integer, minimum: 3, default: 1}", "out-of-range: the default of parameter 'x' is 1; it must be at least 3"),
    ("{name: x, enum: [a, b], default: c}", "bad-value: the default of parameter 'x' is 'c'; it must be one of: a, b"),
    ("{name: x, type: array, items: {type: string}, default: [1]}", "wrong-type: '0' of the default of parameter 'x' must be text, not the number 1"),
    ("{name: x, type: array, items: {$ref: 'http://x.invalid'}, default: [1]}", "bad-schema: parameter 'x': '$ref' is not supported; write out what it stands for"),
    ("{name: x, required: maybe}", "wrong-type: 'required' of parameter 'x' must be true or false, not the text 'maybe'"),
    ("3", "wrong-type: 'parameters.0' of the pipeline must be a mapping, not the number 3"),
    ("{name: x}, {name: x}", "duplicate-parameter: parameter 'x' is declared twice"),
]  # fmt: skip


@pytest.mark.parametrize(("declared", "expected"), PARAMETERS)
def test_parameter_declaration(declared, expected):
    """A wrong declaration of a parameter is reported with what it must be."""
    text = head("  - {id: a, type: probe}\n", f"parameters: [{declared}]\n")
    assert [expected] == [f"{p.code}: {p.message}" for p in validate(parse(text), TYPES)]


# Custom jobs


CUSTOM = [
    ("", "job 'a': a custom job has exactly one of 'command' and 'callable'; this one has neither"),
    ("command: [x], callable: 'm:f'", "job 'a': a custom job has exactly one of 'command' and 'callable'; this one has both"),
    ("command: x", "job 'a': a command is a list of the program and its arguments; one text needs 'shell: true'"),
    ("command: []", "'command' of job 'a' must have at least 1 item, not 0"),
    ("command: {x: '${p}'}", "'command' of job 'a' must be a list or text, not a mapping"),
    ("shell: true, command: 'echo ${p}'", "job 'a': a shell's script can't hold references, which could run as code; give the value as a parameter and write \"$BUNSUI_PARAM_<NAME>\""),
    ("shell: '${p}', command: ['echo ${p}']", "job 'a': a shell's script can't hold references, which could run as code; give the value as a parameter and write \"$BUNSUI_PARAM_<NAME>\""),
    ("callable: m.f", "job 'a': 'm.f' is not of the form module:function"),
    ("callable: '${p}'", "job 'a': '${p}' is not of the form module:function"),
    ("callable: 'local:f', timeout: 1", "job 'a': callable 'local:f' has no module that a process could import it from, so it can't have 'timeout' or 'isolation: process'"),
    ("command: [x], parameters: {a-b: 1, a_b: 2}", "job 'a': parameters 'a-b' and 'a_b' would both be BUNSUI_PARAM_A_B"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "expected"), CUSTOM)
def test_custom(fields, expected):
    """A custom job is one command or one callable, and nothing is read as code by accident."""
    text = head(f"  - {{id: a, type: custom, {fields}}}\n", "parameters: [{name: p}]\n")
    assert [expected] == [p.message for p in validate(parse(text), TYPES)]


@pytest.mark.parametrize(
    "fields",
    [
        "command: '${p}'",
        "command: ['${p}']",
        "shell: true, command: ['echo $1', sh, '${p}']",
        "shell: true, command: 'echo $${HOME}'",
        "callable: 'local:f'",
    ],
)
def test_custom_right(fields):
    """A command may come from a reference, and a shell's arguments may."""
    text = head(f"  - {{id: a, type: custom, {fields}}}\n", "parameters: [{name: p}]\n")
    assert shown(text) == ""


# All at once


def test_sorted_by_position():
    """All problems come at once, in the order of the text, the graph's among them."""
    text = head(
        "  - {id: a, type: probe, depends_on: [zz], size: 0}\n  - {id: a, type: nope}\n",
        "parameters: [{name: 1}]\nzz: 1\n",
    )
    assert [(3, "wrong-type"), (4, "unknown-field"), (6, "unknown-job"), (6, "out-of-range")] + [
        (7, "duplicate-id"),
        (7, "unknown-job-type"),
    ] == [(p.line, p.code) for p in validate(parse(text), TYPES)]


def test_sorted_without_text():
    """Without a text, item 2 comes before item 10."""
    data = {"version": "1.0", "name": "n", "jobs": [{"id": f"j{i}", "type": "x"} for i in range(11)]}
    assert [f"/jobs/{i}/type" for i in range(11)] == [p.path for p in validate(plain(data), TYPES)]


def test_long_chain_with_references():
    """Jobs that refer to the one before are checked without walking all that is upstream of each."""
    jobs = [
        {"id": f"j{i}", "type": "probe"}
        | ({"depends_on": [f"j{i - 1}"], "parameters": {"x": f"${{jobs.j{i - 1}.output}}"}} if i else {})
        for i in range(3000)
    ]
    assert validate(plain({"version": "1.0", "name": "n", "jobs": jobs}), TYPES) == []


# Options, resolved


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"size": 3}, []),
        (
            {"size": "3"},
            ["'size' of job 'a' (its references resolved) must be a whole number, not the text '3'"],
        ),
        ({"word": "bug"}, ["its type failed to check it: KeyError: 'oops'"]),
    ],
)
def test_resolved_options(options, expected):
    """Fields that held references are held to the schema once these are resolved."""
    assert expected == wrong_options(bunsui.Job("a", "probe"), TYPES["probe"], options)


def test_resolved_command():
    """A command that a reference brought as one text is refused then."""
    job = bunsui.Job("a", "custom")
    assert wrong_options(job, TYPES["custom"], {"command": "rm"}) == [
        "a command is a list of the program and its arguments; one text needs 'shell: true'"
    ]


# Anything


TEXT = st.text(max_size=8) | st.sampled_from(
    [
        "${x}",
        "${jobs.a.output}",
        "${",
        "${parameters}",
        "a",
        "b",
        "custom",
        "lambda",
        "probe",
        "15m\n",
        "9d",
        "string",
    ]
)
SCALAR = (
    st.none() | st.booleans() | st.integers(-3, 4) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
)
NAMES = st.sampled_from(
    "version name parameters jobs id type depends_on retry timeout command callable shell max_attempts on"
    " default enum items $ref pattern mode size tags either map coded condition secret".split()
)
TREE = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | TEXT, inner, max_size=4),
    max_leaves=12,
)
VALID = {
    "version": "1.0",
    "name": "n",
    "parameters": [
        {"name": "x", "type": "integer", "minimum": 1, "default": 2},
        {"name": "s", "enum": ["a"]},
    ],
    "jobs": [
        {"id": "a", "type": "custom", "command": ["x", "${s}"], "retry": {"max_attempts": 2, "on": ["E*"]}},
        {"id": "b", "type": "probe", "size": 3, "tags": ["t"], "depends_on": ["a"], "timeout": "15m"},
        {
            "id": "c",
            "type": "lambda",
            "function": "f",
            "parameters": {"v": "${jobs.a.output}"},
            "depends_on": ["b"],
        },
    ],
}


def places(tree, path=()):
    yield path
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


@st.composite
def mutated(draw):
    tree = copy.deepcopy(VALID)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([place for place in places(tree) if place]))
        parent = tree
        for step in path[:-1]:
            parent = parent[step]
        if draw(st.booleans()):
            parent[path[-1]] = draw(TREE)
        elif isinstance(parent, dict):
            parent[draw(NAMES)] = draw(TREE)
        else:
            parent.append(draw(TREE))
    return tree


def accepted_or_refused(tree):
    problems = validate(plain(tree), TYPES)
    assert all("under any of the given schemas" not in problem.message for problem in problems)
    if not problems:
        pipeline = to_pipeline(plain(tree).data)
        again = plain(pipeline.to_dict())
        assert validate(again, TYPES) == []
        assert to_pipeline(again.data) == pipeline


@settings(max_examples=150, deadline=None)
@given(TREE)
def test_any_tree(tree):
    """Any JSON is a pipeline or has problems; nothing else is raised."""
    with contextlib.suppress(DefinitionError):  # From the limits of the parser.
        accepted_or_refused(tree)


@settings(max_examples=400, deadline=None)
@given(mutated())
def test_any_mutation(tree):
    """A valid definition with random changes is a pipeline that round-trips, or has problems."""
    accepted_or_refused(tree)


@settings(max_examples=100, deadline=None)
@given(mutated())
def test_places_are_in_the_text(tree):
    """Every problem stands within the text, and can be rendered."""
    text = json.dumps(tree, indent=1)
    lines = text.split("\n")
    for problem in validate(parse(text, "json"), TYPES):
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1
        assert problem.render()
