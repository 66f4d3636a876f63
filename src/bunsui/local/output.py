"""What processes of this machine write to: a port that the runner fills with the log store."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol


class Streams(Protocol):
    """The pipes that the processes of one attempt write to."""

    #: The descriptors that are theirs; closed when the streams are left.
    stdout: int
    stderr: int
    #: What a worker puts before a record of `logging`, in its stderr.
    mark: str

    def last_line(self) -> str:
        """The last line that came out of them and is not blank, without secrets; "" where there is none."""
        ...


class AttemptLog(Protocol):
    """The log of one attempt."""

    @property
    def files(self) -> Path:
        """A path beside the log, under the attempt's own name, whose folder exists.

        Raises:
            OSError: the folder can't be made.
        """
        ...

    def streams(self) -> AbstractContextManager[Streams]:
        """Pipes into the log. When they are left, it has, or counts, all that was written until then."""
        ...
