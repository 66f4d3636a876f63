"""What a caller may do at AWS, as IAM's simulator says, before anything is done.

See "SimulatePrincipalPolicy" in IAM's API reference. Only its refusals are believed, and only where it knew
all that the policies ask for: a policy of a resource, or of a session, it does not see.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from attrs import field, frozen

from bunsui.aws.asking import ask
from bunsui.errors import AwsError

if TYPE_CHECKING:
    from bunsui.aws.connections import Caller, Connections

_USER = re.compile(r"arn:[^:]+:iam::\d{12}:user/.+")
#: A role that was taken: here the path of its name is missing.
_ROLE_SESSION = re.compile(r"arn:([^:]+):sts::(\d{12}):assumed-role/([^/]+)/.+")


@frozen
class Question:
    """Whether these actions may be done with a resource."""

    #: As IAM calls them, such as ``ecs:RunTask``.
    actions: tuple[str, ...]
    #: An ARN.
    resource: str
    #: What policies may ask for beside that, by condition key.
    context: Mapping[str, str] = field(factory=dict)


@frozen
class Denied:
    """An action that may not be done."""

    action: str
    resource: str
    #: The ARN of who may not.
    principal: str
    #: Whether a policy forbids it; else none allows it.
    is_forbidden: bool


def denied(connections: Connections, caller: Caller, questions: Iterable[Question]) -> list[Denied]:
    """What the caller may not do; what nobody can tell is left out.

    Nobody can where the caller may not use the simulator, and of a federated user; an account's root user may
    do anything.

    Raises:
        AwsError: there was no answer.
    """
    principal = _principal(connections, caller)
    if principal is None:
        return []
    found: list[Denied] = []
    for question in questions:
        try:
            found += _simulated(connections, caller, principal, question)
        except AwsError as error:
            if error.kind != "refused":
                raise
            return []
    return found


def _simulated(
    connections: Connections, caller: Caller, principal: str, question: Question
) -> Iterable[Denied]:
    parameters = {
        "PolicySourceArn": principal,
        "ActionNames": [*question.actions],
        "ResourceArns": [question.resource],
        "ContextEntries": [
            {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
            for key, value in question.context.items()
        ],
    }
    action = "SimulatePrincipalPolicy"
    answer = ask(
        connections, "iam", caller, partial(connections.call, "iam", action, parameters, caller, principal)
    )
    for result in answer["EvaluationResults"]:
        decision = result["EvalDecision"]
        # A condition on what the simulator was not told would count as not met.
        if decision != "allowed" and not result.get("MissingContextValues"):
            is_forbidden = decision == "explicitDeny"
            yield Denied(result["EvalActionName"], question.resource, principal, is_forbidden)


def _principal(connections: Connections, caller: Caller) -> str | None:
    """The ARN of the user or role that calls; None: the simulator knows none."""
    identity = partial(connections.call, "sts", "GetCallerIdentity", {}, caller)
    arn = str(ask(connections, "sts", caller, identity)["Arn"])
    if _USER.fullmatch(arn):
        return arn
    session = _ROLE_SESSION.fullmatch(arn)
    if session is None:
        return None
    partition, account, name = session.groups()
    taken = caller.role or connections.settings.role
    if taken is not None and taken.rpartition("/")[2] == name:
        return taken
    role = partial(connections.call, "iam", "GetRole", {"RoleName": name}, caller, name)
    try:
        return str(ask(connections, "iam", caller, role)["Role"]["Arn"])
    except AwsError as error:
        if error.kind != "refused":
            raise
        return f"arn:{partition}:iam::{account}:role/{name}"  # As it is, unless it has a path.
