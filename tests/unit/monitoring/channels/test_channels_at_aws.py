"""Alerts to SNS and EventBridge, over HTTP: moto's, and an endpoint of our own for what moto never does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from random import Random
from typing import Any

import pytest
from attrs import evolve

from bunsui.aws.connections import Connections
from bunsui.aws.settings import AwsSettings
from bunsui.errors import AwsError, StateError
from bunsui.monitoring.channels.eventbridge import EventBridgeChannel
from bunsui.monitoring.channels.sns import MAX_SUBJECT, SnsChannel
from bunsui.ports.alerts import AlertChannel
from bunsui.ports.permissions import Permission, Where
from bunsui.ports.services import Services
from bunsui.testing import AlertChannelSuite, FakeClock
from bunsui.testing.alert_channel.sending import full, minimal
from bunsui_tests.aws.alerts import FakeEvents, FakeSns
from bunsui_tests.aws.endpoint import FakeAws

pytestmark = pytest.mark.usefixtures("aws_environment")

TOPIC = "arn:aws:sns:eu-central-1:123456789012:alerts"
WHERE = Where("eu-central-1", "123456789012")
#: Seconds until a call that hangs is given up, here.
PATIENCE = 3.0


def channel_at(
    kind: type[SnsChannel] | type[EventBridgeChannel], url: str, patience: float | None = None
) -> AlertChannel:
    """As a runner uses it that calls this endpoint."""
    aws = Connections(
        AwsSettings(region="eu-central-1", endpoints={"": url}), random=Random(0), patience=patience
    )
    return kind().for_runner(Services(aws, FakeClock(), Random(0)))


class Queue:
    """A queue of moto's, where what is sent arrives."""

    def __init__(self, moto: Any, name: str = "alerts", **attributes: str) -> None:
        self.client = moto.client("sqs")
        self.url = self.client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        found = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        self.arn = found["Attributes"]["QueueArn"]
        self._got: list[dict[str, Any]] = []

    def messages(self) -> list[dict[str, Any]]:
        """All that has ever arrived, in the order in which it was received."""
        while found := self.client.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, AttributeNames=["All"]
        ).get("Messages"):
            for each in found:
                self.client.delete_message(QueueUrl=self.url, ReceiptHandle=each["ReceiptHandle"])
            self._got += found
        return self._got


class AtMoto(AlertChannelSuite):
    """What both have in common."""

    queue: Queue

    def received(self) -> Sequence[str]:
        return [message["Body"] for message in self.queue.messages()]


