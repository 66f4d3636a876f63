"""What a runner does on this machine for the attempts that it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable
    from logging import LoggerAdapter
    from pathlib import Path
    from threading import Event

    from bunsui.ports.job_type import JobCall

__all__ = ["Command", "Function", "Workbench"]


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)


def _paths(values: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(values)


@frozen
class Command:
    """A program to run on this machine.

    Such as::

        from bunsui.ports.job_type import Command

        print(Command(["python", "load.py"]).argv)  # ('python', 'load.py')
    """

    #: The program and its arguments.
    argv: tuple[str, ...] = field(converter=_texts)
    #: Where it runs.
    folder: Path | None = None
    #: Whether argv[0] is a shell's script and the rest its arguments.
    shell: bool = False


@frozen
class Function:
    """A Python callable to run on this machine.

    Such as::

        from bunsui.ports.job_type import Function

        print(Function("handlers:extract", style="lambda").isolation)  # None
    """

    #: ``module:qualname``, or ``local:NAME``.
    target: str
    #: Folders where its module is looked for first.
    folders: tuple[Path, ...] = field(default=(), converter=_paths)
    #: How it is called: ``keywords`` (a custom job) or ``lambda`` (event, context).
    style: str = "keywords"
    #: ``thread``: in this process; ``process``: in a worker process, which can be stopped;
    #: None: as the job says.
    isolation: str | None = None
    #: The callable itself, where it has no name.
    function: Any = field(default=None, eq=False)


class Workbench(Protocol):
    """What a runner offers to the attempts that it runs.

    Such as::

        from bunsui.ports.job_type import Command

        class ListFolder(bunsui.JobType):
            name = "list-folder"
            schema = {"type": "object", "properties": {}}

            def run(self, call):
                call.workbench.logger.info("listing")
                return call.workbench.run(Command(["ls"]), call)
    """

    def run(self, work: Command | Function, call: JobCall) -> Any:
        """Runs `work` on this machine for `call` until it ends, and returns its output.

        Its stdout and stderr become the job's log; it is stopped when the attempt is.

        Raises:
            JobError: it failed, was cancelled or took longer than the deadline.
            StateError: it is an async function, and this is the event loop that would run it.
        """
        ...

    def begin(self, work: Command | Function, call: JobCall) -> Any:
        """As `run`, but an async function in this process is not waited for.

        Its awaitable is returned instead, to be awaited, or to be returned by `JobType.run`.

        Such as::

            from bunsui.ports.job_type import Function

            class Call(bunsui.JobType):
                name = "call"
                schema = {"type": "object", "properties": {"target": {"type": "string"}}}

                def run(self, call):
                    return call.workbench.begin(Function(call.options["target"]), call)
        """
        ...

    @property
    def logger(self) -> LoggerAdapter[Any]:
        """Writes to the job's log."""
        ...

    @property
    def cancelled(self) -> Event:
        """Set when the attempt is to stop."""
        ...
