"""A program that ends with work pending, by itself or by a signal: quickly, quietly, and others go on."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bunsui.engine import events as ev

SCRIPT = Path(__file__).resolve().parents[1] / "fixtures" / "fault_script.py"

Rounds = Callable[[int, int], int]


@pytest.fixture(scope="module")
def bench(shared_bench: Any) -> Any:
    return shared_bench


@pytest.fixture(scope="module")
def successor(bench: Any) -> Any:
    """Another process, which would wait for ever for anybody's lease."""
    return bench.worker(lease=3600)


def program(bench: Any, folder: Path, how: str) -> subprocess.Popen[str]:
    folder.mkdir()
    process: subprocess.Popen[str] = bench.program(SCRIPT, bench.url, folder, how)
    return process


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for has, too."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize(
    ("how", "code", "last"), [("falls", 0, ""), ("exits", 3, ""), ("raises", 1, "the program's own")]
)
def test_an_interpreter_ends_with_work_pending(
    bench: Any, successor: Any, tmp_path: Path, rounds: Rounds, how: str, code: int, last: str
) -> None:
    """No hang, nothing said but what the program itself says, no survivor; the session goes on elsewhere."""
    for number in range(rounds(20, 1)):
        folder = tmp_path / str(number)
        process = program(bench, folder, how)
        assert process.stdout is not None
        session = process.stdout.readline().strip()
        began = time.monotonic()
        _, said = process.communicate(timeout=60)
        took = time.monotonic() - began
        if last:
            assert f"RuntimeError: {last}" == said.splitlines()[-1]
            assert 1 == said.count("Traceback")
        else:
            assert "" == said
        assert code == process.returncode
        # Promised are 5 seconds; among other tests, only what is far beyond them fails.
        assert took < rounds(5, 20)
        (command,) = (folder / "pids").read_text(encoding="utf-8").split()
        bench.until(lambda command=command: is_gone(int(command)), 5)
        assert isinstance(bench.history(session).events[-1], ev.RunnerReleased)
        (folder / "go").touch()
        assert {"status": "succeeded"} == successor.ask("resume", session=session)


COMMAND = """
import pathlib, signal, sys, time
if sys.argv[1] == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with open("runs", "a") as runs:
    runs.write("run\\n")
while not pathlib.Path("go").exists():
    time.sleep(0.02)
"""
DEFINITION = """
version: "1.0"
name: p
jobs: [{{id: a, type: custom, command: [python, wait.py, {kind}]}}]
"""


@pytest.mark.parametrize("kind", ["obedient", "stubborn"])
def test_a_command_that_is_terminated_releases_its_claim(
    bench: Any, tmp_path: Path, rounds: Rounds, kind: str
) -> None:
    """`bunsui run` ends with 130, in the middle of a command too, and a resume starts at once."""
    if kind == "stubborn" and rounds(2, 1) == 1:
        pytest.skip("the seconds that it is given to end are spent with BUNSUI_FAULTS=full only")
    (tmp_path / "p.yaml").write_text(DEFINITION.format(kind=kind), encoding="utf-8")
    (tmp_path / "wait.py").write_text(COMMAND, encoding="utf-8")
    runs = tmp_path / "runs"
    first = command(bench, tmp_path, "run", "p.yaml")
    bench.until(runs.exists)
    began = time.monotonic()
    first.send_signal(signal.SIGTERM)
    _, said = first.communicate(timeout=60)
    assert time.monotonic() - began < rounds(10, 30)
    assert 130 == first.returncode
    assert "Traceback" not in said
    session = said.split("bunsui session resume ")[1].split()[0]
    assert isinstance(bench.history(session).events[-1], ev.RunnerReleased)
    second = command(bench, tmp_path, "session", "resume", session)
    bench.until(lambda: 2 == len(runs.read_text(encoding="utf-8").splitlines()))
    (tmp_path / "go").touch()
    _, said = second.communicate(timeout=60)
    assert 0 == second.returncode, said


def command(bench: Any, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    process: subprocess.Popen[str] = bench.program(
        "-m", "bunsui", *arguments, "--store", bench.url, folder=folder
    )
    return process


@pytest.mark.parametrize("how", ["waits", "closes", "leaves"])
def test_an_interrupt_detaches(bench: Any, successor: Any, tmp_path: Path, rounds: Rounds, how: str) -> None:
    """KeyboardInterrupt comes out of `run`; the session can be waited for there, or goes on elsewhere."""
    moment = random.Random(how)
    for number in range(rounds(10, 2)):
        folder = tmp_path / str(number)
        process = program(bench, folder, how)
        assert process.stdout is not None
        assert process.stdin is not None
        assert "ready" == process.stdout.readline().strip()
        time.sleep(moment.uniform(0, 0.4))
        process.send_signal(signal.SIGINT)
        assert "interrupted" == process.stdout.readline().strip()
        session = process.stdout.readline().strip()
        if how == "waits" and session:
            ended = process.stdout.readline().strip()
            assert "succeeded" == ended, process.communicate(timeout=60)[1]
        elif session:
            if how == "leaves":
                process.wait(60)
            (folder / "go").touch()
            bench.until(lambda session=session: not bench.history(session).is_held)
            assert {"status": "succeeded"} == successor.ask("resume", session=session)
        assert (how, "") == (how, process.communicate(timeout=60)[1])
        assert 0 == process.returncode
