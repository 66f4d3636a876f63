"""Templates and defaults: jobs as they are written, made into jobs that say everything themselves.

This happens on the tree, before anything looks at the jobs; each part of an expanded job knows where in the
definition it came from, so that a problem is shown at the text that its author can change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, field, frozen

from bunsui.dsl.fields import DEFAULTS_FIELDS, NOT_IN_TEMPLATES
from bunsui.dsl.filling import TEXT_COST, TOO_MUCH, BadFill, Filling, Input
from bunsui.dsl.origins import Composed, Origin, Part, locate
from bunsui.dsl.problems import quoted
from bunsui.dsl.tree import MAX_DEPTH, MAX_NODES
from bunsui.expressions.references import Path

__all__ = ["Expanded", "Expansion", "named"]

#: Levels of lists and mappings that a job may have, itself included: it stands in a list in a mapping.
_MAX_HEIGHT = MAX_DEPTH - 2


def named(job: Mapping[str, Any], index: int) -> str:
    """A job for a message: by its id, or by its number among the jobs, from 1."""
    return f"job {quoted(job['id'])}" if isinstance(job.get("id"), str) else f"job {index + 1}"


@frozen
class Expanded:
    """A job with its template and the defaults put into it."""

    #: Without ``template`` and ``with``.
    tree: Mapping[str, Any]
    #: Where it stands among the jobs.
    index: int
    _origin: Origin = ()
    #: Whether all of it could be put together; else it has an id and dependencies at most.
    is_sound: bool = True

    @property
    def named(self) -> str:
        """The job for a message."""
        return named(self.tree, self.index)

    def locate(self, path: Path) -> Path:
        """Where in the definition the value at `path`, from the job on, came from."""
        found = locate(self._origin or ("jobs", self.index), path, ("jobs", self.index))
        return found.path if isinstance(found, Composed) else found

    def part(self, path: Path, offset: int, length: int) -> Part:
        """Where in the definition a part of the text at `path`, from the job on, came from."""
        found = locate(self._origin or ("jobs", self.index), path, ("jobs", self.index))
        return found.part(offset, length) if isinstance(found, Composed) else (found, (offset, length))


@define
class Expansion:
    """Expands the jobs of one definition; nothing that is misshapen makes it fail.

    Args:
        data: the definition.
    """

    data: Mapping[str, Any]
    #: Templates whose conditions are known to be wrong: they are not put into jobs, to be wrong there again.
    wrong_conditions: set[str] = field(factory=set, init=False)
    #: What of the definition there would be so far, were it written without templates and defaults.
    _spent: int = field(init=False)

    @_spent.default
    def _without_jobs(self) -> int:
        kept = {k: v for k, v in self.data.items() if k not in ("jobs", "templates", "defaults")}
        return _measure(kept, MAX_NODES)[0] if self.is_needed else 0

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to put into jobs."""
        jobs = self.data.get("jobs")
        return bool(self.data.get("defaults")) or any(
            isinstance(job, Mapping) and "template" in job for job in (jobs if isinstance(jobs, list) else ())
        )

    def template(self, name: Any) -> Mapping[str, Any] | None:
        """The template of this name, or None where there is none, or it is no mapping."""
        templates = self.data.get("templates")
        if not isinstance(templates, Mapping) or not isinstance(name, str):
            return None
        found = templates.get(name)
        return found if isinstance(found, Mapping) else None

    def expand(self, index: int, job: Mapping[str, Any], inputs: Mapping[str, Input]) -> Expanded:
        """The job with everything put into it.

        Args:
            index: where it stands among the jobs.
            job: as it is written.
            inputs: the values of its template's inputs.

        Raises:
            BadFill: an input does not fit where the template wants it, or all together is too large.
        """
        defaults = self.data.get("defaults")
        brought: Path = ("defaults",)
        tree: Any = {}
        origin: Origin = {}
        if isinstance(defaults, Mapping):
            tree = {name: value for name, value in defaults.items() if name in DEFAULTS_FIELDS}
            origin = {name: ("defaults", name) for name in tree}
        name = job.get("template")
        template = self.template(name)
        if template is not None:
            brought = ("templates", str(name))
            left_out = {"inputs", *NOT_IN_TEMPLATES}
            if name in self.wrong_conditions:
                left_out.add("condition")
            body = {key: value for key, value in template.items() if key not in left_out}
            filled, places = Filling(inputs, MAX_NODES - self._spent).fill(body, brought)
            tree, origin = _merge_jobs(tree, origin, filled, places)
        own = {key: value for key, value in job.items() if key not in ("template", "with")}
        place: Path = ("jobs", index)
        tree, origin = _merge_jobs(tree, origin, own, place)
        assert isinstance(origin, dict)  # noqa: S101 - two mappings were merged
        expanded = Expanded(tree, index, {**origin, None: place})
        cost, height = _measure(tree, MAX_NODES - self._spent)
        self._spent += cost
        if self._spent > MAX_NODES:
            raise BadFill("too-many-nodes", TOO_MUCH, brought)
        if height > _MAX_HEIGHT:
            message = f"put together, lists and mappings are nested more than {MAX_DEPTH} deep"
            raise BadFill("too-deep", message, expanded.locate(_too_deep(tree, _MAX_HEIGHT)))
        return expanded


