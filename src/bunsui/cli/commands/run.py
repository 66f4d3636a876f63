"""``bunsui run``."""

from __future__ import annotations

import click

from bunsui.cli.drive import drive, prepare
from bunsui.cli.options import bindings_option, format_option, lease, store_option
from bunsui.cli.render import Progress
from bunsui.dsl.inputs import parse_assignments
from bunsui.runner.runner import Runner


@click.command("run")
@click.argument("file", type=click.Path())
@click.option(
    "-p",
    "--parameter",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="A parameter; may be given more than once. A string takes VALUE as it is, any other type JSON.",
)
@bindings_option
@click.option("--local", is_flag=True, help="Fail rather than run anything on AWS.")
@store_option
@format_option("text", "json")
def run_command(
    file: str,
    assignments: tuple[str, ...],
    bindings: str | None,
    local: bool,
    store: str | None,
    form: str,
) -> int:
    """Run the pipeline in FILE and wait for its end.

    Every step is durable: a session that was interrupted goes on with 'bunsui session resume'.
    """
    progress = Progress(quiet=form != "text")
    runner = Runner(store, bindings=bindings, local=local, lease=lease(), plugins=[progress])
    with runner:
        pipeline = runner.load(file)
        prepare(pipeline, progress)
        parameters = parse_assignments(pipeline, assignments)
        return drive(runner, lambda: runner.start(pipeline, parameters), progress, form)
