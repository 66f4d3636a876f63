"""Alerts, and the channels that they are sent through."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import field, frozen

from bunsui.model.times import to_text
from bunsui.ports.permissions import Unnamed

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from bunsui.ports.permissions import Permission, Where
    from bunsui.ports.services import Services

__all__ = ["Alert", "AlertChannel"]


@frozen
class Alert:
    """Something that somebody wanted to be told of.

    Such as::

        from datetime import UTC, datetime

        at = datetime(2026, 3, 1, 4, 30, tzinfo=UTC)
        alert = bunsui.Alert("a1b2", "failure", "Load", at, "session 7 of Load failed", session_id="7")
        print(alert.to_dict()["at"], alert.silenced)  # 2026-03-01T04:30:00.000000Z 0
    """

    #: The same each time it is sent, which after a crash may be twice: so a receiver tells it apart.
    id: str
    #: What it is about: ``failure``, ``recovery``, ``duration``, ``success_rate``, ``stalled`` or ``test``.
    on: str
    #: The pipeline's name.
    pipeline: str
    #: When that happened which it is about; UTC, aware.
    at: datetime
    #: One line for a person, without the values of secrets.
    summary: str
    #: The session; None: it is about no single one.
    session_id: str | None = None
    #: The job; None: it is about the session as a whole.
    job: str | None = None
    #: What else there is to say, in plain data, such as ``{"error": {"code": ..., "message": ...}}``.
    details: Mapping[str, Any] = field(factory=dict)
    #: How many of the same kind were silenced since the last one that was sent.
    silenced: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The alert in plain data, as channels send it; what says nothing is left out.

        Such as::

            from datetime import UTC, datetime

            at = datetime(2026, 3, 1, tzinfo=UTC)
            alert = bunsui.Alert("a1b2", "stalled", "Load", at, "session 7 has not moved")
            print([*alert.to_dict()])  # ['id', 'on', 'pipeline', 'at', 'summary']
        """
        found: dict[str, Any] = {
            "id": self.id,
            "on": self.on,
            "pipeline": self.pipeline,
            "at": to_text(self.at),
            "summary": self.summary,
        }
        found |= {} if self.session_id is None else {"session_id": self.session_id}
        found |= {} if self.job is None else {"job": self.job}
        found |= {"details": dict(self.details)} if self.details else {}
        return found | ({"silenced": self.silenced} if self.silenced else {})


class AlertChannel(ABC):
    """A way to tell somebody. Subclass it, and register it with the hook ``bunsui_alert_channels``.

    A configuration names channels of its own, each of a registered type and with that type's options, such as
    ``[alert_channels.ops]`` with ``type = "sns"`` and ``topic = "arn:aws:sns:..."``; definitions name those.

    Such as::

        class File(bunsui.AlertChannel):
            schema = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}

            def send(self, alert, options):
                with open(options["path"], "a") as file:
                    print(alert.id, alert.summary, file=file)

            def permissions(self, options, where):
                return []  # It calls nothing at AWS.

        class Plugin:
            @bunsui.hookimpl
            def bunsui_alert_channels(self):
                return {"append": File()}

        print("append" in bunsui.Plugins([Plugin()]).alert_channels)  # True
    """

    #: JSON Schema (draft 2020-12) of its options, an object, without ``type``, which every channel has.
    schema: ClassVar[Mapping[str, Any]] = {"type": "object", "additionalProperties": False}
    #: Whether only the user's own configuration may name it, as it decides what runs on the machine.
    user_only: ClassVar[bool] = False
    #: The options that name a secret of the configuration, or are a table of such names: `send` is given the
    #: values of these secrets in place of their names. A configuration holds no secret itself.
    secret_options: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def send(self, alert: Alert, options: Mapping[str, Any]) -> None:
        """Sends an alert; when it returns, somebody has taken it.

        Called in a thread of the runner's that does nothing else, never on a session's path; by several at
        once. It is called again later where it raises, and may be called again for the same alert after a
        crash. It has to end within half a minute: `PATIENCE` of `bunsui.monitoring.channels.channels` is when
        it is given up.

        Such as::

            class Bell(bunsui.AlertChannel):
                def send(self, alert, options):
                    if not is_on_call("ada"):
                        raise bunsui.AlertNotTaken("nobody is on call")
                    ring("ada", alert.summary)

        Args:
            alert: what is to be told.
            options: the channel's, as the schema has them.

        Raises:
            AlertNotTaken: it was not taken; another attempt may help. Its text is shown.
            Exception: the same, and it is shown by the name of its type alone: its text could hold what
                nobody else may see, such as a URL with a token.
        """

    def permissions(self, options: Mapping[str, Any], where: Where) -> Iterable[Permission | Unnamed]:
        """What whoever sends through it has to be allowed at AWS; see `bunsui.aws.iam_policy`.

        By default it can't be named. A channel that does not call AWS gives nothing. It asks nobody, and
        secrets stand in the options by their names.

        Such as::

            from bunsui.ports.permissions import Permission

            class Queue(bunsui.AlertChannel):
                def send(self, alert, options):
                    put_message(options["queue"], alert.to_dict())

                def permissions(self, options, where):
                    return [Permission(["sqs:SendMessage"], [where.arn("sqs", options["queue"])])]
        """
        del options, where
        return [Unnamed("its channel does not say what it calls at AWS")]

    def for_runner(self, services: Services) -> AlertChannel:
        """This channel as one runner uses it, which calls AWS through that runner's connections.

        Asked once by each runner that sends something through it.

        Such as::

            class Queue(bunsui.AlertChannel):
                def __init__(self, aws=None):
                    self.aws = aws

                def send(self, alert, options):
                    message = {"QueueUrl": options["url"], "MessageBody": alert.summary}
                    self.aws.call("sqs", "SendMessage", message)

                def for_runner(self, services):
                    return Queue(services.aws)
        """
        del services
        return self
