"""References: ``${parameters.x}``, ``${jobs.extract.output.rows}`` and the like.

A text that is one reference becomes the value, with its type; within other text the value is
rendered. What a reference brings in is never looked at for references again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from attrs import frozen

from bunsui.errors import JobError
from bunsui.model.json import compact
from bunsui.model.status import JobStatus
from bunsui.model.times import to_text

if TYPE_CHECKING:
    from datetime import datetime

    from bunsui.model.session import JobState

__all__ = [
    "BadReference",
    "Reference",
    "ReferenceFailed",
    "Scope",
    "parse",
    "references",
    "resolve",
]

#: First names that are not parameters; ``${parameters.NAME}`` reaches a parameter of such a name.
ROOTS = frozenset(
    {
        "parameters",
        "jobs",
        "session",
        "pipeline",
        "env",
        "secrets",
        "item",
        "item_index",
        "inputs",
    }
)
#: Longest reference, in characters.
MAX_LENGTH = 1024

_START = re.compile(r"\$?\$\{")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_STEP = re.compile(r"""\.(?P<name>[A-Za-z0-9_-]+)|\[(?P<index>[0-9]{1,9})\]|\["(?P<key>[^"\\]*)"\]""")

_INDEX = re.compile(r"[0-9]{1,9}")


@frozen
class Reference:
    """One ``${...}``."""

    #: As it stands between the braces.
    text: str
    #: ``parameters``, ``jobs``, ``session`` or another of `ROOTS`; ``${x}`` is ``parameters`` and ``x``.
    root: str
    #: Names and list indexes, from the root.
    path: tuple[str | int, ...]


class BadReference(ValueError):
    """A ``${`` that is not a reference.

    Attributes:
        offset: where it starts in its text. length: how many characters it takes.
    """

    def __init__(self, message: str, offset: int, length: int) -> None:
        super().__init__(message)
        self.offset = offset
        self.length = length


class ReferenceFailed(JobError):
    """A reference names something that is not there at run time."""

    default_code = "ReferenceError"
    default_retryable = False


@frozen
class Scope:
    """What references can reach while a session runs."""

    parameters: Mapping[str, Any]
    jobs: Mapping[str, JobState]
    session_id: str
    started_at: datetime
    pipeline: str


#: A text in parts: literal text, and references with their offset in the whole.
Parts = tuple[str | tuple[Reference, int, int], ...]


@lru_cache(maxsize=4096)
def parse(text: str) -> Parts:
    """A text in parts: literals, and (reference, offset, length). ``$${`` is a literal ``${``.

    Raises:
        BadReference: a ``${`` does not begin a reference.
    """
    parts: list[str | tuple[Reference, int, int]] = []
    literal = ""
    at = 0
    while found := _START.search(text, at):
        literal += text[at : found.start()]
        if len(found.group()) == 3:
            literal += "${"
            at = found.end()
            continue
        end = text.find("}", found.end())
        length = (end if end >= 0 else len(text)) - found.start() + 1
        if end < 0:
            raise BadReference("'${' without '}'", found.start(), length - 1)
        if length > MAX_LENGTH:
            raise BadReference(f"a reference of more than {MAX_LENGTH} characters", found.start(), 2)
        reference = _reference(text[found.end() : end], found.start(), length)
        if literal:
            parts.append(literal)
            literal = ""
        parts.append((reference, found.start(), length))
        at = end + 1
    literal += text[at:]
    if literal or not parts:
        parts.append(literal)
    return tuple(parts)


def _reference(text: str, offset: int, length: int) -> Reference:
    inner = text.strip()
    name = _NAME.match(inner)
    if name is None:
        raise BadReference(
            "a reference is a name and its path, such as ${parameters.x} or ${jobs.ID.output.x};"
            " for a literal '${' write '$${'",
            offset,
            length,
        )
    path: list[str | int] = [name.group()]
    at = name.end()
    while at < len(inner):
        step = _STEP.match(inner, at)
        if step is None:
            raise BadReference(
                f"'{inner[at : at + 20]}' is not a step of a path: write .name, [0] or [\"key\"]",
                offset,
                length,
            )
        if step["index"] is not None:
            path.append(int(step["index"]))
        else:
            path.append(step["name"] if step["name"] is not None else step["key"])
        at = step.end()
    first = name.group()
    if first in ROOTS:
        return Reference(inner, first, tuple(path[1:]))
    return Reference(inner, "parameters", tuple(path))


