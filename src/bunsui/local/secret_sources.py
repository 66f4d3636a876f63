"""The secret sources of this machine: environment variables and files."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from bunsui.errors import JobError
from bunsui.ports.secrets import SecretSource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bunsui.ports.permissions import Permission, Unnamed, Where

#: Bytes of a file that holds a secret; a larger one is something else.
MAX_FILE = 64 * 1024


class NotARegularFile(JobError):
    """The path of a secret names a folder, a pipe or a device."""

    default_retryable = False


class FileNotPermitted(JobError):
    """The file of a secret may not be read by this process."""

    default_retryable = False


class FileTooLarge(JobError):
    """The file of a secret has more than `MAX_FILE` bytes."""

    default_retryable = False


class FileNotUtf8(JobError):
    """The file of a secret is not UTF-8."""

    default_retryable = False


class EnvironmentSource(SecretSource):
    """The environment of this process: a key is the name of a variable."""

    def get(self, key: str) -> str:
        """The variable's value.

        Raises:
            LookupError: it is not set.
        """
        return os.environ[key]

    def permissions(self, key: str, where: Where) -> Iterable[Permission | Unnamed]:
        """See `SecretSource.permissions`: none, as it is on this machine."""
        del key, where
        return ()


class FileSource(SecretSource):
    """The files of this machine: a key is a path, in which ``~`` is the user's folder."""

    def get(self, key: str) -> str:
        """The file's text without one trailing line break. Links are followed: mounted secrets are links.

        Raises:
            LookupError: there is no such file.
            NotARegularFile, FileNotPermitted, FileTooLarge, FileNotUtf8: it can't hold a secret.
            OSError: reading it failed.
        """
        content = _read(key)
        if len(content) > MAX_FILE:
            raise FileTooLarge(f"{key} has more than {MAX_FILE} bytes")
        # Not `from error`, nor within the handler: a UnicodeDecodeError keeps what it could not decode.
        text = _decoded(content)
        if text is None:
            raise FileNotUtf8(f"{key} is not UTF-8")
        return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text

    def permissions(self, key: str, where: Where) -> Iterable[Permission | Unnamed]:
        """See `SecretSource.permissions`: none, as it is on this machine."""
        del key, where
        return ()


def _read(key: str) -> bytes:
    """The file's first bytes, one more than may be."""
    try:
        # Without waiting for whoever would write to a FIFO.
        descriptor = os.open(Path(key).expanduser(), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise LookupError(f"{key}: {error.strerror}") from error
    except PermissionError as error:
        raise FileNotPermitted(f"{key}: {error.strerror}") from error
    except (RuntimeError, ValueError) as error:  # No such user's folder; a NUL in the path.
        raise LookupError(f"{key!r} is not a path: {error}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotARegularFile(f"{key} is not a regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_FILE + 1)
    finally:
        os.close(descriptor)


def _decoded(content: bytes) -> str | None:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None
