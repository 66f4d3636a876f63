"""Where a document stands among those that were found with it, as a text to go on behind."""

from __future__ import annotations

import contextlib
import json

from bunsui.errors import ConfigError


def make(sort: str, key: str) -> str:
    """The cursor of a document, from its sort key in the group and its key."""
    return json.dumps([sort, key])


def parse(cursor: str) -> tuple[str, str]:
    """The sort key and the key of a cursor.

    Raises:
        ConfigError: it is none.
    """
    with contextlib.suppress(TypeError, ValueError, RecursionError):
        match json.loads(cursor):
            case [str() as sort, str() as key]:
                (sort + key).encode()  # A ValueError of half a character.
                return sort, key
    raise ConfigError(f"{cursor!r:.100} is no cursor", hint="give that of something that was listed before")
