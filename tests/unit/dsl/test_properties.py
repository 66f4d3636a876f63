"""Definitions at random: printing and reading are inverse, what is put together is what was meant."""

from __future__ import annotations

import json
import re
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from bunsui import Pipeline, Plugins
from bunsui.dsl.parser import plain
from bunsui.dsl.printer import to_yaml
from bunsui.dsl.validator import validate

PLUGINS = Plugins(autoload=False)
WORD = st.text("abXY09_-", max_size=8).map("a".__add__)
LINE = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=20).filter(
    lambda text: "${" not in text
)
# Neither a reference nor an escape, but what may look like one.
TEXT = st.text("aé水 $\n{}\"'\\:#", max_size=8).filter(lambda text: "${" not in text)
NUMBER = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
# Reading makes whole floats integers where a number is wanted, so that equal numbers have one digest.
SECONDS = st.integers(1, 500) | st.floats(0.001, 500).filter(lambda number: not number.is_integer())


@cache  # Making a strategy and looking whether it is right takes longer than drawing from it.
def data(texts):
    """JSON whose texts are such."""
    return st.recursive(
        texts | texts | st.none() | st.booleans() | NUMBER,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORD, inner, max_size=3),
        max_leaves=5,
    )


def field(draw, tree, name, values, chance=3):
    """Gives `tree` the field in one of `chance` cases."""
    if not draw(st.integers(0, chance - 1)):
        tree[name] = draw(values)


RETRIES = st.integers(1, 9) | st.fixed_dictionaries(
    {},
    optional={
        "max_attempts": st.integers(1, 9),
        "delay": st.just(0) | SECONDS,
        "backoff": st.integers(1, 5) | st.floats(1, 5),
        "max_delay": SECONDS,
        "jitter": st.sampled_from(["full", "none"]),
        "on": st.lists(LINE, max_size=2),
    },
)
TIMEOUTS = SECONDS | st.sampled_from(["15m", "1.5h", "250ms", "2d", "1s"])
#: A declaration but for its name, and values that fit it.
DECLARED = st.sampled_from(
    [
        ({}, st.text("ab", max_size=3)),
        ({"type": "string", "enum": ["x", "é"]}, st.sampled_from(["x", "é"])),
        ({"type": "string", "pattern": "^a", "maxLength": 9, "description": "d"}, st.just("ab")),
        ({"type": "integer", "minimum": 0}, st.integers(0, 9)),
        ({"type": "number", "exclusiveMaximum": 9}, st.floats(-9, 8)),
        ({"type": "boolean"}, st.booleans()),
        ({"type": "array", "items": {"type": "integer"}}, st.lists(st.integers(0, 9), max_size=3)),
        ({"type": "object", "properties": {"n": {"type": "integer"}}}, st.just({"n": 1, "m": ["é", None]})),
    ]
)


@st.composite
def declarations(draw):
    """Declarations by name, and the strategies of their values."""
    found = {}
    for name in draw(st.lists(WORD, max_size=3, unique=True)):
        declared, values = draw(DECLARED)
        declared = {"name": name, **declared}
        field(draw, declared, "default", values)
        field(draw, declared, "required", st.booleans())
        found[name] = (declared, values)
    return found


@cache
def conditions(names, upstream):
    """Conditions that fit parameters and jobs before."""
    atoms = ["always()", "true", 'not ${session.id} == "s"', '${pipeline.name} in ["a", "$${b}"]']
    atoms += [f"failed({job}) or succeeded({job})" for job in upstream]
    atoms += [f"${{jobs.{job}.output[0].rows}} >= -1.5e3" for job in upstream]
    atoms += [f'${{jobs.{job}.status}} not in ["failed", null]' for job in upstream]
    atoms += [f"${{parameters.{name}}} != null" for name in names]
    return st.recursive(
        st.sampled_from(atoms),
        lambda inner: st.tuples(inner, inner).map(lambda two: f"({two[0]}) and {two[1]}"),
    )


