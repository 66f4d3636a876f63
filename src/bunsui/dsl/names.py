"""What references and conditions of a definition may name, and what is wrong with those that don't."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import define, evolve, field, frozen

from bunsui.dsl.hints.habits import listed, root
from bunsui.dsl.hints.slips import condition_hint, mismatch_hint, reference_hint
from bunsui.dsl.problems import did_you_mean, quoted
from bunsui.expressions.checking import KindOf, compared_values, mismatches
from bunsui.expressions.conditions import BadCondition, Condition, parse_condition
from bunsui.expressions.evaluation import same
from bunsui.expressions.references import (
    MAX_LENGTH,
    BadReference,
    Marked,
    Path,
    Reference,
    one_reference,
    references_in,
)
from bunsui.expressions.syntax import Call
from bunsui.model.graph import Graph
from bunsui.model.status import JobStatus

__all__ = [
    "SECRET_VALUE",
    "Declared",
    "InText",
    "Names",
    "Near",
    "Place",
    "Wrong",
    "bad_condition",
    "bad_reference",
    "few",
    "is_secret_reference",
    "mismatched",
    "unknown_job",
]

#: What a value of `secret: true` must be.
SECRET_VALUE = "it must be one reference to a secret, such as ${secrets.db_password}"  # noqa: S105 - a text

#: (code, message, hint) of what is wrong.
Wrong = tuple[str, str, str | None]
#: The path of a text, offset and length of a reference in it, and what is wrong with that.
InText = tuple[Path, int, int, Wrong]
#: What is wrong in a condition, with offset and length there.
InCondition = tuple[Wrong, int, int]
_MOST_IN_A_TEXT = 100

#: The kinds of values (see `bunsui.expressions.kinds.kind_of`) of the language's types.
_KINDS = {
    "string": "text",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "array": "list",
    "object": "mapping",
}
_FIXED = {"session": ("id", "started_at"), "pipeline": ("name",)}


@frozen
class Declared:
    """A parameter, as far as references care."""

    #: string, integer, number, boolean, array or object.
    type: str
    secret: bool = False
    #: All values that it may have; None: not only some.
    allowed: tuple[Any, ...] | None = None

    @property
    def kind(self) -> str:
        """The kind of its values: text, number, boolean, list or mapping."""
        return _KINDS[self.type]


@frozen
class Place:
    """Where a reference stands, and what may so be named there."""

    #: The job; None: all jobs have ended, or the order of the jobs is not known.
    job: str | None
    #: Whether a fan-out's item is known here.
    item: bool = False
    #: Why no secret can stand here; None: one can.
    no_secret: str | None = None


def few(found: Iterable[InText]) -> Iterator[InText]:
    """Of what is wrong in each text, the first hundred: to show where in a long text it is takes a search."""
    where, count = None, 0
    for wrong in found:
        where, count = wrong[0], count + 1 if wrong[0] == where else 1
        if count <= _MOST_IN_A_TEXT:
            yield wrong


@define
class Near:
    """`did_you_mean` for as many names as are shown: each time it looks at all that there are."""

    left: int = 100

    def hint(self, name: str, candidates: Collection[str]) -> str | None:
        """A hint that names the candidate nearest to `name`, or None."""
        self.left -= 1
        return did_you_mean(name, candidates) if self.left >= 0 else None


@frozen
class Names:
    """The names of one definition."""

    parameters: Mapping[str, Declared]
    graph: Graph
    #: Whether a parameter that is not among them does not exist.
    all_declared: bool = True
    near: Near = field(factory=Near, eq=False)
    #: The jobs that run once for each item of a list, and so give a list.
    fans: frozenset[str] = frozenset()

    def wrong(self, found: Reference | BadReference, place: Place, text: str = "") -> Wrong | None:
        """What is wrong with a reference, which `text` writes, or None."""
        if isinstance(found, BadReference):
            return bad_reference(found, text)
        match found.root:
            case "parameters":
                return self._parameter(found, place)
            case "jobs":
                return self._job(found, place)
            case "secrets":
                return _secret(found, place)
            case "env":
                return _one_name(found, "a variable of the environment")
            case "item" | "item_index":
                return _item(found, place)
            case "inputs":
                message = f"${{{found.text}}}: inputs are known in templates only"
                return "unknown-reference", message, "declare it under 'inputs' of the template"
            case _:
                return _fixed(found)

    def _parameter(self, found: Reference, place: Place) -> Wrong | None:
        shown = f"${{{found.text}}}"
        if not found.path:
            return "unknown-reference", f"{shown} needs a name after it", "write ${parameters.NAME}"
        name = str(found.path[0])
        declared = self.parameters.get(name)
        if declared is None:
            if not self.all_declared:
                return None
            hint = self._unknown_parameter(found, name)
            return "unknown-reference", f"{shown}: there is no parameter '{name}'", hint
        if declared.secret:
            if len(found.path) > 1:
                return "unknown-reference", f"{shown}: a secret is a text and has no parts", None
            if place.no_secret is not None:
                return "secret-not-allowed", f"{shown} is a secret, and {place.no_secret}", _ELSEWHERE
        return None

    def _unknown_parameter(self, found: Reference, name: str) -> str:
        if not found.text.startswith("parameters"):
            rest = found.text[len(name) :]
            if name in self.graph.upstream:
                return f"did you mean ${{jobs.{name}{rest or '.output'}}}?"
            if rest and (begins := root(name)) is not None:
                if begins == "jobs" and len(found.path) > 1:
                    return _of_job(evolve(found, path=found.path[1:]), str(found.path[1]))
                return f"did you mean ${{{begins}{rest}}}?"
        moment = "${session.started_at} is when the session started; else " if name in _MOMENTS else ""
        return self.near.hint(name, self.parameters) or f"{moment}{_declare(name)}"

    def _job(self, found: Reference, place: Place) -> Wrong | None:
        shown, path = f"${{{found.text}}}", found.path
        if not path:
            return "unknown-reference", f"{shown} needs a name after it", "write ${jobs.NAME.output}"
        name = str(path[0])
        if name not in self.graph.upstream:
            hint = unknown_job(name, self.graph.upstream, self.near)
            return "unknown-reference", f"{shown}: there is no job '{name}'", hint
        attribute = path[1] if len(path) > 1 else None
        if attribute not in ("output", "status") or (attribute == "status" and len(path) > 2):
            message = f"{shown}: of a job there is .output, with a path, and .status"
            return "unknown-reference", message, _of_job(found, name)
        if name in self.fans and len(path) > 2 and not str(path[2]).isdecimal():
            message = f"{shown}: job '{name}' runs for each item of a list, so its output is a list"
            rest = "".join(f".{step}" for step in path[2:])
            hint = f"${{jobs.{name}.output[0]{rest}}} is the first item's; let a job take the list apart"
            return "unknown-reference", message, hint
        return self._order(shown, name, place.job)

    def _order(self, shown: str, name: str, job: str | None) -> Wrong | None:
        if job is None or self.graph.is_upstream(name, job):
            return None
        if name == job:
            message = f"{shown}: job '{job}' has no output or status of its own when it starts"
            return "not-upstream", message, "name a job that it depends on"
        if self.graph.is_upstream(job, name):
            message = f"{shown}: job '{name}' can't have ended when '{job}' starts"
            return (
                "not-upstream",
                message,
                f"'{name}' waits for '{job}', so only '{name}' can use what '{job}' gives",
            )
        return (
            "not-upstream",
            f"{shown}: job '{name}' need not have ended when '{job}' starts",
            f"add '{name}' to the 'depends_on' of '{job}'",
        )

    def wrong_in(self, texts: Iterable[Marked], place: Place) -> Iterator[InText]:
        """What is wrong with the references in texts, as `marked` gives them."""
        for where, text, is_key in texts:
            for offset, length, found in () if is_key else references_in(text):
                wrong = self.wrong(found, place, text[offset : offset + length])
                if wrong is not None:
                    yield where, offset, length, wrong

    # Conditions

    def condition(self, text: str, place: Place) -> Iterator[InCondition]:
        """What is wrong with a condition: ((code, message, hint), offset, length)."""
        try:
            condition = parse_condition(text)
        except BadCondition as bad:
            yield bad_condition(text, bad)
            return
        wrong = [*self._operands(condition, place), *self._calls(condition, place)]
        yield from wrong or mismatched(text, condition, self.kind)
        if not wrong:
            yield from self._never_equal(condition)

    def _never_equal(self, condition: Condition) -> Iterator[InCondition]:
        """Values that are compared with something that can't be any of them."""
        for reference, value, (offset, length) in compared_values(condition):
            allowed = self._allowed(reference)
            if allowed is None or value is None or any(same(value, one) for one in allowed):
                continue
            message = f"${{{reference.text}}} is never {quoted(value)}"
            near = did_you_mean(value, [str(one) for one in allowed]) if isinstance(value, str) else None
            known = f"it is one of: {listed(str(one) for one in allowed)}"
            yield ("never-equal", message, near or known), offset, length

    def _allowed(self, reference: Reference) -> Sequence[Any] | None:
        """All values that a reference may bring, or None where they are not known."""
        path = reference.path
        if reference.root == "jobs" and len(path) == 2 and path[1] == "status":
            return [str(status) for status in JobStatus if status.is_terminal]  # It has ended by then.
        if reference.root == "parameters" and len(path) == 1 and str(path[0]) in self.parameters:
            return self.parameters[str(path[0])].allowed
        return None

    def _operands(self, condition: Condition, place: Place) -> Iterator[InCondition]:
        for operand in condition.operands:
            found = self.wrong(operand.reference, evolve(place, item=False))
            if found is not None:
                yield found, *operand.span

    def _calls(self, condition: Condition, place: Place) -> Iterator[InCondition]:
        for call in condition.calls:
            found = self._call(call, place)
            if found is not None:
                yield found, *call.span

    def _call(self, call: Call, place: Place) -> Wrong | None:
        if call.job is None:
            return None
        if call.job not in self.graph.upstream:
            hint = unknown_job(call.job, self.graph.upstream, self.near)
            return "unknown-job", f"{call.function}({call.job}): there is no job '{call.job}'", hint
        return self._order(f"{call.function}({call.job})", call.job, place.job)

    def kind(self, reference: Reference) -> str | None:
        """The kind of value that a reference brings, or None where only a run can tell."""
        path = reference.path
        match reference.root:
            case "parameters" if len(path) == 1 and str(path[0]) in self.parameters:
                return self.parameters[str(path[0])].kind
            case "session" | "pipeline" | "env":
                return "text"
            case "jobs" if len(path) > 1 and path[1] == "status":
                return "text"
            case _:
                return None


