"""``bunsui session ...``."""

from __future__ import annotations

import os

import click

from bunsui.cli import alert_text, parameters, plans, render
from bunsui.cli.definitions import pipeline_of
from bunsui.cli.drive import drive, prepare, start, termination_interrupts
from bunsui.cli.exit_codes import INTERRUPTED
from bunsui.cli.group import Subcommands
from bunsui.cli.logged import asked, logged
from bunsui.cli.options import (
    bindings_option,
    format_option,
    local_option,
    parameter_option,
    plan_option,
    session_argument,
    session_id,
    store_option,
)
from bunsui.cli.progress import Progress
from bunsui.cli.stores import again
from bunsui.cli.streams import note
from bunsui.dsl.problems import printable, quoted
from bunsui.model.status import SessionStatus
from bunsui.runner.handle import Session
from bunsui.runner.runner import Runner
from bunsui.runner.sessions.assuming import WORDS
from bunsui.runner.sessions.reruns import ALL, FAILED


@click.group("session", cls=Subcommands)
def session_group() -> None:
    """Start sessions, look at them, and continue them."""


@session_group.command("start")
@click.argument("pipeline", metavar="NAME[@REVISION]|FILE")
@parameter_option
@bindings_option
@local_option
@plan_option
@click.option(
    "--detach",
    is_flag=True,
    help="Run it in the background: print the session's id as soon as it is durable, and return.",
)
@store_option
@format_option("text", "json")
@logged
def start_command(
    pipeline: str,
    assignments: tuple[str, ...],
    bindings: str | None,
    local: bool | None,
    is_plan: bool,
    detach: bool,
    store: str | None,
    form: str,
) -> int:
    """Run a registered pipeline, or the one in a file, and wait for its end.

    Of a registered one it is the newest revision unless one is given; its commands run in the folder that it
    was registered from. './NAME' is always a file.
    """
    given = parameters.read(assignments)
    if detach:
        from bunsui.cli import background  # noqa: PLC0415 - only here

        if is_plan:
            raise click.UsageError("--plan starts nothing: leave --detach out")
        if form != "text":
            raise click.UsageError("--detach prints the session's id alone; leave --format out")
        log = asked(click.get_current_context())
        return background.detach(pipeline, given, bindings=bindings, local=local, store=store, log=log)
    return start(
        lambda runner: pipeline_of(runner, pipeline),
        given,
        bindings=bindings,
        local=local,
        store=store,
        form=form,
        is_plan=is_plan,
    )


@session_group.command("list")
@click.option("--pipeline", metavar="NAME", help="Only sessions of this pipeline.")
@click.option("--status", type=click.Choice([str(s) for s in SessionStatus]), help="Only these.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--after", metavar="CURSOR", help="The next page: only sessions behind this place.")
@store_option
@format_option("table", "json", "yaml")
def list_command(
    pipeline: str | None, status: str | None, limit: int, after: str | None, store: str | None, form: str
) -> None:
    """List sessions, newest first.

    Where there are more than a page, the option that shows the next page is said on stderr.
    """
    with Runner(store) as runner:
        found = runner.sessions(pipeline=pipeline, status=status, limit=limit + 1, after=after)
    if len(found) > limit:
        del found[limit:]
        which = f"the newest {limit}" if after is None else f"{limit} of them"
        note(f"these are {which}; --limit shows more")
        note(f"the next page: --after {_shell(found[-1].cursor)}")
    if form != "table":
        render.data([render.summary_data(summary) for summary in found], form)
        return
    rows = [
        (
            summary.session_id,
            summary.pipeline,
            f"{summary.status}{render.ORPHANED if summary.is_orphaned else ''}",
            render.time_data(summary.created_at) or "",
            ", ".join(f"{count} {name}" for name, count in summary.jobs.items()),
        )
        for summary in found
    ]
    if rows:
        render.table(("SESSION", "PIPELINE", "STATUS", "CREATED", "JOBS"), rows)
    else:
        note(f"no sessions{_missing(runner)}")


def _missing(runner: Runner) -> str:
    """That there is no store yet, where that is so: its name may be mistyped."""
    path = runner.store.path
    if path is None or os.path.exists(path):  # noqa: PTH110 - no error where a folder may not be entered
        return ""
    return f": there is no file {printable(str(path))} yet"


def _shell(text: str) -> str:
    """A text as an argument in a shell."""
    from shlex import quote  # noqa: PLC0415 - rarely needed

    return quote(text)


@session_group.command("status")
@session_argument
@store_option
@format_option("text", "json", "yaml")
def status_command(text: str, store: str | None, form: str) -> None:
    """Show where a session and its jobs stand."""
    with Runner(store) as runner:
        session = runner.session(session_id(runner, text))
        if form != "text":
            render.data(render.session_data(session), form)
            return
        at = again(store)
        render.jobs(session.state)
        is_orphaned = session.is_orphaned
        render.outcome(session, at, is_orphaned=is_orphaned)
        render.pause(session.state, at)
        if session.asked == "pause":
            back = f"bunsui session resume {session.id}{at}"
            note(f"it is pausing: running jobs end; take that back with: {back}")
        elif session.asked == "cancel":
            note("it is being cancelled: what runs is stopped")
        for line in alert_text.lines(session):
            note(line)
        if (told := render.unattended(session, at)) is not None:
            note(told)


