"""Custom jobs keep what every job type has to keep."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from bunsui.jobs.custom import CustomJobType
from bunsui.testing import JobTypeSuite

TASKS = """
import bunsui

def double(number):
    return [number * 2]

def fail(number, **more):
    raise bunsui.JobError(f"{number} is too small", code="Tasks.TooSmall")

def wait(number):
    bunsui.current_call().cancelled.wait(60)
"""


class Custom(CustomJobType):
    """Under another name: the built-in has its own already."""

    name: ClassVar[str] = "own-custom"


class TestCommands(JobTypeSuite):
    """What a command does."""

    options = {"command": ["python", "-c", "import os; open(os.environ['BUNSUI_OUTPUT'], 'w').write('[1]')"]}
    parameters = {"table": "flights"}
    invalid_options = [
        {},
        {"command": []},
        {"command": "echo hello"},
        {"command": ["echo"], "shell": True},
        {"command": "echo ${x}", "shell": True},
        {"command": ["echo"], "callable": "tasks:double"},
    ]
    failing_options = {"command": ["sh", "-c", "echo $BUNSUI_PARAM_CANARY; exit 3"]}
    slow_options = {"command": ["sleep", "60"]}

    @pytest.fixture
    def job_type(self) -> Custom:
        return Custom()


class TestCallables(JobTypeSuite):
    """What a Python callable does."""

    options = {"callable": "tasks:double"}
    parameters = {"number": 21}
    invalid_options = [{"callable": "tasks.double"}, {"callable": "tasks.py:double"}, {"callable": "${x}"}]
    failing_options = {"callable": "tasks:fail"}
    slow_options = {"callable": "tasks:wait"}
    literal_fields = ("callable",)

    @pytest.fixture
    def job_type(self, tmp_path: Path) -> Custom:
        (tmp_path / "tasks.py").write_text(TASKS)
        return Custom()
