"""Driving a session from the command line until it rests, and letting go of it when interrupted."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bunsui.cli import plans, render
from bunsui.cli.exit_codes import FAILED, INTERRUPTED, PAUSED
from bunsui.cli.parameters import Given, parameters
from bunsui.cli.progress import Progress
from bunsui.cli.stores import again
from bunsui.cli.streams import note
from bunsui.errors import StoreError
from bunsui.model.status import SessionStatus
from bunsui.runner.runner import Runner
from bunsui.stores.sqlite_errors import LOCKED, RESUMABLE, of_session

if TYPE_CHECKING:
    from bunsui.cli.background import Background
    from bunsui.model.pipeline import Pipeline
    from bunsui.runner.handle import Session


@contextlib.contextmanager
def termination_interrupts() -> Iterator[None]:
    """SIGTERM and SIGHUP end the command as Ctrl-C does: what was claimed is released."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    # SIGHUP: the terminal was closed.
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    # What is ignored stays so, as Python leaves SIGINT: nohup wants the command to outlive its terminal.
    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def prepare(pipeline: Pipeline, progress: Progress) -> None:
    """Makes this process ready for a pipeline: how wide its jobs' names are, where its modules lie."""
    progress.width = max(len(job.id) for job in pipeline.jobs)
    if pipeline.base_dir is not None:
        sys.path.insert(0, str(pipeline.base_dir))


def start(
    find: Callable[[Runner], Pipeline],
    given: Sequence[Given],
    *,
    bindings: str | None,
    local: bool | None,
    store: str | None,
    form: str,
    is_plan: bool = False,
    background: Background | None = None,
    engine: str = "embedded",
) -> int:
    """Starts a pipeline, waits until its session rests, prints it, and returns the exit code.

    Args:
        find: gets the pipeline from the runner that will run it.
        given: the parameters.
        bindings: the path of a bindings file.
        local: whether nothing may run on AWS; None: as configured.
        store: its URL.
        form: ``text`` or ``json``.
        is_plan: whether it only says what would run.
        background: told when the store is open, and when the session is durable.
        engine: what drives the session; see `Runner`.
    """
    progress = Progress(quiet=form != "text")
    at = again(store)
    runner = Runner(store, engine=engine, bindings=bindings, local=local, plugins=[progress])
    with runner:
        pipeline = find(runner)
        prepare(pipeline, progress)
        values = parameters(pipeline, given)
        if is_plan:
            plans.show(runner.plan(pipeline, values), form)
            return 0
        if background is not None:
            background.opened(runner)

        def begin() -> Session:
            session = runner.start(pipeline, values)
            if background is not None:
                background.began(session)
            return session

        return drive(runner, begin, progress, form, at)


def drive(runner: Runner, begin: Callable[[], Session], progress: Progress, form: str, at: str) -> int:
    """Begins a session, waits until it rests, prints it, and returns the exit code.

    Args:
        runner: closed in any case.
        begin: starts or resumes the session, and returns as soon as it is claimed.
        progress: an observer of the runner: it knows the session as soon as it is durable.
        form: ``text`` or ``json``.
        at: what names the store in the commands that are proposed; see `again`.
    """
    timeout = 0.0
    with termination_interrupts():
        try:
            # What jobs in threads print must not stand before the JSON.
            with contextlib.redirect_stdout(sys.stderr) if form == "json" else contextlib.nullcontext():
                session = begin()
                session.wait()
            from bunsui.runner.alerting.alerting import LAST  # noqa: PLC0415 - what has run has imported it

            timeout = LAST  # Nothing runs any more; but somebody may have to be told.
        except KeyboardInterrupt:
            return _let_go(runner, progress, at)
        except StoreError as error:
            raise _with_command(error, progress.session_id, at) from error
        finally:
            # Once more Ctrl-C: the claim then ends with this process.
            with contextlib.suppress(KeyboardInterrupt):
                runner.close(timeout=timeout)
    state = session.state
    if form == "json":
        render.data(render.session_data(session), form)
        if state.error is not None:  # No job's: it has no place in there.
            note(f"outputs: {render.error_text(state.error)}")
    else:
        render.outcome(session, at)
    if state.status is SessionStatus.SUCCEEDED:
        return 0
    if state.status is SessionStatus.PAUSED:
        render.pause(state, at)
        return PAUSED
    return FAILED


def _with_command(error: StoreError, session: str | None, at: str) -> StoreError:
    """The error with the command that goes on with the session, where it says that this can be done.

    Also where it says to try again: who did so with the command that has failed would start another session.
    """
    error = error if session is None else of_session(error)
    if session is None or error.hint is None or not (error.hint == LOCKED or RESUMABLE in error.hint):
        return error
    hint = f"{error.hint}. Continue it with:\n  bunsui session resume {session}{at}"
    return StoreError(error.message, hint=hint, lasting=error.lasting)


def _let_go(runner: Runner, progress: Progress, at: str) -> int:
    with contextlib.suppress(KeyboardInterrupt):
        runner.close(timeout=0)  # Shows the observers all that is durable, too.
    from bunsui.stores.memory import MemoryStore  # noqa: PLC0415 - only here

    session = progress.session_id
    if session is None:
        note("\ninterrupted before the session began")
    elif isinstance(runner.store, MemoryStore):
        note(f"\ninterrupted; session {session} is gone with its store, which was in memory")
    else:
        command = f"bunsui session resume {session}{at}"
        note(f"\ninterrupted; session {session} is kept. Continue it with:\n  {command}")
    return INTERRUPTED
