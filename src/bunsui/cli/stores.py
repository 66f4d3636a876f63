"""How a command that is proposed finds the store that this one has used."""

from __future__ import annotations

import shlex

from bunsui.configuration.config import Config
from bunsui.configuration.origins import Source
from bunsui.stores.urls import shown, sqlite_path, sqlite_url

#: Where a setting comes from that counts in any folder and any terminal.
_EVERYWHERE = (Source.DEFAULT, Source.USER)


def again(store: str | None) -> str:
    """What a command needs behind it to mean the same store from any folder: `` --store URL``, or nothing.

    A password in the URL is not shown: *** stands in its place.

    Args:
        store: the option; None or "": not given.
    """
    if not store:
        config = Config.load()
        if config.origin("store").source in _EVERYWHERE:
            return ""
        store = config.store
    path = sqlite_path(store)
    url = shown(store) if path is None else sqlite_url(path)
    return f" --store {shlex.quote(url)}"
