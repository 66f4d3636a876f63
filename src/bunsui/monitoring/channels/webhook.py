"""Alerts to a server of one's own choice, over HTTP, signed."""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING, Any, ClassVar

from bunsui.errors import AlertNotTaken, ConfigError, StateError
from bunsui.monitoring.channels.http import SAFE_URL_PATTERN, URL_PATTERN, post
from bunsui.monitoring.channels.texts import as_json
from bunsui.ports.alerts import AlertChannel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bunsui.ports.alerts import Alert
    from bunsui.ports.permissions import Permission, Where
    from bunsui.ports.services import Services

#: Seconds for one attempt, where nothing else is said; and at most, so that it ends before it is given up.
TIMEOUT, MAX_TIMEOUT = 20.0, 50.0
#: Has the signature, the id, and what it is about.
SIGNATURE, ID, ON = "X-Bunsui-Signature", "X-Bunsui-Alert", "X-Bunsui-On"
#: The same id, by the name that many servers know: Stripe's API and others take it for "only once".
IDEMPOTENCY = "Idempotency-Key"
_OWN = ("host", "content-length", "content-type", "transfer-encoding", IDEMPOTENCY.lower(), "x-bunsui-.*")
#: The name of a header (RFC 9110, section 5.1), but for those that are set here.
_HEADER_NAME = rf"^(?!(?i:{'|'.join(_OWN)})$)[!#$%&'*+.^_`|~0-9A-Za-z-]{{1,64}}(?!\n)$"
_HEADER_VALUE = r"^[ -~]{0,4096}(?!\n)$"
_HEADERS = {
    "type": "object",
    "propertyNames": {
        "pattern": _HEADER_NAME,
        "title": "names of headers, but for those that bunsui sets itself",
    },
    "title": "a table of headers, each a text of one line in ASCII",
}


class WebhookChannel(AlertChannel):
    """Posts alerts as JSON to a URL. Any answer of the class 2xx is one that has taken it.

    Args:
        services: of the runner that it is used by.
    """

    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "url": {
                "type": "string",
                "pattern": URL_PATTERN,
                "title": "a URL, such as https://alerts.example.org/bunsui, without user, password or '#'",
            },
            "url_secret": {"type": "string", "title": "the name of a secret that is the URL"},
            "secret": {"type": "string", "title": "the name of the secret that messages are signed with"},
            "headers": {
                **_HEADERS,
                "additionalProperties": {
                    "type": "string",
                    "pattern": _HEADER_VALUE,
                    "title": "a text of one line in ASCII",
                },
            },
            "header_secrets": {
                **_HEADERS,
                "additionalProperties": {
                    "type": "string",
                    "title": "the name of a secret that is the header's value",
                },
                "title": "a table of headers, each with the name of a secret that is its value",
            },
            "allow_http": {"type": "boolean", "default": False, "title": "true or false"},
            "timeout": {
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": MAX_TIMEOUT,
                "default": TIMEOUT,
                "title": f"a number of seconds above 0, at most {MAX_TIMEOUT:g}",
            },
        },
        "allOf": [
            {
                "oneOf": [{"required": ["url"]}, {"required": ["url_secret"]}],
                "title": "it needs either url, or url_secret, the name of a secret that is the URL",
            },
            {
                "anyOf": [
                    {"properties": {"url": {"pattern": SAFE_URL_PATTERN}}},
                    {"properties": {"allow_http": {"const": True}}, "required": ["allow_http"]},
                ],
                "title": "its URL is one of https; of http only to this machine, or with allow_http = true,"
                " as anybody on the way could read it",
            },
        ],
    }
    secret_options: ClassVar[tuple[str, ...]] = ("url_secret", "secret", "header_secrets")

    def __init__(self, services: Services | None = None) -> None:
        self._services = services

    def for_runner(self, services: Services) -> WebhookChannel:
        """See `AlertChannel.for_runner`."""
        return type(self)(services)

    def send(self, alert: Alert, options: Mapping[str, Any]) -> None:
        """See `AlertChannel.send`.

        Raises:
            AlertNotTaken: the server did not answer, or not with 2xx; a redirect is not followed.
            ConfigError: a secret is no URL, can't be the value of a header, or is empty and to sign with.
        """
        if self._services is None:
            raise StateError("alerts are posted by a Runner, which has not been asked here")
        url = _url(options)
        body = as_json(alert).encode()
        now = self._services.clock.now()
        headers = {**options.get("headers", {}), **options.get("header_secrets", {})}
        _check_headers(headers)
        headers |= {
            "Content-Type": "application/json",
            "User-Agent": "bunsui",
            ID: _as_header(alert.id),
            IDEMPOTENCY: _as_header(alert.id),
            ON: _as_header(alert.on),
        }
        if "secret" in options:
            if not options["secret"]:
                raise ConfigError("the secret that 'secret' names is empty: anybody could sign with it")
            headers[SIGNATURE] = signature(body, options["secret"], int(now.timestamp()))
        answer = post(url, body, headers, options.get("timeout", TIMEOUT), now)
        if not 200 <= answer.status < 300:
            raise AlertNotTaken(
                f"its server answered with the status {answer.status}",
                hint=_HINTS.get(answer.status // 100),
                retry_after=answer.retry_after,
            )

    def permissions(self, options: Mapping[str, Any], where: Where) -> Iterable[Permission]:
        """See `AlertChannel.permissions`: nothing is called at AWS."""
        del options, where
        return ()


_HINTS = {3: "redirects are not followed: configure the URL that it leads to"}


def signature(body: bytes, secret: str, at: int) -> str:
    """``t=<at>,v1=<digest>``, the digest being the HMAC-SHA256 of ``<at>.<body>`` in hexadecimal digits.

    It is the scheme of Stripe (https://docs.stripe.com/webhooks#verify-manually), for which there is code in
    most languages. With the time in it, a message that somebody has caught can't be sent again later.

    Args:
        body: what is sent.
        secret: what both sides know.
        at: Unix time in seconds.
    """
    digest = hmac.digest(secret.encode(errors="surrogateescape"), b"%d.%b" % (at, body), "sha256")
    return f"t={at},v1={digest.hex()}"


def _url(options: Mapping[str, Any]) -> str:
    """The URL, which is known only now where it is a secret."""
    url: str = options["url"] if "url" in options else options["url_secret"].strip()
    if not re.search(URL_PATTERN, url):
        raise ConfigError("the secret that 'url_secret' names is no URL")
    if not options.get("allow_http") and not re.search(SAFE_URL_PATTERN, url):
        raise ConfigError("the secret that 'url_secret' names is no URL of https")
    return url


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not re.search(_HEADER_VALUE, value):
            raise ConfigError(f"the secret of the header '{name}' is no text of one line in ASCII")


def _as_header(text: str) -> str:
    """A text as the value of a header."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)[:200]
