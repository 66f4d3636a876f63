"""The published schema: what editors read says what the validator says, as far as JSON Schema can."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import bunsui
from bunsui.dsl.fields import JOB_FIELDS, PIPELINE_FIELDS, RETRY
from bunsui.dsl.parameters.fields import PARAMETER_FIELDS, SECRET
from bunsui.dsl.parser import parse, plain
from bunsui.dsl.publishing.whole import json_schema
from bunsui.dsl.validator import validate
from bunsui.ports.job_type import JobType

ROOT = Path(__file__).resolve().parents[4]


class Probe(JobType):
    """A job type of somebody else's, with a schema of every kind and few explanations."""

    name = "probe/2 (beta)"
    schema = {
        "$id": "https://example.com/probe.json",
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "description": "Probes something.",
        "$defs": {
            "tree": {
                "type": "object",
                "properties": {
                    "value": {"type": "integer"},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}},
                },
                "required": ["value"],
                "additionalProperties": False,
            },
            "word": {"$anchor": "word", "type": "string", "pattern": "^[a-z]+$"},
        },
        "properties": {
            "mode": {"enum": ["fast", "slow", None]},
            "size": {"type": "integer", "minimum": 1, "exclusiveMaximum": 9},
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 5}, "uniqueItems": True},
            "either": {"anyOf": [{"type": "string", "minLength": 9}, {"type": "integer", "minimum": 3}]},
            "one": {
                "oneOf": [
                    {"properties": {"a": {"type": "integer"}}, "required": ["a"], "type": "object"},
                    {"properties": {"b": {"type": "integer"}}, "required": ["b"], "type": "object"},
                ]
            },
            "coded": {"patternProperties": {"^x-": {"type": "integer"}}, "additionalProperties": False},
            "word": {"$ref": "#word"},
            "short": {"$ref": "https://example.com/probe.json#/properties/word", "maxLength": 3},
            "tree": {"$ref": "#/$defs/tree"},
            "net_work": {
                "type": "object",
                "properties": {"subnets": {"type": "array", "minItems": 1}, "public": {"type": "boolean"}},
                "required": ["subnets"],
            },
            "never": False,
            "anything": True,
        },
        "patternProperties": {"^x-": {"type": "integer"}},
        "dependentRequired": {"mode": ["size"]},
    }

    def run(self, call):
        return None


class Prober(JobType):
    """A type whose name begins with another's, which shares fields with it and needs a common one."""

    name = "probe/2"
    schema = {
        "type": "object",
        "properties": {
            "mode": {"type": "string"},
            "size": {"type": "integer"},
            "command": {"type": "string"},
        },
        "required": ["command", "timeout"],
    }

    def run(self, call):
        return None


TYPES = {
    **bunsui.Plugins(autoload=False).job_types,
    Probe.name: Probe(),
    Prober.name: Prober(),
}
SCHEMA = json_schema(TYPES)
VALIDATOR = Draft202012Validator(SCHEMA)


def errors(data: Any) -> list[str]:
    """The codes of what the validator finds wrong."""
    problems = validate(plain(data), TYPES).problems
    return [problem.code for problem in problems if problem.severity == "error"]


def of_text(text: str) -> Any:
    return parse(text).data


def head(jobs: str, top: str = "") -> Any:
    return of_text(f'version: "1.0"\nname: n\n{top}jobs:\n{jobs}')


def job(fields: str) -> Any:
    return head(f'  - {{id: a, type: "probe/2 (beta)", {fields}}}\n')


