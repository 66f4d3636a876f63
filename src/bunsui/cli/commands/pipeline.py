"""``bunsui pipeline ...``."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from attrs import evolve

import bunsui
from bunsui.cli import exit_codes, parameters, render
from bunsui.cli.group import Subcommands
from bunsui.cli.options import (
    bindings_option,
    format_option,
    parameter_option,
    registered,
    registered_argument,
    store_option,
)
from bunsui.cli.streams import note
from bunsui.errors import NotFound
from bunsui.plugins.registry import Plugins
from bunsui.runner.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bunsui.dsl.problems import Problem
    from bunsui.model.pipeline import Pipeline

#: The name that stands for standard input among files, and how its problems call it.
STDIN, STDIN_NAME = "-", "<stdin>"
#: The code of what is there and may not be used.
DENIED = "denied"

_file_option = click.option(
    "-f", "--file", required=True, type=click.Path(), help="The definition, YAML or JSON."
)


@click.group("pipeline", cls=Subcommands)
def pipeline_group() -> None:
    """Register pipelines in the store, and look at definitions."""


@pipeline_group.command("create")
@_file_option
@store_option
def create_command(file: str, store: str | None) -> None:
    """Register the pipeline in a file under its name, and print NAME@REVISION."""
    with Runner(store) as runner:
        _say_revision(runner.create_pipeline(runner.load(file)))


@pipeline_group.command("update")
@_file_option
@store_option
def update_command(file: str, store: str | None) -> None:
    """Make the pipeline in a file the next revision of its name, and print NAME@REVISION.

    Sessions go on with the revision that they were started with.
    """
    with Runner(store) as runner:
        _say_revision(runner.update_pipeline(runner.load(file)))


def _say_revision(pipeline: Pipeline) -> None:
    click.echo(f"{pipeline.name}@{pipeline.revision}")


@pipeline_group.command("delete")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@store_option
def delete_command(name: str, yes: bool, store: str | None) -> None:
    """Remove a registered pipeline with all its revisions.

    Its sessions and their histories stay, and can be resumed.
    """
    from bunsui.runner.registered import parse_name  # noqa: PLC0415 - with all that sessions are made of

    plain, revision = parse_name(name)
    if revision is not None:
        raise click.UsageError(f"revisions are not deleted one by one; 'pipeline delete {plain}' deletes all")
    with Runner(store) as runner:
        if not yes:
            revisions = render.count(runner.pipeline(name).revision or 0, "revision")
            if not sys.stdin.isatty():
                raise click.UsageError("there is no terminal to ask at; give --yes to delete it")
            question = f"Delete pipeline '{name}' with its {revisions}? Its sessions stay."
            if not click.confirm(question, err=True):
                note("nothing was deleted")
                return
        runner.delete_pipeline(name)


@pipeline_group.command("list")
@store_option
@format_option("table", "json", "yaml")
def list_command(store: str | None, form: str) -> None:
    """List the registered pipelines by name."""
    with Runner(store) as runner:
        found = runner.pipelines()
    if form != "table":
        render.data([render.pipeline_data(summary) for summary in found], form)
        return
    rows = [
        (
            summary.name,
            str(summary.revision),
            str(summary.jobs),
            render.time_data(summary.updated_at) or "",
            (summary.description or "").partition("\n")[0],
        )
        for summary in found
    ]
    if rows:
        render.table(("PIPELINE", "REVISION", "JOBS", "UPDATED", "DESCRIPTION"), rows)
    else:
        note("no pipelines")


@pipeline_group.command("show")
@registered_argument
@store_option
@format_option("yaml", "json", "table")
def show_command(pipeline: str, store: str | None, form: str) -> None:
    """Print the definition of a registered pipeline; the newest revision unless one is given."""
    with Runner(store) as runner:
        found = registered(runner, pipeline)
    if form == "yaml":
        click.echo(found.to_yaml(), nl=False)
    elif form == "json":
        render.data(found.to_dict(), form)
    else:
        rows = [(job.id, job.type, ", ".join(job.depends_on)) for job in found.jobs]
        render.table(("JOB", "TYPE", "DEPENDS ON"), rows)


@pipeline_group.command("validate")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(allow_dash=True))
@format_option("text", "json", "github")
def validate_command(files: tuple[str, ...], form: str) -> int:
    """Say all that is wrong with definitions; exit code 2 where there is an error.

    Nothing runs, no store is opened. '-' reads standard input, as YAML. 'github' prints workflow
    commands, which GitHub Actions shows beside the lines.
    """
    plugins = Plugins()
    problems = [problem for file in files for problem in _problems(file, plugins)]
    _show(problems, form)
    if form == "text":
        note(render.problem_counts(len(files), problems))
    return 2 if any(problem.severity == "error" for problem in problems) else 0


def _show(problems: Sequence[Problem], form: str) -> None:
    """Prints problems to stdout, as ``text``, ``json`` or ``github``."""
    if form == "json":
        render.data([render.problem_data(problem) for problem in problems], form)
    elif form == "github":
        for problem in problems:
            click.echo(render.problem_annotation(problem))
    else:
        colours = render.has_colours(sys.stdout)
        for problem in problems:
            click.echo(render.problem_text(problem, colours=colours))


@pipeline_group.command("check")
@click.argument("file", type=click.Path())
@parameter_option
@bindings_option
@format_option("text", "json", "github")
def check_command(file: str, assignments: tuple[str, ...], bindings: str | None, form: str) -> int:
    """Ask AWS whether it has what the jobs in FILE call, and whether that may be called.

    Nothing runs, no store is opened. Exit code 4 where something is not permitted, else 6 where something is
    missing. Jobs that are bound are left out; what is known only when a job starts is a warning.
    """
    given = parameters.read(assignments)
    with Runner("memory://", bindings=bindings) as runner:
        pipeline = runner.load(file)
        checked = runner.check(pipeline, parameters.parameters(pipeline, given))
    _show(checked, form)
    if form == "text":
        found = _found(checked.found)
        if not found and not checked:
            found = "no job of it runs at AWS"
        note("; ".join(filter(None, [found, render.problem_counts(1, checked)])))
    codes = {problem.code for problem in checked if problem.severity == "error"}
    if DENIED in codes:
        return exit_codes.NOT_PERMITTED
    return exit_codes.UNAVAILABLE if codes else 0


def _found(counts: Mapping[str, int]) -> str:
    """Such as ``2 functions and 1 task definition found``; empty where nothing was."""
    named = [render.count(number, field.replace("_", " ")) for field, number in counts.items()]
    return f"{' and '.join(named)} found" if named else ""


@pipeline_group.command("iam-policy")
@click.argument("file", type=click.Path())
@parameter_option
@bindings_option
@store_option
@click.option("--artifacts", metavar="PLACE", help="Where artifacts are kept; by default as configured.")
@click.option("--region", metavar="REGION", help="Where jobs run that name no region.")
@click.option("--account", metavar="ID", help="The account, twelve digits; by default AWS is asked.")
@click.option("--role", metavar="ARN", help="The policy of this role, which jobs take, or the runner.")
@click.option("--partial", is_flag=True, help="Leave out what can't be named, and say so.")
def iam_policy_command(
    file: str,
    assignments: tuple[str, ...],
    bindings: str | None,
    store: str | None,
    artifacts: str | None,
    region: str | None,
    account: str | None,
    role: str | None,
    partial: bool,
) -> None:
    """Print the IAM policy that allows a run of FILE what it calls at AWS, and no more.

    Nothing runs. Of what is bound to this machine nothing is in it. What can't be named before the run is an
    error, exit code 2, unless --partial is given.
    """
    given = parameters.read(assignments)
    with Runner(store, bindings=bindings, artifacts=artifacts) as runner:
        pipeline = runner.load(file)
        policy = runner.iam_policy(
            pipeline,
            parameters.parameters(pipeline, given),
            region=region,
            account=account,
            role=role,
            partial=partial,
        )
    click.echo(policy.to_json())
    for problem in policy.unnamed:
        note(render.problem_text(problem, colours=render.has_colours(sys.stderr)))
    if role is None:
        for taken in policy.roles:
            note(f"role {taken} is taken; what it needs says --role {taken}")
    if not policy.document["Statement"] and not policy.unnamed:
        note("what is not bound to this machine calls nobody at AWS; IAM takes no policy without a statement")
    if policy.hint is not None:
        note(policy.hint)


def _problems(file: str, plugins: Plugins) -> list[Problem]:
    if file != STDIN:
        return bunsui.validate(Path(file), plugins)
    from bunsui.dsl import loader  # noqa: PLC0415 - reads and checks: nothing that other commands need
    from bunsui.dsl.parser import MAX_BYTES  # noqa: PLC0415 - see above

    found = loader.problems(sys.stdin.buffer.read(MAX_BYTES + 1), plugins.usable.job_types)
    return [evolve(problem, file=STDIN_NAME) for problem in found]


@pipeline_group.command("diff")
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option("--exit-code", "as_exit_code", is_flag=True, help="Exit with 1 where there are differences.")
@store_option
@format_option("text", "json")
def diff_command(before: str, after: str, as_exit_code: bool, store: str | None, form: str) -> int:
    """Say what changes from A to B: files, or registered pipelines as NAME[@REVISION].

    Where there is a file with that path, it is the file.
    """
    from bunsui.dsl.diff import differences  # noqa: PLC0415 - only here

    found = differences(_given(before, store), _given(after, store))
    if form == "json":
        render.data([render.difference_data(difference) for difference in found], form)
    elif found:
        for difference in found:
            click.echo(difference.render())
    else:
        note("no differences")
    return 1 if found and as_exit_code else 0


def _given(text: str, store: str | None) -> Pipeline:
    """The pipeline in a file, or the registered one."""
    path = Path(text)
    is_file = False
    with contextlib.suppress(OSError):  # Too long for a path, say.
        is_file = path.exists() and not path.is_dir()
    if is_file:
        return bunsui.Pipeline.load(path)
    try:
        with Runner(store) as runner:
            return registered(runner, text)
    except NotFound as error:
        raise NotFound(
            f"there is no file '{text}', and {error.message}", kind="pipeline", name=text, hint=error.hint
        ) from error
