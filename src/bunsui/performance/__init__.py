"""What makes repeated work cheap: a cache, connections that are shared, items that are sent in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bunsui.performance.batch import BatchProcessor, Processed
    from bunsui.performance.cache import CacheManager, CacheStatistics
    from bunsui.performance.connection_pool import ConnectionPool, PoolStatistics

__all__ = [
    "BatchProcessor",
    "CacheManager",
    "CacheStatistics",
    "ConnectionPool",
    "PoolStatistics",
    "Processed",
]


def _named(name: str) -> Any:
    """Each is loaded when it is used: most programs need none of the others."""
    if name in ("CacheManager", "CacheStatistics"):
        from bunsui.performance import cache  # noqa: PLC0415 - see above

        return getattr(cache, name)
    if name in ("BatchProcessor", "Processed"):
        from bunsui.performance import batch  # noqa: PLC0415 - see above

        return getattr(batch, name)
    if name in ("ConnectionPool", "PoolStatistics"):
        from bunsui.performance import connection_pool  # noqa: PLC0415 - see above

        return getattr(connection_pool, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if not TYPE_CHECKING:
    # Not for type checkers: to them a module with __getattr__ has every name, misspelt ones too.
    __getattr__ = _named
