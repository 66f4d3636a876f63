"""What is sent: method, URL, query, headers, body, and the key of what may not happen twice."""

from __future__ import annotations

import json
from typing import Any

import pytest
from loopback import Server, failure, output, run

import bunsui


def ok(handler: Any) -> None:
    handler.answer(200)


def test_a_get(runner: bunsui.Runner, server: Server) -> None:
    """Nothing but a URL is needed; it has no body and no key."""
    server.answers["/a"] = ok
    assert {"status": 200, "headers": {}, "body": None} == output(runner, url=server.url("/a"))
    (asked,) = server.asked
    assert ("GET", "/a", b"") == (asked.method, asked.path, asked.body)
    assert "bunsui-http" == asked.headers["User-Agent"]
    assert "Idempotency-Key" not in asked.headers


def test_query(runner: bunsui.Runner, server: Server) -> None:
    """It is added to what the URL says itself, escaped; lists repeat, null is left out."""
    server.answers["/a"] = ok
    query = {"x": "a&b ü", "n": [1, 2], "yes": True, "none": None}
    output(runner, url=server.url("/a?kept=1"), query=query)
    assert "/a?kept=1&x=a%26b+%C3%BC&n=1&n=2&yes=true" == server.asked[0].path


def test_headers(runner: bunsui.Runner, server: Server) -> None:
    """Given ones, numbers too; null is left out, and one of ours can be replaced."""
    server.answers["/a"] = ok
    output(runner, url=server.url("/a"), headers={"X-Page": 3, "X-None": None, "user-agent": "me"})
    sent = {name.lower(): value for name, value in server.asked[0].headers.items()}
    assert ("3", "me", False) == (sent["x-page"], sent["user-agent"], "x-none" in sent)


@pytest.mark.parametrize("value", [{"a": [1, "ü", None]}, [], "text", 0, None])
def test_json(runner: bunsui.Runner, server: Server, value: Any) -> None:
    """Any JSON value is a body, null too."""
    server.answers["/a"] = ok
    output(runner, url=server.url("/a"), method="PUT", json=value)
    (asked,) = server.asked
    assert (value, "application/json") == (json.loads(asked.body), asked.headers["Content-Type"])


def test_text(runner: bunsui.Runner, server: Server) -> None:
    """In UTF-8; its type can be said by a header."""
    server.answers["/a"] = ok
    output(runner, url=server.url("/a"), method="PUT", text="ü", headers={"Content-Type": "text/csv"})
    (asked,) = server.asked
    assert ("ü", "text/csv") == (asked.body.decode(), asked.headers["Content-Type"])


def test_references(runner: bunsui.Runner, server: Server) -> None:
    """The URL and all else may come from parameters and other jobs."""
    server.answers |= {
        "/first": lambda handler: handler.answer(200, b'{"id": 7}', Content_Type="application/json"),
        "/second": ok,
    }
    jobs = [
        bunsui.Job("first", "http", url="${base}/first"),
        bunsui.Job(
            "second", "http", url="${base}/second", method="POST", depends_on=["first"],
            json={"order": "${jobs.first.output.body.id}"},
        ),
    ]  # fmt: skip
    pipeline = bunsui.Pipeline("p", jobs, parameters=[bunsui.Parameter("base", required=True)])
    runner.run(pipeline, {"base": server.url("")}).raise_for_status()
    assert {"order": 7} == json.loads(server.asked[1].body)


class TestIdempotencyKey:
    """The header that lets a server know the same work again."""

    def keys(self, server: Server) -> list[str | None]:
        return [asked.headers.get("Idempotency-Key") for asked in server.asked]

    def test_it_is_the_same_for_all_attempts_of_a_job(self, runner: bunsui.Runner, server: Server) -> None:
        """But another one for another session."""
        answers = iter([503, 503, 200, 200])
        server.answers["/a"] = lambda handler: handler.answer(next(answers))
        job = bunsui.Job(
            "post", "http", url=server.url("/a"), method="POST", json=1,
            retry=bunsui.RetryPolicy(max_attempts=3, delay=0),
        )  # fmt: skip
        assert 3 == len(run(runner, job).attempts)
        run(runner, job)
        first, second, third, other = self.keys(server)
        assert first == second == third
        assert first is not None
        assert other not in (None, first)

    def test_items_have_their_own(self, runner: bunsui.Runner, server: Server) -> None:
        """Those of a fan-out are different work."""
        server.answers["/a"] = ok
        run(runner, bunsui.Job("post", "http", url=server.url("/a"), method="POST", for_each=[1, 2]))
        assert 2 == len(set(self.keys(server)))

    def test_it_can_be_switched(self, runner: bunsui.Runner, server: Server) -> None:
        """Off, on, and to a key of the user's own."""
        server.answers["/a"] = ok
        url = server.url("/a")
        output(runner, url=url, method="POST", idempotency_key=False)
        output(runner, url=url, method="PUT", idempotency_key=True)
        output(runner, url=url, method="POST", headers={"idempotency-key": "mine"})
        off, on, mine = [
            {name.lower(): value for name, value in asked.headers.items()}.get("idempotency-key")
            for asked in server.asked
        ]
        assert (None, "mine") == (off, mine)
        assert on is not None
        assert 64 == len(on)


