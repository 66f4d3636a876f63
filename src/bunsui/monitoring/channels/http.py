"""One POST over HTTP with a bound for all of it: no redirects, no proxies, no URL in an error.

It is made of the standard library's parts. Those that are built on it follow redirects and read proxies from
the environment unless they are told not to, and bound each wait rather than the whole: a server that sends a
byte now and then would hold a request for ever.
"""

from __future__ import annotations

import io
import socket
import time
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import SplitResult, urlsplit

from attrs import frozen

from bunsui.errors import AlertNotTaken, ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

#: Seconds until a connection is there.
CONNECT_TIMEOUT = 5.0
#: Seconds that a server may ask to be left alone, at most: a day.
MAX_RETRY_AFTER = 86_400.0
#: A URL without a user, a password and a fragment, which need no escaping.
URL_PATTERN = r"^https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?([/?][!-\"$-~]*)?(?!\n)$"
#: Of these, what nobody on the way can read: with TLS, or to this machine.
SAFE_URL_PATTERN = r"^(?!http://)|^http://(localhost|127\.[0-9.]+|\[::1\])([:/?]|(?!\n)$)"


@frozen
class Answer:
    """What a server said."""

    status: int
    #: Seconds; None: it does not say.
    retry_after: float | None


def parts_of(url: str) -> SplitResult:
    """The parts of a URL that was checked with `URL_PATTERN`.

    Raises:
        ConfigError: its port is none.
    """
    parts = urlsplit(url)
    try:
        _ = parts.port
    except ValueError:
        raise ConfigError("the URL of the webhook has a port that is none") from None
    return parts


def post(url: str, body: bytes, headers: Mapping[str, str], seconds: float, now: datetime) -> Answer:
    """Sends `body`, and gives what the server said of it. Its text is not read.

    Args:
        url: see `parts_of`.
        body: what is sent.
        headers: beside ``Host`` and ``Content-Length``.
        seconds: the most that all of it takes, looking up the name apart.
        now: the time, for a ``Retry-After`` that names one.

    Raises:
        AlertNotTaken: there was no answer. Its text has nothing of the URL.
        ConfigError: see `parts_of`.
    """
    parts = parts_of(url)
    deadline = time.monotonic() + seconds
    failed: str
    try:
        return _posted(parts, body, headers, deadline, now)
    except TimeoutError:
        failed = f"its server gave no answer in {seconds:g} seconds"
    except OSError as error:
        # Of TLS, what was wrong with the certificate; not the host, which an error of that has in its text.
        reason = getattr(error, "verify_message", None) or error.strerror or type(error).__name__
        failed = f"its server could not be reached: {reason}"
    except (HTTPException, ValueError) as error:
        failed = f"its server gave no answer of HTTP ({type(error).__name__})"
    raise AlertNotTaken(failed)  # Not in a handler, whose error may have the URL.


def _posted(
    parts: SplitResult, body: bytes, headers: Mapping[str, str], deadline: float, now: datetime
) -> Answer:
    host, is_secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if is_secure else 80)
    link: Any = socket.create_connection((host, port), min(CONNECT_TIMEOUT, _left(deadline)))
    try:
        kind = HTTPSConnection if is_secure else HTTPConnection
        connection = kind(host, port)
        if is_secure:
            import ssl  # noqa: PLC0415 - 10 ms that only TLS needs

            link.settimeout(_left(deadline))
            link = ssl.create_default_context().wrap_socket(link, server_hostname=host)
        link.settimeout(_left(deadline))
        connection.sock = link
        target = parts.path or "/"
        connection.request("POST", f"{target}?{parts.query}" if parts.query else target, body, dict(headers))
        response = HTTPResponse(cast("socket.socket", _Bounded(link, deadline)), method="POST")
        with response:
            response.begin()
            after = None if 200 <= response.status < 300 else response.getheader("Retry-After")
            return Answer(response.status, _retry_after(after, now))
    finally:
        link.close()


def _left(deadline: float) -> float:
    """Seconds that are left.

    Raises:
        TimeoutError: none.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class _Bounded:
    """A socket as `HTTPResponse` reads it, up to a point in time: each byte that comes does not move it."""

    def __init__(self, link: socket.socket, deadline: float) -> None:
        self._link = link
        self._deadline = deadline

    def makefile(self, mode: str) -> io.BufferedReader:
        """See `socket.socket.makefile`; only ``rb`` is asked for."""
        del mode
        return io.BufferedReader(_Reader(self._link, self._deadline))


class _Reader(io.RawIOBase):
    def __init__(self, link: socket.socket, deadline: float) -> None:
        self._link = link
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        self._link.settimeout(_left(self._deadline))
        return self._link.recv_into(buffer)


def _retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds, as a number or as a time: RFC 9110, section 10.2.3. What is neither says nothing."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return min(float(text), MAX_RETRY_AFTER)
    try:
        seconds = (parsedate_to_datetime(text) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):  # No time, one without a zone, or in one that is none.
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)
