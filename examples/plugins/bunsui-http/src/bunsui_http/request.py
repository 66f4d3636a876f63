"""What a job asks for: its fields with their defaults, checked and in plain values."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bunsui_http import schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    import bunsui

#: Methods which, by RFC 9110 section 9.2.2, have no more effect when they are repeated.
IDEMPOTENT = frozenset(schema.METHODS) - {"POST", "PATCH"}


@dataclass(frozen=True)
class Request:
    """One request. It may hold secrets, so only `shown` is for messages."""

    method: str
    url: str
    headers: Mapping[str, str]
    query: Mapping[str, str | list[str]]
    #: None: there is none; else the bytes, and what type they are.
    body: tuple[bytes, str] | None
    expect: tuple[int | str, ...]
    follow_redirects: bool
    #: Seconds.
    connect_timeout: float
    read_timeout: float
    max_wait: float
    max_bytes: int
    into: Path | None
    response_headers: tuple[str, ...]

    @classmethod
    def of(cls, call: bunsui.JobCall) -> Request:
        """The request of a call, whose fields were checked: by the schema and by `HttpJobType.check`."""
        options = call.options
        method = options.get("method", "GET")
        headers = {name: str(value) for name, value in _given(options, "headers").items()}
        given = {name.lower() for name in headers}
        if "user-agent" not in given:
            headers["User-Agent"] = "bunsui-http"
        if options.get("idempotency_key", method not in IDEMPOTENT) and "idempotency-key" not in given:
            headers["Idempotency-Key"] = idempotency_key(call)
        return cls(
            method=method,
            url=options["url"],
            headers=headers,
            query={name: _query(value) for name, value in _given(options, "query").items()},
            body=_body(options),
            expect=tuple(options.get("expect", ["2xx"])),
            follow_redirects=options.get("follow_redirects", False),
            connect_timeout=options.get("connect_timeout", schema.CONNECT_TIMEOUT),
            read_timeout=options.get("read_timeout", schema.READ_TIMEOUT),
            max_wait=options.get("max_wait", schema.MAX_WAIT),
            max_bytes=options.get("max_bytes", schema.MAX_BYTES),
            into=_file(options.get("into"), call.folder),
            response_headers=tuple(options.get("response_headers", ["content-type"])),
        )

    @property
    def shown(self) -> str:
        """The request as messages name it: without what most often is a secret, the query and the user."""
        parts = urlsplit(self.url)
        return f"{self.method} {parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    @property
    def is_repeatable(self) -> bool:
        """Whether it may be sent again where nobody knows if it had its effect."""
        named = {name.lower() for name in self.headers}
        return self.method in IDEMPOTENT or "idempotency-key" in named

    def expects(self, status: int) -> bool:
        """Whether a status is a success."""
        return status in self.expect or f"{status // 100}xx" in self.expect


def url_problem(url: str) -> str | None:
    """What is wrong with a URL, without a word of it, since it may hold a secret; None: nothing is."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises where it is no number
    except ValueError:
        return "'url' can't be read as a URL"
    if parts.scheme not in ("http", "https"):
        return "'url' must begin with http:// or https://"
    if not parts.hostname:
        return "'url' has no host"
    return None


def idempotency_key(call: bunsui.JobCall) -> str:
    """What names the job's work to the server: 64 hexadecimal digits.

    `call.idempotency_key` names one attempt. Where the answer of an attempt was lost, and another one
    follows, the server has to know that it is the same work: so this one is the same for all attempts of
    the job (or of its item) in this session, and differs in each other session.
    """
    unit = call.job_id if call.item_index is None else f"{call.job_id}\0{call.item_index}"
    return hashlib.sha256(f"{call.session_id}\0{unit}".encode()).hexdigest()


def _given(options: Mapping[str, Any], field: str) -> dict[str, Any]:
    """What stands in a mapping, without what is null: an optional parameter that was not given is."""
    return {name: value for name, value in options.get(field, {}).items() if value is not None}


def _query(value: Any) -> str | list[str]:
    return [_text(item) for item in value] if isinstance(value, list) else _text(value)


def _text(value: Any) -> str:
    """A value as the query has it: true and false as JSON writes them."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _body(options: Mapping[str, Any]) -> tuple[bytes, str] | None:
    import json  # noqa: PLC0415 - only where there is one

    if "json" in options:
        return json.dumps(options["json"], allow_nan=False).encode(), "application/json"
    if "text" in options:
        return options["text"].encode(), "text/plain; charset=utf-8"
    return None


def _file(name: str | None, folder: Path | None) -> Path | None:
    """A file beside the definition; where that has no folder, in the working directory."""
    return None if name is None else (folder or Path.cwd()) / name
