"""``bunsui run``."""

from __future__ import annotations

import sys

import click

from bunsui.cli.drive import drive
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
    progress = Progress(width=0)
    runner = Runner(
        store,
        bindings=bindings,
        local=local,
        lease=lease(),
        plugins=[progress] if form == "text" else [],
    )
    with runner:
        pipeline = runner.load(file)
        progress.width = max(len(job.id) for job in pipeline.jobs)
        if pipeline.base_dir is not None:
            sys.path.insert(0, str(pipeline.base_dir))  # Modules beside the definition.
        parameters = parse_assignments(pipeline, assignments)
        return drive(runner, lambda: runner.start(pipeline, parameters), form)
