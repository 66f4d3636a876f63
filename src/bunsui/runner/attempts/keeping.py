"""Large outputs on their way into artifacts: in threads that may wait for a disk, or for AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bunsui.errors import AwsError, JobError, StoreError
from bunsui.model.artifact import INLINE, Unread, owner
from bunsui.model.json import Json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from bunsui.model.artifact import Artifact
    from bunsui.ports.clock import Clock
    from bunsui.runner.attempts.artifacts import Artifacts, GivenUp, Patience

#: Seconds before an artifact that could not be written is written again.
AGAIN = 0.5


class Unkept(StoreError):
    """An output that could not be written for as long as a store may fail."""


class NoOutput(Exception):
    """An attempt whose output can't be kept; it knows why."""


class Keeping:
    """Makes artifacts of outputs that are too large for the history.

    Where the disk is full, or fails, this waits as the driver does for its store: what a job took hours for
    is not thrown away because somebody has to make room first. So it does where AWS is not reached, or fails
    or throttles calls; what AWS refuses it refuses again.

    Args:
        artifacts: where they go; None: nowhere, so outputs stay in the history, up to one commit each.
        clock: the runner's.
        patience: seconds for which writing is tried again; the lease.
        most_inline: bytes up to which an output stays in the history.
    """

    def __init__(
        self, artifacts: Artifacts | None, clock: Clock, patience: float, most_inline: int = INLINE
    ) -> None:
        self._artifacts = artifacts
        self._clock = clock
        self._patience = patience
        self._most_inline = most_inline

    @property
    def has_place(self) -> bool:
        """Whether there can be artifacts."""
        return self._artifacts is not None

    def is_due(self, output: Json | None) -> bool:
        """Whether an output has yet to be made an artifact."""
        # By its class: to measure an artifact's text would be to read it.
        return (
            output.__class__ is Json and len(output.text) > self._most_inline and self._artifacts is not None
        )

    def keep(self, session: str, output: Json, whose: str, given_up: GivenUp) -> Artifact:
        """An output that is due as an artifact.

        Args:
            session: the session whose output it is.
            output: the output.
            whose: what it is the output of, as errors name it.
            given_up: once nobody wants it any more, waiting ends.

        Raises:
            JobError: it is too large for any; `OutputTooLarge`.
            Unkept: it could not be written.
        """
        return self._put(session, lambda: output.text, whose, given_up)

    def gather(self, session: str, job: str, outputs: Sequence[Json], given_up: GivenUp) -> Artifact:
        """The list of what a fan-out's items returned, as an artifact.

        Raises:
            JobError: it is too large.
            NotFound: the artifact of an item is gone.
            Unkept: the list could not be written.
            Unread: the artifact of an item could not be read.
            StoreError: the artifact of an item is damaged, or can't be read.
        """
        return self._put(session, lambda: _list_of(outputs), owner(job), given_up)

    def adopt(self, artifact: Artifact, source: str, target: str, whose: str, given_up: GivenUp) -> Artifact:
        """An artifact of the session `source` as one of the session `target`, too.

        Raises:
            NotFound: it is gone.
            Unkept: it could not be written.
            Unread: it could not be read.
            StoreError: it is damaged, or can't be read.
        """
        artifacts = self._place
        return self._patiently(
            target,
            lambda patience: artifacts.adopt(artifact, source, target, whose, patience),
            whose,
            given_up,
        )

    @property
    def _place(self) -> Artifacts:
        assert self._artifacts is not None  # noqa: S101 - whoever comes here has looked
        return self._artifacts

    def _put(
        self, session: str, texts: Callable[[], str | Iterable[str]], whose: str, given_up: GivenUp
    ) -> Artifact:
        # Most sessions have none.
        from bunsui.runner.attempts.artifacts import MAX_ARTIFACT, TooLarge  # noqa: PLC0415 - see above

        artifacts = self._place
        try:
            return self._patiently(
                session, lambda patience: artifacts.put(session, texts(), whose, patience), whose, given_up
            )
        except TooLarge:
            raise JobError(
                f"the output of {whose} has more than {MAX_ARTIFACT:,} bytes, the most that is kept;"
                " write it to a file or a bucket and return where that is",
                code="OutputTooLarge",
                retryable=False,
            ) from None

    def _patiently(
        self, session: str, write: Callable[[Patience], Artifact], whose: str, given_up: GivenUp
    ) -> Artifact:
        """Writes an artifact of a session, again and again while the disk fails.

        What is given to `write` does the same for single calls to AWS: of a gigabyte that goes there in
        parts, one that fails is no reason to send all again.
        """
        # Most sessions have none.
        from bunsui.runner.attempts.artifacts import Patience  # noqa: PLC0415 - see above

        patience = Patience(self._clock, self._patience, given_up)
        until: float | None = None
        while True:
            try:
                return write(patience)
            except AwsError as error:
                # Where it was throttled, or its answer lost, time helps.
                first = f"{error.hint}; then " if error.kind in ("refused", "credentials") else ""
                raise Unkept(
                    f"the output of {whose} can't be kept: {error.message}",
                    hint=f"{first}resume the session",
                ) from error
            except (OSError, Unread) as error:
                until = patience.until() if until is None else until
                is_passing = not isinstance(error, Unread) or error.passing
                if not is_passing or not patience.waits(AGAIN, until):
                    if isinstance(error, Unread):
                        raise
                    where = error.filename or self._place.where(session)
                    raise Unkept(
                        f"the output of {whose} can't be written: {where}: {error.strerror or error}",
                        hint="make room, or see to the rights of that folder, and resume the session",
                    ) from error


def _list_of(outputs: Sequence[Json]) -> Iterator[str]:
    """The text of a list, in parts: of items that are artifacts, one at a time is in memory."""
    yield "["
    for i, output in enumerate(outputs):
        yield f",{output.text}" if i else output.text
    yield "]"
