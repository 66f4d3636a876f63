"""The listing of sessions."""

from __future__ import annotations

from typing import Any

import pytest

from bunsui.errors import ConfigError
from bunsui.runner.sessions import index
from bunsui.stores.memory import MemoryStore


@pytest.mark.parametrize("limit", ["10", -1, 2.5, None, True])
def test_a_limit_that_is_no_number(limit: Any) -> None:
    """It is refused, rather than compared with numbers."""
    with pytest.raises(ConfigError, match=r"^limit is .*; it is a whole number, such as 50$"):
        index.find(MemoryStore(), None, None, limit, None)
