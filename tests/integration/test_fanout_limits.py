"""A job that runs once for each item of a list: how many at once, and what comes of failures."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui import Job, Pipeline, RetryPolicy, Runner, Session, current_call
from bunsui.engine import events as ev
from bunsui_tests.conditions import until

AT_ONCE = RetryPolicy(max_attempts=2, delay=0)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A SQLite store on the real disk."""
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def runner(url: str) -> Iterator[Runner]:
    """A runner that is closed at the end."""
    with Runner(url, autoload_plugins=False) as made:
        yield made


class Gauge:
    """Measures how many callables run at once."""

    def __init__(self) -> None:
        self.most = 0
        self._running = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self._running += 1
            self.most = max(self.most, self._running)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._running -= 1


def fan(function: Callable[..., Any], items: Any, name: str = "fan", **fields: Any) -> Job:
    """A job that calls `function` with each item as `x`."""
    return Job.from_callable(function, id=name, for_each=items, parameters={"x": "${item}"}, **fields)


def alone(*jobs: Job, **fields: Any) -> Pipeline:
    return Pipeline(name="fans", jobs=jobs, **fields)


def same(x: Any) -> Any:
    return x


def giving(value: Any) -> Job:
    """The job `list`, whose output is `value`."""
    return Job.from_callable(lambda: value, id="list")


def load(runner: Runner, folder: Path, definition: dict[str, Any], **modules: str) -> Pipeline:
    """A definition that was read from a file in `folder`, with modules beside it."""
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    path = folder / "pipeline.json"
    path.write_text(json.dumps({"version": "1.0", "name": "fans", **definition}), encoding="utf-8")
    return runner.load(path)


def items_of(session: Session, job: str = "fan") -> list[str]:
    """The status of each item."""
    items = session.jobs[job].items
    assert items is not None
    return [str(item.status) for item in items]


class TestLimits:
    """How many items run at once."""

    def test_max_concurrency_of_the_job(self, runner: Runner) -> None:
        """Never more at once than it says, and as many as that."""
        gauge, three = Gauge(), threading.Barrier(3)

        def work(x: int) -> None:
            with gauge:
                three.wait(30)

        runner.run(alone(fan(work, list(range(9)), max_concurrency=3))).raise_for_status()

        assert 3 == gauge.most

    def test_of_two_fan_outs_each_has_its_own(self, runner: Runner) -> None:
        """One at a time in each, and both at once."""
        gauges = {"a": Gauge(), "b": Gauge()}
        both = threading.Barrier(2)

        def work(x: str) -> None:
            with gauges[x]:
                both.wait(30)

        fans = [fan(work, [name] * 5, name, max_concurrency=1) for name in gauges]
        runner.run(alone(*fans)).raise_for_status()

        assert [1, 1] == [gauge.most for gauge in gauges.values()]

    @pytest.mark.parametrize("whose", ["pipeline", "runner"])
    def test_items_count_in_the_limits_of_all_jobs(self, url: str, whose: str) -> None:
        """Items and plain jobs share the places of their pipeline, and of their runner."""
        gauge, two = Gauge(), threading.Barrier(2)

        def work(x: int = 0) -> None:
            with gauge:
                two.wait(30)

        jobs = [fan(work, list(range(5))), *(Job.from_callable(work, id=f"j{i}") for i in range(5))]
        limits: dict[str, Any] = {"max_concurrency": 2}
        pipeline = alone(*jobs, **(limits if whose == "pipeline" else {}))
        with Runner(url, autoload_plugins=False, **(limits if whose == "runner" else {})) as runner:
            runner.run(pipeline).raise_for_status()

        assert 2 == gauge.most

    def test_an_item_that_waits_for_its_next_attempt_holds_no_place(self, runner: Runner) -> None:
        """With one place, the others run while the first waits."""
        seen: list[int] = []

        def work(x: int) -> None:
            seen.append(x)
            if x == 0 and seen.count(0) == 1:
                raise ValueError("again")

        retry = RetryPolicy(max_attempts=2, delay=0.5, jitter="none")
        runner.run(alone(fan(work, [0, 1, 2], max_concurrency=1, retry=retry))).raise_for_status()

        assert [0, 1, 2, 0] == seen


