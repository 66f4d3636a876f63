"""A request and its answer, in the event loop. The only module that imports httpx at once."""

from __future__ import annotations

import asyncio
import logging
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import httpx

from bunsui_http import answer, errors

if TYPE_CHECKING:
    import ssl

    import bunsui
    from bunsui_http.request import Request

#: Statuses with which a server may say when to ask again.
BUSY = (429, 503)
#: Seconds between two requests at least, whatever the server says.
SHORTEST_WAIT = 1.0

#: Whether this code runs for a job.
_for_a_job: ContextVar[bool] = ContextVar("bunsui_http_for_a_job", default=False)


def _is_not_for_a_job(record: logging.LogRecord) -> bool:
    del record
    return not _for_a_job.get()


# httpx logs each URL as it is, at INFO: a secret in it would stand in the log of whatever program runs the
# job. What others do with httpx in that program is logged as before.
logging.getLogger("httpx").addFilter(_is_not_for_a_job)


async def exchange(request: Request, call: bunsui.JobCall) -> dict[str, Any]:
    """Sends a request and returns the job's output.

    A server that is busy and says until when is asked again within the attempt, as it has not taken the
    request on. All else is left to the job's ``retry``.

    Raises:
        JobError: there is no answer, or not one that is expected.
    """
    waited = 0.0
    _for_a_job.set(True)  # The context is this attempt's own.
    try:
        # A client for each attempt: no cookie and no connection of one job is another one's.
        async with httpx.AsyncClient(
            verify=await asyncio.to_thread(_tls),
            timeout=httpx.Timeout(request.read_timeout, connect=request.connect_timeout),
            follow_redirects=request.follow_redirects,
        ) as client:
            sent = _built(client, request)
            while True:
                began = time.monotonic()
                response = await client.send(sent, stream=True)
                try:
                    wait = _asked_to_wait(response, request)
                    if wait is None or not _has_time(call, request, waited, wait):
                        output = await answer.take(response, request)
                        took = time.monotonic() - began
                        call.logger.info("%s: %d in %.3f s", request.shown, response.status_code, took)
                        return output
                finally:
                    await response.aclose()
                text = "%s: %d, asked to come back in %g s"
                call.logger.warning(text, request.shown, response.status_code, wait)
                await asyncio.sleep(wait)
                waited += wait
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # `from None`: its own text may quote what is secret.
        raise errors.translated(error, request) from None


@cache
def _tls() -> ssl.SSLContext:
    """What TLS connections trust. Reading it takes 20 ms, so it is done once, and not in the event loop."""
    return httpx.create_ssl_context()


def _built(client: httpx.AsyncClient, request: Request) -> httpx.Request:
    content, kind = request.body or (None, None)
    try:
        # `params=` would take the place of what the URL says itself.
        url = httpx.URL(request.url).copy_merge_params(request.query)
        headers = httpx.Headers(dict(request.headers))
        if kind is not None:
            headers.setdefault("Content-Type", kind)
        return client.build_request(request.method, url, headers=headers, content=content)
    except ValueError:  # Its text would quote the value.
        raise errors.refused(request, "a header has characters that are not ASCII") from None


def _asked_to_wait(response: httpx.Response, request: Request) -> float | None:
    """Seconds after which a busy server wants to be asked again; None where it says nothing of the kind."""
    if response.status_code not in BUSY or request.expects(response.status_code):
        return None
    seconds = retry_after(response.headers.get("Retry-After", ""), datetime.now(UTC))
    return None if seconds is None else max(seconds, SHORTEST_WAIT)


def _has_time(call: bunsui.JobCall, request: Request, waited: float, wait: float) -> bool:
    """Whether a wait is within what the job allows, and ends before the attempt does."""
    if waited + wait > request.max_wait:
        return False
    return call.deadline is None or time.monotonic() + wait < call.deadline


def retry_after(value: str, now: datetime) -> float | None:
    """Seconds that a ``Retry-After`` (RFC 9110 section 10.2.3) asks for, which is a number or a date.

    Returns:
        None for one that can't be read; less than 0 for a date that is over.
    """
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()
