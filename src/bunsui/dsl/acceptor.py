"""Says of most valid values that they are valid, in a fraction of the time that jsonschema takes.

``acceptor(schema)`` makes a function of plain closures. Where it says yes, jsonschema would: so that runs,
and is imported, only where something may be wrong. Where it says no, nothing is known. Hypothesis holds the
two together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["Accepts", "Compile", "acceptor", "by_python"]

#: Whether a value is surely valid.
Accepts = Callable[[Any], bool]
#: Makes a function that says whether a text matches a pattern; ValueError: nothing can be said of it.
Compile = Callable[[str], Callable[[str], bool]]

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
#: Keywords that say nothing about what is valid.
_ANNOTATIONS = {"title", "description", "default", "examples", "deprecated", "$comment", "format"}
#: Longest list of allowed values that is made a set of.
_MOST_ALLOWED = 100_000
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


def by_python(pattern: str) -> Callable[[str], bool]:
    """Whether a text matches, by Python's own matcher."""
    try:
        search = re.compile(pattern).search
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from error
    return lambda text: search(text) is not None


def acceptor(schema: Any, compile_pattern: Compile = by_python) -> Accepts:
    """A function that says of a value whether it is surely valid by `schema`.

    The values are plain data, as `bunsui.dsl.parser` makes it: of exactly the types of JSON.
    """
    if schema is True or (isinstance(schema, Mapping) and set(schema) <= _ANNOTATIONS):
        return _anything
    if not isinstance(schema, Mapping) or not set(schema) <= _KNOWN:
        return _nothing
    names = schema.get("type", list(_TYPES))
    types = {t for name in ([names] if isinstance(names, str) else names) for t in _TYPES.get(name, ())}
    checks = {t: _check(t, schema, compile_pattern) for t in types}

    def accepts(value: Any) -> bool:
        check = checks.get(type(value))
        return check is not None and check(value)

    return accepts


def _anything(_: Any) -> bool:
    return True


def _nothing(_: Any) -> bool:
    return False


def _check(of: type, schema: Mapping[str, Any], compile_pattern: Compile) -> Accepts:
    """The check of a value that has the type `of`, which the schema allows."""
    checks: list[Accepts] = []
    if "enum" in schema or "const" in schema:
        checks.append(_one_of(schema))
    if of is str:
        checks += _text(schema, compile_pattern)
    elif of in (int, float):
        checks += _number(schema)
    elif of is list and _KEYWORDS[list] & set(schema):
        checks.append(_list(schema, compile_pattern))
    elif of is dict and _KEYWORDS[dict] & set(schema):
        checks.append(_mapping(schema, compile_pattern))
    if not checks:
        return _anything
    if len(checks) == 1:
        return checks[0]
    return lambda value: all(check(value) for check in checks)


def _one_of(schema: Mapping[str, Any]) -> Accepts:
    allowed = [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else ())]
    if len(allowed) > _MOST_ALLOWED:
        return _nothing
    both = "enum" in schema and "const" in schema
    # Of texts alone: 1, 1.0 and true are equal in Python, and not in JSON.
    texts = frozenset(value for value in allowed if isinstance(value, str))
    return lambda value: not both and type(value) is str and value in texts


def _text(schema: Mapping[str, Any], compile_pattern: Compile) -> list[Accepts]:
    checks: list[Accepts] = []
    if "pattern" in schema:
        try:
            checks.append(compile_pattern(schema["pattern"]))
        except ValueError:
            return [_nothing]
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


def _list(schema: Mapping[str, Any], compile_pattern: Compile) -> Accepts:
    each = acceptor(schema.get("items", True), compile_pattern)
    sized = _sized(schema, "minItems", "maxItems")
    if each is _anything:
        return sized
    return lambda value: sized(value) and all(map(each, value))


def _mapping(schema: Mapping[str, Any], compile_pattern: Compile) -> Accepts:
    required = tuple(schema.get("required", ()))
    fields = {name: acceptor(field, compile_pattern) for name, field in schema.get("properties", {}).items()}
    further = schema.get("additionalProperties", True)
    other = _nothing if further is False else acceptor(further, compile_pattern)
    named = acceptor(schema.get("propertyNames", True), compile_pattern)
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
