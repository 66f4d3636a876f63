"""Says of most valid values that they are valid, in a fraction of the time that jsonschema takes.

``acceptor(schema)`` makes a function of plain closures. Where it says yes, jsonschema would: so that runs,
and is imported, only where something may be wrong. Where it says no, nothing is known. Hypothesis holds the
two together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["Accepts", "acceptor"]

#: Whether a value is surely valid.
Accepts = Callable[[Any], bool]

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
_ALL = (str, int, float, bool, list, dict, type(None))
#: Keywords that say nothing about what is valid.
_ANNOTATIONS = {"title", "description", "default", "examples", "deprecated", "$comment", "format"}
#: The keywords that are understood, by the type of the values that they look at.
_KEYWORDS: dict[type, set[str]] = {
    str: {"pattern", "minLength", "maxLength"},
    int: {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    list: {"items", "minItems", "maxItems"},
    dict: {
        "properties",
        "required",
        "additionalProperties",
        "propertyNames",
        "minProperties",
        "maxProperties",
    },
}
_KNOWN = {"type", "enum", "const", *_ANNOTATIONS, *(name for names in _KEYWORDS.values() for name in names)}


def acceptor(schema: Any) -> Accepts:
    """A function that says of a value whether it is surely valid by `schema`.

    The values are plain data, as `bunsui.dsl.parser` makes it: of exactly the types of JSON.
    """
    if schema is True or (isinstance(schema, Mapping) and set(schema) <= _ANNOTATIONS):
        return _anything
    if not isinstance(schema, Mapping) or not set(schema) <= _KNOWN:
        return _nothing
    names = schema.get("type", list(_TYPES))
    types = {t for name in ([names] if isinstance(names, str) else names) for t in _TYPES.get(name, ())}
    checks = {t: _check(t, schema) for t in types}

    def accepts(value: Any) -> bool:
        check = checks.get(type(value))
        return check is not None and check(value)

    return accepts


def _anything(_: Any) -> bool:
    return True


def _nothing(_: Any) -> bool:
    return False


def _check(of: type, schema: Mapping[str, Any]) -> Accepts:
    """The check of a value that has the type `of`, which the schema allows."""
    checks: list[Accepts] = []
    if "enum" in schema or "const" in schema:
        checks.append(_one_of(schema))
    if of is str:
        checks += _text(schema)
    elif of in (int, float):
        checks += _number(schema)
    elif of is list and _KEYWORDS[list] & set(schema):
        checks.append(_list(schema))
    elif of is dict and _KEYWORDS[dict] & set(schema):
        checks.append(_mapping(schema))
    if not checks:
        return _anything
    if len(checks) == 1:
        return checks[0]
    return lambda value: all(check(value) for check in checks)


def _one_of(schema: Mapping[str, Any]) -> Accepts:
    allowed = [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else ())]
    both = "enum" in schema and "const" in schema
    # Of texts alone: 1, 1.0 and true are equal in Python, and not in JSON.
    texts = frozenset(value for value in allowed if isinstance(value, str))
    return lambda value: not both and type(value) is str and value in texts


def _text(schema: Mapping[str, Any]) -> list[Accepts]:
    checks: list[Accepts] = []
    if "pattern" in schema:
        try:
            search = re.compile(schema["pattern"]).search
        except (re.error, OverflowError, RecursionError):
            return [_nothing]
        checks.append(lambda value: search(value) is not None)
    if "minLength" in schema or "maxLength" in schema:
        checks.append(_sized(schema, "minLength", "maxLength"))
    return checks


def _sized(schema: Mapping[str, Any], least: str, most: str) -> Accepts:
    low, high = schema.get(least, 0), schema.get(most, float("inf"))
    return lambda value: low <= len(value) <= high


def _number(schema: Mapping[str, Any]) -> list[Accepts]:
    low, high = schema.get("minimum", float("-inf")), schema.get("maximum", float("inf"))
    above = schema.get("exclusiveMinimum", float("-inf"))
    below = schema.get("exclusiveMaximum", float("inf"))
    if not _KEYWORDS[int] & set(schema):
        return []
    return [lambda value: low <= value <= high and above < value < below]


def _list(schema: Mapping[str, Any]) -> Accepts:
    each = acceptor(schema.get("items", True))
    sized = _sized(schema, "minItems", "maxItems")
    if each is _anything:
        return sized
    return lambda value: sized(value) and all(map(each, value))


def _mapping(schema: Mapping[str, Any]) -> Accepts:
    required = tuple(schema.get("required", ()))
    fields = {name: acceptor(field) for name, field in schema.get("properties", {}).items()}
    further = schema.get("additionalProperties", True)
    other = _nothing if further is False else acceptor(further)
    named = acceptor(schema.get("propertyNames", True))
    sized = _sized(schema, "minProperties", "maxProperties")

    def accepts(value: dict[str, Any]) -> bool:
        for name in required:
            if name not in value:
                return False
        for name, item in value.items():
            if not fields.get(name, other)(item):
                return False
        return (named is _anything or all(map(named, value))) and sized(value)

    return accepts
