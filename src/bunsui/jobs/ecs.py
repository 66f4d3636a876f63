"""Amazon ECS tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from bunsui.errors import JobError
from bunsui.ports.job_type import JobCall, JobType


class EcsJobType(JobType):
    """``type: ecs``. This version runs it through bindings."""

    name: ClassVar[str] = "ecs"
    schema: ClassVar[Mapping[str, Any]] = {
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
        },
        "required": ["task_definition"],
    }
    binding_field: ClassVar[str | None] = "task_definition"

    def unavailable(self, options: Mapping[str, Any]) -> str | None:
        """See `JobType.unavailable`."""
        del options
        return "this version runs ecs jobs only where their task definition is bound"

    def run(self, call: JobCall) -> Any:
        """See `JobType.run`."""
        raise JobError(self.unavailable(call.options) or "", code="NotSupported", retryable=False)
