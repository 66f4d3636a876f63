"""Alerts over HTTP: what a receiver gets, and what counts as taken."""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from attrs import evolve

from bunsui.aws.connections import Connections
from bunsui.errors import AlertNotTaken, ConfigError, StateError
from bunsui.monitoring.channels import http
from bunsui.monitoring.channels.options import check_options
from bunsui.monitoring.channels.webhook import WebhookChannel, signature
from bunsui.ports.alerts import AlertChannel
from bunsui.ports.services import Services
from bunsui.testing import AlertChannelSuite, FakeClock
from bunsui.testing.alert_channel.sending import full, minimal
from bunsui_tests.receiver import Receiver, free_port

NOW = datetime(2026, 1, 1, tzinfo=UTC)  # FakeClock's.
TOKEN = "tok-5f1c9a2e"


def made() -> AlertChannel:
    """The channel as a runner uses it."""
    return WebhookChannel().for_runner(Services(Connections(), FakeClock(), Random(0)))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


class TestWebhook(AlertChannelSuite):
    """A receiver on this machine; the URL has a token, and so has a header."""

    hidden = TOKEN
    patience = 20.0

    @pytest.fixture
    def channel(self, receiver: Receiver) -> AlertChannel:
        self.receiver = receiver
        self.options: Mapping[str, Any] = {
            "url": receiver.url(f"/{TOKEN}"),
            "secret": f"sign-{TOKEN}",
            "header_secrets": {"Authorization": f"Bearer {TOKEN}"},
        }
        return made()

    def received(self) -> Sequence[str]:
        return [posted.body.decode() for posted in self.receiver.taken]

    def failing(self) -> AbstractContextManager[object]:
        return self.receiver.failing()

    def hanging(self) -> AbstractContextManager[object]:
        self.options = {**self.options, "timeout": 1}
        return self.receiver.hanging()


class TestOneThatDrips(TestWebhook):
    """The same where an answer comes byte by byte: each of them is no reason to wait on."""

    def hanging(self) -> AbstractContextManager[object]:
        self.options = {**self.options, "timeout": 1}
        return self.receiver.dripping()


def test_what_is_posted(receiver: Receiver) -> None:
    """JSON, with an id that is the same when it is sent again, and a signature of time and body."""
    alert = full()
    options = {"url": receiver.url("/a/b?c=d"), "secret": "hunter2-é", "headers": {"X-Team": "data"}}
    made().send(alert, options)
    made().send(alert, options)
    first, second = receiver.got
    assert first.body == second.body
    assert ("/a/b?c=d", alert.to_dict()) == (first.path, json.loads(first.body))
    at = int(NOW.timestamp())
    digest = hmac.new("hunter2-é".encode(), f"{at}.".encode() + first.body, hashlib.sha256).hexdigest()
    wanted = {
        "content-type": "application/json",
        "x-team": "data",
        "x-bunsui-alert": alert.id,
        "idempotency-key": alert.id,
        "x-bunsui-on": "failure",
        "x-bunsui-signature": f"t={at},v1={digest}",
        "host": f"127.0.0.1:{receiver.port}",
    }
    assert wanted == {name: first.headers[name] for name in wanted}


def test_the_signature_is_stripes() -> None:
    """Its scheme: https://docs.stripe.com/webhooks#verify-manually, over the time, a full stop, the body."""
    digest = hmac.new(b"whsec", b'1492774577.{"a": 1}', hashlib.sha256).hexdigest()
    assert f"t=1492774577,v1={digest}" == signature(b'{"a": 1}', "whsec", 1492774577)


def test_without_a_secret(receiver: Receiver) -> None:
    """There is no signature, rather than one of nothing."""
    made().send(minimal(), {"url": receiver.url()})
    assert "x-bunsui-signature" not in receiver.got[0].headers