def _merge_jobs(
    under: dict[str, Any], below: Origin, over: dict[str, Any], above: Origin
) -> tuple[Any, Origin]:
    """The fields of `over` laid over those of `under`; ``retry: 3`` is short for a mapping that merges."""
    one, other = under.get("retry"), over.get("retry")
    if _is_number(one) and isinstance(other, Mapping):
        under = {**under, "retry": {"max_attempts": one}}
    elif _is_number(other) and isinstance(one, Mapping):
        over = {**over, "retry": {"max_attempts": other}}
    return _merge(under, below, over, above)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _measure(tree: Any, budget: int) -> tuple[int, int]:
    """What there is in `tree` (values, keys, and texts by their length), and how many levels it has.

    It is not counted much further than `budget`.
    """
    cost, height, level = 0, 0, [tree]
    while level:
        below: list[Any] = []
        is_higher = False
        for item in level:
            cost += 1
            if isinstance(item, str):
                cost += len(item) // TEXT_COST
            elif isinstance(item, Mapping | list):
                is_higher = True
                below.extend(item)
                if isinstance(item, Mapping):
                    below.extend(item.values())
            # An input that is used often is one object, and may yet amount to any number of values.
            if cost + len(below) > budget:
                return cost + len(below), height
        height += is_higher
        level = below
    return cost, height


def _too_deep(tree: Any, height: int) -> Path:
    """The path of a list or mapping in `tree` that is more than `height` levels deep."""
    stack: list[tuple[Any, Path]] = [(tree, ())]
    while stack:
        value, path = stack.pop()
        if len(path) >= height and isinstance(value, Mapping | list):
            return path
        if isinstance(value, Mapping):
            stack.extend((item, (*path, key)) for key, item in value.items())
        elif isinstance(value, list):
            stack.extend((item, (*path, i)) for i, item in enumerate(value))
    return ()


def _merge(under: Any, below: Origin, over: Any, above: Origin) -> tuple[Any, Origin]:
    """`over` laid over `under`: mappings merge, anything else wins. With the origins of both."""
    if not (isinstance(under, Mapping) and isinstance(over, Mapping)):
        return over, above
    tree = dict(under)
    origin: dict[str | int | None, Origin] = {None: _itself(above)}
    for key in under:
        origin[key] = _part(below, key)
    for key, value in over.items():
        if key in tree:
            tree[key], origin[key] = _merge(tree[key], origin[key], value, _part(above, key))
        else:
            tree[key], origin[key] = value, _part(above, key)
    return tree, origin


def _itself(origin: Origin) -> Path:
    if isinstance(origin, dict):
        path = origin.get(None, ())
        return path if isinstance(path, tuple) else ()
    return origin.path if isinstance(origin, Composed) else origin


def _part(origin: Origin, key: str) -> Origin:
    return origin[key] if isinstance(origin, dict) else (*_itself(origin), key)
