"""For those who test what they build with bunsui: stubs, fakes, suites for plugins, a simulation.

The suites are written for pytest, which is imported with the first of them that is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bunsui.testing.alert_channels import AlertChannelSuite
    from bunsui.testing.fakes.clock import FakeClock
    from bunsui.testing.fakes.service import FakeService, FakeWork
    from bunsui.testing.fakes.store import FakeStore
    from bunsui.testing.job_types import JobTypeSuite
    from bunsui.testing.observers import ObserverSuite
    from bunsui.testing.secret_sources import SecretSourceSuite
    from bunsui.testing.simulation import SimulationFailed, World, simulate
    from bunsui.testing.stores import StoreSuite
    from bunsui.testing.stubbing.runs import PipelineRun, run_pipeline
    from bunsui.testing.stubbing.stubs import Stubs, Takes, in_turn

__all__ = [
    "AlertChannelSuite",
    "FakeClock",
    "FakeService",
    "FakeStore",
    "FakeWork",
    "JobTypeSuite",
    "ObserverSuite",
    "PipelineRun",
    "SecretSourceSuite",
    "SimulationFailed",
    "StoreSuite",
    "Stubs",
    "Takes",
    "World",
    "in_turn",
    "run_pipeline",
    "simulate",
]

#: What needs no pytest, by the module that has it.
_MODULES = {
    "FakeClock": "fakes.clock",
    "FakeService": "fakes.service",
    "FakeStore": "fakes.store",
    "FakeWork": "fakes.service",
    "PipelineRun": "stubbing.runs",
    "SimulationFailed": "simulation",
    "Stubs": "stubbing.stubs",
    "Takes": "stubbing.stubs",
    "World": "simulation",
    "in_turn": "stubbing.stubs",
    "run_pipeline": "stubbing.runs",
    "simulate": "simulation",
}
#: Each suite with the module that has it, and the package of its tests.
_SUITES = {
    "AlertChannelSuite": ("alert_channels", "alert_channel"),
    "JobTypeSuite": ("job_types", "job_type"),
    "ObserverSuite": ("observers", "observer"),
    "SecretSourceSuite": ("secret_sources", "secret_source"),
    "StoreSuite": ("stores", "store"),
}


def _named(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - part of what is loaded late

    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    import sys  # noqa: PLC0415 - as pytest

    import pytest  # noqa: PLC0415 - a dependency of those who test, not of those who run

    module, tests = (f"{__name__}.{part}" for part in _SUITES[name])
    if tests not in sys.modules:
        # So that a failing assertion of the suite shows its values, as one in a test module does.
        pytest.register_assert_rewrite(tests)
    return getattr(import_module(module), name)


if not TYPE_CHECKING:
    # Not for type checkers: to them a module with __getattr__ has every name, misspelt ones too.
    __getattr__ = _named
