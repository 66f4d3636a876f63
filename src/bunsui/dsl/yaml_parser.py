"""YAML 1.2, core schema, from the events of libyaml.

Following events instead of composing nodes needs no recursion (libyaml's composer crashes on deep
nesting), lets each limit stop the parsing at once, and takes a fraction of the time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import yaml
from attrs import define, field

from bunsui.dsl.document import Document, Source
from bunsui.dsl.hints.yaml_slips import explain_syntax, tag_hint
from bunsui.dsl.problems import quoted
from bunsui.dsl.tree import BadNumber, Builder, Shared, encodable, integer, real
from bunsui.errors import DefinitionError

_CORE = "tag:yaml.org,2002:"
_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# What a plain scalar that is not text can begin with; "" is a part of any text, so of this one.
_NOT_TEXT = "~nNtTfF+-.0123456789"
_INTEGER = re.compile("[-+]?[0-9]+")
_BASED = re.compile("0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
# YAML 1.2 allows four of these. But libyaml reads YAML 1.1: it folds NEL, U+2028 and U+2029 into
# spaces as line breaks and drops a byte order mark in the middle; text would change silently.
_REFUSED = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
# What newer versions of libyaml say, at a depth of a thousand or so that they see before we do.
_TOO_DEEP = "exceeded maximum nesting depth"
# libyaml compares each %TAG directive with all before it: a megabyte of them takes seconds.
_MAX_DIRECTIVES = 1000
# Each is kept up to the end: a million would take 200 MB.
_MAX_ANCHORS = 10_000
# Longest plain scalar that is remembered with what it stands for; no number of 64 bits needs more.
_REMEMBERED = 24


def _resolve(text: str) -> Any:
    """What a plain scalar stands for in the core schema (YAML 1.2.2, 10.3.2), or BadNumber."""
    constant = _CONSTANTS.get(text, text)
    if constant is not text:
        return constant
    if _INTEGER.fullmatch(text):
        return integer(text)
    if _FLOAT.fullmatch(text):
        return real(text)
    if _BASED.fullmatch(text):
        return integer(text[2:], 8 if text[1] == "o" else 16)
    if _NOT_FINITE.fullmatch(text):
        raise BadNumber(f"{text}: infinity and NaN are not allowed")
    return text


_remembered = lru_cache(maxsize=4096)(_resolve)


def parse_yaml(source: Source) -> Document:
    """The data of a YAML text; DefinitionError with its problems if there are any."""
    if refused := _REFUSED.search(source.text):
        char = refused.group()
        message = f"character U+{ord(char):04X} can't stand in YAML text"
        hint = f'remove it, or write it as "{_escape(char)}", in double quotes'
        raise DefinitionError([source.problem("bad-character", message, *refused.span(), hint=hint)])
    if source.text.count("\n%") > _MAX_DIRECTIVES:
        message = f"more than {_MAX_DIRECTIVES:,} lines begin with '%'"
        hint = "a definition needs no directives"
        raise DefinitionError([source.problem("too-many-directives", message, 0, 1, hint=hint)])
    builder = Builder(source)
    reader = _Events(builder)
    try:
        _read(reader, _events(source.text))
    except yaml.MarkedYAMLError as error:
        _syntax(builder, error)
    if not reader.documents or reader.empty:
        hint = "a definition is a mapping with version, name and jobs"
        builder.fail("empty-document", "the text holds no data", 0, 0, hint=hint)
    return Document(builder.finish(), source.text, source.file, builder.places)


def _read(reader: _Events, events: Iterator[yaml.Event]) -> None:
    """Hands each event to what reads it. There may be two million: each step here is a second in all."""
    scalar, close = reader.scalar, reader.builder.close
    scalar_, sequence_end, mapping_end = yaml.ScalarEvent, yaml.SequenceEndEvent, yaml.MappingEndEvent
    rest: dict[type, Callable[[Any], None]] = {
        yaml.MappingStartEvent: reader.mapping,
        yaml.SequenceStartEvent: reader.sequence,
        yaml.AliasEvent: reader.alias,
        yaml.DocumentStartEvent: reader.document,
    }
    for event in events:
        kind = type(event)
        if kind is scalar_:
            scalar(event)
        elif kind is sequence_end or kind is mapping_end:
            close()
        elif read := rest.get(kind):
            read(event)


def _escape(char: str) -> str:
    return f"\\x{ord(char):02x}" if ord(char) < 256 else f"\\u{ord(char):04x}"


def _events(text: str) -> Iterator[yaml.Event]:
    if yaml.__with_libyaml__:
        # The parser alone: the loaders made of it add resolvers and constructors.
        return iter(yaml.cyaml.CParser(text).get_event, None)  # type: ignore[attr-defined]
    return _pure_events(text)


def _pure_events(text: str) -> Iterator[yaml.Event]:
    loader = yaml.SafeLoader(text)
    try:
        yield from iter(loader.get_event, None)
    except (ValueError, OverflowError) as error:
        # The Python scanner hands numbers in escapes and directives to chr() and int() unchecked.
        raise yaml.MarkedYAMLError(problem=str(error), problem_mark=loader.get_mark()) from error


@define(eq=False)
class _Events:
    """Turns the events of a YAML parser into calls of a builder."""

    builder: Builder
    anchors: dict[str, Shared] = field(factory=dict)
    documents: int = 0
    #: Whether the whole document is an empty plain scalar.
    empty: bool = False

    def document(self, event: Any) -> None:
        self.documents += 1
        if self.documents > 1:
            at, end = event.start_mark.index, event.end_mark.index
            hint = "a definition is one document: use a file for each"
            self.builder.fail("second-document", "a second document begins here", at, end, hint=hint)

    def scalar(self, event: Any) -> None:
        text = value = event.value
        start, end = event.start_mark.index, event.end_mark.index
        if event.tag is not None:
            value = self._tagged(event, start, end)
        elif text[:1] in _NOT_TEXT and event.implicit[0]:
            value = self._number(text, start, end)
            self.empty = not self.builder.stack and not text
        elif text == "<<" and event.implicit[0]:
            self._merge(start, end)
        elif not encodable(text):
            self._surrogate(start, end)
        if event.anchor is not None:
            self._anchor(event, Shared(value, nodes=1, size=end - start))
        self.builder.leaf(value, start, end)

    def mapping(self, event: Any) -> None:
        if event.tag is None and event.anchor is None:
            self.builder.open({}, event.start_mark.index)
        else:
            self._open({}, event)

    def sequence(self, event: Any) -> None:
        if event.tag is None and event.anchor is None:
            self.builder.open([], event.start_mark.index)
        else:
            self._open([], event)

    def alias(self, event: Any) -> None:
        start, end = event.start_mark.index, event.end_mark.index
        shared = self.anchors.get(event.anchor)
        if shared is None:
            message = f"the alias {quoted('*' + event.anchor)} has no anchor before it"
            hint = "quote text that begins with '*'"
            self.builder.problem("unknown-alias", message, start, end, hint=hint)
            self.builder.leaf("", start, end)
        else:
            self.builder.again(shared, start, end)

    def _open(self, container: dict[str, Any] | list[Any], event: Any) -> None:
        start = event.start_mark.index
        core = _CORE + ("map" if isinstance(container, dict) else "seq")
        if event.tag is not None and event.tag not in {"!", core}:
            self._bad_tag(event, start, event.end_mark.index)
        shared = None
        if event.anchor is not None:
            shared = Shared()
            self._anchor(event, shared)
        self.builder.open(container, start, shared)

    def _anchor(self, event: Any, shared: Shared) -> None:
        self.anchors[event.anchor] = shared
        if len(self.anchors) > _MAX_ANCHORS:
            message = f"more than {_MAX_ANCHORS:,} anchors"
            start, end = event.start_mark.index, event.end_mark.index
            self.builder.fail("too-many-nodes", message, start, end, hint="split the definition")

    def _number(self, text: str, start: int, end: int) -> Any:
        try:
            return _remembered(text) if len(text) <= _REMEMBERED else _resolve(text)
        except BadNumber as bad:
            self.builder.problem("bad-number", str(bad), start, end, hint="write it as text, in quotes")
            return text

    def _tagged(self, event: Any, start: int, end: int) -> Any:
        tag, text = event.tag, event.value
        if tag in {"!", _CORE + "str"}:
            return text
        known = len(self.builder.problems)
        value = self._number(text, start, end)
        if len(self.builder.problems) > known:
            return value
        if tag == _CORE + "float" and type(value) is int:
            return float(value)
        found = "null" if value is None else type(value).__name__
        if tag != _CORE + found:
            self._bad_tag(event, start, end)
        return value

    def _bad_tag(self, event: Any, start: int, end: int) -> None:
        tag = event.tag
        if tag.startswith(_CORE):
            tag = "!!" + tag.removeprefix(_CORE)
        if tag in {"!!str", "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq"}:
            message = f"the value is not what its tag {tag} says"
            self.builder.problem("bad-tag", message, start, end, hint="remove the tag")
        else:
            message = f"the tag {quoted(tag)} is not known"
            self.builder.problem("unknown-tag", message, start, end, hint=tag_hint(tag))

    def _merge(self, start: int, end: int) -> None:
        if isinstance(self.builder.container, dict) and self.builder.key is None:
            hint = "use templates or defaults, or write the fields out"
            self.builder.problem("merge-key", "merge keys are not a part of YAML 1.2", start, end, hint=hint)

    def _surrogate(self, start: int, end: int) -> None:
        hint = "write the character itself"
        message = "the text holds an unpaired surrogate"
        self.builder.problem("bad-encoding", message, start, end, hint=hint)


def _syntax(builder: Builder, error: yaml.MarkedYAMLError) -> None:
    """Raises what the parser has to say, as far as can be told what it means."""
    if error.problem == _TOO_DEEP and error.problem_mark is not None:
        builder.too_deep(error.problem_mark.index, error.problem_mark.index + 1)
    slip = explain_syntax(builder.source.text, error)
    builder.fail("syntax", slip.message, slip.start, slip.end, hint=slip.hint)
