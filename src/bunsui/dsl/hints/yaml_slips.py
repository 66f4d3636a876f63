"""What a YAML parser's complaint most likely means, at the place where it went wrong.

libyaml says where it could not go on, which is often a line behind the slip, and names its own grammar. All
that is looked at here are a few lines around that place: a text may be long.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from attrs import frozen

from bunsui.dsl.problems import quoted
from bunsui.expressions.conditions import BadCondition, parse_condition

__all__ = ["Slip", "explain_syntax", "tag_hint"]

#: Lines longer than this, in characters, are not looked into.
_LONGEST = 1000
#: Longest text that a hint repeats, in characters.
_REPEATED = 80
#: Most lines that are looked through for the one before.
_MOST_LINES = 1000
_FIELD = re.compile(
    r"(?P<indent>[ ]*(?:-[ ]+)*)(?P<key>\w[\w.-]*|\"[^\"]*\"|'[^']*')[ ]*:(?:[ ]+(?P<value>\S.*))?"
)
_WORD = re.compile(r"[\w./-]+")
_VALUE = re.compile(r"[^,\]}#\n]*[^,\]}#\n ]")
_QUOTED = re.compile(r"""(?<=[\[{,:\s])(?:"(?:[^"\\]|\\.)*"|'[^']*'|["'])""")
_QUOTED_REFERENCE = re.compile(r"""(["'])(\$\{[^"'{}]*\})\1""")
_NO_BREAK = re.compile("[ ]*\u00a0")
_REFERENCE = re.compile(r"[^\s,{}\[\]]*\$\{[^}\n]*\}[^\s,{}\[\]]*")


@frozen
class Slip:
    """What is wrong with a text that is no YAML."""

    message: str
    #: Offsets of what is underlined.
    start: int
    end: int
    hint: str | None = None


def explain_syntax(text: str, error: Any) -> Slip:
    """What an error of a YAML parser (`yaml.MarkedYAMLError`) means."""
    mark = error.problem_mark or error.context_mark
    at = min(mark.index, len(text)) if mark else 0
    begin = min(error.context_mark.index, len(text)) if error.context_mark else None
    problem, context = str(error.problem or ""), str(error.context or "")
    short = at - text.rfind("\n", 0, at) <= _LONGEST
    if short and (slip := _no_break(text, at)) is not None:
        return slip
    for part, explain in _KNOWN:
        if short and (part in problem or part in context):
            slip = explain(text, at, begin)
            if slip is not None:
                return slip
    message = (problem or context).replace("\n", " ")
    if problem and context:
        where = f" that starts on line {error.context_mark.line + 1}" if begin is not None else ""
        same = mark is None or error.context_mark is None or mark.line == error.context_mark.line
        message = f"{context}{'' if same else where}: {message}"
    hint = "write the character itself" if "Unicode character escape" in message else None
    return Slip(message, at, at + 1, hint)


def tag_hint(tag: str) -> str:
    """What to do about a text that begins with '!', and so is a tag of YAML."""
    if found := re.fullmatch(r"!((?:succeeded|failed)\([\w-]{1,64}\))", tag):
        return f"write not {found[1]}"
    return "remove it, or quote the value; a reference is written ${name}"


def _no_break(text: str, at: int) -> Slip | None:
    """A no-break space that indents the line at `at`, or the one before it."""
    here = _line(text, at)
    for first, line in filter(None, (here, _before(text, here[0]))):
        if found := _NO_BREAK.match(line):
            message = "a no-break space (U+00A0) can't indent"
            return Slip(message, first + found.end() - 1, first + found.end(), "indent with plain spaces")
    return None


# The slips: each gets the text, where the parser stopped, and where the thing began that it was reading


def _no_token(text: str, at: int, _: int | None) -> Slip | None:
    char = text[at : at + 1]
    if char == "\t":
        return _tab(text, at, None)
    if char == "%" and text[at - 1 : at] == "{":
        hint = "there is no templating of text; use for_each, or templates"
        return Slip("'{%' can't stand here", at - 1, at + 1, hint)
    value = _value(text, at)
    return Slip(f"a text can't begin with '{char}'", at, at + len(value), _quote(value))


def _tab(_: str, at: int, __: int | None) -> Slip:
    return Slip("a tab can't indent", at, at + 1, "indent with spaces, not tabs")


def _alias(text: str, at: int, begin: int | None) -> Slip | None:
    start = at if begin is None else begin
    value = _value(text, start)
    message = f"a text can't begin with '{text[start : start + 1]}'"
    return Slip(message, start, start + len(value), _quote(value)) if value[:1] in "*&" else None


def _colon(text: str, at: int, _: int | None) -> Slip | None:
    """A ': ' within a text, or behind a line that ought to be a field and became the text before this one."""
    first, line = _line(text, at)
    key = line[: at - first].strip()
    before = _before(text, first)
    if before is not None and _WORD.fullmatch(key):
        indent = len(line) - len(line.lstrip(" "))
        start, above = before
        field = _FIELD.fullmatch(above)
        if field is None:
            return _no_key(text, start, start)
        if field["value"] is not None and indent > len(field["indent"]):
            message = f"{quoted(key)} is indented more than {quoted(field['key'])}, which has a value already"
            hint = f"indent it by {_spaces(len(field['indent']))}, as {quoted(field['key'])} is"
            return Slip(message, first + indent, at, hint)
    field = _FIELD.fullmatch(line.rstrip())
    if field is None or field["value"] is None:
        return Slip("a ':' can't stand here", at, at + 1, "quote text that holds ': '")
    return Slip("a text that holds ': ' must stand in quotes", at, at + 1, _quote(field["value"]))


def _no_key(text: str, _: int, begin: int | None) -> Slip | None:
    """A line that is neither a field nor an item."""
    if begin is None:
        return None
    first, line = _line(text, begin)
    bare = line.strip()
    if not bare or begin - first > len(line):
        return None
    start = first + len(line) - len(line.lstrip())
    item = re.fullmatch(r"-(\S+:.*)", bare)
    joined = re.fullmatch(r"(?:- +)?([\w.-]+):(\S.*)", bare)
    apart = re.fullmatch(r"(?:- +)?([\w.-]+) +(\S.*)", bare)
    hint = "write 'name: value'"
    if item is not None:
        hint = f"put a space behind the '-': - {item[1]}"
    elif ":\u00a0" in bare:
        hint = "put a plain space behind the ':', not a no-break space (U+00A0)"
    elif joined is not None:
        hint = f"put a space behind the ':': {joined[1]}: {joined[2]}"
    elif apart is not None and len(bare) <= _REPEATED:
        hint = f"put a ':' behind the name: {apart[1]}: {apart[2].removeprefix('= ')}"
    return Slip(
        f"{quoted(bare)} is neither 'name: value' nor an item of a list", start, start + len(bare), hint
    )


def _dash(text: str, at: int, __: int | None) -> Slip:
    _, line = _line(text, at)
    field = _FIELD.fullmatch(line.rstrip())
    hint = "begin the list on the next line"
    if field is not None and (field["value"] or "").startswith("- "):
        hint = f"write {field['key']}: [{field['value'][2:].strip()}], or begin the list on the next line"
    return Slip("a list with '-' can't begin on the line of its field", at, at + 1, hint)


def _quote_unclosed(text: str, _: int, begin: int | None) -> Slip | None:
    if begin is None:
        return None
    char = text[begin]
    return Slip("this quote is never closed", begin, begin + 1, f"put {char} behind the text")


def _flow(text: str, at: int, begin: int | None) -> Slip | None:
    """Something inside ``[...]`` or ``{...}``."""
    if begin is None:
        return None
    opening = text[begin]
    closing = "]" if opening == "[" else "}"
    first, line = _line(text, at)
    if (slip := _opened_in(text, begin, at)) is not None:
        return slip
    for found in _REFERENCE.finditer(line):
        if found.start() <= at - first <= found.end():
            message = f"inside {opening}...{closing} a reference must stand in quotes"
            return Slip(message, first + found.start(), first + found.end(), f'write "{found.group()}"')
    if begin < first:
        message = f"this '{opening}' is not closed"
        return Slip(message, begin, begin + 1, f"put '{closing}' behind the last item")
    message = f"',' or '{closing}' is missing before this, in the '{opening}' of column {begin - first + 1}"
    return Slip(message, at, at + 1, "separate items with ','; quote a text that holds one of , : [ ] { }")


def _opened_in(text: str, begin: int, at: int) -> Slip | None:
    """A quote on the line of `begin` that is closed on a later line, just before `at`."""
    first, line = _line(text, begin)
    for found in _QUOTED.finditer(line, begin - first):
        char = found.group()
        if len(char) == 1 and len(line) < _LONGEST and first + len(line) < at:
            return _closed_late(text, first + found.start(), at) if text[at - 1] == char else None
    return None


def _closed_late(text: str, start: int, at: int) -> Slip:
    message = f"this quote is closed only on line {text.count(chr(10), 0, at) + 1}"
    return Slip(message, start, start + 1, f"put {text[start]} behind the text that it opens")


def _no_field(text: str, at: int, _: int | None) -> Slip | None:
    """A line whose indentation fits nothing above it, or something behind a value."""
    first, line = _line(text, at)
    indent = at - first
    if line[:indent].strip():
        return _behind(text, at)
    is_item = line[indent : indent + 2].rstrip() == "-"
    fields, items = _open_columns(text, first)
    fits, others = (items, fields) if is_item else (fields, items)
    end = first + len(line.rstrip())
    if indent in others:
        if is_item:
            hint = "put the list below a field of its own"
            return Slip("an item of a list can't stand between fields", at, end, hint)
        hint = "begin it with '- ', or indent it as its item is"
        return Slip("a field can't stand between the items of a list", at, end, hint)
    message = f"this line is indented by {_spaces(indent)}, which fits nothing above it"
    if not fits:
        return Slip(message, at, end, "check its indentation")
    column = min(fits, key=lambda one: abs(one - indent))
    return Slip(message, at, end, f"indent it by {_spaces(column)}, as {quoted(fits[column])} is")


def _behind(text: str, at: int) -> Slip | None:
    """Something behind a value on the same line."""
    first, line = _line(text, at)
    before = line[: at - first].rstrip()
    char = before[-1:]
    if char in ("'", '"'):
        if before.count(char) % 2 and (start := _opened_above(text, first, char)) is not None:
            return _closed_late(text, start, at)
        field = _FIELD.fullmatch(line.rstrip())
        hint = "put the quotes around the whole text"
        inner = (field["value"] or "")[1:-1] if field is not None else ""
        other = "'" if char == '"' else '"'
        condition = _condition(field["value"]) if field is not None and field["key"] == "condition" else None
        if condition is not None:
            hint = f"put it in other quotes: {condition}"
        elif char in inner and other not in inner and text[at] != char and line.rstrip().endswith(char):
            hint = f"put it in other quotes: {other}{inner}{other}" if len(inner) <= _REPEATED else hint
        return Slip("something stands behind a quoted text", at, first + len(line.rstrip()), hint)
    if text[at] in "]}":
        return Slip(f"this '{text[at]}' closes nothing", at, at + 1, "take it out")
    return None


def _condition(value: str) -> str | None:
    """A condition in quotes of YAML's, if it is one without them or without its outermost ones."""
    if len(value) > _REPEATED:
        return None
    for candidate in (value, value[1:-1]):
        text = _QUOTED_REFERENCE.sub(r"\2", candidate)
        try:
            parse_condition(text)
        except BadCondition:
            continue
        if '"' in text or "\\" in text:
            return "'" + text.replace("'", "''") + "'"
        return f'"{text}"'
    return None


def _opened_above(text: str, first: int, char: str) -> int | None:
    """Where a quote begins that the line at offset `first` closes."""
    for _ in range(_MOST_LINES):
        above = _before(text, first)
        if above is None:
            return None
        first, line = above
        if line.count(char) % 2:
            return first + line.rindex(char)
    return None


def _block(text: str, at: int, begin: int | None) -> Slip | None:
    start = at if begin is None else begin
    value = _value(text, start)
    return Slip(f"a text can't begin with '{text[start]}'", start, start + len(value), _quote(value))


def _escape(text: str, at: int, _: int | None) -> Slip:
    # Double quotes have escapes, and a path of Windows looks like many.
    at -= text[at : at + 1] != "\\" and text[at - 1 : at] == "\\"
    return Slip(
        "a backslash that begins no escape", at, at + 1, r"write \\ for a backslash, or single quotes"
    )


def _hexadecimal(text: str, at: int, _: int | None) -> Slip | None:
    start = text.rfind("\\", max(at - 10, 0), at)
    return _escape(text, start, None) if start >= 0 else None


_KNOWN: tuple[tuple[str, Callable[[str, int, int | None], Slip | None]], ...] = (
    ("violates indentation", _tab),
    ("cannot start any token", _no_token),
    ("mapping values are not allowed", _colon),
    ("could not find expected ':'", _no_key),
    ("sequence entries are not allowed", _dash),
    ("while scanning an alias", _alias),
    ("while scanning an anchor", _alias),
    ("unknown escape character", _escape),
    ("hexdecimal number", _hexadecimal),
    ("hexadecimal numbers", _hexadecimal),
    ("scanning a block scalar", _block),
    ("unexpected end of stream", _quote_unclosed),
    ("parsing a flow sequence", _flow),
    ("parsing a flow mapping", _flow),
    ("did not find expected key", _no_field),
    ("did not find expected '-' indicator", _no_field),
    ("expected <block end>", _no_field),
)


def _line(text: str, at: int) -> tuple[int, str]:
    """The offset of the line that holds offset `at`, and its text; a long one cut off."""
    first = text.rfind("\n", 0, at) + 1
    last = text.find("\n", first)
    return first, text[first : min(len(text) if last < 0 else last, first + _LONGEST)].rstrip("\r")


def _before(text: str, first: int) -> tuple[int, str] | None:
    """The last line above offset `first` that is neither empty nor a comment, with its offset."""
    for _ in range(_MOST_LINES):
        if first <= 0:
            return None
        first, line = _line(text, first - 1)
        if line.strip() and not line.lstrip().startswith("#"):
            return first, line.rstrip()
    return None


def _open_columns(text: str, first: int) -> tuple[dict[int, str], dict[int, str]]:
    """The columns in which a field and an item may begin on the line at offset `first`, with their names."""
    fields: dict[int, str] = {}
    items: dict[int, str] = {}
    deepest = _LONGEST
    for _ in range(_MOST_LINES):
        above = _before(text, first)
        if above is None or deepest <= 0:
            break
        first, line = above
        indent = len(line) - len(line.lstrip(" "))
        field = _FIELD.match(line)
        if field is not None and len(field["indent"]) < deepest:
            fields[len(field["indent"])] = field["key"]
        if line.lstrip().startswith("- ") and indent < deepest:
            items[indent] = line.strip()
        deepest = min(deepest, indent)
    return fields, items


def _value(text: str, at: int) -> str:
    _, line = _line(text, at)
    first = text.rfind("\n", 0, at) + 1
    found = _VALUE.match(line, at - first)
    return found.group() if found else text[at : at + 1]


def _quote(value: str) -> str:
    if len(value) > _REPEATED:
        return "put it in quotes"
    return f"put it in quotes: '{value}'" if '"' in value else f'put it in quotes: "{value}"'


def _spaces(count: int) -> str:
    return "1 space" if count == 1 else f"{count} spaces"