def test_texts_in_headers(receiver: Receiver) -> None:
    """What can't stand in a header does not: no line of it becomes a header of its own."""
    made().send(evolve(minimal(), id="a\r\nX-Evil: 1", on="b\né"), {"url": receiver.url()})
    headers = receiver.got[0].headers
    assert ("a??X-Evil: 1", "b??") == (headers["x-bunsui-alert"], headers["x-bunsui-on"])
    assert "x-evil" not in headers


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_what_is_taken(receiver: Receiver, status: int) -> None:
    """Any answer of the class 2xx."""
    receiver.status = status
    made().send(minimal(), {"url": receiver.url()})
    assert 1 == len(receiver.taken)


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 404, 410, 429, 500, 503])
def test_what_is_not_taken(receiver: Receiver, status: int) -> None:
    """Any other; a redirect is not followed, whoever it leads to."""
    receiver.status = status
    receiver.headers["Location"] = receiver.url("/elsewhere")
    with pytest.raises(AlertNotTaken) as caught:
        made().send(minimal(), {"url": receiver.url()})
    assert (f"its server answered with the status {status}", ["/alerts"]) == (
        caught.value.message,
        [posted.path for posted in receiver.got],
    )
    hint = "redirects are not followed: configure the URL that it leads to" if status < 400 else None
    assert hint == caught.value.hint


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("99999999", http.MAX_RETRY_AFTER),
        ((NOW + timedelta(seconds=90)).strftime("%a, %d %b %Y %H:%M:%S GMT"), 90.0),
        ((NOW - timedelta(seconds=90)).strftime("%a, %d %b %Y %H:%M:%S GMT"), 0.0),
        ("-5", None),
        ("soon", None),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999", None),
        ("1.5", None),
        (None, None),
    ],
)
def test_when_to_ask_again(receiver: Receiver, said: str | None, expected: float | None) -> None:
    """What the server says of that, as seconds; what it can't mean says nothing."""
    receiver.status = 429
    receiver.headers |= {} if said is None else {"Retry-After": said}
    with pytest.raises(AlertNotTaken) as caught:
        made().send(minimal(), {"url": receiver.url()})
    assert expected == caught.value.retry_after


def test_when_to_ask_again_after_it_was_taken(receiver: Receiver) -> None:
    """Whatever stands there, the alert was taken."""
    receiver.status = 200
    receiver.headers["Retry-After"] = "Mon, 01 Jan 2024 00:00:00 +99999999999999"
    made().send(minimal(), {"url": receiver.url()})


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"hello\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 204 x\r\n" + b"a: b\r\n" * 200,
        b"\0" * 99_999,
    ],
)
def test_what_is_no_answer(receiver: Receiver, raw: bytes) -> None:
    """What is no HTTP, or has no end, is no success, and nothing of it is shown."""
    receiver.raw = raw
    with pytest.raises(AlertNotTaken, match=r"^its server (gave no answer of HTTP|could not be reached)"):
        made().send(minimal(), {"url": receiver.url()})


def test_nobody_listens() -> None:
    """The error says why, and nothing of the URL."""
    with pytest.raises(AlertNotTaken) as caught:
        made().send(minimal(), {"url": f"http://127.0.0.1:{free_port()}/{TOKEN}"})
    assert "its server could not be reached: Connection refused" == caught.value.message
    assert caught.value.__context__ is None


