"""Pipelines of every kind that the soak runs, and the functions that their jobs call."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import bunsui

#: Attempts that run in processes at once: the pool ``processes``.
PROCESSES = 4
Job = dict[str, Any]


def noop(**parameters: Any) -> dict[str, Any]:
    """Gives back what it was given."""
    return parameters


def large() -> str:
    """An output of 20 kB."""
    return "x" * 20_000


def talk() -> None:
    """Writes to its log."""
    for i in range(3):
        bunsui.current_call().logger.info("line %s", i)


def doze() -> None:
    """Keeps its thread, so that the pool of threads grows to its limit."""
    time.sleep(0.02)


def flaky(item: int = 0) -> int:
    """Fails twice, but for every other item."""
    if bunsui.current_call().attempt < 3 and item % 2 == 0:
        raise ConnectionError("not yet")
    return item


def fail() -> None:
    """Fails."""
    raise ValueError("no")


def wait() -> None:
    """Waits until it is cancelled."""
    bunsui.current_call().cancelled.wait(30)


def job(name: str, function: Callable[..., Any] = noop, *depends_on: str, **fields: Any) -> Job:
    """A job that calls a function of this module."""
    called = {} if "command" in fields else {"callable": f"mixture:{function.__name__}"}
    return {"id": name, "type": "custom", "depends_on": list(depends_on), **called, **fields}


def chain(length: int = 20) -> list[Job]:
    """One after the other, each with the output of the one before as its input."""
    given = "${jobs.j%d.output.value}"
    return [
        job("j0", parameters={"value": "${seed}"}),
        *(job(f"j{i}", noop, f"j{i - 1}", parameters={"value": given % (i - 1)}) for i in range(1, length)),
    ]


def fan_out() -> list[Job]:
    """Items that do little, items that keep threads, and items that are tried again."""
    retry = {"max_attempts": 3, "delay": 0.01}
    items = {"item": "${item}"}
    return [
        job("first", large),
        job("many", noop, "first", for_each=list(range(100)), parameters=items),
        job("slow", doze, "first", for_each=list(range(48))),
        job("again", flaky, "first", for_each=list(range(10)), parameters=items, retry=retry),
        job("last", noop, "many", "slow", "again", parameters={"all": "${jobs.many.output}"}),
    ]


def layers() -> list[Job]:
    """Layers of jobs with conditions, of which some do not hold."""
    first = [job(f"a{i}", talk) for i in range(8)]
    second = [job(f"b{i}", noop, *(j["id"] for j in first), condition=f"${{seed}} != {i}") for i in range(8)]
    ids = [j["id"] for j in second]
    return [*first, *second, job("end", large, *ids, condition="always()")]


def failing() -> list[Job]:
    """Jobs that fail: again and again, with what follows, and without harm."""
    return [
        job("retried", flaky, retry={"max_attempts": 3, "delay": 0.01}),
        job("tolerated", fail, allow_failure=True),
        job("after", noop, "tolerated"),
        job("failed", fail, retry={"max_attempts": 2, "delay": 0.01}),
        job("skipped", noop, "failed"),
        job("items", fail, for_each=[1, 2, 3]),
    ]


def processes() -> list[Job]:
    """Functions and commands in processes of their own, with timeouts that they do not need."""
    own = {"pool": "processes", "timeout": 3600}
    return [
        *(job(f"function{i}", noop, parameters={"value": i}, **own) for i in range(4)),
        job("fails", fail, allow_failure=True, **own),
        job("command", command=["true"], **own),
        job("output", command="echo 7 > $BUNSUI_OUTPUT", shell=True, **own),
    ]


def waiting() -> list[Job]:
    """A job that runs until its session is cancelled, and one that never starts."""
    return [job("waits", wait), job("never", noop, "waits")]


def pipeline(shape: Callable[[], list[Job]]) -> bunsui.Pipeline:
    """The definition, read and checked anew as from a file."""
    return bunsui.Pipeline.from_dict(
        {
            "version": "1.0",
            "name": shape.__name__,
            "parameters": [{"name": "seed", "type": "integer", "default": 0}],
            "jobs": shape(),
        }
    )
