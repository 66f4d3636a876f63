"""Python functions that are deployed to Lambda, and know which job they run for.

This is imported by the function, where a cold start counts: it needs attrs, and nothing else that is not
Python's own. boto3 is imported where an event has to be read from S3, OpenTelemetry where a trace goes on.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction, signature
from typing import Any, TypeVar

from bunsui.concurrency.trace_context import VARIABLES, carried, gone_on
from bunsui.errors import ConfigError, NotFound, StateError
from bunsui.ports.job_type import JobCall, current

#: The key of an event that says where the whole event is, where it is too large to be sent.
PARAMETERS_URL = "bunsui_parameters_url"
#: Bytes of an event that is read from there.
MAX_EVENT = 64 * 2**20
#: Where a runner puts events: below its artifacts, in the folder of the session, named by their SHA-256.
_INPUT = re.compile(
    r"s3://(?P<bucket>[a-z0-9.-]+)/"
    r"(?P<key>(?:[^/]+/)*(?P<session>[A-Za-z0-9_-]{1,128})/inputs/(?P<digest>[0-9a-f]{64}))"
)
#: What a call is known by; see `bunsui.local.callables.call_variables`.
_SESSION, _JOB = "BUNSUI_SESSION_ID", "BUNSUI_JOB_ID"
_ATTEMPT, _KEY = "BUNSUI_ATTEMPT", "BUNSUI_IDEMPOTENCY_KEY"
#: What each looks like where a runner sends it: whoever may call the function may send anything. See
#: `bunsui.runner.sessions.creation.session_id_of`, `bunsui.dsl.fields.IDENTIFIER_PATTERN` and
#: `bunsui.runner.attempts.idempotency`.
_FORMS = {
    _SESSION: re.compile(r"[a-z2-7]{16}"),
    _JOB: re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}"),
    _ATTEMPT: re.compile(r"[1-9][0-9]{0,8}"),
    _KEY: re.compile(r"[0-9a-f]{1,64}"),
}
#: What jobs log to. One for all of them, as Python keeps each logger for ever.
_LOGGER = "bunsui.job"

Handler = TypeVar("Handler", bound=Callable[[Any, Any], Any])


def lambda_handler(function: Handler) -> Handler:
    """A Lambda function that knows which job it runs for; a decorator.

    Where a ``lambda`` job calls it, `bunsui.current_call` works inside: it has session, job, attempt,
    idempotency key, the event as `parameters`, the trace context in `environment`, a logger. What a runner
    does not send is empty: `pipeline`, `options`, `item`, `timeout`. An event that was too large to be sent
    is read from S3. If OpenTelemetry's API is installed, the function's spans belong to the job's trace.

    Where anybody else calls it, and where the job does not wait for it (``invocation: send``), for which
    Lambda sends nothing beside the event, it works just the same, and `current_call` raises `StateError`.
    Bound to this machine, it runs as without the decorator.

    Such as::

        @bunsui.aws.lambda_handler
        def load(event, context):
            key = bunsui.current_call().idempotency_key
            return {"loaded": insert_once(key, event["rows"])}

    Args:
        function: takes event and context. It is no async one and no generator, with which Lambda can do
            nothing, and no method of a class: decorate a function that calls it, or the method of an object,
            ``lambda_handler(loader.load)``.

    Raises:
        ConfigError: it can't be called, is async or a generator, or can't be called with two arguments. When
            it is called: the event is on S3, and boto3 is not installed, or it is not where a runner puts
            events.
        NotFound: when it is called: the event is on S3 no more.
        AwsError: when it is called: the event is on S3, and can't be read.
    """
    reason = _unfit(function)
    if reason is not None:
        raise ConfigError(
            f"the Lambda function {getattr(function, '__qualname__', repr(function))} {reason}",
            hint="decorate a function (event, context), which may call asyncio.run",
        )

    @functools.wraps(function)
    def handler(event: Any, context: Any) -> Any:
        custom = _custom(context)
        running = current.get(None)
        if running is not None and custom.get(_KEY) in (None, running.idempotency_key):
            return function(event, context)  # Bound to this machine: its runner has said all there is.
        session = custom.get(_SESSION)
        event = _whole(event, session)
        call = _call(event, context, custom)
        if call is None:
            return function(event, context)
        token = current.set(call)
        try:
            with gone_on(call.environment):
                return function(event, context)
        finally:
            current.reset(token)

    return handler  # type: ignore[return-value] # It takes and gives the same.


def _unfit(function: Any) -> str | None:
    """Why Lambda can't run it; None: it can."""
    if not callable(function):
        return f"is {type(function).__name__}, which can't be called"
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    for each in (inner, type(inner).__call__):  # Of an object it is its class's that runs.
        if iscoroutinefunction(each) or isasyncgenfunction(each):
            return "is async"
        if isgeneratorfunction(each):
            return "is a generator"
    try:
        # Its own one, not that of a function that it wraps: a decorator may add what that wants.
        signature(function, follow_wrapped=False).bind(None, None)
    except TypeError:
        return "can't be called with event and context alone, such as a method, which has 'self' before them"
    except ValueError:
        pass  # Some that are written in C don't say what they take.
    return None


