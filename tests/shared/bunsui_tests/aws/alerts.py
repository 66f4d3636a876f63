"""EventBridge and SNS, as far as alerts go there; moto never takes a request and no event of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from bunsui_tests.aws.messages import Call
from bunsui_tests.aws.protocols import JsonService, QueryService


class FakeEvents(JsonService):
    """An event bus of any name."""

    name: ClassVar[str] = "events"

    def __init__(self) -> None:
        #: The entries that were taken.
        self.entries: list[dict[str, Any]] = []
        #: The code with which entries fail, in an answer with the status 200; None: they are taken.
        self.failing: str | None = None

    @property
    def actions(self) -> dict[str, Callable[[Call], dict[str, Any]]]:
        return {"PutEvents": self._put}

    def _put(self, call: Call) -> dict[str, Any]:
        entries = call.parameters["Entries"]
        if self.failing is not None:
            failed = {"ErrorCode": self.failing, "ErrorMessage": "it was not taken"}
            return {"FailedEntryCount": len(entries), "Entries": [failed for _ in entries]}
        self.entries += entries
        return {"FailedEntryCount": 0, "Entries": [{"EventId": str(len(self.entries))} for _ in entries]}


class FakeSns(QueryService):
    """Topics of any ARN."""

    name: ClassVar[str] = "sns"
    namespace: ClassVar[str] = "http://sns.amazonaws.com/doc/2010-03-31/"

    def __init__(self) -> None:
        #: The parameters of what was published.
        self.published: list[dict[str, Any]] = []

    @property
    def actions(self) -> dict[str, Callable[[Call], dict[str, Any]]]:
        return {"Publish": self._publish}

    def _publish(self, call: Call) -> dict[str, Any]:
        self.published.append(call.parameters)
        return {"MessageId": str(len(self.published))}
