# ruff: noqa: E501, RUF005 - rows of messages, written as they are shown
"""The validator: what it says of each kind of wrong definition, word by word."""

from __future__ import annotations

import pytest
from attrs import evolve

import bunsui
from bunsui.dsl.options import wrong_options
from bunsui.dsl.parser import parse, plain
from bunsui.dsl.validator import validate
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


def found(text):
    """All problems of a text, or of plain data."""
    return validate(parse(text, "yaml", "p.yaml") if isinstance(text, str) else plain(text), TYPES).problems


def shown(text: str) -> str:
    """All problems as they are rendered, but for hints: see tests/fixtures/definitions for these."""
    return "\n".join(evolve(problem, hint=None).render() for problem in found(text))


def head(jobs: str, top: str = "") -> str:
    return f'version: "1.0"\nname: n\n{top}jobs:\n{jobs}'


def shown_job(fields: str) -> str:
    """What is said of one probe job, without position, source and hint."""
    rendered = found(head(f"  - {{id: a, type: probe, {fields}}}\n"))
    return "\n".join(f"{p.code}: {p.message}" for p in rendered)


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
        "p.yaml:3:8: error[wrong-type]: 'jobs[0]' of the pipeline must be a mapping, not the text 'a'\n"
        "    3 | jobs: [a, null]\n      |        ^\n"
        "p.yaml:3:11: error[wrong-type]: 'jobs[1]' of the pipeline must be a mapping, not null\n"
        "    3 | jobs: [a, null]\n      |           ^^^^",
        id="job-no-mapping",
    ),
    pytest.param(
        "version: 1.0\nname: n\njobs: [{id: a, type: probe}]\n",
        "p.yaml:1:10: error[bad-value]: 'version' of the pipeline is 1.0; it must be '1.0'\n"
        "    1 | version: 1.0\n      |          ^^^",
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
        "    3 | on_failur: stop\n      | ^^^^^^^^^\n"
        "p.yaml:5:26: error[unknown-field]: job 'a' has no field 'dependson'\n"
        "    5 |   - {id: a, type: probe, dependson: [b]}\n"
        "      |                          ^^^^^^^^^",
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
        "    4 |   - {id: a, type: lamda, retry: 0}\n      |                   ^^^^^\n"
        "p.yaml:4:33: error[out-of-range]: 'retry' of job 'a' is 0; it must be at least 1\n"
        "    4 |   - {id: a, type: lamda, retry: 0}\n      |                                 ^",
        id="unknown-type-and-the-rest-of-the-job",
    ),
    pytest.param(
        head("  - {id: a}\n  - {id: b, type: null}\n"),
        "p.yaml:4:5: error[missing-field]: job 'a' needs 'type', the name of a job type\n"
        "    4 |   - {id: a}\n      |     ^\n"
        "p.yaml:5:19: error[wrong-type]: 'type' of job 'b' must be text, not null\n"
        "    5 |   - {id: b, type: null}\n      |                   ^^^^",
        id="no-type",
    ),
    pytest.param(
        head("  - {id: load, type: probe, depends_on: [extrct]}\n  - {id: extract, type: probe}\n"),
        "p.yaml:4:42: error[unknown-job]: job 'load' depends on 'extrct', which does not exist\n"
        "    4 |   - {id: load, type: probe, depends_on: [extrct]}\n"
        "      |                                          ^^^^^^",
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
        "      |                                       ^",
        id="cycle",
    ),
    pytest.param(
        head("  - {id: a, type: probe, depends_on: [a]}\n"),
        "p.yaml:4:39: error[cycle]: job 'a' depends on itself\n"
        "    4 |   - {id: a, type: probe, depends_on: [a]}\n"
        "      |                                       ^",
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
        "bad-value: 'mode' of job 'a' is 'fats'; it must be one of: fast, slow, null",
    ),
    ("mode: true", "bad-value: 'mode' of job 'a' is true; it must be one of: fast, slow, null"),
    ("size: 0", "out-of-range: 'size' of job 'a' is 0; it must be at least 1"),
    ("size: 9", "out-of-range: 'size' of job 'a' is 9; it must be less than 9"),
    ("size: true", "wrong-type: 'size' of job 'a' must be a whole number, not true"),
    ("size: 1.5", "wrong-type: 'size' of job 'a' must be a whole number, not the number 1.5"),
    ("step: 3", "bad-value: 'step' of job 'a' is 3; it must be a multiple of 2"),
    ("tags: [x, 2]", "wrong-type: 'tags[1]' of job 'a' must be text, not the number 2"),
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
    (
        f"for_each: [{', '.join('1' * 10_001)}]",
        "out-of-range: 'for_each' of job 'a' must have at most 10,000 items, not 10,001",
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
        "bad-value: 'isolation' of job 'a' is 'proces'; it must be one of: thread, process" "",
    ),
    ("retry: 1.5", "wrong-type: 'retry' of job 'a' must be a whole number or a mapping, not the number 1.5"),
    ("retry: true", "wrong-type: 'retry' of job 'a' must be a whole number or a mapping, not true"),
    ("retry: {delay: -1}", "out-of-range: 'retry.delay' of job 'a' is -1; it must be at least 0"),
    ("retry: {backoff: 0.5}", "out-of-range: 'retry.backoff' of job 'a' is 0.5; it must be at least 1"),
    (
        "retry: {max_attempt: 2}",
        "unknown-field: 'retry' of job 'a' has no field 'max_attempt'",
    ),
    ("retry: {on: ['']}", "out-of-range: 'retry.on[0]' of job 'a' must have at least 1 character, not 0"),
    (
        "retry: {jitter: ful}",
        "bad-value: 'retry.jitter' of job 'a' is 'ful'; it must be one of: full, none",
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
    assert [p.code for p in found(head('  - {id: "a\\n", type: probe}\n'))] == ["bad-value"]


def test_duplicate_dependency_is_harmless():
    """A dependency that is named twice counts once."""
    jobs = "  - {id: a, type: probe}\n  - {id: b, type: probe, depends_on: [a, a]}\n"
    assert shown(head(jobs)) == ""


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("cache: {}", ""),
        ("cache: {ttl: 1d, key: [1, {a: b}]}", ""),
        ("cache: true", "wrong-type: 'cache' of job 'a' must be a mapping, not true"),
        ("cache: {ttl: 0}", "out-of-range: 'cache.ttl' of job 'a' is 0; it must be more than 0"),
        ("cache: {ttl: soon}", "bad-value: 'cache.ttl'"),
        ("cache: {tll: 5}", "unknown-field: 'cache' of job 'a' has no field 'tll'"),
        ("cache: {key: '${nothing}'}", "unknown-reference: ${nothing}: there is no parameter 'nothing'"),
    ],
)
def test_cache(field, text):
    """It is a mapping with a duration and any key, whose references are checked as those of parameters."""
    shown = shown_job(field)
    assert shown.startswith(text) if text else shown == ""


