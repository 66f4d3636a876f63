"""The one JSON Schema (draft 2020-12) of whole definitions, which editors read.

It says what `bunsui.dsl.schema` says in parts, and chooses between them: by a job's type, by whether a job
takes over a template, by a parameter's type. What JSON Schema can't say (that a name exists, that jobs do not
wait for each other, what a template brings in) only the validator knows.

Editors do not complete and explain through every keyword; what is done for them here is tested with
yaml-language-server. Fields are `properties` of closed mappings, each in a definition of its own; what
depends on a type is behind `if` and `then`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bunsui.dsl import schema
from bunsui.dsl.alert_fields import ALERT_FIELDS, rule_schema
from bunsui.dsl.fields import DEFAULTS_FIELDS, JOB_FIELDS, PIPELINE_FIELDS
from bunsui.dsl.parameters.fields import PARAMETER_FIELDS, PARAMETER_TYPES, SECRET
from bunsui.dsl.publishing.choices import ANY, HAS_TYPE, INPUTS, ONE_REFERENCE, ONE_SECRET, explained, is_type
from bunsui.dsl.publishing.jobs import JobSchemas
from bunsui.dsl.publishing.referable import Referable, holds_reference
from bunsui.model.alerts import KINDS
from bunsui.model.pipeline import LANGUAGE_VERSION

if TYPE_CHECKING:
    from bunsui.ports.job_type import JobType

__all__ = ["ID", "json_schema"]

ID = f"urn:bunsui:definition:{LANGUAGE_VERSION}"


def json_schema(job_types: Mapping[str, JobType]) -> dict[str, Any]:
    """The schema of definitions whose jobs are of these types, complete in itself."""
    job_types = dict(sorted(job_types.items()))
    defs = {
        "reference": {"type": "string", "pattern": ANY.holds},
        "input-reference": {"type": "string", "pattern": INPUTS.holds},
        "holds-reference": holds_reference(ANY.holds),
    }
    _add_common_fields(job_types, defs)
    _add_declarations("parameter", "A parameter", defs, secret=True)
    _add_declarations("input", "An input", defs, secret=False)
    _add_alerts(defs)
    jobs = JobSchemas(job_types, defs)
    jobs.add_jobs()
    jobs.add_templates()
    whole: dict[str, Any] = explained(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": ID,
            "title": "Pipeline",
            "description": "A bunsui pipeline: jobs, and what waits for what.",
            **schema.PIPELINE,
            "properties": _pipeline_fields(),
            "allOf": list(jobs.by_defaults()),
            "$defs": defs,
        }
    )
    return whole


def _pipeline_fields() -> dict[str, Any]:
    fields = dict(PIPELINE_FIELDS)
    # One value to propose, and not two, is what an editor puts in by itself.
    fields["version"] = {"type": "string", **fields["version"]}
    del fields["version"]["examples"]
    fields["parameters"] = {**fields["parameters"], "items": {"$ref": "#/$defs/parameter"}}
    in_defaults = {name: {"$ref": f"#/$defs/field.{name}"} for name in DEFAULTS_FIELDS}
    fields["defaults"] = {**fields["defaults"], "properties": in_defaults}
    fields["templates"] = {**fields["templates"], "additionalProperties": {"$ref": "#/$defs/template"}}
    fields["jobs"] = {**fields["jobs"], "items": {"$ref": "#/$defs/job"}}
    fields["alerts"] = {**fields["alerts"], "items": {"$ref": "#/$defs/alert"}}
    return fields


def _add_common_fields(job_types: Mapping[str, JobType], defs: dict[str, Any]) -> None:
    """Adds a definition of each field of a job, and of each field of a template."""
    fields = dict(JOB_FIELDS)
    fields["type"] = {**fields["type"], "enum": list(job_types)}
    fields["for_each"] = {**fields["for_each"], "pattern": ONE_REFERENCE}
    descriptions = [str(job_type.schema.get("description", "")) for job_type in job_types.values()]
    if any(descriptions):
        fields["type"]["enumDescriptions"] = descriptions
    in_templates = Referable({}, "template", defs, INPUTS, "templates", partial=True)
    for name, part in fields.items():
        defs[f"field.{name}"] = part
        if name in schema.TEMPLATE_FIELDS:
            defs[f"template-field.{name}"] = in_templates.field(name, part)
    inputs = schema.TEMPLATE_FIELDS["inputs"]
    defs["template-field.inputs"] = {**inputs, "items": {"$ref": "#/$defs/input"}}


def _add_declarations(name: str, what: str, defs: dict[str, Any], *, secret: bool) -> None:
    """Adds the definition of declarations of parameters, or of a template's inputs, of every type."""
    title = {"title": what.partition(" ")[2].capitalize()}
    of_type = {"$ref": f"#/$defs/{name}.type"}
    defs[f"{name}.type"] = PARAMETER_FIELDS["type"]
    branches = []
    for kind in PARAMETER_TYPES:
        declared = _declaration(kind, secret=secret)
        defs[f"{name}.{kind}"] = {
            **title,
            "description": f"{what} of type {kind}.",
            **declared,
            "properties": {**declared["properties"], "type": of_type},
        }
        condition = is_type(kind, PARAMETER_FIELDS["type"])
        if kind != PARAMETER_FIELDS["type"]["default"]:
            condition = {**condition, **HAS_TYPE}
        branches.append({"if": condition, "then": {"$ref": f"#/$defs/{name}.{kind}"}})
    defs[name] = {
        **title,
        "description": f"{what}: its name, its type, and what its values must be.",
        "type": "object",
        "properties": {"type": of_type},
        "allOf": branches,
    }


def _add_alerts(defs: dict[str, Any]) -> None:
    """Adds the definition of rules for alerts, of every kind."""
    on = {"$ref": "#/$defs/alert.on"}
    defs["alert.on"] = ALERT_FIELDS["on"]
    branches = []
    for kind in KINDS:
        rule = rule_schema(kind)
        rule["properties"]["on"] = on
        one_of = KINDS[kind][0]
        if len(one_of) > 1:
            rule["oneOf"] = [{"required": [name]} for name in one_of]
        defs[f"alert.{kind}"] = {"title": "Alert", "description": f"An alert on {kind}.", **rule}
        said = {key: ALERT_FIELDS["on"][key] for key in ("title", "description")}
        has_kind = {"type": "object", "required": ["on"], "properties": {"on": {**said, "const": kind}}}
        branches.append({"if": has_kind, "then": {"$ref": f"#/$defs/alert.{kind}"}})
    defs["alert"] = {
        "title": "Alert",
        "description": "A rule: what is told of, and by which channels.",
        "type": "object",
        "properties": {"on": on},
        "required": ["on"],
        "allOf": branches,
    }


def _declaration(kind: str, *, secret: bool) -> dict[str, Any]:
    """The schema of a declaration of one type, where the default is of that type, too."""
    whole = schema.parameter_schema(kind, secret=secret)
    default = {**PARAMETER_FIELDS["default"], "type": [kind, "null"]}
    made = {**whole, "properties": {**whole["properties"], "default": default}}
    if secret and kind != "string":
        message = "Only a parameter of type string can be secret."
        made["properties"]["secret"] = {**SECRET, "const": False, "errorMessage": message}
    elif secret:
        is_secret = {"secret": {**SECRET, "const": True}}
        made["if"] = {"type": "object", "properties": is_secret, "required": ["secret"]}
        made["then"] = {"properties": {"default": {**default, "pattern": ONE_SECRET}}}
    return made
