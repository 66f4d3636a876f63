"""``bunsui run``."""

from __future__ import annotations

import click

from bunsui.cli import drive, parameters
from bunsui.cli.logged import logged
from bunsui.cli.options import (
    bindings_option,
    format_option,
    local_option,
    parameter_option,
    plan_option,
    store_option,
)


@click.command("run")
@click.argument("file", type=click.Path())
@parameter_option
@bindings_option
@local_option
@plan_option
@click.option(
    "--engine",
    type=click.Choice(["embedded", "stepfunctions"]),
    default="embedded",
    help="What drives the session: this process. The other one comes with a later version.",
)
@store_option
@format_option("text", "json")
@logged
def run_command(
    file: str,
    assignments: tuple[str, ...],
    bindings: str | None,
    local: bool | None,
    is_plan: bool,
    engine: str,
    store: str | None,
    form: str,
) -> int:
    """Run the pipeline in FILE and wait for its end.

    Every step is durable: a session that was interrupted goes on with 'bunsui session resume'.
    """
    given = parameters.read(assignments)
    return drive.start(
        lambda runner: runner.load(file),
        given,
        bindings=bindings,
        local=local,
        store=store,
        form=form,
        is_plan=is_plan,
        engine=engine,
    )
