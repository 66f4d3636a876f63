"""References, replaced by what they name.

A text that is one reference becomes the value, with its type; within other text the value is
rendered. What a reference brings in is never looked at for references again. Secrets are left out until
the job that they are for begins: see `Hidden`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from bunsui.errors import JobError, NotFound, StoreError
from bunsui.expressions.kinds import describe
from bunsui.expressions.references import Reference, parse
from bunsui.model.artifact import Unread
from bunsui.model.json import compact, whole
from bunsui.model.lazy import cached_property
from bunsui.model.status import JobStatus
from bunsui.model.times import to_text

if TYPE_CHECKING:
    from datetime import datetime

    from bunsui.model.session import JobState

__all__ = ["Hidden", "ReferenceFailed", "Scope", "evaluate", "render", "resolve", "reveal"]

#: Longest text that references within a text may amount to, in characters.
MAX_RENDERED = 64 * 1024

#: Most outputs that are kept decoded.
MAX_DECODED = 4
#: Bytes of an output that references may reach into: it is read, as a whole, while nothing else is decided.
MAX_READ = 128 * 2**20
#: Most that the references of one job, or of one condition, may bring in, in characters; a value that is no
#: text counts as `_VALUE`.
MAX_RESOLVED = 32 * 2**20
_VALUE = 8
_SMALL = frozenset({int, float, bool, type(None)})

_INDEX = re.compile(r"[0-9]{1,9}")


class ReferenceFailed(JobError):
    """A reference names something that is not there at run time."""

    default_code = "ReferenceError"
    default_retryable = False


@define
class Room:
    """What references may yet bring in."""

    left: int = MAX_RESOLVED

    def take(self, value: Any, reference: Reference) -> None:
        """Takes the room of a value; `ReferenceFailed` where there is none."""
        if type(value) in _SMALL:
            self.left -= _VALUE
            return
        level = [value]
        while level and self.left >= 0:
            self.left -= len(level) * _VALUE
            below: list[Any] = []
            for item in level:
                if isinstance(item, str):
                    self.left -= len(item)
                elif isinstance(item, Mapping):
                    self.left -= sum(map(len, item))
                    below.extend(item.values())
                elif isinstance(item, list):
                    below.extend(item)
            level = below
        if self.left < 0:
            message = f"${{{reference.text}}}: its references bring in more than {MAX_RESOLVED:,} characters"
            raise ReferenceFailed(message)


@frozen
class Hidden:
    """A text that secrets are yet to be put into; it holds their names."""

    #: Text as it is, and ``(name,)`` for a secret.
    parts: tuple[str | tuple[str], ...]

    @property
    def names(self) -> list[str]:
        """The secrets' names."""
        return [part[0] for part in self.parts if not isinstance(part, str)]


@frozen(slots=False)
class Scope:
    """What references can reach while a session runs."""

    parameters: Mapping[str, Any]
    jobs: Mapping[str, JobState]
    session_id: str
    started_at: datetime
    pipeline: str
    #: Variables of the environment, as they were when the session was started.
    env: Mapping[str, str] = field(factory=dict)
    #: The parameters whose values are references to secrets.
    secret_parameters: frozenset[str] = frozenset()
    #: A fan-out's item and its index.
    item: Any = None
    item_index: int | None = None
    #: The secrets that were met; whoever resolves asks for their values later.
    secrets: list[str] = field(factory=list, eq=False)
    #: Outputs that were decoded before, by job. Whoever resolves much in one session keeps it: an item of a
    #: long list so costs no decoding of the whole list.
    decoded: dict[str, Any] = field(factory=dict, eq=False)
    room: Room = field(factory=Room, eq=False)

    @cached_property
    def roots(self) -> Mapping[str, Any]:
        """What references can begin with, but for jobs, secrets and parameters."""
        return {
            "session": {"id": self.session_id, "started_at": to_text(self.started_at)},
            "pipeline": {"name": self.pipeline},
            "env": self.env,
            "item": self.item,
            "item_index": self.item_index,
        }


