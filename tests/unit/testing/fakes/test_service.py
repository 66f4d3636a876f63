"""The service in memory, with the real Runner and in `run_pipeline`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import bunsui
from bunsui import ConfigError, JobError
from bunsui.ports.job_type import JobCall
from bunsui.testing import FakeService, FakeWork, JobTypeSuite, Takes, in_turn, run_pipeline


class TestItsJobType(JobTypeSuite):
    """What it gives is a job type as good as any."""

    options = {"output": {"n": 1}}
    parameters = {"x": 1}
    invalid_options = [{"error": 1}, {"error": ""}]
    failing_options = {"error": "Wanted"}
    slow_options = {}
    unknown_handle = "work-99"

    @pytest.fixture
    def job_type(self):
        return FakeService().job_type()


def pipeline(service: FakeService, **fields) -> bunsui.Pipeline:
    """A pipeline with one job at the service."""
    job = {"id": "job", "type": "fake", **fields}
    definition = {"version": "1.0", "name": "at a service", "jobs": [job]}
    return bunsui.Pipeline.from_dict(definition, plugins=bunsui.Plugins([service], autoload=False))


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def runner(service: FakeService) -> Iterator[bunsui.Runner]:
    with bunsui.Runner("memory://", plugins=[service], autoload_plugins=False, config={}) as runner:
        yield runner


def test_the_test_ends_its_work(service, runner):
    """Work runs until it is finished, with what it was begun with to be seen."""
    session = runner.start(pipeline(service, parameters={"n": 3}))
    work = service.begun()
    assert ("job", {"n": 3}) == (work.call.job_id, work.call.parameters)
    assert work.is_running
    assert "running" == session.status
    work.finish({"rows": 4})
    assert "succeeded" == session.wait(30)
    assert {"job": {"rows": 4}} == session.outputs
    assert (work,) == service.works


def test_work_that_fails(service, runner):
    """With its code and message; another attempt is other work under another token."""
    session = runner.start(pipeline(service, retry={"max_attempts": 2, "delay": 0}))
    first = service.begun()
    first.fail("Busy", "too much to do")
    second = service.begun()
    assert first.token != second.token
    second.fail("Broken", retryable=False)
    assert "failed" == session.wait(30)
    assert ["Busy", "Broken"] == [attempt.error.code for attempt in session.jobs["job"].attempts]


def test_work_that_somebody_stops(service, runner):
    """It fails, for good."""
    session = runner.start(pipeline(service))
    service.begun().stop()
    assert "failed" == session.wait(30)
    assert "Stopped" == session.jobs["job"].error.code


def test_a_session_that_is_cancelled_stops_its_work(service, runner):
    """The runner has the service stop it."""
    session = runner.start(pipeline(service))
    work = service.begun()
    session.cancel()
    assert "cancelled" == session.wait(30)
    assert not work.is_running
    assert 1 == service.calls["cancel"]


def test_a_lost_answer_is_not_begun_twice(service, runner):
    """The submission had its effect: the runner finds the work, and does not begin it again."""
    service.fail_next(method="submit", after=True)
    session = runner.start(pipeline(service, output=1))
    assert "succeeded" == session.wait(30)
    assert (1, 1) == (len(service.works), service.calls["find"])
    assert [1] == [*service.submissions.values()]


def test_a_refusal_fails_the_attempt(service, runner):
    """What is refused has no effect."""
    service.fail_next(method="submit", error=JobError("no", code="Denied", retryable=False))
    session = runner.run(pipeline(service, output=1))
    assert "Denied" == session.jobs["job"].error.code
    assert () == service.works


def test_what_was_forgotten_is_unknown(service, runner):
    """The service can't tell what became of it, so the session is paused: somebody has to decide."""
    session = runner.start(pipeline(service))
    service.begun()
    service.forget()
    assert "paused" == session.wait(30)
    assert "unknown" == session.jobs["job"].status


def test_a_handle_is_given_once(service):
    """Also to work that begins after other work was forgotten; what begins again is known again."""
    first, second = service.submit(call("one")), service.submit(call("two"))
    service.forget("one")
    assert bunsui.CannotTell() == service.find("one")
    again = service.submit(call("one"))
    third = service.submit(call("three"))
    assert 4 == len({first, second, again, third})
    assert bunsui.Found(again) == service.find("one")
    assert [second, again, third] == [work.handle for work in service.works]


