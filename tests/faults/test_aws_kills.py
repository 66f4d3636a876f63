"""A runner of an ECS job is killed, and another one goes on: exactly one task, or nobody can tell."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bunsui_tests.aws.ecs_tasks import Script, Task
from bunsui_tests.aws.endpoint import FakeAws

HARNESS = Path(__file__).parents[1] / "fixtures" / "aws_harness.py"


class World:
    """An endpoint that counts the tasks that are started there, and a store."""

    def __init__(self, aws: FakeAws, folder: Path) -> None:
        self.aws = aws
        self.store = folder / "store.db"
        self.started: list[Task] = []
        aws.ecs.define("t")
        aws.ecs.script = self._begin

    def _begin(self, task: Task) -> Script:
        self.started.append(task)
        return Script(every=None)

    def process(self, what: str, point: str = "") -> subprocess.Popen[str]:
        """A runner in a process of its own."""
        command = [sys.executable, str(HARNESS), what, str(self.store), self.aws.url, point]
        environment = {**os.environ, **self.aws.environment}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    def killed(self, point: str) -> None:
        """Starts a session whose runner is killed at a point."""
        if point == "before-commit":
            process = self.process("run", point)
        else:
            faults = self.aws.faults
            before = point == "before-call"
            hold = (
                faults.hang("ecs", "DescribeTaskDefinition")
                if before
                else faults.hold("ecs", "RunTask", after=True)
            )
            process = self.process("run")
            hold.wait()
            process.kill()
            hold.end()
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL

    def resumed(self) -> list[str]:
        """What another runner says of the session in the end."""
        process = self.process("resume")
        try:
            # A task that it starts, or finds running, does its work now.
            if not self.started or self.started[0] in self.aws.ecs.tasks:
                self.aws.wait_for_calls("ecs", "DescribeTasks")
                if self.started[0].status != "STOPPED":
                    self.aws.ecs.stop(self.started[0])
            out, _ = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == 0
        return out.split()


@pytest.fixture
def world(fake_aws: FakeAws, tmp_path: Path) -> Iterator[World]:
    return World(fake_aws, tmp_path)


@pytest.mark.parametrize("then", ["running", "stopped", "gone"])
@pytest.mark.parametrize("point", ["before-call", "response-lost", "before-commit"])
def test_one_task_or_unknown(world: World, point: str, then: str) -> None:
    """Whenever it is killed, and whatever has become of the task, no second one is started.

    Where the task is gone, nobody can tell what it came to: then somebody is asked.
    """
    world.killed(point)
    assert len(world.started) == (point != "before-call")
    for task in world.started:
        if then != "running":
            world.aws.ecs.stop(task)
        if then == "gone":
            world.aws.ecs.forget(task)
    is_lost = then == "gone" and point != "before-call"
    expected = ["paused", "unknown-job", "unknown"] if is_lost else ["succeeded", "None", "succeeded"]
    assert world.resumed() == expected
    assert len(world.started) == 1


def test_tokens_may_be_forgotten(world: World) -> None:
    """The test above can fail: where ECS does not know the token any more, a second task is started."""
    world.killed("response-lost")
    (first,) = world.started
    world.aws.ecs.stop(first)
    world.aws.ecs.forget(first)
    world.aws.ecs.forget_tokens()
    process = world.process("resume")
    world.aws.wait_for_calls("ecs", "RunTask", 2)
    process.kill()
    process.communicate()
    assert len(world.started) == 2