class TestSnsAtMoto(AtMoto):
    """A topic of moto's, with a queue that subscribes to it; it fails where the topic is gone."""

    @pytest.fixture
    def channel(self, moto_server: Any) -> AlertChannel:
        self.queue = Queue(moto_server)
        self.client = moto_server.client("sns")
        self.topic = self.make()
        self.options: Mapping[str, Any] = {"topic": self.topic}
        return channel_at(SnsChannel, moto_server.url)

    def make(self) -> str:
        """The topic, and its subscription."""
        topic = str(self.client.create_topic(Name="alerts")["TopicArn"])
        self.client.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=self.queue.arn)
        return topic

    @contextmanager
    def failing(self) -> Iterator[None]:
        self.client.delete_topic(TopicArn=self.topic)
        yield
        self.make()

    def test_what_arrives(self, channel: AlertChannel) -> None:
        """The alert as JSON, a subject of ASCII, and attributes that subscriptions can filter by."""
        alert = full()
        channel.send(alert, self.options)
        sent = json.loads(self.received()[0])
        assert alert.to_dict() == json.loads(sent["Message"])
        assert "a session of Load has not moved for an hour" == sent["Subject"]
        assert {
            "on": {"Type": "String", "Value": "failure"},
            "pipeline": {"Type": "String", "Value": "Load \u5206\u6c34"},
        } == sent["MessageAttributes"]

    def test_as_text(self, channel: AlertChannel) -> None:
        """Lines for people, the summary first."""
        alert = evolve(full(), summary="one\nline")
        channel.send(alert, {**self.options, "format": "text"})
        lines = json.loads(self.received()[0])["Message"].split("\n")
        assert ["one\\nline", "", f"id: {alert.id}", "on: failure"] == lines[:4]
        assert "session id: 0123456789abcdef" in lines
        assert '    "code": "Table.Locked",' in lines

    def test_one_that_is_not_there(self, channel: AlertChannel) -> None:
        """AWS's own error says so."""
        with pytest.raises(AwsError) as caught:
            channel.send(minimal(), {"topic": f"{TOPIC}-none"})
        assert ("sns", "Publish", f"{TOPIC}-none", "refused") == (
            caught.value.service, caught.value.action, caught.value.resource, caught.value.kind,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        ("a\nb\r\nc\x00d", "a b c d"),
        ("\u5206\u6c34", "??"),
        ("", "bunsui alert"),
        ("\n", "bunsui alert"),
        ("x" * (MAX_SUBJECT + 1), "x" * (MAX_SUBJECT - 3) + "..."),
    ],
)
def test_subjects(moto_server: Any, summary: str, expected: str) -> None:
    """One line of ASCII of fewer than 100 characters, whatever the summary is."""
    queue, client = Queue(moto_server), moto_server.client("sns")
    topic = client.create_topic(Name="alerts")["TopicArn"]
    client.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    channel_at(SnsChannel, moto_server.url).send(evolve(minimal(), summary=summary), {"topic": topic})
    assert [expected] == [json.loads(message["Body"])["Subject"] for message in queue.messages()]


def test_a_topic_in_order(fake_aws: FakeAws) -> None:
    """A FIFO topic is given the pipeline as the group, and the alert's id, so that it arrives once."""
    sns = FakeSns()
    fake_aws.add(sns)
    channel = channel_at(SnsChannel, fake_aws.url)
    alert = evolve(minimal(), pipeline="Load \u5206", id="a1b2")
    channel.send(alert, {"topic": f"{TOPIC}.fifo"})
    channel.send(alert, {"topic": TOPIC})
    ordered, plain = sns.published
    assert ("a1b2", 64) == (ordered["MessageDeduplicationId"], len(ordered["MessageGroupId"]))
    assert not {"MessageDeduplicationId", "MessageGroupId"} & {*plain}


def test_the_region_is_the_topics(fake_aws: FakeAws) -> None:
    """Not that of the runner."""
    fake_aws.add(FakeSns())
    fake_aws.add(FakeEvents())
    channel_at(SnsChannel, fake_aws.url).send(minimal(), {"topic": TOPIC.replace("eu-central", "us-east")})
    bus = "arn:aws:events:us-west-2:123456789012:event-bus/ops"
    channel_at(EventBridgeChannel, fake_aws.url).send(minimal(), {"bus": bus})
    channel_at(EventBridgeChannel, fake_aws.url).send(minimal(), {})
    assert ["us-east-1", "us-west-2", "eu-central-1"] == [call.region for call in fake_aws.calls]


class TestEventBridgeAtMoto(AtMoto):
    """A bus of moto's, with a rule that leads to a queue."""

    @pytest.fixture
    def channel(self, moto_server: Any) -> AlertChannel:
        self.queue = Queue(moto_server)
        client = moto_server.client("events")
        client.create_event_bus(Name="ops")
        pattern = json.dumps({"source": ["bunsui"], "detail-type": ["bunsui alert"]})
        client.put_rule(Name="alerts", EventPattern=pattern, EventBusName="ops")
        target = {"Id": "1", "Arn": self.queue.arn}
        client.put_targets(Rule="alerts", EventBusName="ops", Targets=[target])
        self.options: Mapping[str, Any] = {"bus": "ops"}
        return channel_at(EventBridgeChannel, moto_server.url)

    def test_what_arrives(self, channel: AlertChannel) -> None:
        """An event of the time of what happened, with the alert as its detail."""
        alert = full()
        channel.send(alert, self.options)
        event = json.loads(self.received()[0])
        assert ("bunsui", "bunsui alert", alert.to_dict()) == (
            event["source"], event["detail-type"], event["detail"],
        )  # fmt: skip
        assert "2026-03-01T04:30:00Z" == event["time"]


