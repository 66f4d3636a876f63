"""What comes back: statuses, bodies, redirects, files."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Any

import pytest
from loopback import Answer, Server, failure, output, run

import bunsui


def give(body: bytes, kind: str | None = None, status: int = 200, **headers: str) -> Answer:
    more = {} if kind is None else {"Content_Type": kind}
    return lambda handler: handler.answer(status, body, **more, **headers)


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        (b'{"a": [1, null]}', "application/json", {"a": [1, None]}),
        (b'{"a": 1}', "application/problem+json; charset=utf-8", {"a": 1}),
        (b'{"a": 1}', "text/plain", '{"a": 1}'),
        ("ü".encode("latin-1"), "text/plain; charset=ISO-8859-1", "ü"),
        ("ü".encode(), None, "ü"),
        (b"", "application/json", None),
    ],
)
def test_bodies(runner: bunsui.Runner, server: Server, body: bytes, kind: str | None, expected: Any) -> None:
    """JSON where its type says so, else text in its charset."""
    server.answers["/a"] = give(body, kind)
    assert expected == output(runner, url=server.url("/a"))["body"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"a": ', "application/json"),
        (b'{"a": NaN}', "application/json"),
        (b"[" * 100_000, "application/json"),
        (b"\xff\xfe", "text/plain"),
        (b"a", "text/plain; charset=klingon"),
    ],
)
def test_bodies_that_are_not_what_they_say(
    runner: bunsui.Runner, server: Server, body: bytes, kind: str
) -> None:
    """No attempt can mend that."""
    server.answers["/a"] = give(body, kind)
    error = failure(runner, url=server.url("/a"))
    assert ("Http.InvalidBody", False) == (error.code, error.retryable)


def test_a_packed_body_that_is_none(runner: bunsui.Runner, server: Server) -> None:
    """It says that it is gzip and is not."""
    server.answers["/a"] = give(b"abc", Content_Encoding="gzip")
    assert "Http.InvalidBody" == failure(runner, url=server.url("/a")).code


def test_headers(runner: bunsui.Runner, server: Server) -> None:
    """Those that were asked for, by lower-case names; cookies only where somebody asks for them."""
    server.answers["/a"] = give(b"", "text/plain", ETag='"x"', Set_Cookie="a=b")
    assert {"content-type": "text/plain"} == output(runner, url=server.url("/a"))["headers"]
    chosen = output(runner, url=server.url("/a"), response_headers=["ETag", "X-Not-There"])["headers"]
    assert {"etag": '"x"'} == chosen


class TestStatuses:
    """What counts as success, and what can be tried again."""

    @pytest.mark.parametrize(
        ("status", "retryable"),
        [(400, False), (401, False), (404, False), (409, False), (408, True), (429, True), (500, True),
         (501, False), (502, True), (503, True), (504, True), (599, False)],
    )  # fmt: skip
    def test_retryable(self, runner: bunsui.Runner, server: Server, status: int, retryable: bool) -> None:
        """The code has the status; it tells whether another attempt can help."""
        server.answers["/a"] = give(b"", status=status)
        error = failure(runner, url=server.url("/a?token=x"))
        assert (f"Http.{status}", retryable) == (error.code, error.retryable)
        assert f"GET {server.url('/a')}: the answer was {status}" in error.message
        assert "token" not in error.message

    def test_what_may_have_had_its_effect(self, runner: bunsui.Runner, server: Server) -> None:
        """A POST without a key is not sent again after a 502, but after a 503."""
        server.answers |= {"/502": give(b"", status=502), "/503": give(b"", status=503)}
        without = {"method": "POST", "idempotency_key": False}
        assert not failure(runner, url=server.url("/502"), **without).retryable
        assert failure(runner, url=server.url("/503"), **without).retryable
        assert failure(runner, url=server.url("/502"), method="POST").retryable

    def test_expect(self, runner: bunsui.Runner, server: Server) -> None:
        """Other statuses can be a success, by number or class; then their body is there."""
        server.answers["/a"] = give(b"none", status=404)
        asked = output(runner, url=server.url("/a"), expect=["2xx", 404])
        assert (404, "none") == (asked["status"], asked["body"])
        assert 404 == output(runner, url=server.url("/a"), expect=["4xx"])["status"]
        server.answers["/a"] = give(b"")
        assert "Http.200" == failure(runner, url=server.url("/a"), expect=[404]).code

    def test_503_then_200(self, runner: bunsui.Runner, server: Server) -> None:
        """The job's retry gets it."""
        statuses = iter([503, 503, 200])
        server.answers["/a"] = lambda handler: handler.answer(next(statuses), b"here")
        retry = bunsui.RetryPolicy(max_attempts=3, delay=0)
        state = run(runner, bunsui.Job("ask", "http", url=server.url("/a"), retry=retry))
        assert ("here", 3) == (state.output["body"], len(state.attempts))


