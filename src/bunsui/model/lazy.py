"""Attributes that are computed when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

T = TypeVar("T")


class cached_property(Generic[T]):  # noqa: N801 - as that of Python, in whose place it stands
    """As `functools.cached_property` is from Python 3.12 on: without a lock.

    That of Python 3.11 holds one while it computes, for all instances of a class: a process that was forked
    meanwhile, as a server forks workers, would wait for it for ever. Two threads at once may compute a value
    twice; the last one stays. (Classes of attrs with slots have neither: attrs makes its own of Python's.)
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> Self | T:
        if instance is None:
            return self
        # It has no `__set__`: from now on the instance's own attribute is found first.
        value = instance.__dict__[self._name] = self._make(instance)
        return value
