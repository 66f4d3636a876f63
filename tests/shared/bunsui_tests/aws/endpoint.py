"""`FakeAws`: AWS as its users meet it, for real boto3 in this process and in others."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any, Literal

from attrs import evolve

from bunsui_tests.aws.batch import FakeBatch
from bunsui_tests.aws.ecs import FakeEcs
from bunsui_tests.aws.environment import ACCESS_KEY, REGION, client, environment
from bunsui_tests.aws.faults import Faults
from bunsui_tests.aws.functions import FakeLambda
from bunsui_tests.aws.glue import FakeGlue
from bunsui_tests.aws.listening import Listener
from bunsui_tests.aws.logs import FakeLogs
from bunsui_tests.aws.messages import Call, Dropped, Refusal, Reply, Request
from bunsui_tests.aws.policies import Policies
from bunsui_tests.aws.protocols import Service
from bunsui_tests.aws.step_functions import FakeStepFunctions
from bunsui_tests.aws.sts import ACCOUNT, FakeSts


class FakeAws:
    """An endpoint on a free port of this machine, from its making to `close`; a context manager.

    State is kept by account and region, which are those of the access key and of the signature. Signatures
    themselves are not checked.

    Closing raises what went wrong inside of the endpoint itself, if anything did.
    """

    #: The account of access keys that nobody has registered.
    account = ACCOUNT

    def __init__(self) -> None:
        self.faults = Faults()
        #: What callers may do; all may do anything at first.
        self.policies = Policies()
        self.sts = FakeSts()
        self.logs = FakeLogs()
        self.ecs = FakeEcs()
        self.batch = FakeBatch()
        self.glue = FakeGlue()
        self.machines = FakeStepFunctions()
        self.functions = FakeLambda(self.logs)
        self._services: dict[str, Service] = {}
        for service in (self.sts, self.logs, self.ecs, self.machines, self.batch, self.glue, self.functions):
            self.add(service)
        self._calls: list[Call] = []
        self._changed = threading.Condition()
        self._wrong: list[Exception] = []
        self._listener = Listener(self._answer)
        self.url = f"http://127.0.0.1:{self._listener.port}"

    def add(self, service: Service) -> None:
        """Takes the calls of one more service."""
        self._services[service.name] = service

    @property
    def environment(self) -> dict[str, str]:
        """The environment of processes that are to use it; its URL is not in it."""
        return environment()

    def client(self, service: str, *, access_key: str = ACCESS_KEY, region: str = REGION, **more: Any) -> Any:
        """A boto3 client for it that does not try again; ``more`` goes to botocore's Config."""
        return client(service, self.url, access_key=access_key, region=region, **more)

    @property
    def calls(self) -> list[Call]:
        """All calls, in the order in which they came."""
        with self._changed:
            return list(self._calls)

    def called(self, service: str, action: str | None = None) -> list[Call]:
        """The calls of a service, or of one of its actions."""
        return [each for each in self.calls if each.service == service and action in {None, each.action}]

    def wait_for_calls(self, service: str, action: str, count: int = 1, seconds: float = 60.0) -> list[Call]:
        """The calls of an action, when so many have come; that they have not is a failure."""
        with self._changed:
            found = self._changed.wait_for(lambda: len(self.called(service, action)) >= count, seconds)
        calls = self.called(service, action)
        assert found, f"{len(calls)} calls of {action} within {seconds} s, not {count}"
        return calls

    @contextlib.contextmanager
    def outage(self, how: Literal["refuse", "close"] = "refuse") -> Iterator[None]:
        """Nobody can connect, or whoever does is cut off at once; connections that were open are cut, too."""
        self._listener.outage(how)
        try:
            yield
        finally:
            self._listener.recover()

    def close(self) -> None:
        """Drops what is held, ends all connections and waits for the threads."""
        self.faults.abandon()
        self._listener.close()
        self.functions.close()
        if self._wrong:
            raise self._wrong[0]

    def __enter__(self) -> FakeAws:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, request: Request) -> Reply | None:
        access_key, region, name = request.scope or ("", "", "")
        service = self._services.get(name)
        if service is None:
            self._wrong.append(AssertionError(f"{request.path} is signed for {name!r}: no such service here"))
            return Reply(501)
        call = Call(
            number=0,
            service=name,
            action="?",
            parameters={},
            headers=request.headers,
            access_key=access_key,
            account=self.sts.account_of(access_key),
            region=region,
            started=time.monotonic(),
        )
        refusal = None
        try:
            action, parameters = service.parse(request)
            call = evolve(call, action=action, parameters=parameters)
        except Refusal as error:
            refusal = error
        call = self._came(call)
        reply = self._reply(call, service, refusal)
        self._went(call, reply)
        return reply

    def _reply(self, call: Call, service: Service, refusal: Refusal | None) -> Reply | None:
        try:
            if refusal is not None:
                raise refusal
            self.sts.admit(call, service.refusals.unknown_key)
            self._permit(call, service)
            self.faults.strike(call, service, after=False)
            reply = service.answer(call)
            self.faults.strike(call, service, after=True)
        except Refusal as error:
            return service.refuse(error)
        except Dropped:
            return None
        except Exception as error:  # The fake's own mistakes fail the test, and don't look like AWS's.
            self._wrong.append(error)
            return Reply(501)
        return reply

    def _permit(self, call: Call, service: Service) -> None:
        """Refuses what the caller's policy does not allow."""
        missing = self.policies.missing(self.sts.principal(call.access_key), lambda: service.needs(call))
        if missing is not None:
            code, status = service.refusals.denied
            what = f"{missing.action} on resource: {missing.resource}"
            who = f"User: {self.sts.arn_of(call)} is not authorized to perform: {what}"
            raise Refusal(
                code, f"{who} because no identity-based policy allows the {missing.action} action", status
            )

    def _came(self, call: Call) -> Call:
        with self._changed:
            call = evolve(call, number=len(self._calls) + 1)
            self._calls.append(call)
            self._changed.notify_all()
        return call

    def _went(self, call: Call, reply: Reply | None) -> None:
        status, error = (reply.status, reply.error) if reply else (None, None)
        with self._changed:
            self._calls[call.number - 1] = evolve(call, answered=time.monotonic(), status=status, error=error)
            self._changed.notify_all()
