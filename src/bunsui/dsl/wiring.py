"""Who waits for whom, and what references and conditions name: is it there, and has it ended by then?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from attrs import evolve

from bunsui.dsl.names import Declared, Names, Near, Place, few, unknown_job
from bunsui.dsl.problems import Problem, quoted
from bunsui.dsl.schema import own_of
from bunsui.dsl.words import type_names
from bunsui.expressions.kinds import NAMES
from bunsui.expressions.references import Marked, Path, marked, one_reference, references_in
from bunsui.expressions.syntax import MAX_LENGTH
from bunsui.model.graph import Graph

if TYPE_CHECKING:
    from bunsui.dsl.document import Document
    from bunsui.dsl.templates import Templates
    from bunsui.dsl.templating import Expanded
    from bunsui.ports.job_type import JobType

#: Most references in one job, or in the outputs.
MAX_REFERENCES = 1000
# Most keys in one field that are reported for looking like references.
_MOST_KEYS = 1000


class Wiring:
    """The jobs of one definition as they hang together.

    Args:
        document: the definition.
        job_types: by name.
        templates: of the definition.
        jobs: with their templates and the defaults put into them.
        unsure: the ids of jobs of which it is not sure what they wait for.
        parameters: what is declared, by name.
        all_declared: whether a parameter that is not among them does not exist.
    """

    def __init__(
        self,
        document: Document,
        job_types: Mapping[str, JobType],
        templates: Templates,
        jobs: Sequence[Expanded],
        unsure: Iterable[str],
        parameters: Mapping[str, Declared],
        *,
        all_declared: bool,
    ) -> None:
        self._document = document
        self._job_types = job_types
        self._templates = templates
        self._jobs = jobs
        self._unsure = set(unsure)
        self._parameters = parameters
        self._all_declared = all_declared

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the order of the jobs, and with what they and the outputs name."""
        near = Near()
        places: dict[str, Expanded] = {}
        depends_on: dict[str, list[str]] = {}
        for job in self._jobs:
            job_id, parents = job.tree.get("id"), job.tree.get("depends_on", [])
            if not isinstance(job_id, str):
                continue
            if job_id in places:
                first = places[job_id].index + 1
                yield self._document.problem(
                    "duplicate-id",
                    f"two jobs have the id {quoted(job_id)}; the first is job {first}",
                    job.locate(("id",)),
                    hint="give one of them another id",
                )
                continue
            places[job_id] = job
            depends_on[job_id] = [
                parent for parent in (parents if isinstance(parents, list) else []) if isinstance(parent, str)
            ]
        for job_id, job in places.items():
            for k, parent in enumerate(depends_on[job_id]):
                if parent not in places:
                    self._unsure.add(job_id)
                    yield self._document.problem(
                        "unknown-job",
                        f"job {quoted(job_id)} depends on {quoted(parent)}, which does not exist",
                        job.locate(("depends_on", k)),
                        hint=unknown_job(parent, places, near),
                    )
        graph = Graph(depends_on)
        cycle = graph.find_cycle()
        if cycle is not None:
            yield self._cycle(cycle, places[cycle[0]], depends_on[cycle[0]])
        fans = frozenset(job_id for job_id, job in places.items() if "for_each" in job.tree)
        names = Names(self._parameters, graph, self._all_declared, near, fans)
        unsure = _and_below(graph, self._unsure)
        for job in self._jobs:
            # Before and after mean nothing in a cycle, nor for the second of two jobs with one id, nor where
            # what a job waits for is not known.
            job_id = job.tree.get("id")
            is_ordered = cycle is None and isinstance(job_id, str) and places[job_id] is job
            is_ordered = is_ordered and job_id not in unsure
            yield from self._references(job, names, job_id if is_ordered else None)
        yield from self._outputs(names)

    def _cycle(self, cycle: Sequence[str], job: Expanded, parents: list[str]) -> Problem:
        place = job.locate(("depends_on", parents.index(cycle[1])))
        if len(cycle) == 2:
            message = f"job {quoted(cycle[0])} depends on itself"
            return self._document.problem("cycle", message, place, hint="take this dependency out")
        shown = " -> ".join(cycle if len(cycle) <= _SHOWN_CYCLE else [*cycle[:_SHOWN_CYCLE], "..."])
        return self._document.problem(
            "cycle",
            f"these jobs wait for each other: {shown}",
            place,
            hint="each depends on the next one; take one of these dependencies out",
        )

    def _references(self, expanded: Expanded, names: Names, ordered: str | None) -> Iterator[Problem]:
        """The problems of a job's references; `ordered` is its id where its place among the jobs is known."""
        job = expanded.tree
        kind = self._job_types.get(str(job.get("type")))
        in_job = Place(ordered, item="for_each" in job)
        before = Place(ordered, no_secret=_IN_HISTORY)
        text = job.get("condition")
        # Of a longer one its schema says that it is too long.
        if isinstance(text, str) and 0 < len(text) <= MAX_LENGTH:
            for (code, message, hint), offset, length in names.condition(text, before):
                what = f"condition of {expanded.named}: {message}"
                yield self._within(expanded, ("condition",), code, what, hint, (offset, length))
        yield from self._given(expanded, names, in_job)
        yield from self._for_each(expanded, names)
        texts = _by_field(job)
        yield from self._resolved(expanded, texts.get("for_each", ()), names, before)
        own = () if kind is None else own_of(job, kind)
        resolved = [name for name in texts if name in ("parameters", "cache") or name in own]
        for name in resolved:
            is_open = kind is not None and (name in kind.open_fields or name == kind.binding_field)
            place = evolve(in_job, no_secret=f"'{name}' can be read by others") if is_open else in_job
            yield from self._resolved(expanded, texts[name], names, place)
        count = sum(map(_count, chain.from_iterable(texts[name] for name in resolved)))
        if count > MAX_REFERENCES:
            message = f"{expanded.named} has {count:,} references; at most {MAX_REFERENCES:,} are resolved"
            yield self._document.problem("too-many-references", message, expanded.locate(()), hint=_WHOLE)

    def _resolved(
        self, expanded: Expanded, texts: Sequence[Marked], names: Names, place: Place
    ) -> Iterator[Problem]:
        """The problems of the references in one field of a job."""
        for where, offset, length, (code, message, hint) in few(names.wrong_in(texts, place)):
            yield self._within(expanded, where, code, message, hint, (offset, length))
        yield from self._unresolved_keys(texts, expanded.locate)

    def _unresolved_keys(
        self, texts: Iterable[Marked], locate: Callable[[Path], Path] = lambda path: path
    ) -> Iterator[Problem]:
        keys = ((where, key) for where, key, is_key in texts if is_key and "$${" not in key)
        for where, key in islice(keys, _MOST_KEYS):
            message = f"the key {quoted(key)} stays as it is: only values are resolved"
            hint = "let the job make a key of a value"
            place = locate(where)
            yield self._document.problem("no-effect", message, place, key=True, hint=hint, severity="warning")

    def _given(self, expanded: Expanded, names: Names, place: Place) -> Iterator[Problem]:
        """The problems of the references in what a job gives its template, wherever that puts it."""
        path: Path = ("jobs", expanded.index, "with")
        given = self._document.value(path)
        if not expanded.is_sound or not isinstance(given, Mapping):
            return
        for where, offset, length, (code, message, hint) in few(names.wrong_in(marked(given, path), place)):
            yield self._document.problem(code, message, where, hint=hint, within=(offset, length))
        declared = self._templates.inputs(self._document.value((*path[:2], "template")))
        for name, value in given.items():
            reference = one_reference(value)
            kind = names.kind(reference) if reference is not None else None
            if kind is not None and kind != declared[name].kind:
                wanted = type_names(declared[name].type)
                message = (
                    f"the input '{name}' of {expanded.named} must be {wanted}, and {value} is {NAMES[kind]}"
                )
                yield self._document.problem("wrong-type", message, (*path, name))

    def _within(
        self,
        expanded: Expanded,
        where: Path,
        code: str,
        message: str,
        hint: str | None,
        within: tuple[int, int],
    ) -> Problem:
        """A problem with a part of a text, shown at what its author wrote."""
        place, part = expanded.part(where, *within)
        return self._document.problem(code, message, place, hint=hint, within=part)

    def _for_each(self, expanded: Expanded, names: Names) -> Iterator[Problem]:
        value = expanded.tree.get("for_each")
        if not isinstance(value, str):
            return
        reference = one_reference(value)
        if reference is None:
            wrong = "it must be a list, or one reference to a list"
            hint = _LISTS
            if names.parameters.get(value.strip(), _NO_LIST).type == "array":
                hint = f"did you mean ${{{value.strip()}}}?"
        elif (kind := names.kind(reference)) is not None and kind != "list":
            wrong = f"${{{reference.text}}} is {NAMES[kind]}, not a list"
            hint = "declare the parameter with 'type: array'" if reference.root == "parameters" else _LISTS
        else:
            return
        message = f"'for_each' of {expanded.named}: {wrong}"
        yield self._document.problem("bad-for-each", message, expanded.locate(("for_each",)), hint=hint)

    def _outputs(self, names: Names) -> Iterator[Problem]:
        outputs = self._document.data.get("outputs")
        place = Place(None, no_secret="outputs are kept in the history")  # noqa: S106 - a text
        texts = list(marked(outputs, ("outputs",)))
        for where, offset, length, (code, message, hint) in few(names.wrong_in(texts, place)):
            yield self._document.problem(code, message, where, hint=hint, within=(offset, length))
        count = sum(map(_count, texts))
        if count > MAX_REFERENCES:
            message = f"'outputs' holds {count:,} references; at most {MAX_REFERENCES:,} are resolved"
            yield self._document.problem("too-many-references", message, ("outputs",), hint=_WHOLE)
        yield from self._unresolved_keys(texts)


