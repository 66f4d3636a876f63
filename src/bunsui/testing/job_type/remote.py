"""Job types of remote services: handles, polling, finding, stopping."""

# ruff: noqa: S101 - asserting is what this file is for

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from bunsui.ports.job_type import JobType
from bunsui.ports.remote import CannotTell, Failed, Found, NeverRan, RemoteJobType, Running, Succeeded
from bunsui.testing.job_type.calls import call_of, ended, poll_one
from bunsui.testing.job_type.cases import Examples
from bunsui.testing.suites import needs

if TYPE_CHECKING:
    from pathlib import Path

    from bunsui.ports.job_type import JobCall

ANSWERS = (Running, Succeeded, Failed, CannotTell)


class RemoteCalls(Examples):
    """Holds for the methods of every RemoteJobType; mixed into `JobTypeSuite`."""

    def another(self, job_type: Any) -> Any:
        """What another process would make of the type; by default `job_type` itself.

        Such as::

            from bunsui.testing import JobTypeSuite

            class TestQuery(JobTypeSuite):
                def another(self, job_type):
                    return QueryJob(job_type.address)

                def same_work(self, one, other):
                    return one["id"] == other["id"]
        """
        return job_type

    @pytest.fixture
    def remote(self, job_type: JobType) -> RemoteJobType:
        """The job type, where it is one of a remote service."""
        if not isinstance(job_type, RemoteJobType):
            pytest.skip("it is not a RemoteJobType")
        return job_type

    @pytest.fixture
    def call(self, tmp_path: Path) -> JobCall:
        """A call for the example."""
        return call_of(self.options, self.parameters, tmp_path)

    @needs("can_run")
    def test_a_handle_is_json(self, remote: RemoteJobType, call: JobCall) -> None:
        """A handle is a JSON value, not None, that is the same when it comes back from a history."""
        handle = remote.submit(call)
        assert handle is not None
        again = json.loads(json.dumps(handle, allow_nan=False))
        assert handle == again
        assert isinstance(ended(remote, again, self.patience), Succeeded)

    @needs("can_run")
    def test_polling_nothing(self, remote: RemoteJobType) -> None:
        """For no handles `poll` has no answers."""
        assert [] == list(remote.poll([]))

    @needs("can_run")
    def test_polls_answer_in_order(self, remote: RemoteJobType, tmp_path: Path) -> None:
        """`poll` has one answer for each handle, in their order, whatever that is."""
        fails = self.failing_options if self.can_fail else None
        examples = [self.options, self.options] if fails is None else [self.options, fails, self.options]
        handles = [remote.submit(call_of(options, self.parameters, tmp_path)) for options in examples]
        assert len(handles) == len(remote.poll(handles))
        alone = [ended(remote, handle, self.patience) for handle in handles]
        for order in ([*range(len(handles))], [*reversed(range(len(handles)))], [1, 0]):
            answers = remote.poll([handles[number] for number in order])
            assert [alone[number] for number in order] == list(answers)
            assert all(isinstance(answer, ANSWERS) for answer in answers)
        if all(answer == alone[0] for answer in alone):
            missing = "failing_options is None" if self.can_fail else "can_fail is False"
            pytest.skip(f"{missing}, and equal answers have no order")

    @needs("can_run")
    def test_a_handle_has_a_group(self, remote: RemoteJobType, call: JobCall) -> None:
        """What a handle is polled together with is a text, and the same in any process."""
        handle = remote.submit(call)
        group = remote.poll_group(handle)
        assert isinstance(group, str)
        again = json.loads(json.dumps(handle))
        assert group == remote.poll_group(again) == self.another(remote).poll_group(again)
        ended(remote, handle, self.patience)

    @needs("can_run", "unknown_handle")
    def test_polling_what_is_unknown(self, remote: RemoteJobType, call: JobCall) -> None:
        """Of work that is not there `poll` says CannotTell, or Failed, and it answers for the others."""
        assert isinstance(poll_one(remote, self.unknown_handle), CannotTell | Failed)
        handle = remote.submit(call)
        done = ended(remote, handle, self.patience)
        unknown, known = remote.poll([self.unknown_handle, handle])
        assert isinstance(unknown, CannotTell | Failed)
        assert done == known

    def test_nothing_is_found_before_it_is_submitted(self, remote: RemoteJobType, call: JobCall) -> None:
        """Of work that was never submitted `find` says NeverRan, or that it can't tell."""
        assert isinstance(remote.find(call), NeverRan | CannotTell)

    @needs("can_run")
    def test_what_was_submitted_is_found(self, remote: RemoteJobType, call: JobCall) -> None:
        """`find` knows it by its key: as it runs, and when it has ended. Who can't find it says so."""
        handle = remote.submit(call)
        for _ in range(2):
            found = remote.find(call)
            if self.can_find:
                assert isinstance(found, Found)
                assert self.same_work(handle, found.handle)
                assert ended(remote, handle, self.patience) == ended(remote, found.handle, self.patience)
            else:
                assert isinstance(found, CannotTell), "it ran: can_find is False, so find can't tell"
                ended(remote, handle, self.patience)

    @needs("can_run")
    def test_another_key_is_other_work(self, remote: RemoteJobType, tmp_path: Path) -> None:
        """The same job under another key is not found, and when it is submitted, it runs by itself."""
        first, second = (call_of(self.options, self.parameters, tmp_path) for _ in range(2))
        handle = remote.submit(first)
        assert not isinstance(remote.find(second), Found)
        assert not self.same_work(handle, remote.submit(second))

    @needs("can_run", "can_cancel", "slow_options")
    def test_what_is_cancelled_ends(self, remote: RemoteJobType, tmp_path: Path) -> None:
        """After `cancel` the work comes to an end, of which `poll` tells; cancelling again is no error."""
        assert self.slow_options is not None
        handle = remote.submit(call_of(self.slow_options, self.parameters, tmp_path))
        assert isinstance(poll_one(remote, handle), Running), "the slow example had ended at once"
        remote.cancel(handle)
        remote.cancel(handle)
        assert isinstance(ended(remote, handle, self.patience), Failed | Succeeded)
        remote.cancel(handle)

    @needs("can_run", "can_cancel")
    def test_cancelling_what_has_ended(self, remote: RemoteJobType, call: JobCall) -> None:
        """Work that has ended stays what it is when it is cancelled."""
        handle = remote.submit(call)
        done = ended(remote, handle, self.patience)
        remote.cancel(handle)
        assert done == poll_one(remote, handle)

    @needs("can_run")
    def test_submitting_again_starts_nothing_twice(self, remote: RemoteJobType, tmp_path: Path) -> None:
        """Where `resubmit_is_idempotent`, the same key leads to the same work, also when it has ended."""
        if not remote.resubmit_is_idempotent:
            pytest.skip("resubmit_is_idempotent is False")
        first = call_of(self.options, self.parameters, tmp_path)
        handle = remote.submit(first)
        for _ in range(2):
            again = call_of(self.options, self.parameters, tmp_path, first.idempotency_key)
            assert self.same_work(handle, remote.submit(again))
            ended(remote, handle, self.patience)

    @needs("can_run")
    def test_another_process_goes_on(self, remote: RemoteJobType, tmp_path: Path) -> None:
        """Another instance of the type polls, finds and cancels what this one has submitted."""
        other = self.another(remote)
        assert isinstance(other, RemoteJobType)
        call = call_of(self.options, self.parameters, tmp_path)
        handle = json.loads(json.dumps(remote.submit(call)))
        if self.can_find:
            assert isinstance(other.find(call), Found)
        assert isinstance(ended(other, handle, self.patience), Succeeded)
        if self.can_cancel:
            other.cancel(handle)
