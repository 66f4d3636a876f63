"""The job type ``duckdb`` for bunsui: SQL over files, with the rows or another file as output.

Importing this costs next to nothing: DuckDB is imported with the first query.
"""

from __future__ import annotations

from collections.abc import Iterable

import bunsui
from bunsui_duckdb.job_type import DuckDBJobType

__all__ = ["DuckDBJobType", "bunsui_job_types"]

#: The versions of bunsui's hooks that this works with.
bunsui_hook_versions = ">=1.0,<2"


@bunsui.hookimpl
def bunsui_job_types() -> Iterable[bunsui.JobType]:
    """The job types of this plugin."""
    return [DuckDBJobType()]
