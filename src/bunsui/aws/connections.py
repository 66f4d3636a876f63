"""The one place that makes boto3's clients, and the one through which all calls to AWS go."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from random import Random
from threading import Event
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from bunsui.aws.settings import AwsSettings
from bunsui.errors import AwsError, PermissionDenied
from bunsui.performance.connection_pool import ConnectionPool
from bunsui.performance.retrying import SharedBudget

if TYPE_CHECKING:
    from bunsui.performance.connection_pool import PoolStatistics

#: Seconds until a call that does not reach its endpoint is given up.
CONNECT_TIMEOUT = 5
#: Seconds until one without an answer is; of each part of an answer.
READ_TIMEOUT = 60
READ_TIMEOUTS = {
    # The longest that a function may run is 15 minutes.
    "lambda": 910,
    # What jobs refer to is read by the driver, which has to make a turn in each lease.
    "s3": 20,
    # An alert is sent again later; who sends it waits for it.
    "events": 20,
    "sns": 20,
}
#: Clients, and boto3's sessions, that are kept, over all services, regions and roles.
MAX_CLIENTS = 64
#: Names the sessions of roles that are taken for no session of bunsui, such as to look at several.
ROLE_SESSION = "bunsui"


@frozen
class Caller:
    """As whom, and where, a call is made."""

    #: None: the configured one.
    region: str | None = None
    #: None: the configured one, or none.
    role: str | None = None
    #: The name of the role's session, which AWS's own records show: the id of bunsui's.
    session: str = ROLE_SESSION


@frozen
class Identity:
    """Whose credentials, and where: what boto3's sessions are told apart by.

    In place of the account stands what it follows from, profile and role: to ask for it would be a call.
    """

    region: str | None
    profile: str | None
    role: str | None = None
    session: str = ""

    @property
    def taker(self) -> Identity:
        """Who takes the role."""
        return Identity(self.region, self.profile)


@frozen
class Key:
    """What clients are told apart by."""

    service: str
    identity: Identity
    endpoint: str | None


class Connections:
    """Calls AWS. Any number of threads may use it at once; a forked child makes connections of its own.

    botocore repeats nothing here: whoever calls decides by the error's `kind`, so that no two layers of
    repetitions multiply. What it does once is to look up credentials anew where AWS says that they have
    expired.

    Args:
        settings: as whom, and where, calls are made where a caller says nothing else.
        concurrency: calls at once; so many connections each client keeps.
        random: for jitter.
        wait: as `threading.Event.wait`, for who waits before a call is made again.
        patience: seconds until a call is given up, at most; None: as long as is usual for its service.
    """

    def __init__(
        self,
        settings: AwsSettings | None = None,
        *,
        concurrency: int = 32,
        random: Random | None = None,
        wait: Callable[[Event, float], bool] = Event.wait,
        patience: float | None = None,
    ) -> None:
        self.settings = settings or AwsSettings()
        #: Waits for an event, so many seconds at most; whether it came.
        self.wait = wait
        self._random = random or Random()  # noqa: S311 - for jitter
        self._concurrency = max(concurrency, 10)
        self._patience = patience
        self._begin()
        self._loader: Any = None
        self._clients: ConnectionPool[Key, Any] = ConnectionPool(self._open, _close, MAX_CLIENTS)

    def _begin(self) -> None:
        #: boto3's sessions are not safe to make clients with in several threads.
        self._lock = threading.Lock()
        self._sessions: dict[Identity, Any] = {}
        self._budgets: dict[Key, SharedBudget] = {}
        self._pid = os.getpid()  # Last: another thread of a forked child may look at it meanwhile.

    def _begin_if_forked(self) -> None:
        if self._pid != os.getpid():
            # Another thread of the parent may have held this lock, or one of those that budgets and boto3's
            # sessions have, and nobody is left to give it back.
            self._begin()

    @property
    def _making(self) -> threading.Lock:
        self._begin_if_forked()
        return self._lock

    @property
    def statistics(self) -> PoolStatistics:
        """How many clients were made, used again, and are there."""
        return self._clients.statistics()

    def close(self) -> None:
        """Closes all clients, the last one first."""
        self._clients.close()
        self._sessions.clear()

    # Calls

    def call(
        self,
        service: str,
        action: str,
        parameters: dict[str, Any],
        caller: Caller = Caller(),
        resource: str | None = None,
    ) -> dict[str, Any]:
        """Calls AWS once, and gives its answer.

        Args:
            service: as boto3 calls it, such as ``lambda``.
            action: as AWS calls it, such as ``Invoke``.
            parameters: as boto3's method takes them.
            caller: as whom, and where.
            resource: what it is about, as errors name it.

        Raises:
            AwsError: it failed; its `kind` says what is known of it.
            PermissionDenied: the role is none that jobs may name.
        """

        def call(client: Any) -> Any:
            from botocore import xform_name  # noqa: PLC0415 - see _session

            return getattr(client, xform_name(action))(**parameters)

        answer: dict[str, Any] = self.using(service, action, call, caller, resource)
        return answer

    def using(
        self,
        service: str,
        action: str,
        use: Callable[[Any], Any],
        caller: Caller = Caller(),
        resource: str | None = None,
    ) -> Any:
        """What `use` makes of a client, such as an answer read to its end; all else as `call`.

        Where the credentials have expired, `use` is called a second time, with another client.
        """
        key = self._key(service, caller)
        client = None
        while True:
            is_first = client is None
            try:
                client = self._clients.get(key)
                return use(client)
            except AwsError as error:  # Of a call within this one, such as for the role.
                if error.kind != "credentials" or client is None or not is_first:
                    raise
            except Exception as error:  # botocore's, and those of what it is built on, have no one base.
                failed = _told(error, service, action, resource, key.identity, client)
                if failed is None:
                    raise
                if failed.kind != "credentials" or client is None or not is_first:
                    raise failed from error
            self._renew(key, client)

    def require(
        self,
        service: str,
        action: str,
        caller: Caller = Caller(),
        resource: str | None = None,
    ) -> None:
        """Makes sure that a call could be made at all, as far as that shows without making one.

        Raises:
            AwsError: the profile is not there, or there are no credentials, or no region.
            PermissionDenied: the role is none that jobs may name.
        """

        def look(client: Any) -> None:
            from botocore.exceptions import NoCredentialsError  # noqa: PLC0415 - see _session

            del client  # That it could be made says that there is a region.
            if self._session(key.identity.taker).get_credentials() is None:
                raise NoCredentialsError

        key = self._key(service, caller)
        self.using(service, action, look, caller, resource)

    def budget(self, service: str, caller: Caller = Caller()) -> SharedBudget:
        """What those who repeat calls to a service, in one region and role, share."""
        key = self._key(service, evolve(caller, session=ROLE_SESSION))
        self._begin_if_forked()
        found = self._budgets.get(key)
        # Of two threads that come at once one makes it for nothing.
        return found or self._budgets.setdefault(key, SharedBudget(self._random))

    def account(self, caller: Caller = Caller()) -> str:
        """The account that is called, as AWS says; it is asked each time.

        Raises:
            AwsError: it could not be told.
        """
        return str(self.call("sts", "GetCallerIdentity", {}, caller)["Account"])

    def region(self, service: str, caller: Caller = Caller()) -> str:
        """The region in which a service is called.

        Raises:
            AwsError: none is named.
        """
        found: str = self.using(service, "", lambda client: client.meta.region_name, caller)
        return found

    # Clients

    def _key(self, service: str, caller: Caller) -> Key:
        settings = self.settings
        role = caller.role or settings.role
        allowed = settings.allowed_roles
        if caller.role is not None and allowed is not None and caller.role not in allowed:
            raise PermissionDenied(
                f"jobs may not take the role {caller.role}",
                hint="name it in 'aws_allowed_roles' of the configuration, or leave it out",
            )
        # AWS's other tools know this variable, before all that boto3 knows; it is set wherever AWS runs code.
        region = caller.region or settings.region or os.environ.get("AWS_REGION") or None
        identity = Identity(region, settings.profile)
        if role is not None:
            identity = evolve(identity, role=role, session=caller.session)
        return Key(service, identity, settings.endpoint(service))

    def _open(self, key: Key) -> Any:
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - only for calls to AWS

        from botocore.config import Config  # noqa: PLC0415 - see _session

        try:
            agent = f"bunsui/{version('bunsui')}"
        except PackageNotFoundError:  # Copied into what a function is made of, not installed.
            agent = "bunsui"
        config = Config(
            retries={"total_max_attempts": 1, "mode": "standard"},
            connect_timeout=self._bounded(CONNECT_TIMEOUT),
            read_timeout=self._bounded(READ_TIMEOUTS.get(key.service, READ_TIMEOUT)),
            max_pool_connections=self._concurrency,
            tcp_keepalive=True,
            user_agent_extra=agent,
        )
        session = self._session(key.identity)
        with self._making:
            return session.client(key.service, endpoint_url=key.endpoint, config=config)

    def _bounded(self, seconds: float) -> float:
        return seconds if self._patience is None else min(seconds, self._patience)

    def _session(self, identity: Identity) -> Any:
        """boto3's session of an identity."""
        import boto3  # noqa: PLC0415 - 150 ms that only calls to AWS need
        import botocore.loaders  # noqa: PLC0415 - see above
        import botocore.session  # noqa: PLC0415 - see above

        with self._making:
            found = self._sessions.pop(identity, None)
            if found is None:
                if self._loader is None:
                    self._loader = botocore.loaders.create_loader()
                made = botocore.session.Session(profile=identity.profile)
                # What it reads of AWS's services takes 10 MB and 100 ms, and is the same for all.
                made.register_component("data_loader", self._loader)
                if identity.role is not None:
                    made.get_component("credential_provider").providers.insert(0, self._taking(identity))
                found = boto3.Session(botocore_session=made, region_name=identity.region)
            self._sessions[identity] = found  # The one that was asked for last stands last.
            while len(self._sessions) > MAX_CLIENTS:
                del self._sessions[next(iter(self._sessions))]
        return found

    def _taking(self, identity: Identity) -> Any:
        """Provides the credentials of a role: it is taken when they are needed, and again as they expire."""
        from botocore import credentials  # noqa: PLC0415 - see _session

        from bunsui.aws.errors import account_in  # noqa: PLC0415 - see _told

        settings = self.settings

        class Provider(credentials.CredentialProvider):  # type: ignore[misc] # botocore has no types.
            METHOD = "assume-role"

            def load(self) -> Any:
                return credentials.DeferredRefreshableCredentials(refresh, self.METHOD)

        def refresh() -> dict[str, Any]:
            parameters = {"RoleArn": identity.role, "RoleSessionName": identity.session}
            if settings.external_id is not None:
                parameters["ExternalId"] = settings.external_id
            answer = self._assume(parameters, identity)
            return {
                "access_key": answer["AccessKeyId"],
                "secret_key": answer["SecretAccessKey"],
                "token": answer["SessionToken"],
                "expiry_time": answer["Expiration"].isoformat(),
                "account_id": account_in(identity.role),
            }

        return Provider()

    def _assume(self, parameters: dict[str, Any], identity: Identity) -> dict[str, Any]:
        """Takes a role, as whoever the credentials are of."""
        client = self._clients.get(self._taking_key(identity))
        try:
            answer: dict[str, Any] = client.assume_role(**parameters)["Credentials"]
        except Exception as error:  # As in `using`.
            failed = _told(error, "sts", "AssumeRole", identity.role, identity.taker, client)
            if failed is None:
                raise
            raise failed from error
        return answer

    def _taking_key(self, identity: Identity) -> Key:
        """The client by which a role is taken."""
        return Key("sts", identity.taker, self.settings.endpoint("sts"))

    def _renew(self, key: Key, client: Any) -> None:
        """Has credentials looked up anew, unless another thread had that done already."""
        if not self._clients.discard(key, client):
            return
        with self._making:
            for identity in (key.identity, key.identity.taker):
                self._sessions.pop(identity, None)
        if key.identity.role is not None:  # It may have expired because those that took it have.
            self._clients.discard(self._taking_key(key.identity))


def _told(
    error: Exception, service: str, action: str, resource: str | None, identity: Identity, client: Any
) -> AwsError | None:
    """What a call failed with, as an `AwsError`; None where it is none of AWS's, or of botocore's, errors.

    Args:
        error: what boto3 raised.
        service: as boto3 calls it.
        action: as AWS calls it.
        resource: what the call was about.
        identity: who made it.
        client: by which it was made; None: there is none yet.
    """
    from bunsui.aws.errors import About, translate  # noqa: PLC0415 - only where something is wrong

    region = identity.region if client is None else client.meta.region_name
    return translate(error, About(service, action, resource, region, identity.role, identity.profile))


def _close(client: Any) -> None:
    client.close()
