"""The JSON Schema (draft 2020-12) of a definition, in the parts that are validated one by one.

A job is validated against the schema of its own type, chosen before validating: one schema with a branch
for each type costs six times as much and says only that nothing fits. What editors get, in one piece, is
made of the same fields: see `bunsui.dsl.publishing.whole`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from bunsui.dsl.fields import JOB_FIELDS, NOT_IN_TEMPLATES, PIPELINE_FIELDS
from bunsui.dsl.parameters.fields import COMMON_KEYWORDS, PARAMETER_FIELDS, PARAMETER_KEYWORDS, SECRET

if TYPE_CHECKING:
    from bunsui.ports.job_type import JobType

PIPELINE: dict[str, Any] = {
    "type": "object",
    "properties": PIPELINE_FIELDS,
    "required": ["version", "name", "jobs"],
    "additionalProperties": False,
}
#: The fields of a job once its template and the defaults have been put into it.
EXPANDED_FIELDS: dict[str, Any] = {
    name: field for name, field in JOB_FIELDS.items() if name not in ("template", "with")
}
#: The schema of a job whose type is not known.
ANY_JOB: dict[str, Any] = {"type": "object", "properties": EXPANDED_FIELDS, "required": ["id"]}
#: What a job says of its template.
TEMPLATED: dict[str, Any] = {
    "type": "object",
    "properties": {name: JOB_FIELDS[name] for name in ("template", "with")},
}
#: What every template may hold beside the fields of some job type.
TEMPLATE_FIELDS: dict[str, Any] = {
    "inputs": {
        "title": "Inputs",
        "description": "What a job that uses the template gives in 'with', declared like parameters; the"
        " template's texts reach them as ${inputs.NAME}.",
        "type": "array",
        "items": {"type": "object"},
    },
    **{name: field for name, field in JOB_FIELDS.items() if name not in NOT_IN_TEMPLATES},
}
#: What a template says of its inputs.
TEMPLATE: dict[str, Any] = {"type": "object", "properties": {"inputs": TEMPLATE_FIELDS["inputs"]}}


def parameter_schema(kind: str, *, secret: bool = True) -> dict[str, Any]:
    """The schema of the declaration of a parameter of type `kind`, or of a template's input (not secret)."""
    return {
        "type": "object",
        "properties": {
            **PARAMETER_FIELDS,
            **({"secret": SECRET} if secret else {}),
            **COMMON_KEYWORDS,
            **PARAMETER_KEYWORDS.get(kind, {}),
        },
        "required": ["name"],
        "additionalProperties": False,
    }


def job_schema(job_type: JobType) -> dict[str, Any]:
    """The schema of a whole job of one type, expanded: the common fields and the type's own."""
    own = job_type.schema
    return {
        **{key: value for key, value in own.items() if key not in ("properties", "required")},
        "type": "object",
        "properties": {**EXPANDED_FIELDS, **own.get("properties", {})},
        "required": ["id", "type", *own.get("required", ())],
        "additionalProperties": False,
    }


def own_fields(job_type: JobType) -> Mapping[str, Any]:
    """The fields that only jobs of this type have."""
    return job_type.schema.get("properties", {})  # type: ignore[no-any-return]


def own_of(job: Mapping[str, Any], job_type: JobType) -> list[str]:
    """The fields of its type that a job has; if the type names some by patterns, all but the common ones."""
    own: Collection[str] = own_fields(job_type)
    if "patternProperties" in job_type.schema:
        own = job.keys() - JOB_FIELDS.keys()
    return [name for name in job if name in own]


#: The units of durations, in seconds.
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(duration: float | str) -> float:
    """A duration of the language (which `DURATION_PATTERN` accepts) in seconds."""
    if not isinstance(duration, str):
        return duration
    number = duration.rstrip("msdh")
    return float(number) * UNITS[duration[len(number) :]]
