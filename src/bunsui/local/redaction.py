"""Finding the values of secrets in text, however they are written there."""

from __future__ import annotations

import binascii
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from attrs import frozen

from bunsui.local.finding import MASK, Edges, Finder, FinderStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Characters of the shortest line of a longer value that is looked for by itself, as in the log of a program
#: that prints a key line by line.
MIN_LINE = 16
#: Characters of the shortest value that is looked for inside other text.
MIN_VALUE = 4
#: Characters of the shortest piece of base64 that is looked for. Six carry 36 bits: in a megabyte of other
#: base64 they come up once in 70,000 times. Secrets of five bytes and more have such a piece wherever
#: they stand in what was encoded; one of four only where it was encoded by itself.
MIN_BASE64 = 6
#: What different encoders leave as it is in a URL: Python's `quote` and `quote_plus`, and JavaScript's
#: `encodeURIComponent` and `encodeURI`.
_URL_SAFE = ("/", "", "!'()*", ";/?:@&=+$,#!'()*")
#: What stands behind a backslash in YAML's double quotes, where it is not a number (YAML 1.2.2, 5.7).
_YAML = {
    "\0": "0",
    "\a": "a",
    "\b": "b",
    "\t": "t",
    "\n": "n",
    "\v": "v",
    "\f": "f",
    "\r": "r",
    "\x1b": "e",
    '"': '"',
    "\\": "\\",
    "\x85": "N",
    "\xa0": "_",
    "\u2028": "L",
    "\u2029": "P",
}
#: What PyYAML so writes: all that is not ASCII, or, with `allow_unicode`, what can't be shown and emoji.
_YAML_ESCAPED = (
    re.compile(r'[^ -~]|["\\]'),
    re.compile(r'[^ -~\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd]|["\\\u2028\u2029]'),
)


@frozen(repr=False)
class _Form:
    """One way in which a value may be written."""

    text: str
    #: `text` as it stands within a string of compact ASCII JSON.
    escaped: str
    #: Whether the character of base64 before it, or behind it, holds some bits of the value too.
    before: bool = False
    behind: bool = False


class Redactor:
    """Knows the values of some secrets, and finds them in text.

    A value is found as it is, in JSON, YAML, CSV, SQL and a URL, as Python's `repr`, in quotes of a shell, in
    hexadecimal digits and in base64, also inside a longer encoded text. One of fewer than `MIN_VALUE`
    characters is found only where a whole text equals it. It is true where it knows any value, never changes,
    and shows none in its repr.

    Args:
        values: the secrets; empty ones are ignored.
    """

    __slots__ = ("_finder", "_forms", "_short", "_values")

    def __init__(self, values: Iterable[str]) -> None:
        # Whoever reads a secret from a file often strips it.
        self._values = frozenset(text for value in values for text in (value, value.strip()) if text)
        self._short = frozenset(value for value in self._values if len(value) < MIN_VALUE)
        self._forms = tuple(form for value in self._values - self._short for form in _forms(value))
        #: Made when it is first needed.
        self._finder: Finder | None = None

    def __bool__(self) -> bool:
        return bool(self._values)

    def __repr__(self) -> str:
        return f"Redactor({MASK})"

    def redact(self, text: str) -> str:
        """`text` with `MASK` in place of each value."""
        if text in self._short:
            return MASK
        if not self._forms or not text:
            return text
        data = text.encode("utf-8", "surrogatepass")
        masked = self._find().mask(data)
        if masked is data:
            return text
        try:
            return masked.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:  # A value that is not UTF-8 stood across two characters.
            return masked.decode("utf-8", "replace")

    def stream(self) -> FinderStream | None:
        """Masks the values in the output of a process, which comes in pieces; None where nothing can.

        Values of fewer than `MIN_VALUE` characters are not for it: see `redact`, for a whole line.
        """
        return FinderStream(self._find()) if self._forms else None

    def is_short(self, line: str) -> bool:
        """Whether a text equals a value that is too short to be looked for inside other text."""
        return line in self._short

    def _find(self) -> Finder:
        if self._finder is None:
            self._finder = Finder(_in_bytes(self._forms, self._values - self._short))
        return self._finder

    def found_in(self, json_text: str) -> bool:
        """Whether a string, a key or a number of a JSON document holds a value.

        A number holds it only where it is the whole number, as with all of fewer than `MIN_VALUE` characters.

        Args:
            json_text: compact ASCII JSON, as `bunsui.model.json.Json` has it.
        """
        # Most documents hold none, which is known without decoding them. What is found in the text itself may
        # be something else: ``\name`` is a line break and ``ame``, and 123456 is not the number 1234.
        suspects = [form.text for form in self._forms if form.escaped in json_text]
        if not suspects and not any(_escaped(value) in json_text for value in self._short):
            return False
        for leaf in _leaves(json_text):
            if isinstance(leaf, _Number):
                # A whole number may be written with a point: what a text says of 1234.0 is 1234.
                if leaf in self._values or leaf.removesuffix(".0") in self._values:
                    return True
            elif leaf in self._short or any(suspect in leaf for suspect in suspects):
                return True
        return False


class _Number(str):
    """The text of a number."""

    __slots__ = ()


def _leaves(json_text: str) -> Iterator[str]:
    """The strings, keys and numbers of a JSON document."""
    pending: list[Any] = [
        json.loads(json_text, parse_int=_Number, parse_float=_Number, object_pairs_hook=list)
    ]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, list | tuple):
            pending.extend(value)


