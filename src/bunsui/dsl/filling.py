"""The inputs of a template, put into its texts: ``${inputs.x}`` is gone afterwards.

What is put in is text of the language itself: an input may be, or hold, a reference, which is then resolved
when the job starts. In a condition an input becomes a literal or a reference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from attrs import define, field, frozen

from bunsui.dsl.origins import Composed, Origin, Piece
from bunsui.dsl.tree import MAX_NODES
from bunsui.expressions.conditions import BadCondition, parse_condition
from bunsui.expressions.references import (
    BadReference,
    Path,
    Reference,
    one_reference,
    parse,
    references,
    references_in,
)
from bunsui.expressions.resolution import MAX_RENDERED, render
from bunsui.model.json import compact

__all__ = ["TEXT_COST", "TOO_MUCH", "BadFill", "Filling", "Input", "UnknownInput"]

#: Characters of text that cost as much as one value.
TEXT_COST = 64
TOO_MUCH = f"templates and defaults bring in more than the {MAX_NODES:,} values that a definition may have"

_PLAIN_STEP = re.compile(r"[A-Za-z0-9_-]+")
_INDEX = re.compile(r"[0-9]{1,9}")


@frozen
class Input:
    """The value of a template's input."""

    value: Any
    #: Where in the definition it is given.
    path: Path


