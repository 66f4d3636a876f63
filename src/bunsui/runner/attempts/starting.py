"""From a decision to what it needs: conditions, items, outputs, and the input of attempts."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from attrs import evolve

from bunsui.engine import events as ev
from bunsui.engine.actions import Conclude, Evaluate, Expand, Start
from bunsui.errors import BunsuiError, JobError
from bunsui.expressions.conditions import parse_condition
from bunsui.expressions.evaluation import holds
from bunsui.expressions.kinds import describe
from bunsui.expressions.resolution import Scope, resolve
from bunsui.local.bindings import for_options
from bunsui.local.results import encode, failure
from bunsui.model.artifact import Artifact
from bunsui.model.job import MAX_ITEMS
from bunsui.model.json import Json
from bunsui.model.session import Failure
from bunsui.ports.job_type import OnLost
from bunsui.ports.remote import RemoteJobType
from bunsui.runner.attempts.calls import on_lost
from bunsui.runner.attempts.remote_work import RemoteWork
from bunsui.runner.attempts.standing_in import nothing
from bunsui.runner.attempts.work import Work
from bunsui.runner.sessions.preflight import LOCAL, why_unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from typing import Any

    from bunsui.engine.actions import Recover
    from bunsui.ports.job_type import JobType
    from bunsui.runner.attempts.host import Host
    from bunsui.runner.attempts.standing_in import StandIn
    from bunsui.runner.driving.live import Live

#: Bytes of a commit that an output leaves to the event around it.
EVENT_MARGIN = 1024


class Starter:
    """Resolves what the sessions of one runner refer to, and prepares their attempts."""

    def __init__(
        self,
        job_types: Mapping[str, JobType],
        host: Host,
        max_commit_bytes: int,
        stand_in: StandIn = nothing,
    ) -> None:
        self._job_types = job_types
        self._stand_in = stand_in
        self._host = host
        self._max_output = max_commit_bytes - EVENT_MARGIN
        #: Makes artifacts of large outputs.
        self.keeping = host.keeping

    def too_large(self, output: Json) -> Failure | None:
        """The failure of an output that the store can't take in one commit, or None where it can.

        An artifact it always can, and what is to become one.
        """
        if type(output) is Artifact or len(output.text) <= self._max_output or self.keeping.is_due(output):
            return None
        text = f"the output has {len(output.text)} bytes; the store takes at most {self._max_output}"
        return Failure("OutputTooLarge", text, False)

    def resolve(self, live: Live, action: Evaluate | Expand | Conclude, at: datetime) -> ev.Event:
        """What came of a condition, of a list of items, or of the declared outputs."""
        try:
            if isinstance(action, Evaluate):
                return ev.ConditionEvaluated(at, action.job, self._condition(live, action.job))
            if isinstance(action, Expand):
                return ev.FanOutStarted(at, action.job, len(self._items(live, action.job)))
            outputs = encode(resolve(live.pipeline.outputs, scope_of(live)), "what 'outputs' declares")
            wrong = self.too_large(outputs)
            return ev.SessionSucceeded(at, outputs) if wrong is None else ev.SessionFailed(at, wrong)
        except JobError as error:
            failed = evolve(failure(error), retryable=False)
            if isinstance(action, Conclude):
                return ev.SessionFailed(at, failed)
            return ev.JobFailed(at, action.job, 0, failed)

    def _condition(self, live: Live, job: str) -> bool:
        text = live.pipeline.job(job).condition
        return text is None or holds(parse_condition(text).root, scope_of(live))

    def _items(self, live: Live, job: str) -> list[Any]:
        """The items that a job runs for; the same each time, since all that they depend on is durable."""
        found = live.items.get(job)
        if found is None:
            found = resolve(live.pipeline.job(job).for_each, scope_of(live))
            if not isinstance(found, list):
                message = f"'for_each' must be a list, not {describe(found)}"
                raise JobError(message, code="NotAList", retryable=False)
            if len(found) > MAX_ITEMS:
                message = f"'for_each' has {len(found):,} items; at most {MAX_ITEMS:,} are run"
                raise JobError(message, code="TooManyItems", retryable=False)
            live.items[job] = found
        return found

    def clear(self, live: Live, lost: Recover) -> None:
        """Removes what a lost attempt has left on this machine."""
        self._host.logs.clear(live.id, lost.job, lost.attempt, lost.item)

    def recovered(self, live: Live, lost: Recover) -> RemoteWork | None:
        """An attempt of another runner that a service may have; None where it ran on that runner's machine.

        Raises:
            BunsuiError: what it was given can't be made again, or its type is not known here.
        """
        kind = live.pipeline.job(lost.job).type
        if kind not in self._job_types:
            raise BunsuiError(f"this runner does not know the job type '{kind}'")
        if not isinstance(self._job_types[kind], RemoteJobType):
            return None
        work = self.prepare(live, Start(lost.job, lost.attempt, lost.item))
        if not isinstance(work, RemoteWork):
            return None
        state = live.machine.state
        of = state.jobs[lost.job] if lost.item is None else state.items[lost.job][lost.item]
        work.handle, work.started_at = of.attempts[-1].handle, of.attempts[-1].started_at
        return work

    def on_lost(self, live: Live, lost: Recover, *, ran_here: bool) -> OnLost:
        """What is done where it can't be told what became of an attempt.

        Args:
            live: the session.
            lost: the attempt.
            ran_here: whether it ran on the machine of its runner, for certain.
        """
        job = live.pipeline.job(lost.job)
        kind = self._job_types.get(job.type)
        if job.on_lost is None and ran_here and isinstance(kind, RemoteJobType):
            return "rerun"  # What was bound ran here, whatever its type.
        return on_lost(job, kind)

    def prepare(self, live: Live, start: Start) -> Work:
        """The work of an attempt, with everything that it needs but its secrets.

        Raises:
            BunsuiError: a reference names something that is not there, or what was resolved does not
                fit; the job fails by it.
        """
        job = live.pipeline.job(start.job)
        item = None if start.item is None else self._items(live, job.id)[start.item]
        scope = scope_of(live, item, start.item)
        job_type = self._job_types[job.type]
        options = resolve(job.options, scope)
        secret_options = bool(scope.secrets)
        if options != job.options and not secret_options:
            from bunsui.dsl.options import check_options  # noqa: PLC0415 - jsonschema: 80 ms

            check_options(job, job_type, options)
        stand_in = self._stand_in(job)
        bound = for_options(live.bindings, job_type, options) if stand_in is None else None
        if stand_in is None and bound is None and job_type.binding_field is not None:
            reason = LOCAL if live.local else why_unavailable(job_type, options)
            if reason is not None:
                name = options.get(job_type.binding_field)
                raise JobError(
                    f"{job_type.binding_field} '{name}' is not bound, and {reason}",
                    code="UnboundJob",
                    retryable=False,
                )
        parameters = resolve(job.parameters, scope)
        # A copy, as all that it is given: what an attempt does to its item can't reach the next one.
        own = deepcopy(item)
        remote = bound is None and isinstance(job_type, RemoteJobType)
        make = stand_in or (RemoteWork if remote else Work)
        work = make(
            live, job, start.attempt, job_type, bound, parameters, options, self._host, start.item, own
        )
        if job.cache is not None:
            key = resolve(job.cache.key, evolve(scope, secrets=[]))
            if stand_in is None:
                self._cache(live, work, key)
        work.secrets = tuple(dict.fromkeys(scope.secrets))
        work.secret_options = secret_options
        return work

    def _cache(self, live: Live, work: Work, key: Any) -> None:
        """Lets the attempt take the output of an equal earlier one."""
        from bunsui.runner.attempts.caching import cache_key  # noqa: PLC0415 - few jobs have a cache

        folder = live.pipeline.base_dir
        name = cache_key(
            work.job, work.options, work.parameters, key, item=work.item, bound=work.bound, folder=folder
        )
        if name is not None and self._host.caching is not None:
            work.caching, work.cache_key = self._host.caching, name


def scope_of(live: Live, item: Any = None, item_index: int | None = None) -> Scope:
    """What references can reach in a session now.

    Raises:
        BunsuiError: it has not started.
    """
    state = live.machine.state
    created = state.created
    if created is None or state.started_at is None:
        raise BunsuiError("nothing can be resolved before the session has started")
    return Scope(
        created.parameters,
        state.jobs,
        live.id,
        state.started_at,
        live.pipeline.name,
        created.env,
        live.secret_parameters,
        item,
        item_index,
        decoded=live.decoded,
    )
