"""What a keeper is asked to start, as the bytes that are sent to it: see `bunsui.local.fork_server`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def start_request(
    argv: Sequence[str],
    env: Mapping[str, str],
    folder: str | os.PathLike[str] | None,
    targets: Sequence[Sequence[int]],
) -> bytes:
    """What a keeper is sent to start a process: its length in 8 bytes, big-endian, and the document.

    Args:
        argv: the program and its arguments.
        env: all its variables.
        folder: where it runs; None: where this process does.
        targets: of each descriptor that goes with it, the numbers that the process sees.

    Raises:
        ValueError: there is a NUL in a word or variable, or a ``=`` in the name of one.
    """
    words = [_encoded(word) for word in argv]
    variables = {_encoded(name): _encoded(value) for name, value in env.items()}
    if any(b"\0" in word for word in (*words, *variables, *variables.values())):
        raise ValueError("embedded null byte")
    if any(b"=" in name for name in variables):
        raise ValueError("illegal environment variable name")
    request = {
        "argv": [word.decode("latin-1") for word in words],
        "env": {name.decode("latin-1"): value.decode("latin-1") for name, value in variables.items()},
        "folder": _folder(folder),
        "targets": targets,
    }
    text = json.dumps(request).encode()
    return len(text).to_bytes(8, "big") + text


def _encoded(text: str) -> bytes:
    """As the system's names are; what a locale such as C has no characters for, in UTF-8.

    What this process itself was given keeps its bytes: they are in the text as lone surrogates.
    """
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")


def _folder(folder: str | os.PathLike[str] | None) -> str | None:
    try:
        path = Path.cwd()
    except FileNotFoundError:  # It was removed: where the fork server was started is as good.
        if folder is None:
            return None
        path = Path()
    return _encoded(str(path if folder is None else path / folder)).decode("latin-1")
