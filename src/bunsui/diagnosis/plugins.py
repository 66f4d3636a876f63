"""Whether each installed plugin can be used, and what all of them bring."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

from bunsui.diagnosis.check import Check, ok, problem
from bunsui.plugins.faults import DISABLE_AUTOLOAD
from bunsui.plugins.registry import Plugins, autoload_is_disabled

_LEAVE_OUT = f"uninstall or update it, or leave all installed plugins out with {DISABLE_AUTOLOAD}=1"


def plugins() -> Iterator[Check]:
    """Each plugin by itself, then all together."""
    if autoload_is_disabled():
        yield ok("plugins", f"installed plugins are left out: {DISABLE_AUTOLOAD} is set")
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # What is warned of is what is checked.
        registry = Plugins()
        found = registry.describe()[1:]  # Behind the built-ins.
    for each in found:
        name = f"plugin {each.name}"
        if each.reason is None:
            release = "" if each.distribution is None else f"{each.distribution} {each.version}: "
            yield ok(name, f"{release}{', '.join(each.hooks)}")
        else:
            yield problem(name, f"it can't be used: {each.reason}", _LEAVE_OUT)
    if all(each.reason is None for each in found):
        kinds = f"job types {', '.join(registry.job_types)}; stores {', '.join(registry.stores)}"
        sources = f"secret sources {', '.join(registry.secret_sources)}"
        channels = f"alert channels {', '.join(registry.alert_channels)}"
        yield ok("plugins", f"{len(found)} installed; {kinds}; {sources}; {channels}")
