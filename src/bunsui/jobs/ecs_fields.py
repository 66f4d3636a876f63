"""The fields of ECS jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bunsui.jobs.aws import FIELDS

#: JSON Schema (draft 2020-12) of them.
SCHEMA: Mapping[str, Any] = {
    "title": "ECS job",
    "description": "An Amazon ECS task.",
    "type": "object",
    "properties": {
        "task_definition": {
            "title": "Task definition",
            "description": "The task definition's family, family:revision or ARN.",
            "type": "string",
            "minLength": 1,
            "examples": ["transform-task"],
        },
        "cluster": {
            "title": "Cluster",
            "description": "The cluster's name or ARN; 'default' by default.",
            "type": "string",
            "minLength": 1,
            "examples": ["etl"],
        },
        "launch_type": {
            "title": "Launch type",
            "description": "What it runs on; the cluster's default by default.",
            "enum": ["FARGATE", "EC2", "EXTERNAL"],
        },
        "capacity_providers": {
            "title": "Capacity providers",
            "description": "What it runs on: the weights of the cluster's capacity providers by name, in"
            " place of 'launch_type'.",
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {"type": "integer", "minimum": 0, "maximum": 1000},
            "examples": [{"FARGATE_SPOT": 1}],
        },
        "network": {
            "title": "Network",
            "description": "Where its network interface is; for tasks that have one, as on Fargate.",
            "type": "object",
            "properties": {
                "subnets": {
                    "description": "The ids of subnets.",
                    "type": "array",
                    "items": {"type": "string"},
                    "minItems": 1,
                    "maxItems": 16,
                },
                "security_groups": {
                    "description": "The ids of security groups; the network's default one by default.",
                    "type": "array",
                    "items": {"type": "string"},
                    "maxItems": 5,
                },
                "assign_public_ip": {
                    "description": "Whether it gets a public address.",
                    "type": "boolean",
                },
            },
            "required": ["subnets"],
            "additionalProperties": False,
            "examples": [{"subnets": ["subnet-0a1b2c3d"], "security_groups": ["sg-0a1b2c3d"]}],
        },
        "container": {
            "title": "Container",
            "description": "The container that gets the job's parameters, and whose end is the job's; the"
            " only essential one by default.",
            "type": "string",
            "minLength": 1,
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
        "cpu": {
            "title": "CPU",
            "description": "The task's CPU units, of which 1024 are one CPU.",
            "type": ["integer", "string"],
            "examples": [1024],
        },
        "memory": {
            "title": "Memory",
            "description": "The task's memory, in MiB.",
            "type": ["integer", "string"],
            "examples": [2048],
        },
        "task_role": {
            "title": "Task role",
            "description": "The ARN of the role that the task itself has, in place of the one of its"
            " definition.",
            "type": "string",
        },
        "platform_version": {
            "title": "Platform version",
            "description": "Fargate's; the latest by default.",
            "type": "string",
        },
        "group": {
            "title": "Group",
            "description": "The task group; the definition's family by default.",
            "type": "string",
        },
        "tags": {
            "title": "Tags",
            "description": "The task's tags.",
            "type": "object",
            "additionalProperties": {"type": "string"},
            "maxProperties": 50,
        },
        **FIELDS,
    },
    "required": ["task_definition"],
}
