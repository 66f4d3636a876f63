"""Items in batches: within their bounds, in order, each once, not read ahead, each with its own failure."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bunsui.errors import ConfigError
from bunsui.performance import BatchProcessor, Processed, crew
from bunsui.performance.batch import json_size
from bunsui.testing import FakeClock
from bunsui_tests.conditions import until
from bunsui_tests.held import leaves_nothing

#: A delay that is over at once.
SHORT = 1e-6
#: With and without threads.
WAYS = pytest.mark.parametrize("way", [{}, {"concurrency": 3}, {"max_delay": 60.0}], ids=str)


@pytest.mark.parametrize(
    ("concurrency", "max_delay"), [(1, 0.0), (1, 60.0), (2, 0.0), (3, 60.0), (1, SHORT), (4, SHORT)]
)
@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 8), max_size=40),
    max_items=st.integers(1, 6),
    max_bytes=st.none() | st.integers(1, 12),
    fails=st.sets(st.integers(0, 40)),
)
@example(sizes=[3, 3, 1, 5, 6, 0, 2], max_items=5, max_bytes=5, fails={1})
def test_whatever_the_items(
    concurrency: int,
    max_delay: float,
    sizes: list[int],
    max_items: int,
    max_bytes: int | None,
    fails: set[int],
) -> None:
    """No batch goes beyond its bounds; what can be sent is, once; each item has its answer, in order.

    Nor is it cut where the next item would have fitted, unless it went out for the time it had waited.
    """
    items = list(enumerate(sizes))
    sent: list[Sequence[tuple[int, int]]] = []

    def process(batch: Sequence[tuple[int, int]]) -> list[Any]:
        sent.append(batch)
        return [KeyError(number) if number in fails else f"did {number}" for number, _ in batch]

    processor = BatchProcessor(
        max_items,
        max_bytes=max_bytes,
        size_of=lambda item: item[1],
        concurrency=concurrency,
        max_delay=max_delay,
    )
    results = processor.process_batch(iter(items), process)

    bytes_allowed = float("inf") if max_bytes is None else max_bytes
    fitting = [item for item in items if item[1] <= bytes_allowed]
    assert items == [result.item for result in results]
    # Threads may come to note what they got in another order than that in which they got it.
    batches = sorted(sent)
    assert fitting == [item for batch in batches for item in batch]
    for batch in batches:
        assert 1 <= len(batch) <= max_items
        assert sum(size for _, size in batch) <= bytes_allowed
    if max_delay != SHORT:
        for batch, following in itertools.pairwise(batches):
            total = sum(size for _, size in batch)
            full = len(batch) == max_items or total == bytes_allowed
            assert full or total + following[0][1] > bytes_allowed
    for number, size in items:
        result = results[number]
        if size > bytes_allowed:
            assert isinstance(result.error, ConfigError)
        elif number in fails:
            assert (None, (number,)) == (result.value, getattr(result.error, "args", None))
        else:
            assert Processed(items[number], f"did {number}") == result


@pytest.mark.parametrize("concurrency", [1, 2, 3])
@pytest.mark.parametrize("max_delay", [0.0, 60.0])
def test_back_pressure(concurrency: int, max_delay: float) -> None:
    """While batches are on their way, one more is read and no item beyond it; and no more are sent.

    In the thread of who calls, where there is no other, none is read meanwhile.
    """
    lock, all_there = threading.Lock(), threading.Event()
    read = on_their_way = done = most = furthest = 0
    ahead = 0 if (concurrency, max_delay) == (1, 0.0) else 1

    def items() -> Iterator[int]:
        nonlocal read
        for number in range(60):
            read += 1
            yield number

    def process(batch: Sequence[int]) -> Sequence[int]:
        nonlocal on_their_way, done, most, furthest
        with lock:
            on_their_way += 1
            most = max(most, on_their_way)
            if on_their_way == concurrency:
                all_there.set()
        # The first ones wait until as many are on their way as may be, and all is read that may be.
        assert all_there.wait(30)
        until(lambda: read >= 3 * (concurrency + ahead))
        with lock:
            furthest = max(furthest, read - 3 * done)
            on_their_way -= 1
            done += 1
        return batch

    processor = BatchProcessor(3, concurrency=concurrency, max_delay=max_delay)
    results = processor.process_batch(items(), process)
    assert list(range(60)) == [result.value for result in results]
    assert (concurrency, 3 * (concurrency + ahead)) == (most, furthest)


def test_read_ahead_where_bytes_are_counted() -> None:
    """Beyond what is on its way and the next batch, the one item that did not fit is read."""
    read = done = furthest = 0

    def items() -> Iterator[bytes]:
        nonlocal read
        for _ in range(20):
            read += 1
            yield b"123"

    def process(batch: Sequence[bytes]) -> list[int]:
        nonlocal done, furthest
        until(lambda: read >= 5)
        furthest = max(furthest, read - 2 * done)
        done += 1
        return [len(batch)] * len(batch)

    results = BatchProcessor(10, max_bytes=7, max_delay=60.0).process_batch(items(), process)
    assert ([2] * 20, 5) == ([result.value for result in results], furthest)


@WAYS
def test_partial_failures(way: dict[str, Any]) -> None:
    """An exception as an answer is its item's failure alone, also one that is no Exception."""

    def halves(batch: Sequence[int]) -> list[int | BaseException]:
        return [
            n // 2 if n % 2 == 0 else asyncio.CancelledError() if n == 5 else ValueError(n) for n in batch
        ]

    results = BatchProcessor(4, **way).process_batch(range(7), halves)
    assert [0, 1, 2, 3] == [result.value for result in results if result.error is None]
    assert [None, ValueError, None, ValueError, None, asyncio.CancelledError, None] == [
        result.error and type(result.error) for result in results
    ]


