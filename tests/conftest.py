"""What holds for all tests."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from bunsui.configuration.files import project_paths
from bunsui.configuration.keys import KEYS, variable_of

# A shell starts what it runs in the background with SIGINT ignored, nohup with SIGHUP; and so would be all
# that tests start in order to interrupt it.
for name, handler in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
    number = getattr(signal, name, None)  # Windows has no SIGHUP.
    if number is not None and signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)

# How long an example takes is the machine's affair.
settings.register_profile("bunsui", settings(), deadline=None)
settings.load_profile("bunsui")

#: Measuring coverage would double the time of these: random worlds, real processes again and again, suites in
#: a pytest of their own. What they run is measured in other tests.
UNMEASURED = (
    "faults/",
    "integration/test_durability.py",
    "performance/",
    "simulation/",
    "unit/dsl/test_diff.py",
    "unit/dsl/test_made.py",
    "unit/dsl/test_mutations.py",
    "unit/dsl/test_printer.py",
    "unit/dsl/test_properties.py",
    "unit/engine/test_machine.py",
    "unit/engine/test_simulation.py",
    "unit/runner/test_registered.py",
    "unit/stores/test_machine.py",
    "unit/test_docs_plugins.py",
    "unit/testing/",
)

# What the one who runs the tests has configured is not theirs.
for key in KEYS:
    os.environ.pop(variable_of(key), None)


def pytest_configure(config: pytest.Config) -> None:
    """Leaves the user's file out, here and in what tests start, and refuses to run below a project's file."""
    with tempfile.NamedTemporaryFile(prefix="bunsui-", suffix=".toml", delete=False) as empty:
        os.environ["BUNSUI_CONFIG"] = empty.name
    Path(empty.name).chmod(0o644)  # Some tests become another user.
    config.add_cleanup(Path(empty.name).unlink)
    for folder in (Path.cwd(), Path(tempfile.gettempdir())):
        for path in project_paths(folder):
            pytest.exit(f"{path} would be the configuration of tests: move it away", returncode=4)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what is not measured, for pytest-cov."""
    for item in items:
        folder = Path(__file__).parent
        if item.path.is_relative_to(folder) and str(item.path.relative_to(folder)).startswith(UNMEASURED):
            item.add_marker("no_cover")


@pytest.fixture(autouse=True)
def _children_are_not_measured_either(request: pytest.FixtureRequest) -> Iterator[None]:
    """Of a test that is not measured."""
    if request.node.get_closest_marker("no_cover") is None:
        yield
        return
    measured = {name: os.environ.pop(name) for name in [*os.environ] if name.startswith("COVERAGE")}
    yield
    os.environ |= measured


@pytest.fixture(autouse=True)
def _sys_path() -> Iterator[None]:
    """Commands that run in this process put the folders of definitions there, for as long as it lives."""
    before = list(sys.path)
    yield
    sys.path[:] = before
