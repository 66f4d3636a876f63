"""What goes wrong at the endpoint, by service and action."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from bunsui_tests.aws.messages import Call, Dropped, Refusal

if TYPE_CHECKING:
    from bunsui_tests.aws.protocols import Service

#: What is done to a call: it returns, raises `Refusal` or `Dropped`, or does not return for a while.
Act = Callable[[Call, "Service"], None]
When = Callable[[Call], Any]


class Fault:
    """Something that goes wrong until it ends, by itself, by `end`, or with its ``with`` block."""

    def __init__(
        self, act: Act, when: When, *, after: bool, times: int | None, every: int, share: float
    ) -> None:
        self._act = act
        self._when = when
        self.after = after
        self._left = times
        self._every = every
        self._share = share
        self._random = random.Random(0)
        self._lock = threading.Lock()
        self._seen = 0
        #: How many calls it has struck.
        self.hits = 0

    def strike(self, call: Call, service: Service) -> None:
        """Does to the call what it does, if this is one of its calls."""
        with self._lock:
            if self._left == 0 or not self._when(call):
                return
            self._seen += 1
            if self._seen % self._every or self._random.random() >= self._share:
                return
            self.hits += 1
            if self._left is not None:
                self._left -= 1
        self._act(call, service)

    def end(self) -> None:
        """Strikes no more."""
        with self._lock:
            self._left = 0

    def __enter__(self) -> Fault:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


class Hold(Fault):
    """Calls that are held until the test lets them go; then they go on as if nothing had been."""

    def __init__(self, when: When, *, after: bool, times: int | None, drops: bool) -> None:
        super().__init__(self._keep, when, after=after, times=times, every=1, share=1.0)
        self._drops = drops
        self._held: list[Call] = []
        self._changed = threading.Condition()
        self._is_open = self._is_abandoned = False

    @property
    def held(self) -> list[Call]:
        """The calls that have been held, oldest first; also those that have been let go."""
        with self._changed:
            return list(self._held)

    def wait(self, count: int = 1, seconds: float = 60.0) -> list[Call]:
        """The held calls, when there are so many of them; that there are not is a failure."""
        with self._changed:
            found = self._changed.wait_for(lambda: len(self._held) >= count, seconds)
            assert found, f"{len(self._held)} calls were held within {seconds} s, not {count}"
            return list(self._held)

    def release(self) -> None:
        """Lets all go, and holds no more."""
        self._open(abandoned=False)

    def end(self) -> None:
        self.release()

    def abandon(self) -> None:
        """Drops what is held, and holds no more."""
        self._open(abandoned=True)

    def _open(self, *, abandoned: bool) -> None:
        super().end()
        with self._changed:
            if not self._is_open:
                self._is_open, self._is_abandoned = True, abandoned
            self._changed.notify_all()

    def _keep(self, call: Call, _: Service) -> None:
        with self._changed:
            self._held.append(call)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_open)
            if self._is_abandoned or self._drops:
                raise Dropped


_Fault = TypeVar("_Fault", bound=Fault)


class Faults:
    """The faults of an endpoint. They are tried in the order in which they were made.

    All of them take ``service`` and ``action`` (None: any), ``when`` (only the calls of which it is true) and
    ``times`` (how many calls they strike before they end; None: without end).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def throttle(
        self,
        service: str | None = None,
        action: str | None = None,
        *,
        share: float = 1.0,
        every: int = 1,
        times: int | None = None,
        code: str | None = None,
        when: When | None = None,
    ) -> Fault:
        """Refuses calls for their rate: a share of them (by a fixed seed), every so many-th, or the next."""

        def act(_: Call, at: Service) -> None:
            own, status = at.refusals.throttled
            raise Refusal(code or own, "Rate exceeded", status)

        return self._add(act, service, action, when, times=times, every=every, share=share)

    def server_error(
        self,
        service: str | None = None,
        action: str | None = None,
        *,
        status: int = 500,
        code: str | None = None,
        after: bool = False,
        share: float = 1.0,
        times: int | None = None,
        when: When | None = None,
    ) -> Fault:
        """Answers 500 or 503, or what a gateway says, before the effect or after it."""

        def act(_: Call, at: Service) -> None:
            own = "ServiceUnavailable" if status == 503 else at.refusals.broken
            raise Refusal(code or own, "We encountered an internal error. Please try again.", status)

        return self._add(act, service, action, when, after=after, times=times, share=share)

    def drop_before(self, service: str | None = None, action: str | None = None, **more: Any) -> Fault:
        """Closes the connection without an answer; the call has no effect. Also takes ``share``."""
        return self._add(_drop, service, action, more.pop("when", None), **more)

    def drop_after(self, service: str | None = None, action: str | None = None, **more: Any) -> Fault:
        """Closes the connection without an answer when the call has had its effect. Also takes ``share``."""
        return self._add(_drop, service, action, more.pop("when", None), after=True, **more)

    def deny(
        self, service: str, action: str | None = None, *, times: int | None = None, when: When | None = None
    ) -> Fault:
        """Refuses calls that their caller may not make."""

        def act(call: Call, at: Service) -> None:
            code, status = at.refusals.denied
            who = f"arn:aws:iam::{call.account}:user/{call.access_key}"
            what = f"{call.service}:{'InvokeFunction' if call.action == 'Invoke' else call.action}"
            why = f"because no identity-based policy allows the {what} action"
            raise Refusal(code, f"User: {who} is not authorized to perform: {what} {why}", status)

        return self._add(act, service, action, when, times=times)

    def expire(self, access_key: str) -> Fault:
        """Refuses all calls with this access key from now on."""

        def act(_: Call, at: Service) -> None:
            code, status = at.refusals.expired
            raise Refusal(code, "The security token included in the request is expired", status)

        return self._add(act, None, None, lambda call: call.access_key == access_key)

    def hold(
        self,
        service: str | None = None,
        action: str | None = None,
        *,
        after: bool = False,
        times: int | None = None,
        when: When | None = None,
    ) -> Hold:
        """Holds calls until the test lets them go, before they have their effect or after it."""
        return self._added(Hold(_which(service, action, when), after=after, times=times, drops=False))

    def hang(
        self,
        service: str | None = None,
        action: str | None = None,
        *,
        times: int | None = None,
        when: When | None = None,
    ) -> Hold:
        """Never answers: what is let go has its connection closed. The calls have no effect."""
        return self._added(Hold(_which(service, action, when), after=False, times=times, drops=True))

    def clear(self) -> None:
        """Ends all of them."""
        for fault in self._now():
            fault.end()
        with self._lock:
            self._faults.clear()

    def abandon(self) -> None:
        """Drops all that is held, and ends all of them."""
        for fault in self._now():
            if isinstance(fault, Hold):
                fault.abandon()
        self.clear()

    def strike(self, call: Call, service: Service, *, after: bool) -> None:
        """Does to a call what goes wrong before or after its effect."""
        for fault in self._now():
            if fault.after is after:
                fault.strike(call, service)

    def _now(self) -> list[Fault]:
        with self._lock:
            return list(self._faults)

    def _add(
        self,
        act: Act,
        service: str | None,
        action: str | None,
        when: When | None,
        *,
        after: bool = False,
        times: int | None = None,
        every: int = 1,
        share: float = 1.0,
    ) -> Fault:
        which = _which(service, action, when)
        return self._added(Fault(act, which, after=after, times=times, every=every, share=share))

    def _added(self, fault: _Fault) -> _Fault:
        with self._lock:
            self._faults.append(fault)
        return fault


def _drop(_: Call, __: Service) -> None:
    raise Dropped


def _which(service: str | None, action: str | None, when: When | None) -> When:
    def which(call: Call) -> bool:
        return (
            service in {None, call.service}
            and action in {None, call.action}
            and (not when or bool(when(call)))
        )

    return which
