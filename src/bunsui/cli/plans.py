"""Plans, as commands print them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from bunsui.cli import render

if TYPE_CHECKING:
    from bunsui.model.plan import Plan, PlannedJob

#: Characters of a job's input that its line shows.
SHOWN_INPUT = 80


def show(plan: Plan, form: str) -> None:
    """Prints a plan to stdout, as ``text`` or ``json``."""
    if form == "json":
        render.data(plan_data(plan), form)
        return
    rows = [
        (
            str(job.stage),
            job.id,
            job.type,
            _prospect(job),
            _seconds(job.seconds),
            _input(job),
            job.reason or "",
        )
        for job in plan.jobs
    ]
    render.table(("STAGE", "JOB", "TYPE", "PLAN", "SECONDS", "INPUT", "WHY"), rows)
    counts = ", ".join(f"{number} {_WORDS[prospect]}" for prospect, number in plan.counts.items())
    # Where all is taken over or skipped, nothing runs at once.
    most = f"; at most {plan.concurrency} at once" if plan.concurrency else ""
    click.echo(f"\n{render.count(len(plan.jobs), 'job')}: {counts}{most}")
    if plan.critical_path:
        click.echo(f"critical path: {' -> '.join(plan.critical_path)}{_path_takes(plan)}")


_WORDS = {
    "run": "to run",
    "maybe": "that may run",
    "skip": "skipped",
    "reuse": "reused",
    "cached": "from the cache",
}


def _path_takes(plan: Plan) -> str:
    if not plan.past_sessions:
        return ""
    past = f"by the last {render.count(plan.past_sessions, 'session')}"
    return f" ({past})" if plan.seconds is None else f" ({plan.seconds:.1f} s {past})"


def _prospect(job: PlannedJob) -> str:
    if not job.fans_out:
        return job.prospect
    return f"{job.prospect} x {'?' if job.items is None else job.items}"


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f}"


def _input(job: PlannedJob) -> str:
    if not job.parameters:
        return ""
    text = ", ".join(f"{name}={_value(value)}" for name, value in job.parameters.items())
    return text if len(text) <= SHOWN_INPUT else f"{text[: SHOWN_INPUT - 1]}…"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def plan_data(plan: Plan) -> dict[str, Any]:
    """A plan as ``--plan --format json`` gives it."""
    return {
        "pipeline": plan.pipeline,
        "rerun_of": plan.rerun_of,
        "parameters": dict(plan.parameters),
        "concurrency": plan.concurrency,
        "stages": [list(stage) for stage in plan.stages],
        "critical_path": list(plan.critical_path),
        "seconds": plan.seconds,
        "past_sessions": plan.past_sessions,
        "jobs": [
            {
                "id": job.id,
                "type": job.type,
                "plan": job.prospect,
                "reason": job.reason,
                "depends_on": list(job.depends_on),
                "stage": job.stage,
                "parameters": dict(job.parameters),
                "options": dict(job.options),
                "fans_out": job.fans_out,
                "items": job.items,
                "bound_to": job.bound_to,
                "pool": job.pool,
                "reused_from": job.origin,
                "seconds": job.seconds,
            }
            for job in plan.jobs
        ],
    }