# Fields of jobs and pipelines that earlier versions refused


@pytest.mark.parametrize(
    "fields",
    [
        "condition: always()",
        "for_each: [1, {a: 2}]",
        "for_each: []",
        "for_each: '${numbers}'",
        "for_each: '${jobs.up.output.files}', depends_on: [up]",
        "for_each: [1], max_concurrency: 2",
        "pool: gpu",
    ],
)
def test_right_fields(fields):
    """Conditions, fan-outs and pools are part of the language."""
    jobs = f"  - {{id: a, type: probe, {fields}}}\n  - {{id: up, type: probe}}\n"
    assert shown(head(jobs, "parameters: [{name: numbers, type: array}]\n")) == ""


@pytest.mark.parametrize(
    "top", ["timeout: 90m", "timeout: 5", "outputs: {n: 1}", "defaults: {}", "templates: {}"]
)
def test_right_fields_of_a_pipeline(top):
    """A session may have a timeout, and outputs of its own."""
    assert shown(head("  - {id: a, type: probe}\n", f"{top}\n")) == ""


FAN_OUTS = [
    ("for_each: 'a,b'", "bad-for-each: 'for_each' of job 'a': it must be a list, or one reference to a list"),
    ("for_each: 'x/${numbers}'", "bad-for-each: 'for_each' of job 'a': it must be a list, or one reference to a list"),
    ("for_each: '${word}'", "bad-for-each: 'for_each' of job 'a': ${word} is text, not a list"),
    ("for_each: '${session.id}'", "bad-for-each: 'for_each' of job 'a': ${session.id} is text, not a list"),
    ("for_each: 3", "wrong-type: 'for_each' of job 'a' must be text or a list, not the number 3"),
    ("for_each: [1], max_concurrency: 0", "out-of-range: 'max_concurrency' of job 'a' is 0; it must be at least 1"),
    ("max_concurrency: 2", "no-effect: 'max_concurrency' of job 'a' has no effect without 'for_each'"),
    (
        "pool: my pool",
        "bad-value: 'pool' of job 'a' is 'my pool'; it must be a letter, then up to 63 letters, digits, '_' or '-'",
    ),
    ("template: t", "unknown-template: job 'a' uses the template 't', which does not exist"),
    ("with: {}", "missing-field: job 'a' has 'with', but no 'template' that takes it"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "expected"), FAN_OUTS)
