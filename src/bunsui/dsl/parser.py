"""Text in, plain data that knows its place in the text out.

Nothing here recurses on the depth of the input, and each limit is checked before what would break
it is built.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from bunsui.dsl.document import Document, Source
from bunsui.dsl.problems import Problem, printable
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
    if not source.text.strip():
        _refuse(source, "empty-document", "the text is empty", 0, _NEEDED)
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
        message = f"the text has {size:,} bytes; at most {MAX_BYTES:,} are read"
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
    decoded = decoded.removeprefix("\ufeff")
    if "\r" in decoded:
        # Old line ends become new ones, so that there is one way to count lines.
        decoded = _LONE_RETURN.sub("\n", decoded)
    source = Source(decoded, file)
    at = decoded.find("\0")
    if at >= 0:
        hint = "the file is binary, or saved in another encoding than UTF-8"
        _refuse(source, "bad-encoding", "the text holds a NUL character", at, hint)
    if not encodable(decoded):
        at = next(index for index, char in enumerate(decoded) if not encodable(char))
        message = f"the text holds an unpaired surrogate, {printable(decoded[at])}"
        _refuse(source, "bad-encoding", message, at, "remove it, or write the whole character")
    return source


_NEEDED = "a definition is a mapping with version, name and jobs"
_LONE_RETURN = re.compile(r"\r(?!\n)")


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
