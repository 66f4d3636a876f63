"""Snapshots, statuses, and failures as errors."""

from __future__ import annotations

import pickle

import pytest
from attrs.exceptions import FrozenInstanceError

from bunsui import errors
from bunsui.model.json import Json
from bunsui.model.session import Failure, JobState
from bunsui.model.status import JobStatus, SessionStatus


@pytest.mark.parametrize(
    "name", ["JobTimeout", "JobCancelled", "JobLost", "OutcomeUnknown", "SecretInOutput"]
)
def test_a_failure_with_the_code_of_an_error_is_that_error(name: str) -> None:
    """A code that names one of the library's job errors brings that class back."""
    assert getattr(errors, name) is type(Failure(name, "m").to_error())


@pytest.mark.parametrize(
    "code", ["ValueError", "ExitCode.3", "", "StoreError", "annotations", "Any", "TYPE_CHECKING", "__name__"]
)
def test_any_other_failure_is_a_job_error(code: str) -> None:
    """A code that names none of them, even if it names something else of that module, is a JobError."""
    assert errors.JobError is type(Failure(code, "m").to_error())


def test_the_error_of_a_failure_keeps_its_fields() -> None:
    """Code, message and whether it is retryable are the failure's own, not the class's."""
    error = Failure("JobTimeout", "too long", retryable=False).to_error()
    assert ("JobTimeout", "too long", False) == (error.code, error.message, error.retryable)


def test_the_error_of_a_failure_survives_pickling() -> None:
    """The error can be sent to another process."""
    error = pickle.loads(pickle.dumps(Failure("ExitCode.3", "m", retryable=False).to_error()))
    assert ("ExitCode.3", "m", False) == (error.code, error.message, error.retryable)


def test_an_output_is_decoded_anew() -> None:
    """What one reader does to an output can't reach another's."""
    state = JobState(encoded_output=Json.of([1]))
    state.output.append(2)
    assert [1] == state.output


def test_a_job_without_output_returns_none() -> None:
    """Until it has succeeded a job's output is None."""
    assert JobState().output is None


def test_a_state_is_frozen() -> None:
    """A snapshot can't be changed."""
    with pytest.raises(FrozenInstanceError):
        JobState().status = JobStatus.FAILED


def test_final_job_statuses() -> None:
    """A job has ended when it succeeded, failed, or was skipped or cancelled."""
    assert {"succeeded", "failed", "skipped", "cancelled"} == {s for s in JobStatus if s.is_terminal}


def test_final_session_statuses() -> None:
    """A session has ended when it succeeded, failed, was cancelled or timed out."""
    assert {"succeeded", "failed", "cancelled", "timed_out"} == {s for s in SessionStatus if s.is_terminal}


def test_a_session_rests_when_it_ended_or_is_paused() -> None:
    """Beside the ended sessions the paused one rests."""
    resting = {status for status in SessionStatus if status.is_resting}
    assert resting == {s for s in SessionStatus if s.is_terminal} | {SessionStatus.PAUSED}