@cache
def reference_texts(*references):
    """Texts with references in them, whole and within."""
    one = st.sampled_from(references)
    return (
        TEXT
        | one
        | st.tuples(st.sampled_from(["", "a", "$${x}", "é "]), one, TEXT.map(" ".__add__)).map("".join)
    )


@st.composite
def work(draw):
    """The fields of a job's type."""
    kind = draw(st.sampled_from(["lambda", "ecs", "command", "shell", "callable"]))
    return {
        "lambda": {"type": "lambda", "function": draw(WORD)},
        "ecs": {"type": "ecs", "task_definition": draw(WORD)},
        "command": {
            "type": "custom",
            "command": draw(st.lists(LINE.map("x".__add__), min_size=1, max_size=3)),
        },
        "shell": {"type": "custom", "command": "echo", "shell": True},
        "callable": {"type": "custom", "callable": "m:f"},
    }[kind]


@st.composite
def definitions(draw):
    """A valid definition as data, with all that there is in the language."""
    declared = draw(declarations())
    parameters = [declaration for declaration, _ in declared.values()]
    if draw(st.booleans()) and "secret" not in declared:
        parameters.append({"name": "secret", "secret": True, "default": "${secrets.db}"})
    templates = {}
    for name in draw(st.lists(WORD, max_size=2, unique=True)):
        templates[name] = draw(template(list(declared)))
    ids = draw(st.lists(WORD, min_size=1, max_size=4, unique=True))
    jobs = [draw(job(id_, ids[:k], list(declared), templates)) for k, id_ in enumerate(ids)]
    tree = {"version": "1.0", "name": draw(LINE), "jobs": draw(st.permutations(jobs))}
    if parameters:
        tree["parameters"] = parameters
    if templates:
        tree["templates"] = {name: body for name, (body, _) in templates.items()}
    field(draw, tree, "defaults", defaults(list(declared)))
    field(draw, tree, "description", LINE)
    field(draw, tree, "on_failure", st.sampled_from(["continue", "stop"]))
    field(draw, tree, "max_concurrency", st.integers(1, 9))
    field(draw, tree, "timeout", TIMEOUTS)
    field(draw, tree, "metadata", st.dictionaries(LINE, data(TEXT), max_size=2))
    outputs = reference_texts(*(f"${{jobs.{id_}.output}}" for id_ in ids))
    field(draw, tree, "outputs", st.dictionaries(WORD, data(outputs), max_size=2))
    return tree


@st.composite
def template(draw, names):
    """A template's body, and the strategies of the inputs that a job may give."""
    declared = draw(declarations())
    # What nobody must give may be absent, so that a path into it could lead nowhere.
    body = {"inputs": [declaration for declaration, _ in declared.values()], **draw(work())}
    texts = reference_texts("${session.id}", *(f"${{inputs.{name}}}" for name in declared))
    field(draw, body, "parameters", st.dictionaries(WORD, data(texts), min_size=1, max_size=3), 1)
    field(draw, body, "retry", RETRIES)
    field(draw, body, "timeout", TIMEOUTS)
    field(draw, body, "name", LINE)
    field(draw, body, "condition", conditions(tuple(names), ()))
    for name, (declaration, _) in declared.items():
        if declaration.get("type", "string") in ("string", "integer") and not draw(st.integers(0, 3)):
            body["condition"] = f'${{inputs.{name}}} == null or ${{inputs.{name}}} in [1, "a", null]'
    return body, declared


@st.composite
def defaults(draw, names):
    found = {}
    field(draw, found, "parameters", st.dictionaries(WORD, data(TEXT), max_size=2), 2)
    field(draw, found, "retry", RETRIES, 2)
    field(draw, found, "timeout", TIMEOUTS)
    field(draw, found, "max_concurrency", st.integers(1, 9))
    field(draw, found, "allow_failure", st.booleans())
    field(draw, found, "condition", conditions(tuple(names), ()))
    field(draw, found, "pool", WORD)
    return found


