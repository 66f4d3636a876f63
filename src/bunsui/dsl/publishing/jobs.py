"""Jobs and templates in the published schema, by their types; see `bunsui.dsl.publishing.whole`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from bunsui.dsl import schema
from bunsui.dsl.fields import DEFAULTS_FIELDS, JOB_FIELDS
from bunsui.dsl.publishing.choices import (
    ANY,
    HAS_TEMPLATE,
    HAS_TYPE,
    by_template,
    described,
    for_each_job,
    is_type,
    literal,
)
from bunsui.dsl.publishing.referable import HOLDS, Referable, slug

if TYPE_CHECKING:
    from bunsui.ports.job_type import JobType

#: What the schema of a job type says of its jobs in another way, or can't say of them.
_NOT_OF_JOBS = {
    *("title", "description", "properties", "required"),
    *("additionalProperties", "unevaluatedProperties", "minProperties"),
}
# Without a template 'with' is not offered; that the template is missing is said of the whole job.
_WITH = {"^with(?!\\n)$": True}


class JobSchemas:
    """Adds the definitions of jobs and templates to `defs`, where those of the common fields are.

    Args:
        job_types: by name.
        defs: the definitions of the published schema.
    """

    def __init__(self, job_types: Mapping[str, JobType], defs: dict[str, Any]) -> None:
        self._job_types = job_types
        self._defs = defs
        self._whole = {name: self._own(name, partial=False) for name in job_types}
        self._partial = {name: self._own(name, partial=True) for name in job_types}

    def add_jobs(self) -> None:
        """Adds ``job``: of any type, with or without a template."""
        branches = []
        for name in self._job_types:
            called = f"job-of.{slug(name)}"
            self._defs[called] = self._job(name)
            self._defs[f"templated-{called}"] = {
                **self._titles(name, "job"),
                "type": "object",
                "properties": {**self._job_fields(), **self._partial[name]},
                **self._patterns(name),
                "additionalProperties": False,
            }
            branches.append({"if": self._is_type(name), "then": by_template(f"templated-{called}", called)})
        own = self._of_any_type()
        self._defs["templated-job"] = {
            "title": "Job",
            "description": "A job whose type stands in its template, or in the defaults.",
            "type": "object",
            **own,
            "properties": {**self._job_fields(), **own["properties"]},
            "additionalProperties": False,
        }
        self._defs["job-without-type"] = self._job_without_type(own)
        branches.append({"if": HAS_TYPE, "else": by_template("templated-job", "job-without-type")})
        self._defs["job"] = {
            "title": "Job",
            "description": "One step of the pipeline; its type decides which fields it has.",
            "type": "object",
            "properties": {"type": {"$ref": "#/$defs/field.type"}},
            "required": ["id"],
            "dependentRequired": {"with": ["template"]},
            "allOf": branches,
        }

    def add_templates(self) -> None:
        """Adds ``template``: of any type, or of none."""
        branches = []
        for name in self._job_types:
            called = f"template-of.{slug(name)}"
            self._defs[called] = {
                **self._titles(name, "template"),
                "type": "object",
                **self._patterns(name),
                "properties": {**self._partial[name], **self._template_fields()},
                "additionalProperties": False,
            }
            branches.append({"if": self._is_type(name), "then": {"$ref": f"#/$defs/{called}"}})
        own = self._of_any_type()
        self._defs["template-without-type"] = {
            "title": "Template",
            "description": "A partial job whose type stands elsewhere.",
            "type": "object",
            **own,
            "properties": {**own["properties"], **self._template_fields()},
            "additionalProperties": False,
        }
        known = described("type", {"enum": list(self._job_types)})
        other = {"$ref": "#/$defs/template-without-type"}
        branches.append({"if": {"properties": {"type": known}, **HAS_TYPE}, "else": other})
        self._defs["template"] = {
            "title": "Template",
            "description": "A partial job, which jobs take over with 'template'.",
            "type": "object",
            "properties": {"type": {"$ref": "#/$defs/template-field.type"}},
            "allOf": branches,
        }

    def by_defaults(self) -> Iterator[dict[str, Any]]:
        """What is true of a pipeline's jobs because of what its defaults say."""
        for name in self._job_types:
            job = {"if": HAS_TYPE, "else": by_template(None, f"job-of.{slug(name)}")}
            yield {"if": _by_default(self._is_type(name)), "then": for_each_job(job)}
        job = {"if": HAS_TEMPLATE, "else": {"required": ["type"]}}
        yield {"if": _by_default(HAS_TYPE), "else": for_each_job(job)}
        for name, job_type in self._job_types.items():
            for field in job_type.schema.get("required", ()):
                if field in DEFAULTS_FIELDS:
                    needed = {"if": HAS_TEMPLATE, "else": {"required": [field]}}
                    job = {"if": self._is_type(name), "then": needed}
                    yield {
                        "if": _by_default({"type": "object", "required": [field]}),
                        "else": for_each_job(job),
                    }

    # Parts

    def _is_type(self, name: str) -> dict[str, Any]:
        return {**is_type(name, JOB_FIELDS["type"]), **HAS_TYPE}

    def _job_fields(self) -> dict[str, Any]:
        return self._refs("field", JOB_FIELDS)

    def _template_fields(self) -> dict[str, Any]:
        return self._refs("template-field", schema.TEMPLATE_FIELDS)

    def _refs(self, kind: str, names: Iterable[str]) -> dict[str, Any]:
        """The fields of these names that there are definitions of."""
        return {name: {"$ref": f"#/$defs/{kind}.{name}"} for name in names if f"{kind}.{name}" in self._defs}

    def _referable(self, name: str, *, partial: bool) -> Referable:
        root = self._job_types[name].schema
        return Referable(root, slug(name), self._defs, ANY, f"{name} jobs", partial=partial)

    def _own(self, name: str, *, partial: bool) -> dict[str, Any]:
        """The fields of one type, each by reference to its definition."""
        referable = self._referable(name, partial=partial)
        fields: dict[str, Any] = {}
        for key, part in schema.own_fields(self._job_types[name]).items():
            made = referable.field(key, part)
            called = f"field-of.{slug(name)}.{slug(key)}"
            if partial and made != self._defs.get(called):
                called = f"partial-{called}"
            if made is not False:
                self._defs[called] = made
            fields[key] = made if made is False else {"$ref": f"#/$defs/{called}"}
        return fields

    def _patterns(self, name: str) -> dict[str, Any]:
        """The fields of one type that it names by patterns."""
        patterns = self._job_types[name].schema.get("patternProperties")
        if not patterns:
            return {}
        value = self._referable(name, partial=True).value
        return {"patternProperties": {key: value(part) for key, part in patterns.items()}}

    def _titles(self, name: str, what: str) -> dict[str, Any]:
        own = self._job_types[name].schema
        return {
            "title": own.get("title", f"{name} {what}"),
            "description": own.get("description", f"A {what} of type {name}."),
        }

    def _job(self, name: str) -> dict[str, Any]:
        """The schema of a job of one type that takes over no template."""
        whole = schema.job_schema(self._job_types[name])
        rest = {key: value for key, value in whole.items() if key not in _NOT_OF_JOBS}
        if _mentions(rest, DEFAULTS_FIELDS):  # What it wants of them may stand in the defaults.
            rest = {"type": "object"}
        own = self._whole[name]
        holding = [{"required": [key], "properties": {key: HOLDS}} for key in own]
        made = self._referable(name, partial=False).parts(rest, {"anyOf": holding or [False]})
        fields = {**self._job_fields(), **own}
        del fields["with"]
        return {
            **self._titles(name, "job"),
            **made,
            "properties": fields,
            "patternProperties": {**self._patterns(name).get("patternProperties", {}), **_WITH},
            "required": [key for key in whole["required"] if key not in DEFAULTS_FIELDS],
            "additionalProperties": False,
        }

    def _of_any_type(self) -> dict[str, Any]:
        """The fields of all types, for where the type stands elsewhere."""
        found: dict[str, list[Any]] = {}
        patterns: dict[str, Any] = {}
        for name in self._job_types:
            for key, part in self._partial[name].items():
                if part is not False:
                    found.setdefault(key, []).append(part)
            patterns |= dict.fromkeys(self._patterns(name).get("patternProperties", ()), True)
        fields = {key: parts[0] if len(parts) == 1 else self._one_of(parts) for key, parts in found.items()}
        return {"properties": fields, **({"patternProperties": patterns} if patterns else {})}

    def _one_of(self, parts: list[Any]) -> dict[str, Any]:
        """A field that several types have."""
        wholes = [self._defs[part["$ref"].removeprefix("#/$defs/")] for part in parts]
        if all(whole == wholes[0] for whole in wholes[1:]):
            return dict(parts[0])
        said = dict.fromkeys(str(whole["description"]) for whole in wholes)
        return {"title": wholes[0]["title"], "description": " Or: ".join(said), "anyOf": parts}

    def _job_without_type(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """No type's fields are offered, but none is called unknown either: the type is what is missing."""
        fields = self._job_fields()
        del fields["with"]
        names = "|".join(map(literal, own["properties"]))
        return {
            "title": "Job",
            "description": "A job. Its type decides which further fields it has.",
            "type": "object",
            "properties": fields,
            "patternProperties": {f"^(?:{names})(?!\\n)$": True, **own.get("patternProperties", {}), **_WITH},
            "additionalProperties": False,
        }


def _by_default(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """True of a pipeline whose defaults are such."""
    return {"properties": {"defaults": described("defaults", defaults)}, "required": ["defaults"]}


def _mentions(part: Any, names: Iterable[str]) -> bool:
    """Whether any of `names` stands anywhere in a schema, as a text or as a name."""
    if isinstance(part, Mapping):
        return any(_mentions([key, value], names) for key, value in part.items() if key != "type")
    if isinstance(part, list):
        return any(_mentions(item, names) for item in part)
    return part in names
