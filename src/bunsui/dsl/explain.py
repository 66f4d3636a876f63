"""What JSON Schema's errors mean to the one who wrote the definition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from bunsui.dsl.problems import did_you_mean, quoted

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}
_BOUNDS = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "more than",
    "exclusiveMaximum": "less than",
}
_SIZES = {
    "minLength": ("at least", "characters"),
    "maxLength": ("at most", "characters"),
    "minItems": ("at least", "items"),
    "maxItems": ("at most", "items"),
}

#: (code, message, path below the error's, whether the problem is the key, hint).
Explained = tuple[str, str, tuple[str | int, ...], bool, str | None]


def explain(error: ValidationError, what: str) -> Iterator[Explained]:
    """The problems that one error of the jsonschema library amounts to.

    Args:
        error: without branches (no ``oneOf``): the schemas here are chosen before validating.
        what: names the thing that was validated, such as ``job 'x'``.
    """
    keyword, limit = str(error.validator), cast("Any", error.validator_value)
    instance = cast("Any", error.instance)
    path = list(error.absolute_path)
    subject = f"'{path[-1]}' of {what}" if path else what
    if path and isinstance(path[-1], int):
        subject = f"'{'.'.join(str(part) for part in path)}' of {what}"
    match keyword:
        case "additionalProperties":
            yield from _unknown_fields(error, subject)
        case "required":
            missing = [name for name in limit if name not in instance]
            for name in missing:
                yield "missing-field", f"{subject} needs '{name}'", (), False, None
        case "type":
            message = f"{subject} must be {type_names(limit)}, not {kind(instance)}"
            yield "wrong-type", message, (), False, None
        case "enum":
            values = ", ".join(map(str, limit))
            hint = did_you_mean(str(instance), [v for v in limit if isinstance(v, str)])
            message = f"{subject} is {quoted(instance)}; it must be one of: {values}"
            yield "bad-value", message, (), False, hint
        case "const":
            message = f"{subject} is {quoted(instance)}; it must be {quoted(limit)}"
            yield "bad-value", message, (), False, _const_hint(instance, limit)
        case "pattern":
            message = f"{subject} is {quoted(instance)}, which does not match {limit}"
            yield "bad-value", message, (), False, None
        case _ if keyword in _BOUNDS:
            message = f"{subject} is {quoted(instance)}; it must be {_BOUNDS[keyword]} {limit}"
            yield "out-of-range", message, (), False, None
        case _ if keyword in _SIZES:
            bound, unit = _SIZES[keyword]
            unit = unit.removesuffix("s") if limit == 1 else unit
            message = f"{subject} must have {bound} {limit} {unit}, not {len(instance)}"
            yield "out-of-range", message, (), False, None
        case _:
            yield "bad-value", f"{subject}: {error.message[:300]}", (), False, None


def _unknown_fields(error: ValidationError, subject: str) -> Iterator[Explained]:
    known = error.schema.get("properties", {}) if isinstance(error.schema, Mapping) else {}
    for name in cast("Any", error.instance):
        if name not in known:
            hint = did_you_mean(name, known) or f"known here: {', '.join(sorted(known))}"
            yield "unknown-field", f"{subject} has no field '{name}'", (name,), True, hint


def _const_hint(value: object, expected: object) -> str | None:
    if str(value) == str(expected):
        return f'write it as text: "{expected}"'
    return None


def type_names(types: Any) -> str:
    """JSON Schema's type, or list of types, in words."""
    names = [types] if isinstance(types, str) else types
    return " or ".join(_TYPES.get(name, name) for name in names)


def kind(value: object) -> str:
    """What a value of the data is, in words."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {quoted(value)}"
        case list():
            return "a list"
        case _:
            return "a mapping"
