"""What changed from one pipeline to another, in terms of jobs, parameters, outputs and fields."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from attrs import frozen

from bunsui.dsl.problems import MAX_SHOWN, pointer, printable, quoted
from bunsui.model.json import canonical

if TYPE_CHECKING:
    from bunsui.model.pipeline import Pipeline

#: The named things of a definition, and what one of them is called.
_THINGS = {"parameters": "parameter", "jobs": "job", "outputs": "output"}
#: Those that are listed in an order, and the field that names one of them.
_NAMED_BY = {"parameters": "name", "jobs": "id"}
#: The fields of a job that list texts whose order says nothing.
_SETS = frozenset({("depends_on",), ("retry", "on")})
_SIGNS = {"added": "+", "removed": "-", "changed": "~", "moved": "~"}
#: Characters that are shown of what stands before a difference far inside a long value.
_CONTEXT = 12


@frozen
class Difference:
    """One thing that is not the same in two pipelines."""

    #: ``added``, ``removed``, ``changed``, or ``moved`` where only an order is another one.
    change: str
    #: JSON pointer (RFC 6901) by name: ``/jobs/extract/timeout``, where the tree has ``/jobs/0/timeout``.
    path: str
    #: What it is about, for a person: ``job 'extract'``.
    what: str
    #: The field of that, such as ``timeout`` or ``retry.delay``; None: the whole.
    field: str | None = None
    #: None where it was added. Of a move: the names in their order, from the first to the last that moved.
    before: Any = None
    #: None where it was removed.
    after: Any = None

    def render(self) -> str:
        """The difference as one line of text, safe for a terminal: ``~ job 'a': timeout: 60 -> 120``."""
        head = f"{_SIGNS[self.change]} {self.what}"
        if self.field is not None:
            head += f": {self.field}"
        if self.change == "moved":
            head += ": order"
        value = self.after if self.change == "added" else self.before
        if self.change in ("changed", "moved"):
            head += ": {} -> {}".format(*_shown(self.before, self.after))
        elif self.field is not None:
            head += f": {quoted(value)}"
        elif self.path.startswith("/jobs/"):
            head += f" ({value['type']})"
        return printable(head)


def differences(a: Pipeline, b: Pipeline) -> list[Difference]:
    """What changed from `a` to `b`; an empty list exactly where their digests are equal.

    Jobs are matched by id and parameters by name: another id is another job. Values are compared as
    the digest does: 1 is not 1.0. An order counts only among what both pipelines have.

    Returns:
        First the pipeline's own fields, then parameters, jobs and outputs; of each kind, what was changed
        or removed comes before what was added.
    """
    before, after = _by_name(a.to_dict()), _by_name(b.to_dict())
    found: list[Difference] = []
    for field in _union(before, after):
        if field not in _THINGS:
            found += _compare(before, after, field, (), "pipeline", (field,))
    for field, thing in _THINGS.items():
        old, new = before.get(field, {}), after.get(field, {})
        for name in _union(old, new):
            found += _compare(old, new, name, (field,), f"{thing} {quoted(name)}", ())
        if field in _NAMED_BY:
            found += _order(list(old), list(new), (field,), field)
    return found


def _by_name(tree: Mapping[str, Any]) -> dict[str, Any]:
    """`tree` with mappings in place of its lists of named things."""
    lists = {field: {item[name]: item for item in tree.get(field, ())} for field, name in _NAMED_BY.items()}
    return {**tree, **lists}


def _compare(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    key: str,
    above: tuple[str, ...],
    what: str,
    names: tuple[str, ...],
) -> Iterator[Difference]:
    """The differences at `key` of two mappings.

    Args:
        before: the one mapping.
        after: the other.
        key: a key of one of them, or of both.
        above: the path of the mappings.
        what: what the differences are about.
        names: the names of the field at `key` in that; empty: the whole.
    """
    path = (*above, key)
    place = pointer(path), what, ".".join(map(_shown_name, names)) or None
    if key not in after:
        yield Difference("removed", *place, before=before[key])
        return
    if key not in before:
        yield Difference("added", *place, after=after[key])
        return
    old, new = before[key], after[key]
    if canonical(old) == canonical(new):
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in _union(old, new):
            yield from _compare(old, new, name, path, what, (*names, name))
    elif above[:1] == ("jobs",) and names in _SETS and _is_set(old) and _is_set(new):
        field = place[2]
        for name in old:
            if name not in new:
                yield Difference("removed", pointer((*path, name)), what, field, before=name)
        for name in new:
            if name not in old:
                yield Difference("added", pointer((*path, name)), what, field, after=name)
        yield from _order(old, new, path, what, field)
    else:
        yield Difference("changed", *place, before=old, after=new)


def _order(
    before: Sequence[str], after: Sequence[str], path: tuple[str, ...], what: str, field: str | None = None
) -> Iterator[Difference]:
    """The difference in order between the names that are in both lists, if there is any."""
    common = set(before) & set(after)
    old = [name for name in before if name in common]
    new = [name for name in after if name in common]
    if old == new:
        return
    differ = [i for i, pair in enumerate(zip(old, new, strict=True)) if pair[0] != pair[1]]
    moved = slice(differ[0], differ[-1] + 1)
    yield Difference("moved", pointer(path), what, field, old[moved], new[moved])


def _union(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys([*before, *after]))


def _is_set(value: Any) -> bool:
    return (
        isinstance(value, list)
        and all(isinstance(name, str) for name in value)
        and len(set(value)) == len(value)
    )


def _shown_name(name: str) -> str:
    return name if re.fullmatch(r"[\w-]+", name) else quoted(name)


def _shown(before: Any, after: Any) -> tuple[str, str]:
    """Two different values as texts that differ."""
    short = quoted(before), quoted(after)
    if short[0] != short[1]:
        return short
    # Both are cut off before they differ: show them from there.
    texts = [
        value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
        for value in (before, after)
    ]
    pairs = enumerate(zip_longest(*texts))
    start = max(0, next(i for i, (old, new) in pairs if old != new) - _CONTEXT)
    end = start + MAX_SHOWN // 2 - 2
    old, new = (f"{'…' if start else ''}{text[start:end]}{'…' if text[end:] else ''}" for text in texts)
    return old, new