def bad_condition(text: str, bad: BadCondition) -> InCondition:
    """What is wrong with a text that is no condition."""
    hint = condition_hint(text, bad.offset) or bad.hint
    return ("bad-condition", str(bad), hint), bad.offset, bad.length


def mismatched(text: str, condition: Condition, kind: KindOf) -> Iterator[InCondition]:
    """Where the types in a condition can never fit."""
    for message, (offset, length), hint in mismatches(condition, kind):
        better = mismatch_hint(message, text[offset : offset + length])
        yield ("type-mismatch", message, better or hint), offset, length


_ELSEWHERE = "give it to a job in 'parameters'"


#: Names by which other tools know the time of a run.
_MOMENTS = frozenset(
    {"date", "day", "today", "now", "ds", "ts", "run_date", "execution_date", "logical_date", "timestamp"}
)


def bad_reference(found: BadReference, text: str) -> Wrong:
    """What is wrong with a '${' that is no reference.

    Args:
        found: what was found.
        text: what stands there, from the '${' on.
    """
    said = f"{quoted(text)}: {found}" if text else str(found)
    is_long = len(text) > MAX_LENGTH and text.endswith("}")
    return "bad-reference", said, reference_hint(text) if text and not is_long else None


def unknown_job(name: str, jobs: Collection[str], near: Near) -> str:
    """What to do about a job that does not exist."""
    return near.hint(name, jobs) or f"the jobs are: {listed(jobs)}"


