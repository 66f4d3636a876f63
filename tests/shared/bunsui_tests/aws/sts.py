"""STS: who calls, and roles to assume."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import frozen

from bunsui_tests.aws.messages import Call, Refusal
from bunsui_tests.aws.policies import Need
from bunsui_tests.aws.protocols import QueryService

ACCOUNT = "123456789012"


@frozen
class Role:
    """A role that can be assumed."""

    arn: str
    #: What the caller has to know; None: nothing.
    external_id: str | None = None
    #: The accounts that may assume it; None: all.
    trusts: frozenset[str] | None = None
    #: How long its credentials live (seconds), whatever is asked for; None: as long as is asked for.
    lifetime: float | None = None

    @property
    def account(self) -> str:
        """Its account."""
        return self.arn.split(":")[4]


@frozen
class RoleSession:
    """A role was assumed."""

    role: Role
    #: The session's name.
    name: str
    access_key: str
    token: str
    #: What was asked for (seconds).
    duration: int
    expires: datetime
    #: Who has assumed it.
    caller: str


class FakeSts(QueryService):
    """STS. Expiry is only told: a key stops being good by ``faults.expire(access_key)``."""

    name = "sts"
    namespace = "https://sts.amazonaws.com/doc/2011-06-15/"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accounts: dict[str, str] = {}
        self._roles: dict[str, Role] = {}
        self._sessions: dict[str, RoleSession] = {}
        self._numbers = itertools.count(1)

    def add_key(self, access_key: str, account: str) -> None:
        """Calls with this access key are made by this account."""
        self._accounts[access_key] = account

    def add_role(
        self,
        arn: str,
        *,
        external_id: str | None = None,
        trusts: frozenset[str] | set[str] | None = None,
        lifetime: float | None = None,
    ) -> Role:
        """A role that can be assumed from now on; see `Role`."""
        role = Role(arn, external_id, None if trusts is None else frozenset(trusts), lifetime)
        self._roles[arn] = role
        return role

    @property
    def sessions(self) -> list[RoleSession]:
        """The roles that were assumed, oldest first."""
        with self._lock:
            return list(self._sessions.values())

    def account_of(self, access_key: str) -> str:
        """The account of an access key."""
        session = self._sessions.get(access_key)
        return session.role.account if session else self._accounts.get(access_key, ACCOUNT)

    def admit(self, call: Call, refusal: tuple[str, int]) -> None:
        """Refuses a role's access key that comes without its session token."""
        session = self._sessions.get(call.access_key)
        if session and call.headers.get("x-amz-security-token") != session.token:
            code, status = refusal
            raise Refusal(code, "The security token included in the request is invalid.", status)

    @property
    def actions(self) -> dict[str, Callable[[Call], dict[str, Any]]]:
        return {"GetCallerIdentity": self._identity, "AssumeRole": self._assume}

    def principal(self, access_key: str) -> str:
        """Whose policies count: the role's that was assumed, or else the access key's own."""
        session = self._sessions.get(access_key)
        return access_key if session is None else session.role.arn

    def needs(self, call: Call) -> list[Need]:
        """Everybody may ask who he is."""
        if call.action == "GetCallerIdentity":
            return []
        return [Need("sts:AssumeRole", call.parameters.get("RoleArn", "*"))]

    def arn_of(self, call: Call) -> str:
        """Who calls."""
        session = self._sessions.get(call.access_key)
        if session is None:
            return f"arn:aws:iam::{call.account}:user/{call.access_key}"
        role = session.role.arn.rpartition("/")[2]
        return f"arn:aws:sts::{call.account}:assumed-role/{role}/{session.name}"

    def _identity(self, call: Call) -> dict[str, Any]:
        session = self._sessions.get(call.access_key)
        user = f"AROATESTING:{session.name}" if session else f"AIDA{call.access_key[4:]}"
        return {"Arn": self.arn_of(call), "UserId": user, "Account": call.account}

    def _assume(self, call: Call) -> dict[str, Any]:
        arn, name = call.parameters.get("RoleArn", ""), call.parameters.get("RoleSessionName", "")
        duration = int(call.parameters.get("DurationSeconds", 3600))
        if not re.fullmatch(r"[\w+=,.@-]{2,64}", name):
            raise Refusal(
                "ValidationError", f"Value '{name}' at 'roleSessionName' failed to satisfy constraint"
            )
        if not 900 <= duration <= 43_200:
            raise Refusal("ValidationError", f"Value '{duration}' at 'durationSeconds' is out of bounds")
        role = self._roles.get(arn)
        allowed = role and role.external_id in {None, call.parameters.get("ExternalId")}
        if role is None or not allowed or (role.trusts is not None and call.account not in role.trusts):
            who = self.arn_of(call)
            what = f"User: {who} is not authorized to perform: sts:AssumeRole on resource: {arn}"
            raise Refusal("AccessDenied", what, 403)
        lifetime = duration if role.lifetime is None else role.lifetime
        expires = datetime.now(UTC) + timedelta(seconds=lifetime)
        with self._lock:
            number = next(self._numbers)
            access_key = f"ASIA{number:016}"
            session = RoleSession(
                role, name, access_key, f"token-{number}", duration, expires, call.access_key
            )
            self._sessions[access_key] = session
        return {
            "Credentials": {
                "AccessKeyId": access_key,
                "SecretAccessKey": f"secret-{number}",
                "SessionToken": session.token,
                "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
            "AssumedRoleUser": {
                "AssumedRoleId": f"AROATESTING:{name}",
                "Arn": f"arn:aws:sts::{role.account}:assumed-role/{arn.rpartition('/')[2]}/{name}",
            },
        }
