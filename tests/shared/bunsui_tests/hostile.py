"""What plugins may raise and return that nobody expects, by name."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import bunsui


class Leaving(BaseException):
    """What no handler of exceptions expects."""


class Unspeakable(Exception):
    """Its text can't be made."""

    def __str__(self) -> str:
        raise Leaving("no text")

    __repr__ = __str__


class Evil(str):
    """A text whose every method fails."""

    __slots__ = ()

    def _fail(self, *_: Any) -> Any:
        raise Leaving("no method")

    __len__ = __eq__ = __hash__ = __getitem__ = __add__ = __str__ = __repr__ = __format__ = _fail  # type: ignore[assignment]


class Speaking(Exception):
    """Its text is one of those."""

    def __str__(self) -> str:
        return Evil("text")


class Unpicklable(Exception):
    """It can't be handed to another process."""

    def __init__(self, a: Any, b: Any) -> None:
        super().__init__()
        self.lock = threading.Lock()

    def __reduce__(self) -> Any:
        raise Leaving("not to be pickled")


class Untraceable(Exception):
    """What is asked about it raises."""

    @property
    def __traceback__(self) -> Any:  # type: ignore[override]
        raise Leaving("no traceback")

    @property
    def __cause__(self) -> Any:  # type: ignore[override]
        raise Leaving("no cause")


class Untrue:
    """Neither true nor false, nor equal to anything."""

    def _fail(self, *_: Any) -> Any:
        raise Leaving("no method")

    __bool__ = __eq__ = __repr__ = __str__ = __hash__ = __len__ = __iter__ = _fail  # type: ignore[assignment]


class Odd(bunsui.JobError):
    """A refusal whose parts can't be had."""

    @property
    def code(self) -> Any:  # type: ignore[override]
        raise Leaving("no code")

    @code.setter
    def code(self, value: Any) -> None:
        pass


class Closed:
    """Whatever it is asked for raises."""

    def __getattribute__(self, name: str) -> Any:
        raise Leaving(name)


class Faithless(dict[str, Any]):
    """A mapping that can't be looked through."""

    def _fail(self, *_: Any) -> Any:
        raise Leaving("no items")

    __iter__ = items = keys = values = _fail  # type: ignore[assignment]


class BadAwaitable:
    """It can't be awaited."""

    def __await__(self) -> Any:
        raise Leaving("not to be awaited")


class JunkAwaitable:
    """What it gives when it is awaited is no iterator."""

    def __await__(self) -> Any:
        return 7


def raising(error: Callable[[], BaseException]) -> Callable[..., Any]:
    def method(*_: Any) -> Any:
        raise error()

    return method


def returning(value: Callable[[], Any]) -> Callable[..., Any]:
    return lambda *_: value()


def _itself() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


def _deep() -> Any:
    value: Any = 1
    for _ in range(100_000):
        value = [value]
    return value


async def _coroutine(*_: Any) -> Any:
    return 1


RAISED: dict[str, Callable[[], BaseException]] = {
    "ValueError": lambda: ValueError("oops"),
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "StopIteration": StopIteration,
    "a BaseException": lambda: Leaving("oops"),
    "one without text": Unspeakable,
    "one with an evil text": Speaking,
    "one that can't be pickled": lambda: Unpicklable(1, 2),
    "one without traceback": Untraceable,
    "a JobError of no truth": lambda: bunsui.JobError("x", retryable=Untrue()),  # type: ignore[arg-type]
    "a JobError of no parts": lambda: Odd("x"),
    "a JobError of evil texts": lambda: bunsui.JobError(Evil("x"), code=Evil("y")),
    "an endless text": lambda: ValueError("x" * 5_000_000),
    "MemoryError": MemoryError,
}
JUNK: dict[str, Callable[[], Any]] = {
    "an object": object,
    "NaN": lambda: {"x": float("nan")},
    "a set": lambda: {1, 2},
    "itself": _itself,
    "too deep": _deep,
    "bytes": lambda: b"x",
    "keys that are no text": lambda: {1: 2},
    "no truth": Untrue,
    "nothing to ask for": Closed,
    "a mapping that raises": lambda: Faithless(a=1),
}
#: What `run` may return besides, as it may be async.
AWAITED: dict[str, Callable[[], Any]] = {
    "not to be awaited": BadAwaitable,
    "junk when awaited": JunkAwaitable,
}


def unanswered(*_: Any) -> Any:
    """A call that the service did not answer."""
    raise ConnectionError("reset")


#: Of those that leave open whether a call had an effect, and of refusals that may pass, other tests tell.
FAULTS = {name: raising(error) for name, error in RAISED.items() if "JobError" not in name}
FAULTS |= {name: returning(value) for name, value in JUNK.items()}
FAULTS |= {"a coroutine": _coroutine, "None": returning(lambda: None)}
