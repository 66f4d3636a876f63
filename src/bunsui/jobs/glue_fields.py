"""The fields of Glue jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bunsui.jobs.aws import FIELDS

#: JSON Schema (draft 2020-12) of them.
SCHEMA: Mapping[str, Any] = {
    "title": "Glue job",
    "description": "A run of an AWS Glue job.",
    "type": "object",
    "properties": {
        "job_name": {
            "title": "Name",
            "description": "The Glue job's name.",
            "type": "string",
            "minLength": 1,
            "maxLength": 255,
            "examples": ["transform-flights"],
        },
        "arguments": {
            "title": "Arguments",
            "description": "Further arguments of the run beside the job's parameters, such as those that Glue"
            " itself knows; with or without '--'.",
            "type": "object",
            "additionalProperties": {"type": "string"},
            "examples": [{"enable-metrics": "true"}],
        },
        "worker_type": {
            "title": "Worker type",
            "description": "What it runs on; the Glue job's by default.",
            "type": "string",
            "minLength": 1,
            "examples": ["G.1X"],
        },
        "number_of_workers": {
            "title": "Number of workers",
            "description": "How many workers it has; as many as the Glue job says by default.",
            "type": "integer",
            "minimum": 1,
        },
        "max_capacity": {
            "title": "Capacity",
            "description": "Its data processing units, in place of workers; for Python shell jobs, 0.0625"
            " or 1.",
            "type": "number",
            "exclusiveMinimum": 0,
        },
        "execution_class": {
            "title": "Execution class",
            "description": "FLEX: on capacity that may come late and be taken back, for less.",
            "enum": ["STANDARD", "FLEX"],
        },
        **FIELDS,
    },
    "required": ["job_name"],
}