def test_no_proxy(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment sends it nowhere else."""
    with Receiver() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url(""))
        made().send(minimal(), {"url": receiver.url()})
        assert ([], 1) == (proxy.got, len(receiver.taken))


def test_the_url_may_be_a_secret(receiver: Receiver) -> None:
    """A URL that is all that one needs to write to it stands in no file."""
    made().send(minimal(), {"url_secret": f"{receiver.url('/hook')}\n"})
    assert ["/hook"] == [posted.path for posted in receiver.taken]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url_secret": TOKEN}, "the secret that 'url_secret' names is no URL"),
        (
            {"url_secret": f"http://example.org/{TOKEN}"},
            "the secret that 'url_secret' names is no URL of https",
        ),
        (
            {"url": "http://127.0.0.1/", "secret": ""},
            "the secret that 'secret' names is empty: anybody could sign with it",
        ),
        ({"url": "http://127.0.0.1:99999/"}, "the URL of the webhook has a port that is none"),
        (
            {"url": "http://127.0.0.1/", "header_secrets": {"Authorization": f"{TOKEN}\r\nX: y"}},
            "the secret of the header 'Authorization' is no text of one line in ASCII",
        ),
    ],
)
def test_secrets_that_are_wrong(options: dict[str, Any], said: str) -> None:
    """They are refused before anything is sent, and not shown."""
    with pytest.raises(ConfigError) as caught:
        made().send(minimal(), options)
    assert said == str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"url": "https://example.org"},
        {"url": "https://example.org:8443/a?b=c%20d"},
        {"url": "http://localhost"},
        {"url": "http://127.0.0.1:80/x"},
        {"url": "http://[::1]:80/x"},
        {"url": "http://example.org/", "allow_http": True},
        {"url_secret": "hook", "secret": "key", "headers": {"X-A": "b"}, "header_secrets": {"X-C": "d"}},
    ],
)
def test_options_that_are_right(options: dict[str, Any]) -> None:
    """What its schema takes."""
    check_options(options, WebhookChannel.schema, "it")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "it needs either url, or url_secret"),
        ({"url": "https://a/", "url_secret": "b"}, "it needs either url, or url_secret"),
        ({"url": "http://hidden.org/"}, "its URL is one of https"),
        ({"url": "http://hidden.org/", "allow_http": False}, "its URL is one of https"),
        ({"url": "http://127.0.0.1.hidden.org/"}, "its URL is one of https"),
        ({"url": "http://localhost.hidden.org/"}, "its URL is one of https"),
        ({"url": "https://user:password@hidden.org/"}, "it.url is not a URL, such as"),
        ({"url": "https://hidden.org/#x"}, "it.url is not a URL, such as"),
        ({"url": "https://hidden.org/a b"}, "it.url is not a URL, such as"),
        ({"url": "https://hidden.org/\n"}, "it.url is not a URL, such as"),
        ({"url": "ftp://hidden.org/"}, "it.url is not a URL, such as"),
        ({"url": "hidden.org"}, "it.url is not a URL, such as"),
        ({"url": "https://a/", "headers": {"Host": "b"}}, "it.headers has the key 'Host'"),
        (
            {"url": "https://a/", "headers": {"x-bunsui-alert": "b"}},
            "it.headers has the key 'x-bunsui-alert'",
        ),
        ({"url": "https://a/", "headers": {"A:": "b"}}, "it.headers has the key 'A:'"),
        ({"url": "https://a/", "headers": {"A": "b\r\nC: d"}}, "it.headers.A is not a text of one line"),
        ({"url": "https://a/", "timeout": 51}, "it.timeout is not a number of seconds above 0, at most 50"),
        ({"url": "https://a/", "timeout": 0}, "it.timeout is not a number of seconds above 0, at most 50"),
        ({"url": "https://a/", "secrets": "b"}, "it has no option 'secrets'; did you mean 'secret'?"),
    ],
)
def test_options_that_are_wrong(options: dict[str, Any], said: str) -> None:
    """Each fault is named, and no value is shown."""
    with pytest.raises(ConfigError) as caught:
        check_options(options, WebhookChannel.schema, "it")
    assert said in str(caught.value)
    assert "hidden" not in str(caught.value)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of this machine's address that nobody trusts by itself, with its key."""
    folder = tmp_path_factory.mktemp("tls")
    path = folder / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=test",
         "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    return path


def test_over_tls(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that is trusted is; any other ends it, before anything was said."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Receiver(context) as receiver:
        options = {"url": receiver.url(f"/{TOKEN}")}
        with pytest.raises(AlertNotTaken) as caught:
            made().send(minimal(), options)
        assert "its server could not be reached: self-signed certificate" == caught.value.message
        assert [] == receiver.got
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        made().send(minimal(), options)
        assert [f"/{TOKEN}"] == [posted.path for posted in receiver.taken]


def test_one_that_no_runner_has_asked() -> None:
    """It has no clock to sign with."""
    with pytest.raises(StateError, match="by a Runner, which has not been asked"):
        WebhookChannel().send(minimal(), {"url": "http://127.0.0.1/"})
