"""Prints the tree of a definition as YAML that is read the same as YAML 1.2 and as YAML 1.1.

PyYAML's emitter does the layout; how each text is written is decided here, more carefully than it
would, so that its C and its Python variant print the same.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml
from yaml.emitter import Emitter

from bunsui.dsl.parser import plain
from bunsui.dsl.problems import display_width

#: Columns that a list or mapping may take to be printed in one line.
_SHORT = 80
#: The mappings that are printed in one line if they are short, by their keys.
_FLOW_KEYS = frozenset({"retry", "cache"})
#: So that the emitter folds nothing.
_UNLIMITED = 2**31 - 1

# What must be written as an escape: what our parser refuses (see there), tabs, and all beyond the
# Basic Multilingual Plane, for which there are stand-ins.
_ESCAPED = re.compile("[^\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd]")
# Changes the order in which the characters around it are shown, and is not seen itself.
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# A plain text begins so: not with what begins numbers, dates or YAML's own signs.
_PLAIN_START = re.compile(r"(?:--?|\.{0,2}/|\$\{?)?[A-Za-z_\u00a1-\ufffd]")
_NEVER_IN_PLAIN = re.compile(r"\n|:(?: |$)| #")
_NEVER_IN_FLOW = re.compile(r"[\n,?:#\[\]{}]")
# What begins like text and is none, in YAML 1.2 or 1.1; in any mix of upper and lower case.
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
# A block literal begins with a character that shows its indentation, and holds nothing at the end of a
# line, or of the text, that an editor would strip.
_NOT_LITERAL = re.compile(r"\A[ \t\n]|[ \t](?:\n|\Z)|\n\n\Z")
# Emitters take longer keys for complex ones; libyaml reads no simple key beyond 1,024 characters.
_LONGEST_KEY = 128
_BREAKS = re.compile("[\n\r\x85\u2028\u2029]")


def to_yaml(tree: Mapping[str, Any]) -> str:
    """`tree` as YAML text in block style, with keys in its order; `parse` reads the same data back.

    So do readers of YAML 1.1: what either would take for another type is quoted. Equal data in equal
    order have equal texts; values that are shared are written out each time.

    Args:
        tree: what `Pipeline.to_dict` gives; tuples are written as lists.

    Raises:
        DefinitionError: it holds what no definition can, such as NaN or an object.
    """
    data = plain(tree).data
    stand_ins = _stand_ins(json.dumps(data, ensure_ascii=False))
    out = io.StringIO()
    emit = _emitter(out).emit
    emit(yaml.StreamStartEvent())
    emit(yaml.DocumentStartEvent(explicit=False))
    _Printer(emit, stand_ins).value(data)
    emit(yaml.DocumentEndEvent(explicit=False))
    emit(yaml.StreamEndEvent())
    text = out.getvalue()
    if not stand_ins:
        return text
    written = {ord(stand_in): char for char, stand_in in stand_ins.items()}
    return text.translate(written | {key: _escape(c) for key, c in written.items() if _BIDI.match(c)})


def _stand_ins(text: str) -> dict[str, str]:
    """What the emitter gets for characters of `text` that it would not write as we want them.

    libyaml escapes all beyond the Basic Multilingual Plane, also in names and emoji, and tabs; it
    does not escape bidi controls. The stand-ins are characters for private use that `text` does
    not hold; where it leaves too few, the rest is escaped.
    """
    if text.isascii():
        return {"\t": "\ue000"} if "\\t" in text else {}
    used = set(text)
    wanted = ["\t", *sorted(char for char in used if char > "\uffff" or _BIDI.match(char))]
    free = (char for char in map(chr, range(0xE000, 0xF900)) if char not in used)
    return dict(zip(wanted, free, strict=False))


def _escape(char: str) -> str:
    return f"\\u{ord(char):04X}"


def _emitter(out: io.StringIO) -> Any:
    if yaml.__with_libyaml__:
        return yaml.cyaml.CEmitter(out, allow_unicode=True, width=_UNLIMITED)  # type: ignore[attr-defined]
    return _PureEmitter(out, allow_unicode=True, width=_UNLIMITED)


class _PureEmitter(Emitter):
    """PyYAML's emitter in Python, with libyaml's idea of a key that fits into its line."""

    def check_simple_key(self) -> bool:
        key: str = self.event.value  # type: ignore[union-attr]  # Always a text.
        return len(key.encode()) <= _LONGEST_KEY and not _BREAKS.search(key)


class _Printer:
    """Turns plain data into the events of an emitter."""

    def __init__(self, emit: Callable[[yaml.Event], None], stand_ins: Mapping[str, str]) -> None:
        self._emit = emit
        self._tab = stand_ins.get("\t", "\t")
        self._table = {ord(char): stand_in for char, stand_in in stand_ins.items() if char != "\t"}
        #: The same few keys make up most of a definition.
        self._keys: dict[tuple[str, bool], yaml.Event] = {}

    def value(self, value: Any, key: str | None = None, *, flow: bool = False) -> None:
        """Emits `value`, which stands at `key` of a mapping, or within one line (`flow`)."""
        emit = self._emit
        if isinstance(value, dict):
            flow = flow or (key in _FLOW_KEYS and _is_short(value))
            emit(yaml.MappingStartEvent(None, None, implicit=True, flow_style=flow))
            for name, item in value.items():
                emit(self._key(name, flow))
                self.value(item, name, flow=flow)
            emit(yaml.MappingEndEvent())
        elif isinstance(value, list):
            flow = flow or (not any(map(_is_tall, value)) and _is_short(value))
            emit(yaml.SequenceStartEvent(None, None, implicit=True, flow_style=flow))
            for item in value:
                self.value(item, flow=flow)
            emit(yaml.SequenceEndEvent())
        elif isinstance(value, str):
            emit(self._text(value, flow=flow, literal=not flow))
        else:
            emit(yaml.ScalarEvent(None, None, (True, True), _atom(value)))

    def _key(self, name: str, flow: bool) -> yaml.Event:
        event = self._keys.get((name, flow))
        if event is None:
            event = self._keys[name, flow] = self._text(name, flow=flow, literal=False)
        return event

    def _text(self, text: str, *, flow: bool, literal: bool) -> yaml.Event:
        """The event of a text.

        Args:
            text: as it is in the data.
            flow: whether it stands within a list or mapping in one line.
            literal: whether it may take several lines.
        """
        shown = text.translate(self._table) if self._table and not text.isascii() else text
        style = None
        if _BIDI.search(text):
            style = '"'
        elif literal and "\n" in text and not _NOT_LITERAL.search(text):
            tall = shown.replace("\t", self._tab)
            style, shown = ('"', shown) if _ESCAPED.search(tall) else ("|", tall)
        elif "\n" in text or _ESCAPED.search(shown):
            style = '"'
        elif not _is_plain(shown, flow):
            # Single quotes only where double ones would need backslashes.
            style = "'" if '"' in text or "\\" in text else '"'
        return yaml.ScalarEvent(None, None, (True, True), shown, style=style)


def _is_plain(text: str, flow: bool) -> bool:
    """Whether `text` needs no quotes."""
    return (
        _PLAIN_START.match(text) is not None
        and not (_NEVER_IN_FLOW if flow else _NEVER_IN_PLAIN).search(text)
        and text.strip() == text
        and text.lower() not in _WORDS
    )


def _is_tall(value: Any) -> bool:
    """Whether `value` stands better in lines of its own."""
    return "\n" in value if isinstance(value, str) else isinstance(value, list | dict)


def _is_short(value: list[Any] | dict[str, Any]) -> bool:
    # An item takes at least two columns: long ones are not measured.
    return len(value) <= _SHORT // 2 and display_width(json.dumps(value, ensure_ascii=False)) <= _SHORT


def _atom(value: float | None) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    # YAML 1.1 wants a point in front of an exponent.
    return text.replace("e", ".0e") if "e" in text and "." not in text else text
