"""What a job's output depends on, known before anything runs: two jobs of equal digests do the same work.

A job's digest is made of its type, its options, its input, with all references replaced that are known
before a run, what it is bound to on this machine, and the digests of the jobs that it depends on. What an
output of those brings in stands in there as the reference: where their digests are equal, their outputs are
taken to be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from bunsui.expressions.conditions import parse_condition
from bunsui.expressions.references import Reference, references
from bunsui.expressions.resolution import Scope
from bunsui.expressions.settling import Unsettled, settle
from bunsui.model.json import canonical, whole

if TYPE_CHECKING:
    from bunsui.model.job import Job
    from bunsui.model.pipeline import Pipeline
    from bunsui.model.session import JobState
    from bunsui.ports.job_type import JobType

#: What is known of a session before it runs.
_KNOWN = frozenset({"parameters", "pipeline", "env"})
#: What of a binding says where its program lies: a checkout in another folder has the same.
_PLACES = frozenset({"folder", "folders"})


@frozen
class Inputs:
    """What a session is started with, as far as its jobs' work hangs on it."""

    #: The values of all declared parameters.
    parameters: Mapping[str, Any]
    #: The variables of the environment that the definition names.
    env: Mapping[str, str] = field(factory=dict)
    #: The session's id; "" before there is one.
    session: str = ""
    #: What runs in place of AWS: job type to name to binding, as a history holds it.
    bindings: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(factory=dict)

    def scope(self, pipeline: Pipeline, jobs: Mapping[str, JobState] | None = None) -> Scope:
        """What references can reach before anything has run, but for `jobs` whose outputs are known."""
        secret = frozenset(parameter.name for parameter in pipeline.parameters if parameter.secret)
        # The session is not asked for, nor are other jobs: see `is_known`.
        never = datetime.min.replace(tzinfo=UTC)
        return Scope(self.parameters, jobs or {}, "", never, pipeline.name, self.env, secret)


def is_known(reference: Reference) -> bool:
    """Whether what a reference names is known before anything runs."""
    return reference.root in _KNOWN


@frozen
class Digest:
    """What a job does, in parts that can be compared one by one."""

    type: str
    #: The type's own fields, by name, each as canonical JSON.
    options: Mapping[str, str]
    #: The input, likewise.
    parameters: Mapping[str, str]
    #: The list that it runs for, likewise; None: it runs once.
    for_each: str | None
    #: What it is bound to on this machine, likewise; where that is not known yet, all that it may be.
    binding: str
    #: The jobs that it depends on, each with the digest of what it hands on.
    upstream: Mapping[str, str]
    #: A reference to what is another one in each session, such as ``session.id``; None: there is none.
    fresh: str | None
    #: The session, where there is such a reference; "" elsewhere.
    session: str

    @property
    def work(self) -> str:
        """The digest of what the job itself does: a SHA-256 in hexadecimal digits."""
        made = (self.type, self.options, self.parameters, self.for_each, self.binding)
        return _sha256((*made, self.upstream, self.session))


def digests(pipeline: Pipeline, inputs: Inputs, job_types: Mapping[str, JobType]) -> dict[str, Digest]:
    """The digest of every job, by its id, in an order in which they can run."""
    scope = inputs.scope(pipeline)
    found: dict[str, Digest] = {}
    handed_on: dict[str, str] = {}
    for id_ in pipeline.graph.order:
        job = pipeline.job(id_)
        upstream = {parent: handed_on[parent] for parent in sorted(set(job.depends_on))}
        fresh = _fresh(job)
        digest = found[id_] = Digest(
            job.type,
            _encoded(job.options, scope),
            _encoded(job.parameters, scope),
            None if job.for_each is None else _encoded({"": job.for_each}, scope)[""],
            _binding(job, inputs, scope, job_types.get(job.type)),
            upstream,
            fresh,
            "" if fresh is None else inputs.session,
        )
        # Whether it runs at all, and whether its failure counts, is no part of its work, but others see it.
        condition = None if job.condition is None else _condition(job.condition, scope)
        handed_on[id_] = _sha256((digest.work, condition, job.allow_failure))
    return found


def _condition(text: str, scope: Scope) -> tuple[str, list[str]]:
    """A condition, and the values of what it refers to, as far as they are known."""
    named = [f"${{{operand.reference.text}}}" for operand in parse_condition(text).operands]
    return text, [canonical(_plain(settle(each, scope, is_known))) for each in named]


def _binding(job: Job, inputs: Inputs, scope: Scope, kind: JobType | None) -> str:
    bound = inputs.bindings.get(job.type, {})
    if kind is None or kind.binding_field is None or not bound:
        return ""
    named = settle(job.options.get(kind.binding_field, ""), scope, is_known)
    wanted = bound if isinstance(named, Unsettled) else {name: bound[name] for name in bound if name == named}
    told = {
        name: {key: value for key, value in binding.items() if key not in _PLACES}
        for name, binding in wanted.items()
    }
    return canonical(whole(told))


def _encoded(values: Mapping[str, Any], scope: Scope) -> dict[str, str]:
    return {name: canonical(_plain(settle(value, scope, is_known))) for name, value in values.items()}


def _plain(value: Any) -> Any:
    """A settled value as JSON in which what is not settled can't be taken for a text."""
    if isinstance(value, Unsettled):
        return {"${": value.text}
    if isinstance(value, dict):
        return {f"={key}": _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return whole(value)


def _fresh(job: Job) -> str | None:
    """The first reference of a job to its session, which is another one each time."""
    for _, _, _, reference in references([job.options, job.parameters, job.for_each]):
        if isinstance(reference, Reference) and reference.root == "session":
            return reference.text
    return None


def _sha256(parts: Any) -> str:
    return hashlib.sha256(canonical(parts).encode()).hexdigest()