def _declare(name: str) -> str:
    return f"declare it: parameters: [{{name: {name}}}]"


def _of_job(found: Reference, name: str) -> str:
    """What may have been meant by something of a job that there is not."""
    steps = [str(step) for step in found.path[1:]]
    if steps and steps[0] == "status":
        return f"did you mean ${{jobs.{name}.status}}?"
    if steps and steps[0] in _OUTPUTS:
        steps = steps[1:]
    return f"did you mean ${{{'.'.join(['jobs', name, 'output', *steps])}}}?"


#: What other tools call a job's output.
_OUTPUTS = frozenset(
    {
        "output",
        "outputs",
        "result",
        "results",
        "return_value",
        "returns",
        "value",
        "values",
        "response",
        "out",
    }
)


def _one_name(found: Reference, what: str) -> Wrong | None:
    if len(found.path) == 1 and isinstance(found.path[0], str):
        return None
    message = f"${{{found.text}}} must name {what}, and nothing below it"
    return "unknown-reference", message, f"write ${{{found.root}.NAME}}"


def _secret(found: Reference, place: Place) -> Wrong | None:
    if place.no_secret is not None:
        return "secret-not-allowed", f"${{{found.text}}} is a secret, and {place.no_secret}", _ELSEWHERE
    return _one_name(found, "a secret")


def _item(found: Reference, place: Place) -> Wrong | None:
    shown = f"${{{found.text}}}"
    if not place.item:
        message = f"{shown}: only 'parameters' and the type's fields of a job with 'for_each' have an item"
        return "unknown-reference", message, f"${{parameters.{found.root}}} names a parameter"
    if found.root == "item_index" and found.path:
        return "unknown-reference", f"{shown}: an index is a number and has no parts", None
    return None


def _fixed(found: Reference) -> Wrong | None:
    allowed = _FIXED[found.root]
    if len(found.path) == 1 and found.path[0] in allowed:
        return None
    known = " and ".join(f"${{{found.root}.{name}}}" for name in allowed)
    return "unknown-reference", f"${{{found.text}}} does not exist", f"there is {known}"


def is_secret_reference(value: Any) -> bool:
    """Whether a value is one reference to a secret."""
    reference = one_reference(value)
    return reference is not None and reference.root == "secrets" and len(reference.path) == 1