def call(token: str) -> JobCall:
    """One that begins work under a token."""
    return JobCall("s", "p", "job", 1, {}, {}, token, workbench=None)


def test_an_end_stays(service):
    """Who finishes what has ended changes nothing."""
    work = FakeWork("token", "handle", call=None)
    work.finish(1)
    work.fail("Late")
    work.stop()
    assert 1 == work.outcome.output


def test_nothing_begins(service):
    """Who waits for work that does not begin is told so."""
    with pytest.raises(TimeoutError, match="no work has begun"):
        service.begun(0.01)


def test_there_is_no_such_call(service):
    """What was meant is named."""
    with pytest.raises(ConfigError, match="did you mean 'submit'"):
        service.fail_next(method="submt")


def test_in_a_run_the_definition_ends_it(service):
    """Work that says itself what it comes to needs nobody."""
    run = run_pipeline(pipeline(service, output=[1, 2]), plugins=[service])
    assert {"job": [1, 2]} == run.outputs


def test_in_a_run_the_answer_ends_it():
    """The answer is given the call, and what it raises is the work's failure."""

    def answer(call):
        if call.attempt == 1:
            raise JobError("busy", code="Busy")
        return call.parameters["n"] * 2

    service = FakeService(answer)
    retry = {"max_attempts": 2, "delay": 3600, "max_delay": 3600, "jitter": "none"}
    retrying = pipeline(service, parameters={"n": 4}, retry=retry)
    run = run_pipeline(retrying, plugins=[service])
    assert {"job": 8} == run.outputs
    assert run.seconds >= 3600


@pytest.mark.timeout(60)
def test_in_a_run_work_that_nobody_ends_is_told(service):
    """The run does not hang: it ends with an error that names the job."""
    with pytest.raises(
        bunsui.BunsuiError, match=r"(?s)does not come to rest.*'job', attempt 1.*at a service"
    ) as seen:
        run_pipeline(pipeline(service), plugins=[service])
    assert "stub" in str(seen.value)


def test_in_a_run_its_timeout_ends_it(service):
    """Time passes while a service is polled: the job's timeout comes."""
    run = run_pipeline(pipeline(service, timeout=30), plugins=[service])
    assert "JobTimeout" == run.jobs["job"].error.code
    assert 1 == service.calls["cancel"]


def test_in_a_run_a_stub_wins_over_the_service(service):
    """Nobody asks the service; the job is one that runs here, with its retries and its timeout."""
    made = pipeline(service, timeout=60, retry={"max_attempts": 2, "delay": 0})
    run = run_pipeline(made, plugins=[service], stubs={"job": in_turn(Takes(61), 3)})
    assert {"job": 3} == run.outputs
    assert ((), 0) == (service.works, service.calls.total())


def test_in_a_run_days_may_pass(service):
    """Work that goes on for days is no run that never rests, while something is to happen yet."""
    jobs = [
        {"id": "job", "type": "fake", "timeout": 4 * 86_400},
        {"id": "slow", "type": "lambda", "function": "f"},
        {"id": "then", "type": "lambda", "function": "f", "depends_on": ["slow"]},
    ]
    definition = {"version": "1.0", "name": "days", "jobs": jobs}
    made = bunsui.Pipeline.from_dict(definition, plugins=bunsui.Plugins([service], autoload=False))

    def then(call):
        service.works[0].finish("at last")

    run = run_pipeline(made, plugins=[service], stubs={"slow": Takes(3 * 86_400), "then": then})
    assert "at last" == run.outputs["job"]
    assert 3 * 86_400 <= run.seconds < 4 * 86_400


def test_a_name_of_its_own():
    """Several types of one service, by other names."""
    service = FakeService(lambda call: call.job_id)
    service.job_type("warehouse")
    service.job_type("lake", resubmit_is_idempotent=False)
    assert ["warehouse", "lake"] == [kind.name for kind in service.bunsui_job_types()]
    assert [True, False] == [kind.resubmit_is_idempotent for kind in service.bunsui_job_types()]