def refs(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from refs(value)
    elif isinstance(part, list):
        for value in part:
            yield from refs(value)


def followed(part: Any) -> dict[str, Any]:
    """A field's schema, with what it points at, as an editor shows it."""
    while isinstance(part, dict) and "$ref" in part:
        target = SCHEMA["$defs"][part["$ref"].removeprefix("#/$defs/")]
        part = {**target, **{key: value for key, value in part.items() if key != "$ref"}}
    return part


def properties(part: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every property at every level, with its place in the schema."""
    if isinstance(part, dict):
        for name, value in part.get("properties", {}).items():
            if value is not False:
                yield f"{path}/properties/{name}", value
            yield from properties(value, f"{path}/properties/{name}")
        for key, value in part.items():
            if key not in ("properties", "examples", "default", "enum", "const"):
                yield from properties(value, f"{path}/{key}")
    elif isinstance(part, list):
        for i, value in enumerate(part):
            yield from properties(value, f"{path}/{i}")


# The schema itself


def test_valid_by_the_metaschema():
    """It is a schema of draft 2020-12."""
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_complete_in_itself():
    """It points at nothing outside, and at nothing that is not there."""
    missing = {ref for ref in refs(SCHEMA) if ref.removeprefix("#/$defs/") not in SCHEMA["$defs"]}
    assert missing == set()


def test_nothing_is_left_over():
    """Every definition is used."""
    used = {ref.removeprefix("#/$defs/") for ref in refs(SCHEMA)}
    assert set(SCHEMA["$defs"]) - used - {"input-reference"} == set()


def test_plain_json():
    """It survives being written to a file."""
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


def test_public_function():
    """bunsui.json_schema() knows the job types of the plugins that it is given."""

    class Plugin:
        @staticmethod
        @bunsui.hookimpl
        def bunsui_job_types():
            return [Probe()]

    schema = bunsui.json_schema(bunsui.Plugins([Plugin], autoload=False))
    known = ["batch", "custom", "ecs", "glue", "lambda", Probe.name, "step_function"]
    assert schema["$defs"]["field.type"]["enum"] == known


def test_the_callers_own():
    """Who changes what they got changes nobody else's, nor another part of it."""

    def emptied(part: Any, seen: set[int]) -> None:
        assert id(part) not in seen
        seen.add(id(part))
        for value in part.values() if isinstance(part, dict) else part:
            if isinstance(value, (dict, list)):
                emptied(value, seen)
        part.clear()

    emptied(json_schema(TYPES), set())
    assert json_schema(TYPES) == SCHEMA


# What editors say


@pytest.mark.parametrize("annotation", ["title", "description"])
def test_every_property_is_explained(annotation):
    """Every property at every level has a title and a description."""
    places = list(properties(SCHEMA))
    assert len(places) > 300
    assert [place for place, part in places if not followed(part).get(annotation)] == []


def test_explanations_are_the_languages():
    """Fields say in the published schema what the language says of them."""
    for name in JOB_FIELDS:
        assert SCHEMA["$defs"][f"field.{name}"]["description"] == JOB_FIELDS[name]["description"]
    for name in PIPELINE_FIELDS:
        assert SCHEMA["properties"][name]["description"] == PIPELINE_FIELDS[name]["description"]


def test_titles_are_derived():
    """A field without title and description gets some of its own, from its name and its type."""
    found = SCHEMA["$defs"]["partial-field-of.probe_2f_2_20__28_beta_29_.net_work"]
    assert found["title"] == "Net work"
    assert found["description"].startswith("A field of probe/2 (beta) jobs. May hold references")


def test_fields_that_hold_references_say_so():
    """A job type's fields and a template's fields say that they may hold references."""
    fields = {
        name: part
        for name, part in SCHEMA["$defs"].items()
        if name.startswith(("field-of.", "partial-field-of.", "template-field."))
    }
    silent = {name for name, part in fields.items() if "May hold references" not in part["description"]}
    assert silent == {"template-field.inputs"}


@pytest.mark.parametrize("name", ["parameters", "with", "condition", "for_each"])
def test_common_fields_that_hold_references_say_so(name):
    """So do the common fields that may."""
    assert "reference" in SCHEMA["$defs"][f"field.{name}"]["description"]


def test_types_are_explained():
    """What a job type says of itself is shown where types are offered."""
    field = SCHEMA["$defs"]["field.type"]
    assert dict(zip(field["enum"], field["enumDescriptions"], strict=True))[Probe.name] == "Probes something."


# Defaults

BARE = {"version": "1.0", "name": "n", "jobs": [{"id": "a", "type": "lambda", "function": "f"}]}


def pipeline(**fields: Any) -> bunsui.Pipeline:
    return bunsui.Pipeline.from_dict({**BARE, **fields})


def with_job(**fields: Any) -> bunsui.Pipeline:
    return pipeline(jobs=[{**BARE["jobs"][0], **fields}])


@pytest.mark.parametrize("name", [name for name, part in PIPELINE_FIELDS.items() if "default" in part])
def test_pipeline_default(name):
    """A pipeline's field that is left out is its default."""
    assert pipeline(**{name: SCHEMA["properties"][name]["default"]}) == pipeline()


@pytest.mark.parametrize(
    "name", [name for name, part in JOB_FIELDS.items() if "default" in part and name != "isolation"]
)
def test_job_default(name):
    """A job's field that is left out is its default."""
    assert with_job(**{name: SCHEMA["$defs"][f"field.{name}"]["default"]}) == with_job()


@pytest.mark.parametrize("name", [name for name, part in RETRY["properties"].items() if "default" in part])
def test_retry_default(name):
    """A field of 'retry' that is left out is its default."""
    default = SCHEMA["$defs"]["field.retry"]["properties"][name]["default"]
    assert with_job(retry={name: default}) == with_job(retry={})


@pytest.mark.parametrize(
    "name", [name for name, part in {**PARAMETER_FIELDS, "secret": SECRET}.items() if "default" in part]
)
def test_parameter_default(name):
    """A field of a declaration that is left out is its default."""
    default = followed(SCHEMA["$defs"]["parameter.string"]["properties"][name])["default"]
    declared = pipeline(parameters=[{"name": "p", name: default}])
    assert declared.parameters == pipeline(parameters=[{"name": "p"}]).parameters


# Agreement with the validator

PIPELINE = of_text(r"""
version: "1.0"
name: pipeline
description: Everything that a pipeline says of itself.
parameters:
  - {name: bucket, required: true, pattern: "^[a-z]+$", description: Where it is.}
  - {name: rows, type: integer, default: 3, minimum: 1}
  - {name: password, secret: true, default: "${secrets.db}"}
  - {name: regions, type: array, items: {type: string}, maxItems: 3}
defaults: {retry: 3, timeout: 1h, parameters: {a: 1}}
jobs: [{id: a, type: lambda, function: f}]
outputs: {n: "${jobs.a.output.rows}", m: 3}
on_failure: stop
timeout: 2h
max_concurrency: 4
metadata: {team: x}
""")
TEMPLATES = of_text(r"""
version: "1.0"
name: templates
templates:
  load:
    type: lambda
    description: Loads ${inputs.table}.
    inputs:
      - {name: table}
      - {name: tries, type: integer, default: 2}
      - {name: after, type: array, default: []}
      - {name: place, default: thread}
    function: load-${inputs.table}
    retry: {max_attempts: "${inputs.tries}", delay: 5, jitter: none, "on": ["A*"]}
    timeout: ${inputs.tries}m
    depends_on: ${inputs.after}
    isolation: ${inputs.place}
    parameters: {table: "${inputs.table}"}
  probing:
    type: probe/2 (beta)
    net_work: {public: false}
jobs:
  - {id: load, template: load, with: {table: t, after: [p2]}}
  - {id: p2, template: probing, net_work: {subnets: [a]}}
""")
JOBS = of_text(r"""
version: "1.0"
name: jobs
parameters: [{name: rows, type: integer}]
jobs:
  - id: list
    name: List
    type: custom
    command: [python, list.py, "${rows}"]
    shell: false
    isolation: process
    allow_failure: true
  - id: each
    type: lambda
    function: f
    for_each: ${jobs.list.output.files}
    max_concurrency: 3
    depends_on: [list]
    condition: ${rows} > 0
    pool: gpu
    parameters: {x: "${item}"}
  - {id: p3, type: probe/2, command: c, timeout: 5}
""")
PROBE = of_text(r"""
version: "1.0"
name: probe
jobs:
  - id: probe
    type: probe/2 (beta)
    mode: fast
    size: 3
    tags: [a, b]
    either: 5
    one: {a: 1}
    coded: {x-1: 3}
    word: abc
    short: abc
    tree: {value: 1, children: [{value: 2}]}
    net_work: {subnets: [a]}
    anything: [1]
""")
DEFAULTS = of_text("""
version: "1.0"
name: defaults
defaults:
  {type: lambda, allow_failure: true, condition: always(), isolation: thread, pool: a}
jobs:
  - {id: a, function: f}
  - {id: b, type: custom, callable: "m:f", timeout: 5, depends_on: [a], for_each: [1, 2]}
  - {id: c, type: custom, command: "echo $HOME", shell: true}
""")
REFERENCES = of_text("""
version: "1.0"
name: references
parameters: [{name: n, type: integer}]
jobs:
  - id: a
    type: probe/2 (beta)
    mode: x${n}
    size: ${n}
    tags: ["${n}", "${n}", "$${n}"]
    either: ${n}
    one: {a: "${n}"}
    coded: {x-1: "${n}"}
    word: ${n}
    short: A${n}
    tree: {value: "${n}", children: ["${n}", {value: 1, children: "${n}"}]}
    net_work: {subnets: "${n}", public: "${n}"}
    anything: {deep: ["${n}"]}
  - {id: b, type: "probe/2 (beta)", one: "${n}", coded: "${n}", tree: "${n}", net_work: "${n}"}
  - {id: c, type: custom, command: "${n}"}
""")
BY_PATTERN = job("x-9: 4")
DEFINITIONS = [PIPELINE, TEMPLATES, JOBS, PROBE, DEFAULTS, REFERENCES, BY_PATTERN, BARE]


def documented() -> Iterator[Any]:
    """The definitions of the examples and of the documents, but for those of job types that are not here."""
    for path in sorted(
        {*(ROOT / "examples").glob("*/pipeline.yaml")} - {ROOT / "examples/plugins/pipeline.yaml"}
    ):
        yield pytest.param(of_text(path.read_text(encoding="utf-8")), id=str(path.relative_to(ROOT)))
    for path in [ROOT / "README.rst", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        found = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
        found += [
            re.sub(r"(?m)^ {4}", "", block)
            for block in re.findall(r"\.\. code-block:: yaml\n\n((?:    .*\n|\n)+)", text)
        ]
        for i, block in enumerate(found):
            if block.startswith("version:"):
                yield pytest.param(of_text(block), id=f"{path.relative_to(ROOT)}-{i}")


@pytest.mark.parametrize("data", [*DEFINITIONS, *documented()])
def test_valid_definitions_are_accepted(data):
    """What the validator finds nothing wrong with, the published schema accepts."""
    assert errors(data) == []
    assert [error.message for error in VALIDATOR.iter_errors(data)] == []


#: Codes of what is wrong with the shape of a definition.
SHAPE = {"unknown-field", "wrong-type", "missing-field", "bad-value", "out-of-range"}
VALUES = [None, True, 5, -1, "text", "", "${rows}", "${inputs.tries}", "a\n", [], [5], {}, {"zzz": 1}]
NAMES = ["zzz", "template", "with", "type", "function", "retry", "secret", "minimum", "id", "cache"]


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from paths(part, (*path, key))


def at(data: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        data = data[step]
    return data


def mutants(data: Any, path: tuple[Any, ...]) -> Iterator[Any]:
    """Definitions that differ from `data` in one thing at one place."""
    changed = copy.deepcopy(data)
    if path:
        parent, key = at(changed, path[:-1]), path[-1]
        kept = parent[key]
        for value in VALUES:
            parent[key] = copy.deepcopy(value)
            yield changed
        parent[key] = kept
        if isinstance(parent, dict):
            del parent[key]
            yield changed
            parent[key] = kept
    here = at(changed, path)
    if isinstance(here, dict):
        for name in NAMES:
            if name not in here:
                here[name] = "zzz"
                yield changed
                del here[name]


def beyond(data: Any, path: tuple[Any, ...], problem: bunsui.Problem) -> bool:
    """Whether what is wrong is beyond JSON Schema: it takes looking at two places at once."""
    # What is declared of a value, and the value; a template, and the job that takes it over.
    composed = {f"/jobs/{i}" for i, one in enumerate(data["jobs"]) if "template" in one}
    return (
        path[-1] == "default"
        or "/default" in problem.path
        or "/".join(problem.path.split("/")[:3]) in composed
        or (problem.code == "missing-field" and problem.path.startswith("/templates/"))
    )


PLACES = [
    (data, path) for data in (PIPELINE, TEMPLATES, JOBS, PROBE, DEFAULTS) for path in paths(data) if path
]
SECTIONS = list(dict.fromkeys((data["name"], path[:2]) for data, path in PLACES))


@pytest.mark.parametrize("section", SECTIONS, ids=lambda s: "/".join(map(str, (s[0], *s[1]))))
def test_agreement(section):
    """Whatever is changed in a definition, the published schema refuses it where the validator does."""
    disagreements = []
    for data, path in PLACES:
        if (data["name"], path[:2]) != section:
            continue
        for mutant in mutants(data, path):
            problems = [p for p in validate(plain(mutant), TYPES).problems if p.severity == "error"]
            wrong = [problem for problem in problems if problem.code in SHAPE]
            if VALIDATOR.is_valid(mutant):
                if not all(beyond(data, path, problem) for problem in wrong):
                    disagreements.append(("accepted", path, at(mutant, path[:-1]), wrong))
            # That it is overridden everywhere makes a wrong value in a template no better.
            elif not problems and path[0] not in ("templates", "defaults"):
                disagreements.append(("refused", path, at(mutant, path[:-1])))
    assert disagreements == []
