"""What a Runner uses where it is not told."""

from __future__ import annotations

import os
from pathlib import Path

#: The store's URL.
STORE_VARIABLE = "BUNSUI_STORE"


def default_store() -> str:
    """The URL of the configured store: BUNSUI_STORE, else a SQLite file in the user's data directory."""
    configured = os.environ.get(STORE_VARIABLE)
    if configured:
        return configured
    import platformdirs  # noqa: PLC0415 - not needed where a store is named

    return f"sqlite:///{Path(platformdirs.user_data_dir('bunsui', appauthor=False)) / 'bunsui.db'}"
