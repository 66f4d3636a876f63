"""Work at services of AWS that take no token for a request: it is looked up by its key, lest it run twice."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

from bunsui.errors import AwsError
from bunsui.jobs.aws_output import AwsOutputJobType
from bunsui.jobs.looks import Search, continued
from bunsui.ports.remote import CannotTell, NeverRan

if TYPE_CHECKING:
    from bunsui.ports.job_type import JobCall
    from bunsui.ports.services import Services

#: Attempts that are looked for at once, and remembered.
MAX_REMEMBERED = 10_000


class LookedUpJobType(AwsOutputJobType):
    """Whose work would run twice, were it begun twice.

    So an attempt that does not show is looked for over some time before it counts as never begun::

        SubmitJob -> (the answer is lost)     the service has it, and lists it a moment later
        find: not listed        0 s           asked again
        find: not listed       30 s           it never began: it may be submitted
    """

    #: Seconds after which the service lists what it has begun. AWS names none; half of what a runner waits
    #: for work that is to stop, so that one which was stopped meanwhile is known to be absent in that time.
    shown_within: ClassVar[float] = 30.0
    #: How long after the start of an attempt its work is certain to be listed, also when it has ended.
    kept_for: ClassVar[timedelta]

    def __init__(self, services: Services | None = None) -> None:
        super().__init__(services)
        #: Attempts that are looked for in vain, by their key.
        self._looked_for: dict[str, Search] = {}

    def not_listed(self, call: JobCall, action: str) -> NeverRan | CannotTell:
        """What to say of an attempt that the service does not list.

        Raises:
            AwsError: it may be listed late (``open``).
        """
        now = self._runner.clock.monotonic()
        if call.started_at is None or self._runner.clock.now() - call.started_at >= self.kept_for:
            self.listed(call)
            return CannotTell()
        with self._lock:
            if len(self._looked_for) >= MAX_REMEMBERED:
                self._looked_for.clear()
            since = continued(self._looked_for.get(call.idempotency_key), now, call.started_at)
            self._looked_for[call.idempotency_key] = since
        if now - since.began < self.shown_within:
            raise AwsError(
                f"{self.service} {action} does not list the attempt {call.idempotency_key}, or not yet",
                service=self.service, action=action, kind="open",
            )  # fmt: skip
        self.listed(call)
        return NeverRan()

    def listed(self, call: JobCall) -> None:
        """The attempt has been told of: what is looked for under its key after this is so from then on."""
        with self._lock:
            self._looked_for.pop(call.idempotency_key, None)
