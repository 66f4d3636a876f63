"""Alerts to a topic of Amazon SNS."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, ClassVar

from bunsui.aws.connections import Caller
from bunsui.errors import StateError
from bunsui.monitoring.channels.texts import as_json, as_text, shortened
from bunsui.ports.alerts import AlertChannel
from bunsui.ports.permissions import Permission

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bunsui.ports.alerts import Alert
    from bunsui.ports.permissions import Unnamed, Where
    from bunsui.ports.services import Services

#: An ARN with a region; names as "CreateTopic" in SNS's API reference has them.
TOPIC_PATTERN = r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?(?!\n)$"
#: Longest subject, in characters: "less than 100 characters long", says "Publish" in SNS's API reference.
MAX_SUBJECT = 99
#: Longest value of an attribute here, in characters; SNS counts them into the message.
MAX_ATTRIBUTE = 200
#: What the ids of groups and of messages in FIFO topics may be: "Publish" in SNS's API reference.
_ID = re.compile(r"[!-~]{1,128}")


class SnsChannel(AlertChannel):
    """Publishes alerts to a topic: as JSON, or as text for people.

    Args:
        services: of the runner that it is used by.
    """

    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["topic"],
        "properties": {
            "topic": {
                "type": "string",
                "pattern": TOPIC_PATTERN,
                "title": "the ARN of a topic, such as arn:aws:sns:eu-central-1:123456789012:alerts",
            },
            "format": {"enum": ["json", "text"], "default": "json", "title": "json or text"},
        },
    }

    def __init__(self, services: Services | None = None) -> None:
        self._services = services

    def for_runner(self, services: Services) -> SnsChannel:
        """See `AlertChannel.for_runner`."""
        return type(self)(services)

    def send(self, alert: Alert, options: Mapping[str, Any]) -> None:
        """See `AlertChannel.send`.

        Raises:
            AwsError: AWS has not taken it, or not answered.
        """
        if self._services is None:
            raise StateError("alerts are sent to SNS by a Runner, which has not been asked here")
        topic = options["topic"]
        told = {"on": alert.on, "pipeline": alert.pipeline}
        call: dict[str, Any] = {
            "TopicArn": topic,
            "Subject": _subject(alert.summary),
            "Message": as_text(alert) if options.get("format") == "text" else as_json(alert),
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": shortened(value, MAX_ATTRIBUTE)}
                for name, value in told.items()
                if value
            },
        }
        if topic.endswith(".fifo"):
            # In the order in which they are sent; and once, where one is sent twice within five minutes.
            call |= {"MessageGroupId": _id(alert.pipeline), "MessageDeduplicationId": _id(alert.id)}
        self._services.aws.call("sns", "Publish", call, Caller(topic.split(":")[3]), topic)

    def permissions(self, options: Mapping[str, Any], where: Where) -> Iterable[Permission | Unnamed]:
        """See `AlertChannel.permissions`.

        One for a key of AWS KMS that the topic is encrypted with can't be seen in its ARN.
        """
        del where
        return [Permission(["sns:Publish"], [options["topic"]])]


def _subject(summary: str) -> str:
    """One line of ASCII: what e-mail programs show of a subject is not the same otherwise."""
    text = summary.encode("ascii", "replace").decode()
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return f"{line[: MAX_SUBJECT - 3]}..." if len(line) > MAX_SUBJECT else line or "bunsui alert"


def _id(text: str) -> str:
    return text if _ID.fullmatch(text) else hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