class TestWhatIsRefused:
    """Before anything runs, and where only a reference says what is wrong."""

    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("example.com/a", "'url' must begin with http:// or https://"),
            ("ftp://example.com", "'url' must begin with http:// or https://"),
            ("http://", "'url' has no host"),
            ("http://[::1", "'url' can't be read as a URL"),
            ("http://a:port/", "'url' can't be read as a URL"),
        ],
    )
    def test_bad_urls(self, runner: bunsui.Runner, url: str, message: str) -> None:
        """With what is wrong, but never the URL itself."""
        with pytest.raises(bunsui.DefinitionError) as raised:
            run(runner, bunsui.Job("ask", "http", url=url))
        assert [("bad-url", message)] == [
            (problem.code, problem.message.partition(": ")[2] or problem.message)
            for problem in raised.value.problems
        ]

    def test_a_bad_url_from_a_parameter(self, runner: bunsui.Runner) -> None:
        """The job fails before it has an attempt."""
        jobs = [bunsui.Job("ask", "http", url="${where}", retry=3)]
        pipeline = bunsui.Pipeline("p", jobs, parameters=[bunsui.Parameter("where", required=True)])
        state = runner.run(pipeline, {"where": "nowhere"}).jobs["ask"]
        assert state.error is not None
        assert ("InvalidOptions", 0) == (state.error.code, len(state.attempts))

    @pytest.mark.parametrize(
        ("fields", "code"),
        [
            ({"json": 1, "text": "a"}, "one-of"),
            ({"parameters": {"a": 1}}, "unused-parameters"),
            ({"expect": ["200"]}, "bad-value"),
            ({"expect": [100]}, "out-of-range"),
            ({"method": "get"}, "bad-value"),
            ({"read_timeout": 0}, "out-of-range"),
            ({"headers": {"a": ["b"]}}, "wrong-type"),
            ({"body": "a"}, "unknown-field"),
        ],
    )
    def test_bad_fields(self, runner: bunsui.Runner, fields: dict[str, Any], code: str) -> None:
        """Each with its code."""
        with pytest.raises(bunsui.DefinitionError) as raised:
            run(runner, bunsui.Job("ask", "http", url="http://127.0.0.1/", **fields))
        assert [code] == [problem.code for problem in raised.value.problems]

    @pytest.mark.parametrize("headers", [{"X-A": "b\nInjected: c"}, {"X-A": "ü"}, {"X A": "b"}])
    def test_bad_headers(self, runner: bunsui.Runner, server: Server, headers: dict[str, str]) -> None:
        """Nothing is sent, and the value is not told."""
        error = failure(runner, url=server.url("/a"), headers=headers)
        assert ("Http.InvalidRequest", False) == (error.code, error.retryable)
        assert "Injected" not in error.message
        assert [] == server.asked


def test_secrets(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """In URL, query and headers they reach the server, and neither error nor log nor history."""
    import bunsui_http

    monkeypatch.setenv("TOKEN", "s3cr3t-value")
    server.answers["/hook/s3cr3t-value"] = lambda handler: handler.answer(403)
    config = {"secrets": {"token": "env:TOKEN"}}
    job = bunsui.Job(
        "ask", "http", url=server.url("/hook/${secrets.token}"), query={"key": "${secrets.token}"},
        headers={"Authorization": "Bearer ${secrets.token}"},
    )  # fmt: skip
    with bunsui.Runner("memory://", plugins=[bunsui_http], autoload_plugins=False, config=config) as runner:
        session = runner.run(bunsui.Pipeline("p", [job]))
        told = [*map(repr, session.events()), *map(repr, session.logs())]
    error = session.jobs["ask"].error
    assert error is not None
    assert "Http.403" == error.code
    assert "Bearer s3cr3t-value" == server.asked[0].headers["Authorization"]
    assert "/hook/s3cr3t-value?key=s3cr3t-value" == server.asked[0].path
    assert [] == [line for line in [*told, error.message] if "s3cr3t" in line]
