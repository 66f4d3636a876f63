"""What a runner tells OpenTelemetry of the sessions that it drives: their spans, and its metrics.

Only where somebody has set up OpenTelemetry: without a provider of the application's nothing of this is
imported, no span is started, and no thread.
"""

from __future__ import annotations

import logging
from functools import partial
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
    from bunsui.monitoring.spans import Carried, Describe, SessionSpans
    from bunsui.ports.job_type import JobType

_log = logging.getLogger(__name__)


class Telemetry:
    """What one runner tells OpenTelemetry.

    Args:
        to: who gets it.
    """

    def __init__(self, to: Providers) -> None:
        self._spans: Callable[[str, str], SessionSpans] | None = None
        self._instruments: Instruments | None = None
        if to.tracer_provider is not None:
            from importlib.metadata import version  # noqa: PLC0415 - see the module

            from bunsui.monitoring.spans import SessionSpans  # noqa: PLC0415 - see the module

            tracer = to.tracer_provider.get_tracer(names.SCOPE, version("bunsui"))
            self._spans = partial(SessionSpans, tracer)
        if to.meter_provider is not None:
            from bunsui.monitoring.instruments import Instruments  # noqa: PLC0415 - see the module

            self._instruments = Instruments(to.meter_provider)

    def follow(self, pipeline: Pipeline, state: Fold, at: datetime, parent: Context | None) -> Followed:
        """Begins to tell of a session that a runner is about to claim; in the thread of who wants that.

        Args:
            pipeline: its definition.
            state: what is known of it.
            at: when it is claimed.
            parent: the context in which that is wanted; None: none.
        """
        created = state.created
        assert created is not None  # noqa: S101 - what can be claimed exists
        spans = None
        if self._spans is not None:
            spans = self._spans(created.session_id, pipeline.name)
            spans.begin(at, parent, state.trace)
        return Followed(pipeline, state, spans, self._instruments)


@frozen
class Left(ev.Event):
    """That a runner drives a session no more, whatever its history says: it takes the place of an event."""


class Followed:
    """A session that a runner has claimed, and whatever is told of it: spans, or metrics, or both.

    Of a claim that never becomes durable nothing is told: what was begun for it is let go of.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        state: Fold,
        spans: SessionSpans | None,
        instruments: Instruments | None,
    ) -> None:
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
        *,
        is_durable: bool = False,
    ) -> Carried | None:
        """Begins to tell of an attempt; what it is to be given of that. None: it is given nothing.

        Args:
            job: whose attempt it is.
            job_type: says more of it; None: it runs on this machine.
            options: as it is given them, secrets but by name.
            item: the index of a fan-out's item.
            number: starts at 1.
            at: when it begins.
            is_durable: whether its start is in the history already.
        """
        if self._spans is None:
            return None
        describe = None if job_type is None else _describing(job_type, options)
        earlier = self._earlier.pop((job.id, item), None)
        return self._spans.attempt(
            job.id, job.type, item, number, at, describe, earlier, is_durable=is_durable
        )

    # The side of who is shown the events

    def take(self, session: str, event: ev.Event) -> None:
        """Takes in what has become durable, in the order of the history; in one thread."""
        del session
        if isinstance(event, Left):
            self._outcomes.leave(event.at)
        elif not self._outcomes.is_over:
            self._outcomes.take(event)


def _describing(job_type: JobType, options: Mapping[str, Any]) -> Describe | None:
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
