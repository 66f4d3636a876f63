"""Artifacts on S3: written under a condition, in parts, checked; what is asked of S3 is counted."""

from __future__ import annotations

import hashlib
import pickle
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bunsui.aws.connections import Connections
from bunsui.aws.place import Place
from bunsui.aws.s3 import PAGE, PART, Bucket
from bunsui.aws.settings import read_aws
from bunsui.errors import AwsError, ConfigError, JobError, NotFound, StateError, StoreError
from bunsui.model.artifact import Artifact, Unread
from bunsui.model.json import Json
from bunsui.runner.attempts import artifacts as module
from bunsui.runner.attempts.artifact_bucket import MOST_OUTPUT, S3Artifacts
from bunsui.runner.attempts.artifacts import Patience, TooLarge
from bunsui.runner.attempts.keeping import Keeping, Unkept
from bunsui.runner.clock import SystemClock
from bunsui.testing import FakeClock
from bunsui_tests import s3 as emulated
from bunsui_tests.s3 import BUSY, CUT, DENIED, EXPIRED, LOST, S3, Fault, Request

TEXT = '"' + "x" * 50_000 + '"'
#: In three parts.
LARGE = '"' + "x" * (2 * PART) + '"'
WHOSE = "job 'load'"
#: Some of the parts of `LARGE`.
PARTS = [f"PUT {PART}", f"PUT {PART}", "PUT 2"]


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    """One for all tests."""
    with emulated.serving() as running:
        yield running


