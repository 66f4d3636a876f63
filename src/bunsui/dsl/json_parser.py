"""Strict JSON: the C scanner where nothing is wrong, a scan of our own where something may be.

A sound text is read without the scan, which finds out what is wrong and where, and, once a problem
with the content is found, where each value stands.
"""

from __future__ import annotations

import json
import re
from functools import partial
from itertools import accumulate
from typing import Any, NoReturn

from bunsui.dsl.document import Document, Places, Source
from bunsui.dsl.problems import quoted
from bunsui.dsl.tree import MAX_DEPTH, MAX_NODES, BadNumber, Builder, encodable, integer, real

_SPACE = re.compile(r"[ \t\r\n]*")
_WORD = re.compile(r"[-+.\w]*")
# Escaped surrogates without their other half. An escaped backslash before "u" can look like one:
# the scan will tell.
_LONE = re.compile(
    r"\\u[dD](?:[89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..\\u[dD])[c-fC-F])", re.DOTALL
)
_NESTING = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKETS = bytes(set(range(256)) - set(_NESTING))


class _Doubt(Exception):
    """Something that only the scan can place."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Doubt
    return found


def _constant(text: str) -> Any:
    raise BadNumber(f"{text}: infinity and NaN are not allowed")


_FAST = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=integer, parse_float=real, parse_constant=_constant
)


def parse_json(source: Source) -> Document:
    """The data of a JSON text; DefinitionError with its problems if there are any."""
    text = source.text
    if _sound(text):
        try:
            data = _FAST.decode(text)
        except (_Doubt, BadNumber, json.JSONDecodeError):
            pass
        else:
            return Document(data, text, source.file, partial(_places, source))
    builder = _scan(source)
    return Document(builder.finish(), text, source.file, builder.places)


def _places(source: Source) -> Places:
    return _scan(source, keep=False).places


def _sound(text: str) -> bool:
    """Whether the recursive C scanner may read `text`: neither too deep nor too much.

    Counts what stands outside of strings. Where the text is no JSON, strings may be cut wrongly,
    but not before the place where the C scanner gives up.
    """
    unescaped = text.replace("\\\\", "").replace('\\"', "")
    # Each text has two quotes; more of them would take too much memory here already.
    if unescaped.count('"') > 2 * MAX_NODES:
        return False
    bare = "".join(unescaped.split('"')[::2]).encode()
    del unescaped
    brackets = bare.translate(None, delete=_NO_BRACKETS)
    opened = brackets.count(b"[") + brackets.count(b"{")
    # Each value is the root, the first of a container or behind a comma; each key has its colon.
    if 1 + opened + bare.count(b",") + bare.count(b":") > MAX_NODES:
        return False
    if max(accumulate(map(_NESTING.__getitem__, brackets)), default=0) > MAX_DEPTH:
        return False
    return "\\u" not in text or not _LONE.search(text)


# What the scan may meet next.
_VALUE, _ITEM, _KEY, _FIRST_KEY, _COLON, _NEXT, _END = range(7)
_EXPECTED = {
    _VALUE: "a value",
    _ITEM: "a value or ']'",
    _KEY: "a key in double quotes",
    _FIRST_KEY: "a key in double quotes or '}'",
    _COLON: "':'",
    _END: "the end of the text",
}
_HINTS = {
    "'": "text stands in double quotes",
    "/": "JSON has no comments",
    "#": "JSON has no comments",
    "]": "remove the comma before it",
    "}": "remove the comma before it",
}


def _scan(source: Source, *, keep: bool = True) -> Builder:
    """Reads the text token by token, without recursion; DefinitionError where it is no JSON.

    Args:
        source: the text.
        keep: whether values are kept, and not only keys and places.
    """
    builder = Builder(source)
    text, at, expect = source.text, 0, _VALUE
    while True:
        at = _end(_SPACE, text, at)
        char = text[at : at + 1]
        is_list = isinstance(builder.container, list)
        after = at + 1
        if expect in (_VALUE, _ITEM) and char and char in "[{":
            builder.open([] if char == "[" else {}, at)
            expect = _ITEM if char == "[" else _FIRST_KEY
        elif expect in (_ITEM, _FIRST_KEY, _NEXT) and char == ("]" if is_list else "}"):
            builder.close()
            expect = _NEXT if builder.stack else _END
        elif expect in (_VALUE, _ITEM) or (expect in (_KEY, _FIRST_KEY) and char == '"'):
            after = _scalar(builder, at, expect, keep=keep)
            expect = _COLON if expect in (_KEY, _FIRST_KEY) else _NEXT if builder.stack else _END
        elif expect == _COLON and char == ":":
            expect = _VALUE
        elif expect == _NEXT and char == ",":
            expect = _VALUE if is_list else _KEY
        elif expect == _END and not char:
            return builder
        else:
            _unexpected(builder, at, expect)
        at = after


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _scalar(builder: Builder, at: int, expect: int, *, keep: bool) -> int:
    """Adds the text, number or name that begins at offset `at`; returns the offset of its end."""
    text = builder.source.text
    try:
        value, end = _FAST.raw_decode(text, at)
    except BadNumber as bad:
        value, end = None, _end(_WORD, text, at)
        builder.problem("bad-number", str(bad), at, end, hint="use null, or text in double quotes")
    except json.JSONDecodeError as error:
        if text[at : at + 1] != '"':
            _unexpected(builder, at, expect)
        message = _MESSAGES.get(" ".join(error.msg.split()[:2]), error.msg)
        builder.fail("syntax", message, error.pos, error.pos + 1)
    if isinstance(value, str) and not encodable(value):
        message = "the text holds an unpaired surrogate"
        builder.problem("bad-encoding", message, at, end, hint="write the character itself")
    builder.leaf(value if keep or expect in (_KEY, _FIRST_KEY) else None, at, end)
    return end


_MESSAGES = {
    "Unterminated string": "the text that begins here has no closing quote",
    "Invalid control": "a control character or line break inside a text",
    "Invalid \\escape:": "a backslash that begins no JSON escape",
    "Invalid \\escape": "a backslash that begins no JSON escape",
    "Invalid \\uXXXX": "\\u must be followed by four hexadecimal digits",
}


def _unexpected(builder: Builder, at: int, expect: int) -> NoReturn:
    text = builder.source.text
    word = text[at : max(_end(_WORD, text, at), at + 1)]
    is_list = isinstance(builder.container, list)
    expected = _EXPECTED.get(expect) or ("',' or ']'" if is_list else "',' or '}'")
    message = f"expected {expected}, found {quoted(word) if word else 'the end of the text'}"
    hint = None
    if not word and builder.stack:
        span = builder.source.span(*builder.places.bounds(builder.node))
        opened = "[" if is_list else "{"
        hint = f"the '{opened}' at line {span.line}, column {span.column} is not closed"
    elif word and (word not in "]}" or expect in (_VALUE if is_list else _KEY,)):
        hint = _HINTS.get(word) or _remedy(word, expect)
    builder.fail("syntax", message, at, at + max(len(word), 1), hint=hint)


def _remedy(word: str, expect: int) -> str | None:
    """What to do about a word that can't stand where it does."""
    if expect == _NEXT and (word in '"[{' or _WORD.fullmatch(word)):
        return "put a comma before it"
    if expect in (_KEY, _FIRST_KEY) and _WORD.fullmatch(word):
        return f'put it in double quotes: "{word}"' if len(word) <= _REPEATED else "put it in double quotes"
    if expect in (_VALUE, _ITEM) and _WORD.fullmatch(word):
        return _NAMES.get(word.lower(), "text stands in double quotes")
    return None


#: Longest word that a hint repeats, in characters.
_REPEATED = 80
_NAMES = {"true": "write true", "false": "write false", "none": "write null", "nil": "write null"}
