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

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from attrs import frozen
from opentelemetry.context import attach, detach
from opentelemetry.propagate import inject
from opentelemetry.trace import (
    INVALID_SPAN,
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
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer
    from opentelemetry.util.types import AttributeValue

    from bunsui.engine.units import Unit
    from bunsui.model.session import Failure

P = ParamSpec("P")
T = TypeVar("T")
#: Gives the attributes of an attempt, from its handle, or None before it was submitted.
Describe = Callable[[Any], Mapping[str, "AttributeValue"]]

_log = logging.getLogger(__name__)
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
            try:
                inject(carrier, self.context)
            except Exception as error:  # Foreign code: whatever propagator is configured. The work goes on.
                _log.warning("the trace is not handed on: %s: %s", type(error).__name__, error)
                carrier = {}
            # As the specification of environment variables as carriers has it.
            named = {key.upper().replace("-", "_"): value for key, value in carrier.items()}
            self._environment = {name: value for name, value in named.items() if type(value) is str}
        return self._environment


@frozen
class Attempt:
    """The spans of an attempt, outermost first, and what says more of them once it was submitted."""

    spans: Sequence[Span]
    describe: Describe | None = None


def _guarded(
    method: Callable[Concatenate[SessionSpans, P], T],
) -> Callable[Concatenate[SessionSpans, P], T | None]:
    """A method that does nothing once the application's tracer has failed, and lets it fail nobody else."""

    @wraps(method)
    def call(self: SessionSpans, /, *arguments: P.args, **keywords: P.kwargs) -> T | None:
        if self.has_failed:
            return None
        try:
            return method(self, *arguments, **keywords)
        except Exception as error:  # Foreign code: the tracer, its sampler and its processors.
            self.has_failed = True
            _log.warning("%s is traced no further: %s: %s", self, type(error).__name__, error)
            return None

    return call


class SessionSpans:
    """See the module.

    `begin` and `attempt` are called before what they begin is durable, by its driver; all else in the order
    of the history, by one other thread. None of them raises.

    Args:
        tracer: starts them.
        session: its id.
        pipeline: its name.
    """

    def __init__(self, tracer: Tracer, session: str, pipeline: str) -> None:
        self._tracer = tracer
        self._session = session
        self._pipeline = pipeline
        self._run: Span = INVALID_SPAN
        self._context: Context | None = None
        #: The run's span, as the history has it.
        self.trace: str | None = None
        self._jobs: dict[str, tuple[Span, Context]] = {}
        #: Attempts whose start is not known to be durable, by their spans as the history has them.
        self._begun: dict[str | None, Attempt] = {}
        self._attempts: dict[tuple[Unit, int], Attempt] = {}
        self._fanned_out: dict[str, datetime] = {}
        #: Whether the application's tracer has failed: nothing is told any more.
        self.has_failed = False

    def __str__(self) -> str:
        return f"session {self._session}"

    # The driver's side

    @_guarded
    def begin(self, at: datetime, parent: Context | None, earlier: str | None) -> None:
        """Starts the span of the run.

        Args:
            at: when it begins.
            parent: the context in which somebody wanted the run; None: none.
            earlier: the span of the run before this one of the same session, as the history names it.
        """
        self._run = self._tracer.start_span(
            f"RUN {self._pipeline}",
            parent,
            SpanKind.SERVER,
            {
                names.PIPELINE_NAME: self._pipeline,
                names.PIPELINE_ACTION: "RUN",
                names.RUN_ID: self._session,
            },
            links_to(earlier),
            nanoseconds(at),
        )
        self._context = set_span_in_context(self._run, parent)
        self.trace = to_trace(self._run.get_span_context())

    @_guarded
    def attempt(
        self,
        job: str,
        job_type: str,
        item: int | None,
        number: int,
        at: datetime,
        describe: Describe | None,
        earlier: str | None = None,
        *,
        is_durable: bool = False,
    ) -> Carried:
        """Starts the span of an attempt, and that of its job where this is the first one.

        Args:
            job: its id.
            job_type: the job's.
            item: the index of a fan-out's item.
            number: starts at 1.
            at: when it begins.
            describe: gives what the job type says of it, from its handle, or None before it has one.
            earlier: the span that an earlier runner started for the same job, as the history names it.
            is_durable: whether an earlier runner has begun it, so that no start of it will be seen.
        """
        in_job = self._job(job, job_type, at, earlier)
        attributes = {} if describe is None else describe(None)
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
        if is_durable:
            self._attempts[job if item is None else (job, item), number] = Attempt(spans, describe)
        else:
            # Not by its number: an attempt that was lost begins again under the same one.
            self._begun[trace] = Attempt(spans, describe)
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

    @_guarded
    def fanned_out(self, job: str, at: datetime) -> None:
        """A job's list was evaluated: its span begins, if not with an item, then with this."""
        self._fanned_out[job] = at

    @_guarded
    def attempt_began(self, unit: Unit, number: int, trace: str | None) -> None:
        """The start of an attempt is durable, which has this span."""
        found = self._begun.pop(trace, None)
        if found is not None:
            self._attempts[unit, number] = found

    @_guarded
    def submitted(self, job: str, unit: Unit, number: int, handle: Any) -> None:
        """Takes in what a service has said of an attempt."""
        attempt = self._attempts.get((unit, number))
        if attempt is None or attempt.describe is None:
            return
        found = dict(attempt.describe(handle))
        url = found.pop(names.TASK_RUN_URL, None)
        if url is not None and isinstance(unit, str) and job in self._jobs:
            self._jobs[job][0].set_attribute(names.TASK_RUN_URL, url)
        attempt.spans[0].set_attributes(found)

    @_guarded
    def attempt_ended(self, unit: Unit, number: int | None, at: datetime, failure: Failure | None) -> None:
        """Ends the span of an attempt; with None those of all that the unit has."""
        found = (
            [(unit, number)] if number is not None else [key for key in [*self._attempts] if key[0] == unit]
        )
        for key in found:
            attempt = self._attempts.pop(key, None)
            for span in reversed(() if attempt is None else attempt.spans):
                if failure is not None:
                    _fail(span, failure.code, failure.message)
                span.end(nanoseconds(at))

    @_guarded
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
        self._job(job, job_type, at)
        span, _ = self._jobs.pop(job)
        span.set_attributes({names.TASK_RUN_RESULT: result, **(attributes or {})})
        if failure is not None:
            _fail(span, failure.code, failure.message)
        span.end(nanoseconds(at))

    @_guarded
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


def _fail(span: Span, code: str, message: str) -> None:
    span.set_attribute(names.ERROR_TYPE, code)
    span.set_status(Status(StatusCode.ERROR, message))
