"""What a record is about: the session, job, item and attempt, and the trace that it is logged in.

For the code of a job that is the call that runs now, as `bunsui.current_call` has it: there is no second
truth beside it. What logs for others, as the thread that drives all sessions does, says so with `about`.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, cast

from bunsui.ports.job_type import current

#: The names of the ids, in the order of a record: OpenTelemetry's are those of its own logs.
IDS = ("session", "job", "item", "attempt", "trace_id", "span_id")
#: The attribute of a record of `logging` that holds them.
CONTEXT = "bunsui_context"
#: The module that whoever traces has loaded; it is not loaded for that, which takes 50 ms.
_TRACE = "opentelemetry.trace"

_about: ContextVar[Mapping[str, Any] | None] = ContextVar("bunsui_log_about", default=None)


@contextlib.contextmanager
def about(
    session: str,
    job: str | None = None,
    item: int | None = None,
    attempt: int | None = None,
    trace: str | None = None,
) -> Iterator[None]:
    """Within the block, records are about this session, and not about the call that runs, if one does.

    Args:
        session: its id.
        job: its id.
        item: the index of a fan-out's item; starts at 0.
        attempt: starts at 1; 0 where none had started, which no record shows.
        trace: a span, as W3C Trace Context's ``traceparent``; None: the current one, if there is one.
    """
    found = {"session": session, "job": job, "item": item, "attempt": attempt or None}
    if trace is not None:
        _, found["trace_id"], found["span_id"], _ = trace.split("-")
    token = _about.set({name: value for name, value in found.items() if value is not None})
    try:
        yield
    finally:
        _about.reset(token)


def ids() -> dict[str, Any]:
    """The ids of what runs now, by the names of `IDS`, as far as there are any."""
    told = _about.get()
    return {**_of_trace(), **_of_call()} if told is None else {**_of_trace(), **told}


def _of_call() -> Mapping[str, Any]:
    call = current.get(None)
    if call is None:
        return {}
    of_item = {} if call.item_index is None else {"item": call.item_index}
    return {"session": call.session_id, "job": call.job_id, **of_item, "attempt": call.attempt}


def _of_trace() -> Mapping[str, str]:
    trace = sys.modules.get(_TRACE)
    if trace is None:
        return {}
    with contextlib.suppress(Exception):  # Foreign code: whatever span somebody has made current.
        span = trace.get_current_span().get_span_context()
        if span.is_valid:  # As W3C's Trace Context writes them.
            return {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}
    return {}


def redactor() -> Callable[[str], str] | None:
    """What takes the values of the running job's secrets out of a text; None: it has none."""
    call = current.get(None)
    # Who runs a call in this process knows them; see `Work` and the worker.
    found = None if call is None else getattr(call.workbench, "redactor", None)
    return None if found is None else cast("Callable[[str], str]", found.redact)


class ContextFilter(logging.Filter):
    """Puts the ids of what runs now on each record that passes, and lets all pass.

    The handler of `configure` has one. A `logging.handlers.QueueHandler` of the program's own needs one where
    a formatter of bunsui's stands behind its queue: there, in another thread, nobody knows any more what ran.

    Such as::

        import logging.handlers
        import queue

        waiting = queue.SimpleQueue()
        handler = logging.handlers.QueueHandler(waiting)
        handler.addFilter(bunsui.logging.ContextFilter())
        print(handler.filter(logging.makeLogRecord({})))  # True
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Sets the attribute ``bunsui_context``, a mapping, where it is not there already."""
        if not hasattr(record, CONTEXT):
            setattr(record, CONTEXT, ids())
        return True
