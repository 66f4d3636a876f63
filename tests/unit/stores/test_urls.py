"""URLs of stores as they are shown."""

from __future__ import annotations

import pytest

from bunsui.stores.urls import shown


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
