"""What is given as a cursor may come from anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

import bunsui
from bunsui.stores import cursors

WRONG = [
    "",
    "junk",
    "[]",
    '["a"]',
    '["a", "b", "c"]',
    "[1, 2]",
    "null",
    '"ab"',
    '{"a": 1, "b": 2}',
    "[" * 9999,
]


@pytest.mark.parametrize("text", WRONG)
@pytest.mark.parametrize("exists", [True, False], ids=["a store", "no file"])
@pytest.mark.parametrize("url", ["memory://", "sqlite:///{}/s.db"])
def test_what_is_no_cursor_is_refused(text: str, url: str, exists: bool, tmp_path: Path) -> None:
    """By a typed error that shows some of it, also where there is nothing to find."""
    with bunsui.Runner(url.format(tmp_path), autoload_plugins=False) as runner:
        if exists:
            runner.store.put("session", "s", {})
        with pytest.raises(bunsui.ConfigError, match="is no cursor") as caught:
            runner.sessions(after=text)
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize("place", [("", ""), ("2026", "ä\n"), ('"', "]")])
def test_a_cursor_is_where_it_was_made(place: tuple[str, str]) -> None:
    """Whatever the keys are."""
    assert place == cursors.parse(cursors.make(*place))
