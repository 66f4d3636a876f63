"""CloudWatch Logs of the tests' own AWS, as real boto3 meets it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from bunsui_tests.aws.endpoint import FakeAws

STREAM = {"logGroupName": "group", "logStreamName": "stream"}


@pytest.fixture
def logs(fake_aws: FakeAws) -> Iterator[Any]:
    made = fake_aws.client("logs")
    yield made
    made.close()


def messages(answer: Any) -> list[str]:
    return [event["message"] for event in answer["events"]]


class TestGetLogEvents:
    """One stream."""

    def test_pages(self, fake_aws: FakeAws, logs: Any) -> None:
        """From the head, by its tokens; at the end the token repeats, and what comes later is behind it."""
        fake_aws.logs.put("group", "stream", "1", "2", "3")
        first = logs.get_log_events(**STREAM, startFromHead=True, limit=2)
        second = logs.get_log_events(**STREAM, nextToken=first["nextForwardToken"], limit=2)
        last = logs.get_log_events(**STREAM, nextToken=second["nextForwardToken"])
        assert [["1", "2"], ["3"], []] == [messages(each) for each in (first, second, last)]
        assert first["nextForwardToken"] != second["nextForwardToken"] == last["nextForwardToken"]
        fake_aws.logs.put("group", "stream", "4")
        assert ["4"] == messages(logs.get_log_events(**STREAM, nextToken=last["nextForwardToken"]))

    def test_from_the_tail(self, fake_aws: FakeAws, logs: Any) -> None:
        """That is what is shown without a token; backwards from there."""
        fake_aws.logs.put("group", "stream", "1", "2", "3")
        last = logs.get_log_events(**STREAM, limit=2)
        before = logs.get_log_events(**STREAM, nextToken=last["nextBackwardToken"])
        assert [["2", "3"], ["1"]] == [messages(last), messages(before)]

    def test_what_is_late(self, fake_aws: FakeAws, logs: Any) -> None:
        """It can't be seen by so many reads, though it was written before."""
        fake_aws.logs.put("group", "stream", "late", after_reads=2)
        seen = [messages(logs.get_log_events(**STREAM, startFromHead=True)) for _ in range(3)]
        assert [[], [], ["late"]] == seen

    def test_times(self, fake_aws: FakeAws, logs: Any) -> None:
        """From the start on, up to before the end."""
        for at in (10, 20, 30):
            fake_aws.logs.put("group", "stream", str(at), timestamp=at)
        answer = logs.get_log_events(**STREAM, startFromHead=True, startTime=20, endTime=30)
        assert [("20", 20)] == [(event["message"], event["timestamp"]) for event in answer["events"]]

    @pytest.mark.parametrize("name", ["logGroupName", "logStreamName"])
    def test_what_is_missing(self, fake_aws: FakeAws, logs: Any, name: str) -> None:
        """A group or a stream that is not there."""
        fake_aws.logs.put("group", "stream", "1")
        with pytest.raises(logs.exceptions.ResourceNotFoundException, match="does not exist"):
            logs.get_log_events(**{**STREAM, name: "none"})


class TestFilterLogEvents:
    """All streams of a group."""

    def test_a_term(self, fake_aws: FakeAws, logs: Any) -> None:
        """The events that have it, of all streams, by their time."""
        fake_aws.logs.put("group", "b", "the id-1 of b", "id-2", timestamp=20)
        fake_aws.logs.put("group", "a", "id-1 of a", timestamp=10)
        found = logs.filter_log_events(logGroupName="group", filterPattern='"id-1"')
        assert [("a", "id-1 of a"), ("b", "the id-1 of b")] == [
            (event["logStreamName"], event["message"]) for event in found["events"]
        ]
        assert "nextToken" not in found

    def test_pages(self, fake_aws: FakeAws, logs: Any) -> None:
        """A page may be empty though there are more."""
        fake_aws.logs.put("group", "a", *["other"] * 4, "mine")
        fake_aws.logs.page = 2
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName="group", filterPattern='"mine"')
        assert [[], [], ["mine"]] == [messages(page) for page in pages]

    def test_streams(self, fake_aws: FakeAws, logs: Any) -> None:
        """By their names, or by how these begin."""
        for name in ("a-1", "a-2", "b-1"):
            fake_aws.logs.put("group", name, name)
        assert ["b-1"] == messages(logs.filter_log_events(logGroupName="group", logStreamNames=["b-1"]))
        assert ["a-1", "a-2"] == messages(
            logs.filter_log_events(logGroupName="group", logStreamNamePrefix="a-")
        )

    def test_other_patterns(self, fake_aws: FakeAws, logs: Any) -> None:
        """What is not made here is refused, not matched in some way."""
        fake_aws.logs.put("group", "a", "1")
        with pytest.raises(ClientError, match="InvalidParameterException"):
            logs.filter_log_events(logGroupName="group", filterPattern="{ $.a = 1 }")
