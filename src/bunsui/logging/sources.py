"""Where the logs of jobs are read from: what files and CloudWatch Logs have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping


class JobSource(ABC):
    """The log of one job, read in blocks of whole lines, while somebody may be writing to it.

    Args:
        job: its id.
    """

    def __init__(self, job: str) -> None:
        self.job = job

    @abstractmethod
    def look(self, last: int) -> None:
        """Finds out where the log ends now: what is written later is not read before the next look.

        Args:
            last: what `SessionSource.jobs` says of the job.
        """

    @abstractmethod
    def block(self, size: int) -> bytes:
        """The next whole lines; nothing where there are no more up to the last look.

        Args:
            size: bytes that they have at most, unless a line is longer, or what it is read from gives more at
            once.
        """

    @abstractmethod
    def rest(self) -> bytes:
        """The beginning of a line that was not complete at the last look; it is not given again."""

    @abstractmethod
    def go_to_last(self, lines: int) -> None:
        """Goes to where the last lines begin: so many, or as many as there are; `look` comes before."""


class SessionSource(ABC):
    """The logs of one session."""

    #: What helps where all of them are gone.
    hint = (
        "logs are where the session's runner kept them: the key logs of the configuration may name that place"
    )

    @abstractmethod
    def jobs(self) -> dict[str, int]:
        """The jobs that have logged something, each with what its `JobSource.look` is told."""

    @abstractmethod
    def source(self, job: str) -> JobSource:
        """The log of a job."""

    @abstractmethod
    def gone(
        self,
        read: Mapping[str, JobSource],
        is_wanted: Callable[[str], bool],
        expected: Callable[[], Iterable[str]],
    ) -> list[tuple[str, str]]:
        """The jobs whose logs should be there, and are not, each with where.

        Args:
            read: those that were read.
            is_wanted: whether a job's is asked for.
            expected: the jobs that must have logged something.
        """

    def may_grow(self) -> bool:
        """Whether something may come yet, though the session rests: then there is one more look, at least."""
        return False

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Frees what is held open; it was read."""