@WAYS
def test_a_batch_that_fails(way: dict[str, Any]) -> None:
    """All of its items fail by what was raised, and no other's."""
    error = OSError("it is away")

    def process(batch: Sequence[int]) -> list[int]:
        if 2 in batch:
            raise error
        return [-n for n in batch]

    results = BatchProcessor(2, **way).process_batch(range(6), process)
    assert [Processed(2, error=error), Processed(3, error=error)] == results[2:4]
    assert [0, -1, None, None, -4, -5] == [result.value for result in results]


@WAYS
@pytest.mark.parametrize(
    ("answers", "given"),
    [
        ([1], "1 answer"),
        ([1, 2, 3], "3 answers"),
        ([], "0 answers"),
        (None, "a value of type NoneType"),
        ("ab", "a value of type str"),
        ({1: 1, 2: 2}, "a value of type dict"),
    ],
)
def test_wrong_answers(way: dict[str, Any], answers: Any, given: str) -> None:
    """Another number of them, or what is no list: nobody can tell whose they are, so all fail."""
    results = BatchProcessor(**way).process_batch("xy", lambda batch: answers)
    expected = (
        f"the processor gave {given} for 2 items; it gives a list with one answer for each item, in their"
        " order; an exception, where it failed"
    )
    assert [(None, expected)] * 2 == [(result.value, str(result.error)) for result in results]


@WAYS
def test_an_item_that_is_too_large_is_not_sent(way: dict[str, Any]) -> None:
    """It fails by itself, as does one whose size can't be told; the others go out, together."""
    sent = []

    def process(batch: Sequence[Any]) -> list[int]:
        sent.append(batch)
        return [1] * len(batch)

    items = ["a" * 8, "a" * 9, {"t": object()}, b"0123456789", b"01234567890"]
    results = BatchProcessor(max_bytes=10, **way).process_batch(items, process)
    assert [("a" * 8,), (b"0123456789",)] == sent
    assert [1, None, None, 1, None] == [result.value for result in results]
    assert "the item has 11 bytes; a batch takes at most 10; send it in parts" in str(results[1].error)
    assert (TypeError, ConfigError) == (type(results[2].error), type(results[4].error))


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_the_size_of_json(value: Any) -> None:
    """It is never less than what the item takes in a request, however that is written compactly."""
    dumped = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert len(dumped.encode("utf-8", "surrogatepass")) <= json_size(value)


def test_nothing_to_do() -> None:
    """The processor is not called."""
    processor: Any = None
    assert [] == BatchProcessor(concurrency=2).process_batch([], processor)
    assert [] == BatchProcessor().process_batch(iter(()), processor)