def _in_bytes(forms: Iterable[_Form], values: Iterable[str]) -> dict[bytes, Edges]:
    """The forms as they stand in UTF-8, and the lines of values that have several."""
    found: dict[bytes, Edges] = {}
    for form in forms:
        # A variable of the environment that is not UTF-8 is written as it is by a process, and as text here.
        for content in (form.text.encode("utf-8", "surrogatepass"), _bytes(form.text)):
            known = found.get(content, Edges())
            found[content] = Edges(known.before or form.before, known.behind or form.behind)
    for value in values:
        lines = value.splitlines()
        if len(lines) > 1:
            for text in (
                "\r\n".join(lines),
                *(line for line in map(str.strip, lines) if len(line) >= MIN_LINE),
            ):
                found.setdefault(_bytes(text), Edges())
    return found


def _forms(value: str) -> Iterator[_Form]:
    """The ways in which `value`, of at least `MIN_VALUE` characters, may be written."""
    content = _bytes(value)
    # By text, which is the same in most ways for most values.
    found: dict[str, _Form] = {}

    def add(text: str, before: bool = False, behind: bool = False) -> None:
        for written in _written(text):
            known = found.get(written)
            found[written] = _Form(
                written,
                _escaped(written),
                before or (known is not None and known.before),
                behind or (known is not None and known.behind),
            )

    add(value)
    found.update((text, _Form(text, text)) for text in (content.hex(), content.hex().upper()))
    for text, before, behind in _in_base64(content):
        add(text, before, behind)
        add(text.replace("+", "-").replace("/", "_"), before, behind)
    return iter(found.values())


def _bytes(value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:
        try:
            # A variable of the environment that is not UTF-8.
            return value.encode(errors="surrogateescape")
        except UnicodeEncodeError:
            return value.encode(errors="surrogatepass")


def _in_base64(content: bytes) -> Iterator[tuple[str, bool, bool]]:
    """The base64 of `content`, and what is the same in the base64 of all that holds `content`.

    A character of base64 has 6 bits. With one or two other bytes before `content` (modulo 3), its first
    bits share a character with theirs, and its last ones may share one with what follows::

        bytes        xxxxxxxx 00000000 11111111 ...
        characters   aaaaaabb bbbbcccc ccdddddd      the first character with nothing of x is c
    """
    alone = _base64(content).rstrip("=")
    if len(alone) >= MIN_BASE64:
        yield alone, False, False
    for others in range(3):
        start = -(-others * 8 // 6)
        end, shared = divmod((others + len(content)) * 8, 6)
        piece = _base64(b"\0" * others + content)[start:end]
        if len(piece) >= MIN_BASE64:
            yield piece, others > 0, shared > 0


def _base64(content: bytes) -> str:
    return binascii.b2a_base64(content, newline=False).decode()


def _written(text: str) -> set[str]:
    """`text` as it is, and as it stands in what programs write."""
    found = {text, *_in_json(text), *_in_url(text), *_in_yaml(text), *_in_quotes(text)}
    # JSON as well: so Python shows the variable of the environment that has all of a job's parameters.
    return found.union(*(_in_repr(each) for each in (text, *_as_json(text))))


def _in_json(text: str) -> set[str]:
    once = _as_json(text)
    found = once.union(*map(_as_json, once))  # JSON may stand in a text of JSON.
    # For HTML, as Go and others do.
    found |= {each.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026") for each in once}
    found |= {each.replace("/", r"\/") for each in found}
    return found | {re.sub(r"\\u[0-9a-f]{4}", _upper, each) for each in found}


def _as_json(text: str) -> set[str]:
    return {_escaped(text), json.dumps(text, ensure_ascii=False)[1:-1]}


def _escaped(text: str) -> str:
    return json.dumps(text)[1:-1]


def _upper(escape: re.Match[str]) -> str:
    return escape[0][:2] + escape[0][2:].upper()


def _in_url(text: str) -> set[str]:
    found = {quote(_bytes(text), safe) for safe in _URL_SAFE}
    found |= {each.replace("%20", "+") for each in found}
    return found | {re.sub("%[0-9A-F]{2}", lambda escape: escape[0].lower(), each) for each in found}


def _in_repr(text: str) -> set[str]:
    content = _bytes(text)
    found = {repr(text)[1:-1], ascii(text)[1:-1], repr(content)[2:-1]}
    # Within a text that has both quotes, one of them is escaped.
    both = "'\""
    return found | {repr(both + text)[4:-1], ascii(both + text)[4:-1], repr(both.encode() + content)[5:-1]}


def _in_yaml(text: str) -> set[str]:
    return {special.sub(_yaml_escape, text) for special in _YAML_ESCAPED}


def _yaml_escape(character: re.Match[str]) -> str:
    found = character[0]
    if found in _YAML:
        return f"\\{_YAML[found]}"
    number = ord(found)
    return (
        f"\\x{number:02X}"
        if number < 0x100
        else f"\\u{number:04X}" if number < 0x10000 else f"\\U{number:08X}"
    )


def _in_quotes(text: str) -> set[str]:
    """Within quotes: doubled, as in CSV and SQL, also of JSON, and as a shell has them."""
    found = {each.replace(quotes, quotes * 2) for each in (text, *_as_json(text)) for quotes in "'\""}
    # As `shlex.quote` and dash write it, and as bash does.
    return found | {text.replace("'", quotes) for quotes in ("'\"'\"'", "'\\''")}
