"""The spans of one session, from a claim on: started by its driver, ended by who is shown its events.

::

    RUN orders ─────────────────────────────────────▶   from the claim to the end, or the release
      extract ──────────────────▶                       from its first attempt on
        attempt extract ──▶  attempt extract ──▶
      load                       ──────────────▶
        attempt load             ──────────────▶
          load-function          ──────────────▶        a call of a function: of kind CLIENT

The driver starts them before it commits the start, so that their ids are in the history, and in what the
attempt is given. All else waits until the event is durable. A run that goes on elsewhere has a trace of its
own, which is linked to the one before.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry.context import attach, detach
from opentelemetry.propagate import inject
from opentelemetry.trace import (
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from bunsui.monitoring import conventions as names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer
    from opentelemetry.util.types import AttributeValue

    from bunsui.engine.units import Unit
    from bunsui.model.session import Failure

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: How a run or a job ended that went wrong.
_WRONG = frozenset({names.FAILURE, names.ERROR, names.TIMEOUT})


def nanoseconds(at: datetime) -> int:
    """A time as OpenTelemetry has it: since 1970."""
    return (at - _EPOCH) // _MICROSECOND * 1000


def to_trace(context: SpanContext) -> str | None:
    """A span as ``traceparent`` of W3C Trace Context; None where it is none."""
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def from_trace(text: str | None) -> SpanContext | None:
    """The span that a history names; None where it is damaged, or there is none."""
    try:
        _, trace_id, span_id, flags = (text or "").split("-")
        context = SpanContext(int(trace_id, 16), int(span_id, 16), True, TraceFlags(int(flags, 16)))
    except ValueError:
        return None
    return context if context.is_valid else None


def links_to(*traces: str | None) -> list[Link]:
    """Links to the spans that a history names."""
    return [Link(context) for trace in traces if (context := from_trace(trace)) is not None]


class Carried:
    """The trace that work belongs to, on its way into the environment of that work.

    Args:
        context: of the span that is the parent of all that the work records.
        trace: that span, as the history has it.
    """

    __slots__ = ("_environment", "context", "trace")

    def __init__(self, context: Context, trace: str | None = None) -> None:
        self.context = context
        self.trace = trace
        self._environment: dict[str, str] | None = None

    def attach(self) -> Callable[[], None]:
        """Makes it the current context of this thread, until what comes back is called."""
        return partial(detach, attach(self.context))

    @property
    def environment(self) -> Mapping[str, str]:
        """What the configured propagator says of it, as variables: ``TRACEPARENT`` and so on."""
        if self._environment is None:
            carrier: dict[str, str] = {}
            inject(carrier, self.context)
            # As the specification of environment variables as carriers has it.
            self._environment = {key.upper().replace("-", "_"): value for key, value in carrier.items()}
        return self._environment


class SessionSpans:
    """See the module.

    `attempt` is called by the driver, all else in the order of the history by one other thread.

    Args:
        tracer: starts them.
        session: its id.
        pipeline: its name.
        at: when the run begins.
        parent: the context in which somebody wanted the run; None: none.
        earlier: the span of the run before this one of the same session, as the history names it.
    """

    def __init__(
        self,
        tracer: Tracer,
        session: str,
        pipeline: str,
        at: datetime,
        parent: Context | None,
        earlier: str | None = None,
    ) -> None:
        self._tracer = tracer
        self._session = session
        self._run = tracer.start_span(
            f"RUN {pipeline}",
            parent,
            SpanKind.SERVER,
            {
                names.PIPELINE_NAME: pipeline,
                names.PIPELINE_ACTION: "RUN",
                names.RUN_ID: session,
            },
            links_to(earlier),
            nanoseconds(at),
        )
        self._context = set_span_in_context(self._run, parent)
        #: The run's span, as the history has it.
        self.trace = to_trace(self._run.get_span_context())
        self._jobs: dict[str, tuple[Span, Context]] = {}
        self._attempts: dict[tuple[Unit, int], Sequence[Span]] = {}
        self._fanned_out: dict[str, datetime] = {}
        #: Whether the application's tracer has failed: nothing is told any more.
        self.has_failed = False

    # The driver's side

    def attempt(
        self,
        job: str,
        job_type: str,
        item: int | None,
        number: int,
        at: datetime,
        attributes: Mapping[str, AttributeValue],
        earlier: str | None = None,
    ) -> Carried:
        """Starts the span of an attempt, and that of its job where this is the first one.

        Args:
            job: its id.
            job_type: the job's.
            item: the index of a fan-out's item.
            number: starts at 1.
            at: when it begins.
            attributes: what the job type says of it.
            earlier: the span that an earlier runner started for the same job, as the history names it.
        """
        in_job = self._job(job, job_type, at, earlier)
        about: dict[str, AttributeValue] = {names.JOB_ATTEMPT: number}
        if item is not None:
            about[names.JOB_ITEM] = item
        function = attributes.get(names.FAAS_NAME)
        if function is None:
            about |= attributes
        start = nanoseconds(at)
        span = self._tracer.start_span(
            f"attempt {job}", in_job, SpanKind.INTERNAL, about, links_to(earlier), start
        )
        context, spans = set_span_in_context(span, in_job), [span]
        trace = to_trace(span.get_span_context())
        if function is not None:
            called = self._tracer.start_span(
                str(function), context, SpanKind.CLIENT, attributes, start_time=start
            )
            context = set_span_in_context(called, context)
            spans.append(called)
        self._attempts[job if item is None else (job, item), number] = spans
        return Carried(context, trace)

    def _job(self, job: str, job_type: str, at: datetime, earlier: str | None = None) -> Context:
        found = self._jobs.get(job)
        if found is None:
            span = self._tracer.start_span(
                job,
                self._context,
                SpanKind.INTERNAL,
                {
                    names.TASK_NAME: job,
                    names.TASK_RUN_ID: f"{self._session}/{job}",
                    names.TASK_RUN_URL: f"urn:bunsui:session:{self._session}:job:{job}",
                    names.JOB_TYPE: job_type,
                },
                links_to(earlier),
                nanoseconds(self._fanned_out.get(job, at)),
            )
            found = self._jobs[job] = span, set_span_in_context(span, self._context)
        return found[1]

    # The side of who is shown the events

    def fanned_out(self, job: str, at: datetime) -> None:
        """A job's list was evaluated: its span begins, if not with an item, then with this."""
        self._fanned_out[job] = at

    def described(self, job: str, unit: Unit, number: int, attributes: Mapping[str, AttributeValue]) -> None:
        """Takes in what a service has said of an attempt."""
        if self.has_failed:
            return
        found = dict(attributes)
        url = found.pop(names.TASK_RUN_URL, None)
        if url is not None and isinstance(unit, str) and job in self._jobs:
            self._jobs[job][0].set_attribute(names.TASK_RUN_URL, url)
        for span in self._attempts.get((unit, number), ())[:1]:
            span.set_attributes(found)

    def attempt_ended(self, unit: Unit, number: int | None, at: datetime, failure: Failure | None) -> None:
        """Ends the span of an attempt; with None those of all that the unit has."""
        if self.has_failed:
            return
        found = (
            [(unit, number)] if number is not None else [key for key in [*self._attempts] if key[0] == unit]
        )
        for key in found:
            for span in reversed(self._attempts.pop(key, ())):
                if failure is not None:
                    _fail(span, failure.code, failure.message)
                span.end(nanoseconds(at))

    def job_ended(
        self,
        job: str,
        job_type: str,
        at: datetime,
        result: str,
        failure: Failure | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
    ) -> None:
        """Ends the span of a job; of one that never started it begins here, too."""
        if self.has_failed:
            return
        self._job(job, job_type, at)
        span, _ = self._jobs.pop(job)
        span.set_attributes({names.TASK_RUN_RESULT: result, **(attributes or {})})
        if failure is not None:
            _fail(span, failure.code, failure.message)
        span.end(nanoseconds(at))

    def run_ended(
        self, at: datetime, result: str | None, status: str, error: str | None = None, message: str = ""
    ) -> None:
        """Ends the span of the run, and all that is still open in it.

        Args:
            at: when it ended, or went elsewhere.
            result: how it ended; None: it has not, and goes on some other time.
            status: the session's.
            error: what it failed by.
            message: the same for a person.
        """
        if self.has_failed:
            return
        for unit, number in [*self._attempts]:
            self.attempt_ended(unit, number, at, None)
        for job in [*self._jobs]:
            span, _ = self._jobs.pop(job)
            span.set_attribute(names.JOB_STATUS, "running")
            span.end(nanoseconds(at))
        self._run.set_attribute(names.SESSION_STATUS, status)
        if result is not None:
            self._run.set_attribute(names.PIPELINE_RESULT, result)
        if error is not None or result in _WRONG:
            _fail(self._run, error or names.OTHER, message)
        self._run.end(nanoseconds(at))


def _fail(span: Any, code: str, message: str) -> None:
    span.set_attribute(names.ERROR_TYPE, code)
    span.set_status(Status(StatusCode.ERROR, message))
