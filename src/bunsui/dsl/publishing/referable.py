"""Schemas of fields that may hold references: where a number is wanted, a text such as ``${rows}`` is right.

A schema is rewritten so that it accepts what can become valid once the references are resolved; where there
are none it says what it said before. A job that takes over a template is partial: what its schema demands of
a mapping may stand in the template, as mappings merge.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

from attrs import define, evolve, frozen

from bunsui.dsl.words import type_names

Schema = dict[str, Any] | bool
#: True of a value in which, at any depth, a text holds a reference.
HOLDS = {"$ref": "#/$defs/holds-reference"}

#: What says nothing of a value's validity.
_ANNOTATIONS = ("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly")
#: What has done its work once a schema stands within another one.
_RESOURCE = {
    *("$id", "$schema", "$anchor", "$dynamicAnchor", "$vocabulary", "$comment", "$defs", "definitions")
}
#: What is said of a value itself, and may keep a text with a reference out.
_OF_ITSELF = {"enum", "const", "allOf", "anyOf", "oneOf", "not", "if", "$ref", "$dynamicRef"}
_OF_TEXTS = ("minLength", "maxLength", "pattern", "patternErrorMessage", "format")
_CONDITION = ("if", "then", "else")
_UNEVALUATED = ("unevaluatedProperties", "unevaluatedItems")
#: Keywords that hold schemas: by name, in a list, and one.
_NAMED = ("properties", "patternProperties", "dependentSchemas")
_LISTED = ("allOf", "anyOf", "oneOf", "prefixItems")
_SINGLE = (
    *("additionalProperties", "items", "contains", "propertyNames", "not"),
    *_CONDITION,
    *_UNEVALUATED,
)
#: What looks at the values below, where references may stand.
_OF_PARTS = {*_NAMED, *_LISTED, *_SINGLE, "$ref", "$dynamicRef", "uniqueItems"}
#: What need be true of a mapping only together with what it is merged with.
_OF_WHOLE_MAPPINGS = {
    *("required", "minProperties", "dependentRequired", "dependentSchemas", "oneOf", "not"),
    *_CONDITION,
    "unevaluatedProperties",
}
#: Characters of the shortest reference, ``${x}``.
_SHORTEST = 4


@frozen
class References:
    """The references that may stand in some fields."""

    #: The definition of a text that holds one.
    definition: str
    #: The pattern of such a text.
    holds: str
    #: The pattern where the text is to become something else than text.
    instead: str
    #: Such a reference.
    example: str
    #: Added to the descriptions of the fields.
    note: str


@define
class Referable:
    """Rewrites the schemas of one job type.

    Args:
        root: the job type's whole schema, in which ``#/$defs/x`` is looked up.
        name: what the definitions that are made of it are called.
        defs: where they are put.
        references: which ones the values may hold.
        what: whose fields they are, for people.
        partial: whether mappings are merged with those of a template.
    """

    root: Mapping[str, Any]
    name: str
    defs: dict[str, Any]
    references: References
    what: str
    partial: bool = False

    def field(self, name: str, schema: Schema) -> Schema:
        """The schema of a field, with title and description, whose value may hold references."""
        if schema is False:
            return schema
        documented = _documented(name, {} if schema is True else self._noted(schema), self.what)
        description = documented["description"]
        stop = "" if description.endswith((".", "!", "?")) else "."
        documented["description"] = f"{description}{stop} {self.references.note}"
        return self._titled(self.value(documented))

    def _noted(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """`schema`, with what that one says of itself which it points at."""
        pointer, seen = schema.get("$ref"), set()
        while isinstance(pointer, str) and pointer not in seen:
            seen.add(pointer)
            target = self._target(pointer)[1]
            if not isinstance(target, dict):
                break
            schema = {**{key: target[key] for key in _ANNOTATIONS if key in target}, **schema}
            pointer = target.get("$ref")
        return schema

    def _titled(self, schema: Schema) -> Schema:
        """`schema` with a title on the first of its alternatives.

        yaml-language-server takes alternatives without titles for one another, and would then show
        each of them when it explains the field.
        """
        if isinstance(schema, dict) and "anyOf" in schema and "title" in schema:
            first, *rest = schema["anyOf"]
            if isinstance(first, dict) and "title" not in first:
                schema["anyOf"] = [{"title": schema["title"], **first}, *rest]
        return schema

    def value(self, schema: Schema) -> Schema:
        """The schema of a value that may be, or hold, a reference."""
        if isinstance(schema, bool):
            return schema
        notes = {key: copy.deepcopy(schema[key]) for key in _ANNOTATIONS if key in schema}
        rest = {key: value for key, value in _effective(schema).items() if key not in _ANNOTATIONS}
        if set(rest) == {"$ref"}:
            return {**notes, **self._pointed(rest["$ref"], "value", Referable.value)}
        made = self.parts(rest)
        if not _OF_ITSELF.isdisjoint(rest):
            return {**notes, "anyOf": self._alternatives(made)}
        types = _types(rest)
        if types is not None and "string" not in types:
            made = {key: value for key, value in made.items() if key not in _OF_TEXTS}
            wanted = type_names(types)
            message = f"It must be {wanted}, or a reference such as {self.references.example}."
            return {
                **notes,
                **made,
                "type": [*types, "string"],
                "pattern": self.references.instead,
                "patternErrorMessage": message,
            }
        return {**notes, **self._text(made)}

    def _text(self, made: dict[str, Any]) -> dict[str, Any]:
        """What says something of texts, so that it says nothing of those with references."""
        of_texts = {key: made[key] for key in _OF_TEXTS if key in made}
        if not of_texts or (set(of_texts) == {"minLength"} and of_texts["minLength"] <= _SHORTEST):
            return made
        rest = {key: value for key, value in made.items() if key not in _OF_TEXTS}
        holds = {"type": "string", "pattern": self.references.holds}
        return _also(rest, {"if": holds, "else": of_texts})

    def _alternatives(self, made: dict[str, Any]) -> list[Any]:
        """The alternatives of a value, of which one is a text with a reference."""
        alternatives = list(made["anyOf"]) if set(made) == {"anyOf"} else [made]
        for i, one in enumerate(alternatives):
            if one is True or (isinstance(one, dict) and _takes_texts(one)):
                alternatives[i] = one if one is True else self._text(one)
                return alternatives
        return [*alternatives, {"$ref": self.references.definition}]

    def parts(self, schema: Schema, deep: Mapping[str, Any] | None = None) -> Any:
        """The schema of a value that is no reference, in whose parts there may be some.

        Args:
            schema: of the value.
            deep: what is true where there are some; None: they are looked for in all of the value.
        """
        if isinstance(schema, bool):
            return schema
        schema = _effective(schema)
        exact = _of_resolved(schema)
        made: dict[str, Any] = {}
        for key, value in schema.items():
            if key in ("$ref", "$dynamicRef"):
                made.update(self._pointed(value, "parts", Referable.parts))
            elif key not in exact and not (self.partial and key in _OF_WHOLE_MAPPINGS):
                made[key] = self._part(key, value)
        if "oneOf" in schema and "oneOf" not in made:
            _also(made, {"anyOf": [self.parts(part) for part in schema["oneOf"]]})
        if "maxContains" in exact:
            exact["contains"] = schema["contains"]
        if any(key in schema for key in _UNEVALUATED):
            exact = dict(schema)
        if self.partial:
            exact = {
                key: value
                for key, value in exact.items()
                if key in ("uniqueItems", "contains", "maxContains")
            }
        if exact:
            _also(made, {"if": dict(deep or HOLDS), "else": self.exact(exact)})
        return made

    def _part(self, key: str, value: Any) -> Any:
        """What stands under one keyword, where references may stand in the parts of a value."""
        if key == "properties":
            return {name: self.field(name, part) for name, part in value.items()}
        if key == "patternProperties":
            return {name: self.value(part) for name, part in value.items()}
        if key == "dependentSchemas":
            return {name: self.parts(part) for name, part in value.items()}
        if key == "additionalProperties":
            return self.value(value)
        if key in ("anyOf", "allOf"):
            return [self.parts(part) for part in value]
        # Lists do not merge.
        whole = evolve(self, partial=False) if self.partial else self
        if key in ("items", "contains"):
            return whole.value(value)
        if key == "prefixItems":
            return [whole.value(part) for part in value]
        return self.exact_of(key, value)

    def exact(self, schema: Schema) -> Any:
        """`schema` as it is, but that what it points at is ours."""
        if isinstance(schema, bool):
            return schema
        made: dict[str, Any] = {}
        for key, value in schema.items():
            if key in ("$ref", "$dynamicRef"):
                made.update(self._pointed(value, "exact", Referable.exact))
            elif key not in _RESOURCE:
                made[key] = self.exact_of(key, value)
        return made

    def exact_of(self, key: str, value: Any) -> Any:
        """What stands under one keyword, as it is."""
        if key == "properties":
            return {
                name: part if isinstance(part, bool) else self.exact(_documented(name, part, self.what))
                for name, part in value.items()
            }
        if key in _NAMED:
            return {name: self.exact(part) for name, part in value.items()}
        if key in _LISTED:
            return [self.exact(part) for part in value]
        if key in _SINGLE:
            return self.exact(value)
        return copy.deepcopy(value)

    def _pointed(
        self, pointer: str, form: str, rewrite: Callable[[Referable, Schema], Schema]
    ) -> dict[str, Any]:
        """A ``$ref`` to a definition of our own, made of what `pointer` names in the job type's schema.

        What can't be found there is not looked for: the schema has to stand by itself.
        """
        fragment, target = self._target(pointer)
        if target is None:
            return {}
        form = f"{form}-partial" if self.partial and form != "exact" else form
        name = f"part-of.{self.name}.{slug(fragment)}.{form}"
        if name not in self.defs:
            self.defs[name] = {}  # It may point at itself.
            made = rewrite(self, target)
            if isinstance(made, dict):  # Else an editor would show the definition's name.
                made = self._titled({"title": _title(fragment.rpartition("/")[2] or self.name), **made})
            self.defs[name] = made
        return {"$ref": f"#/$defs/{name}"}

    def _target(self, pointer: str) -> tuple[str, Schema | None]:
        """The fragment of a pointer, and what it names in the job type's schema; None: nothing."""
        base = str(self.root.get("$id", ""))
        document, fragment = urldefrag(urljoin(base, pointer))
        found = _at(self.root, unquote(fragment)) if document == urldefrag(base)[0] else None
        return fragment, found


