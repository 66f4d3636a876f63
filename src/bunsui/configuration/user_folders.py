"""The folders of the user, as far as he has a home."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def user_folder(kind: Literal["config", "data"]) -> Path | None:
    """The user's folder for what bunsui configures, or keeps; None where he has no home folder."""
    import platformdirs  # noqa: PLC0415 - not needed where file and store are named

    find = platformdirs.user_config_dir if kind == "config" else platformdirs.user_data_dir
    try:
        found = Path(find("bunsui", appauthor=False))
    except RuntimeError:
        return None
    # Where nobody knows a home, an earlier platformdirs gives a folder that is called "~".
    return found if found.is_absolute() else None
