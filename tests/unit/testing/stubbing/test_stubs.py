"""What stubs do when they are called, and what they tell of it."""

from __future__ import annotations

import pytest

from bunsui import ConfigError, JobError, Pipeline
from bunsui.testing import Stubs, Takes, in_turn, run_pipeline


def one(**fields) -> Pipeline:
    """A pipeline with one job, which can't run here without a stub."""
    job = {"id": "job", "type": "lambda", "function": "f", **fields}
    return Pipeline.from_dict({"version": "1.0", "name": "one", "jobs": [job]})


RETRY = {"max_attempts": 3, "delay": 60, "backoff": 1, "max_delay": 60, "jitter": "none"}


def test_an_output_is_returned():
    """Anything that is JSON."""
    assert {"job": {"rows": [1, None, "x"]}} == run_pipeline(
        one(), stubs={"job": {"rows": [1, None, "x"]}}
    ).outputs


@pytest.mark.parametrize("output", [{1, 2}, object(), {1: 2}, float("nan")])
def test_an_output_that_is_no_json_fails_the_job(output):
    """As that of any job."""
    run = run_pipeline(one(), stubs={"job": lambda _: output})
    assert "OutputNotJson" == run.jobs["job"].error.code


def test_a_job_error_is_raised():
    """With its own code, and whether another attempt may help."""
    run = run_pipeline(one(retry=RETRY), stubs={"job": JobError("full", code="DiskFull", retryable=False)})
    assert ("failed", "DiskFull", 1) == (
        run.status,
        run.jobs["job"].error.code,
        run.jobs["job"].attempt_count,
    )


@pytest.mark.parametrize("stub", [ValueError, ValueError("why")])
def test_any_other_exception_counts_by_its_name(stub):
    """Given as a class or as an instance; each attempt raises it again."""
    run = run_pipeline(one(retry=RETRY), stubs={"job": stub})
    assert ["ValueError"] * 3 == [attempt.error.code for attempt in run.jobs["job"].attempts]


def test_a_callable_is_given_the_call():
    """It sees what the job's type would see."""

    def stub(call):
        return [call.job_id, call.attempt, dict(call.parameters), dict(call.options), call.pipeline]

    run = run_pipeline(one(parameters={"n": 2}), stubs={"job": stub})
    assert ["job", 1, {"n": 2}, {"function": "f"}, "one"] == run.outputs["job"]


def test_a_callable_may_be_async():
    """It is awaited, also where the test itself runs in an event loop."""
    import asyncio

    async def stub(call):
        await asyncio.sleep(0)
        return call.attempt

    async def test():
        return run_pipeline(one(), stubs={"job": stub}).outputs

    assert {"job": 1} == run_pipeline(one(), stubs={"job": stub}).outputs
    assert {"job": 1} == asyncio.run(test())


def test_time_passes_on_the_clock():
    """As much as the stub takes, and the test does not wait for it."""
    run = run_pipeline(one(), stubs={"job": Takes(86_400, "late")})
    assert ("late", 86_400.0) == (run.outputs["job"], run.seconds)


@pytest.mark.parametrize("stub", [Takes(61, 1), lambda _: Takes(61, 1), Takes(31, Takes(30, 1))])
def test_what_takes_longer_than_the_timeout_times_out(stub):
    """At the timeout, by its clock; and it is tried again as any attempt."""
    run = run_pipeline(one(timeout=60, retry=RETRY), stubs={"job": in_turn(stub, Takes(59, "in time"))})
    assert "in time" == run.outputs["job"]
    assert "JobTimeout" == run.jobs["job"].attempts[0].error.code
    assert 60 + 60 + 59 == run.seconds


def test_what_takes_its_time_may_fail():
    """Then, and not before."""
    run = run_pipeline(one(), stubs={"job": Takes(5, KeyError("gone"))})
    assert ("KeyError", 5.0) == (run.jobs["job"].error.code, run.seconds)


def test_what_takes_its_time_may_be_called():
    """When the attempt begins."""
    run = run_pipeline(one(), stubs={"job": Takes(5, lambda call: call.attempt)})
    assert ({"job": 1}, 5.0) == (run.outputs, run.seconds)


def test_one_after_the_other():
    """Each attempt takes the next one: an exception, a class, then a callable."""
    stub = in_turn(JobError("busy", code="Busy"), ValueError, lambda call: call.attempt)
    run = run_pipeline(one(retry=RETRY), stubs={"job": stub})
    assert {"job": 3} == run.outputs
    assert 120 == run.seconds


