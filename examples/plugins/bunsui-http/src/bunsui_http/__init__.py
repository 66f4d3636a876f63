"""The job type ``http`` for bunsui: one HTTP request, with an output that other jobs can use.

Importing this costs next to nothing: httpx is imported with the first request.
"""

from __future__ import annotations

from collections.abc import Iterable

import bunsui
from bunsui_http.job_type import HttpJobType

__all__ = ["HttpJobType", "bunsui_job_types"]

#: The versions of bunsui's hooks that this works with.
bunsui_hook_versions = ">=1.0,<2"


@bunsui.hookimpl
def bunsui_job_types() -> Iterable[bunsui.JobType]:
    """The job types of this plugin."""
    return [HttpJobType()]
