"""Where a setting comes from."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

from attrs import field, frozen


class Source(StrEnum):
    """The kinds of places; a later one wins over an earlier."""

    DEFAULT = "default"
    PROJECT = "project"
    USER = "user"
    ENVIRONMENT = "environment"
    ARGUMENT = "argument"


@frozen
class Origin:
    """The place that a setting comes from."""

    source: Source
    #: Of a file.
    file: Path | None = None
    #: Starts at 1; None where it can't be told.
    line: int | None = None
    #: Of the environment.
    variable: str | None = None

    def __str__(self) -> str:
        if self.file is not None:
            return f"{self.file}{'' if self.line is None else f':{self.line}'}"
        return self.variable or str(self.source)


@frozen
class Setting:
    """The value of a key, or of an entry of a table such as ``pools.gpu``."""

    #: What stands in place of a secret's reference may be the secret.
    value: Any = field(repr=False)
    origin: Origin
