"""The answer, as the job's output: read within its bounds, parsed or saved."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any, TypeVar

import bunsui
from bunsui_http import errors
from bunsui_http.file import NewFile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import httpx

    from bunsui_http.request import Request

_Returned = TypeVar("_Returned")

#: Bytes that are taken from the network at once, and written at once.
CHUNK = 2**18


async def take(response: httpx.Response, request: Request) -> dict[str, Any]:
    """The output of a job whose request has this answer, of which only the head was read.

    Raises:
        JobError: its status is not expected, or its body is too large or not what it should be.
        httpx.HTTPError: the rest of it can't be read.
    """
    if not request.expects(response.status_code):
        raise errors.unexpected(response.status_code, request)
    headers = {
        name.lower(): response.headers[name] for name in request.response_headers if name in response.headers
    }
    output: dict[str, Any] = {"status": response.status_code, "headers": headers}
    if request.into is not None:
        return {**output, **await _saved(response, request)}
    content = b"".join([chunk async for chunk in _bounded(response, request)])
    # Not in the event loop: parsing megabytes would hold everybody up.
    return {**output, "body": await asyncio.to_thread(_parsed, content, response, request)}


async def _bounded(response: httpx.Response, request: Request) -> AsyncIterator[bytes]:
    """The body, unpacked, as it arrives."""
    size = 0
    async for chunk in response.aiter_bytes(CHUNK):
        size += len(chunk)
        if size > request.max_bytes:
            text = f"{request.shown}: the body has more than {request.max_bytes:,} bytes; see 'max_bytes'"
            raise bunsui.JobError(text, code="Http.TooLarge", retryable=False)
        yield chunk


async def _saved(response: httpx.Response, request: Request) -> dict[str, Any]:
    assert request.into is not None
    file = NewFile(request.into)
    try:
        await _to_its_end(file.open)
        async for chunk in _bounded(response, request):
            await _to_its_end(file.write, chunk)
        return await _to_its_end(file.keep)
    except OSError as error:
        text = f"{request.into} can't be written: {error.strerror or error}"
        raise bunsui.JobError(text, code="Http.NotSaved", retryable=True) from error
    finally:
        file.discard()


async def _to_its_end(function: Callable[..., _Returned], *arguments: Any) -> _Returned:
    """What a function returns that runs in a thread; who is cancelled meanwhile is so when it has ended.

    No thread can be stopped: one that still opens or writes a file must not meet somebody who discards that.
    """
    # A future, not a task: an event loop that shuts down cancels all of its tasks.
    running = asyncio.get_running_loop().run_in_executor(None, function, *arguments)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            with contextlib.suppress(asyncio.CancelledError):  # Cancelled again.
                await asyncio.wait([running])
        running.exception()  # Looked at, so that nobody logs it: the cancellation says more.
        raise


def _parsed(content: bytes, response: httpx.Response, request: Request) -> Any:
    """JSON where the answer says that it is JSON, else text; None where there is none."""
    if not content:
        return None
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        try:
            return json.loads(content, parse_constant=_refuse)
        except (ValueError, RecursionError):
            text = f"{request.shown}: the body should be JSON, by its Content-Type, and is not"
            raise bunsui.JobError(text, code="Http.InvalidBody", retryable=False) from None
    charset = response.charset_encoding or "utf-8"
    try:
        return content.decode(charset)
    except (LookupError, ValueError):
        text = f"{request.shown}: the body is no text in {charset}; 'into' saves it to a file"
        raise bunsui.JobError(text, code="Http.InvalidBody", retryable=False) from None


def _refuse(constant: str) -> None:
    """NaN and the infinities, which Python's parser takes, are not JSON."""
    raise ValueError(constant)