def test_no_thread_where_none_is_needed() -> None:
    """All is done in the thread of who calls; where others are, the items are read in it all the same."""
    here = threading.current_thread()

    def process(batch: Sequence[Any]) -> list[Any]:
        return [(thread is here, threading.current_thread() is here) for thread in batch]

    def items() -> Iterator[threading.Thread]:
        for _ in range(5):
            yield threading.current_thread()

    for way, there in ({}, True), ({"concurrency": 2}, False), ({"max_delay": 1.0}, False):
        results = BatchProcessor(2, **way).process_batch(items(), process)
        assert [(True, there)] * 5 == [result.value for result in results]


def crew_threads() -> set[threading.Thread]:
    """Those that send batches."""
    return {thread for thread in threading.enumerate() if thread.name == "bunsui-batch"}


def test_no_more_threads_than_batches() -> None:
    """One is started where none is free, and all are gone when the call is over."""
    seen: list[set[threading.Thread]] = []

    def process(batch: Sequence[int]) -> Sequence[int]:
        seen.append(crew_threads())
        return batch

    for count in (1, 2, 3):
        BatchProcessor(1, concurrency=50, max_delay=60.0).process_batch(range(count), process)
        assert set() == crew_threads()
        assert len(max(seen, key=len)) <= count


def test_the_context_of_who_calls() -> None:
    """What is set there, such as a trace, is seen by the processor."""
    variable = contextvars.ContextVar("variable", default="none")
    variable.set("mine")
    processor = BatchProcessor(1, concurrency=2)
    results = processor.process_batch(range(4), lambda batch: [variable.get()])
    assert ["mine"] * 4 == [result.value for result in results]


class Source:
    """Items that come when a test lets them."""

    def __init__(self) -> None:
        self.sent: list[Sequence[int]] = []

    def process(self, batch: Sequence[int]) -> Sequence[int]:
        self.sent.append(batch)
        return batch


def test_a_batch_waits_for_its_time_only() -> None:
    """A slow iterable's batch goes out once its first item has waited for `max_delay`; full ones, before."""
    clock, source = FakeClock(), Source()

    def items() -> Iterator[int]:
        yield from (1, 2, 3, 4)
        clock.advance(4)
        yield 5
        until(lambda: source.sent == [(1, 2, 3)])
        clock.advance(5.9)  # Since the 4 came 9.9 seconds have passed.
        yield 6
        assert [(1, 2, 3), (4, 5, 6)][: len(source.sent)] == source.sent
        until(lambda: len(source.sent) == 2)
        yield 7
        clock.advance(10)
        until(lambda: len(source.sent) == 3)
        yield 8

    results = BatchProcessor(3, max_delay=10.0, clock=clock).process_batch(items(), source.process)
    assert [(1, 2, 3), (4, 5, 6), (7,), (8,)] == source.sent
    assert list(range(1, 9)) == [result.value for result in results]


def test_a_batch_whose_time_has_not_come_is_not_sent() -> None:
    """Though the thread has looked at the clock since."""

    class Looked(FakeClock):
        looks = 0

        def monotonic(self) -> float:
            self.looks += 1
            return super().monotonic()

    clock, source = Looked(), Source()

    def items() -> Iterator[int]:
        yield 1
        clock.advance(9.9)
        looks = clock.looks
        until(lambda: clock.looks >= looks + 2)
        assert [] == source.sent
        clock.advance(0.2)
        until(lambda: source.sent == [(1,)])
        yield 2

    BatchProcessor(3, max_delay=10.0, clock=clock).process_batch(items(), source.process)
    assert [(1,), (2,)] == source.sent


