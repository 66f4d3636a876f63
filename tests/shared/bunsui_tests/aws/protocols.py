"""How AWS's services are spoken to: JSON with a target, and forms that are answered by XML."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from attrs import frozen

from bunsui_tests.aws.messages import Call, Refusal, Reply, Request, encoded
from bunsui_tests.aws.policies import Need


@frozen
class Refusals:
    """The codes and HTTP statuses by which a service says what each of them may say."""

    throttled: tuple[str, int] = ("ThrottlingException", 400)
    denied: tuple[str, int] = ("AccessDeniedException", 400)
    expired: tuple[str, int] = ("ExpiredTokenException", 400)
    unknown_key: tuple[str, int] = ("UnrecognizedClientException", 400)
    broken: str = "InternalFailure"


class Service(ABC):
    """A service of the endpoint; `FakeAws.add` takes more of them.

    Its answers are made by several threads at once.
    """

    #: As signatures name it.
    name: ClassVar[str]
    refusals: ClassVar[Refusals] = Refusals()

    @abstractmethod
    def parse(self, request: Request) -> tuple[str, dict[str, Any]]:
        """The action that is asked for, and its parameters.

        Raises:
            Refusal: It can't be told.
        """

    def needs(self, call: Call) -> list[Need]:
        """What the caller has to be allowed; see `Policies`."""
        return [Need(f"{self.name}:{call.action}", "*")]

    @abstractmethod
    def answer(self, call: Call) -> Reply:
        """What comes of a call.

        Raises:
            Refusal: The call is refused.
        """

    @abstractmethod
    def refuse(self, refusal: Refusal) -> Reply:
        """An error in the service's own form."""


class JsonService(Service):
    """Calls are JSON, their action stands in ``X-Amz-Target`` (JSON 1.1)."""

    @property
    @abstractmethod
    def actions(self) -> dict[str, Callable[[Call], dict[str, Any]]]:
        """What makes the answer, by action."""

    def parse(self, request: Request) -> tuple[str, dict[str, Any]]:
        action = request.headers.get("x-amz-target", "").rpartition(".")[2]
        return action, json.loads(request.body or b"{}")

    def answer(self, call: Call) -> Reply:
        if call.action not in self.actions:
            raise Refusal("UnknownOperationException", f"{call.action} is not made here")
        return Reply(200, encoded(self.actions[call.action](call)), _JSON)

    def refuse(self, refusal: Refusal) -> Reply:
        body = {"__type": refusal.code, "message": refusal.message, **refusal.members}
        return Reply(refusal.status, encoded(body), _JSON, refusal.code)


class QueryService(Service):
    """Calls are forms, answers are XML; the elements of a list keep their flat names."""

    refusals = Refusals(
        throttled=("Throttling", 400),
        denied=("AccessDenied", 403),
        expired=("ExpiredToken", 403),
        unknown_key=("InvalidClientTokenId", 403),
    )
    namespace: ClassVar[str]

    @property
    @abstractmethod
    def actions(self) -> dict[str, Callable[[Call], dict[str, Any]]]:
        """What makes the answer, by action."""

    def parse(self, request: Request) -> tuple[str, dict[str, Any]]:
        form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        form.pop("Version", None)
        return form.pop("Action", "?"), dict(form)

    def answer(self, call: Call) -> Reply:
        if call.action not in self.actions:
            raise Refusal("InvalidAction", f"{call.action} is not made here")
        inner = _xml(self.actions[call.action](call))
        return self._reply(
            200, f"{call.action}Response", f"<{call.action}Result>{inner}</{call.action}Result>"
        )

    def refuse(self, refusal: Refusal) -> Reply:
        kind = "Sender" if refusal.status < 500 else "Receiver"
        error = _xml({"Type": kind, "Code": refusal.code, "Message": refusal.message})
        return self._reply(refusal.status, "ErrorResponse", f"<Error>{error}</Error>", refusal.code)

    def _reply(self, status: int, root: str, inner: str, error: str | None = None) -> Reply:
        text = f'<{root} xmlns="{self.namespace}">{inner}</{root}>'
        return Reply(status, text.encode(), {"Content-Type": "text/xml"}, error)


_JSON = {"Content-Type": "application/x-amz-json-1.1"}


def _xml(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(f"<{name}>{_xml(each)}</{name}>" for name, each in value.items())
    if isinstance(value, list):
        return "".join(f"<member>{_xml(each)}</member>" for each in value)
    return escape(str(value))
