"""Whole sessions, of every way in which one can go."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

import bunsui

if TYPE_CHECKING:
    from bunsui.engine.events import Event
    from bunsui.runner.handle import Session

#: Seconds that a session may take.
PATIENCE = 60.0
PARAMETERS = {"table": "flights"}


def _succeeds(table: str) -> dict[str, Any]:
    return {"table": table, "rows": [1, 2, 3]}


def _fails(table: str) -> None:
    raise ValueError(f"no table {table}")


class _Third:
    """Succeeds at the third attempt."""

    def __init__(self) -> None:
        self._tries = 0

    def __call__(self, table: str) -> str:
        self._tries += 1
        if self._tries < 3:
            raise TimeoutError(f"{table} is locked")
        return table


def _waits(table: str) -> None:
    del table
    bunsui.current_call().cancelled.wait(PATIENCE)


def _job(function: Callable[..., Any], id_: str, **more: Any) -> bunsui.Job:
    return bunsui.Job.from_callable(function, id=id_, parameters={"table": "${table}"}, **more)


def _pipeline(*jobs: bunsui.Job) -> bunsui.Pipeline:
    parameter = bunsui.Parameter(name="table", type="string", required=True)
    return bunsui.Pipeline(name="suite", parameters=[parameter], jobs=jobs)


def _success() -> bunsui.Pipeline:
    return _pipeline(_job(_succeeds, "a"), _job(_succeeds, "b", depends_on=["a"]))


def _failure() -> bunsui.Pipeline:
    return _pipeline(_job(_fails, "a"), _job(_succeeds, "b", depends_on=["a"]))


def _retries() -> bunsui.Pipeline:
    retry = bunsui.RetryPolicy(max_attempts=3, delay=0.01, backoff=1, jitter="none")
    return _pipeline(_job(_Third(), "a", retry=retry))


def _fan_out() -> bunsui.Pipeline:
    return _pipeline(_job(_succeeds, "a", for_each=["x", "y", "z"]))


def _cancelled() -> bunsui.Pipeline:
    return _pipeline(_job(_waits, "a"), _job(_succeeds, "b", depends_on=["a"]))


#: How a session ends, by what it is called, and its pipeline.
HISTORIES: dict[str, tuple[str, Callable[[], bunsui.Pipeline]]] = {
    "success": ("succeeded", _success),
    "failure": ("failed", _failure),
    "retries": ("succeeded", _retries),
    "fan-out": ("succeeded", _fan_out),
    "cancel": ("cancelled", _cancelled),
}


def run(name: str, plugins: Sequence[Any] = ()) -> tuple[Session, list[Event]]:
    """A session of this name when it has ended, and all its events."""
    with bunsui.Runner("memory://", plugins=plugins, autoload_plugins=False, config={}) as runner:
        session = runner.start(HISTORIES[name][1](), PARAMETERS)
        if name == "cancel":
            _until_it_runs(session)
            session.cancel("nobody needs it")
        session.wait(PATIENCE)
        return session, list(session.events())


def _until_it_runs(session: Session) -> None:
    deadline = time.monotonic() + PATIENCE
    while session.jobs["a"].status != "running":
        if time.monotonic() > deadline:
            pytest.fail(f"the session has begun nothing after {PATIENCE:g} seconds: {session.status}")
        time.sleep(0.01)
