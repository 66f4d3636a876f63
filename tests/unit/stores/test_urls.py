"""URLs of stores: as they are shown, and the files that they mean."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bunsui.stores.urls import shown, sqlite_name, sqlite_path, sqlite_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:////a/b.db", "sqlite:////a/b.db"),
        ("pg://ann:p@host/db", "pg://ann:***@host/db"),
        ("pg://:p@host", "pg://:***@host"),
        ("pg://host/x@y:z@", "pg://host/x@y:z@"),
        ("x://t?region=eu&auth_token=abc&b=c#f", "x://t?region=eu&auth_token=***&b=c#f"),
    ],
)
def test_urls(url: str, expected: str) -> None:
    """Without passwords."""
    assert expected == shown(url)


@pytest.mark.parametrize("name", ["/a/b.db", "/50% off/a?b#c.db", os.fsdecode(b"/n\xff/\xc3\xa9.db"), "/%25"])
def test_a_url_means_the_path_that_it_was_made_of(name: str) -> None:
    """Whatever bytes stand in its name."""
    assert Path(name) == sqlite_path(sqlite_url(Path(name)))
    assert sqlite_url(Path(name)).isascii()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///a%20b.db", "a b.db"), ("sqlite:////a.db", "/a.db"), ("sqlite:///", None),
        ("sqlite://a.db", None), ("sqlite:///a.db?x=1", None), ("sqlite:///a.db#x", None),
        ("memory://", None),
    ],
)  # fmt: skip
def test_the_file_that_a_url_names(url: str, expected: str | None) -> None:
    """Relative as it stands there; None where it names none."""
    assert expected == sqlite_name(url)
    assert sqlite_path(url) == (None if expected is None else Path(expected).absolute())
