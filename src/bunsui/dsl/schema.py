"""The JSON Schema (draft 2020-12) of a definition, in the parts that are validated one by one.

A job is validated against the schema of its own type, chosen before validating: one schema with a branch
for each type costs six times as much and says only that nothing fits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bunsui.ports.job_type import JobType

# A pattern's $ also matches before a line break at the end, in Python; hence (?!\n).
IDENTIFIER_PATTERN = r"^[A-Za-z][A-Za-z0-9_-]{0,63}(?!\n)$"
DURATION_PATTERN = r"^(?=.*[1-9])[0-9]{1,9}(\.[0-9]{1,9})?(ms|s|m|h|d)(?!\n)$"
PRINTABLE_PATTERN = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+(?!\n)$"
PARAMETER_TYPES = ("string", "integer", "number", "boolean", "array", "object")

_DURATION = {
    "description": "Seconds, or a text such as 15m (ms, s, m, h, d).",
    "type": ["number", "string"],
    "exclusiveMinimum": 0,
    "pattern": DURATION_PATTERN,
}
_SECONDS = {"type": "number", "minimum": 0}
_COUNT = {"type": "integer", "minimum": 1}

RETRY: dict[str, Any] = {
    "description": "When a failed attempt is followed by another; a number is short for max_attempts.",
    "type": ["integer", "object"],
    "minimum": 1,
    "properties": {
        "max_attempts": {"description": "Counts the first.", "default": 1, **_COUNT},
        "delay": {"description": "Seconds before the second attempt.", "default": 10, **_SECONDS},
        "backoff": {
            "description": "The factor from one wait to the next.",
            "type": "number",
            "minimum": 1,
            "default": 2,
        },
        "max_delay": {"description": "Seconds; no wait is longer.", "default": 300, **_SECONDS},
        "jitter": {
            "description": "full: a random time between 0 and the wait.",
            "enum": ["full", "none"],
            "default": "full",
        },
        "on": {
            "description": "Error codes to retry on, with * for any text; by default all that can help.",
            "type": "array",
            "items": {"type": "string", "minLength": 1},
        },
    },
    "additionalProperties": False,
}

#: Fields that every job may have.
JOB_FIELDS: dict[str, Any] = {
    "id": {
        "description": "Unique within the pipeline.",
        "type": "string",
        "pattern": IDENTIFIER_PATTERN,
    },
    "name": {"description": "For people.", "type": "string", "maxLength": 128},
    "description": {"type": "string"},
    "type": {"description": "The job type.", "type": "string"},
    "depends_on": {
        "description": "The ids of the jobs that must have ended before this one starts.",
        "type": "array",
        "items": {"type": "string"},
    },
    "parameters": {"description": "The job's input.", "type": "object"},
    "retry": RETRY,
    "timeout": _DURATION,
    "isolation": {
        "description": "Where a Python callable runs.",
        "enum": ["thread", "process"],
        "default": "thread",
    },
    "allow_failure": {
        "description": "Whether what follows treats this job's failure as success.",
        "type": "boolean",
        "default": False,
    },
    "template": {"type": "string"},
    "with": {"type": "object"},
    "condition": {"type": "string"},
    "for_each": {},
    "max_concurrency": _COUNT,
    "cache": {},
    "on_lost": {"enum": ["rerun", "unknown", "fail"]},
    "pool": {"type": "string"},
}

PIPELINE_FIELDS: dict[str, Any] = {
    "version": {"description": "The version of the definition language.", "const": "1.0"},
    "name": {
        "description": "For people.",
        "type": "string",
        "minLength": 1,
        "maxLength": 128,
        "pattern": PRINTABLE_PATTERN,
    },
    "description": {"type": "string"},
    "parameters": {"type": "array", "items": {"type": "object"}},
    "jobs": {"type": "array", "minItems": 1, "items": {"type": "object"}},
    "on_failure": {
        "description": "continue: independent branches go on; stop: nothing new starts.",
        "enum": ["continue", "stop"],
        "default": "continue",
    },
    "max_concurrency": {"description": "How many jobs may run at once.", **_COUNT},
    "metadata": {"description": "Anything; bunsui keeps it and does not look.", "type": "object"},
    "defaults": {"type": "object"},
    "templates": {"type": "object"},
    "outputs": {"type": "object"},
    "timeout": _DURATION,
    "alerts": {},
}

PIPELINE: dict[str, Any] = {
    "type": "object",
    "properties": PIPELINE_FIELDS,
    "required": ["version", "name", "jobs"],
    "additionalProperties": False,
}

_COMMON_KEYWORDS = {
    "enum": {"type": "array", "minItems": 1},
    "const": {},
    "examples": {},
    "title": {},
}
_NUMBER_KEYWORDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
#: The JSON Schema keywords that a parameter of each type may carry.
PARAMETER_KEYWORDS: dict[str, tuple[str, ...]] = {
    "string": ("minLength", "maxLength", "pattern", "format"),
    "integer": _NUMBER_KEYWORDS,
    "number": _NUMBER_KEYWORDS,
    "boolean": (),
    "array": ("items", "prefixItems", "contains", "minItems", "maxItems", "uniqueItems"),
    "object": (
        "properties",
        "patternProperties",
        "additionalProperties",
        "propertyNames",
        "minProperties",
        "maxProperties",
    ),
}

#: What the language has and this version does not do yet: refused, so that nothing is ignored silently.
LATER_PIPELINE_FIELDS = ("defaults", "templates", "outputs", "timeout", "alerts")
LATER_JOB_FIELDS = (
    "template",
    "with",
    "condition",
    "for_each",
    "max_concurrency",
    "cache",
    "on_lost",
    "pool",
)
LATER_REFERENCES = ("env", "secrets", "item", "item_index", "inputs")


def parameter_schema(kind: str) -> dict[str, Any]:
    """The schema of the declaration of a parameter of type `kind`."""
    return {
        "type": "object",
        "properties": {
            "name": {"type": "string", "pattern": IDENTIFIER_PATTERN},
            "type": {"enum": list(PARAMETER_TYPES), "default": "string"},
            "required": {"type": "boolean", "default": False},
            "default": {},
            "description": {"type": "string"},
            "secret": {"type": "boolean"},
            **_COMMON_KEYWORDS,
            **{keyword: {} for keyword in PARAMETER_KEYWORDS.get(kind, ())},
        },
        "required": ["name"],
        "additionalProperties": False,
    }


#: The schema of a job whose type is not known.
ANY_JOB: dict[str, Any] = {"type": "object", "properties": JOB_FIELDS, "required": ["id"]}


def job_schema(job_type: JobType) -> dict[str, Any]:
    """The schema of a whole job of one type: the common fields and the type's own."""
    own = job_type.schema
    return {
        **{key: value for key, value in own.items() if key not in ("properties", "required")},
        "type": "object",
        "properties": {**JOB_FIELDS, **own.get("properties", {})},
        "required": ["id", "type", *own.get("required", ())],
        "additionalProperties": False,
    }


def own_fields(job_type: JobType) -> Mapping[str, Any]:
    """The fields that only jobs of this type have."""
    return job_type.schema.get("properties", {})  # type: ignore[no-any-return]


_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(duration: float | str) -> float:
    """A duration of the language (which `DURATION_PATTERN` accepts) in seconds."""
    if not isinstance(duration, str):
        return duration
    number = duration.rstrip("msdh")
    return float(number) * _UNITS[duration[len(number) :]]
