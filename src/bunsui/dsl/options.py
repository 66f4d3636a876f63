"""The fields of a job's type, once their references are resolved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

from bunsui.dsl.parser import plain
from bunsui.dsl.schema import job_schema
from bunsui.dsl.validator import findings, schema_problems

if TYPE_CHECKING:
    from bunsui.model.pipeline import Job
    from bunsui.ports.job_type import JobType


def wrong_options(job: Job, job_type: JobType, options: Mapping[str, Any]) -> list[str]:
    """What is wrong with a job's resolved options, in words; an empty list if nothing is."""
    tree = {"id": job.id, "type": job.type, **options}
    what = f"job '{job.id}' (its references resolved)"
    validator = Draft202012Validator(job_schema(job_type))
    found = [p.message for p in schema_problems(plain(tree), validator, tree, (), what)]
    return found or [message for _, _, message in findings(job_type, options, tree)]
