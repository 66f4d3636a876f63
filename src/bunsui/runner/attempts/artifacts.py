"""Outputs that are too large for a history: files beside the store, named by the SHA-256 of their content.

``FOLDER/SESSION/SHA256``: a session's artifacts are gone with its folder. A file is written under another
name first and renamed once it is durable, so a name is there with all of its content or not at all, wherever
the process or the machine stops.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bunsui.errors import NotFound, StoreError
from bunsui.model.artifact import Artifact

if TYPE_CHECKING:
    from collections.abc import Callable

#: Most bytes of one artifact.
MAX_ARTIFACT = 2**30
#: Begins the names of files that are being written.
_TEMPORARY = "writing-"
#: What an id may be, to be the name of a folder.
SESSION_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_CHUNK = 2**20


class TooLarge(Exception):
    """More than `MAX_ARTIFACT` bytes; nothing was kept."""


class Artifacts:
    """The artifacts of all sessions of a store. Any number of processes may use them at once.

    Args:
        folder: made with the first artifact (0700; files 0600).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        #: Begins the names of the files that are written through this object.
        self._temporary = f"{_TEMPORARY}{secrets.token_hex(4)}-"

    def session_folder(self, session: str) -> Path:
        """The folder of a session's artifacts; it need not exist."""
        if not SESSION_ID.fullmatch(session):
            raise ValueError(f"{session!r} is no id of a session")
        return self.folder / session

    def path(self, session: str, artifact: Artifact) -> Path:
        """The file of an artifact; it need not exist."""
        return self.session_folder(session) / artifact.sha256

    def _own_folder(self, session: str) -> Path:
        """The folder of a session.

        Raises:
            OSError: it is a link: what a job has put there must not lead elsewhere.
        """
        folder = self.session_folder(session)
        if folder.is_symlink():
            raise OSError(errno.ELOOP, "the session's folder is a link")
        return folder

    # Writing

    def put(self, session: str, texts: str | Iterable[str], whose: str) -> Artifact:
        """Keeps a JSON text, durably.

        Args:
            session: the session whose output it is.
            texts: the text, ASCII only; as a whole or in parts.
            whose: what it is the output of, as errors name it.

        Raises:
            TooLarge: it has more than `MAX_ARTIFACT` bytes.
            OSError: it can't be written. Nothing of it counts, and nothing is left where that can be helped.
        """
        parts = [texts] if isinstance(texts, str) else texts
        return self._write(session, (part.encode("ascii") for part in parts), whose)

    def adopt(self, artifact: Artifact, source: str, target: str, whose: str) -> Artifact:
        """Makes an artifact of the session `source` one of the session `target`, too, once it was checked.

        The file is shared where the file system can do that, else copied. Each session keeps its own
        name for it: removing one leaves the other.

        Raises:
            NotFound: it is gone.
            StoreError: it is damaged, or can't be read.
            OSError: it can't be written.
        """
        named = Artifact(artifact.sha256, artifact.size, whose)
        data = self._read(source, named)
        adopted = Artifact(artifact.sha256, artifact.size, whose, self.loader(target))
        folder = self._make_folder(target)
        file, name = tempfile.mkstemp(prefix=self._temporary, dir=folder)
        os.close(file)
        temporary = Path(name)
        temporary.unlink()
        try:
            os.link(self.path(source, artifact), temporary, follow_symlinks=False)
        except OSError:  # Another file system, or one without links.
            return self._write(target, [data], whose)
        try:
            temporary.replace(folder / artifact.sha256)
            # Two names of one file: then rename(2) does nothing, and the other name stays.
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(folder)
        return adopted

    def _write(self, session: str, parts: Iterable[bytes], whose: str) -> Artifact:
        folder = self._make_folder(session)
        file, name = tempfile.mkstemp(prefix=self._temporary, dir=folder)
        temporary = Path(name)
        digest, size = hashlib.sha256(), 0
        try:
            with open(file, "wb") as writing:  # noqa: PTH123 - of the descriptor
                for part in parts:
                    size += len(part)
                    if size > MAX_ARTIFACT:
                        raise TooLarge
                    digest.update(part)
                    writing.write(part)
                writing.flush()
                os.fsync(writing.fileno())
            # In place of one that is there, too: it may be damaged.
            temporary.replace(folder / digest.hexdigest())
        except BaseException:  # Only to clean up: it goes on.
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        _sync_folder(folder)
        return Artifact(digest.hexdigest(), size, whose, self.loader(session))

    def _make_folder(self, session: str) -> Path:
        folder = self._own_folder(session)
        if not folder.is_dir():
            for each in (folder.parent, folder):  # `mode` is not for parents.
                if not each.is_dir():
                    each.mkdir(mode=0o700, parents=True, exist_ok=True)
                    _sync_folder(each.parent)
        return folder

    # Reading

    def loader(self, session: str) -> Callable[[Artifact], str]:
        """What reads the artifacts of a session; see `get`."""
        return partial(self.get, session)

    def get(self, session: str, artifact: Artifact) -> str:
        """The text of an artifact, read and checked anew.

        Raises:
            NotFound: it is gone.
            StoreError: it is damaged, or can't be read.
        """
        return self._read(session, artifact).decode("ascii")

    def _read(self, session: str, artifact: Artifact) -> bytes:
        path = self.path(session, artifact)
        whose = f"the output of {artifact.whose or 'a job'} in session {session}"
        try:
            self._own_folder(session)
            data = _content(path, artifact.size)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFound(
                f"{whose} is gone: there is no file {path}",
                kind="artifact",
                name=str(path),
                hint="restore it from a backup, or run the session again",
            ) from error
        except OSError as error:
            raise StoreError(
                f"{whose} can't be read: {path}: {error.strerror or error}",
                hint="once it can be, all of the session reads as before",
            ) from error
        if data is None or hashlib.sha256(data).hexdigest() != artifact.sha256:
            raise StoreError(
                f"{whose} is damaged: {path} does not have the content that its name stands for",
                hint="restore the file from a backup, or run the session again; nothing else is touched",
                lasting=True,
            )
        return data

    def wrong(self, session: str, artifact: Artifact) -> str | None:
        """What is wrong with an artifact, as far as a look at its file tells; None: nothing is.

        It is not read: what damages it and leaves its size is not seen.

        Returns:
            What follows "its output", such as ``is gone``.
        """
        try:
            self._own_folder(session)
            about = self.path(session, artifact).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return "is gone"
        except OSError:
            return "can't be read"
        whole = stat.S_ISREG(about.st_mode) and about.st_size == artifact.size
        return None if whole else "is damaged"

    # Housekeeping

    def tidy(self, session: str) -> None:
        """Removes what others were writing, such as a process that died. Only for who holds the claim.

        What is written through this object stays: whoever has the claim may have begun to write.
        """
        with contextlib.suppress(OSError):
            for path in self._own_folder(session).glob(f"{_TEMPORARY}*"):
                if not path.name.startswith(self._temporary):
                    with contextlib.suppress(OSError):
                        path.unlink()


def _content(path: Path, size: int) -> bytes | None:
    """What a file holds; None where it is no file, or has another size."""
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        about = os.fstat(file)
        if not stat.S_ISREG(about.st_mode) or about.st_size != size:
            return None
        with open(file, "rb", closefd=False) as reading:
            return reading.read(size + 1)
    finally:
        os.close(file)


def _sync_folder(folder: Path) -> None:
    """Makes a folder's entries durable."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
