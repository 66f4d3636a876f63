"""What a job's code returned or raised, as what the history holds."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

from bunsui.errors import AwsError, JobError, PermissionDenied
from bunsui.local.callables import invoke
from bunsui.model.json import Json
from bunsui.model.session import Failure
from bunsui.model.text import text_of

#: Characters of an exception's text that the history keeps; the log has all of it.
MAX_MESSAGE = 10_000


def encode(output: object, what: str = "what the job returned") -> Json:
    """A job's output as JSON.

    Args:
        output: the output.
        what: how a message names it.

    Raises:
        JobError: it is not JSON, with the code ``OutputNotJson``.
    """
    try:
        return Json.of(output)
    except (TypeError, ValueError, RecursionError) as error:
        raise JobError(f"{what} is not JSON: {error}", code="OutputNotJson", retryable=False) from None


def failure(error: BaseException, redact: Callable[[str], str] | None = None) -> Failure:
    """An exception as the failure of an attempt: the code is the exception's name, or a JobError's own.

    Of an `AwsError` it is what AWS called it, with the service before it; what AWS refused, it refuses again.

    Args:
        error: what was raised.
        redact: takes the values of secrets out of a text.
    """

    def text(value: object) -> str:
        # Redacted before it is cut: half of a value would not be found.
        whole = text_of(value)
        return _short(whole if redact is None else redact(whole))

    if issubclass(type(error), JobError):
        # Whatever a job gave it: what the history holds is text and a truth value.
        with contextlib.suppress(BaseException):  # Foreign code: the attributes of somebody's class.
            given: Any = error
            # `retry: {on: [...]}` can't name an empty code.
            code = text(given.code) or JobError.default_code
            return Failure(code, text(given.message), bool(given.retryable))
    if type(error) is AwsError:
        return Failure(text(error.job_code), text(error), error.kind != "refused")
    # Whoever may not do something may not do it the next time, either.
    return Failure(text(type(error).__name__), text(error), type(error) is not PermissionDenied)


def _short(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]}... ({len(text)} characters)"


def traceback_text(error: BaseException) -> str | None:
    """The traceback of a job's code, for who wrote it; None where the failure's message says all there is."""
    is_said = isinstance(error, JobError)
    if isinstance(error, JobError):
        if error.__cause__ is None:
            return None
        error = error.__cause__
    trace, last = _beyond(error)
    # Arguments that don't fit are told by the message: no code of the job was reached.
    is_said |= last is not None and last.tb_frame.f_code is invoke.__code__
    return None if trace is None and is_said else foreign_traceback(error)


def foreign_traceback(error: BaseException) -> str:
    """The traceback without this library's frames before the first that is not its own."""
    trace, _ = _beyond(error)
    return "".join(traceback.format_exception(type(error), error, trace or error.__traceback__))


def _beyond(error: BaseException) -> tuple[TracebackType | None, TracebackType | None]:
    """Where a traceback leaves this library, and the last of its own places before that."""
    trace, last = error.__traceback__, None
    while trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith("bunsui."):
        trace, last = trace.tb_next, trace
    return trace, last
