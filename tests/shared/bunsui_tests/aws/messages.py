"""What goes over the wire, and what is kept of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from attrs import Factory, frozen

_SCOPE = re.compile(r"Credential=([^/,]+)/\d{8}/([^/,]+)/([^/,]+)/aws4_request")


@frozen
class Request:
    """A request as it came in."""

    method: str
    #: Without the query, still quoted.
    path: str
    query: dict[str, str]
    #: By their names in lower case.
    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Request:
        """The request for a target, such as ``/path?query``."""
        parts = urlsplit(target)
        names = {name.lower(): value for name, value in headers.items()}
        return cls(method, parts.path, dict(parse_qsl(parts.query, keep_blank_values=True)), names, body)

    @property
    def scope(self) -> tuple[str, str, str] | None:
        """The access key, the region and the service that it is signed for; None where it is not signed."""
        found = _SCOPE.search(self.headers.get("authorization", ""))
        return (found[1], found[2], found[3]) if found else None


@frozen
class Call:
    """A call that the endpoint got; a new one takes its place when it has been answered."""

    #: Of all calls, starts at 1.
    number: int
    #: As the signature names it: ``ecs``, ``lambda``, ``states``, ``sts``, ``logs``.
    service: str
    #: ``RunTask``; ``?`` where the request is for none that the service knows.
    action: str
    #: By the names of AWS's API. Lambda's ``Payload`` is bytes, its ``ClientContext`` what was encoded.
    parameters: dict[str, Any]
    #: By their names in lower case.
    headers: dict[str, str]
    access_key: str
    account: str
    region: str
    #: When it came (seconds, monotonic).
    started: float
    #: When it was over, answered or dropped (seconds, monotonic); None until then.
    answered: float | None = None
    #: The HTTP status of the answer; None until there is one, and where it was dropped.
    status: int | None = None
    #: The error's code; None where there was none.
    error: str | None = None


@frozen
class Reply:
    """An answer."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = Factory(dict)
    #: The code of the error that it is.
    error: str | None = None


class Refusal(Exception):
    """An error that AWS answers with.

    Args:
        code: Its code, such as ``ClusterNotFoundException``.
        message: What it says.
        status: The HTTP status.
        members: What else stands in the answer.
    """

    def __init__(self, code: str, message: str, status: int = 400, **members: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.members = members


class Dropped(Exception):
    """The connection is closed without an answer."""


def encoded(value: Any) -> bytes:
    """A value as JSON."""
    return json.dumps(value).encode()
