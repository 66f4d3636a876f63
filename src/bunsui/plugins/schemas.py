"""Whether the schema of a job type is one: valid JSON Schema (draft 2020-12), complete in itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from bunsui.dsl.fields import JOB_FIELDS


def what_is_wrong(schema: dict[str, Any]) -> str | None:
    """What is wrong with the schema of a job type, to be read behind its name; None: nothing."""
    return wrong_with(schema, JOB_FIELDS, "every job")


def wrong_with(schema: dict[str, Any], taken: Collection[str], whose: str) -> str | None:
    """What is wrong with the schema of an object that also has fields of another's; None: nothing.

    Args:
        schema: what a plugin brings.
        taken: the fields that it may not have.
        whose: who has these, such as ``every job``.
    """
    try:
        json.dumps(schema, allow_nan=False)  # `bunsui schema` writes it; jsonschema bears any value.
    except (TypeError, ValueError, RecursionError) as error:
        return f": its schema is not JSON: {error}"
    if not _is_surely_valid(schema):  # Which has no references, either.
        if (wrong := _invalid(schema)) is not None:
            return wrong
        if (to := _lost_reference(schema)) is not None:
            return f": its schema has '$ref' {to!r}, which is not within it"
    if schema.get("type", "object") != "object":
        return f": its schema has the type {schema['type']!r}; it must be an object's"
    if common := sorted(set(_fields(schema)) & set(taken)):
        return f" has a field of {whose}: {', '.join(common)}"
    missing = [name for name in schema.get("required", ()) if name not in schema.get("properties", {})]
    if missing and "patternProperties" not in schema:
        return f": its schema requires {missing[0]!r}, which is none of its properties"
    return None


def _fields(schema: Any) -> Iterator[str]:
    """The fields that a schema speaks of, also in parts of it that are about the same object."""
    if not isinstance(schema, dict):
        return
    yield from schema.get("properties", ())
    for keyword in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(keyword, ()):
            yield from _fields(part)
    for keyword in ("if", "then", "else", "not"):
        yield from _fields(schema.get(keyword))
    for part in schema.get("dependentSchemas", {}).values():
        yield from _fields(part)


def _invalid(schema: dict[str, Any]) -> str | None:
    """What JSON Schema says of the schema."""
    from jsonschema import Draft202012Validator, SchemaError  # noqa: PLC0415 - 80 ms

    try:
        Draft202012Validator.check_schema(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    except SchemaError as error:
        where = "/".join(map(str, error.absolute_path))
        return f": its schema is not valid JSON Schema{f' at {where}' if where else ''}: {error.message}"
    return None


# Each start would wait for jsonschema's import where a plugin is installed; most schemas are simple.


def _is_surely_valid(schema: Any) -> bool:
    """Whether a schema is of common keywords only, and right; False where only jsonschema can tell."""
    if isinstance(schema, bool):
        return True
    if not isinstance(schema, dict):
        return False
    return all(key in _KEYWORDS and _KEYWORDS[key](value) for key, value in schema.items())


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_anything(value: Any) -> bool:
    del value
    return True


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value)) and len(value) == len(set(value))


def _are_schemas(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_surely_valid, value))


def _are_named_schemas(value: Any) -> bool:
    return (
        isinstance(value, dict) and all(map(_is_text, value)) and all(map(_is_surely_valid, value.values()))
    )


def _is_type(value: Any) -> bool:
    if _is_text(value):
        return value in _TYPES
    return _are_names(value) and bool(value) and _TYPES.issuperset(value)


def _is_pattern(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        re.compile(value)
    except re.error:
        return False
    return True


_TYPES = frozenset(("null", "boolean", "object", "array", "number", "string", "integer"))
_KEYWORDS: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("title", "description", "format", "$comment"), _is_text),
    **dict.fromkeys(("default", "const"), _is_anything),
    **dict.fromkeys(("enum", "examples"), _is_list),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _is_number),
    **dict.fromkeys(
        ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), _is_count
    ),
    **dict.fromkeys(("uniqueItems", "deprecated", "readOnly", "writeOnly"), _is_bool),
    **dict.fromkeys(("items", "additionalProperties", "propertyNames", "contains", "not"), _is_surely_valid),
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), _are_schemas),
    **dict.fromkeys(("properties", "$defs"), _are_named_schemas),
    "required": _are_names,
    "type": _is_type,
    "pattern": _is_pattern,
}


def _lost_reference(schema: dict[str, Any]) -> str | None:
    """A ``$ref`` that leads to nothing within the schema, nor to JSON Schema itself; None: there is none."""
    from jsonschema_specifications import REGISTRY  # noqa: PLC0415 - jsonschema's; see `_invalid`
    from referencing.exceptions import Unresolvable  # noqa: PLC0415 - likewise
    from referencing.jsonschema import DRAFT202012  # noqa: PLC0415 - likewise

    root = DRAFT202012.create_resource(schema)
    registry = root @ REGISTRY if root.id() is not None else REGISTRY.with_resource("", root)
    waiting = [(root, registry.resolver_with_root(root))]
    while waiting:
        resource, resolver = waiting.pop()
        if isinstance(resource.contents, dict) and isinstance(to := resource.contents.get("$ref"), str):
            try:
                resolver.lookup(to)
            except Unresolvable:
                return to
        waiting += [(part, resolver.in_subresource(part)) for part in resource.subresources()]
    return None
