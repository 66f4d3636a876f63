"""Whether each installed plugin loads, and what it brings can be used."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points

from bunsui.diagnosis.check import Check, failed, ok, problem
from bunsui.errors import BunsuiError
from bunsui.plugins.registry import DISABLE_AUTOLOAD, Plugins
from bunsui.ports.hooks import PROJECT

_LEAVE_OUT = f"uninstall or update it, or leave all installed plugins out with {DISABLE_AUTOLOAD}=1"


def plugins() -> Iterator[Check]:
    """Each entry point by itself, then all together."""
    if os.environ.get(DISABLE_AUTOLOAD, "") not in ("", "0"):
        yield ok("plugins", f"installed plugins are left out: {DISABLE_AUTOLOAD} is set")
        return
    found = list(entry_points(group=PROJECT))
    checks = [_alone(entry) for entry in found]
    yield from checks
    if all(check.remedy is None for check in checks):
        yield _together(len(found))


def _alone(entry: EntryPoint) -> Check:
    name = f"plugin {entry.name}"
    origin = "" if entry.dist is None else f" of {entry.dist.name} {entry.dist.version}"
    try:
        registry = Plugins([entry.load()], autoload=False)
        _use(registry)
    except BunsuiError as error:
        return failed(name, error, _LEAVE_OUT)
    except (Exception, SystemExit) as error:  # Foreign code.
        return problem(name, f"{entry.value}{origin}: {type(error).__name__}: {error}", _LEAVE_OUT)
    return ok(name, f"{entry.value}{origin} was loaded")


def _together(number: int) -> Check:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # How a registry says that it has left one out.
            registry = Plugins()
            _use(registry)
    except (BunsuiError, Warning) as error:
        return failed("plugins", error, _LEAVE_OUT)
    kinds = f"job types {', '.join(registry.job_types)}; stores {', '.join(registry.stores)}"
    return ok("plugins", f"{number} installed; {kinds}; secret sources {', '.join(registry.secret_sources)}")


def _use(registry: Plugins) -> None:
    """Asks for all that plugins bring: only then their hooks run."""
    _ = registry.job_types, registry.stores, registry.secret_sources
