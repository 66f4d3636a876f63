"""Text in, plain data that knows its place in the text out.

Nothing here recurses on the depth of the input, and each limit is checked before what would break
it is built.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from bunsui.dsl.document import Document, Source
from bunsui.dsl.problems import MAX_SHOWN, Problem, printable
from bunsui.dsl.tree import (
    MAX_DEPTH,
    MAX_NODES,
    MAX_PROBLEMS,
    Builder,
    Shared,
    encodable,
)
from bunsui.errors import DefinitionError

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_NODES", "MAX_PROBLEMS", "Document", "parse", "plain"]

#: Longest text, in bytes of UTF-8.
MAX_BYTES = 16 * 2**20
#: Longest text with characters beyond U+FFFF, such as emoji, in characters: Python takes four bytes for each.
MAX_WIDE = 8 * 2**20


def parse(
    text: str | bytes,
    format: str = "yaml",  # noqa: A002 - the public name
    file: str | None = None,
) -> Document:
    """The data of a definition, checked against the limits but not yet against any schema.

    Args:
        text: at most 16 MiB of UTF-8, with or without byte order mark, with line ends of any kind.
        format: ``yaml`` (YAML 1.2, core schema, one document) or ``json``.
        file: a name for the problems.

    Raises:
        DefinitionError: with all problems up to the first that nothing can be read behind.
    """
    if format not in {"yaml", "json"}:
        raise ValueError(f"format must be 'yaml' or 'json', not {format!r}")
    source = _decode(text, file)
    del text  # It may be large.
    if not source.text or source.text.isspace():
        _refuse(source, "empty-document", "the text is empty", 0, _NEEDED)
    if format == "yaml" and _PAIR.search(source.text) and source.text.lstrip().startswith(("{", "[")):
        # YAML 1.2 means to read JSON, too, and libyaml, of YAML 1.1, knows no pairs of surrogates.
        from bunsui.dsl.json_parser import parse_json  # noqa: PLC0415 - as below

        with contextlib.suppress(DefinitionError):
            return parse_json(source)
    if format == "yaml":
        from bunsui.dsl.yaml_parser import parse_yaml  # noqa: PLC0415 - each imports its library

        return parse_yaml(source)
    from bunsui.dsl.json_parser import parse_json  # noqa: PLC0415 - as above

    return parse_json(source)


def _refuse(source: Source, code: str, message: str, at: int, hint: str | None = None) -> NoReturn:
    raise DefinitionError([source.problem(code, message, at, at + 1, hint=hint)])


def _decode(text: str | bytes, file: str | None) -> Source:
    """The text as it is parsed; DefinitionError where it is too long, or is no text."""
    size = len(text) if isinstance(text, bytes) or text.isascii() else len(text.encode("utf-8", "replace"))
    if size > MAX_BYTES:
        message = f"the text has more than {MAX_BYTES:,} bytes"
        hint = "split the definition"
        raise DefinitionError([Problem("too-large", message, hint=hint, file=file)])
    if isinstance(text, bytes):
        if text.startswith((b"\xff\xfe", b"\xfe\xff")):
            message = "the text is UTF-16 or UTF-32, not UTF-8"
            hint = "save it as UTF-8"
            raise DefinitionError([Problem("bad-encoding", message, hint=hint, file=file)])
        try:
            decoded = text.decode()
        except UnicodeDecodeError as error:
            at = len(text[: error.start].decode().removeprefix("\ufeff"))
            source = Source(text.decode("utf-8", "replace").removeprefix("\ufeff"), file)
            message = f"byte 0x{text[error.start]:02x} is not UTF-8"
            _refuse(source, "bad-encoding", message, at, "save the text as UTF-8")
    else:
        decoded = text
    del text
    if len(decoded) > MAX_WIDE and not decoded.isascii() and _WIDE.search(decoded):
        message = (
            f"the text has {len(decoded):,} characters; at most {MAX_WIDE:,} are read"
            " where some, such as emoji, are beyond U+FFFF"
        )
        hint = "split the definition"
        raise DefinitionError([Problem("too-large", message, hint=hint, file=file)])
    decoded = decoded.removeprefix("\ufeff")
    at = decoded.find("\0")
    if at >= 0:
        hint = "the file is binary, or saved in another encoding than UTF-8"
        source = Source(_lines(decoded[:at]) + decoded[at : at + MAX_SHOWN], file)
        _refuse(source, "bad-encoding", "the text holds a NUL character", at, hint)
    source = Source(_lines(decoded), file)
    if not encodable(source.text):
        at = next(found.start() for found in re.finditer("[\ud800-\udfff]", source.text))
        message = f"the text holds an unpaired surrogate, {printable(source.text[at])}"
        _refuse(source, "bad-encoding", message, at, "remove it, or write the whole character")
    return source


def _lines(text: str) -> str:
    """The text with old line ends made new ones, so that there is one way to count lines."""
    if "\r" not in text:
        return text
    # A NUL, which no text holds, keeps the place of what stays: a regular expression would take 200 MB.
    return text.replace("\r\n", "\0").replace("\r", "\n").replace("\0", "\r\n")


_WIDE = re.compile("[\U00010000-\U0010ffff]")
# A character beyond U+FFFF as JSON escapes it.
_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F]")
_NEEDED = "a definition is a mapping with version, name and jobs"


def plain(data: Any, file: str | None = None) -> Document:
    """A copy of Python data as a document without text, checked against the same limits as text.

    Args:
        data: mappings with text keys, lists, tuples, str, int, float, bool and None; tuples become
            lists.
        file: a name for the problems.

    Raises:
        DefinitionError: with the JSON pointers of all problems.
    """
    builder = Builder(Source("", file), placed=False)
    # Objects are kept with what was made of them: an id is good only while its object lives.
    seen: dict[int, tuple[Any, Shared]] = {}
    open_: list[Iterator[Any]] = [iter((data,))]
    while open_:
        for value in open_[-1]:
            if isinstance(value, (Mapping, list, tuple)):
                known = seen.get(id(value))
                if known is not None:
                    builder.again(known[1], 0, 0)
                    continue
                shared = Shared()
                seen[id(value)] = (value, shared)
                is_map = isinstance(value, Mapping)
                builder.open({} if is_map else [], 0, shared)
                open_.append(_pairs(value) if isinstance(value, Mapping) else iter(value))
                break
            builder.leaf(_atom(builder, value), 0, 0)
        else:
            open_.pop()
            if open_:
                builder.close()
    return Document(builder.finish(), file=file)


def _pairs(mapping: Mapping[Any, Any]) -> Iterator[Any]:
    for key, value in mapping.items():
        yield key
        yield value


def _atom(builder: Builder, value: Any) -> Any:
    """`value` as one of the plain types themselves; notes a problem where it is none of them."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        # Subclasses, such as members of a StrEnum, become the text that they are.
        builder.spend(len(value), 0, 0)
        if not encodable(value):
            builder.problem("bad-encoding", "the text holds an unpaired surrogate", 0, 0)
        return str.__str__(value)
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            message = "the integer does not fit into 64 bits"
            builder.problem("bad-number", message, 0, 0, hint="give it as text")
        return int.__int__(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            message = f"{value}: infinity and NaN are not allowed"
            builder.problem("bad-number", message, 0, 0, hint="use null, or text")
        return float.__float__(value)
    message = f"a value of type {type(value).__qualname__} is not plain data"
    hint = "use dict, list, str, int, float, bool or None"
    builder.problem("bad-type", message, 0, 0, hint=hint)
    return str(type(value))
