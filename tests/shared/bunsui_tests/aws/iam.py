"""IAM: its simulator of policies, and roles with a path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bunsui_tests.aws.messages import Call, Refusal
from bunsui_tests.aws.protocols import QueryService

#: What a rule says of an action: an IAM decision.
ALLOWED, NOT_ALLOWED, FORBIDDEN = "allowed", "implicitDeny", "explicitDeny"


class FakeIam(QueryService):
    """IAM, whose simulator allows what no test has denied. It knows every principal, unless told which."""

    name = "iam"
    namespace = "https://iam.amazonaws.com/doc/2010-05-08/"

    def __init__(self) -> None:
        self._decisions: dict[str, tuple[str, tuple[str, ...]]] = {}
        #: The ARNs of roles by their names; others are not there.
        self.roles: dict[str, str] = {}
        #: The principals that there are; None: all.
        self.principals: set[str] | None = None

    def decide(self, action: str, decision: str, *missing: str) -> None:
        """What becomes of an action from now on; `missing` are the context keys that a policy asks for."""
        self._decisions[action] = (decision, missing)

    @property
    def actions(self) -> dict[str, Callable[[Call], dict[str, Any]]]:
        return {"SimulatePrincipalPolicy": self._simulate, "GetRole": self._role}

    def _role(self, call: Call) -> dict[str, Any]:
        name = call.parameters["RoleName"]
        if name not in self.roles:
            raise Refusal("NoSuchEntity", f"The role with name {name} cannot be found.", 404)
        role = {"RoleName": name, "Arn": self.roles[name], "Path": "/", "RoleId": "AROATESTING"}
        return {"Role": {**role, "CreateDate": "2026-01-31T00:00:00Z"}}

    def _simulate(self, call: Call) -> dict[str, Any]:
        asked = call.parameters
        principal = asked["PolicySourceArn"]
        if self.principals is not None and principal not in self.principals:
            raise Refusal("NoSuchEntity", f"{principal} cannot be found.", 404)
        results = []
        for action in _members(asked, "ActionNames"):
            decision, missing = self._decisions.get(action, (ALLOWED, ()))
            results.append({
                "EvalActionName": action,
                "EvalResourceName": asked["ResourceArns.member.1"],
                "EvalDecision": decision,
                "MissingContextValues": [*missing],
            })  # fmt: skip
        return {"EvaluationResults": results, "IsTruncated": "false"}


def _members(asked: dict[str, Any], name: str) -> list[str]:
    return [value for key, value in asked.items() if key.startswith(f"{name}.member.")]
