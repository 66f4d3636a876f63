"""Outputs that are too large for a history: kept elsewhere, named by the SHA-256 of their content."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from functools import partial
from threading import Event
from typing import TYPE_CHECKING

from attrs import frozen

from bunsui.errors import NotFound, StoreError
from bunsui.model.artifact import Artifact

if TYPE_CHECKING:
    from collections.abc import Callable

    from bunsui.concurrency.notice import Notice
    from bunsui.ports.clock import Clock
    from bunsui.ports.permissions import Permission, Where
    from bunsui.ports.services import Objects

    #: Ends a wait once nobody wants what is waited for.
    GivenUp = Event | Notice

#: Most bytes of one artifact.
MAX_ARTIFACT = 2**30
#: What an id may be, to be the name of a folder, or a part of a key.
SESSION_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_RESTORE = (
    "restore it from a backup, or run the session again; if it is elsewhere, give that place as 'artifacts'"
)


class TooLarge(Exception):
    """More than `MAX_ARTIFACT` bytes; nothing was kept."""


@frozen
class Patience:
    """How long somebody tries again what fails for now."""

    clock: Clock
    #: Seconds, from the first failure on.
    seconds: float
    #: Once it is set, nothing is tried again; None: nobody gives up.
    given_up: GivenUp | None = None

    def until(self) -> float:
        """When (monotonic) it is over, if it begins now."""
        return self.clock.monotonic() + self.seconds

    def waits(self, seconds: float, until: float) -> bool:
        """Waits so long, or for what is left until then; whether to try again: not where nothing is left."""
        left = until - self.clock.monotonic()
        given_up = self.given_up or Event()
        if left <= 0 or given_up.is_set():
            return False
        given_up.wait(min(seconds, left))
        return True


class Artifacts(ABC):
    """The artifacts of all sessions of a store. Any number of processes and threads may use them at once."""

    @property
    @abstractmethod
    def place(self) -> str:
        """Where they are, for people: a folder, or a URL."""

    @property
    def objects(self) -> Objects | None:
        """The same place, for jobs at AWS; None: they can't reach it."""
        return None

    def permissions(self, where: Where, *, leaves_output: bool) -> Iterable[Permission]:
        """What a run has to be allowed at AWS to keep and read them; by default nothing.

        Args:
            where: the runner's region and account.
            leaves_output: whether jobs may leave an output here; see `RemoteJobType.leaves_output`.
        """
        del where, leaves_output
        return ()

    # Writing

    def put(
        self, session: str, texts: str | Iterable[str], whose: str, patience: Patience | None = None
    ) -> Artifact:
        """Keeps a JSON text, durably. One of this content that is damaged is mended.

        Args:
            session: the session whose output it is.
            texts: the text, ASCII only; as a whole or in parts.
            whose: what it is the output of, as errors name it.
            patience: for single calls to AWS; None: none. Who writes to a disk again has to begin anew.

        Raises:
            TooLarge: it has more than `MAX_ARTIFACT` bytes.
            OSError: it can't be written here. Nothing of it counts, and nothing is left where that can be
                helped.
            AwsError: the same, there.
        """
        parts = [texts] if isinstance(texts, str) else texts
        digest, size = self._write(session, _bounded(part.encode("ascii") for part in parts), patience)
        return Artifact(digest, size, whose, self.loader(session))

    def adopt(
        self, artifact: Artifact, source: str, target: str, whose: str, patience: Patience | None = None
    ) -> Artifact:
        """Makes an artifact of the session `source` one of the session `target`, too, once it was checked.

        Each session keeps its own name for it: removing one leaves the other.

        Raises:
            NotFound: it is gone.
            StoreError: it is damaged, or can't be read.
            OSError: it can't be written here.
            AwsError: it can't be copied there.
        """
        self._share(Artifact(artifact.sha256, artifact.size, whose), source, target, patience)
        return Artifact(artifact.sha256, artifact.size, whose, self.loader(target))

    @abstractmethod
    def _write(self, session: str, parts: Iterable[bytes], patience: Patience | None) -> tuple[str, int]:
        """Keeps bytes; their SHA-256 and their number."""

    @abstractmethod
    def _share(self, artifact: Artifact, source: str, target: str, patience: Patience | None) -> None:
        """What `adopt` does."""

    # Reading

    def loader(self, session: str) -> Callable[[Artifact], str]:
        """What reads the artifacts of a session; see `get`."""
        return partial(self.get, session)

    def get(self, session: str, artifact: Artifact) -> str:
        """The text of an artifact, read and checked anew.

        Raises:
            NotFound: it is gone.
            StoreError: it is damaged, or can't be read; `Unread`, where AWS can't be asked for it.
        """
        return self.read(session, artifact).decode("ascii")

    def read(self, session: str, artifact: Artifact) -> bytes:
        """The bytes of an artifact; see `get`."""
        data = self._content(session, artifact)
        if data is None or hashlib.sha256(data).hexdigest() != artifact.sha256:
            raise self._damaged(session, artifact)
        return data

    @abstractmethod
    def _content(self, session: str, artifact: Artifact) -> bytes | None:
        """What is there; None where that is sure to be damaged."""

    @abstractmethod
    def where(self, session: str, artifact: Artifact | None = None) -> str:
        """Where the artifacts of a session are, or one of them: a path, or a URL."""

    @abstractmethod
    def wrong(self, session: str, artifact: Artifact) -> str | None:
        """What is wrong with an artifact, as far as a look at it tells; None: nothing is.

        It is not read: what damages it and leaves its size is not seen everywhere.

        Returns:
            What follows "its output", such as ``is gone``.
        """

    # Housekeeping

    @abstractmethod
    def tidy(self, session: str) -> None:
        """Removes what others were writing, such as a process that died. Only for who holds the claim.

        What is written through this object stays: whoever has the claim may have begun to write.
        """

    @abstractmethod
    def size(self, session: str) -> int:
        """Bytes of all that there is of a session.

        Raises:
            OSError: they can't be looked at here.
            AwsError: the same, there.
        """

    @abstractmethod
    def remove(self, session: str) -> None:
        """Removes all that there is of a session; what raises is `size`'s."""

    # Errors

    def _gone(self, session: str, artifact: Artifact, what: str) -> NotFound:
        name = self.where(session, artifact)
        return NotFound(
            f"{whose_in(session, artifact)} is gone: there is no {what} {name}",
            kind="artifact",
            name=name,
            hint=_RESTORE,
        )

    def _damaged(self, session: str, artifact: Artifact) -> StoreError:
        return StoreError(
            f"{whose_in(session, artifact)} is damaged: {self.where(session, artifact)} does not have the"
            " content that its name stands for",
            hint=f"{_RESTORE}; nothing else is touched",
            lasting=True,
        )


def checked(session: str) -> str:
    """The id of a session, which becomes a part of a path or a key.

    Raises:
        ValueError: it is none.
    """
    if not SESSION_ID.fullmatch(session):
        raise ValueError(f"{session!r} is no id of a session")
    return session


def whose_in(session: str, artifact: Artifact) -> str:
    """An artifact, as errors name it."""
    return f"the output of {artifact.whose or 'a job'} in session {session}"


def _bounded(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The same parts, up to `MAX_ARTIFACT` bytes."""
    left = MAX_ARTIFACT
    for part in parts:
        left -= len(part)
        if left < 0:
            raise TooLarge
        yield part
