"""Alerts as events on a bus of Amazon EventBridge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from bunsui.aws.connections import Caller
from bunsui.dsl.problems import quoted
from bunsui.errors import AwsError, StateError
from bunsui.monitoring.channels.texts import as_json
from bunsui.ports.alerts import AlertChannel
from bunsui.ports.permissions import Permission

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bunsui.ports.alerts import Alert
    from bunsui.ports.permissions import Unnamed, Where
    from bunsui.ports.services import Services

#: "PutEventsRequestEntry" in EventBridge's API reference, with a whole ARN or a name alone.
BUS_PATTERN = r"^(arn:aws[a-z-]*:events:[a-z0-9-]+:[0-9]{12}:event-bus/)?[.A-Za-z0-9_-]{1,256}(?!\n)$"
#: What rules match: the source and the type of its events.
SOURCE, DETAIL_TYPE = "bunsui", "bunsui alert"
#: Codes of entries that failed and may not the next time: "PutEventsResultEntry" in its API reference.
_KINDS: Mapping[str, Literal["busy", "open"]] = {
    "ThrottlingException": "busy",
    "InternalFailure": "open",
    "InternalException": "open",
}


class EventBridgeChannel(AlertChannel):
    """Puts alerts on an event bus; rules there say what becomes of them.

    Args:
        services: of the runner that it is used by.
    """

    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "bus": {
                "type": "string",
                "pattern": BUS_PATTERN,
                "default": "default",
                "title": "the name or the ARN of an event bus, such as default",
            },
        },
    }

    def __init__(self, services: Services | None = None) -> None:
        self._services = services

    def for_runner(self, services: Services) -> EventBridgeChannel:
        """See `AlertChannel.for_runner`."""
        return type(self)(services)

    def send(self, alert: Alert, options: Mapping[str, Any]) -> None:
        """See `AlertChannel.send`.

        Raises:
            AwsError: AWS has not taken it, or not answered; also where it took the request and not the event.
        """
        if self._services is None:
            raise StateError("alerts are sent to EventBridge by a Runner, which has not been asked here")
        bus = options.get("bus", "default")
        entry = {
            "Source": SOURCE,
            "DetailType": DETAIL_TYPE,
            "Detail": as_json(alert),
            "EventBusName": bus,
            "Time": alert.at,
        }
        caller = Caller(bus.split(":")[3] if bus.startswith("arn:") else None)
        answer = self._services.aws.call("events", "PutEvents", {"Entries": [entry]}, caller, bus)
        if answer.get("FailedEntryCount"):
            raise _refused(answer["Entries"][0], bus)

    def permissions(self, options: Mapping[str, Any], where: Where) -> Iterable[Permission | Unnamed]:
        """See `AlertChannel.permissions`."""
        bus = options.get("bus", "default")
        arn = bus if bus.startswith("arn:") else where.arn("events", f"event-bus/{bus}")
        return [Permission(["events:PutEvents"], [arn])]


def _refused(entry: Mapping[str, Any], bus: str) -> AwsError:
    """Why an event was not taken, though the request was answered with 200."""
    code, said = entry.get("ErrorCode"), entry.get("ErrorMessage") or "EventBridge does not say why"
    return AwsError(
        f"events:PutEvents: the bus {quoted(bus)} has not taken the event: {code}: {said}",
        service="events",
        action="PutEvents",
        resource=bus,
        code=code,
        kind=_KINDS.get(str(code), "refused"),
    )