class BadFill(Exception):
    """An input that can't stand where a template wants it.

    Attributes:
        code: the problem's. path: what to change. within: offset and length in the text there.
    """

    def __init__(self, code: str, message: str, path: Path, within: tuple[int, int] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.path = path
        self.within = within


class UnknownInput(BadFill):
    """An input that the template does not declare, or not soundly."""


@define
class Filling:
    """Fills one template for one job.

    Args:
        inputs: by name.
        budget: how much may be made: values, and texts by their length.
    """

    inputs: Mapping[str, Input]
    budget: int
    _spent: int = field(default=0, init=False)

    def fill(self, value: Any, path: Path) -> tuple[Any, Origin]:
        """`value`, which stands at `path`, with its inputs put in, and where its parts came from."""
        self._spend(1, path)
        if isinstance(value, str):
            return self._text(value, path) if "${" in value else (value, path)
        if isinstance(value, Mapping):
            filled = {key: self.fill(item, (*path, key)) for key, item in value.items()}
        elif isinstance(value, list):
            filled = {i: self.fill(item, (*path, i)) for i, item in enumerate(value)}
        else:
            return value, path
        if all(origin == (*path, key) for key, (_, origin) in filled.items()):
            return value, path
        origins: dict[str | int | None, Origin] = {key: origin for key, (_, origin) in filled.items()}
        origins[None] = path
        values = [item for item, _ in filled.values()]
        return (values if isinstance(value, list) else dict(zip(value, values, strict=True))), origins

    def _spend(self, cost: int, path: Path) -> None:
        self._spent += cost
        if self._spent > self.budget:
            raise BadFill("too-many-nodes", TOO_MUCH, path[:2])

    def _text(self, text: str, path: Path) -> tuple[Any, Origin]:
        is_condition = len(path) == 3 and path[2] == "condition"
        try:
            parts = parse(text)
            if is_condition:
                parse_condition(text)
        except (BadReference, BadCondition):
            return text, path  # It is reported with the template.
        if not any(_is_input(part) for part in parts):
            return text, path
        if len(parts) == 1 and not isinstance(parts[0], str) and not is_condition:
            return self._found(parts[0], path)
        return self._composed(text, [part for part in parts if not isinstance(part, str)], path)

    def _composed(
        self, text: str, parts: list[tuple[Reference, int, int]], path: Path
    ) -> tuple[str, Composed]:
        """A text that consists of more than one input."""
        is_condition = path[2:] == ("condition",)
        filled, at = "", 0
        pieces: list[Piece] = []
        for part in parts:
            reference, offset, length = part
            if reference.root != "inputs":
                continue
            if offset > at:
                pieces.append(Piece(len(filled), (at, offset)))
                filled += text[at:offset]
            value, origin = self._found(part, path)
            put_in = _literal(value, origin) if is_condition else _inside(value, origin)
            is_verbatim = put_in == value and not isinstance(origin, Composed)
            pieces.append(Piece(len(filled), (offset, offset + length), _shown(origin), is_verbatim))
            filled += put_in
            at = offset + length
            if len(filled) > MAX_RENDERED:
                raise _too_long(path)
        if at < len(text):
            pieces.append(Piece(len(filled), (at, len(text))))
            filled += text[at:]
        if len(filled) > MAX_RENDERED:
            raise _too_long(path)
        self._spend(len(filled) // TEXT_COST, path)
        if not is_condition:
            _refuse_new_references(filled, pieces)
        return filled, Composed(path, tuple(pieces))

    def _found(self, part: tuple[Reference, int, int], path: Path) -> tuple[Any, Path | Composed]:
        """What a reference to an input names, and where it is from.

        A path into an input that is itself a reference makes that one longer.
        """
        reference, offset, length = part
        found = self.inputs.get(str(reference.path[0])) if reference.path else None
        if found is None:
            message = f"${{{reference.text}}}: the template has no such input"
            raise UnknownInput("unknown-reference", message, path, (offset, length))
        value, where = found.value, found.path
        steps = reference.path[1:]
        for k, step in enumerate(steps):
            if isinstance(value, Mapping) and step in value:
                value, where = value[step], (*where, step)
            elif isinstance(value, list) and _INDEX.fullmatch(str(step)) and int(step) < len(value):
                value, where = value[int(step)], (*where, int(step))
            elif (longer := _longer(value, steps[k:])) is not None:
                return longer, Composed(where, (Piece(0, (0, len(value)), where),))
            else:
                what = (
                    f"the input is a list of {len(value)}"
                    if isinstance(value, list)
                    else "the input has none"
                )
                message = f"${{{reference.text}}} names {step!r}, and {what} at this place"
                raise BadFill("bad-input", message, where)
        return value, where


def _is_input(part: str | tuple[Reference, int, int]) -> bool:
    return not isinstance(part, str) and part[0].root == "inputs"


def _shown(origin: Path | Composed) -> Path:
    return origin.path if isinstance(origin, Composed) else origin


def _too_long(path: Path) -> BadFill:
    return BadFill("bad-input", f"a text of more than {MAX_RENDERED:,} characters comes of it", path)


def _longer(value: Any, steps: tuple[str | int, ...]) -> str | None:
    """A text that is one reference, with `steps` added to its path; None of anything else."""
    reference = one_reference(value)
    return None if reference is None else f"${{{reference.text}{''.join(map(_step, steps))}}}"


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if _PLAIN_STEP.fullmatch(step) else f'["{step}"]'


def _inside(value: Any, origin: Path | Composed) -> str:
    """`value` within a text of the language."""
    if isinstance(value, Mapping | list):
        if next(references(value), None) is not None:
            # Its JSON would be wrong as soon as what a reference brings holds a quote.
            message = "a list or mapping with references in it can't stand inside a text"
            raise BadFill("bad-input", message, _shown(origin))
        value = _escaped(value)
    return render(value)


def _escaped(value: Any) -> Any:
    """`value` with its keys sorted, as their order does not count, and written as a text writes them."""
    if isinstance(value, Mapping):
        return {key.replace("${", "$${"): _escaped(value[key]) for key in sorted(value)}
    return [_escaped(item) for item in value] if isinstance(value, list) else value


def _refuse_new_references(filled: str, pieces: list[Piece]) -> None:
    """Refuses an input whose end becomes, with what stands behind it, a reference that nobody wrote."""
    for piece, after in pairwise(pieces):
        ends_in_dollar = piece.source is not None and filled[: after.start].endswith("$")
        if ends_in_dollar and filled.startswith(("{", "${"), after.start):
            message = "an input that ends in '$' can't stand directly before a reference or '{'"
            raise BadFill("bad-input", message, piece.source or ())


def _literal(value: Any, origin: Path | Composed) -> str:
    """`value` as it is written in a condition."""
    if isinstance(value, list):
        return f"[{', '.join(_literal(item, origin) for item in value)}]"
    if isinstance(value, Mapping):
        raise BadFill("bad-input", "a mapping can't stand in a condition", _shown(origin))
    if not isinstance(value, str) or "${" not in value:
        return compact(value)
    if one_reference(value) is not None:
        return value
    if next(references_in(value), None) is None:
        return compact(value)
    message = "a text with references in it can't stand in a condition; an input that is one reference can"
    raise BadFill("bad-input", message, _shown(origin))