_WHOLE = "pass whole values, such as ${jobs.ID.output}"
#: What a fan-out runs over.
_LISTS = "such as ${jobs.list.output.files}, or a list such as [north, south]"
_NO_LIST = Declared("string")
_IN_HISTORY = "conditions and fan-outs are kept in the history"
#: Jobs of a cycle that its problem names.
_SHOWN_CYCLE = 12


def _by_field(job: Mapping[str, Any]) -> dict[str, list[Marked]]:
    """What may hold references in a job, by the field that it is in; of too much, so much as tells that."""
    found: dict[str, list[Marked]] = {}
    seen: Counter[tuple[str, bool]] = Counter()
    for text in marked(job):
        field = str(text[0][0])
        seen[field, text[2]] += 1
        if seen[field, text[2]] <= MAX_REFERENCES + 1:
            found.setdefault(field, []).append(text)
    return found


def _and_below(graph: Graph, jobs: set[str]) -> set[str]:
    """These jobs, and all that wait for them, near and far."""
    found: set[str] = set()
    stack = list(jobs)
    while stack:
        job = stack.pop()
        if job not in found:
            found.add(job)
            stack.extend(graph.downstream.get(job, ()))
    return found


def _count(text: Marked) -> int:
    """The number of references in a text."""
    return 0 if text[2] else sum(1 for _ in references_in(text[1]))
