"""A large JSON value as what it is known by; the value itself lies elsewhere."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from bunsui.errors import StoreError
from bunsui.model.json import Json

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["INLINE", "Artifact", "Unread", "owner"]

#: Bytes of JSON up to which an output stands in the history itself; a larger one is an artifact.
INLINE = 32 * 1024


def owner(job: str | None, item: int | None = None) -> str:
    """Whose output it is, as errors name it: ``item 3 of job 'load'``; without a job, the session's own."""
    if job is None:
        return "the session itself (its declared outputs)"
    return f"job '{job}'" if item is None else f"item {item} of job '{job}'"


class Unread(StoreError):
    """An artifact that can't be read for now: nobody has said that it is gone, or damaged.

    Who needs it fails no job for that: its session waits, or is set aside, and can be resumed.

    Attributes:
        passing: whether it may be read soon, without anybody doing something about it.
    """

    def __init__(self, message: str, *, hint: str | None = None, passing: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.passing = passing


class Artifact(Json):
    """A JSON document that lies in a file, or on S3.

    It is read, and checked against its SHA-256, each time somebody looks.

    Two are equal where their content is, whoever they belong to.

    Args:
        sha256: of the document's bytes; 64 hexadecimal digits in small letters.
        size: bytes of the document.
        whose: what it is the output of, as errors name it, such as ``job 'load'``.
        load: reads the document; None: there is no way to it from here.

    Raises:
        ValueError: `sha256` or `size` is none; a file's name is made of the first.
    """

    __slots__ = ("_load", "bytes", "sha256", "whose")

    sha256: str
    bytes: int
    whose: str
    _load: Callable[[Artifact], str] | None

    _DIGEST: ClassVar = re.compile(r"[0-9a-f]{64}")

    def __init__(
        self, sha256: str, size: int, whose: str = "", load: Callable[[Artifact], str] | None = None
    ) -> None:
        if not (isinstance(sha256, str) and self._DIGEST.fullmatch(sha256)):
            raise ValueError(f"{sha256!r} is no SHA-256")
        if type(size) is not int or size < 0:
            raise ValueError(f"{size!r} is no number of bytes")
        for name, value in (("sha256", sha256), ("bytes", size), ("whose", whose), ("_load", load)):
            object.__setattr__(self, name, value)

    @property
    def size(self) -> int:
        """Bytes of the text, which for that is not read."""
        return self.bytes

    @property
    def text(self) -> str:  # type: ignore[override] # Of a Json it is an attribute that nobody sets.
        """The document's text, read anew.

        Raises:
            NotFound: it is gone.
            StoreError: it is damaged, or can't be read from here.
        """
        if self._load is None:
            raise StoreError(
                f"the output of {self.whose or 'a job'} is an artifact, and nobody has said where those lie",
                hint="give the runner their place, as in Runner(store, artifacts='...')",
            )
        return self._load(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Artifact) and other.sha256 == self.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __reduce__(self) -> tuple[object, ...]:
        return Artifact, (self.sha256, self.bytes, self.whose, self._load)

    def __repr__(self) -> str:
        return f"Artifact({self.sha256!r}, {self.bytes})"
