"""Work at AWS that may leave what it returns on S3, where BUNSUI_OUTPUT_URL says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from bunsui.errors import AwsError, JobError
from bunsui.jobs.aws_remote import AwsRemoteJobType
from bunsui.jobs.looks import READING, Looks
from bunsui.ports.remote import CannotTell, Failed, Running, Succeeded

if TYPE_CHECKING:
    from bunsui.ports.job_type import JobCall
    from bunsui.ports.services import Services


T = TypeVar("T")
#: What a poll says of one handle.
Outcome = Running | Succeeded | Failed | CannotTell


class AwsOutputJobType(AwsRemoteJobType):
    """The handles of its work have the URL of the output as ``output``, where there is one."""

    leaves_output: ClassVar[bool] = True

    def __init__(self, services: Services | None = None) -> None:
        super().__init__(services)
        self._reads = Looks()

    def output_url(self, call: JobCall) -> str | None:
        """Where an attempt may leave what it returns; None: nowhere, as artifacts are not on S3."""
        objects = self._runner.objects
        return None if objects is None else objects.output_url(call.session_id, call.idempotency_key)

    def outcomes(
        self,
        handles: Sequence[Any],
        described: Mapping[int, T],
        became: Callable[[Mapping[str, Any], T], Outcome | None],
    ) -> list[Outcome]:
        """What a poll says, in the order of its handles.

        Args:
            handles: of one account and region.
            described: what the service says of them, by their places; what is left out is as if it ran.
            became: what has become of one; None: it has done its work, and its output is to be read.

        Raises:
            AwsError: there are no credentials.
        """
        if not handles:
            return []
        found: list[Outcome] = [Running()] * len(handles)
        unread: AwsError | None = None
        ended: dict[int, str] = {}
        for i, each in described.items():
            outcome = became(handles[i], each)
            if outcome is not None:
                found[i] = outcome
            else:
                ended[i] = handles[i].get("output", "")
        read_by = self._runner.clock.monotonic() + READING
        for i in self._reads.order(ended):
            if self._runner.clock.monotonic() > read_by:
                break  # The rest is read with the next poll.
            self._reads.begin(ended[i])
            try:
                found[i] = self._left(handles[i])
            except AwsError as error:
                if error.kind == "credentials":
                    raise
                unread = error  # It is read with a later poll, also where somebody has to allow that.
            else:
                self._reads.over(ended[i])
        self.note(self.poll_group(handles[0]), "outputs", unread)
        return found

    def _left(self, handle: Mapping[str, Any]) -> Succeeded | Failed:
        """What work that has ended well has left.

        Raises:
            AwsError: it can't be read for now, or not before somebody allows it: the work is done.
        """
        objects = self._runner.objects
        if objects is None or "output" not in handle:
            return Succeeded()
        try:
            return Succeeded(objects.read_output(handle["output"]))
        except AwsError as error:
            from bunsui.aws.errors import is_denied  # noqa: PLC0415 - only where something is wrong

            if error.kind == "refused" and not is_denied(error):
                return Failed(error.job_code, str(error), retryable=False)
            raise
        except JobError as error:
            return Failed(error.code, error.message, retryable=error.retryable)
