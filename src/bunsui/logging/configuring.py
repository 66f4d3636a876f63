"""`configure`: one handler of bunsui's, for applications and the command line."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Literal, Protocol

from bunsui.dsl.problems import did_you_mean, quoted
from bunsui.errors import ConfigError
from bunsui.logging.context import ContextFilter
from bunsui.logging.formats import FORMATS
from bunsui.logging.levels import LevelSet, LogLevel, level_number, logger_named
from bunsui.logging.records import OWN

#: The names of the formats.
Format = Literal["json", "text"]
_changing: Final = threading.RLock()


class Stream(Protocol):
    """What a log is written to: any text file, or what has these methods. `encoding` may be there or not."""

    def write(self, text: str, /) -> Any:
        """Takes a text."""

    def flush(self) -> Any:
        """Hands on what it has taken."""


class StreamHandler(logging.Handler):
    """Writes records to a stream; it never raises, and says in the stream what it could not write.

    Args:
        stream: None: `sys.stderr`, as it is when a record comes.
        formatter: makes a line of a record.
    """

    def __init__(self, stream: Stream | None, formatter: logging.Formatter) -> None:
        super().__init__()
        self._stream = stream
        #: Records that could not be written, since the last one that could.
        self._lost = 0
        self._why = ""
        self.setFormatter(formatter)
        self.addFilter(ContextFilter())

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record."""
        try:
            # In one write: what others write to the stream does not come in between.
            self._write(f"{self._notice()}{self.format(record)}\n")
        except Exception as error:  # Foreign code: any object may be the stream. The program goes on.
            self._lost += 1
            self._why = type(error).__name__
        else:
            self._lost = 0

    def _notice(self) -> str:
        if not self._lost:
            return ""
        text = "the stream could not be written (%s): records before this one may be missing"
        notice = logging.LogRecord(OWN, logging.WARNING, __file__, 0, text, (self._why,), None)
        notice.lost = self._lost
        return f"{self.format(notice)}\n"

    def _write(self, text: str) -> None:
        stream: Stream | None = sys.stderr if self._stream is None else self._stream
        if stream is None:
            return  # It was closed, or there is none, as in a program with windows only.
        encoding = getattr(stream, "encoding", None)
        if encoding and not text.isascii():  # What the stream can't hold is escaped.
            text = text.encode(encoding, "backslashreplace").decode(encoding)
        stream.write(text)
        stream.flush()

    def flush(self) -> None:
        """Does nothing: each record is flushed."""


class Configured:
    """What `configure` has set up; `close`, or the end of a ``with`` block, undoes it.

    Such as::

        log = bunsui.logging.configure()
        ...
        log.close()
    """

    def __init__(self, logger: logging.Logger, handler: StreamHandler, levels: list[LevelSet]) -> None:
        self._logger = logger
        self._levels = levels
        self._is_open = True
        #: The handler that writes the records.
        self.handler = handler

    def close(self) -> None:
        """Takes the handler away and sets the levels back; the second time it does nothing."""
        with _changing:
            if self._is_open:
                self._is_open = False
                self._logger.removeHandler(self.handler)
                self.handler.close()
                for level in reversed(self._levels):
                    level.close()

    def __enter__(self) -> Configured:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self.close()


_configured: list[Configured] = []


def configure(
    level: LogLevel | int | str = LogLevel.INFO,
    *,
    format: Format = "json",  # noqa: A002 - as the configuration and the command line call it
    stream: Stream | None = None,
    logger: str = "bunsui",
    levels: Mapping[str, LogLevel | int | str] | None = None,
) -> Configured:
    """Has the log written to a stream, with one handler; called again, it replaces what it has set up before.

    It is for programs, not for libraries. Handlers of the program's own stay as they are, and so does what
    loggers hand on: where the root logger has a handler, a record is shown by both. Name ``root`` as the
    logger to have all records of the program from one handler.

    The handler writes on the thread that logs; that which drives the sessions logs, too. Where the stream may
    block for long, put a `logging.handlers.QueueHandler` before it.

    Such as::

        import sys

        log = bunsui.logging.StructuredLogger("orders")
        with bunsui.logging.configure("INFO", format="json", stream=sys.stderr):
            log.info("rows are loaded", rows=3)

    Args:
        level: records below it are left out.
        format: ``json``, lines of JSON as `json_schema` says, or ``text``, for people.
        stream: None: stderr.
        logger: whose records are written, with those of what is below it; ``root``: all.
        levels: other levels, by the whole names of loggers, such as ``{"bunsui.sessions": "WARNING"}``.

    Returns:
        What undoes it, by ``close()`` or as a ``with`` block.

    Raises:
        ConfigError: there is no such level or format; then nothing has changed.
    """
    made = FORMATS.get(format) if isinstance(format, str) else None
    if made is None:
        hint = did_you_mean(format, FORMATS) if isinstance(format, str) else None
        raise ConfigError(
            f"there is no format {quoted(format)}", hint=hint or f"the formats are {', '.join(FORMATS)}"
        )
    wanted = {logger_named(logger): level_number(level)}
    wanted |= {logger_named(name): level_number(given) for name, given in (levels or {}).items()}
    handler, owner = StreamHandler(stream, made()), logger_named(logger)
    with _changing:
        while _configured:
            _configured.pop().close()
        found = Configured(owner, handler, [LevelSet(one, number) for one, number in wanted.items()])
        owner.addHandler(handler)
        _configured.append(found)
    return found
