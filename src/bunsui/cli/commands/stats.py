"""``bunsui pipeline stats``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bunsui.cli import render
from bunsui.cli.options import format_option, store_option
from bunsui.cli.streams import note
from bunsui.runner.runner import Runner

if TYPE_CHECKING:
    from bunsui.monitoring import JobFigures, Percentiles, PipelineFigures, Snapshot

#: What the columns of a pipeline's or a job's figures are called, behind its name.
_COLUMNS = ("RUNS", "SUCCESS", "P50", "P95", "P99", "QUEUE P95", "RETRIES")


@click.command("stats")
@click.argument("name", required=False)
@click.option("--since", metavar="TIME", help="Only runs since then: RFC 3339, or how long ago, such as 7d.")
@click.option("--limit", type=click.IntRange(1), help="The newest runs, at most; 1000 by default.")
@store_option
@format_option("table", "json", "yaml")
def stats_command(
    name: str | None, since: str | None, limit: int | None, store: str | None, form: str
) -> None:
    """Say how the past runs of pipeline NAME went and how long they took; without NAME, those of all.

    Success is the part of the runs that succeeded, of those that succeeded, failed or timed out; the
    durations are of the same. The time in which a session is paused is in none of them.
    """
    from bunsui.monitoring import MetricsCollector  # noqa: PLC0415 - with all that reads histories
    from bunsui.monitoring.figures import LIMIT  # noqa: PLC0415 - as above

    with Runner(store) as runner:
        found = MetricsCollector(runner).snapshot(name, since, LIMIT if limit is None else limit)
    if form == "table":
        _show(found, with_jobs=name is not None)
    else:
        render.data(_data(found), form)
    if found.has_more:
        note(f"these are the newest {render.count(found.sessions, 'run')}; --limit counts more")
    damaged = found.damaged_entries + found.damaged_histories
    if damaged:
        note(f"{render.count(damaged, 'run')} can't be read; 'bunsui doctor' says more")


def _show(found: Snapshot, *, with_jobs: bool) -> None:
    if not found.pipelines:
        note("no runs")
        return
    rows = [(name, *_row(figures)) for name, figures in found.pipelines.items()]
    render.table(("PIPELINE", *_COLUMNS), rows)
    for figures in found.pipelines.values():
        if with_jobs and figures.jobs:
            click.echo()
            render.table(("JOB", *_COLUMNS), [(job, *_row(one)) for job, one in figures.jobs.items()])


def _row(figures: PipelineFigures | JobFigures) -> tuple[str, ...]:
    took, waited, rate = figures.duration, figures.queue_time, figures.success_rate
    return (
        ", ".join(f"{count} {name}" for name, count in figures.runs.items()),
        # Never up to 100% where something failed, nor down to 0% where something succeeded.
        "" if rate is None else f"{min(max(rate * 100, 0.1), 99.9) if 0 < rate < 1 else rate * 100:.1f}%",
        *(["", "", ""] if took is None else [_seconds(each) for each in (took.p50, took.p95, took.p99)]),
        "" if waited is None else _seconds(waited.p95),
        str(figures.retries),
    )


def _seconds(number: float) -> str:
    return f"{number:.2f} s"


def _data(found: Snapshot) -> dict[str, Any]:
    """Figures as ``pipeline stats`` gives them."""
    return {
        "at": render.time_data(found.at),
        "since": render.time_data(found.since),
        "sessions": found.sessions,
        "has_more": found.has_more,
        "damaged_entries": found.damaged_entries,
        "damaged_histories": found.damaged_histories,
        "pipelines": [
            {
                "pipeline": name,
                **_figures_data(figures),
                "jobs": [{"job": job, **_figures_data(one)} for job, one in figures.jobs.items()],
            }
            for name, figures in found.pipelines.items()
        ],
    }


def _figures_data(figures: PipelineFigures | JobFigures) -> dict[str, Any]:
    return {
        "runs": dict(figures.runs),
        "success_rate": figures.success_rate,
        "duration": _percentiles_data(figures.duration),
        "queue_time": _percentiles_data(figures.queue_time),
        "attempts": figures.attempts,
        "retries": figures.retries,
    }


def _percentiles_data(found: Percentiles | None) -> dict[str, float] | None:
    if found is None:
        return None
    return {"count": found.count, "p50": found.p50, "p95": found.p95, "p99": found.p99}
