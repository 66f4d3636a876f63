"""What the schema of a parameter's values may say: JSON Schema (draft 2020-12), closed in itself.

It is checked keyword by keyword, at any depth, by what `bunsui.dsl.parameters.fields` declares of each. That
costs a fraction of what JSON Schema's own schema takes, and a problem stands where it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from attrs import evolve

from bunsui.dsl.parameters.fields import NESTED_KEYWORDS, VALUE_TYPES
from bunsui.dsl.parameters.patterns import SYNTAX, BadPattern, size
from bunsui.dsl.problems import Problem, did_you_mean, quoted
from bunsui.dsl.shapes import Shape, schema_problems
from bunsui.dsl.words import kind
from bunsui.expressions.references import Path

if TYPE_CHECKING:
    from bunsui.dsl.document import Document
    from bunsui.dsl.parameters.budget import Budget

#: Keywords that reach beyond the schema that they stand in, even into the network, or that look at a value
#: again for each level of the schema.
_REFUSED = (
    *("$ref", "$dynamicRef", "$id", "$schema", "$anchor", "$dynamicAnchor", "$defs"),
    *("unevaluatedItems", "unevaluatedProperties"),
)
#: Keywords that hold schemas by name, in a list, and one.
_NAMED = {"properties", "patternProperties", "dependentSchemas"}
_LISTED = {"allOf", "anyOf", "oneOf", "prefixItems"}
_SINGLE = {"items", "contains", "additionalProperties", "propertyNames", "not", "if", "then", "else"}

# What compiling a pattern costs (12 us, and 0.2 us for each instruction), and finding out that one is too
# large (15 ms), in comparisons, with room to spare.
_COMPILING, _INSTRUCTIONS, _REFUSING = 5, 20, 1000


@cache
def _nested_shape() -> Shape:
    return Shape.of({"type": "object", "properties": NESTED_KEYWORDS})


def keyword_problems(
    document: Document, schema: Mapping[str, Any], path: Path, what: str, budget: Budget
) -> Iterator[Problem]:
    """What is wrong with the schema of a value.

    Args:
        document: the definition.
        schema: its own keywords are known to hold what they may; those within it are not.
        path: where it stands in the document.
        what: names what it is the schema of.
        budget: is spent on patterns; one problem says when it is used up.
    """
    stack = [(below, part) for below, part in _within(schema) if part != {}]
    yield from _pattern_problems(document, schema, path, what, budget)
    while stack:
        below, part = stack.pop()
        where = (*path, *below)
        if isinstance(part, bool):
            continue
        if not isinstance(part, Mapping):
            message = f"{what}: a schema must be a mapping, true or false, not {kind(part)}"
            yield document.problem("bad-schema", message, where)
            continue
        found = [*_unknown(document, part, where, what)]
        found += schema_problems(document, _nested_shape(), part, where, f"the schema of {what}")
        found += _types(document, part, where, what)
        yield from (evolve(problem, code="bad-schema") for problem in found)
        if not found:
            yield from _pattern_problems(document, part, where, what, budget)
            stack.extend(((*below, *inner), one) for inner, one in _within(part) if one != {})


def patterns(schema: Mapping[str, Any]) -> Iterator[str]:
    """The patterns in a schema in which nothing is wrong."""
    stack: list[Any] = [schema]
    while stack:
        part = stack.pop()
        if isinstance(part, Mapping):
            yield from (pattern for pattern, _ in _own_patterns(part))
            stack.extend(inner for _, inner in _within(part) if inner)


def _within(part: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    """The schemas that stand in a schema, and their paths."""
    for name in part:
        if name in _SINGLE:
            yield (name,), part[name]
        elif name in _NAMED:
            yield from (((name, key), inner) for key, inner in part[name].items())
        elif name in _LISTED:
            yield from (((name, i), inner) for i, inner in enumerate(part[name]))


def _unknown(document: Document, part: Mapping[str, Any], path: Path, what: str) -> Iterator[Problem]:
    for name in part:
        if name in NESTED_KEYWORDS:
            continue
        message = f"{what}: {quoted(name)} is not a keyword of JSON Schema, so it would do nothing"
        hint = did_you_mean(name, NESTED_KEYWORDS)
        if name in _REFUSED:
            message, hint = f"{what}: '{name}' is not supported; write out what it stands for", None
        yield document.problem("bad-schema", message, (*path, name), key=True, hint=hint)


def _types(document: Document, part: Mapping[str, Any], path: Path, what: str) -> Iterator[Problem]:
    names = part.get("type", [])
    listed = isinstance(names, list)
    for i, name in enumerate(names if listed else [names]):
        if isinstance(name, str) and name not in VALUE_TYPES:
            message = f"{what}: there is no type {quoted(name)}; there are: {', '.join(VALUE_TYPES)}"
            where = (*path, "type", i) if listed else (*path, "type")
            yield document.problem("bad-schema", message, where, hint=did_you_mean(name, VALUE_TYPES))


def _own_patterns(part: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    if "pattern" in part:
        yield part["pattern"], ("pattern",)
    yield from ((pattern, ("patternProperties", pattern)) for pattern in part.get("patternProperties", ()))


def _pattern_problems(
    document: Document, part: Mapping[str, Any], path: Path, what: str, budget: Budget
) -> Iterator[Problem]:
    for pattern, where in _own_patterns(part):
        if budget.is_spent:
            return
        place, is_key = (*path, *where), where[0] == "patternProperties"
        cost = _REFUSING
        try:
            cost = _COMPILING + size(pattern) // _INSTRUCTIONS
        except BadPattern as bad:
            message = f"{what}: the pattern {quoted(pattern)} can't be used: {bad}"
            yield document.problem("bad-schema", message, place, key=is_key, hint=SYNTAX)
        if not budget.spend(cost):
            message = f"{what}: the patterns up to here take too long to be looked at"
            yield document.problem(
                "too-complex", message, place, key=is_key, hint="use fewer, or smaller ones"
            )
