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


@pytest.fixture(autouse=True)
def _sys_path() -> Iterator[None]:
    """Commands that run in this process put the folders of definitions there, for as long as it lives."""
    before = list(sys.path)
    yield
    sys.path[:] = before
