"""Lambda of the tests' own AWS, as real boto3 meets it."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.functions import FunctionDied


class NoSuchFlight(Exception):
    """An error of a handler's own type."""


@pytest.fixture
def functions(fake_aws: FakeAws) -> Iterator[Any]:
    made = fake_aws.client("lambda")
    yield made
    made.close()


def fails(functions: Any, name: str, **more: Any) -> dict[str, Any]:
    """What a function's failure looks like."""
    answer = functions.invoke(FunctionName=name, **more)
    assert (200, "Unhandled") == (answer["StatusCode"], answer["FunctionError"])
    return dict(json.load(answer["Payload"]))


def refused(call: Any, **arguments: Any) -> tuple[str, int, str]:
    """The code, the status and the text by which a call is refused."""
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    error = raised.value.response["Error"]
    return error["Code"], raised.value.response["ResponseMetadata"]["HTTPStatusCode"], error["Message"]


class TestInvoke:
    """A function is called, and its result awaited."""

    def test_what_it_gets_and_gives(self, fake_aws: FakeAws, functions: Any) -> None:
        """The event, the client context, and the result; the invocation is recorded."""
        fake_aws.functions.add("load", lambda event, context: [event, context])
        context = {"custom": {"key": "k"}}
        header = base64.b64encode(json.dumps(context).encode()).decode()
        answer = functions.invoke(FunctionName="load", Payload=b'{"a": 1}', ClientContext=header)
        assert [{"a": 1}, context] == json.load(answer["Payload"])
        assert ("$LATEST", 200, False) == (
            answer["ExecutedVersion"], answer["StatusCode"], "FunctionError" in answer,
        )  # fmt: skip
        [made] = fake_aws.functions.invocations
        assert ({"a": 1}, context) == (made.event, made.client_context)
        assert made.request_id == answer["ResponseMetadata"]["RequestId"]
        assert context == fake_aws.calls[0].parameters["ClientContext"]

    def test_a_handlers_error(self, fake_aws: FakeAws, functions: Any) -> None:
        """It has the type of the exception, its text, and where it was raised."""

        def body(event: Any, _: Any) -> Any:
            raise NoSuchFlight(event["flight"])

        fake_aws.functions.add("load", body)
        error = fails(functions, "load", Payload=b'{"flight": "XY1"}')
        assert ("NoSuchFlight", "XY1") == (error["errorType"], error["errorMessage"])
        assert "raise NoSuchFlight" in error["stackTrace"][-1]

    def test_a_runtimes_error(self, fake_aws: FakeAws, functions: Any) -> None:
        """A function that has timed out, that returns what is no JSON, that returns too much."""

        def late(event: Any, _: Any) -> Any:
            raise FunctionDied("Sandbox.Timedout", "Task timed out after 3.00 seconds")

        fake_aws.functions.add("late", late)
        fake_aws.functions.add("odd", lambda event, _: object())
        fake_aws.functions.add("big", lambda event, _: "x" * (6 * 1024 * 1024))
        assert ["Sandbox.Timedout", "Runtime.MarshalError", "Function.ResponseSizeTooLarge"] == [
            fails(functions, name)["errorType"] for name in ("late", "odd", "big")
        ]

    def test_the_tail_of_the_log(self, fake_aws: FakeAws, functions: Any) -> None:
        """Its last 4 KB, if asked for; the whole can be read from its log group."""

        def body(event: Any, _: Any) -> None:
            for number in range(1000):
                fake_aws.functions.log(f"line {number}")

        fake_aws.functions.add("load", body)
        assert "LogResult" not in functions.invoke(FunctionName="load")
        answer = functions.invoke(FunctionName="load", LogType="Tail")
        tail = base64.b64decode(answer["LogResult"])
        request = answer["ResponseMetadata"]["RequestId"]
        assert 4096 == len(tail)
        assert f"line 999\nEND RequestId: {request}\nREPORT".encode() in tail
        assert b"line 1\n" not in tail
        events = fake_aws.client("logs").filter_log_events(
            logGroupName="/aws/lambda/load", filterPattern=f'"{request}"'
        )["events"]
        assert ["START", "END", "REPORT"] == [event["message"].split()[0] for event in events]

    def test_two_at_once(self, fake_aws: FakeAws, functions: Any) -> None:
        """Functions run beside each other."""
        together = threading.Barrier(2, timeout=60)
        fake_aws.functions.add("load", lambda event, _: together.wait() >= 0)
        other = threading.Thread(target=functions.invoke, kwargs={"FunctionName": "load"})
        other.start()
        assert b"true" == functions.invoke(FunctionName="load")["Payload"].read()
        other.join()