def holds_reference(holds: str) -> dict[str, Any]:
    """The definition that `HOLDS` points at, by the pattern of texts that hold a reference."""
    return {
        "anyOf": [
            {"type": "string", "pattern": holds},
            {"type": "array", "contains": HOLDS},
            {"type": "object", "not": {"additionalProperties": {"not": HOLDS}}},
        ]
    }


def _also(made: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`made`, to which `more` is added."""
    if made.keys().isdisjoint(more):
        made.update(more)
    else:
        made["allOf"] = [*made.get("allOf", ()), dict(more)]
    return made


def _documented(name: str, schema: Mapping[str, Any], what: str) -> dict[str, Any]:
    return {"title": _title(name), "description": f"A field of {what}.", **schema}


def _title(name: str) -> str:
    words = re.sub(r"[_-]+", " ", name).strip() or name
    return words[:1].upper() + words[1:]


#: Keywords that say nothing without another one.
_NEEDED = {"then": "if", "else": "if", "minContains": "contains", "maxContains": "contains"}


def _effective(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords that say something where the schema comes to stand."""
    return {
        key: value
        for key, value in schema.items()
        if key not in _RESOURCE and _NEEDED.get(key, key) in schema
    }


def _of_resolved(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords that say something wrong of a value whose parts are yet to be resolved."""
    found = {
        key: value
        for key, value in schema.items()
        if key in ("uniqueItems", "maxContains", *_UNEVALUATED)
        or (key in ("enum", "const") and _is_built(value))
        or (key in ("not", *_CONDITION) and not _is_plain(value))
        or (key == "oneOf" and not all(map(_is_plain, value)))
    }
    if not found.keys().isdisjoint(_CONDITION):  # They mean something only together.
        found |= {key: schema[key] for key in _CONDITION if key in schema}
    return found


def _types(schema: Mapping[str, Any]) -> list[str] | None:
    types = schema.get("type")
    return [types] if isinstance(types, str) else types


def _takes_texts(schema: Mapping[str, Any]) -> bool:
    """Whether it takes texts, but for what it says of their form."""
    types = _types(schema)
    return (types is None or "string" in types) and _OF_ITSELF.isdisjoint(schema)


def _is_plain(schema: Schema) -> bool:
    """Whether it says nothing of what is within a value."""
    if isinstance(schema, bool):
        return True
    built = any(_is_built(schema.get(key)) for key in ("enum", "const"))
    return _OF_PARTS.isdisjoint(schema) and not built


def _is_built(value: Any) -> bool:
    """Whether the value of ``enum`` or ``const`` has parts."""
    values = value if isinstance(value, list) else [value]
    return any(isinstance(item, (list, Mapping)) for item in values)


def _at(root: Mapping[str, Any], fragment: str) -> Schema | None:
    """What a JSON pointer or an anchor names, or None."""
    if fragment and not fragment.startswith("/"):
        return _anchored(root, fragment)
    found: Any = root
    for step in fragment.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        elif isinstance(found, Mapping) and key in found:
            found = found[key]
        else:
            return None
    return found if isinstance(found, (dict, bool)) else None


def _anchored(root: Mapping[str, Any], anchor: str) -> Schema | None:
    stack: list[Any] = [root]
    while stack:
        part = stack.pop()
        if isinstance(part, Mapping):
            if anchor in (part.get("$anchor"), part.get("$dynamicAnchor")):
                return dict(part)
            stack.extend(part.values())
        elif isinstance(part, list):
            stack.extend(part)
    return None


def slug(name: str) -> str:
    """`name` in letters, digits, '-' and '_', which need no quoting in a pointer."""
    return re.sub(r"[^A-Za-z0-9_-]", lambda found: f"_{ord(found[0]):x}_", name)
