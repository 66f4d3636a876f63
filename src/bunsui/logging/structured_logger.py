"""`StructuredLogger`: a message and named values, as one record of `logging`."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final

from bunsui.dsl.problems import quoted
from bunsui.errors import ConfigError
from bunsui.logging.context import CONTEXT, ids, redactor
from bunsui.logging.levels import LogLevel, level_number
from bunsui.logging.plain import FIELDS, USUAL, redacted
from bunsui.logging.values import Fields, cut
from bunsui.model.text import text_of

#: The logger that all others of this library lie below.
ROOT: Final = "bunsui"
#: What `logging` takes to say which exception is meant.
_EXC_INFO = "exc_info"
#: Frames between who logs and `findCaller`: the method, `_write`, and `write`.
_DEPTH = 4


class StructuredLogger:
    """Logs messages with named values, by the `logging` of Python.

    A value may be anything: what is no JSON becomes text, and what is large is cut. No value makes a call
    fail. Where the level is not enabled, a call costs no more than asking that.

    Every record says which session, job, item and attempt it was logged in, and which trace of
    OpenTelemetry, as far as there is one. The values of secrets that the running job was given are masked.

    Such as::

        log = bunsui.logging.StructuredLogger("orders").bind(table="daily")
        log.info("rows are loaded", rows=3)
        log.warning("%s is left as it is", reason="messages are no formats")
        try:
            ...
        except OSError:
            log.exception("rows can't be loaded")

    Args:
        name: of the logger, which is ``bunsui.NAME``. A name that begins with ``bunsui`` stays as it is.

    Raises:
        ConfigError: the name is no text.
    """

    __slots__ = ("_context", "_logger")

    def __init__(self, name: str = ROOT) -> None:
        if not isinstance(name, str):
            raise ConfigError(
                f"the name of a logger is {quoted(name)}; it is a text", hint="such as 'orders'"
            )
        is_ours = name == ROOT or name.startswith(f"{ROOT}.")
        self._logger = logging.getLogger(name if is_ours else f"{ROOT}.{name}" if name else ROOT)
        self._context: Mapping[str, Any] = {}
        _add_null_handler()

    @property
    def name(self) -> str:
        """The whole name of the logger, such as ``bunsui.orders``."""
        return self._logger.name

    @property
    def context(self) -> dict[str, Any]:
        """The values that were bound, as JSON; a copy."""
        return dict(self._context)

    def __repr__(self) -> str:
        return f"StructuredLogger({self.name!r})"  # Without its values: who knows what they are.

    def is_enabled(self, level: LogLevel | int | str) -> bool:
        """Whether a record of a level is taken in: worth asking before a value is made that takes long.

        Such as::

            log = bunsui.logging.StructuredLogger("orders")
            if log.is_enabled("DEBUG"):
                log.debug("all rows", rows=sorted(range(100_000)))

        Raises:
            ConfigError: there is no such level.
        """
        return self._logger.isEnabledFor(level_number(level))

    def bind(self, /, **context: Any) -> StructuredLogger:
        """A logger of the same name whose records have these values, too; this one stays as it is.

        Values are taken as they are now. Of two with one name the later one counts, and that of a call most.
        """
        made = object.__new__(StructuredLogger)
        made._logger = self._logger
        made._context = {**self._context, **Fields(redactor()).of(context)}
        return made

    def log(self, level: LogLevel | int | str, message: str, /, **context: Any) -> None:
        """Logs a message with values.

        Level and message are given by position, so that a value may have any name, ``level`` and ``message``
        too: values are apart from what a record has itself.

        Such as::

            log = bunsui.logging.StructuredLogger("orders")
            log.log("INFO", "taken in", level="express", message="a value")
            try:
                raise OSError("the disk is full")
            except OSError as error:
                log.critical("orders are lost", exc_info=error)

        Args:
            level: a level, its name or its number.
            message: shown as it is; ``%s`` and ``{}`` have no meaning in it.
            context: the values. ``exc_info`` means what it does in `logging`: an exception, or True for the
                one that is handled; anything else of that name is a value as any other.

        Raises:
            ConfigError: there is no such level.
        """
        self._write(level_number(level), message, context)

    def debug(self, message: str, /, **context: Any) -> None:
        """Logs at ``DEBUG``; see `log`."""
        self._write(logging.DEBUG, message, context)

    def info(self, message: str, /, **context: Any) -> None:
        """Logs at ``INFO``; see `log`."""
        self._write(logging.INFO, message, context)

    def warning(self, message: str, /, **context: Any) -> None:
        """Logs at ``WARNING``; see `log`."""
        self._write(logging.WARNING, message, context)

    def error(self, message: str, /, **context: Any) -> None:
        """Logs at ``ERROR``; see `log`.

        Such as::

            bunsui.logging.StructuredLogger("orders").error("the order is refused", order=4711)
        """
        self._write(logging.ERROR, message, context)

    def critical(self, message: str, /, **context: Any) -> None:
        """Logs at ``CRITICAL``; see `log`."""
        self._write(logging.CRITICAL, message, context)

    def exception(self, message: str, /, **context: Any) -> None:
        """Logs at ``ERROR``, with the traceback of the exception that is handled; see `log`."""
        context.setdefault(_EXC_INFO, True)
        self._write(logging.ERROR, message, context)

    def _write(self, level: int, message: str, context: dict[str, Any]) -> None:
        if self._logger.isEnabledFor(level):
            write(self._logger, level, message, context, self._context)


def write(
    logger: logging.Logger,
    level: int,
    message: str,
    context: dict[str, Any],
    bound: Mapping[str, Any],
    depth: int = _DEPTH,
) -> None:
    """Makes a record and hands it to a logger's handlers; that it is enabled has been asked.

    Args:
        logger: its logger.
        level: its number.
        message: as it is.
        context: the values of this call.
        bound: others, which are JSON already.
        depth: how many calls lie between who logs and here, both counted.
    """
    error = _exc_info(context)
    redact = redactor()
    fields, shown = {**bound, **Fields(redact).of(context)}, text_of(message)
    if redact is not None:
        # What was bound outside the job may hold them, too.
        shown, fields = redact(shown), redacted(fields, redact)
    trace = None if redact is None or error is None else _masked(error, redact)
    file, line, function, _ = logger.findCaller(stacklevel=depth)
    record = logger.makeRecord(logger.name, level, file, line, cut(shown), (), error, function)
    if trace is not None:
        # The text in place of the exception: whoever has that has all that is in it.
        record.exc_info, record.exc_text = None, trace
    setattr(record, CONTEXT, ids())
    # As `extra` does it, so that any formatter finds them; but `extra` refuses what has the name of something
    # that the record has itself, such as `message`, or has from a factory of the program: that is kept apart.
    apart = {name: value for name, value in fields.items() if name in USUAL or hasattr(record, name)}
    vars(record).update((name, value) for name, value in fields.items() if name not in apart)
    if apart:
        setattr(record, FIELDS, apart)
    logger.handle(record)


def _exc_info(context: dict[str, Any]) -> Any:
    """Takes out of a call's values which exception is meant, as `logging` keeps it; None: none is."""
    given = context.get(_EXC_INFO)
    if given is None or given is True or given is False:
        context.pop(_EXC_INFO, None)
        handled = sys.exc_info()
        return handled if given and handled[0] is not None else None
    if isinstance(given, BaseException):
        del context[_EXC_INFO]
        return type(given), given, given.__traceback__
    if isinstance(given, tuple) and len(given) == 3 and isinstance(given[1], BaseException):
        del context[_EXC_INFO]
        return given
    return None


def _masked(error: Any, redact: Callable[[str], str]) -> str | None:
    """The traceback without the values of secrets; None: it shows none."""
    text = "".join(traceback.format_exception(*error)).removesuffix("\n")
    shown = redact(text)
    return None if shown == text else shown


def _add_null_handler() -> None:
    """Keeps `logging` from printing warnings to stderr where the program has said nothing about them.

    Here, and not when the package is imported: a Runner imports it too, and who only runs pipelines and has
    configured nothing should go on to see its warnings there. Who makes such a logger minds where logs go.
    """
    root = logging.getLogger(ROOT)
    if not any(isinstance(handler, logging.NullHandler) for handler in root.handlers):
        root.addHandler(logging.NullHandler())