def test_wrong_fan_out_and_the_like(fields, expected):
    """A fan-out runs over a list; what has no effect is said, as a warning."""
    text = head(
        f"  - {{id: a, type: probe, {fields}}}\n",
        "parameters: [{name: numbers, type: array}, {name: word}]\n",
    )
    assert [expected] == [f"{p.code}: {p.message}" for p in found(text)]


def test_too_many_items():
    """A literal list of a fan-out has at most 10,000 items."""
    job = {"id": "a", "type": "probe", "for_each": [0] * 10_001}
    assert ["out-of-range"] == [p.code for p in found({"version": "1.0", "name": "n", "jobs": [job]})]


# References in the fields of a type


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
    assert [p.code for p in found(text)] == [code]


# Custom jobs


CUSTOM = [
    ("", "job 'a': a custom job has exactly one of 'command' and 'callable'; this one has neither"),
    ("command: [x], callable: 'm:f'", "job 'a': a custom job has exactly one of 'command' and 'callable'; this one has both"),
    ("command: x", "job 'a': a command is a list of the program and its arguments; one text needs 'shell: true'"),
    ("command: []", "'command' of job 'a' must have at least 1 item, not 0"),
    ("command: {x: '${p}'}", "'command' of job 'a' must be a list or text, not a mapping"),
    ("shell: true, command: 'echo ${p}'", "job 'a': a shell's script can't hold references, which could run as code; give the value as a parameter and write \"$BUNSUI_PARAM_<NAME>\""),
    ("shell: '${p}', command: ['echo ${p}']", "job 'a': with 'shell: true' the command is one text, a script; a list of arguments needs no shell"),
    ("shell: true, command: [echo, hello]", "job 'a': with 'shell: true' the command is one text, a script; a list of arguments needs no shell"),
    ("command: 'echo ${p}'", "job 'a': a command is a list of the program and its arguments; one text needs 'shell: true'"),
    ("callable: 'tasks.py:load'", "job 'a': 'tasks.py:load' names a file; a module is named without '.py'"),
    ("callable: m.f", "job 'a': 'm.f' is not of the form module:function"),
    ("callable: '${p}'", "job 'a': a callable can't hold references: who starts a session would choose what runs"),
    ("callable: 'local:f', timeout: 1", "job 'a': callable 'local:f' has no module that a process could import it from, so it can't have 'timeout' or 'isolation: process'; put it into a module"),
    ("command: [x], parameters: {a-b: 1, a_b: 2}", "job 'a': parameters 'a-b' and 'a_b' would both be BUNSUI_PARAM_A_B"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "expected"), CUSTOM)