def test_a_thread_that_waits_is_told_of_the_next_item(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sends that in time, and not only when it looks for itself."""
    monkeypatch.setattr(crew, "LOOK", 600.0)
    source = Source()

    def items() -> Iterator[int]:
        for number in range(3):
            yield number
            until(lambda number=number: len(source.sent) > number)

    BatchProcessor(3, max_delay=0.01).process_batch(items(), source.process)
    assert [(0,), (1,), (2,)] == source.sent


def test_without_a_delay_a_slow_iterable_is_waited_for() -> None:
    """A batch goes out when it is full, or at the end."""
    source = Source()

    def items() -> Iterator[int]:
        for number in range(5):
            yield number
            assert (number + 1) // 2 >= len(source.sent)

    BatchProcessor(2, concurrency=2).process_batch(items(), source.process)
    assert [(0, 1), (2, 3), (4,)] == sorted(source.sent)


@WAYS
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_goes_on_up(way: dict[str, Any], error: type[BaseException]) -> None:
    """No item's failure it is, and nothing is sent after it."""
    sent = []

    def process(batch: Sequence[int]) -> Sequence[int]:
        sent.append(batch)
        if 2 in batch:
            raise error
        return batch

    def items() -> Iterator[int]:
        yield from (0, 1, 2, 3)
        until(lambda: (2, 3) in sent)
        yield from range(4, 1000)

    with leaves_nothing(), pytest.raises(error):
        BatchProcessor(2, **way).process_batch(items(), process)
    # With threads, some may have been sent before it came to who calls.
    assert len(sent) < 400 if way else [(0, 1), (2, 3)] == sent


def test_nothing_is_read_after_an_interrupt() -> None:
    """It comes out with the next item, though the batch is not full."""
    read, threads = [], []

    def items() -> Iterator[int]:
        for number in range(10):
            read.append(number)
            yield number
            until(lambda: threads and not threads[0].is_alive())

    def process(batch: Sequence[int]) -> Sequence[int]:
        threads.append(threading.current_thread())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        BatchProcessor(max_delay=0.01).process_batch(items(), process)
    assert [0, 1] == read


@WAYS
def test_what_the_iterable_raises(way: dict[str, Any]) -> None:
    """It comes out when what is on its way has ended, and what was only gathered is not sent."""
    began, ended, going = threading.Event(), [], threading.Event()

    def items() -> Iterator[int]:
        yield from (0, 1)
        if way:
            assert began.wait(30)
            threading.Timer(0.05, going.set).start()
        else:
            going.set()
        yield 2
        raise LookupError("no more")

    def process(batch: Sequence[int]) -> Sequence[int]:
        began.set()
        assert not way or going.wait(30)
        ended.append(batch)
        return batch

    with leaves_nothing():
        with pytest.raises(LookupError, match="no more"):
            BatchProcessor(2, **way).process_batch(items(), process)
        assert [(0, 1)] == ended


def test_threads_share_one() -> None:
    """Calls at the same time have nothing to do with each other."""
    processor = BatchProcessor(3, concurrency=2)
    got: dict[int, list[Any]] = {}

    def call(number: int) -> None:
        results = processor.process_batch(range(50), lambda batch: [(number, item) for item in batch])
        got[number] = [result.value for result in results]

    threads = [threading.Thread(target=call, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {number: [(number, item) for item in range(50)] for number in range(6)} == got


def test_a_system_that_gives_one_thread_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """That one does it all; where there is none, that is said."""
    given, start = [1], threading.Thread.start

    def refusing(thread: threading.Thread) -> None:
        if not given:
            raise RuntimeError("can't start new thread")
        given.pop()
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refusing)
    processor, entered = BatchProcessor(1, concurrency=3), threading.Event()

    def process(batch: Sequence[int]) -> Sequence[int]:
        entered.wait(0.01)
        return batch

    assert list(range(9)) == [result.value for result in processor.process_batch(range(9), process)]
    with pytest.raises(RuntimeError, match="can't start new thread"):
        processor.process_batch(range(9), process)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BatchProcessor(0), "max_items is 0; it is a whole number of at least 1, such as 100"),
        (lambda: BatchProcessor(True), "max_items is True"),
        (lambda: BatchProcessor(max_bytes=1.5), "max_bytes is 1.5; it is a whole number of at least 1"),
        (lambda: BatchProcessor(concurrency=0), "concurrency is 0; it is a whole number of at least 1"),
        (lambda: BatchProcessor(max_delay=-1), "max_delay is -1; it is a number of seconds, such as 0.5"),
        (lambda: BatchProcessor(max_delay=float("nan")), "max_delay is nan"),
        (lambda: BatchProcessor(max_delay=float("inf")), "max_delay is inf"),
        (lambda: BatchProcessor(max_delay="1s"), "max_delay is '1s'"),
    ],
)
def test_what_is_wrong_is_said_with_an_example(make: Callable[[], BatchProcessor], message: str) -> None:
    """When it is made."""
    with pytest.raises(ConfigError) as caught:
        make()
    assert message in str(caught.value)
