"""What a line of a log has when its record is wanted, so that most others need not be decoded."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from attrs import frozen

from bunsui.dsl.problems import quoted
from bunsui.errors import ConfigError
from bunsui.logging.records import as_json_string

#: What has a meaning of its own in a regular expression.
_SPECIAL = frozenset("\\.+*?()[]{}|^$")
#: Escapes of JSON for what `records` writes as it is: of surrogates, and any in JSON of other writers.
_ODD = r"\\(?:/|u[^0]|u0[^0]|u00[^01])"
#: A value that JSON can't write in more than one way, but for `_ODD`: a word, or a whole number.
_SIMPLE = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@-]*|\d+")


@frozen
class Sign:
    """What a line has that is wanted. One that has it need not be: that is seen when it is decoded."""

    #: An expression over bytes, which tells of a line that can't be decoded whether it is wanted.
    exact: Any
    #: What every line has that is wanted and can be decoded, or `exact` is found in; None: any line may be.
    loose: Any
    #: The bytes or the expression to look for first where there is nothing of `unless`, which is faster.
    tight: Any = None
    unless: str = _ODD
    #: Whether `tight` is also found in lines in which `loose` is not.
    is_vague: bool = False

    def finder(self, block: bytes) -> Callable[[int], int]:
        """A function that says where the next sign is in `block`, from a position on; -1: there is none."""
        tight = self.tight
        if tight is not None and compiled(self.unless).search(block) is not None:
            tight = None
        if isinstance(tight, bytes):
            return lambda at: block.find(tight, at)
        misleads = tight is None or (self.is_vague and self._misleads(tight, block))
        search = self.loose.search if misleads else tight.search

        def find(at: int) -> int:
            match = search(block, at)
            return -1 if match is None else match.start()

        return find

    def _misleads(self, tight: Any, block: bytes) -> bool:
        """Whether its first hit is none, as of an expression that fits to what all lines begin with."""
        match = tight.search(block)
        if match is None:
            return False
        start, end = block.rfind(b"\n", 0, match.start()) + 1, block.find(b"\n", match.start())
        return self.loose.search(block[start : end if end >= 0 else len(block)]) is None


def of_text(grep: str) -> Sign:
    """That of records in which an expression of RE2 is found.

    Raises:
        ConfigError: it is none.
    """
    own = compile_grep(grep)
    if is_literal(grep):
        text = _in_json(grep)
        pattern = _escaped(text)
        return Sign(compiled(pattern), _loose(pattern, grep), text)
    # In JSON, a text begins and ends elsewhere; an open \Q would take in what is put behind it.
    if any(mark in grep for mark in ("^", "$", r"\A", r"\z", r"\Q")):
        return Sign(own, None)
    # Tracebacks stand behind messages. A text that is written otherwise in JSON has a backslash there,
    # whatever the expression asks for. What is no record at all is looked through as it is.
    message, other = r'"message" ?: ?".*', rf"(?m:^)(?:[^{{].*)?(?:{grep})"
    return Sign(
        compiled(rf"{message}(?:{grep})|{other}"),
        compiled(rf"{message}(?:(?:{grep})|\\)|{other}"),
        compiled(grep),
        r"\\",
        is_vague=True,
    )


def is_literal(grep: str) -> bool:
    """Whether an expression stands for itself."""
    return not _SPECIAL & set(grep)


def of_field(name: str, value: str) -> Sign:
    """That of records with a value under a name, whether their own or one of their fields."""
    pattern = f'"{_escaped(_in_json(name))}" ?: ?'
    if _SIMPLE.fullmatch(value) and not (name == "level" and value == "INFO"):
        pattern += f'"?{value}'.replace(".", r"\.")
    return Sign(compiled(pattern), _loose(pattern, name), re.compile(pattern.encode()))


def of_levels(names: list[str]) -> Sign:
    """That of records of these levels."""
    pattern = f'"level" ?: ?"(?:{"|".join(names)})"'
    # A level that is not known is taken for INFO.
    loose = None if "INFO" in names else _loose(pattern, "")
    return Sign(compiled(pattern), loose, re.compile(pattern.encode()))


def _loose(pattern: str, text: str) -> Any:
    return None if _has_controls(text) else compiled(f"{pattern}|{_ODD}")


def _has_controls(text: str) -> bool:
    """Whether a text has characters for which JSON has more than one escape, none of them in `_ODD`."""
    return any(character < " " for character in text)


def _in_json(text: str) -> bytes:
    return as_json_string(text)[1:-1].encode("utf-8", "backslashreplace")


def _escaped(text: bytes) -> str:
    import re2  # noqa: PLC0415 - where somebody looks for something

    return re2.escape(text.decode("utf-8"))  # type: ignore[no-any-return]


@cache
def _options() -> Any:
    import re2  # noqa: PLC0415 - where somebody looks for something

    options = re2.Options()
    options.log_errors = False
    options.never_nl = True
    return options


@cache
def compiled(pattern: str) -> Any:
    """An expression over bytes that finds nothing beyond a line."""
    import re2  # noqa: PLC0415 - where somebody looks for something

    return re2.compile(pattern.encode(), _options())


def compile_grep(text: str) -> Any:
    """An expression of RE2 over bytes.

    Raises:
        ConfigError: it is none.
    """
    import re2  # noqa: PLC0415 - where somebody looks for something

    if not isinstance(text, str):
        raise ConfigError(f"grep is {quoted(text)}; it is a regular expression", hint="such as 'time.*out'")
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text.encode(), options)
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0].decode("utf-8", "replace") if isinstance(error, re2.error) else "no UTF-8"
        raise ConfigError(
            f"grep is {quoted(text)}, which is no regular expression of RE2: {reason}",
            hint=r"such as 'time.*out', or '\[' for a bracket",
        ) from None