class TestRedirects:
    """Only where they are wanted."""

    def test_not_followed(self, runner: bunsui.Runner, server: Server) -> None:
        """The error says what to do."""
        server.answers["/a"] = give(b"", status=302, Location="/b")
        error = failure(runner, url=server.url("/a"))
        assert ("Http.302", True) == (error.code, "follow_redirects: true" in error.message)

    def test_followed(self, runner: bunsui.Runner, server: Server) -> None:
        """The output is that of where it ends."""
        server.answers |= {"/a": give(b"", status=302, Location="/b"), "/b": give(b"end")}
        assert "end" == output(runner, url=server.url("/a"), follow_redirects=True)["body"]

    def test_in_a_circle(self, runner: bunsui.Runner, server: Server) -> None:
        """It ends, with a code of its own."""
        server.answers["/a"] = give(b"", status=302, Location="/a")
        error = failure(runner, url=server.url("/a"), follow_redirects=True)
        assert ("Http.TooManyRedirects", False) == (error.code, error.retryable)


class TestSize:
    """`max_bytes`."""

    def test_a_huge_body(self, runner: bunsui.Runner, server: Server) -> None:
        """It is not read to its end: this one has none."""

        def endless(handler: Any) -> None:
            handler.send_response(200)
            handler.end_headers()
            while not server.ended.is_set():
                handler.wfile.write(b"x" * 65536)

        server.answers["/a"] = endless
        error = failure(runner, url=server.url("/a"), max_bytes=1_000_000)
        assert ("Http.TooLarge", False) == (error.code, error.retryable)
        assert "1,000,000 bytes" in error.message

    def test_its_bound(self, runner: bunsui.Runner, server: Server) -> None:
        """So many are taken, not one more; unpacked ones count."""
        server.answers["/a"] = give(gzip.compress(b"x" * 100), Content_Encoding="gzip")
        assert "x" * 100 == output(runner, url=server.url("/a"), max_bytes=100)["body"]
        assert "Http.TooLarge" == failure(runner, url=server.url("/a"), max_bytes=99).code


class TestInto:
    """A body that becomes a file."""

    @pytest.fixture
    def pipeline(self, runner: bunsui.Runner, server: Server, tmp_path: Path) -> bunsui.Pipeline:
        """Its definition is in a folder with a name of its own kind."""
        folder = tmp_path / "a folder [ü]"
        folder.mkdir()
        (folder / "pipeline.yaml").write_text(
            "version: '1.0'\nname: p\njobs:\n"
            f"  - {{id: ask, type: http, url: '{server.url('/a')}', into: new/the data.bin,"
            " max_bytes: 3000000}\n",
            encoding="utf-8",
        )
        return runner.load(folder / "pipeline.yaml")

    def test_it_is_beside_the_definition(
        self, runner: bunsui.Runner, server: Server, pipeline: bunsui.Pipeline
    ) -> None:
        """With its size and digest in the output, and nothing else in the folder."""
        content = bytes(range(256)) * 10_000
        server.answers["/a"] = give(content, "application/octet-stream")
        session = runner.run(pipeline)
        assert pipeline.base_dir is not None
        path = pipeline.base_dir / "new" / "the data.bin"
        assert {
            "status": 200,
            "headers": {"content-type": "application/octet-stream"},
            "path": str(path),
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        } == session.outputs["ask"]
        assert content == path.read_bytes()
        assert [path] == list(path.parent.iterdir())

    @pytest.mark.parametrize("fault", ["too large", "cut off", "404"])
    def test_what_is_there_stays(
        self, runner: bunsui.Runner, server: Server, pipeline: bunsui.Pipeline, fault: str
    ) -> None:
        """Until a new one is there with all of its content."""

        def cut_off(handler: Any) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", "1000000")
            handler.end_headers()
            handler.wfile.write(b"half")
            handler.close_connection = True

        server.answers["/a"] = {
            "too large": give(b"x" * 3_000_001), "cut off": cut_off, "404": give(b"x", status=404)
        }[fault]  # fmt: skip
        assert pipeline.base_dir is not None
        path = pipeline.base_dir / "new" / "the data.bin"
        path.parent.mkdir()
        path.write_text("before", encoding="utf-8")
        assert "failed" == runner.run(pipeline).status
        assert ("before", [path]) == (path.read_text(encoding="utf-8"), list(path.parent.iterdir()))

    def test_a_place_that_can_not_be_written(
        self, runner: bunsui.Runner, server: Server, tmp_path: Path
    ) -> None:
        """A folder stands there."""
        server.answers["/a"] = give(b"x")
        error = failure(runner, url=server.url("/a"), into=str(tmp_path))
        assert ("Http.NotSaved", True) == (error.code, str(tmp_path) in error.message)
        assert [] == list(tmp_path.parent.glob(".bunsui-*"))
