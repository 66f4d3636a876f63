"""What JSON Schema's errors mean to the one who wrote the definition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from bunsui.dsl.hints.habits import field_hint
from bunsui.dsl.hints.remedies import missing, remedy
from bunsui.dsl.problems import quoted
from bunsui.dsl.words import PATTERN_RULES, kind, place, type_names

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

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
    "minProperties": ("at least", "fields"),
    "maxProperties": ("at most", "fields"),
}
# Unknown fields that are looked at for one that is missing.
_MEANT = 10
#: Longest part of a message that the jsonschema library wrote, in characters.
MAX_RULE = 300

#: (code, message, path below the error's, whether the problem is the key, hint).
Explained = tuple[str, str, tuple[str | int, ...], bool, str | None]


def explain(  # noqa: PLR0912, PLR0915 - one for each keyword
    error: ValidationError, what: str
) -> Iterator[Explained]:
    """The problems that one error of the jsonschema library amounts to.

    Args:
        error: of a definition's own schemas, which have no branches (no ``oneOf``), or of a plugin's or
            a parameter's.
        what: names the thing that was validated, such as ``job 'x'``.
    """
    keyword, limit = str(error.validator), cast("Any", error.validator_value)
    instance = cast("Any", error.instance)
    schema = cast("Any", error.schema)
    path = tuple(error.absolute_path)
    subject = f"'{place(path)}' of {what}" if path else what
    if "propertyNames" in error.absolute_schema_path:
        rule = PATTERN_RULES.get(limit if isinstance(limit, str) else "", error.message[:MAX_RULE])
        name = str(instance)
        yield "bad-value", f"{quoted(name)} can't be a name in {subject}; {rule}", (name,), True, None
        return
    match keyword:
        case "additionalProperties":
            yield from _unknown_fields(schema, instance, subject)
        case "required":
            fields = schema.get("properties", {})
            near = [name for name in instance if name not in fields]
            for name in limit:
                if name not in instance and not _stands_elsewhere(name, near, schema):
                    hint = missing(name, fields.get(name, {}), near)
                    yield "missing-field", f"{subject} needs '{name}'", (), False, hint
        case "type":
            message = f"{subject} must be {type_names(limit)}, not {kind(instance)}"
            yield "wrong-type", message, (), False, remedy(keyword, instance, schema, path)
        case "enum":
            values = ", ".join(value if isinstance(value, str) else quoted(value) for value in limit)
            hint = remedy(keyword, instance, schema, path)
            message = f"{subject} is {quoted(instance)}; it must be one of: {values}"
            yield "bad-value", message, (), False, hint
        case "const":
            message = f"{subject} is {quoted(instance)}; it must be {quoted(limit)}"
            yield "bad-value", message, (), False, remedy(keyword, instance, schema, path)
        case "pattern":
            rule = PATTERN_RULES.get(limit, f"it must match the pattern {limit}")
            hint = remedy(keyword, instance, schema, path)
            yield "bad-value", f"{subject} is {quoted(instance)}; {rule}", (), False, hint
        case "multipleOf":
            message = f"{subject} is {quoted(instance)}; it must be a multiple of {limit}"
            yield "bad-value", message, (), False, None
        case "uniqueItems":
            yield "bad-value", f"{subject} must not hold the same item twice", (), False, None
        case "anyOf" | "oneOf" if error.context:
            # The first error of each branch, by the branch's number.
            branches: dict[str | int, str] = {}
            for inner in error.context:
                # A branch that is `false` comes without its number.
                number = inner.relative_schema_path[0] if inner.relative_schema_path else "false"
                branches.setdefault(number, next(explain(inner, what))[1])
            message = f"{subject} has none of the forms that it may have: {'; or '.join(branches.values())}"
            yield "bad-value", message, (), False, None
        case _ if schema is False:
            yield "bad-value", f"{subject} holds what its schema does not allow", (), False, None
        case _ if keyword in _BOUNDS:
            message = f"{subject} is {quoted(instance)}; it must be {_BOUNDS[keyword]} {limit}"
            hint = remedy(keyword, instance, schema, path) if "pattern" in schema else None
            yield "out-of-range", message, (), False, hint
        case _ if keyword in _SIZES:
            bound, unit = _SIZES[keyword]
            unit = unit.removesuffix("s") if limit == 1 else unit
            message = f"{subject} must have {bound} {limit:,} {unit}, not {len(instance):,}"
            yield "out-of-range", message, (), False, None
        case _:
            yield "bad-value", f"{subject}: {error.message[:MAX_RULE]}", (), False, None


def _stands_elsewhere(name: str, unknown: Sequence[str], schema: Mapping[str, Any]) -> bool:
    """Whether one of the first unknown fields is meant for the field `name`: then that is said there."""
    if schema.get("additionalProperties") is not False:
        return False
    known = schema.get("properties", {})
    return any(f"'{name}'" in (field_hint(other, known) or "") for other in unknown[:_MEANT])


def _unknown_fields(
    schema: Mapping[str, Any], instance: Mapping[str, Any], subject: str
) -> Iterator[Explained]:
    known = schema.get("properties", {})
    offered = sorted(known)
    listed = f"known here: {', '.join(offered)}" if offered else None
    for name, value in instance.items():
        hint = field_hint(name, known, value) or listed
        yield "unknown-field", f"{subject} has no field {quoted(name)}", (name,), True, hint