def references(
    value: Any, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], int, int, Reference | BadReference]]:
    """Every reference in the texts of `value`, as (path to the text, offset, length, reference)."""
    stack: list[tuple[tuple[str | int, ...], Any]] = [(path, value)]
    while stack:
        where, item = stack.pop()
        if isinstance(item, str):
            if "${" not in item:
                continue
            try:
                parts = parse(item)
            except BadReference as bad:
                yield where, bad.offset, bad.length, bad
                continue
            for part in parts:
                if not isinstance(part, str):
                    reference, offset, length = part
                    yield where, offset, length, reference
        elif isinstance(item, Mapping):
            stack.extend(((*where, key), child) for key, child in reversed(list(item.items())))
        elif isinstance(item, Sequence):
            stack.extend(((*where, i), item[i]) for i in reversed(range(len(item))))


def resolve(value: Any, scope: Scope) -> Any:
    """A copy of `value` with every reference replaced by what it names.

    Raises:
        ReferenceFailed: a reference names something that is not there.
    """
    # Recursion is bounded: definitions are at most 64 levels deep.
    if isinstance(value, str):
        return _resolve_text(value, scope) if "${" in value else value
    if isinstance(value, Mapping):
        return {key: resolve(item, scope) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [resolve(item, scope) for item in value]
    return value


def _resolve_text(text: str, scope: Scope) -> Any:
    parts = parse(text)
    if len(parts) == 1:
        part = parts[0]
        return part if isinstance(part, str) else evaluate(part[0], scope)
    return "".join(part if isinstance(part, str) else render(evaluate(part[0], scope)) for part in parts)


def evaluate(reference: Reference, scope: Scope) -> Any:
    """The value that a reference names.

    Raises:
        ReferenceFailed: it names something that is not there.
    """
    path = reference.path
    if reference.root == "parameters":
        # A copy: what one job does to its input can't reach another's.
        return deepcopy(_walk(scope.parameters, path, "parameters", reference))
    if reference.root == "jobs":
        return _of_job(reference, scope)
    known = {
        "session": {"id": scope.session_id, "started_at": to_text(scope.started_at)},
        "pipeline": {"name": scope.pipeline},
    }
    return _walk(known.get(reference.root, {}), path, reference.root, reference)


def _of_job(reference: Reference, scope: Scope) -> Any:
    job, attribute, *rest = reference.path
    state = scope.jobs[str(job)]
    if attribute == "status":
        return str(state.status)
    if state.status is not JobStatus.SUCCEEDED:
        return None
    return _walk(state.output, rest, f"jobs.{job}.output", reference)


def _walk(value: Any, path: Sequence[str | int], at: str, reference: Reference) -> Any:
    for step in path:
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, list) and _INDEX.fullmatch(str(step)) and int(step) < len(value):
            value = value[int(step)]
        else:
            raise ReferenceFailed(f"${{{reference.text}}}: {at} has no {step!r}; {_describe(value)}")
        at = f"{at}.{step}"
    return value


def _describe(value: Any) -> str:
    if isinstance(value, Mapping):
        names = ", ".join(str(key) for key in list(value)[:10])
        return f"it has: {names}" if names else "it is empty"
    if isinstance(value, list):
        return f"it is a list of {len(value)}"
    return f"it is {'null' if value is None else type(value).__name__}"


def render(value: Any) -> str:
    """`value` within a text: text as it is, a whole number without point, all else as compact JSON."""
    return value if isinstance(value, str) else compact(_whole(value))


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return value