class TestEventBridge(AlertChannelSuite):
    """An endpoint that takes requests and refuses events, and hangs."""

    patience = 20.0

    @pytest.fixture
    def channel(self, fake_aws: FakeAws) -> AlertChannel:
        self.aws, self.events = fake_aws, FakeEvents()
        fake_aws.add(self.events)
        return channel_at(EventBridgeChannel, fake_aws.url, PATIENCE)

    def received(self) -> Sequence[str]:
        return [entry["Detail"] for entry in self.events.entries]

    @contextmanager
    def failing(self) -> Iterator[None]:
        self.events.failing = "InternalFailure"
        yield
        self.events.failing = None

    def hanging(self) -> AbstractContextManager[object]:
        return self.aws.faults.hold("events")


class TestSns(AlertChannelSuite):
    """An endpoint that hangs."""

    patience = 20.0
    options: Mapping[str, Any] = {"topic": TOPIC}

    @pytest.fixture
    def channel(self, fake_aws: FakeAws) -> AlertChannel:
        self.aws, self.sns = fake_aws, FakeSns()
        fake_aws.add(self.sns)
        return channel_at(SnsChannel, fake_aws.url, PATIENCE)

    def received(self) -> Sequence[str]:
        return [each["Message"] for each in self.sns.published]

    def failing(self) -> AbstractContextManager[object]:
        return self.aws.faults.server_error("sns")

    def hanging(self) -> AbstractContextManager[object]:
        return self.aws.faults.hold("sns")


@pytest.mark.parametrize(
    ("code", "kind"),
    [("ThrottlingException", "busy"), ("InternalFailure", "open"), ("MalformedDetail", "refused")],
)
def test_an_event_that_failed_alone(fake_aws: FakeAws, code: str, kind: str) -> None:
    """An answer with the status 200 whose only entry failed is an error, by that entry's code."""
    events = FakeEvents()
    events.failing = code
    fake_aws.add(events)
    with pytest.raises(AwsError) as caught:
        channel_at(EventBridgeChannel, fake_aws.url).send(minimal(), {"bus": "ops"})
    assert (code, kind, "ops") == (caught.value.code, caught.value.kind, caught.value.resource)
    assert str(caught.value).startswith("events:PutEvents: the bus 'ops' has not taken the event:")


def test_what_they_need_to_be_allowed() -> None:
    """One action each, on the one topic or bus."""
    bus = "arn:aws:events:us-west-2:123456789012:event-bus/ops"
    assert [
        [Permission(["sns:Publish"], [TOPIC])],
        [Permission(["events:PutEvents"], ["arn:aws:events:eu-central-1:123456789012:event-bus/default"])],
        [Permission(["events:PutEvents"], ["arn:aws:events:eu-central-1:123456789012:event-bus/ops"])],
        [Permission(["events:PutEvents"], [bus])],
    ] == [
        [*SnsChannel().permissions({"topic": TOPIC}, WHERE)],
        *([*EventBridgeChannel().permissions(given, WHERE)] for given in ({}, {"bus": "ops"}, {"bus": bus})),
    ]


@pytest.mark.parametrize(("kind", "options"), [(SnsChannel, {"topic": TOPIC}), (EventBridgeChannel, {})])
def test_one_that_no_runner_has_asked(kind: Any, options: dict[str, str]) -> None:
    """It says so, and sends nothing in nobody's name."""
    with pytest.raises(StateError, match="by a Runner, which has not been asked"):
        kind().send(minimal(), options)
