"""A session in the background: a process of its own that outlives the terminal, until the session rests.

It is a new interpreter, ``python -m bunsui.cli.background CHANNEL``. What to start comes as one JSON document
on its standard input, as everybody can read a command line; what became of it goes back as one JSON document
on the descriptor CHANNEL: the session as soon as it is durable, or why there is none.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import asdict

from bunsui.cli.exit_codes import INTERRUPTED, exit_code
from bunsui.cli.logged import write_log
from bunsui.cli.parameters import Given
from bunsui.cli.render import refusal
from bunsui.cli.stores import again
from bunsui.cli.streams import around, note
from bunsui.concurrency.trace_context import carried, gone_on
from bunsui.errors import BunsuiError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bunsui.runner.handle import Session
    from bunsui.runner.runner import Runner


def detach(
    pipeline: str,
    given: Sequence[Given],
    *,
    bindings: str | None,
    local: bool | None,
    store: str | None,
    log: Mapping[str, str],
) -> int:
    """Starts a session in a process of its own, prints its id as soon as it is durable, and returns.

    Its log goes where its messages go.

    Returns:
        The exit code: 0, or that of the error which the other process met before.
    """
    if not hasattr(os, "setsid"):
        raise click.UsageError("--detach needs a POSIX system")
    request = {
        "pipeline": pipeline,
        "given": [asdict(one) for one in given],
        "bindings": bindings,
        "local": local,
        "store": store,
        "log": log,
        # As this process would find callables.
        "sys_path": sys.path,
    }
    channel, theirs = os.pipe()
    try:
        # -P: what lies in the working directory must not shadow what the process itself imports.
        process = subprocess.Popen(  # noqa: S603 - this interpreter and a module of ours
            [sys.executable, "-P", "-m", "bunsui.cli.background", str(theirs)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[theirs],
            start_new_session=True,
        )
    except OSError as error:
        os.close(channel)
        note(f"the background process can't be started: {error.strerror}; run it here, without --detach")
        return 1
    except BaseException:  # Only to clean up: it goes on.
        os.close(channel)
        raise
    finally:
        os.close(theirs)
    with os.fdopen(channel, "rb") as answers:
        try:
            assert process.stdin is not None  # noqa: S101 - it is a pipe
            with contextlib.suppress(BrokenPipeError), process.stdin:
                process.stdin.write(json.dumps(request).encode())
            answer = answers.readline()
        except KeyboardInterrupt:
            process.terminate()
            answer = answers.readline()
            if answer and "session" in json.loads(answer):
                session = json.loads(answer)["session"]
                command = f"bunsui session status {session}{again(store)}"
                note(f"\ninterrupted; session {session} is kept. See: {command}")
            else:
                note("\ninterrupted before the session began")
            _leave(process)
            return INTERRUPTED
    if not answer:
        return _fell(process)
    _leave(process)
    told = json.loads(answer)
    if "error" in told:
        note(told["error"])
        return int(told["code"])
    note(f"it runs in the background; log: {told['log']}")
    click.echo(told["session"])
    return 0


def _leave(process: subprocess.Popen[bytes]) -> None:
    """Lets go of the process, which goes on."""
    if process.stderr is not None:
        process.stderr.close()
    process.returncode = 0  # Else Popen would warn that nobody waits for it.


def _fell(process: subprocess.Popen[bytes]) -> int:
    """Says why the process ended without an answer."""
    assert process.stderr is not None  # noqa: S101 - it is a pipe
    with process.stderr:
        said = process.stderr.read().decode(errors="replace")
    code = process.wait()
    if said:
        click.echo(said, err=True, nl=False)
    note(f"the background process ended with {code} before it said that the session had begun")
    return 1


class Background:
    """The side of the background process: where its messages go, and what it tells the one who started it."""

    def __init__(self, channel: int) -> None:
        self._channel = channel
        #: Where its messages go once the store is open.
        self.log: Path | None = None
        #: Whether the session is durable.
        self.has_begun = False

    def opened(self, runner: Runner) -> None:
        """Sends stdout and stderr to a file beside the store.

        Raises:
            ConfigError: the store is in memory.
            StoreError: the file can't be made.
        """
        from bunsui.runner.log_places import folder_of  # noqa: PLC0415 - only here
        from bunsui.stores.memory import MemoryStore  # noqa: PLC0415 - likewise
        from bunsui.stores.sqlite_errors import not_made, store_error  # noqa: PLC0415 - likewise

        if isinstance(runner.store, MemoryStore):
            raise ConfigError(
                "a store in memory ends with its process: nobody could see a session in the background",
                hint="name a file with --store or BUNSUI_STORE, such as sqlite:///bunsui.db",
            )
        path = runner.store.path
        folder = folder_of(None, path) or Path(tempfile.gettempdir())
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            log, name = tempfile.mkstemp(prefix="runner-", suffix=".log", dir=folder)  # For its owner alone.
        except OSError as error:
            # It lies beside the store, which can't be made or written there, either.
            is_new = path is not None and not os.path.exists(path)  # noqa: PTH110 - no error as above
            raise (not_made if is_new else store_error)(path or folder, error) from error
        self.log = Path(name)
        for stream in (1, 2):
            os.dup2(log, stream)
        os.close(log)

    def began(self, session: Session) -> None:
        """Tells that the session is durable; its messages then stand with the logs of its jobs.

        Where these are kept elsewhere, or go with the runner, they stay where they are, under its name.
        """
        from bunsui.runner.sessions.session_logs import is_kept_here  # noqa: PLC0415 - only here

        if self.log is not None:
            with contextlib.suppress(OSError):  # Then it stays where it is.
                if is_kept_here(session):
                    session.log_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                    self.log = self.log.rename(session.log_folder / "runner.log")
                else:
                    self.log = self.log.rename(self.log.with_name(f"runner-{session.id}.log"))
        self.has_begun = True
        self.tell(session=session.id, log=str(self.log))

    def failed(self, error: str, code: int) -> None:
        """Tells that there is no session."""
        if self.log is not None:
            self.log.unlink(missing_ok=True)
        self.tell(error=error, code=code)

    def tell(self, **answer: Any) -> None:
        """Gives the one answer; who started this may have gone."""
        with contextlib.suppress(OSError):
            os.write(self._channel, json.dumps(answer).encode() + b"\n")
            os.close(self._channel)


def main() -> int:
    """Runs what standard input asks for until the session rests."""
    # Ignored, not handled: the run goes on without its terminal.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    channel = int(sys.argv[1])
    os.set_inheritable(channel, False)
    request = json.load(sys.stdin.buffer)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    sys.path[:] = request.pop("sys_path")

    from bunsui.cli.definitions import pipeline_of  # noqa: PLC0415 - with the path that it was given
    from bunsui.cli.drive import start  # noqa: PLC0415 - as above

    pipeline = request.pop("pipeline")
    given = [Given(**one) for one in request.pop("given")]
    background = Background(channel)
    write_log(request.pop("log"))
    try:
        # Its log may be full: the run goes on. So does the trace of who has started this.
        with around(), gone_on(carried(os.environ)):
            return start(
                lambda runner: pipeline_of(runner, pipeline),
                given,
                form="text",
                background=background,
                **request,
            )
    except BunsuiError as error:
        text, code = refusal(error, colours=False), exit_code(error)
        if background.has_begun:
            note(text)
        else:
            background.failed(text, code)
        return code
    except Exception:  # The border: who waits for the session is told what nobody expected.
        if background.has_begun:
            raise
        background.failed(traceback.format_exc(), 1)
        return 1


if __name__ == "__main__":
    sys.exit(main())
