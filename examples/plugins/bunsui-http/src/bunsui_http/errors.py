"""What went wrong, as a job says it: a stable code, a message, and whether another attempt can help.

A message names the method, the host and the path, never the query, a header or a body.
"""

from __future__ import annotations

import ssl
from http.client import responses
from typing import TYPE_CHECKING

import httpx

import bunsui

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bunsui_http.request import Request

#: Statuses after which the same request may succeed.
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
#: Those of them with which a server says that it did not take the request on.
NOT_TAKEN_ON = frozenset({425, 429, 503})


def unexpected(status: int, request: Request) -> bunsui.JobError:
    """The error for a status that is not a success."""
    text = f"{request.shown}: the answer was {status} {responses.get(status, '')}".rstrip()
    if 300 <= status < 400 and not request.follow_redirects:
        text += "; 'follow_redirects: true' goes where it points to"
    retryable = status in (PASSING if request.is_repeatable else NOT_TAKEN_ON)
    return bunsui.JobError(text, code=f"Http.{status}", retryable=retryable)


def translated(error: httpx.HTTPError | httpx.InvalidURL, request: Request) -> bunsui.JobError:
    """The error for what httpx raised."""
    match error:
        case httpx.InvalidURL() | httpx.UnsupportedProtocol() | httpx.LocalProtocolError():
            # Not in its own words: they may quote a header.
            return refused(request, "it can't be sent: the URL, or a header, has characters it can't have")
        case httpx.TooManyRedirects():
            return _error("TooManyRedirects", f"{request.shown}: too many redirects", retryable=False)
        case httpx.DecodingError():
            text = f"{request.shown}: the body is not packed as its Content-Encoding says"
            return _error("InvalidBody", text, retryable=False)
        case httpx.ConnectTimeout():
            text = f"{request.shown}: no connection within {request.connect_timeout:g} s"
            return _error("ConnectTimeout", text, retryable=True)
        case httpx.ConnectError() | httpx.ProxyError():
            if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
                text = f"{request.shown}: the server's certificate is not trusted ({error})"
                return _error("UntrustedCertificate", text, retryable=False)
            return _error("ConnectError", f"{request.shown}: no connection ({error})", retryable=True)
        case httpx.TimeoutException():
            text = f"{request.shown}: the server was silent for {request.read_timeout:g} s"
            return _ambiguous("Timeout", text, request)
        case _:
            text = f"{request.shown}: the connection was lost ({error or type(error).__name__})"
            return _ambiguous("Disconnected", text, request)


def refused(request: Request, why: str) -> bunsui.JobError:
    """The error for a request that is wrong in itself."""
    return _error("InvalidRequest", f"{request.shown}: {why}", retryable=False)


def _ambiguous(code: str, text: str, request: Request) -> bunsui.JobError:
    if not request.is_repeatable:
        text += "; it may have had its effect, and has no idempotency key, so it is not sent again"
    return _error(code, text, retryable=request.is_repeatable)


def _error(code: str, text: str, *, retryable: bool) -> bunsui.JobError:
    return bunsui.JobError(text, code=f"Http.{code}", retryable=retryable)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