class TestTypes:
    """Other kinds of calls."""

    def test_nobody_waits(self, fake_aws: FakeAws, functions: Any) -> None:
        """It is accepted before the function has ended, and runs."""
        begun, gate = threading.Event(), threading.Event()

        def body(event: Any, _: Any) -> None:
            begun.set()
            gate.wait(60)

        fake_aws.functions.add("load", body)
        answer = functions.invoke(FunctionName="load", InvocationType="Event")
        assert (202, b"") == (answer["StatusCode"], answer["Payload"].read())
        assert begun.wait(60)
        gate.set()

    def test_dry(self, fake_aws: FakeAws, functions: Any) -> None:
        """It says that it could be called, and does not run."""
        fake_aws.functions.add("load", lambda event, _: event)
        assert 204 == functions.invoke(FunctionName="load", InvocationType="DryRun")["StatusCode"]
        assert [] == fake_aws.functions.invocations


class TestNames:
    """How a function is named."""

    def test_qualifiers(self, fake_aws: FakeAws, functions: Any) -> None:
        """They stand beside the name or in it; the answer says what ran."""
        fake_aws.functions.add("load", lambda event, _: event, versions={"live": "7", "7": "7"})
        arn = "arn:aws:lambda:eu-central-1:123456789012:function:load"
        asked = [{"FunctionName": "load", "Qualifier": "live"}, *({"FunctionName": each} for each in (
            "load:7", f"{arn}:live", "123456789012:function:load:live",
        ))]  # fmt: skip
        assert {"7"} == {functions.invoke(**each)["ExecutedVersion"] for each in asked}
        assert "$LATEST" == functions.invoke(FunctionName=arn)["ExecutedVersion"]

    def test_unknown(self, fake_aws: FakeAws, functions: Any) -> None:
        """A missing function, and a missing version of one."""
        fake_aws.functions.add("load", lambda event, _: event)
        arn = "arn:aws:lambda:eu-central-1:123456789012:function"
        assert ("ResourceNotFoundException", 404, f"Function not found: {arn}:none") == refused(
            functions.invoke, FunctionName="none"
        )
        assert (
            f"Function not found: {arn}:load:live"
            == refused(functions.invoke, FunctionName="load", Qualifier="live")[2]
        )
        with pytest.raises(functions.exceptions.ResourceNotFoundException):
            functions.get_function_configuration(FunctionName="none")

    def test_of_another_account(self, fake_aws: FakeAws, functions: Any) -> None:
        """It may not be called."""
        fake_aws.functions.add("load", lambda event, _: event)
        arn = "arn:aws:lambda:eu-central-1:210987654321:function:load"
        assert "AccessDeniedException" == refused(functions.invoke, FunctionName=arn)[0]

    def test_the_configuration(self, fake_aws: FakeAws, functions: Any) -> None:
        """What the test gives, over what a function has anyway."""
        fake_aws.functions.add("load", lambda event, _: event, Timeout=900)
        found = functions.get_function_configuration(FunctionName="load")
        assert (900, "Active", 128) == (found["Timeout"], found["State"], found["MemorySize"])
        assert 900 == functions.get_function(FunctionName="load")["Configuration"]["Timeout"]


class TestLimits:
    """What is too large, or is no JSON."""

    def test_payloads(self, fake_aws: FakeAws, functions: Any) -> None:
        """6 MB at most where the result is awaited, 1 MB otherwise."""
        fake_aws.functions.add("load", lambda event, _: len(event))
        most = 6 * 1024 * 1024
        assert most - 2 == json.load(
            functions.invoke(FunctionName="load", Payload=json.dumps("x" * (most - 2)))["Payload"]
        )
        code, status, _ = refused(functions.invoke, FunctionName="load", Payload=json.dumps("x" * (most - 1)))
        assert ("RequestTooLargeException", 413) == (code, status)
        event = {"FunctionName": "load", "InvocationType": "Event", "Payload": json.dumps("x" * 1024 * 1024)}
        assert 413 == refused(functions.invoke, **event)[1]

    def test_what_is_no_json(self, fake_aws: FakeAws, functions: Any) -> None:
        """It is refused."""
        fake_aws.functions.add("load", lambda event, _: event)
        code, status, _ = refused(functions.invoke, FunctionName="load", Payload=b"{")
        assert ("InvalidRequestContentException", 400) == (code, status)

    def test_a_client_context(self, fake_aws: FakeAws, functions: Any) -> None:
        """It has at most 3,583 bytes."""
        fake_aws.functions.add("load", lambda event, _: event)
        header = base64.b64encode(json.dumps({"custom": "x" * 3000}).encode()).decode()
        assert (
            "InvalidRequestContentException"
            == refused(functions.invoke, FunctionName="load", ClientContext=header)[0]
        )
