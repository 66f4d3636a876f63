"""What the job types have in common whose work goes on at AWS without this process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, cast

from bunsui.aws.connections import Caller
from bunsui.errors import AwsError, PermissionDenied
from bunsui.jobs.aws import required
from bunsui.jobs.looks import Search, continued
from bunsui.ports.remote import CannotTell, RemoteJobType, Running

if TYPE_CHECKING:
    from bunsui.ports.services import Services

#: Seconds for which work may be missing: what one call has started, another may show later.
MISSING_PATIENCE = 60.0
#: Missing work that is remembered.
MAX_MISSING = 10_000
#: Looks in vain, one after the other, after which that is said; and again after as many more.
SAID_AFTER = 5
#: Things that were looked at in vain that are remembered.
MAX_REMEMBERED = 1000

_log = logging.getLogger(__name__)
T = TypeVar("T")


class AwsRemoteJobType(RemoteJobType):
    """Work at AWS. Its handles are mappings; ``region`` and ``role`` in them say where it is asked for.

    Args:
        services: of the runner that it is used by.
    """

    #: The service whose work it is, as boto3 calls it.
    service: ClassVar[str]
    poll_interval: ClassVar[float] = 1.0
    poll_interval_max: ClassVar[float | None] = 15.0

    def __init__(self, services: Services | None = None) -> None:
        self._services = services
        self._lock = threading.Lock()
        #: Work that is missing, by its id.
        self._missing: dict[str, Search] = {}
        #: How often something has been looked at in vain, by its group and what it is.
        self._in_vain: dict[tuple[str, str], int] = {}

    def for_runner(self, services: Services) -> Self:
        """See `JobType.for_runner`."""
        return type(self)(services)

    @property
    def _runner(self) -> Services:
        return required(self._services, self.name)

    def poll_group(self, handle: Any) -> str:
        """See `RemoteJobType.poll_group`: one for each account and region."""
        return f"{handle.get('role', '')} {handle.get('region', '')}"

    @staticmethod
    def caller_of(handle: Mapping[str, Any]) -> Caller:
        """As whom, and where, AWS is asked for what was submitted."""
        return Caller(handle.get("region"), handle.get("role"))

    def look(
        self, action: str, parameters: dict[str, Any], handle: Mapping[str, Any], resource: str
    ) -> dict[str, Any]:
        """Asks AWS how work is. A refusal says nothing of the work, such as that a permission is missing.

        Args:
            action: as AWS calls it, of the service that is called as this type is.
            parameters: as boto3's method takes them.
            handle: of the work.
            resource: as errors name it.

        Raises:
            AwsError: there was no answer to that, for now (``open``, ``busy``), or there are no
                ``credentials``.
        """
        try:
            return self._runner.aws.call(self.service, action, parameters, self.caller_of(handle), resource)
        except AwsError as error:
            if error.kind == "refused" and not self.is_gone(error):
                error.kind = "open"
            raise
        except PermissionDenied as error:  # Whoever goes on with it may take fewer roles.
            raise AwsError(
                error.message, service=self.service, action=action, kind="open", hint=error.hint
            ) from error

    def is_gone(self, error: AwsError) -> bool:
        """Whether a refusal says that there is no such work (any more), and not that it can't be seen."""
        del error
        return False

    def described(
        self,
        handles: Sequence[Any],
        key_of: Callable[[Any], str],
        most: int,
        ask: Callable[[str, Sequence[Any]], Sequence[T | BaseException]],
    ) -> dict[int, T]:
        """What AWS says of work, by the places of its handles, as far as there was an answer.

        Args:
            handles: of one account and region.
            key_of: work with the same key, such as a cluster, is asked for together.
            most: so many at once.
            ask: gets a key and handles that have it, and gives what is said of each; see `look`.

        Raises:
            AwsError: nothing was answered, which says something of AWS, or there are no credentials.
        """
        from bunsui.performance.batch import BatchProcessor  # noqa: PLC0415 - only where there is work

        batches = BatchProcessor(most)
        by_key: dict[str, list[int]] = {}
        for i, handle in enumerate(handles):
            by_key.setdefault(key_of(handle), []).append(i)
        found: dict[int, T] = {}
        unanswered: dict[str, BaseException] = {}
        for key, places in by_key.items():
            answers = batches.process_batch([handles[i] for i in places], partial(ask, key))
            for i, answer in zip(places, answers, strict=True):
                if answer.error is not None:
                    unanswered[key] = answer.error
                else:
                    found[i] = cast("T", answer.value)
        for error in unanswered.values():
            if not found or (isinstance(error, AwsError) and error.kind == "credentials"):
                raise error
        for key in by_key:
            self.note(self.poll_group(handles[0]), f"work of {key}", unanswered.get(key))
        return found

    def note(self, group: str, what: str, error: BaseException | None) -> None:
        """Says now and then that something can't be looked at; with None, that it could."""
        key = group, what
        with self._lock:
            times = self._in_vain.pop(key, 0) + 1
            if error is None:
                return
            if len(self._in_vain) >= MAX_REMEMBERED:
                self._in_vain.clear()
            self._in_vain[key] = times
        if times % SAID_AFTER == 0:
            _log.warning("%s; it is asked again (%d times so far)", error, times)

    def while_missing(self, work: str) -> Running | CannotTell:
        """What to say of work that AWS does not show: for some time it may be shown late."""
        now = self._runner.clock.monotonic()
        with self._lock:
            since = continued(self._missing.pop(work, None), now)
            if now - since.began < MISSING_PATIENCE:
                if len(self._missing) >= MAX_MISSING:
                    self._missing.clear()
                self._missing[work] = since
                return Running()
        return CannotTell()

    def is_there(self, work: str) -> None:
        """AWS shows this work: what is missing after this is so from then on."""
        with self._lock:
            self._missing.pop(work, None)