@session_group.command("watch")
@session_argument
@store_option
@format_option("text", "json")
def watch_command(text: str, store: str | None, form: str) -> int:
    """Show what happens to a session until it rests, whoever drives it.

    At a terminal it is a table; elsewhere a line for each change. json is a line for each event: its fields,
    and session_id. Ctrl-C stops the watching, not the session.
    """
    from bunsui.cli.watching import watch  # noqa: PLC0415 - only here

    with Runner(store) as runner, termination_interrupts():
        session = runner.session(session_id(runner, text))
        at = again(store)
        try:
            watch(runner, session, form, at)
        except KeyboardInterrupt:
            command = f"bunsui session watch {session.id}{at}"
            note(f"\nthe session is not touched by this; see it again with: {command}")
            return INTERRUPTED
    return 0


@session_group.command("pause")
@session_argument
@click.option("--reason", help="Kept with the session.")
@store_option
def pause_command(text: str, reason: str | None, store: str | None) -> None:
    """Pause a session: running jobs end, nothing more starts. Returns when that is recorded."""
    with Runner(store) as runner:
        session = runner.session(session_id(runner, text))
        session.pause(reason)
        # Where nobody drove it, this process does, until what runs elsewhere has ended.
        status = session.wait() if session.is_driven_here else session.status
        pausing = status is SessionStatus.RUNNING
    note(f"session {session.id} is {'pausing: running jobs end' if pausing else status}")


@session_group.command("cancel")
@session_argument
@click.option("--reason", help="Kept with the session.")
@store_option
def cancel_command(text: str, reason: str | None, store: str | None) -> None:
    """Cancel a session: running work is stopped, nothing more starts. Returns when that is recorded."""
    with Runner(store) as runner:
        session = runner.session(session_id(runner, text))
        session.cancel(reason)
        # Where nobody drove it, this process does, and stops what runs.
        status = session.wait() if session.is_driven_here else session.status
        ending = not status.is_terminal
        state = session.state
    note(f"session {session.id} is {'being cancelled' if ending else status}")
    render.not_stopped(state, reason or "the session was cancelled")


@session_group.command("resume")
@session_argument
@click.option(
    "--assume",
    type=(click.Choice(WORDS), str),
    multiple=True,
    metavar="succeeded|failed|rerun JOB",
    help="What became of a job that is unknown; may be given more than once. JOB[ITEM] is one item."
    " 'succeeded' gives it the output null.",
)
@store_option
@format_option("text", "json")
@logged
def resume_command(text: str, assume: tuple[tuple[str, str], ...], store: str | None, form: str) -> int:
    """Continue a session that is paused, or whose runner is gone, and wait for its end.

    Jobs that have ended do not run again. It works from any folder.
    """
    said: dict[str, str] = {}
    for word, job in assume:
        if said.setdefault(job, word) != word:
            raise click.UsageError(
                f"--assume says of {quoted(job)} both {said[job]} and {word}; say one of them"
            )
    progress = Progress(quiet=form != "text")
    with Runner(store, plugins=[progress]) as runner:
        session = runner.session(session_id(runner, text))
        prepare(session.definition, progress)
        progress.session_id = session.id
        progress.know(session.state)

        def begin() -> Session:
            session.resume(said)
            return session

        return drive(runner, begin, progress, form, again(store))


@session_group.command("rerun")
@session_argument
@click.option(
    "--jobs",
    metavar="failed|all|JOB[+],...",
    default=FAILED,
    show_default=True,
    help="What runs in any case: what failed and all that follows, all, or these; JOB+ is JOB and all that"
    " follows it.",
)
@click.option("-f", "--file", type=click.Path(), help="A changed definition of the same pipeline.")
@parameter_option
@bindings_option
@local_option
@plan_option
@store_option
@format_option("text", "json")
@logged
def rerun_command(
    text: str,
    jobs: str,
    file: str | None,
    assignments: tuple[str, ...],
    bindings: str | None,
    local: bool | None,
    is_plan: bool,
    store: str | None,
    form: str,
) -> int:
    """Run a session that has ended again, as a new one, and wait for its end.

    Jobs whose work has not changed take their outputs over. Parameters that are not given are the session's.
    """
    chosen = jobs if jobs in (FAILED, ALL) else [job.strip() for job in jobs.split(",") if job.strip()]
    if not chosen:
        raise click.UsageError(f"--jobs is {quoted(jobs)} and names no job; such as --jobs load,report+")
    given = parameters.read(assignments)
    progress = Progress(quiet=form != "text")
    with Runner(store, bindings=bindings, local=local, plugins=[progress]) as runner:
        changed = None if file is None else runner.load(file)
        session = session_id(runner, text)
        pipeline = changed or runner.session(session).definition
        values = parameters.parameters(pipeline, given, partial=True)
        if is_plan:
            plans.show(runner.plan(changed, values, rerun=session, jobs=chosen), form)
            return 0
        prepare(pipeline, progress)

        def begin() -> Session:
            return runner.start_rerun(session, chosen, changed, values)

        return drive(runner, begin, progress, form, again(store))


@session_group.command("prune")
@click.option(
    "--older-than",
    required=True,
    metavar="DURATION",
    help="How long ago a session ended at least, such as 30d (ms, s, m, h, d, w).",
)
@click.option("--dry-run", is_flag=True, help="Change nothing; say what would be removed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@store_option
@format_option("table", "json", "yaml")
def prune_command(older_than: str, dry_run: bool, yes: bool, store: str | None, form: str) -> int:
    """Remove sessions that ended long ago, with their histories, logs and artifacts.

    Paused and running sessions stay. The file of a SQLite store keeps its size: what is freed in it is used
    again. Exit code 1 where a session could not be removed.
    """
    from bunsui.cli import pruning  # noqa: PLC0415 - only here

    with Runner(store) as runner:
        if not dry_run and not yes and not pruning.confirmed(runner, older_than):
            note("nothing was removed")
            return 0
        pruned = pruning.prune(runner, older_than, dry_run=dry_run)
    pruning.show(pruned, form)
    return 1 if pruned.kept else 0
