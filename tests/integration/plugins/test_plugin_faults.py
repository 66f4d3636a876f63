"""Whatever a job type does, it fails its own job: the runner and its other sessions go on.

Each fault of the tables happens while another session runs in the same Runner, which has to succeed, and the
Runner has to close.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

import bunsui
from bunsui_tests.conditions import until
from bunsui_tests.faulty import LONG, AsyncFaulty, Faulty, Service, beside_another, fails, pipeline_of
from bunsui_tests.hostile import AWAITED, FAULTS, JUNK, RAISED, Evil, Untrue, raising, returning, unanswered


class TestRun:
    """A job type whose work runs here."""

    @pytest.mark.parametrize("kind", [Faulty, AsyncFaulty])
    @pytest.mark.parametrize("error", RAISED.values(), ids=RAISED)
    def test_whatever_it_raises(self, kind: type[Faulty], error: Callable[[], BaseException]) -> None:
        """It fails its job; the code and the message are texts, whatever it made of them."""
        with beside_another(kind(raising(error))) as runner:
            failed = fails(runner)
            assert (str, str, bool) == tuple(map(type, (failed.code, failed.message, failed.retryable)))

    @pytest.mark.parametrize("kind", [Faulty, AsyncFaulty])
    @pytest.mark.parametrize("value", JUNK.values(), ids=JUNK)
    def test_whatever_it_returns(self, kind: type[Faulty], value: Callable[[], Any]) -> None:
        """What is not JSON fails its job."""
        with beside_another(kind(returning(value))) as runner:
            fails(runner)

    @pytest.mark.parametrize("value", AWAITED.values(), ids=AWAITED)
    def test_what_cannot_be_awaited(self, value: Callable[[], Any]) -> None:
        """It fails its job as well."""
        with beside_another(Faulty(returning(value))) as runner:
            fails(runner)

    def test_an_output_that_is_too_large(self) -> None:
        """The memory store takes 16 MiB in a commit."""
        with beside_another(Faulty(returning(lambda: "x" * 2**26))) as runner:
            assert "OutputTooLarge" == fails(runner).code

    def test_one_that_hangs(self, hang: Callable[..., Any]) -> None:
        """Its timeout ends its job, if not its thread."""
        with beside_another(Faulty(hang)) as runner:
            assert "JobTimeout" == fails(runner, timeout=0.2).code

    def test_one_that_hangs_when_the_runner_closes(self, hang: Callable[..., Any]) -> None:
        """It is left to itself; the session can be resumed."""
        with bunsui.Runner("memory://", plugins=[Faulty(hang)], autoload_plugins=False) as runner:
            session = runner.start(pipeline_of())
            until(lambda: session.jobs["a"].status == "running")
            runner.close(timeout=0)
        assert "running" == session.status


def submitted(runner: bunsui.Runner, **fields: Any) -> bunsui.Session:
    """A session whose faulty job is at its service."""
    session = runner.start(pipeline_of(**fields))
    until(lambda: any(type(event).__name__ == "JobSubmitted" for event in session.events()))
    return session


class TestService:
    """A job type whose work runs at a service."""

    @pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
    def test_submit(self, fault: Callable[..., Any]) -> None:
        """As it may have had its effect, the work is looked for; what was not found has failed."""
        with beside_another(Service(submit=fault)) as runner:
            fails(runner)

    @pytest.mark.parametrize("name", [name for name in RAISED if "JobError" in name])
    def test_a_refusal_of_odd_parts(self, name: str) -> None:
        """It fails its job, of whichever method it is the refusal."""
        with beside_another(Service(submit=raising(RAISED[name]))) as runner:
            fails(runner)

    def test_a_handle_that_is_too_large(self) -> None:
        """The store could not take it."""
        with beside_another(Service(submit=returning(lambda: "x" * 2**26))) as runner:
            assert "the handle" in fails(runner).message

    @pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
    def test_poll(self, fault: Callable[..., Any]) -> None:
        """It fails the job that it was asked for."""
        with beside_another(Service(poll=fault)) as runner:
            assert "PluginError" == fails(runner).code

    @pytest.mark.parametrize("count", [0, 2])
    def test_poll_with_another_number_of_answers(self, count: int) -> None:
        """Nobody can tell which is whose."""
        with beside_another(Service(poll=lambda handles: [bunsui.Running()] * count)) as runner:
            assert "PluginError" == fails(runner).code

    @pytest.mark.parametrize("fault", JUNK.values(), ids=JUNK)
    def test_an_answer_that_is_none(self, fault: Callable[[], Any]) -> None:
        """It fails the job that it is given for, and no other of its type."""

        def poll(handles: Sequence[Any]) -> Sequence[Any]:
            return [bunsui.Succeeded(1) if handle["id"] == "b" else fault() for handle in handles]

        with beside_another(Service(poll=poll)) as runner:
            jobs = [bunsui.Job("a", "faulty"), bunsui.Job("b", "faulty")]
            session = runner.run(bunsui.Pipeline(name="p", jobs=jobs))
            assert {"a": "failed", "b": "succeeded"} == {j: s.status for j, s in session.jobs.items()}

    @pytest.mark.parametrize("value", JUNK.values(), ids=JUNK)
    def test_an_output_that_is_none(self, value: Callable[[], Any]) -> None:
        """What the service gave is not JSON."""

        def poll(handles: Sequence[Any]) -> Sequence[Any]:
            return [bunsui.Succeeded(value())]

        with beside_another(Service(poll=poll)) as runner:
            fails(runner)

    @pytest.mark.parametrize(
        "failed",
        [
            bunsui.Failed(Evil("x"), Evil("y"), retryable=False),
            bunsui.Failed(None, None, retryable=False),  # type: ignore[arg-type]
            bunsui.Failed(Untrue(), Untrue(), retryable=Untrue()),  # type: ignore[arg-type]
            bunsui.Failed("x", "y" * 5_000_000, retryable=False),
        ],
        ids=["evil", "none", "untrue", "endless"],
    )
    def test_a_failure_of_odd_parts(self, failed: bunsui.Failed) -> None:
        """It fails its job, with texts."""
        with beside_another(Service(poll=lambda handles: [failed])) as runner:
            error = fails(runner)
            assert (str, str, bool) == tuple(map(type, (error.code, error.message, error.retryable)))

    @pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
    def test_find(self, fault: Callable[..., Any]) -> None:
        """Nobody can tell what became of the work: its session is paused, and asks."""
        with beside_another(Service(submit=unanswered, find=fault)) as runner:
            session = runner.run(pipeline_of())
            assert ("paused", "unknown-job") == (session.status, session.paused_reason)
            assert "succeeded" == session.jobs["beside"].status

    @pytest.mark.parametrize("name", FAULTS)
    def test_cancel(self, name: str) -> None:
        """The session is cancelled all the same, and says so where the work may go on."""
        with beside_another(Service(cancel=FAULTS[name])) as runner:
            session = submitted(runner)
            session.cancel()
            assert "cancelled" == session.wait(LONG)
            assert "could not be stopped" in (session.jobs["a"].reason or "")

    @pytest.mark.parametrize("method", ["submit", "poll", "find", "cancel"])
    def test_one_that_hangs(self, method: str, hang: Callable[..., Any]) -> None:
        """The job's timeout ends it."""
        methods = {method: hang, **({"submit": unanswered} if method == "find" else {})}
        with beside_another(Service(**methods)) as runner:
            assert "JobTimeout" == fails(runner, timeout=0.3).code

    def test_a_poll_that_hangs_for_some_ends_all_at_their_timeouts(self, hang: Callable[..., Any]) -> None:
        """The jobs of the type are no longer followed, but none waits longer than it may."""
        with beside_another(Service(poll=hang)) as runner:
            jobs = [bunsui.Job(f"j{i}", "faulty", timeout=0.3 + i / 10) for i in range(5)]
            session = runner.start(bunsui.Pipeline(name="p", jobs=jobs))
            assert "failed" == session.wait(LONG)
            assert {"JobTimeout"} == {job.error.code for job in session.jobs.values() if job.error}

    @pytest.mark.parametrize("method", ["submit", "poll", "find", "cancel"])
    def test_one_that_hangs_when_the_runner_closes(self, method: str, hang: Callable[..., Any]) -> None:
        """It is waited for no longer than any other."""
        entered = threading.Event()

        def hanging(*given: Any) -> Any:
            entered.set()
            return hang(*given)

        methods = {method: hanging, **({"submit": unanswered} if method == "find" else {})}
        with bunsui.Runner("memory://", plugins=[Service(**methods)], autoload_plugins=False) as runner:
            session = runner.start(pipeline_of())
            if method == "cancel":
                until(lambda: any(type(event).__name__ == "JobSubmitted" for event in session.events()))
                session.cancel()
            assert entered.wait(LONG)
            runner.close(timeout=0)
