"""The fields of Batch jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bunsui.jobs.aws import FIELDS

#: JSON Schema (draft 2020-12) of them.
SCHEMA: Mapping[str, Any] = {
    "title": "Batch job",
    "description": "An AWS Batch job of one container.",
    "type": "object",
    "properties": {
        "job_queue": {
            "title": "Job queue",
            "description": "The job queue's name or ARN.",
            "type": "string",
            "minLength": 1,
            "examples": ["etl"],
        },
        "job_definition": {
            "title": "Job definition",
            "description": "The job definition's name, name:revision or ARN; without a revision its latest"
            " active one.",
            "type": "string",
            "minLength": 1,
            "examples": ["transform"],
        },
        "command": {
            "title": "Command",
            "description": "The container's command, in place of the one of its definition.",
            "type": "array",
            "items": {"type": ["string", "number"]},
            "examples": [["python", "transform.py"]],
        },
        "environment": {
            "title": "Environment",
            "description": "Further variables of the container.",
            "type": "object",
            "additionalProperties": {"type": "string"},
        },
        "placeholders": {
            "title": "Placeholders",
            "description": "What stands for the Ref::NAME in the command of the job definition.",
            "type": "object",
            "additionalProperties": {"type": "string"},
            "examples": [{"table": "flights"}],
        },
        "vcpus": {
            "title": "vCPUs",
            "description": "The container's vCPUs.",
            "type": ["number", "string"],
            "exclusiveMinimum": 0,
            "examples": [0.25],
        },
        "memory": {
            "title": "Memory",
            "description": "The container's memory, in MiB.",
            "type": ["integer", "string"],
            "minimum": 4,
            "examples": [2048],
        },
        "gpus": {
            "title": "GPUs",
            "description": "The container's GPUs.",
            "type": ["integer", "string"],
            "minimum": 1,
            "examples": [1],
        },
        "share_identifier": {
            "title": "Share identifier",
            "description": "Whose share of the queue it counts against; for queues with a fair-share policy.",
            "type": "string",
            "minLength": 1,
            "maxLength": 255,
        },
        "scheduling_priority": {
            "title": "Scheduling priority",
            "description": "Which of the jobs of one share goes first: the one with the higher number; for"
            " queues with a fair-share policy.",
            "type": "integer",
            "minimum": 0,
            "maximum": 9999,
        },
        "tags": {
            "title": "Tags",
            "description": "The job's tags at AWS.",
            "type": "object",
            "additionalProperties": {"type": "string"},
            "maxProperties": 50,
        },
        **FIELDS,
    },
    "required": ["job_queue", "job_definition"],
}
