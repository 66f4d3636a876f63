"""The logs of jobs: written as lines of JSON, read again across jobs, files and runners.

`CloudWatchHandler` is for programs: it sends their own log to CloudWatch Logs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bunsui.logging.cloudwatch_handler import CloudWatchHandler as CloudWatchHandler

__all__ = ["CloudWatchHandler"]


def __getattr__(name: str) -> Any:
    if name == "CloudWatchHandler":
        # Few want it, and the logs of jobs are written without.
        from bunsui.logging.cloudwatch_handler import CloudWatchHandler  # noqa: PLC0415 - see above

        return CloudWatchHandler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name, obj=__name__)
