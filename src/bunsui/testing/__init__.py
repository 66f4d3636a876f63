"""For those who extend bunsui: test suites that hold for every implementation of a port, and a simulation.

The suites are written for pytest, which is imported with the first of them that is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bunsui.testing.simulation import SimulationFailed, World, simulate
    from bunsui.testing.stores import StoreSuite

__all__ = ["SimulationFailed", "StoreSuite", "World", "simulate"]


def _named(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name != "StoreSuite":
        from bunsui.testing import simulation  # noqa: PLC0415 - a whole runner

        return getattr(simulation, name)
    import pytest  # noqa: PLC0415 - a dependency of those who test, not of those who run

    # So that a failing assertion of the suite shows its values, as one in a test module does.
    pytest.register_assert_rewrite("bunsui.testing.store")
    from bunsui.testing.stores import StoreSuite  # noqa: PLC0415

    return StoreSuite


if not TYPE_CHECKING:
    # Not for type checkers: to them a module with __getattr__ has every name, misspelt ones too.
    __getattr__ = _named
