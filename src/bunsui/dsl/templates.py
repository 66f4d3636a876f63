"""The templates of a definition: what is wrong with them, and with how jobs use them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bunsui.dsl.fields import NOT_IN_TEMPLATES
from bunsui.dsl.filling import BadFill, Input, UnknownInput
from bunsui.dsl.hints.habits import field_hint, listed
from bunsui.dsl.names import bad_condition, bad_reference, few, mismatched
from bunsui.dsl.parameters.declarations import Declarations
from bunsui.dsl.problems import did_you_mean, quoted
from bunsui.dsl.schema import TEMPLATE_FIELDS, own_fields
from bunsui.dsl.shapes import schema_problems, template_shape, templated_shape
from bunsui.dsl.templating import Expanded, Expansion, named
from bunsui.expressions.conditions import BadCondition, parse_condition
from bunsui.expressions.references import BadReference, Path, Reference, references

if TYPE_CHECKING:
    from bunsui.dsl.document import Document
    from bunsui.dsl.names import Declared, InText, Wrong
    from bunsui.dsl.parameters.budget import Budget
    from bunsui.dsl.problems import Problem
    from bunsui.ports.job_type import JobType


class Templates:
    """The templates and defaults of one definition."""

    def __init__(self, document: Document, job_types: Mapping[str, JobType], budget: Budget) -> None:
        self._document = document
        self._budget = budget
        self._job_types = job_types
        found = document.data.get("templates")
        self._templates: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
        self._none_known = found is not None and not isinstance(found, Mapping)
        #: Templates of which it can't be told what inputs they take.
        self._misshapen: set[str] = set()
        self._inputs: dict[str, Declarations] = {}
        self._expansion = Expansion(document.data)
        self._used: set[str] = set()

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the templates themselves."""
        for name, template in self._templates.items():
            if isinstance(template, Mapping):
                path = ("templates", name)
                inputs = Declarations(self._document, (*path, "inputs"), "input", self._budget)
                self._inputs[name] = inputs
                wrong = list(
                    schema_problems(
                        self._document, template_shape(), template, path, f"template {quoted(name)}"
                    )
                )
                if wrong:
                    self._misshapen.add(name)
                yield from wrong
                yield from inputs.problems(template.get("inputs"))
                yield from self._fields(name, template)
                yield from self._condition(name, template.get("condition"), inputs)
                wrong_in = self._references(name, template, inputs)
                for where, offset, length, (code, message, hint) in few(wrong_in):
                    yield self._document.problem(code, message, where, hint=hint, within=(offset, length))

    def _fields(self, name: str, template: Mapping[str, Any]) -> Iterator[Problem]:
        """Fields that no job type knows; what they hold is looked at in the jobs."""
        kind = template.get("type")
        types = self._job_types
        likely = [types[kind]] if isinstance(kind, str) and kind in types else types.values()
        known = {*TEMPLATE_FIELDS, *(field for job_type in likely for field in own_fields(job_type))}
        for field in template:
            if field in known:
                continue
            hint = field_hint(str(field), sorted(known))
            if field in NOT_IN_TEMPLATES:
                is_id = field == "id"
                hint = "each job has an id of its own" if is_id else "templates don't build on each other"
            message = f"template {quoted(name)} has no field {quoted(field)}"
            path = ("templates", name, field)
            yield self._document.problem("unknown-field", message, path, key=True, hint=hint)

    def _references(self, name: str, template: Mapping[str, Any], inputs: Declarations) -> Iterator[InText]:
        for where, offset, length, found in references(template, ("templates", name)):
            wrong: Wrong | None = None
            if where[2] == "inputs" and not (len(where) > 4 and where[4] == "default"):
                continue
            if isinstance(found, BadReference):
                if where[2:] == ("condition",):
                    continue
                wrong = bad_reference(found, self._document.value(where)[offset : offset + length])
            elif found.root == "inputs" and where[2] == "inputs":
                message = f"${{{found.text}}}: the default of an input can't name another one"
                wrong = "unknown-reference", message, None
            elif found.root == "inputs" and not found.path:
                message = f"${{{found.text}}} needs a name after it"
                wrong = "unknown-reference", message, "write ${inputs.NAME}"
            elif where[2] == "inputs" or name in self._misshapen:
                continue
            elif found.root == "inputs" and str(found.path[0]) not in inputs.found:
                message = f"${{{found.text}}}: template {quoted(name)} has no such input"
                hint = did_you_mean(str(found.path[0]), inputs.found)
                known = f"it has: {listed(inputs.found)}; declare it under 'inputs'" if inputs.found else None
                wrong = "unknown-reference", message, hint or known or "declare it under 'inputs'"
            if wrong is not None:
                yield where, offset, length, wrong

    def _condition(self, name: str, text: Any, inputs: Declarations) -> Iterator[Problem]:
        """What is wrong with a condition whatever the inputs are."""
        if not isinstance(text, str) or not text:
            return
        try:
            found = [*mismatched(text, parse_condition(text), lambda reference: _kind(reference, inputs))]
        except BadCondition as bad:
            found = [bad_condition(text, bad)]
        for (code, message, hint), offset, length in found:
            self._expansion.wrong_conditions.add(name)
            path = ("templates", name, "condition")
            said = f"condition of template {quoted(name)}: {message}"
            yield self._document.problem(code, said, path, hint=hint, within=(offset, length))

    def inputs(self, name: Any) -> Mapping[str, Declared]:
        """What a template declares, by name; nothing where there is no such template."""
        declared = self._inputs.get(name) if isinstance(name, str) else None
        return {} if declared is None else declared.found

    # Jobs

    def expand(self, jobs: Sequence[Any], expanded: list[Expanded]) -> Iterator[Problem]:
        """Puts templates and defaults into jobs, as far as that is possible: fills `expanded`."""
        needed = self._expansion.is_needed
        for i, job in enumerate(jobs):
            if not isinstance(job, Mapping):
                continue
            if needed or "with" in job:
                yield from self._expand(i, job, expanded)
            else:
                expanded.append(Expanded(job, i))

    def _expand(self, i: int, job: Mapping[str, Any], expanded: list[Expanded]) -> Iterator[Problem]:
        what = named(job, i)
        found = list(self._use(i, job, what))
        inputs: dict[str, Input] = {}
        name = job.get("template")
        misshapen = False
        if isinstance(name, str):
            self._used.add(name)
            # Either is reported elsewhere.
            misshapen = name in self._misshapen or not isinstance(self._templates.get(name), Mapping)
            if not found and not misshapen:
                found = list(self._given(i, job, name, what, inputs))
        yield from found
        if not found and not misshapen:
            try:
                made = self._expansion.expand(i, job, inputs)
            except UnknownInput:
                pass  # It was reported with the template.
            except BadFill as bad:
                used = f"use template {quoted(name)}" if isinstance(name, str) else "take the defaults"
                yield self._document.problem(bad.code, f"{what} can't {used}: {bad}", bad.path)
            else:
                expanded.append(made)
                return
        # What is left of it takes part in the graph, so that no other job seems to be wrong.
        kept = {name: job[name] for name in ("id", "depends_on") if name in job}
        expanded.append(Expanded(kept, i, is_sound=False))

    def _use(self, i: int, job: Mapping[str, Any], what: str) -> Iterator[Problem]:
        """What is wrong with `template` and `with` themselves."""
        yield from schema_problems(self._document, templated_shape(), job, ("jobs", i), what)
        name = job.get("template")
        if "with" in job and "template" not in job:
            message = f"{what} has 'with', but no 'template' that takes it"
            hint = "add 'template', the name of one of the templates, or take 'with' out"
            if "uses" in job:
                hint = "write 'template' instead of 'uses'"
            yield self._document.problem("missing-field", message, ("jobs", i, "with"), key=True, hint=hint)
        if isinstance(name, str) and name not in self._templates and not self._none_known:
            message = f"{what} uses the template {quoted(name)}, which does not exist"
            known = f"there are: {', '.join(self._templates)}" if self._templates else "there is none"
            hint = did_you_mean(name, self._templates) or known
            yield self._document.problem("unknown-template", message, ("jobs", i, "template"), hint=hint)

    def _given(
        self, i: int, job: Mapping[str, Any], name: str, what: str, inputs: dict[str, Input]
    ) -> Iterator[Problem]:
        """What is wrong with the inputs that a job gives; fills `inputs`."""
        declared = self._inputs[name]
        given = job.get("with", {})
        path: Path = ("jobs", i, "with")
        for key in given:
            if key not in declared.found:
                message = f"template {quoted(name)} has no input {quoted(key)}"
                known = f"it has: {', '.join(declared.found)}" if declared.found else "it takes none"
                hint = did_you_mean(key, declared.found) or known
                yield self._document.problem("unknown-input", message, (*path, key), key=True, hint=hint)
        for key, (declaration, value_schema) in declared.sound.items():
            value, place = given.get(key), (*path, key)
            if value is None:
                value, place = declaration.get("default"), (*declared.paths[key], "default")
            if declaration.get("type") == "integer" and isinstance(value, float) and value.is_integer():
                value = int(value)  # As with parameters.
            inputs[key] = Input(value, place)
            if given.get(key) is None:
                if declaration.get("required") and declaration.get("default") is None:
                    message = f"{what} must give the input '{key}' of template {quoted(name)}"
                    hint = f"add it: with: {{{key}: ...}}"
                    where = path if "with" in job else ("jobs", i, "template")
                    yield self._document.problem("missing-input", message, where, hint=hint)
                continue
            later = [found for found, *_ in references(value)]
            of = f"the input '{key}' of {what}"
            yield from value_schema.problems(self._document, value, place, of, self._budget, later)

    def unused(self) -> Iterator[Problem]:
        """Warnings for templates that no job uses; to be asked for after `expand`."""
        for name in self._templates:
            if name not in self._used:
                message = f"template {quoted(name)} is used by no job, so not all of it could be checked"
                path = ("templates", name)
                yield self._document.problem(
                    "unused-template",
                    message,
                    path,
                    key=True,
                    severity="warning",
                    hint=f"remove it, or write 'template: {name}' in a job",
                )


def _kind(reference: Reference, inputs: Declarations) -> str | None:
    """The kind of value that an input brings into a condition, or None where only a job can tell."""
    if reference.root != "inputs" or len(reference.path) != 1:
        return None
    declared = inputs.found.get(str(reference.path[0]))
    return None if declared is None else declared.kind
