"""`BatchProcessor`: items cut into batches, each sent as one, with an answer for each item."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import frozen

from bunsui.errors import ConfigError
from bunsui.model.json import Json
from bunsui.performance.arguments import counted
from bunsui.performance.crew import Batch, Crew

if TYPE_CHECKING:
    from bunsui.ports.clock import Clock

T = TypeVar("T")
R = TypeVar("R")


@frozen
class Processed(Generic[T, R]):
    """What became of one item."""

    item: T
    #: The processor's answer; None where it failed.
    value: R | None = None
    #: Why it failed; None: it did not.
    error: BaseException | None = None


def json_size(item: Any) -> int:
    """The bytes of an item in a request: those of its compact JSON, in ASCII; of `bytes` their number.

    Raises:
        TypeError, ValueError: it is not JSON.
    """
    return len(item) if isinstance(item, bytes | bytearray | memoryview) else Json.of(item).size


class BatchProcessor:
    """Cuts items into batches and has them processed, a few at a time; from any thread.

    Such as::

        from bunsui.performance import BatchProcessor

        def lengths(batch):
            return [len(word) or ValueError("an empty word") for word in batch]

        results = BatchProcessor(max_items=2).process_batch(["one", "", "three"], lengths)
        print([result.value for result in results if result.error is None])  # [3, 5]
        print([str(result.error) for result in results if result.error])  # ['an empty word']

    With a concurrency of 1 and no delay all of it happens in the thread of who calls, and no other is
    started. Else the processor runs in threads that end with the call, in the context (`contextvars`) of who
    calls; the items are read in the thread of who calls all the same.

    Args:
        max_items: most items of a batch; at least 1.
        max_bytes: most bytes of a batch, the sizes of its items added up; at least 1. None: any number.
        size_of: the bytes of an item, asked once for each where `max_bytes` is given.
        max_delay: seconds for which a batch waits at most, from its first item on, to be full; longer, where
            as many as may be are on their way. 0: it goes out when it is full, or when the items are at an
            end.
        concurrency: most batches on their way at once; at least 1.
        clock: where `max_delay` is read from; None: this machine. One that stands still is looked at twice a
            second.

    Raises:
        ConfigError: an argument is wrong.
    """

    def __init__(
        self,
        max_items: int = 100,
        *,
        max_bytes: int | None = None,
        size_of: Callable[[Any], int] = json_size,
        max_delay: float = 0.0,
        concurrency: int = 1,
        clock: Clock | None = None,
    ) -> None:
        self._max_items = counted("max_items", max_items, 100)
        self._max_bytes = None if max_bytes is None else counted("max_bytes", max_bytes, 262144)
        self._concurrency = counted("concurrency", concurrency, 4)
        if (
            isinstance(max_delay, bool)
            or not isinstance(max_delay, int | float)
            or not 0 <= max_delay < math.inf
        ):
            hint = "it is a number of seconds, such as 0.5; 0: no batch waits for a time"
            raise ConfigError(f"max_delay is {max_delay!r}", hint=hint)
        self._max_delay = max_delay
        self._size_of = size_of
        self._monotonic = time.monotonic if clock is None else clock.monotonic

    def process_batch(
        self, items: Iterable[T], processor: Callable[[Sequence[T]], Sequence[R | BaseException]]
    ) -> list[Processed[T, R]]:
        """What became of each item, in their order.

        An item fails by itself where its answer is an exception, and, without being sent, where it alone has
        more than `max_bytes` or `size_of` raises. All items of a batch fail where the processor raises, or
        gives another number of answers. Other batches are sent all the same.

        Args:
            items: they are read as they are sent: at most one batch ahead of those on their way and, with
                `max_bytes`, the item that did not fit into it.
            processor: gets a tuple of items, never empty; gives a list of their answers, in their order.
                With a concurrency above 1 it is called in several threads at once.

        Raises:
            Exception: what the iterable raised, once what is on its way has ended; nothing more is sent.
            BaseException: KeyboardInterrupt or SystemExit; one of the processor in another thread when the
                next item is there. Nothing more is sent; what is on its way ends by itself, unseen.
            RuntimeError: the system gives no thread, where one is needed.
        """
        course = _Course(self._max_bytes, self._size_of, processor)
        weighed = course.weighed(items)
        make = self._batch
        if self._concurrency > 1 or self._max_delay > 0:
            crew = Crew(self._concurrency, self._max_delay, self._monotonic, make, course.answer)
            crew.work(weighed)
            return course.results
        batch: Batch[T] = make()
        for place, item, size in weighed:
            if not batch.fits(size):
                course.answer(batch)
                batch = make()
            batch.add(place, item, size)
            if batch.is_full:
                course.answer(batch)
                batch = make()
        if batch.items:
            course.answer(batch)
        return course.results

    def _batch(self) -> Batch[Any]:
        return Batch(self._max_items, math.inf if self._max_bytes is None else self._max_bytes)


class _Course(Generic[T, R]):
    """One call: its items as they are read, and what became of them."""

    def __init__(
        self,
        max_bytes: int | None,
        size_of: Callable[[T], int],
        processor: Callable[[Sequence[T]], Sequence[R | BaseException]],
    ) -> None:
        self.results: list[Processed[T, R]] = []
        self._max_bytes = max_bytes
        self._size_of = size_of
        self._processor = processor

    def weighed(self, items: Iterable[T]) -> Iterator[tuple[int, T, int]]:
        """Those that can be sent, each with its place among the results and its bytes."""
        for place, item in enumerate(items):
            self.results.append(Processed(item))
            size = 0
            if self._max_bytes is not None:
                try:
                    size = self._size_of(item)
                    if size > self._max_bytes:
                        raise ConfigError(
                            f"the item has {size:,} bytes; a batch takes at most {self._max_bytes:,}",
                            hint="send it in parts, or where it is by reference",
                        )
                except Exception as error:  # Foreign code; one item keeps no other from being sent.
                    self.results[place] = Processed(item, error=error)
                    continue
            yield place, item, size

    def answer(self, batch: Batch[T]) -> None:
        """Has a batch processed, and notes what became of its items."""
        items = tuple(batch.items)
        try:
            given = self._processor(items)
            if not isinstance(given, Sequence) or isinstance(given, str | bytes):
                raise _not_answered(f"a value of type {type(given).__name__}", len(items))
            answers = list(given)
            if len(answers) != len(items):
                raise _not_answered(f"{len(answers)} answer{'' if len(answers) == 1 else 's'}", len(items))
        except Exception as error:  # Foreign code; the items of other batches are not concerned.
            answers = [error] * len(items)
        for place, item, answer in zip(batch.places, items, answers, strict=True):
            if isinstance(answer, BaseException):  # Also a CancelledError, as asyncio.gather gives.
                self.results[place] = Processed(item, error=answer)
            else:
                self.results[place] = Processed(item, answer)


def _not_answered(given: str, count: int) -> ConfigError:
    return ConfigError(
        f"the processor gave {given} for {count} item{'' if count == 1 else 's'}",
        hint="it gives a list with one answer for each item, in their order; an exception, where it failed",
    )
