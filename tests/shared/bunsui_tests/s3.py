"""An S3 that counts what it is asked, and fails when it is told to: moto's server behind a relay."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import pytest
from attrs import define, field, frozen

from bunsui_tests.aws.policies import Need, Policies

#: What makes an AWS of nobody's: no file and no machine of AWS's is asked for credentials.
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}
BUCKET = "bucket"
_HOP = frozenset({"connection", "transfer-encoding", "content-length", "server", "date"})


@frozen
class Request:
    """One that was sent to S3."""

    method: str
    #: The key; empty for one about the bucket.
    key: str
    query: str
    #: Bytes of its body.
    size: int

    @property
    def need(self) -> Need:
        """What its sender has to be allowed: see "Required permissions" of operations in S3's guide."""
        if not self.key:
            return Need("s3:ListBucket", f"arn:aws:s3:::{BUCKET}")
        actions = {"GET": "GetObject", "HEAD": "GetObject", "DELETE": "DeleteObject"}
        action = actions.get(self.method, "PutObject")
        if self.method == "DELETE" and "uploadId" in self.query:
            action = "AbortMultipartUpload"
        return Need(f"s3:{action}", f"arn:aws:s3:::{BUCKET}/{self.key}")


@frozen
class Fault:
    """What becomes of a request in place of its answer."""

    #: answer: S3 does nothing, and says `code`. lost: it does all, and the answer is lost. cut: of the
    #: answer's body a half arrives.
    kind: Literal["answer", "lost", "cut"]
    status: int = 0
    code: str = ""


BUSY = Fault("answer", 503, "SlowDown")
DENIED = Fault("answer", 403, "AccessDenied")
EXPIRED = Fault("answer", 400, "ExpiredToken")
LOST, CUT = Fault("lost"), Fault("cut")


@define(eq=False)
class S3:
    """The relay, as tests see it."""

    url: str
    _backend: Any
    requests: list[Request] = field(factory=list)
    #: Says of each request what becomes of it; None: what it asks for.
    fault: Callable[[Request], Fault | None] = lambda request: None

    def fresh(self, monkeypatch: pytest.MonkeyPatch) -> S3:
        """The same with an empty bucket and no fault; the environment has credentials for it."""
        for name, value in ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
        for key in self.names():
            self.remove(key)
        self._bucket.multiparts.clear()
        self.heal()
        return self

    @property
    def aws(self) -> dict[str, Any]:
        """For ``Runner(aws=...)``."""
        return {"region": "us-east-1", "endpoint_url": self.url}

    def times(self, number: int, fault: Fault, method: str = "", query: str = "", key: str = "") -> None:
        """Has the next requests of a kind fail, so many of them."""
        left = [fault] * number

        def of(request: Request) -> Fault | None:
            is_meant = request.method.startswith(method) and query in request.query and key in request.key
            return left.pop() if left and is_meant else None

        self.fault = of

    def permit(self, policies: Policies, principal: str) -> None:
        """Refuses what a policy does not allow; who may not list learns of no object that it is not there."""

        def of(request: Request) -> Fault | None:
            needs = [request.need]
            if request.method in {"GET", "HEAD"} and request.key and not self.names(request.key):
                needs.append(Need("s3:ListBucket", f"arn:aws:s3:::{BUCKET}"))
            return None if policies.missing(principal, lambda: needs) is None else DENIED

        self.fault = of

    def heal(self) -> None:
        """Nothing fails any more, and nothing was asked."""
        self.fault = lambda request: None
        self.requests.clear()

    def asked(self) -> list[str]:
        """The requests' methods, with the number of bytes where there is a body."""
        return [
            f"{each.method} {each.size}" if each.size and each.method == "PUT" else each.method
            for each in self.requests
        ]

    # Behind the relay

    @property
    def _bucket(self) -> Any:
        return self._backend.buckets[BUCKET]

    def names(self, begin: str = "") -> list[str]:
        """What is there."""
        return sorted(key for key in self._bucket.keys if key.startswith(begin))

    def write(self, key: str, data: bytes) -> None:
        """Puts something there, as somebody else would."""
        self._backend.put_object(BUCKET, key, data)

    def remove(self, key: str) -> None:
        """Takes something away."""
        self._backend.delete_object(BUCKET, key)

    def uploads(self) -> list[str]:
        """The keys of uploads that have neither ended nor were given up."""
        return [upload.key_name for upload in self._bucket.multiparts.values()]


@contextlib.contextmanager
def serving() -> Iterator[S3]:
    """Runs both on this machine."""
    from moto.s3.models import s3_backends
    from moto.server import ThreadedMotoServer

    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    try:
        host, port = moto.get_host_and_port()
        backend = s3_backends["123456789012"]["aws"]
        if BUCKET not in backend.buckets:  # It is the process's, not the server's.
            backend.create_bucket(BUCKET, "us-east-1")
        relay = _Server(("127.0.0.1", 0), _Relay)
        relay.s3 = S3(f"http://127.0.0.1:{relay.server_address[1]}", backend)  # type: ignore[attr-defined]
        relay.behind = host, port  # type: ignore[attr-defined]
        thread = Thread(target=relay.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield relay.s3  # type: ignore[attr-defined]
        finally:
            relay.shutdown()
            thread.join()
            relay.server_close()
    finally:
        moto.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *arguments: Any) -> None:
        """Says nothing: who is told a lie hangs up."""


class _Relay(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        """Says nothing."""

    def _relay(self) -> None:
        s3: S3 = self.server.s3  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        key = unquote(parts.path).removeprefix(f"/{BUCKET}").removeprefix("/")
        request = Request(self.command, key, parts.query, len(body))
        s3.requests.append(request)
        fault = s3.fault(request)
        if fault is not None and fault.kind == "answer":
            text = f"<Error><Code>{fault.code}</Code><Message>as it was told</Message></Error>".encode()
            self._answer(fault.status, [("Content-Type", "application/xml")], text)
            return
        connection = http.client.HTTPConnection(*self.server.behind)  # type: ignore[attr-defined]
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
            status, found = answer.status, answer.getheaders()
        finally:
            connection.close()
        if fault is not None and fault.kind == "lost":
            self.close_connection = True
            return
        self._answer(status, found, data, cut=fault is not None)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _relay

    def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes, *, cut: bool = False) -> None:
        self.send_response(status)
        length = dict(headers).get("Content-Length", len(data)) if self.command == "HEAD" else len(data)
        for name, value in headers:
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if cut:
            data, self.close_connection = data[: len(data) // 2], True
        if self.command != "HEAD":
            self.wfile.write(data)