@pytest.fixture
def s3(server: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """An empty bucket."""
    return server.fresh(monkeypatch)


@pytest.fixture
def connections(s3: S3) -> Iterator[Connections]:
    """Those of a runner."""
    made = Connections(read_aws(s3.aws))
    yield made
    made.close()


@pytest.fixture
def artifacts(connections: Connections) -> S3Artifacts:
    """A place below others."""
    return S3Artifacts(Place.parse("s3://bucket/deep/er"), connections)


class Ticking(SystemClock):
    """Each look takes a tenth of a second."""

    def __init__(self) -> None:
        self.time = 0.0

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        self.time += 0.1
        return self.time


class Unwaited(threading.Event):
    """Nobody waits for real."""

    def wait(self, timeout: float | None = None) -> bool:
        """See `threading.Event.wait`."""
        del timeout
        return self.is_set()


@pytest.fixture
def patience() -> Patience:
    """That of one who does not wait."""
    return Patience(Ticking(), 5.0, Unwaited())


def key(artifact: Artifact, session: str = "s1") -> str:
    return f"deep/er/{session}/{artifact.sha256}"


class TestPlaces:
    """What names a place on S3."""

    @pytest.mark.parametrize(
        ("url", "bucket", "prefix"),
        [
            ("s3://abc", "abc", ""),
            ("s3://abc/", "abc", ""),
            ("s3://a.b-c.1/x/Y_z=1/(a)", "a.b-c.1", "x/Y_z=1/(a)"),
            ("s3://abc/x/", "abc", "x"),
        ],
    )
    def test_good(self, url: str, bucket: str, prefix: str) -> None:
        """A bucket alone, or with what its keys begin with."""
        place = Place.parse(url)
        assert (bucket, prefix, url.rstrip("/")) == (place.bucket, place.prefix, place.url)
        assert f"{prefix}/s1/x".lstrip("/") == place.key("s1", "x")

    @pytest.mark.parametrize(
        "url",
        [
            "s3://", "s3:///x", "s3://b ad", "s3://ab", "s3://-abc", "s3://Abc", "s3://abc//x", "s3://abc/x//",
            "s3://abc/..", "s3://abc/x/../y", "s3://abc/./x", "s3://abc/a b", "s3://abc/a?b", "s3://abc/a#b",
            "s3://abc/%41", "s3://abc/é", "s3://abc/x\n", f"s3://{'a' * 64}", "s3://abc" + "/abcdefghi" * 61,
            "gs://abc", "S3://abc",
        ],
    )  # fmt: skip
    def test_bad(self, url: str) -> None:
        """Each is refused, with an example."""
        with pytest.raises(ConfigError, match=r"names no place on S3; such as s3://bucket/prefix"):
            Place.parse(url)


class TestThereAndBack:
    """What was put is what is got."""

    @settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(parts=st.lists(st.text(st.characters(max_codepoint=127), max_size=50), max_size=5))
    def test_any_text(self, artifacts: S3Artifacts, parts: list[str]) -> None:
        """As a whole or in parts, under the SHA-256 of all of it."""
        text = "".join(parts)
        put = artifacts.put("s1", iter(parts), WHOSE)

        assert put == artifacts.put("s1", text, WHOSE)
        assert (hashlib.sha256(text.encode()).hexdigest(), len(text)) == (put.sha256, put.size)
        assert (text, text) == (put.text, artifacts.get("s1", Artifact(put.sha256, put.size)))

    def test_where_it_lies(self, artifacts: S3Artifacts, s3: S3) -> None:
        """Below the prefix and the session, in one object."""
        put = artifacts.put("s1", TEXT, WHOSE)
        assert [key(put)] == s3.names()
        assert f"s3://bucket/{key(put)}" == artifacts.where("s1", put)
        assert ("s3://bucket/deep/er", "s3://bucket/deep/er/s1") == (artifacts.place, artifacts.where("s1"))

    def test_in_parts(self, artifacts: S3Artifacts, s3: S3) -> None:
        """What is large is sent in parts; no upload stays open."""
        put = artifacts.put("s1", [LARGE[:100], LARGE[100:]], WHOSE)
        assert ["HEAD", "POST", *PARTS, "POST"] == s3.asked()
        assert (LARGE, [key(put)], []) == (put.text, s3.names(), s3.uploads())

    @pytest.mark.parametrize("size", [2**20 + 1, len(LARGE)])
    def test_no_large_body_is_sent_twice(self, artifacts: S3Artifacts, s3: S3, size: int) -> None:
        """What is there already is asked for first."""
        artifacts.put("s1", "x" * size, WHOSE)
        s3.requests.clear()
        assert size == artifacts.put("s1", "x" * size, WHOSE).size
        assert ["HEAD"] == s3.asked()

    def test_a_small_one_is_sent_under_the_condition_alone(self, artifacts: S3Artifacts, s3: S3) -> None:
        """One call for a new one; where there is one, S3 is asked whether it is the same."""
        artifacts.put("s1", TEXT, WHOSE)
        artifacts.put("s1", TEXT, WHOSE)
        assert [f"PUT {len(TEXT)}", f"PUT {len(TEXT)}", "HEAD"] == s3.asked()

    @pytest.mark.parametrize("text", [TEXT, LARGE])
    def test_writing_again_mends(self, artifacts: S3Artifacts, s3: S3, text: str) -> None:
        """An object of that name that is damaged does not stand for the content."""
        put = artifacts.put("s1", text, WHOSE)
        s3.write(key(put), b"x" * len(text))
        assert text == artifacts.put("s1", text, WHOSE).text == put.text
        assert [] == s3.uploads()

    def test_who_may_not_look_writes(self, artifacts: S3Artifacts, s3: S3) -> None:
        """Without the right to read, HEAD is refused; that says nothing of the object."""
        s3.times(10, DENIED, "HEAD")
        put = artifacts.put("s1", LARGE, WHOSE)
        assert LARGE == put.text

    def test_more_than_the_most(
        self, artifacts: S3Artifacts, s3: S3, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is refused before anything is sent."""
        monkeypatch.setattr(module, "MAX_ARTIFACT", 100)
        with pytest.raises(TooLarge):
            artifacts.put("s1", ("x" * 30 for _ in range(1 << 60)), WHOSE)
        assert [] == s3.requests
        assert 100 == artifacts.put("s1", "x" * 100, WHOSE).size

    @pytest.mark.parametrize("session", ["", ".", "..", "a/b", "/etc", "a\0", "a\n", "é", "x" * 129])
    def test_no_key_is_made_of_what_is_no_id(self, artifacts: S3Artifacts, s3: S3, session: str) -> None:
        """Nothing leaves the prefix, or is removed elsewhere."""
        for call in (
            artifacts.where,
            artifacts.tidy,
            artifacts.size,
            artifacts.remove,
            lambda s: artifacts.put(s, TEXT, WHOSE),
            lambda s: artifacts.put_input(s, TEXT),
            lambda s: artifacts.output_url(s, "x"),
        ):
            with pytest.raises(ValueError, match="no id of a session"):
                call(session)
        assert [] == s3.requests

    def test_another_process_reads_it(self, artifacts: S3Artifacts) -> None:
        """An artifact that was pickled still knows the way."""
        assert TEXT == pickle.loads(pickle.dumps(artifacts.put("s1", TEXT, WHOSE))).text

    def test_it_is_read_after_the_runner_is_closed(
        self, artifacts: S3Artifacts, connections: Connections
    ) -> None:
        """With connections of its own, each time; nothing is written any more."""
        put = artifacts.put("s1", TEXT, WHOSE)
        connections.close()
        assert (TEXT, None, len(TEXT)) == (put.text, artifacts.wrong("s1", put), artifacts.size("s1"))
        with pytest.raises(StateError):
            artifacts.put("s1", "1", WHOSE)


class TestFailures:
    """What fails for now, and what is refused."""

    @pytest.mark.parametrize("fault", [BUSY, LOST, Fault("answer", 500, "InternalError")])
    def test_a_call_is_made_again(
        self, artifacts: S3Artifacts, s3: S3, patience: Patience, fault: Fault
    ) -> None:
        """By the one layer that there is: two failures are two calls more."""
        s3.times(2, fault, "PUT")
        put = artifacts.put("s1", TEXT, WHOSE, patience)
        assert 3 == s3.asked().count(f"PUT {len(TEXT)}")
        assert TEXT == put.text

    def test_without_patience_it_is_not(self, artifacts: S3Artifacts, s3: S3) -> None:
        """Neither here nor in botocore."""
        s3.times(1, BUSY, "PUT")
        with pytest.raises(AwsError, match="SlowDown"):
            artifacts.put("s1", TEXT, WHOSE)
        assert [f"PUT {len(TEXT)}"] == s3.asked()

    def test_of_a_large_one_only_the_part_is_sent_again(
        self, artifacts: S3Artifacts, s3: S3, patience: Patience
    ) -> None:
        """A third of all calls may fail, and it still arrives."""
        s3.times(2, BUSY, "PUT", "partNumber=2")
        assert LARGE == artifacts.put("s1", LARGE, WHOSE, patience).text
        assert [PARTS[0], *[PARTS[1]] * 3, PARTS[2]] == [
            each for each in s3.asked() if each.startswith("PUT")
        ]

    def test_the_answer_to_the_last_call_is_lost(
        self, artifacts: S3Artifacts, s3: S3, patience: Patience
    ) -> None:
        """S3 then knows no such upload; the object says that it had ended well."""
        s3.times(1, LOST, "POST", "uploadId=")
        assert LARGE == artifacts.put("s1", LARGE, WHOSE, patience).text
        assert (3, []) == (len([each for each in s3.asked() if each.startswith("PUT")]), s3.uploads())

    @pytest.mark.parametrize(("method", "query"), [("PUT", "partNumber=2"), ("POST", "uploadId=")])
    def test_no_parts_are_left(self, artifacts: S3Artifacts, s3: S3, method: str, query: str) -> None:
        """They would be billed."""
        s3.times(9, DENIED, method, query)
        with pytest.raises(AwsError, match="AccessDenied"):
            artifacts.put("s1", LARGE, WHOSE)
        assert ([], []) == (s3.names(), s3.uploads())

    def test_what_a_read_lost_is_read_again(self, artifacts: S3Artifacts, s3: S3) -> None:
        """A connection that breaks off is no damage."""
        put = artifacts.put("s1", TEXT, WHOSE)
        for fault in (CUT, BUSY):
            s3.times(1, fault, "GET")
            assert TEXT == put.text

    @pytest.mark.parametrize(
        ("fault", "words"),
        [
            (DENIED, r"AccessDenied.*needs the permission s3:GetObject"),
            (EXPIRED, r"ExpiredToken.*renew the credentials"),
            (Fault("answer", 404, "NoSuchBucket"), r"NoSuchBucket.*make it, or name another"),
        ],
    )
    def test_what_can_not_be_read_may_be_there(
        self, artifacts: S3Artifacts, s3: S3, fault: Fault, words: str
    ) -> None:
        """It is neither gone nor damaged; the error says what AWS said, and a remedy."""
        put = artifacts.put("s1", TEXT, WHOSE)
        s3.times(99, fault, "GET")
        with pytest.raises(Unread, match=rf"job 'load' in session s1 can't be read: .*{words}") as caught:
            put.text  # noqa: B018 - reading is the act
        assert isinstance(caught.value.__cause__, AwsError)
        assert not caught.value.lasting

    def test_a_read_that_hangs_holds_up_no_other(
        self, artifacts: S3Artifacts, s3: S3, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each of a turn's reads would wait for as long, and the runner would count as dead by then."""
        put, clock = artifacts.put("s1", TEXT, WHOSE), FakeClock()
        get = Bucket.get

        def late(*arguments: Any, **keywords: Any) -> Any:
            clock.advance(20)
            return get(*arguments, **keywords)

        monkeypatch.setattr(artifacts, "_clock", clock)
        monkeypatch.setattr(Bucket, "get", late)
        s3.times(1, CUT, "GET")
        for words in ("NoAnswer|no answer came", "S3 gave no answer a moment ago", "a moment ago"):
            with pytest.raises(Unread, match=words) as caught:
                put.text  # noqa: B018
            assert caught.value.passing
        assert (20, 1) == (clock.monotonic(), len([each for each in s3.asked() if each.startswith("GET")]))
        clock.advance(10)
        assert TEXT == put.text

    def test_gone(self, artifacts: S3Artifacts, s3: S3) -> None:
        """NotFound says whose it is, in which session, and which object."""
        put = artifacts.put("s1", TEXT, WHOSE)
        s3.remove(key(put))
        url = f"s3://bucket/{key(put)}"
        with pytest.raises(NotFound) as caught:
            put.text  # noqa: B018
        assert (
            f"the output of job 'load' in session s1 is gone: there is no object {url}"
            == caught.value.message
        )
        assert ("artifact", url, "is gone") == (
            caught.value.kind,
            caught.value.name,
            artifacts.wrong("s1", put),
        )

    @pytest.mark.parametrize("data", [b"", b"x" * 50_002, TEXT.encode()[:-1], TEXT.encode() + b" "])
    def test_damaged(self, artifacts: S3Artifacts, s3: S3, data: bytes) -> None:
        """Any other byte, or length, is a StoreError for good."""
        put = artifacts.put("s1", TEXT, WHOSE)
        s3.write(key(put), data)
        with pytest.raises(StoreError, match=rf"session s1 is damaged: s3://bucket/{key(put)}") as caught:
            put.text  # noqa: B018
        assert caught.value.lasting

    def test_what_is_much_too_long_is_not_read(self, artifacts: S3Artifacts, s3: S3) -> None:
        """Whoever may write there does not fill this machine's memory."""
        s3.write(f"deep/er/s1/{'a' * 64}", b"x" * 10)
        s3.times(1, CUT, "GET")  # To read it to the end would be an error.
        with pytest.raises(StoreError, match="is damaged"):
            artifacts.get("s1", Artifact("a" * 64, 3))

    def test_wrong_is_one_call(self, artifacts: S3Artifacts, s3: S3) -> None:
        """It does not read; also in parts, nothing is wrong."""
        put, large = artifacts.put("s1", TEXT, WHOSE), artifacts.put("s1", LARGE, WHOSE)
        s3.requests.clear()
        assert (None, None) == (artifacts.wrong("s1", put), artifacts.wrong("s1", large))
        assert ["HEAD", "HEAD"] == s3.asked()
        s3.write(key(put), b"x")
        assert "is damaged" == artifacts.wrong("s1", put)
        s3.times(1, DENIED, "HEAD")
        assert "can't be read" == artifacts.wrong("s1", put)


class TestAdoption:
    """One session's artifact becomes another's, too."""

    @pytest.mark.parametrize("text", [TEXT, LARGE])
    def test_it_is_copied_there(self, artifacts: S3Artifacts, s3: S3, text: str) -> None:
        """By S3, in one call, whatever its size; and outlives the session that it came from."""
        put = artifacts.put("s1", text, WHOSE)
        s3.requests.clear()
        adopted = artifacts.adopt(put, "s1", "s2", WHOSE)
        assert [(1, "PUT")] == [(len(s3.requests), each) for each in s3.asked()]
        artifacts.remove("s1")
        assert (text, [key(put, "s2")]) == (adopted.text, s3.names())

    def test_what_is_broken_is_not_taken_over(self, artifacts: S3Artifacts, s3: S3) -> None:
        """Gone or damaged, it is found out now, and named; nothing of it stays."""
        put = artifacts.put("s1", TEXT, WHOSE)
        s3.write(key(put), b"x" * len(TEXT))
        with pytest.raises(StoreError, match="session s1 is damaged"):
            artifacts.adopt(put, "s1", "s2", WHOSE)
        s3.remove(key(put))
        with pytest.raises(NotFound, match="session s1 is gone"):
            artifacts.adopt(put, "s1", "s2", WHOSE)
        assert [] == s3.names()

    def test_where_nothing_may_be_copied(self, artifacts: S3Artifacts, s3: S3) -> None:
        """A bucket that takes conditional writes alone refuses copies: it is read, and written."""
        put = artifacts.put("s1", TEXT, WHOSE)
        s3.times(1, DENIED, "PUT", key="/s2/")
        assert TEXT == artifacts.adopt(put, "s1", "s2", WHOSE).text


class TestKeeping:
    """Who waits for AWS, and for how long."""

    def test_what_is_busy_for_too_long(self, artifacts: S3Artifacts, s3: S3) -> None:
        """After a lease it is said, with what AWS said; the session can be resumed."""
        s3.times(10**6, BUSY)
        with pytest.raises(
            Unkept, match=r"job 'load' can't be kept: s3 PutObject .*SlowDown.*resume the session"
        ) as caught:
            Keeping(artifacts, Ticking(), 1.0).keep("s1", Json(TEXT), WHOSE, Unwaited())
        assert isinstance(caught.value.__cause__, AwsError)
        # A tenth of a second passes with each look at the clock.
        assert 2 < len(s3.requests) < 12

    @pytest.mark.parametrize(
        ("fault", "words"),
        [(DENIED, "needs the permission s3:PutObject"), (EXPIRED, "renew the credentials")],
    )
    def test_what_is_refused(self, artifacts: S3Artifacts, s3: S3, fault: Fault, words: str) -> None:
        """It is said at once, with a remedy: it would be refused again."""
        s3.times(10**6, fault)
        with pytest.raises(Unkept, match=rf"can't be kept: .*{words}.*; then resume the session"):
            Keeping(artifacts, SystemClock(), 1e9).keep("s1", Json(TEXT), WHOSE, threading.Event())
        assert len(s3.requests) <= 2  # With credentials that were looked up anew.

    def test_nobody_wants_it_any_more(self, artifacts: S3Artifacts, s3: S3) -> None:
        """Then it is tried once."""
        s3.times(10**6, BUSY)
        given_up = threading.Event()
        given_up.set()
        with pytest.raises(Unkept):
            Keeping(artifacts, SystemClock(), 1e9).keep("s1", Json(TEXT), WHOSE, given_up)
        assert 1 == len(s3.requests)

    def test_a_third_of_all_calls_is_throttled(self, artifacts: S3Artifacts, s3: S3) -> None:
        """All are kept, with at most half as many calls more."""
        counted: list[Request] = []

        def fault(request: Request) -> Fault | None:
            counted.append(request)
            return BUSY if len(counted) % 3 == 0 else None

        s3.fault = fault
        keeping = Keeping(artifacts, Ticking(), 1e6)
        kept = [keeping.keep("s1", Json(f"{i}"), WHOSE, Unwaited()) for i in range(100)]
        s3.fault = lambda request: None
        assert [str(i) for i in range(100)] == [each.text for each in kept]
        assert len(counted) <= 150


class TestHousekeeping:
    """What is removed, and what is left alone."""

    def test_all_of_a_session_and_nothing_else(self, artifacts: S3Artifacts, s3: S3) -> None:
        """Its inputs and outputs as well, by the thousand; not those of a session whose id begins alike."""
        for i in range(PAGE + 1):
            s3.write(f"deep/er/s1/outputs/{i}.json", b"12")
        others = ["deep/er/s", "deep/er/s10/a", "deep/s1/a", "s1/a"]
        for each in others:
            s3.write(each, b"1")
        assert 2 * (PAGE + 1) == artifacts.size("s1")
        artifacts.remove("s1")
        assert (sorted(others), 0) == (s3.names(), artifacts.size("s1"))
        assert 2 == len([each for each in s3.requests if "delete" in each.query])

    def test_parts_of_what_was_never_completed(
        self, artifacts: S3Artifacts, s3: S3, connections: Connections
    ) -> None:
        """Those that a process which died has left; who may not look for them has the rest removed."""
        for session in ("s1", "s10"):
            connections.call(
                "s3", "CreateMultipartUpload", {"Bucket": "bucket", "Key": f"deep/er/{session}/x"}
            )
        s3.write("deep/er/s1/y", b"1")
        s3.times(1, DENIED, "GET", "uploads")
        artifacts.remove("s1")
        assert ([], 2) == (s3.names(), len(s3.uploads()))
        s3.heal()
        artifacts.remove("s1")
        assert ["deep/er/s10/x"] == s3.uploads()
        artifacts.remove("s10")

    def test_what_can_not_be_removed(self, artifacts: S3Artifacts, s3: S3) -> None:
        """It is said: it is tried again by the next one."""
        s3.write("deep/er/s1/y", b"1")
        s3.times(1, DENIED, "POST", "delete")
        with pytest.raises(AwsError, match=r"needs the permission s3:DeleteObject"):
            artifacts.remove("s1")

    def test_taking_over_asks_nothing(self, artifacts: S3Artifacts, s3: S3) -> None:
        """Whoever resumes a session does not wait for S3."""
        artifacts.tidy("s1")
        assert [] == s3.requests


class TestObjects:
    """What jobs at AWS are given, and what they leave."""

    def test_an_input(self, artifacts: S3Artifacts, s3: S3) -> None:
        """Is there under its URL, once, in UTF-8."""
        url = artifacts.put_input("s1", '"é"')
        name = hashlib.sha256('"é"'.encode()).hexdigest()
        assert f"s3://bucket/deep/er/s1/inputs/{name}" == url == artifacts.put_input("s1", '"é"')
        assert [f"deep/er/s1/inputs/{name}"] == s3.names()

    @pytest.mark.parametrize(("fault", "kind"), [(LOST, "busy"), (BUSY, "busy"), (DENIED, "refused")])
    def test_an_input_that_could_not_be_put(
        self, artifacts: S3Artifacts, s3: S3, fault: Fault, kind: str
    ) -> None:
        """The work did not begin, for certain, whatever became of the object."""
        s3.times(9, fault, "PUT")
        with pytest.raises(AwsError) as caught:
            artifacts.put_input("s1", "{}")
        assert kind == caught.value.kind

    def test_an_output(self, artifacts: S3Artifacts, s3: S3) -> None:
        """None, until there is one."""
        url = artifacts.output_url("s1", "a" * 64)
        assert f"s3://bucket/deep/er/s1/outputs/{'a' * 64}.json" == url
        assert artifacts.read_output(url) is None
        s3.write(f"deep/er/s1/outputs/{'a' * 64}.json", '{"a": "é"}'.encode())
        assert {"a": "é"} == artifacts.read_output(url)

    @pytest.mark.parametrize(
        ("data", "code"),
        [(b"", "OutputNotJson"), (b"\xff", "OutputNotJson"), (b"[" * 10**6, "OutputNotJson"),
         (b"1" * (MOST_OUTPUT + 1), "OutputTooLarge")],
        ids=["empty", "no text", "too deep", "too large"],
    )  # fmt: skip
    def test_what_is_no_output(self, artifacts: S3Artifacts, s3: S3, data: bytes, code: str) -> None:
        """It is the job's failure, and its next read would be the same."""
        s3.write("deep/er/s1/outputs/x.json", data)
        with pytest.raises(JobError, match=r"s3://bucket/deep/er/s1/outputs/x\.json") as caught:
            artifacts.read_output(artifacts.output_url("s1", "x"))
        assert (code, False) == (caught.value.code, caught.value.retryable)

    @pytest.mark.parametrize(
        "url",
        [
            "s3://other/deep/er/s1/outputs/x.json", "s3://bucket/deep/s1/outputs/x.json",
            "s3://bucket/deep/er/s1/x.json", "s3://bucket/deep/er/s1/inputs/x.json",
            "s3://bucket/deep/er/../s1/outputs/x.json", "s3://bucket/deep/er/s1/outputs/../x.json",
            "s3://bucket/deep/err/s1/outputs/x.json", "s3://bucket/deep/er/s1/outputs/x.json\n", "",
            "http://bucket/deep/er/s1/outputs/x.json", "s1/outputs/x.json",
        ],
    )  # fmt: skip
    def test_nothing_is_read_elsewhere(self, artifacts: S3Artifacts, s3: S3, url: str) -> None:
        """Whatever stands in a history."""
        with pytest.raises(JobError, match="which is not below s3://bucket/deep/er/"):
            artifacts.read_output(url)
        assert [] == s3.requests

    @pytest.mark.parametrize("name", ["", "../x", "a/b", "a.b", "x" * 129])
    def test_no_url_is_made_of_what_is_no_name(self, artifacts: S3Artifacts, name: str) -> None:
        """A name is one segment."""
        with pytest.raises(ValueError, match="no name of an output"):
            artifacts.output_url("s1", name)
