"""With which job types a pipeline has been checked, so that the same is not done twice.

Who loads a pipeline and then runs it has it checked by both; it takes as long as reading the definition does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bunsui.model.pipeline import Pipeline
    from bunsui.ports.job_type import JobType

#: Where a pipeline has it.
_NOTE = "_passed"


class _Passed:
    """The job types that the pipeline names, as they were when nothing was wrong; None: one was not known."""

    def __init__(self, types: Mapping[str, JobType | None]) -> None:
        self.types = types

    def __reduce__(self) -> tuple[object, ...]:
        return _Passed, ({"": None},)  # In another process they are others.


def note(pipeline: Pipeline, job_types: Mapping[str, JobType]) -> Pipeline:
    """Notes in a pipeline that nothing is wrong with it for these job types, and returns it."""
    names = {job.type for job in pipeline.jobs}
    vars(pipeline)[_NOTE] = _Passed({name: job_types.get(name) for name in names})
    return pipeline


def with_these(pipeline: Pipeline, job_types: Mapping[str, JobType]) -> bool:
    """Whether a pipeline has been checked with job types that say the same as these."""
    found = vars(pipeline).get(_NOTE)
    return found is not None and all(
        kind is not None and _says_the_same(kind, job_types.get(name)) for name, kind in found.types.items()
    )


def types(pipeline: Pipeline) -> dict[str, JobType]:
    """The job types with which a pipeline was checked, by name; those that were not known are left out."""
    found = vars(pipeline).get(_NOTE)
    return {} if found is None else {name: kind for name, kind in found.types.items() if kind is not None}


def _says_the_same(kind: JobType, other: JobType | None) -> bool:
    """Whether two objects are one, or of one class and without anything of their own."""
    return kind is other or (type(kind) is type(other) and getattr(kind, "__dict__", None) == {})
