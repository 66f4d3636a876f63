"""How important a record is, and from which level on a logger takes records in."""

from __future__ import annotations

import logging
from enum import IntEnum
from types import TracebackType

from bunsui.dsl.problems import did_you_mean, quoted
from bunsui.errors import ConfigError
from bunsui.model.log import LEVELS


class LogLevel(IntEnum):
    """How important a record is: a number of `logging`, so that levels can be compared.

    Such as::

        level = bunsui.logging.LogLevel["INFO"]
        print(level < bunsui.logging.LogLevel.ERROR, int(level))  # True 20
    """

    #: What helps to find a fault.
    DEBUG = 10
    #: What goes as it should.
    INFO = 20
    #: What somebody should look at some day.
    WARNING = 30
    #: What has failed.
    ERROR = 40
    #: What keeps the program from going on.
    CRITICAL = 50


def level_number(level: LogLevel | int | str) -> int:
    """The number of a level.

    Args:
        level: a level, its name in capitals or not, or a number above 0 as `logging` takes it.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(level, str):
        found = LEVELS.get(level.upper())
        if found is not None:
            return found
    elif isinstance(level, int) and not isinstance(level, bool) and level > 0:
        return int(level)
    hint = did_you_mean(level.upper(), LEVELS) if isinstance(level, str) else None
    raise ConfigError(
        f"there is no level {quoted(level)}", hint=hint or f"the levels are {', '.join(LEVELS)}"
    )


def logger_named(name: str) -> logging.Logger:
    """A logger by its whole name, as `logging` has it; ``root`` and "" mean the root logger.

    Raises:
        ConfigError: it is no text.
    """
    if not isinstance(name, str):
        raise ConfigError(
            f"the name of a logger is {quoted(name)}; it is a text", hint="such as 'bunsui.sessions'"
        )
    return logging.getLogger("" if name == "root" else name)


class LevelSet:
    """A level that was set; `close`, or the end of a ``with`` block, sets back what was there before.

    Of several for one logger the last one is closed first, as ``with`` blocks do.

    Such as::

        level = bunsui.logging.set_level("bunsui.sessions", "DEBUG")
        ...
        level.close()
    """

    def __init__(self, logger: logging.Logger, level: int) -> None:
        self._logger = logger
        self._before = logger.level
        self._is_open = True
        logger.setLevel(level)

    def close(self) -> None:
        """Sets the level back; the second time it does nothing."""
        if self._is_open:
            self._is_open = False
            self._logger.setLevel(self._before)

    def __enter__(self) -> LevelSet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self.close()


def set_level(logger: str, level: LogLevel | int | str | None) -> LevelSet:
    """Sets from which level on a logger takes records in, at once and for all threads.

    What is below the logger has the same level, unless it has one of its own. A record is shown where a
    handler shows it: without `configure`, or handlers of the program's own, none does.

    Such as::

        with bunsui.logging.set_level("bunsui.runner", "DEBUG"):
            runner.run(pipeline)

    Args:
        logger: its whole name, such as ``bunsui.sessions``; ``root`` means the root logger.
        level: a level, its name or its number; None: that of the logger above it.

    Returns:
        What sets the level back, by ``close()`` or as a ``with`` block.

    Raises:
        ConfigError: there is no such level.
    """
    number = logging.NOTSET if level is None else level_number(level)
    return LevelSet(logger_named(logger), number)
