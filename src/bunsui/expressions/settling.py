"""References, replaced as far as it is known before anything runs what they name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from bunsui.expressions.references import Reference, parse
from bunsui.expressions.resolution import Hidden, ReferenceFailed, Scope, evaluate, render

__all__ = ["Unsettled", "settle"]


@frozen
class Unsettled:
    """A text with references to what is not known yet, or is a secret; all others are replaced.

    It is never equal to a text, also where that has the same characters.
    """

    #: As it would stand in a definition.
    text: str


def settle(value: Any, scope: Scope, is_known: Callable[[Reference], bool]) -> Any:
    """A copy of `value` with the references replaced that can be.

    Args:
        value: part of a definition.
        scope: what references can reach; it is asked only for what is known.
        is_known: whether what a reference names is known.

    Returns:
        What `bunsui.expressions.resolution.resolve` gives, but for an `Unsettled` in place of each text with
        a reference that is not known, is to a secret, or names something that is not there.
    """
    if isinstance(value, str):
        return _settle_text(value, scope, is_known) if "${" in value else value
    if isinstance(value, Mapping):
        return {key: settle(item, scope, is_known) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [settle(item, scope, is_known) for item in value]
    return value


def _settle_text(text: str, scope: Scope, is_known: Callable[[Reference], bool]) -> Any:
    parts = parse(text)
    found = [part if isinstance(part, str) else _value(part[0], scope, is_known) for part in parts]
    if len(found) == 1:
        return found[0]
    if not any(isinstance(part, Unsettled) for part in found):
        return "".join(map(render, found))
    return Unsettled(
        "".join(part.text if isinstance(part, Unsettled) else _literal(render(part)) for part in found)
    )


def _value(reference: Reference, scope: Scope, is_known: Callable[[Reference], bool]) -> Any:
    if is_known(reference):
        try:
            value = evaluate(reference, scope)
        except ReferenceFailed:  # It will fail when the job starts, and say so.
            return Unsettled(f"${{{reference.text}}}")
        if not isinstance(value, Hidden):
            return value
        shown = (
            _literal(part) if isinstance(part, str) else f"${{secrets.{part[0]}}}" for part in value.parts
        )
        return Unsettled("".join(shown))
    return Unsettled(f"${{{reference.text}}}")


def _literal(text: str) -> str:
    """A text as a definition has it that means just this text."""
    return text.replace("${", "$${")
