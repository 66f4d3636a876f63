"""What runs on this machine in place of a Lambda function, an ECS task or a state machine.

``bindings.yaml`` beside a definition, or the ``bindings`` argument of a Runner: job type, then name, then
``module:callable``, ``{command: [...]}`` or (in Python) a callable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve

from bunsui.dsl.parser import MAX_BYTES, Document, parse, plain
from bunsui.dsl.problems import Problem, did_you_mean, quoted
from bunsui.errors import ConfigError, DefinitionError
from bunsui.model.job import LOCAL_PREFIX
from bunsui.ports.job_type import Command, Function

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bunsui.ports.job_type import JobType

#: The file that is looked for beside a definition.
FILE_NAME = "bindings.yaml"
#: ``module:qualname``.
TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*\Z")

Bound = Command | Function
#: Job type to name to what is bound.
Bindings = Mapping[str, Mapping[str, Bound]]


def load(path: Path, job_types: Mapping[str, JobType]) -> Bindings:
    """Reads a bindings file. Nothing is imported.

    Raises:
        DefinitionError: it can't be read, or is wrong; all its problems at once.
    """
    return _read(_document(path), job_types, path.absolute().parent)


def _document(path: Path) -> Document:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)  # What has no end is too long as well.
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path.
        reason = getattr(error, "strerror", None) or error
        raise DefinitionError([Problem("unreadable-file", f"{path}: {reason}", file=str(path))]) from error
    return parse(text, "json" if path.suffix == ".json" else "yaml", str(path))


def unimportable(reasons: Mapping[tuple[str, str], str], path: Path | None) -> list[Problem]:
    """The problems of bindings that can't be imported, in the order in which they stand.

    Args:
        reasons: why, by job type and name.
        path: the file that they came from, which is read once more for their places; None: a mapping.
    """
    try:
        document = plain({}) if path is None else _document(path)
    except DefinitionError:  # It is gone since, or being written.
        document = plain({})
    hint = f"the module is looked for {'' if path is None else 'beside the bindings file, then '}on sys.path"
    problems = [
        document.problem(
            "unimportable-binding", f"binding '{kind}: {name}': {reason}", (kind, name), hint=hint
        )
        for (kind, name), reason in reasons.items()
    ]
    return sorted(problems, key=Problem.sort_key)


def from_mapping(mapping: Mapping[str, Mapping[str, Any]], job_types: Mapping[str, JobType]) -> Bindings:
    """Bindings given in Python; modules are looked for on `sys.path`, commands run where the process is.

    Raises:
        DefinitionError: they are wrong; all their problems at once.
    """
    callables: dict[tuple[str, str], Function] = {}
    rest: dict[str, Any] = {}
    for kind, names in mapping.items():
        if not isinstance(names, Mapping):
            rest[kind] = names  # It is reported with all else.
            continue
        rest[kind] = {}
        for name, value in names.items():
            if callable(value):
                callables[kind, name] = Function(f"{LOCAL_PREFIX}{kind}.{name}", function=value)
            else:
                rest[kind][name] = value
    read = _read(plain(rest), job_types, None)
    merged = {kind: dict(names) for kind, names in read.items()}
    for (kind, name), function in callables.items():
        style = job_types[kind].binding_style
        merged[kind][name] = evolve(function, style=style, isolation="thread")
    return merged


def _read(document: Document, job_types: Mapping[str, JobType], folder: Path | None) -> Bindings:
    problems: list[Problem] = []
    found: dict[str, dict[str, Bound]] = {}
    data = document.data
    if not isinstance(data, Mapping):
        raise DefinitionError(
            [document.problem("wrong-type", "bindings are a mapping of job types, such as 'lambda:'")]
        )
    bindable = [name for name, kind in job_types.items() if kind.binding_field is not None]
    for kind, names in data.items():
        if kind not in bindable:
            problems.append(
                document.problem(
                    "unknown-job-type",
                    f"'{kind}' is not a job type that can be bound",
                    (kind,),
                    key=True,
                    hint=did_you_mean(kind, bindable) or f"one of: {', '.join(sorted(bindable))}",
                )
            )
            continue
        if not isinstance(names, Mapping):
            problems.append(document.problem("wrong-type", f"'{kind}' must map names to bindings", (kind,)))
            continue
        found[kind] = {}
        for name, value in names.items():
            bound = _bound(value, job_types[kind], folder)
            if bound is None:
                problems.append(
                    document.problem(
                        "bad-binding",
                        f"{quoted(value)} is neither 'module:callable' nor a mapping with 'command', a list",
                        (kind, name),
                        hint="such as handlers:extract, or {command: [python, task.py]}",
                    )
                )
            else:
                found[kind][name] = bound
    if problems:
        raise DefinitionError(sorted(problems, key=Problem.sort_key))
    return found


def _bound(value: Any, kind: JobType, folder: Path | None) -> Bound | None:
    if isinstance(value, str) and TARGET.match(value):
        folders = () if folder is None else (folder,)
        return Function(value, folders, kind.binding_style, isolation="process")
    if isinstance(value, Mapping) and "command" in value and not set(value) - {"command", "shell"}:
        command, shell = value["command"], value.get("shell", False)
        if isinstance(command, str) and shell is True:
            return Command((command,), folder, shell)
        if (
            isinstance(command, list)
            and command
            and all(isinstance(word, str) for word in command)
            and isinstance(shell, bool)
        ):
            return Command(command, folder, shell)
    return None


def to_data(bound: Bound) -> dict[str, Any]:
    """A binding as a session's history holds it."""
    if isinstance(bound, Command):
        return {
            "command": list(bound.argv),
            "folder": None if bound.folder is None else str(bound.folder),
            "shell": bound.shell,
        }
    return {
        "callable": bound.target,
        "folders": [str(folder) for folder in bound.folders],
        "style": bound.style,
    }


def from_data(data: Mapping[str, Any], given: Bound | None) -> Bound:
    """The binding that `to_data` described.

    Args:
        data: as it stands in a history.
        given: what this runner binds to the same name; needed for a callable without a name.

    Raises:
        ConfigError: it is a callable that exists only in the process that started the session.
    """
    if "command" in data:
        folder = data["folder"]
        return Command(data["command"], None if folder is None else Path(folder), data["shell"])
    target = data["callable"]
    if target.startswith(LOCAL_PREFIX):
        if isinstance(given, Function) and given.target == target:
            return given
        raise ConfigError(
            f"the binding '{target}' is a Python callable of the process that started the session",
            hint="give it to Runner(bindings=...) again; the session stays resumable",
        )
    folders = [Path(folder) for folder in data["folders"]]
    return Function(target, folders, data["style"], isolation="process")


def for_options(bindings: Bindings, kind: JobType, options: Mapping[str, Any]) -> Bound | None:
    """What a job with these options is bound to, or None."""
    if kind.binding_field is None:
        return None
    return bindings.get(kind.name, {}).get(options.get(kind.binding_field, ""))


def importable(bindings: Sequence[Bound]) -> list[Function]:
    """Those of `bindings` that a worker process has to import."""
    return [bound for bound in bindings if isinstance(bound, Function) and bound.isolation == "process"]