def resolve(value: Any, scope: Scope) -> Any:
    """A copy of `value` with every reference replaced by what it names, a secret by `Hidden`.

    Raises:
        ReferenceFailed: a reference names something that is not there, a text grows too long, or all
            together is more than `MAX_RESOLVED`.
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
    size = 0
    rendered: list[str | tuple[str]] = []
    for part in parts:
        value = part if isinstance(part, str) else evaluate(part[0], scope)
        if isinstance(value, Hidden):
            rendered += value.parts
            continue
        shown = render(value)
        size += len(shown)
        if size > MAX_RENDERED:
            name = "" if isinstance(part, str) else f" with ${{{part[0].text}}}"
            raise ReferenceFailed(f"a text{name} would have more than {MAX_RENDERED:,} characters")
        rendered.append(shown)
    if all(isinstance(part, str) for part in rendered):
        return "".join(part for part in rendered if isinstance(part, str))
    return Hidden(tuple(rendered))


def evaluate(reference: Reference, scope: Scope) -> Any:
    """The value that a reference names; `Hidden` for a secret.

    Raises:
        ReferenceFailed: it names something that is not there, or there is no more room for it.
    """
    value = _named(reference, scope)
    scope.room.take(value, reference)
    return value


def _named(reference: Reference, scope: Scope) -> Any:
    root, path = reference.root, reference.path
    if root == "parameters":
        value = _walk(scope.parameters, path, "parameters", reference)
        if path and path[0] in scope.secret_parameters and isinstance(value, str):
            return _secret_parameter(value, scope)
        # A copy: what one job does to its input can't reach another's.
        return deepcopy(value)
    if root == "jobs":
        return _of_job(reference, scope)
    if root == "secrets":
        return _hidden(str(path[0]), scope)
    if root not in scope.roots:
        raise ReferenceFailed(f"${{{reference.text}}}: there is no '{root}' when a job runs")
    value = _walk(scope.roots[root], path, root, reference)
    return deepcopy(value) if root == "item" else value


def _secret_parameter(value: str, scope: Scope) -> Any:
    """What the value of a secret parameter stands for; it was checked to be one reference to a secret."""
    part = parse(value)[0]
    return value if isinstance(part, str) else evaluate(part[0], scope)


def _hidden(name: str, scope: Scope) -> Hidden:
    scope.secrets.append(name)
    return Hidden(((name,),))


def reveal(value: Any, get: Callable[[str], str]) -> Any:
    """A copy of `value` with every `Hidden` text made whole.

    Args:
        value: what `resolve` gave.
        get: gives a secret's value by its name.
    """
    if isinstance(value, Hidden):
        return "".join(part if isinstance(part, str) else get(part[0]) for part in value.parts)
    if isinstance(value, dict):
        return {key: reveal(item, get) for key, item in value.items()}
    if isinstance(value, list):
        return [reveal(item, get) for item in value]
    return value


def _of_job(reference: Reference, scope: Scope) -> Any:
    job, attribute, *rest = reference.path
    state = scope.jobs[str(job)]
    if attribute == "status":
        return str(state.status)
    if state.status is not JobStatus.SUCCEEDED:
        return None
    if not rest:
        return _output_of(state, reference)
    if job not in scope.decoded:
        output = _output_of(state, reference)
        if len(scope.decoded) >= MAX_DECODED:
            scope.decoded.clear()
        scope.decoded[str(job)] = output
    return deepcopy(_walk(scope.decoded[str(job)], rest, f"jobs.{job}.output", reference))


def _output_of(state: JobState, reference: Reference) -> Any:
    """What a job returned, where it can be had; the one who refers to it fails, and says why, where not.

    Raises:
        Unread: it may be had later.
    """
    size = state.encoded_output.size
    if size > MAX_READ:
        raise ReferenceFailed(
            f"${{{reference.text}}}: the output has {size:,} bytes, and references reach into at most"
            f" {MAX_READ:,}; have the job write it to a file or a bucket, and return where that is"
        )
    try:
        return state.output
    except Unread:
        raise
    except (NotFound, StoreError) as error:
        raise ReferenceFailed(f"${{{reference.text}}}: {error}", code="OutputLost") from error


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
    return f"it is {describe(value)}"


def render(value: Any) -> str:
    """`value` within a text: text as it is, a whole number without point, all else as compact JSON."""
    return value if isinstance(value, str) else compact(whole(value))
