"""What makes repeated work cheap: a cache, of this process and of all that share a store."""

from bunsui.performance.cache import CacheManager, CacheStatistics

__all__ = ["CacheManager", "CacheStatistics"]
