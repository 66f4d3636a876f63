"""AWS Lambda functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from bunsui.errors import JobError
from bunsui.ports.job_type import JobCall, JobType


class LambdaJobType(JobType):
    """``type: lambda``. This version runs it through bindings."""

    name: ClassVar[str] = "lambda"
    schema: ClassVar[Mapping[str, Any]] = {
        "title": "Lambda job",
        "description": "An AWS Lambda function.",
        "type": "object",
        "properties": {
            "function": {
                "title": "Function",
                "description": "The function's name; it gets the job's parameters as its event.",
                "type": "string",
                "minLength": 1,
                "examples": ["extract-function"],
            },
        },
        "required": ["function"],
    }
    binding_field: ClassVar[str | None] = "function"
    binding_style: ClassVar[str] = "lambda"

    def unavailable(self, options: Mapping[str, Any]) -> str | None:
        """See `JobType.unavailable`."""
        del options
        return "this version runs lambda jobs only where their function is bound"

    def run(self, call: JobCall) -> Any:
        """See `JobType.run`."""
        raise JobError(self.unavailable(call.options) or "", code="NotSupported", retryable=False)