def test_custom(fields, expected):
    """A custom job is one command or one callable, and nothing is read as code by accident."""
    text = head(f"  - {{id: a, type: custom, {fields}}}\n", "parameters: [{name: p}]\n")
    assert [expected] == [p.message for p in found(text)]


@pytest.mark.parametrize(
    "fields",
    [
        "command: '${p}'",
        "command: ['${p}']",
        "shell: true, command: 'echo $${HOME}'",
        "callable: 'local:f'",
    ],
)
def test_custom_right(fields):
    """A command may come from a reference."""
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
    ] == [(p.line, p.code) for p in found(text)]


def test_sorted_without_text():
    """Without a text, item 2 comes before item 10."""
    data = {"version": "1.0", "name": "n", "jobs": [{"id": f"j{i}", "type": "x"} for i in range(11)]}
    assert [f"/jobs/{i}/type" for i in range(11)] == [p.path for p in found(data)]


def test_long_chain_with_references():
    """Jobs that refer to the one before are checked without walking all that is upstream of each."""
    jobs = [
        {"id": f"j{i}", "type": "probe"}
        | ({"depends_on": [f"j{i - 1}"], "parameters": {"x": f"${{jobs.j{i - 1}.output}}"}} if i else {})
        for i in range(3000)
    ]
    assert found({"version": "1.0", "name": "n", "jobs": jobs}) == []


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


# How many problems are shown


def many(wrong: str, right: str = "", count: int = 150) -> str:
    """A definition of many jobs with one mistake each, and one more at its end."""
    return head(
        "".join(f"  - {{id: a{i}, type: lambda, function: f, {wrong}}}\n" for i in range(count)) + right
    )


def test_warnings_alone_refuse_nothing():
    """However many they are, and whatever is not shown of them."""
    problems = found(many("max_concurrency: 2"))
    assert (101, {"warning"}) == (len(problems), {p.severity for p in problems})
    assert ("too-many-problems", "50 further problems are not shown") == (
        problems[-1].code,
        problems[-1].message,
    )
    assert 150 == len(bunsui.Pipeline.parse(many("max_concurrency: 2")).jobs)


def test_errors_come_before_warnings():
    """An error at the end is shown, and counts, behind any number of warnings."""
    problems = found(many("max_concurrency: 2", "  - {id: z, type: lambda}\n", 2500))
    assert ["missing-field"] == [p.code for p in problems if p.severity == "error"]
    assert (101, "warning") == (len(problems), problems[-1].severity)


def test_errors_that_are_not_shown_are_errors():
    """Of more than a hundred the first are shown, and that there are more is an error, too."""
    problems = found(many("max_concurrency: 2, parameters: 3"))
    assert (101, {"error"}) == (len(problems), {p.severity for p in problems})


def test_a_job_that_is_wrong_about_what_it_waits_for_gets_no_advice_on_order():
    """Where 'depends_on' is wrong, what is upstream is not known, there and further down."""
    text = head(
        "  - {id: a, type: lambda, function: f}\n"
        "  - {id: b, type: lambda, function: f, dependson: [a], parameters: {x: '${jobs.a.output}'}}\n"
        "  - {id: c, type: lambda, function: f, depends_on: [b], parameters: {x: '${jobs.a.output}'}}\n"
    )
    assert ["unknown-field"] == [p.code for p in found(text)]


def test_a_dollar_that_stays_is_no_reference_when_options_are_resolved():
    """A script's '${HOME}', which is written '$${HOME}', is not taken for a reference at run time."""
    job = bunsui.Job("a", "custom", {"command": "echo $${HOME}", "shell": True})
    assert [] == wrong_options(job, TYPES["custom"], {"command": "echo ${HOME}", "shell": True})


def test_options_that_are_no_plain_data():
    """What a reference brings may be beyond what a definition may hold."""
    job = bunsui.Job("a", "custom", {"command": ["echo", "${p}"]})
    assert ["job 'a' (its references resolved): the integer does not fit into 64 bits"] == wrong_options(
        job, TYPES["custom"], {"command": ["echo", 2**63]}
    )