@st.composite
def job(draw, id_, before, names, templates):
    found = {"id": id_}
    field(draw, found, "depends_on", st.lists(st.sampled_from(before), unique=True), 1) if before else None
    upstream = found.get("depends_on", [])
    references = ["${session.id}", "${env.X}", "${secrets.a}", "${pipeline.name}"]
    references += [f"${{{name}}}" for name in names if name not in ("item", "jobs")]
    references += [f"${{jobs.{one}.output[0].rows}}" for one in upstream]
    if not draw(st.integers(0, 2)):
        found["for_each"] = draw(
            st.lists(data(TEXT), max_size=2) | st.sampled_from(references[4 + len(names) :] or [[1]])
        )
        references += ["${item}", "${item.a[0]}", "${item_index}"]
        field(draw, found, "max_concurrency", st.integers(1, 9))
    if templates and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(templates)))
        body, declared = templates[name]
        found["template"] = name
        given = {}
        for key, (declaration, values) in declared.items():
            needed = declaration.get("required") and declaration.get("default") is None
            has_condition = f"inputs.{key}" in body.get("condition", "")
            allowed = values if has_condition else values | st.sampled_from(references[:1] + references[3:])
            field(draw, given, key, allowed, 1 if needed else 2)
        if given or draw(st.booleans()):
            found["with"] = given
    else:
        found |= draw(work())
    # Only what is not a command's environment: names that differ in case alone would collide there.
    inner = st.dictionaries(WORD, data(reference_texts(*references)), min_size=1, max_size=3)
    field(draw, found, "parameters", inner, 2)
    field(draw, found, "name", LINE)
    field(draw, found, "description", LINE | st.just(""))
    field(draw, found, "condition", conditions(tuple(names), tuple(upstream)))
    field(draw, found, "retry", RETRIES)
    field(draw, found, "timeout", TIMEOUTS)
    field(draw, found, "isolation", st.sampled_from(["thread", "process"]))
    field(draw, found, "allow_failure", st.booleans())
    field(draw, found, "pool", WORD)
    return found


def is_valid(tree):
    """Whether chance made no mistake: names that collide in a command's environment, and the like."""
    errors = [p for p in validate(plain(tree), PLUGINS.job_types).problems if p.severity == "error"]
    # An input may be given a reference to something of another type.
    assert all(p.code == "parameter-collision" or "/with/" in p.path for p in errors)
    return not errors


VALID = definitions().filter(is_valid)


@settings(max_examples=150, deadline=None)
@given(VALID)
def test_printing_and_reading_are_inverse(tree):
    """A pipeline as data, as JSON and as YAML is read as the same pipeline, with the same digest."""
    pipeline = Pipeline.from_dict(tree, PLUGINS)
    for again in (
        Pipeline.from_dict(pipeline.to_dict(), PLUGINS),
        Pipeline.parse(pipeline.to_json(), "json", plugins=PLUGINS),
        Pipeline.parse(pipeline.to_yaml(), plugins=PLUGINS),
    ):
        assert pipeline == again
        assert pipeline.digest == again.digest
        assert pipeline.to_dict() == again.to_dict()
        assert pipeline.to_json() == again.to_json()
        assert (pipeline.jobs, pipeline.parameters) == (again.jobs, again.parameters)


@settings(max_examples=60, deadline=None)
@given(VALID)
def test_made_from_its_parts(tree):
    """A pipeline made in Python of another's jobs and parameters is equal to it."""
    pipeline = Pipeline.from_dict(tree, PLUGINS)
    fields = (
        "name",
        "jobs",
        "parameters",
        "description",
        "on_failure",
        "max_concurrency",
        "timeout",
        "outputs",
        "metadata",
    )
    assert pipeline == Pipeline(**{name: getattr(pipeline, name) for name in fields})


def turned(tree):
    """The same data with the keys of every mapping in the other order."""
    if isinstance(tree, dict):
        return {key: turned(tree[key]) for key in reversed(tree)}
    return [turned(item) for item in tree] if isinstance(tree, list) else tree