def test_none_is_left():
    """That fails the job, with how many there were."""
    run = run_pipeline(one(retry=RETRY), stubs={"job": in_turn(ValueError)})
    error = run.jobs["job"].error
    assert ("StubExhausted", 2) == (error.code, run.jobs["job"].attempt_count)
    assert "given 1 outcomes in turn, and is called once more (attempt 2)" in error.message


def test_calls_are_what_they_were():
    """What a stub does to what it is given changes nothing of what was received."""

    def stub(call):
        call.parameters["list"].append(3)
        call.parameters["new"] = 1

    run = run_pipeline(one(parameters={"list": [1, 2]}), stubs={"job": stub})
    assert {"list": [1, 2]} == run.received("job")


def test_stubs_are_a_mapping():
    """Set, looked at, and taken away."""
    stubs = Stubs({"a": 1})
    stubs["b"] = 2
    del stubs["a"]
    assert ({"b": 2}, 1) == (dict(stubs), len(stubs))
    assert "<Stubs for b>" == repr(stubs)
    assert {"b": ()} == dict(stubs.calls)


def test_stubs_are_shared():
    """They see the calls of all runs; a run those of its own."""
    stubs = Stubs({"job": in_turn(1, 2)})
    first = run_pipeline(one(parameters={"n": 1}), stubs=stubs)
    second = run_pipeline(one(parameters={"n": 2}), stubs=stubs)
    assert ({"n": 1}, {"n": 2}) == (first.received("job"), second.received("job"))
    assert [{"n": 1}, {"n": 2}] == [call.parameters for call in stubs.calls["job"]]


def test_a_failed_assertion_fails_the_test():
    """One in a stub is not just a job's failure, whatever retries there are."""

    def stub(call):
        assert 1 == call.parameters["n"]

    with pytest.raises(AssertionError, match="1 == 2"):
        run_pipeline(one(parameters={"n": 2}, retry=RETRY, allow_failure=True), stubs={"job": stub})


def test_a_failed_assertion_in_async_code_fails_the_test():
    """The same."""

    async def stub(call):
        assert 1 == call.parameters["n"]

    with pytest.raises(AssertionError, match="1 == 2"):
        run_pipeline(one(parameters={"n": 2}), stubs={"job": stub})


@pytest.mark.parametrize("error", [pytest.skip.Exception, pytest.fail.Exception, KeyboardInterrupt])
def test_what_ends_a_test_ends_it(error):
    """`pytest.skip`, `pytest.fail` and Ctrl-C come out of the run."""

    def stub(call):
        raise error("enough")

    with pytest.raises(error, match="enough"):
        run_pipeline(one(), stubs={"job": stub})


def test_system_exit_fails_the_job():
    """As in any job."""

    def stub(call):
        raise SystemExit(3)

    assert "SystemExit" == run_pipeline(one(), stubs={"job": stub}).jobs["job"].error.code


def test_no_stubs():
    """What is no mapping is refused."""
    with pytest.raises(ConfigError, match="of type list, not a mapping"):
        run_pipeline(one(), stubs=["job"])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Stubs({"job": JobError}),
        lambda: Stubs().__setitem__("job", JobError),
        lambda: Takes(1, JobError),
        lambda: in_turn(1, JobError),
        lambda: run_pipeline(one(), stubs={"job": UnicodeDecodeError}),
    ],
)
def test_a_class_that_needs_arguments_is_refused(make):
    """Where it is written: raising it would raise something else."""
    with pytest.raises(
        ConfigError, match=r"class \w+, which needs arguments.*give an instance, such as \w+\('why"
    ):
        make()


@pytest.mark.parametrize("seconds", [-1, float("inf"), "5"])
def test_no_time_to_take(seconds):
    """What is no number of seconds is refused where it is written."""
    with pytest.raises(ConfigError, match="number of seconds"):
        Takes(seconds, 1)


def test_received_of_a_job_that_was_not_called_once():
    """The message has what each call received, or says what became of the job."""
    stubs = Stubs({"job": in_turn(ValueError, 1), "other": 1})
    with pytest.raises(AssertionError, match=r"job 'job' was not called$"):
        stubs.received("job")
    with pytest.raises(AssertionError, match=r"'jbo' has no stub.*did you mean 'job'"):
        stubs.received("jbo")
    del stubs["other"]
    run_pipeline(one(parameters={"n": 1}, retry=RETRY), stubs=stubs)
    with pytest.raises(AssertionError) as seen:
        stubs.received("job")
    assert "job 'job' was called 2 times, not once:\n  attempt 1: {'n': 1}\n  attempt 2: {'n': 1}" == str(
        seen.value
    )
