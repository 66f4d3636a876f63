"""Validating a part of a definition by its JSON Schema, with problems for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from attrs import frozen

from bunsui.dsl import schema
from bunsui.dsl.acceptor import Accepts, acceptor
from bunsui.dsl.explain import explain
from bunsui.dsl.patterns import why_refused
from bunsui.dsl.problems import Problem, quoted

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator, ValidationError

    from bunsui.dsl.document import Document

Path = tuple[str | int, ...]

#: Keywords of JSON Schema that reach beyond the schema that they stand in, even into the network.
_REACHING = ("$ref", "$dynamicRef", "$id", "$schema", "$anchor", "$dynamicAnchor")
#: Keywords that hold schemas by name, in a list, and one; and all others.
_NAMED = {"properties", "patternProperties", "dependentSchemas", "$defs"}
_LISTED = {"allOf", "anyOf", "oneOf", "prefixItems"}
_SINGLE = {
    *("items", "contains", "additionalProperties", "propertyNames", "unevaluatedItems"),
    *("unevaluatedProperties", "not", "if", "then", "else", "contentSchema"),
}
_KEYWORDS = {
    *_NAMED,
    *_LISTED,
    *_SINGLE,
    *("type", "enum", "const", "multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"),
    *("maxLength", "minLength", "pattern", "maxItems", "minItems", "uniqueItems", "maxContains"),
    *("minContains", "maxProperties", "minProperties", "required", "dependentRequired", "format"),
    *("contentEncoding", "contentMediaType", "title", "description", "default", "examples", "deprecated"),
    *("readOnly", "writeOnly", "$comment"),
}
#: Most problems of one part: more would only be cut off later.
_MOST = 200


@frozen(slots=False)
class Shape:
    """A JSON Schema, ready to validate by."""

    #: Says yes only of what is surely valid.
    accepts: Accepts
    _schema: Mapping[str, Any]

    @classmethod
    def of(cls, json_schema: Mapping[str, Any]) -> Shape:
        """The shape that a JSON Schema (draft 2020-12) describes."""
        return cls(acceptor(json_schema), json_schema)

    @cached_property
    def validator(self) -> Draft202012Validator:
        """The library's, which knows what is wrong."""
        # Imported late: 80 ms that who has nothing wrong does not need.
        from jsonschema import Draft202012Validator  # noqa: PLC0415

        return Draft202012Validator(self._schema)


@cache
def pipeline_shape() -> Shape:
    """Of everything but what stands in jobs, parameters and templates."""
    return Shape.of(schema.PIPELINE)


@cache
def any_job_shape() -> Shape:
    """Of a job whose type is not known."""
    return Shape.of(schema.ANY_JOB)


@cache
def templated_shape() -> Shape:
    """Of what a job says of its template."""
    return Shape.of(schema.TEMPLATED)


@cache
def template_shape() -> Shape:
    """Of what a template says of its inputs."""
    return Shape.of(schema.TEMPLATE)


@cache
def declaration_shape(kind: str, *, secret: bool) -> Shape:
    """Of the declaration of a parameter of this type, or of an input."""
    return Shape.of(schema.parameter_schema(kind, secret=secret))


def schema_problems(
    document: Document,
    shape: Shape,
    value: Any,
    path: Path,
    what: str,
    locate: Callable[[Path], Path] | None = None,
    later: Sequence[Path] = (),
) -> Iterator[Problem]:
    """What JSON Schema says of a value.

    Args:
        document: the definition.
        shape: the value's.
        value: what is validated.
        path: where it stands in the document.
        what: names it in messages.
        locate: where in the document a path below the value came from, if not just behind `path`.
        later: paths below the value to texts with references in them: what may become right when these are
            resolved is left out.
    """
    if shape.accepts(value):
        return
    # Each only once: every missing field has an error of its own, which explains them all.
    seen: set[Problem] = set()
    for error in shape.validator.iter_errors(value):
        if later and any(_may_vanish(error, text) for text in later):
            continue
        for code, message, below, key, hint in islice(explain(error, what), _MOST):
            inner = (*error.absolute_path, *below)
            place = locate(inner) if locate is not None else (*path, *inner)
            problem = document.problem(code, message, place, key=key, hint=hint)
            if problem not in seen:
                seen.add(problem)
                yield problem
        if len(seen) >= _MOST:
            return


#: Keywords that look at the values inside of what they are about.
_DEEP = {"anyOf", "oneOf", "not", "if", "enum", "const", "contains", "uniqueItems"}


def _may_vanish(error: ValidationError, text: Path) -> bool:
    """Whether an error may vanish when the references in the text at the path `text` are resolved."""
    path = tuple(error.absolute_path)
    return path == text or (error.validator in _DEEP and path == text[: len(path)])


def wrong_schema(value_schema: dict[str, Any]) -> tuple[str, Path] | None:
    """(message, path) of what is wrong with the schema of a parameter's value, or None."""
    if set(value_schema) == {"type"}:
        return None
    from jsonschema import Draft202012Validator, SchemaError  # noqa: PLC0415 - as above

    try:
        Draft202012Validator.check_schema(value_schema)
    except SchemaError as error:
        return error.message[:300], tuple(error.absolute_path)
    except (OverflowError, RecursionError):  # Of the regular expressions in it.
        return "a pattern in its schema is too large", ()
    stack: list[tuple[Path, Any]] = [((), value_schema)]
    while stack:
        path, part = stack.pop()
        if isinstance(part, Mapping):
            if wrong := _wrong_keyword(part, path) or _wrong_pattern(part, path):
                return wrong
            stack.extend(_within(part, path))
    return None


def _wrong_keyword(part: Mapping[str, Any], path: Path) -> tuple[str, Path] | None:
    for name in part:
        if name in _REACHING:
            return f"'{name}' is not supported; write out what it stands for", (*path, name)
        if name not in _KEYWORDS:
            return f"{quoted(name)} is not a keyword of JSON Schema, so it would do nothing", (*path, name)
    return None


def _within(part: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, Any]]:
    """The schemas that stand in a schema, and their paths."""
    for name in part.keys() & _NAMED:
        yield from (((*path, name, key), inner) for key, inner in part[name].items())
    for name in part.keys() & _LISTED:
        yield from (((*path, name, i), inner) for i, inner in enumerate(part[name]))
    yield from (((*path, name), part[name]) for name in part.keys() & _SINGLE)


def _wrong_pattern(schema_part: Mapping[str, Any], path: Path) -> tuple[str, Path] | None:
    """What is wrong with the regular expressions of a part of a schema: some take for ever to match."""
    patterns: list[tuple[Any, Path]] = [(schema_part.get("pattern"), (*path, "pattern"))]
    by_pattern = schema_part.get("patternProperties")
    if isinstance(by_pattern, Mapping):
        patterns += [(name, (*path, "patternProperties", name)) for name in by_pattern]
    for pattern, where in patterns:
        if isinstance(pattern, str) and (reason := why_refused(pattern)) is not None:
            return f"the pattern can't be used: {reason}", where
    return None
