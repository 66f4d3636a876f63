"""Artifacts in a folder: files beside the store, most often.

``FOLDER/SESSION/SHA256``: a session's artifacts are gone with its folder. A file is written under another
name first and renamed once it is durable, so a name is there with all of its content or not at all, wherever
the process or the machine stops.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from bunsui.errors import StoreError
from bunsui.runner import folders
from bunsui.runner.attempts.artifacts import Artifacts, checked, whose_in

if TYPE_CHECKING:
    from bunsui.model.artifact import Artifact
    from bunsui.runner.attempts.artifacts import Patience

#: Begins the names of files that are being written.
_TEMPORARY = "writing-"


class FolderArtifacts(Artifacts):
    """Artifacts as files.

    Args:
        folder: made with the first artifact (0700; files 0600).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        #: Begins the names of the files that are written through this object.
        self._temporary = f"{_TEMPORARY}{secrets.token_hex(4)}-"

    @property
    def place(self) -> str:
        """See `Artifacts.place`."""
        return str(self.folder)

    def where(self, session: str, artifact: Artifact | None = None) -> str:
        """See `Artifacts.where`."""
        return str(self.session_folder(session) if artifact is None else self.path(session, artifact))

    def session_folder(self, session: str) -> Path:
        """The folder of a session's artifacts; it need not exist."""
        return self.folder / checked(session)

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

    def _share(self, artifact: Artifact, source: str, target: str, patience: Patience | None) -> None:
        """The file is shared where the file system can do that, else copied."""
        data = self.read(source, artifact)
        folder = self._make_folder(target)
        file, name = tempfile.mkstemp(prefix=self._temporary, dir=folder)
        os.close(file)
        temporary = Path(name)
        temporary.unlink()
        try:
            os.link(self.path(source, artifact), temporary, follow_symlinks=False)
        except OSError:  # Another file system, or one without links.
            self._write(target, [data], patience)
            return
        try:
            temporary.replace(folder / artifact.sha256)
            # Two names of one file: then rename(2) does nothing, and the other name stays.
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(folder)

    def _write(self, session: str, parts: Iterable[bytes], patience: Patience | None) -> tuple[str, int]:
        del patience  # See `Artifacts.put`.
        folder = self._make_folder(session)
        file, name = tempfile.mkstemp(prefix=self._temporary, dir=folder)
        temporary = Path(name)
        digest, size = hashlib.sha256(), 0
        try:
            with open(file, "wb") as writing:  # noqa: PTH123 - of the descriptor
                for part in parts:
                    size += len(part)
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
        return digest.hexdigest(), size

    def _make_folder(self, session: str) -> Path:
        folder = self._own_folder(session)
        if not folder.is_dir():
            for each in (folder.parent, folder):  # `mode` is not for parents.
                if not each.is_dir():
                    each.mkdir(mode=0o700, parents=True, exist_ok=True)
                    _sync_folder(each.parent)
        return folder

    # Reading

    def _content(self, session: str, artifact: Artifact) -> bytes | None:
        path = self.path(session, artifact)
        try:
            self._own_folder(session)
            return _content(path, artifact.size)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise self._gone(session, artifact, "file") from error
        except OSError as error:
            raise StoreError(
                f"{whose_in(session, artifact)} can't be read: {path}: {error.strerror or error}",
                hint="once it can be, all of the session reads as before",
            ) from error

    def wrong(self, session: str, artifact: Artifact) -> str | None:
        """See `Artifacts.wrong`."""
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
        """See `Artifacts.tidy`."""
        with contextlib.suppress(OSError):
            for path in self._own_folder(session).glob(f"{_TEMPORARY}*"):
                if not path.name.startswith(self._temporary):
                    with contextlib.suppress(OSError):
                        path.unlink()

    def size(self, session: str) -> int:
        """See `Artifacts.size`."""
        return folders.size(self.session_folder(session))

    def remove(self, session: str) -> None:
        """See `Artifacts.remove`."""
        folders.remove(self.session_folder(session))


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
