"""A runner of a Step Functions job is killed, and another one goes on: there is exactly one execution."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bunsui_tests.aws.endpoint import FakeAws

HARNESS = Path(__file__).parents[1] / "fixtures" / "aws_harness.py"


class World:
    """An endpoint with a state machine, and a store."""

    def __init__(self, aws: FakeAws, folder: Path) -> None:
        self.aws = aws
        self._store = folder / "store.db"
        self._job = f"type: step_function, state_machine: '{aws.machines.add('load')}'"

    def process(self, what: str, point: str = "") -> subprocess.Popen[str]:
        """A runner in a process of its own."""
        command = [sys.executable, str(HARNESS), what, str(self._store), self.aws.url, point]
        environment = {**os.environ, **self.aws.environment, "HARNESS_JOB": self._job}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    def killed(self, point: str) -> None:
        """Starts a session whose runner is killed at a point."""
        faults = self.aws.faults
        if point == "before-commit":
            process = self.process("run", point)
        else:
            is_before = point == "before-call"
            hold = (
                faults.hang("states", "DescribeStateMachine")
                if is_before
                else faults.hold("states", "StartExecution", after=True)
            )
            process = self.process("run")
            hold.wait()
            process.kill()
            hold.end()
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL


@pytest.fixture
def world(fake_aws: FakeAws, tmp_path: Path) -> World:
    return World(fake_aws, tmp_path)


@pytest.mark.parametrize("then", ["running", "ended", "hidden"])
@pytest.mark.parametrize("point", ["before-call", "response-lost", "before-commit"])
def test_one_execution(world: World, point: str, then: str) -> None:
    """Whenever it is killed, also where the execution has ended or is not shown yet, none is second."""
    machines = world.aws.machines
    world.killed(point)
    started = machines.executions
    assert len(started) == (point != "before-call")
    for execution in started:
        if then == "ended":
            execution.succeed()
        if then == "hidden":
            machines.hide(execution)
    process = world.process("resume")
    try:
        if not started or then == "hidden":
            # It is asked for again, under its name.
            world.aws.wait_for_calls("states", "StartExecution", len(started) + 1)
            world.aws.wait_for_calls("states", "DescribeExecution", 2)
        for execution in machines.executions:
            machines.show(execution)
            if execution.status == "RUNNING":
                execution.succeed()
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert out.split() == ["succeeded", "None", "succeeded"]
    assert len(machines.executions) == 1
