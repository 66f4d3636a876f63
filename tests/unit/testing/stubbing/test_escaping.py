"""What code of a test raises that the test is to end with: it leaves the run at once, and only that one."""

from __future__ import annotations

import pytest

import bunsui
from bunsui import JobError, Pipeline
from bunsui.testing import FakeService, Stubs, Takes, run_pipeline

RETRY = {"max_attempts": 5, "delay": 0}
ENDS = [
    AssertionError,
    KeyboardInterrupt,
    pytest.exit.Exception,
    pytest.fail.Exception,
    pytest.skip.Exception,
]


def two(service=None, **fields) -> Pipeline:
    """A job, one that follows it whatever became of it, and perhaps one at a service."""
    jobs = [
        {"id": "a", "type": "lambda", "function": "f", "retry": RETRY, "allow_failure": True},
        {"id": "b", "type": "lambda", "function": "f", "depends_on": ["a"], "condition": "always()"},
    ]
    if service is None:
        return Pipeline.from_dict({"version": "1.0", "name": "p", "jobs": jobs})
    jobs.append({"id": "far", "type": "fake", **fields})
    plugins = bunsui.Plugins([service], autoload=False)
    return Pipeline.from_dict({"version": "1.0", "name": "p", "jobs": jobs}, plugins=plugins)


def raising(error, how):
    """A stub that raises it: at once, as async code, or as what takes its time."""

    def stub(call):
        raise error("enough")

    async def waiting(call):
        raise error("enough")

    return {"at once": stub, "async": waiting, "in time": Takes(5, stub)}[how]


@pytest.mark.parametrize("how", ["at once", "async", "in time"])
@pytest.mark.parametrize("error", ENDS)
def test_it_leaves_the_run_at_once(error, how):
    """No other attempt is made, and no other stub called."""
    stubs = Stubs({"a": raising(error, how), "b": 1})
    with pytest.raises(error, match="enough"):
        run_pipeline(two(), stubs=stubs)
    assert (1, 0) == (len(stubs.calls["a"]), len(stubs.calls["b"]))


def test_it_comes_before_what_the_runner_makes_of_the_run():
    """Which would not come to rest, either."""
    service = FakeService()
    stubs = Stubs({"a": raising(AssertionError, "at once"), "b": 1})
    with pytest.raises(AssertionError, match="enough"):
        run_pipeline(two(service), stubs=stubs, plugins=[service])


def test_it_is_not_that_of_the_next_run():
    """With the same stubs, of which one is another now."""
    stubs = Stubs({"a": raising(AssertionError, "at once"), "b": 1})
    for _ in range(2):
        with pytest.raises(AssertionError, match="enough"):
            run_pipeline(two(), stubs=stubs)
    stubs["a"] = 1
    assert "succeeded" == run_pipeline(two(), stubs=stubs).status


def test_what_an_earlier_run_has_left_is_forgotten():
    """Such as that of a thread which ended when nobody waited for it any more."""
    stubs = Stubs({"a": 1, "b": 1})
    stubs.escaped.notice(AssertionError("late"))
    assert "succeeded" == run_pipeline(two(), stubs=stubs).status


def test_the_answer_of_a_service_whose_job_type_a_plugin_brings():
    """The same, by whatever name and plugin the type is known."""

    def answer(call):
        raise AssertionError("enough")

    class Mine:
        @bunsui.hookimpl
        def bunsui_job_types(self):
            return [FakeService(answer).job_type()]

    mine = Mine()
    with pytest.raises(AssertionError, match="enough"):
        run_pipeline(two(mine), stubs={"a": 1, "b": 1}, plugins=[mine])


@pytest.mark.parametrize("error", ENDS)
def test_the_answer_of_a_service_is_code_of_the_test(error):
    """What it raises leaves the run, as with stubs."""

    def answer(call):
        raise error("enough")

    service = FakeService(answer)
    with pytest.raises(error, match="enough"):
        run_pipeline(two(service), stubs={"a": 1, "b": 1}, plugins=[service])


@pytest.mark.parametrize(
    "error", [ValueError("no"), SystemExit("no"), JobError("no", code="ValueError", retryable=False)]
)
def test_what_is_about_a_job_fails_it(error):
    """With the name of what was raised, and it is not tried again."""

    def answer(call):
        raise error

    service = FakeService(answer)
    run = run_pipeline(two(service, retry=RETRY), stubs={"a": 1, "b": 1}, plugins=[service])
    code = "SystemExit" if isinstance(error, SystemExit) else "ValueError"
    assert ("failed", code, "no", 1) == (
        run.status,
        run.jobs["far"].error.code,
        run.jobs["far"].error.message,
        run.jobs["far"].attempt_count,
    )


def test_an_async_stub_that_does_not_end_ends_the_run():
    """After as long as the test's patience."""
    import asyncio

    ended = []

    async def stub(call):
        try:
            await asyncio.sleep(600)
        finally:
            ended.append(call.job_id)

    with pytest.raises(bunsui.BunsuiError, match="the async stub of job 'a', attempt 1, has not ended"):
        run_pipeline(two(), stubs={"a": stub, "b": 1}, patience=0.1)
    assert ["a"] == ended
