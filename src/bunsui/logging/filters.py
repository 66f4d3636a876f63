"""Which records are wanted, and which lines of a log can be ruled out without decoding them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import field, frozen

from bunsui.dsl.problems import did_you_mean, quoted
from bunsui.errors import ConfigError
from bunsui.logging.records import as_json_string
from bunsui.model.log import LEVELS, LogRecord
from bunsui.model.times import from_text, to_text

#: Where the time stands in a line.
TIME = slice(len('{"time":"'), len('{"time":"2013-01-31T17:00:00.000000Z'))
_AGO = re.compile(r"(\d{1,9})\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
#: What has a meaning of its own in a regular expression.
_SPECIAL = frozenset("\\.+*?()[]{}|^$")
_EXAMPLE = "such as '10m' (ago) or '2013-01-31T17:00:00Z'"


@frozen
class Filter:
    """Which records are wanted; see `make_filter`."""

    #: The number of the lowest level.
    level: int = 0
    #: The first time, and the first one that is too late; "" where there is none.
    since: str = ""
    until: str = ""
    #: A text, or a compiled expression of RE2 over bytes; None: any text.
    grep: Any = None
    #: Names with the texts that their values must have.
    fields: tuple[tuple[str, str], ...] = ()
    #: What a line has that is wanted, as bytes or as a compiled expression; None: any line may be.
    _sign: Any = field(default=None, alias="sign")

    @property
    def takes_all(self) -> bool:
        """Whether every record is wanted."""
        return self == Filter()

    def records(self, block: bytes) -> Iterator[bytes]:
        """The lines of a block that may be wanted, without their line breaks.

        Args:
            block: whole lines.
        """
        find = self._finder(block)
        at = 0
        while (hit := find(at)) >= 0:
            start = block.rfind(b"\n", at, hit) + 1 or at
            end = block.find(b"\n", hit)
            end = len(block) if end < 0 else end
            line = block[start:end]
            at = end + 1
            if line and self._in_time(line):
                yield line
            if at >= len(block):
                return

    def _finder(self, block: bytes) -> Any:
        sign = self._sign
        if sign is None:
            return lambda at: at if at < len(block) else -1
        if isinstance(sign, bytes):
            return lambda at: block.find(sign, at)

        def search(at: int) -> int:
            match = sign.search(block, at)
            return -1 if match is None else match.start()

        return search

    def _in_time(self, line: bytes) -> bool:
        if not (self.since or self.until) or not line.startswith(b'{"time":"'):
            return True
        time = line[TIME].decode("latin-1")
        return time >= self.since and (not self.until or time < self.until)

    def _is_in(self, text: str) -> bool:
        if isinstance(self.grep, str):
            return self.grep in text
        return self.grep.search(text.encode("utf-8", "backslashreplace")) is not None

    def takes(self, record: LogRecord) -> bool:
        """Whether a record is wanted."""
        if LEVELS[record.level] < self.level:
            return False
        if (self.since or self.until) and not (record.damaged and record.time.timestamp() == 0):
            time = to_text(record.time)
            if time < self.since or (self.until and time >= self.until):
                return False
        if self.grep is not None and not (
            self._is_in(record.message) or (record.exception is not None and self._is_in(record.exception))
        ):
            return False
        return not self.fields or all(_text_of(record, name) == value for name, value in self.fields)


def _text_of(record: LogRecord, name: str) -> str | None:
    """A field of a record as text, else what the record itself has under that name; None where it has not."""
    if name in record.fields:
        value = record.fields[name]
    elif name in {"job", "item", "attempt", "stream", "logger", "level"} and not record.damaged:
        value = getattr(record, name)
    else:
        return None
    if value is None and name not in record.fields:
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def make_filter(
    level: str | None,
    since: datetime | str | None,
    until: datetime | str | None,
    grep: str | None,
    fields: Mapping[str, str] | None,
    now: datetime,
) -> Filter:
    """The filter that somebody has asked for.

    Args:
        level: the lowest level.
        since: an aware time, or a text: RFC 3339, or how long ago, as ``10m``.
        until: likewise; what was logged before it.
        grep: an expression of RE2, looked for in messages and tracebacks.
        fields: what values must be, as text: a text as it is, all else as JSON.
        now: the time.

    Raises:
        ConfigError: one of them is wrong.
    """
    number = 0 if level is None else _level(level)
    wanted = tuple((str(name), str(value)) for name, value in (fields or {}).items())
    pattern = grep if grep is None or _is_literal(grep) else _compile(grep)
    return Filter(
        number,
        "" if since is None else _time("since", since, now),
        "" if until is None else _time("until", until, now),
        pattern,
        wanted,
        _sign(number, grep, wanted),
    )


def _level(text: str) -> int:
    number = LEVELS.get(str(text).upper())
    if number is None:
        known = ", ".join(LEVELS)
        near = did_you_mean(str(text).upper(), LEVELS)
        raise ConfigError(f"there is no level {quoted(text)}", hint=near or f"there are: {known}")
    return number


def _time(name: str, value: datetime | str, now: datetime) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ConfigError(f"{name} is {value}, a time without offset", hint="such as datetime.now(UTC)")
        return to_text(value.astimezone(UTC))
    if not isinstance(value, str):
        raise ConfigError(f"{name} is {quoted(value)}, which is no time", hint=_EXAMPLE)
    try:
        if (ago := _AGO.fullmatch(value.strip())) is not None:
            return to_text(now - timedelta(**{_UNITS[ago[2]]: int(ago[1])}))
        return to_text(from_text(value.strip()))
    except (ValueError, OverflowError):
        raise ConfigError(f"{name} is {quoted(value)}, which is no time", hint=_EXAMPLE) from None


def _compile(text: str, *, lines: bool = False) -> Any:
    import re2  # noqa: PLC0415 - where somebody looks for something

    options = re2.Options()
    options.log_errors = False
    options.never_nl = lines
    if not isinstance(text, str):
        raise ConfigError(f"grep is {quoted(text)}; it is a regular expression", hint="such as 'time.*out'")
    try:
        return re2.compile(text.encode(), options)
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0].decode("utf-8", "replace") if isinstance(error, re2.error) else "no UTF-8"
        raise ConfigError(
            f"grep is {quoted(text)}, which is no regular expression of RE2: {reason}",
            hint=r"such as 'time.*out', or '\[' for a bracket",
        ) from None


def _sign(level: int, grep: str | None, fields: tuple[tuple[str, str], ...]) -> Any:
    """What every line has that is wanted; see `Filter`. A line that has it need not be wanted."""
    if grep and _is_literal(grep):
        return as_json_string(grep)[1:-1].encode("utf-8", "backslashreplace")
    if grep and not _is_anchored(grep):
        # Tracebacks stand behind messages. A text that is written otherwise in JSON has a backslash there,
        # whatever the expression asks for, and a damaged line need not have a message.
        return _compile(rf'"message":".*(?:{grep})|\\|(?m:^[^{{])', lines=True)
    if fields:
        import re2  # noqa: PLC0415 - where somebody looks for something

        name, value = (as_json_string(text)[1:-1] for text in fields[0])
        return _compile(rf'"{re2.escape(name)}":"?{re2.escape(value)}', lines=True)
    if level > min(LEVELS.values()):
        names = "|".join(name for name, number in LEVELS.items() if number >= level)
        return _compile(f'"level":"(?:{names})"', lines=True)
    return None


def _is_literal(grep: str) -> bool:
    """Whether an expression stands for itself."""
    return isinstance(grep, str) and not _SPECIAL & set(grep)


def _is_anchored(grep: str) -> bool:
    """Whether an expression may say where a text begins or ends: in a line of JSON that is elsewhere."""
    return any(mark in grep.replace("[^", "") for mark in ("^", "$", r"\A", r"\z"))