@settings(max_examples=100, deadline=None)
@given(VALID, st.booleans())
def test_how_it_is_written_does_not_count(tree, ascii_only):
    """Neither the order of keys, nor the format, the line ends and a byte order mark change the digest."""
    texts = {
        "json": [
            json.dumps(tree, indent=1, ensure_ascii=ascii_only),
            json.dumps(turned(tree), ensure_ascii=False),
        ],
        "yaml": [to_yaml(tree), to_yaml(turned(tree)), json.dumps(tree, indent=2, ensure_ascii=False)],
    }
    digests = {Pipeline.from_dict(tree, PLUGINS).digest}
    for form, written in texts.items():
        for text in written:
            for variant in (text, "\ufeff" + text, text.replace("\n", "\r\n")):
                digests.add(Pipeline.parse(variant, form, plugins=PLUGINS).digest)
                digests.add(Pipeline.parse(variant.encode(), form, plugins=PLUGINS).digest)
    assert 1 == len(digests)


# What is put together, against a second way to do it


def merged(under, over):
    if isinstance(under, dict) and isinstance(over, dict):
        return {
            key: merged(under.get(key, over.get(key)), over.get(key, under.get(key)))
            for key in {**under, **over}
        }
    return over


_INPUT = re.compile(r"\$\$\{|\$\{inputs\.([A-Za-z0-9_-]+)\}")


def rendered(value):
    def whole(part):
        if isinstance(part, float) and part == int(part):
            return int(part)
        if isinstance(part, dict):
            return {key: whole(item) for key, item in part.items()}
        return [whole(item) for item in part] if isinstance(part, list) else part

    if isinstance(value, str):
        return value
    return json.dumps(whole(value), separators=(",", ":"), sort_keys=True)


def filled(value, inputs, path=()):
    if isinstance(value, dict):
        return {key: filled(item, inputs, (*path, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, inputs, (*path, None)) for item in value]
    if not isinstance(value, str):
        return value
    in_condition = path == ("condition",)
    found = _INPUT.fullmatch(value)
    if found and found[1] and not in_condition:
        return inputs[found[1]]

    def put_in(found):
        if found[1] is None:
            return found[0]
        item = inputs[found[1]]
        return json.dumps(item) if in_condition else rendered(item)

    return _INPUT.sub(put_in, value)


def expanded(tree, job):
    template = dict(tree.get("templates", {}).get(job.get("template"), {}))
    inputs = {}
    for declared in template.pop("inputs", []):
        value = job.get("with", {}).get(declared["name"])
        value = declared.get("default") if value is None else value
        inputs[declared["name"]] = value
    own = {key: value for key, value in job.items() if key not in ("template", "with")}
    return laid_over(laid_over(tree.get("defaults", {}), filled(template, inputs)), own)


def laid_over(under, over):
    """The fields of jobs, merged; a retry that is a number is short for a mapping, and merges with one."""
    one, other = under.get("retry"), over.get("retry")
    if isinstance(one, dict) and isinstance(other, int | float):
        over = {**over, "retry": {"max_attempts": other}}
    if isinstance(other, dict) and isinstance(one, int | float):
        under = {**under, "retry": {"max_attempts": one}}
    return merged(under, over)


@settings(max_examples=200, deadline=None)
@given(VALID)
def test_what_is_put_together(tree):
    """Every expanded job is what its own fields, its template and the defaults amount to."""
    jobs = validate(plain(tree), PLUGINS.job_types).jobs
    exact = [json.dumps(expanded(tree, job), sort_keys=True) for job in tree["jobs"]]
    assert exact == [json.dumps(job, sort_keys=True) for job in jobs]


@settings(max_examples=60, deadline=None)
@given(VALID)
def test_written_out(tree):
    """A definition written without templates and defaults is the same pipeline."""
    written = {key: value for key, value in tree.items() if key not in ("templates", "defaults")}
    written["jobs"] = [expanded(tree, job) for job in tree["jobs"]]
    assert Pipeline.from_dict(tree, PLUGINS).digest == Pipeline.from_dict(written, PLUGINS).digest
