"""Jobs of the user's own: a command, or a Python callable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from bunsui.expressions.references import one_reference, references
from bunsui.expressions.resolution import render
from bunsui.local.bindings import TARGET
from bunsui.local.process import variable_name
from bunsui.model.job import LOCAL_PREFIX
from bunsui.ports.job_type import Command, Function, JobCall, JobType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bunsui.ports.job_type import Finding
    from bunsui.ports.permissions import Permission, Unnamed, Where


class CustomJobType(JobType):
    """``type: custom``, with exactly one of ``command`` and ``callable``."""

    name: ClassVar[str] = "custom"
    open_fields: ClassVar[frozenset[str]] = frozenset({"command", "callable", "shell"})
    schema: ClassVar[Mapping[str, Any]] = {
        "title": "Custom job",
        "description": "A command or a Python callable of your own: exactly one of 'command' and 'callable'.",
        "type": "object",
        "properties": {
            "command": {
                "title": "Command",
                "description": "The program and its arguments, each a text or a number; one text only with"
                " 'shell: true'.",
                "type": ["array", "string"],
                "items": {"type": ["string", "number"]},
                "minItems": 1,
                "minLength": 1,
                "examples": [["python", "transform.py"]],
            },
            "shell": {
                "title": "Shell",
                "description": "Whether 'command' is a script for /bin/sh.",
                "type": "boolean",
                "default": False,
            },
            "callable": {
                "title": "Callable",
                "description": "A Python callable, as module:function; gets the parameters as keywords.",
                "type": "string",
                "examples": ["tasks:transform"],
            },
        },
    }

    def check(self, options: Mapping[str, Any], job: Mapping[str, Any]) -> list[Finding]:
        """See `JobType.check`."""
        return [*self._check_work(options, job), *(_check_parameters(job) if "command" in options else ())]

    def _check_work(self, options: Mapping[str, Any], job: Mapping[str, Any]) -> list[Finding]:
        if ("command" in options) == ("callable" in options):
            both = "command" in options
            return [
                (
                    "callable" if both else "",
                    "one-of",
                    "a custom job has exactly one of 'command' and 'callable';"
                    f" this one has {'both' if both else 'neither'}",
                )
            ]
        if "callable" in options:
            return _check_callable(options["callable"], job)
        return _check_command(options["command"], shell=options.get("shell", False))

    def permissions(self, options: Mapping[str, Any], where: Where) -> Iterable[Permission | Unnamed]:
        """See `JobType.permissions`: it calls nobody at AWS; what its work calls there, nobody knows."""
        del options, where
        return ()

    def run(self, call: JobCall) -> Any:
        """See `JobType.run`."""
        options = call.options
        work: Command | Function
        if "callable" in options:
            work = Function(options["callable"], call.callable_folders)
        else:
            command = options["command"]
            argv = (command,) if isinstance(command, str) else map(render, command)
            work = Command(argv, call.folder, options.get("shell", False))
        return call.workbench.begin(work, call)


def _check_command(command: str | list[Any], *, shell: bool) -> list[Finding]:
    if not shell:
        # One text may be a reference to the list, but only alone.
        if isinstance(command, list) or one_reference(command) is not None:
            return []
        message = "a command is a list of the program and its arguments; one text needs 'shell: true'"
        return [("command", "command-text", message)]
    if isinstance(command, list):
        message = "with 'shell: true' the command is one text, a script; a list of arguments needs no shell"
        return [("command", "command-list", message)]
    if next(references(command), None) is not None:
        return [
            (
                "command",
                "reference-in-shell",
                "a shell's script can't hold references, which could run as code;"
                ' give the value as a parameter and write "$BUNSUI_PARAM_<NAME>"',
            )
        ]
    return []


def _check_callable(target: str, job: Mapping[str, Any]) -> list[Finding]:
    if target.startswith(LOCAL_PREFIX):
        if job.get("timeout") is not None or job.get("isolation") == "process":
            return [
                (
                    "callable",
                    "local-callable",
                    f"callable '{target}' has no module that a process could import it from,"
                    " so it can't have 'timeout' or 'isolation: process'; put it into a module",
                )
            ]
        if isinstance(cache := job.get("cache"), Mapping) and cache.get("key") is None:
            return [
                (
                    "callable",
                    "local-callable",
                    f"callable '{target}' has no name that stands for the same code elsewhere,"
                    " so it can't have 'cache' without a 'key', which says what does",
                )
            ]
        return []
    if next(references(target), None) is not None:
        message = "a callable can't hold references: who starts a session would choose what runs"
        return [("callable", "bad-callable", message)]
    if not TARGET.match(target):
        return [("callable", "bad-callable", f"'{target}' is not of the form module:function")]
    if target.partition(":")[0].endswith(".py"):
        message = f"'{target}' names a file; a module is named without '.py'"
        return [("callable", "bad-callable", message)]
    return []


def _check_parameters(job: Mapping[str, Any]) -> list[Finding]:
    seen: dict[str, str] = {}
    for name in job.get("parameters") or {}:
        variable = variable_name(name)
        if variable in seen:
            return [
                (
                    "parameters",
                    "parameter-collision",
                    f"parameters '{seen[variable]}' and '{name}' would both be {variable}",
                )
            ]
        seen[variable] = name
    return []
