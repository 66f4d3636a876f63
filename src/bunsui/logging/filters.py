"""Which records are wanted, and which lines of a log can be ruled out without decoding them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import frozen

from bunsui.dsl.problems import did_you_mean, quoted
from bunsui.dsl.schema import UNITS
from bunsui.errors import ConfigError
from bunsui.logging import signs
from bunsui.logging.signs import Sign
from bunsui.model.log import LEVELS, LogRecord
from bunsui.model.times import from_text, to_text

#: The beginning of a line, and where its time stands.
_BEGINNING = re.compile(rb'\{"time":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)"')
#: The units of the language's durations, and weeks, in seconds.
_UNITS = UNITS | {"w": 7 * UNITS["d"]}
#: How long ago: what a duration of the language is, with other units, "0s" and a space in it, too.
_AGO = re.compile(rf"([0-9]{{1,9}}(?:\.[0-9]{{1,9}})?)\s*({'|'.join(_UNITS)})")
_EXAMPLE = "such as '10m' (ago) or '2013-01-31T17:00:00Z'"
#: What a record has itself that a field can ask for.
_OWN = frozenset({"job", "item", "attempt", "stream", "logger", "level"})


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
    #: What lines have that are wanted; the one that rules out most stands first.
    signs: tuple[Sign, ...] = ()

    @property
    def takes_all(self) -> bool:
        """Whether every record is wanted."""
        return self == Filter()

    def lines(self, block: bytes) -> Iterator[bytes]:
        """The lines of a block that may be wanted, without their line breaks; all those that `takes` takes.

        Args:
            block: whole lines.
        """
        find = self._finder(block)
        bounded = bool(self.since or self.until)
        checks = [sign.loose.search for sign in self.signs if sign.is_vague]
        at, size = 0, len(block)
        while at < size and (hit := find(at)) >= 0:
            start = block.rfind(b"\n", at, hit) + 1 or at
            end = block.find(b"\n", hit)
            end = size if end < 0 else end
            line = block[start:end]
            at = end + 1
            if line and (not bounded or self._in_time(line)) and all(check(line) for check in checks):
                yield line

    def _finder(self, block: bytes) -> Callable[[int], int]:
        for sign in self.signs:
            if sign.loose is not None:
                return sign.finder(block)
        return lambda at: at

    def _in_time(self, line: bytes) -> bool:
        begins = _BEGINNING.match(line)
        if begins is None:
            return True
        time = begins[1].decode("ascii")
        return time >= self.since and (not self.until or time < self.until)

    def takes(self, record: LogRecord, line: bytes) -> bool:
        """Whether a record is wanted.

        Args:
            record: what the line is decoded.
            line: tells of a damaged record whether all that is asked for stands in it, wherever that is.
        """
        if record.damaged:
            return self._in_time(line) and all(sign.exact.search(line) for sign in self.signs)
        if LEVELS[record.level] < self.level:
            return False
        if self.since or self.until:
            time = to_text(record.time)
            if time < self.since or (self.until and time >= self.until):
                return False
        if self.grep is not None and not (
            self._is_in(record.message) or (record.exception is not None and self._is_in(record.exception))
        ):
            return False
        return not self.fields or all(_text_of(record, name) == value for name, value in self.fields)

    def _is_in(self, text: str) -> bool:
        if isinstance(self.grep, str):
            return self.grep in text
        return self.grep.search(text.encode("utf-8", "backslashreplace")) is not None


def _text_of(record: LogRecord, name: str) -> str | None:
    """A field of a record as text, else what the record itself has under that name; None where it has not."""
    if name in record.fields:
        return _as_text(record.fields[name])
    value = getattr(record, name) if name in _OWN else None
    return None if value is None else _as_text(value)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def make_filter(
    level: str | None,
    since: datetime | str | None,
    until: datetime | str | None,
    grep: str | None,
    fields: Mapping[str, Any] | None,
    now: datetime,
) -> Filter:
    """The filter that somebody has asked for.

    Args:
        level: the lowest level.
        since: an aware time, or a text: RFC 3339, or how long ago, as ``10m``.
        until: likewise; what was logged before it.
        grep: an expression of RE2, looked for in messages and tracebacks.
        fields: what values must be: a text as it is, all else as JSON.
        now: the time.

    Raises:
        ConfigError: one of them is wrong.
    """
    number = 0 if level is None else _level(level)
    wanted = _fields(fields)
    found = [] if grep is None else [signs.of_text(grep)]
    found += [signs.of_field(name, value) for name, value in wanted]
    if number > min(LEVELS.values()):
        found.append(signs.of_levels([name for name, each in LEVELS.items() if each >= number]))
    begin = "" if since is None else _time("since", since, now)
    end = "" if until is None else _time("until", until, now)
    if begin and end and begin > end:
        raise ConfigError(
            f"since is {begin} and until is {end}, which is before it", hint="no record is of both; swap them"
        )
    return Filter(
        number,
        begin,
        end,
        grep if grep is None or signs.is_literal(grep) else signs.compile_grep(grep),
        wanted,
        tuple(found),
    )


def _fields(fields: Mapping[str, Any] | None) -> tuple[tuple[str, str], ...]:
    if fields is None:
        return ()
    if not isinstance(fields, Mapping) or not all(isinstance(name, str) and name for name in fields):
        raise ConfigError(
            f"fields is {quoted(fields)}; it is a mapping of names to values",
            hint="such as {'stream': 'stderr'}",
        )
    try:
        return tuple((name, _as_text(value)) for name, value in fields.items())
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"fields has a value that is no JSON: {error}", hint="such as 'stderr' or 3"
        ) from None


def _level(text: str) -> int:
    number = LEVELS.get(str(text).upper())
    if number is None:
        near = did_you_mean(str(text).upper(), LEVELS)
        raise ConfigError(f"there is no level {quoted(text)}", hint=near or f"there are: {', '.join(LEVELS)}")
    return number


def _time(name: str, value: datetime | str, now: datetime) -> str:
    try:
        if isinstance(value, datetime):
            if value.tzinfo is None:
                raise ConfigError(
                    f"{name} is {value}, a time without offset", hint="such as datetime.now(UTC)"
                )
            return to_text(value.astimezone(UTC))
        if (ago := _AGO.fullmatch(value.strip())) is not None:
            return to_text(now - timedelta(seconds=float(ago[1]) * _UNITS[ago[2]]))
        return to_text(from_text(value.strip()))
    except (AttributeError, ValueError, OverflowError):
        raise ConfigError(f"{name} is {quoted(value)}, which is no time", hint=_EXAMPLE) from None
