"""The declarations of a pipeline's parameters, and of the inputs of its templates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from attrs import evolve

from bunsui.dsl.names import SECRET_VALUE, Declared, InText, few, is_secret_reference
from bunsui.dsl.parameters.budget import Budget
from bunsui.dsl.parameters.fields import DECLARATION_FIELDS, PARAMETER_TYPES
from bunsui.dsl.parameters.keywords import keyword_problems
from bunsui.dsl.parameters.values import ValueSchema
from bunsui.dsl.problems import quoted
from bunsui.dsl.shapes import declaration_shape, schema_problems
from bunsui.expressions.references import BadReference, Path, references

if TYPE_CHECKING:
    from bunsui.dsl.document import Document
    from bunsui.dsl.problems import Problem


class Declarations:
    """A list of declarations.

    Args:
        document: the definition.
        path: where the list stands.
        what: ``parameter`` or ``input``.
        budget: what comparing defaults with their schemas may cost.
    """

    def __init__(self, document: Document, path: Path, what: str, budget: Budget) -> None:
        self._document = document
        self._path = path
        self._what = what
        self._budget = budget
        #: What is declared, sound or not, by name.
        self.found: dict[str, Declared] = {}
        #: The declarations in which nothing is wrong, by name, and the schemas of their values.
        self.sound: dict[str, tuple[Mapping[str, Any], ValueSchema]] = {}
        #: The path of each by its name.
        self.paths: dict[str, Path] = {}

    def problems(self, declared: Any) -> Iterator[Problem]:
        """What is wrong with them; fills `found` and `sound`."""
        if not isinstance(declared, list):
            return
        for i, one in enumerate(declared):
            if isinstance(one, Mapping):
                yield from self._one((*self._path, i), one)

    def _one(self, path: Path, one: Mapping[str, Any]) -> Iterator[Problem]:
        name = one.get("name")
        what = f"{self._what} {quoted(name)}" if isinstance(name, str) else f"{_a(self._what)}"
        kind = one.get("type", "string")
        kind = kind if kind in PARAMETER_TYPES else "string"
        shape = declaration_shape(kind, secret=self._what == "parameter")
        found = list(schema_problems(self._document, shape, one, path, what))
        if isinstance(name, str):
            if name in self.found:
                message = f"{what} is declared twice"
                hint = "take one of them out, or rename it"
                found.append(
                    self._document.problem("duplicate-parameter", message, (*path, "name"), hint=hint)
                )
            self.found.setdefault(name, Declared(kind, one.get("secret") is True, _allowed(one)))
            self.paths.setdefault(name, path)
        if not found:
            found = list(self._value(path, one, kind, what))
        yield from found

    def _value(self, path: Path, one: Mapping[str, Any], kind: str, what: str) -> Iterator[Problem]:
        keywords = {k: v for k, v in one.items() if k not in DECLARATION_FIELDS}
        if wrong := list(keyword_problems(self._document, keywords, path, what, self._budget)):
            yield from wrong
            return
        value_schema = ValueSchema({"type": kind, **keywords})
        default = one.get("default")
        if one.get("secret"):
            yield from self._secret(path, one, what)
            for name in keywords.keys() - {"title", "examples"}:
                message = f"{what} is secret, so '{name}' is not looked at: only a job sees the value"
                yield self._document.problem(
                    "no-effect", message, (*path, name), key=True, hint="take it out", severity="warning"
                )
        elif default is not None:
            yield from self._default(value_schema, default, (*path, "default"), f"the default of {what}")
        self.sound[one["name"]] = (one, value_schema)

    def _default(self, schema: ValueSchema, value: Any, path: Path, of: str) -> Iterator[Problem]:
        # An input's may hold references: it becomes a part of the template.
        is_resolved = self._what == "input"
        later = [where for where, *_ in references(value)] if is_resolved else []
        found = list(schema.problems(self._document, value, path, of, self._budget, later))
        yield from found
        if not found and not is_resolved:
            yield from self._unresolved(value, path, of)

    def _secret(self, path: Path, one: Mapping[str, Any], what: str) -> Iterator[Problem]:
        if one.get("type", "string") != "string":
            message = f"{what} is secret, and a secret is a text"
            yield self._document.problem("bad-secret", message, (*path, "type"), hint="type: string")
        default = one.get("default")
        if default is not None and not is_secret_reference(default):
            message = f"the default of {what} stands in the definition for all to read; {SECRET_VALUE}"
            problem = self._document.problem("bad-secret", message, (*path, "default"))
            yield evolve(problem, source=None)  # The line would show it once more, in a log of CI perhaps.

    def _unresolved(self, default: Any, path: Path, of: str) -> Iterator[Problem]:
        for where, offset, length, (code, message, hint) in few(_without_effect(default, path, of)):
            yield self._document.problem(
                code, message, where, hint=hint, severity="warning", within=(offset, length)
            )


def _without_effect(default: Any, path: Path, of: str) -> Iterator[InText]:
    for where, offset, length, found in references(default, path):
        if isinstance(found, BadReference):
            continue
        message = f"{of} holds ${{{found.text}}}, which stays as it is: defaults are not resolved"
        is_secret = found.root == "secrets" and where == path
        hint = "add 'secret: true'" if is_secret else "write the reference where the parameter is used"
        yield where, offset, length, ("no-effect", message, hint)


def _allowed(one: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """All values that a declaration allows, beside null; None: not only some."""
    found = [one["const"]] if "const" in one else one.get("enum")
    return tuple(found) if isinstance(found, list) else None


def _a(what: str) -> str:
    return f"an {what}" if what[0] in "aeiou" else f"a {what}"
