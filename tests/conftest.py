"""What holds for all tests."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import is_hypothesis_test, settings

from bunsui.configuration.files import project_paths
from bunsui.configuration.keys import KEYS, variable_of

# A run with another configuration file, as the tests of the suites start, has none of this one's paths.
if (shared := str(Path(__file__).parent / "shared")) not in sys.path:
    sys.path.insert(0, shared)

#: AWS as tests have it, instead of the user's own.
pytest_plugins = ["bunsui_tests.aws.fixtures"]

# A shell starts what it runs in the background with SIGINT ignored, nohup with SIGHUP; and so would be all
# that tests start in order to interrupt it.
for name, handler in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
    number = getattr(signal, name, None)  # Windows has no SIGHUP.
    if number is not None and signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)

# How long an example takes is the machine's affair.
settings.register_profile("bunsui", settings(), deadline=None)
settings.load_profile("bunsui")

#: Measuring coverage would double the time of these: random worlds and texts, real processes again and again,
#: the same code with a thousand values, or at an emulator. What they run is measured in other tests. The same
#: holds for all tests with random examples.
UNMEASURED = (
    "tests/faults/",
    "tests/integration/plugins/test_plugin_faults.py",
    "tests/integration/plugins/test_plugin_surroundings.py",
    "tests/integration/test_aws_outages.py",
    "tests/integration/test_durability.py",
    "tests/performance/",
    "tests/simulation/test_simulation.py::test_every_invariant_holds",
    "tests/simulation/test_simulation.py::test_seeds_differ_in_all_that_matters",
    "tests/simulation/test_simulation.py::test_the_same_seed_gives_the_same_simulation",
    "tests/simulation/test_simulation.py::test_the_simulation_notices_a_broken_runner",
    "tests/unit/dsl/publishing/test_whole.py::test_agreement",
    "tests/unit/dsl/test_diff.py::TestAllTrees",
    "tests/unit/dsl/test_made.py",
    "tests/unit/dsl/test_mutations.py",
    "tests/unit/dsl/test_parser.py::TestHostile",
    "tests/unit/dsl/test_printer.py::TestOneText",
    "tests/unit/dsl/test_printer.py::TestReadBack",
    "tests/unit/dsl/test_properties.py",
    "tests/unit/dsl/test_templating.py::test_size",
    "tests/unit/dsl/test_wrong_definitions.py",
    "tests/unit/engine/test_machine.py",
    "tests/unit/engine/test_simulation.py",
    "tests/unit/examples/test_etl.py",
    "tests/unit/expressions/test_payloads.py",
    "tests/unit/runner/test_registered.py",
    "tests/unit/shared/",
    "tests/unit/stores/test_dynamodb.py::TestDynamoDbStore",
    "tests/unit/stores/test_machine.py",
    "tests/unit/test_docs_plugins.py",
)

#: Where the processes that tests start are measured, too: what runs in workers, keepers and fork servers is
#: tested here. Elsewhere they are whole commands, whose code is measured in other tests; each of them would
#: take half as long again.
CHILDREN_MEASURED = (
    "tests/integration/",
    "tests/unit/diagnosis/",
    "tests/unit/local/",
    "tests/unit/logging/",
    "tests/unit/runner/",
    "tests/unit/stores/",
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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Runs some tests, or only the processes that they start, without measuring coverage.

    Not by pytest-cov's mark: in a worker of pytest-xdist it has started coverage twice, and pauses one.
    """
    is_measured = not (item.nodeid.startswith(UNMEASURED) or is_hypothesis_test(getattr(item, "obj", None)))
    if is_measured and item.nodeid.startswith(CHILDREN_MEASURED):
        return (yield)
    here, threads = sys.gettrace(), threading.gettrace()
    children = {name: os.environ.pop(name) for name in [*os.environ] if name.startswith("COVERAGE")}
    if not is_measured:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]
    try:
        return (yield)
    finally:
        os.environ |= children
        if not is_measured:
            threading.settrace(threads)  # type: ignore[arg-type]
            sys.settrace(here)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test has logged is sent to another process, which no surrogate can be; some tests log them."""
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.fixture(autouse=True)
def _sys_path() -> Iterator[None]:
    """Commands that run in this process put the folders of definitions there, for as long as it lives."""
    before = list(sys.path)
    yield
    sys.path[:] = before