class TestFailure:
    """Items that fail."""

    def test_one_fails(self, runner: Runner) -> None:
        """What runs ends, nothing more starts, and the job fails with the item's error."""
        failed = threading.Event()

        def work(x: int) -> int:
            if x == 1:
                raise KeyError("no")
            assert failed.wait(30)
            return x

        after = Job.from_callable(same, id="after", depends_on=["fan"], parameters={"x": 1})
        session = runner.start(alone(fan(work, [0, 1, 2, 3], max_concurrency=2), after))
        until(lambda: any(isinstance(event, ev.ItemFailed) for event in session.events()))
        failed.set()
        session.wait(30)
        error = session.jobs["fan"].error

        assert error is not None
        assert ("KeyError", "item 1: 'no'", False) == (error.code, error.message, error.retryable)
        assert ["succeeded", "failed", "pending", "pending"] == items_of(session)
        assert ("failed", "failed", "skipped") == (
            session.status,
            session.jobs["fan"].status,
            session.jobs["after"].status,
        )
        with pytest.raises(bunsui.SessionFailed, match="fan: KeyError: item 1: 'no'"):
            session.raise_for_status()

    def test_retry_is_for_each_item(self, runner: Runner) -> None:
        """Only the one that failed is tried again."""

        def work(x: int) -> int:
            if x == 1 and current_call().attempt == 1:
                raise ValueError("again")
            return current_call().attempt

        session = runner.run(alone(fan(work, [0, 1, 2], retry=AT_ONCE)))
        state = session.jobs["fan"]

        assert ([1, 2, 1], 4) == (state.output, state.attempt_count)
        assert state.items is not None
        assert [1, 2, 1] == [len(item.attempts) for item in state.items]

    def test_no_retry_once_another_item_has_failed(self, runner: Runner) -> None:
        """The job fails anyway."""
        both, over = threading.Barrier(2), threading.Event()

        def work(x: int) -> None:
            both.wait(30)
            if x == 0:
                raise bunsui.JobError("for good", retryable=False)
            assert over.wait(30)
            raise ValueError("again?")

        def look(event: ev.Event) -> None:
            if isinstance(event, ev.ItemFailed):
                over.set()

        class Observer:
            @bunsui.hookimpl
            def bunsui_session_event(self, event: ev.Event) -> None:
                look(event)

        with Runner(runner.store, plugins=[Observer()], autoload_plugins=False) as observed:
            session = observed.run(alone(fan(work, [0, 1], retry=RetryPolicy(max_attempts=9, delay=0))))

        assert (2, ["failed", "failed"]) == (session.jobs["fan"].attempt_count, items_of(session))

    def test_timeout_is_for_each_attempt(self, runner: Runner, tmp_path: Path) -> None:
        """The process of an item that hangs is ended; the next attempt has the whole time again."""
        tasks = (
            "import os, pathlib, time\nimport bunsui\n"
            "def work(x):\n"
            "    if x == 1 and bunsui.current_call().attempt == 1:\n"
            "        pathlib.Path('pid').write_text(str(os.getpid()))\n"
            "        time.sleep(600)\n"
            "    return x\n"
        )
        job = {
            "id": "fan",
            "type": "custom",
            "callable": "tasks:work",
            "for_each": [0, 1, 2],
            "parameters": {"x": "${item}"},
            "timeout": 3,
            "retry": {"max_attempts": 2, "delay": 0},
        }
        session = runner.run(load(runner, tmp_path, {"jobs": [job]}, tasks=tasks))
        items = session.jobs["fan"].items

        assert items is not None
        assert [None, "JobTimeout", None] == [
            None if item.attempts[0].error is None else item.attempts[0].error.code for item in items
        ]
        assert [0, 1, 2] == session.outputs["fan"]
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), 0)

    def test_timeout_with_one_at_a_time(self, runner: Runner, tmp_path: Path) -> None:
        """The place of an item that never ends is free again; time counts from its own start."""
        bindings = {"lambda": {"f": lambda event, context: stuck.wait(60) if event["x"] == 0 else event["x"]}}
        stuck = threading.Event()
        job = Job(
            "fan",
            "lambda",
            {"function": "f"},
            for_each=[0, 1, 2],
            parameters={"x": "${item}"},
            timeout=1,
            max_concurrency=1,
        )
        with Runner(runner.store, bindings=bindings, max_concurrency=1, autoload_plugins=False) as small:
            first = small.run(alone(job))
            second = small.run(alone(fan(same, [1])))
            stuck.set()
        error = first.jobs["fan"].error

        assert error is not None
        assert ("JobTimeout", ["failed", "pending", "pending"], "succeeded") == (
            error.code,
            items_of(first),
            second.status,
        )

    def test_allow_failure(self, runner: Runner) -> None:
        """What follows runs, with output null, and the session succeeds."""

        def work(x: int) -> int:
            return 1 // x

        after = Job.from_callable(
            lambda x, status: [x, status],
            id="after",
            depends_on=["fan"],
            parameters={"x": "${jobs.fan.output}", "status": "${jobs.fan.status}"},
        )
        session = runner.run(alone(fan(work, [1, 0], allow_failure=True), after))

        assert ("succeeded", "failed", [None, "failed"]) == (
            session.status,
            session.jobs["fan"].status,
            session.outputs["after"],
        )

    def test_on_failure_stop(self, runner: Runner) -> None:
        """Where another job fails, items that run end and no further one starts; the job is cancelled."""
        entered, failed = threading.Event(), threading.Event()

        class Observer:
            @bunsui.hookimpl
            def bunsui_session_event(self, event: ev.Event) -> None:
                if isinstance(event, ev.JobFailed):
                    failed.set()

        def work(x: int) -> int:
            entered.set()
            assert failed.wait(30)
            return x

        def fail() -> None:
            assert entered.wait(30)
            raise ValueError("no")

        with Runner(runner.store, plugins=[Observer()], autoload_plugins=False) as observed:
            session = observed.run(
                alone(
                    fan(work, [0, 1], max_concurrency=1), Job.from_callable(fail, id="bad"), on_failure="stop"
                )
            )

        assert ("failed", "cancelled", "job 'bad' failed") == (
            session.status,
            session.jobs["fan"].status,
            session.jobs["fan"].reason,
        )
        assert ["succeeded", "pending"] == items_of(session)


