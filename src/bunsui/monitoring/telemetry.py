"""What a runner tells OpenTelemetry of the sessions that it drives: their spans, and its metrics.

Only where somebody has set up OpenTelemetry: without a provider of the application's nothing of this is
imported, no span is started, and no thread.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from attrs import frozen

from bunsui.engine import events as ev
from bunsui.monitoring import conventions as names
from bunsui.monitoring.outcomes import Outcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from opentelemetry.context import Context
    from opentelemetry.util.types import AttributeValue

    from bunsui.engine.fold import Fold
    from bunsui.model.pipeline import Job, Pipeline
    from bunsui.monitoring.exporting import Providers
    from bunsui.monitoring.instruments import Instruments
    from bunsui.monitoring.spans import Carried, SessionSpans
    from bunsui.ports.job_type import JobType

_log = logging.getLogger(__name__)


def providers_of(to: str | Providers) -> Providers:
    """The providers for a value of the configuration's ``telemetry``, or those that were given.

    Raises:
        ConfigError: as `bunsui.monitoring.exporting.providers` does.
    """
    from bunsui.monitoring.exporting import providers  # noqa: PLC0415 - see the module

    return providers(to) if isinstance(to, str) else to


def current_context() -> Context | None:
    """The context of OpenTelemetry here, where a span is under way in it; None: there is none."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None or not trace.get_current_span().get_span_context().is_valid:
        return None
    from opentelemetry.context import get_current  # noqa: PLC0415 - see the module

    return get_current()


class Telemetry:
    """What one runner tells OpenTelemetry.

    Args:
        to: who gets it.
    """

    def __init__(self, to: Providers) -> None:
        tracer_provider, meter_provider = to.tracer_provider, to.meter_provider
        self._tracer = None
        self._instruments: Instruments | None = None
        if tracer_provider is not None:
            from importlib.metadata import version  # noqa: PLC0415 - see the module

            self._tracer = tracer_provider.get_tracer(names.SCOPE, version("bunsui"))
        if meter_provider is not None:
            from bunsui.monitoring.instruments import Instruments  # noqa: PLC0415 - see the module

            self._instruments = Instruments(meter_provider)
        #: By session and claim, until the claim is durable.
        self._claimed: dict[tuple[str, int], Followed] = {}
        #: By session.
        self._followed: dict[str, Followed] = {}

    def follow(self, pipeline: Pipeline, state: Fold, epoch: int, at: datetime) -> Followed:
        """Begins to tell of a session that a runner is about to claim; in the thread of who wants that.

        Args:
            pipeline: its definition.
            state: what is known of it.
            epoch: of the claim.
            at: when it is claimed.
        """
        created = state.created
        assert created is not None  # noqa: S101 - what can be claimed exists
        spans = None
        if self._tracer is not None:
            from bunsui.monitoring.spans import SessionSpans  # noqa: PLC0415 - see the module

            parent = current_context()
            spans = SessionSpans(
                self._tracer, created.session_id, pipeline.name, at, parent, earlier=state.trace
            )
        followed = Followed(pipeline, state, epoch, spans, self._instruments)
        self._claimed[created.session_id, epoch] = followed
        return followed

    def take(self, session: str, event: ev.Event) -> None:
        """Takes in what has become durable of a session, in the order of its history; in one thread."""
        if isinstance(event, Left):
            self._leave(session, event)
            return
        if type(event) is ev.RunnerClaimed:
            claimed = self._claimed.pop((session, event.epoch), None)
            if claimed is not None:
                self._followed[session] = claimed
        followed = self._followed.get(session)
        if followed is None:
            return
        followed.take(event)
        if followed.is_over:
            del self._followed[session]

    def _leave(self, session: str, left: Left) -> None:
        self._claimed.pop((session, left.followed.epoch), None)
        if self._followed.get(session) is left.followed:
            del self._followed[session]
        left.followed.leave(left.at)


@frozen
class Left(ev.Event):
    """That a runner drives a session no more, whatever its history says: it takes the place of an event."""

    followed: Followed


class Followed:
    """A session that a runner drives, and whatever is told of it: spans, or metrics, or both."""

    def __init__(
        self,
        pipeline: Pipeline,
        state: Fold,
        epoch: int,
        spans: SessionSpans | None,
        instruments: Instruments | None,
    ) -> None:
        self.epoch = epoch
        self._spans = spans
        self._outcomes = Outcomes(pipeline, state, spans, instruments)
        #: What an earlier runner has left of jobs: the spans that theirs are linked to.
        self._earlier = {} if spans is None else _earlier(state)

    # The driver's side

    @property
    def trace(self) -> str | None:
        """The span of the run, as the history has it."""
        return None if self._spans is None else self._spans.trace

    def attempt(
        self,
        job: Job,
        job_type: JobType | None,
        options: Mapping[str, Any],
        item: int | None,
        number: int,
        at: datetime,
    ) -> Carried | None:
        """Begins to tell of an attempt; what it is to be given of that. None: it is given nothing.

        Args:
            job: whose attempt it is.
            job_type: says more of it; None: it runs on this machine.
            options: as it is given them, secrets but by name.
            item: the index of a fan-out's item.
            number: starts at 1.
            at: when it begins.
        """
        spans = self._spans
        if spans is None:
            return None
        attributes: Mapping[str, AttributeValue] = {}
        if job_type is not None and (describe := _describing(job_type, options)) is not None:
            attributes = describe(None)
            self._outcomes.describing[job.id if item is None else (job.id, item)] = describe
        return spans.attempt(
            job.id, job.type, item, number, at, attributes, self._earlier.pop((job.id, item), None)
        )

    # The side of who is shown the events

    @property
    def is_over(self) -> bool:
        """Whether there is no more to tell."""
        return self._outcomes.is_over

    def take(self, event: ev.Event) -> None:
        """Takes in an event."""
        self._outcomes.take(event)

    def leave(self, at: datetime) -> None:
        """Ends all that has not ended: the runner drives the session no more."""
        self._outcomes.leave(at)


def _describing(
    job_type: JobType, options: Mapping[str, Any]
) -> Callable[[Any], Mapping[str, AttributeValue]] | None:
    """What gives the attributes of an attempt's span, from its handle; None: its type says nothing."""
    from bunsui.ports.job_type import JobType  # noqa: PLC0415 - see the module

    if type(job_type).span_attributes is JobType.span_attributes:
        return None

    def describe(handle: Any) -> Mapping[str, AttributeValue]:
        try:
            return dict(job_type.span_attributes(options, handle))
        except Exception as error:  # Foreign code: a plugin's. What it could have said is left out.
            _log.warning("span_attributes() of job type '%s' failed: %s", job_type.name, type(error).__name__)
            return {}

    return describe


def _earlier(state: Fold) -> dict[tuple[str, int | None], str]:
    """The spans of the last attempts of jobs that have not ended, by job and item."""
    found: dict[tuple[str, int | None], str] = {}
    for job, of in state.jobs.items():
        if of.attempts and not of.status.is_terminal and (trace := of.attempts[-1].trace) is not None:
            found[job, None] = trace
    for job, items in state.items.items():
        for i, of in enumerate(items):
            if of.attempts and not of.status.is_terminal and (trace := of.attempts[-1].trace) is not None:
                found[job, i] = trace
    return found