def _custom(context: Any) -> Mapping[str, str]:
    """What a runner has sent beside the event; empty: it was none."""
    found = getattr(getattr(context, "client_context", None), "custom", None)
    if not isinstance(found, Mapping):
        return {}
    sent = {name: found.get(name) for name in (*_FORMS, *VARIABLES)}
    texts = {name: value for name, value in sent.items() if isinstance(value, str)}
    return texts if all(form.fullmatch(texts.get(name, "")) for name, form in _FORMS.items()) else {}


def _call(event: Any, context: Any, custom: Mapping[str, str]) -> JobCall | None:
    """The call that a runner makes; None: it is none of a runner's."""
    if not custom:
        return None
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    return JobCall(
        session_id=custom[_SESSION],
        pipeline="",
        job_id=custom[_JOB],
        attempt=int(custom[_ATTEMPT]),
        parameters=event if isinstance(event, Mapping) else {},
        options={},
        idempotency_key=custom[_KEY],
        deadline=None if remaining is None else time.monotonic() + remaining() / 1000,
        # No other name is taken over: a function may give its environment to processes.
        environment=carried(custom),
        workbench=_Bench(custom[_JOB]),
    )


class _Logger(logging.LoggerAdapter[logging.Logger]):
    """Adds the job to ``extra``, unlike its base, which replaces what is given."""

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        return msg, {**kwargs, "extra": {**(self.extra or {}), **(kwargs.get("extra") or {})}}


class _Bench:
    """The runner's side of a call, as far as there is one: the runner is elsewhere."""

    def __init__(self, job: str) -> None:
        #: Nobody can stop a function.
        self.cancelled = threading.Event()
        self._job = job

    @property
    def logger(self) -> _Logger:
        logger = logging.getLogger(_LOGGER)
        # Python shows warnings, unless somebody wants more; a job's log on this machine begins at INFO. Where
        # Lambda is told a level, it holds.
        if logger.level == logging.NOTSET and "AWS_LAMBDA_LOG_LEVEL" not in os.environ:
            logger.setLevel(logging.INFO)
        return _Logger(logger, {"job": self._job})

    def run(self, work: Any, call: JobCall) -> Any:
        del work, call
        raise StateError("a function on Lambda has no runner to run further work")

    begin = run


def _whole(event: Any, session: str | None) -> Any:
    """The event, also where it only says where it is.

    Whoever may call the function could have it read what he may not read himself: so it takes only what lies
    where runners put events, of the session that is named, and whose name is the SHA-256 of its content.
    """
    if not isinstance(event, Mapping) or set(event) != {PARAMETERS_URL}:
        return event
    url = event[PARAMETERS_URL]
    found = _INPUT.fullmatch(url) if isinstance(url, str) else None
    if found is None or session not in (None, found["session"]):
        raise ConfigError(f"the event is said to be at {url!r:.200}, where no runner puts one")
    try:
        data = _read(found["bucket"], found["key"])
    except ImportError as error:
        if error.name not in {"boto3", "botocore"}:
            raise
        raise ConfigError(
            f"the event is at {url}, and boto3 is not installed here",
            hint="add boto3 to what is deployed; AWS's own Python runtimes have it",
        ) from error
    if data is None:
        text = f"the event at {url} is not there any more"
        raise NotFound(text, kind="event", name=url, hint="run the job again, as a new session")
    if hashlib.sha256(data).hexdigest() != found["digest"]:
        raise ConfigError(f"what is at {url} is not the event that was put there")
    return json.loads(data)


def _read(bucket: str, key: str) -> bytes | None:
    from bunsui.aws.asking import ask  # noqa: PLC0415 - only for large events
    from bunsui.aws.connections import Caller, Connections  # noqa: PLC0415 - likewise
    from bunsui.aws.s3 import Bucket, TooLong  # noqa: PLC0415 - likewise

    connections = Connections()
    try:
        at = Bucket(connections, bucket)
        return ask(connections, "s3", Caller(), lambda: at.get(key, MAX_EVENT))
    except TooLong as error:
        text = f"the event at s3://{bucket}/{key} has {error.args[0]:,} bytes; at most {MAX_EVENT:,} are read"
        raise ConfigError(text, hint="pass where the data is in place of it") from None
    finally:
        connections.close()