class TestConditions:
    """A condition on a job that fans out."""

    def test_it_is_evaluated_once_before_the_items(self, runner: Runner) -> None:
        """One evaluation in the history, whatever the number of items."""
        fans = fan(same, "${jobs.list.output}", depends_on=["list"], condition="${jobs.list.output} != []")
        session = runner.run(alone(giving([1, 2, 3]), fans))
        names = [type(event).__name__ for event in session.events() if getattr(event, "job", None) == "fan"]

        assert ["ConditionEvaluated", "FanOutStarted"] == names[:2]
        assert (1, [1, 2, 3]) == (names.count("ConditionEvaluated"), session.outputs["fan"])

    def test_where_it_is_false_the_list_is_not_looked_at(self, runner: Runner) -> None:
        """The job is skipped, also where there is no list at all."""
        fans = fan(same, "${jobs.list.output}", depends_on=["list"], condition="${jobs.list.output} != null")
        state = runner.run(alone(giving(None), fans)).jobs["fan"]

        assert ("skipped", "its condition is false: ${jobs.list.output} != null", None) == (
            state.status,
            state.reason,
            state.items,
        )

    def test_what_follows_may_ask_for_its_status(self, runner: Runner) -> None:
        """failed(fan) is true where an item failed."""
        after = Job.from_callable(lambda: "cleaned", id="after", depends_on=["fan"], condition="failed(fan)")
        session = runner.run(alone(fan(lambda x: 1 // x, [0]), after))

        assert "cleaned" == session.outputs["after"]
