"""The suite for job types: that it passes for good ones, and that each of its tests bites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from bunsui import Found, JobCall, JobType, RemoteJobType, Succeeded
from bunsui.testing import JobTypeSuite
from bunsui.testing.job_type import running
from bunsui.testing.job_type.running import Behaviour
from bunsui.testing.job_type.watching import Seen, watched
from bunsui_tests import twins

LOCAL = twins.FOLDER / "local_job_types.py"
REMOTE = twins.FOLDER / "remote_job_types.py"


class Here(JobType):
    name = "here"
    schema: ClassVar[Mapping[str, Any]] = {"type": "object"}

    def run(self, call: JobCall) -> Any:
        return None


class Elsewhere(RemoteJobType):
    name = "elsewhere"
    schema: ClassVar[Mapping[str, Any]] = {"type": "object"}

    def submit(self, call: JobCall) -> Any:
        return call.idempotency_key

    def poll(self, handles: Sequence[Any]) -> Any:
        return [Succeeded()] * len(handles)

    def cancel(self, handle: Any) -> None:
        pass

    def find(self, call: JobCall) -> Any:
        return Found(call.idempotency_key)


@pytest.mark.slow
def test_every_broken_twin_is_found(tmp_path: Path) -> None:
    """The good job types pass; each broken one fails in what it breaks, and nowhere else."""
    twins.check(LOCAL, tmp_path)


@pytest.mark.slow
def test_every_broken_twin_at_a_service_is_found(tmp_path: Path) -> None:
    """Likewise those whose work runs elsewhere; runners mostly wait for that."""
    twins.check(REMOTE, tmp_path, "-n", "2")


def test_every_test_has_a_twin() -> None:
    """For each test of the suite there is a job type that fails in it."""
    assert set() == twins.tests_of(JobTypeSuite) - twins.broken(LOCAL, REMOTE)


@pytest.mark.parametrize("job_type", [Here(), Elsewhere()], ids=lambda job_type: job_type.name)
def test_what_was_not_at_once_does_not_pass(
    job_type: JobType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a runner does not begin so many at the same moment, the test says so, whatever came of them."""
    monkeypatch.setattr(running, "MANY", 40)
    suite = JobTypeSuite()
    suite.patience = 1.0
    with pytest.raises(AssertionError, match="they did not begin at the same moment"):
        suite.test_several_at_once(job_type, tmp_path)


@pytest.mark.parametrize("value", [("a",), Path("a")], ids=["tuple", "path"])
def test_options_that_no_definition_can_hold(value: object, tmp_path: Path) -> None:
    """Who gives such is told which option it is, and what to write."""
    suite = JobTypeSuite()
    suite.options = {"file": value}
    kind = type(value).__name__
    with pytest.raises(
        pytest.fail.Exception, match=rf"^options\['file'\] is of type {kind}: write what .*; a tuple as"
    ):
        suite.test_options_can_be_references(Here())


def test_who_watches_says_what_it_watches() -> None:
    """Whatever a job type says of itself is what the one around it says, but its pace."""

    class Odd(Elsewhere):
        binding_field = "function"
        binding_style = "lambda"
        open_fields = frozenset({"text"})
        on_lost = "fail"
        resubmit_is_idempotent = True
        poll_patience = 7.0
        poll_batch = 3
        leaves_output = True

    paces = {"poll_interval", "poll_interval_max"}
    names = {*JobType.__annotations__, *RemoteJobType.__annotations__} - paces
    differing = [name for name in names if getattr(Odd, name) == getattr(RemoteJobType, name, None)]
    assert [] == differing, "this test does not say them"
    around = watched(Odd(), Seen())
    assert {name: getattr(Odd, name) for name in names} == {name: getattr(around, name) for name in names}


def test_what_flags_switch_off(tmp_path: Path) -> None:
    """A test that a flag or a missing example leaves out is skipped, and the reason names it."""
    found = twins.run([LOCAL], tmp_path, "-k", "TestLeftOut")["TestLeftOut"]
    assert set() == found.failed
    reasons = {name: reason for name, reason in found.skipped.items() if "RemoteJobType" not in reason}
    running = twins.tests_of(Behaviour)
    assert (
        dict.fromkeys(running, "can_run is False")
        | {
            "test_its_fields_are_described": "has_descriptions is False",
            "test_what_is_invalid_is_refused": "invalid_options is ()",
        }
        == reasons
    )


def test_what_flags_switch_off_of_a_remote_type(tmp_path: Path) -> None:
    """Likewise of what a service can do."""
    found = twins.run([REMOTE], tmp_path, "-k", "TestLeftOut or TestForgetful")
    assert {
        "test_its_failures_have_a_code": "can_fail is False",
        "test_it_stops_when_it_is_cancelled": "can_cancel is False",
        "test_what_is_cancelled_ends": "can_cancel is False",
        "test_cancelling_what_has_ended": "can_cancel is False",
        "test_polling_what_is_unknown": "unknown_handle is None",
        "test_polls_answer_in_order": "can_fail is False, and equal answers have no order",
        "test_submitting_again_starts_nothing_twice": "resubmit_is_idempotent is False",
    } == found["TestLeftOut"].skipped
    assert {
        "test_a_runner_that_dies_before_it_knows_the_handle": "can_find is False",
        "test_an_answer_that_is_lost": "can_find is False",
        "test_it_stops_when_it_is_cancelled": "its work does not run in this process",
        "test_submitting_again_starts_nothing_twice": "resubmit_is_idempotent is False",
    } == found["TestForgetful"].skipped
