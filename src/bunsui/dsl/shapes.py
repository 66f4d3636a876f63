"""Validating a part of a definition by its JSON Schema, with problems for people."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from attrs import frozen

from bunsui.dsl import schema
from bunsui.dsl.acceptor import Accepts, Compile, acceptor, by_python
from bunsui.dsl.problems import Problem
from bunsui.dsl.schema_errors import explain
from bunsui.expressions.references import Path
from bunsui.model.lazy import cached_property

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator, ValidationError

    from bunsui.dsl.document import Document

#: Whether a pattern matches somewhere in a text; None and False: it does not.
Search = Callable[[str, str], object]

#: Most problems of one part: more would only be cut off later.
_MOST = 200


@frozen(slots=False)
class Shape:
    """A JSON Schema, ready to validate by."""

    #: Says yes only of what is surely valid.
    accepts: Accepts
    _schema: Mapping[str, Any]
    _search: Search

    @classmethod
    def of(
        cls, json_schema: Mapping[str, Any], search: Search = re.search, compile_pattern: Compile = by_python
    ) -> Shape:
        """The shape that a JSON Schema (draft 2020-12) describes.

        Args:
            json_schema: in which nothing is wrong.
            search: whether a pattern matches somewhere in a text.
            compile_pattern: the same, for what is quick.
        """
        return cls(acceptor(json_schema, compile_pattern), json_schema, search)

    @cached_property
    def validator(self) -> Draft202012Validator:
        """The library's, which knows what is wrong."""
        # Imported late: 80 ms that who has nothing wrong does not need.
        from bunsui.dsl.dialect import validator_class  # noqa: PLC0415 - see above

        return validator_class(self._search)(self._schema)


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
