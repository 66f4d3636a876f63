"""Calls that were told to fail."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from attrs import define

from bunsui.dsl.problems import did_you_mean
from bunsui.errors import ConfigError


@define
class _Told:
    """Some calls, and what they fail with."""

    method: str | None
    left: int
    after: bool
    error: BaseException


class Failing:
    """Counts the calls of what has some methods, and has those fail that were told to. From any thread.

    Args:
        what: whose methods they are, such as ``a store``.
        methods: their names.
    """

    def __init__(self, what: str, methods: Sequence[str]) -> None:
        self._what = what
        self._methods = methods
        self._told: list[_Told] = []
        self._lock = threading.Lock()
        #: How many times each method was called, whatever came of it.
        self.calls: Counter[str] = Counter()

    def tell(self, times: int, method: str | None, error: BaseException, *, after: bool) -> None:
        """Has the next calls fail, after those that were told before.

        Args:
            times: how many; at least 1.
            method: of which method; None: of any.
            error: what they fail with.
            after: whether after their effect.

        Raises:
            ConfigError: there is no such method, or `times` is less than 1.
        """
        if method is not None and method not in self._methods:
            hint = did_you_mean(method, self._methods) or f"there are: {', '.join(self._methods)}"
            raise ConfigError(f"{self._what} has no method '{method}' that could fail", hint=hint)
        if times < 1:
            raise ConfigError(f"the next {times} calls can't fail", hint="at least 1")
        with self._lock:
            self._told.append(_Told(method, times, after, error))

    @contextmanager
    def call(self, method: str) -> Iterator[None]:
        """What happens around a call.

        Raises:
            BaseException: what it was told to fail with.
        """
        with self._lock:
            self.calls[method] += 1
            told = next((told for told in self._told if told.method in (None, method)), None)
            if told is not None:
                told.left -= 1
                if not told.left:
                    self._told.remove(told)
        if told is not None and not told.after:
            raise told.error
        yield
        if told is not None:
            raise told.error
