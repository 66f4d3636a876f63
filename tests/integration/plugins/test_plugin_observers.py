"""Observers that are at fault in a whole Runner; the unit tests of observers have their limits."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui_tests.conditions import until
from bunsui_tests.faulty import LONG, beside_another
from bunsui_tests.held import descriptors, threads
from bunsui_tests.hostile import FAULTS


def _one() -> bunsui.Pipeline:
    return bunsui.Pipeline(name="one", jobs=[bunsui.Job.from_callable(lambda: 1, id="a")])


class Observer:
    """A plugin that does something for each event."""

    def __init__(self, does: Callable[[Any], Any]) -> None:
        self.does = does

    @bunsui.hookimpl
    def bunsui_session_event(self, event: Any) -> None:
        return self.does(event)


class TestObserver:
    """One that sees events; tests/unit/runner/driving/test_observers.py has the rest."""

    @pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
    @pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
    def test_whatever_it_does(self, fault: Callable[..., Any]) -> None:
        """Sessions and other observers go on."""
        seen: list[Any] = []
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "observer 'Observer' was dropped", RuntimeWarning)
            with beside_another(Observer(fault), Observer(seen.append)) as runner:
                session = runner.run(_one())
                assert "succeeded" == session.status
        assert len(list(session.events())) <= len(seen)

    def test_one_that_hangs(self, hang: Callable[..., Any]) -> None:
        """Closing is held up for a while, and says whom it has not waited for."""
        seen: list[Any] = []

        def run() -> bunsui.Session:
            with beside_another(Observer(hang), Observer(seen.append)) as runner:
                return runner.run(_one())

        with pytest.warns(RuntimeWarning, match="observer 'Observer' was dropped: it had not come to an end"):
            session = run()
        assert "succeeded" == session.status
        assert len(list(session.events())) <= len(seen)

    def test_where_warnings_are_errors_all_is_closed_before(
        self, hang: Callable[..., Any], tmp_path: Path
    ) -> None:
        """The Runner leaves no thread, and no file open, behind the one that hangs."""
        before = threads()
        runner = bunsui.Runner(f"sqlite:///{tmp_path}/s.db", plugins=[Observer(hang)], autoload_plugins=False)
        assert "succeeded" == runner.run(_one()).status
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            with pytest.raises(RuntimeWarning, match="observer 'Observer' was dropped"):
                runner.close()
        # The threads that ran jobs take a moment to end.
        until(lambda: {each.name for each in threads() - before} == {"bunsui-observer 'Observer'"})
        assert [] == [name for _, name in descriptors() if name.startswith(str(tmp_path))]

    def test_the_warning_points_at_who_closes(self, hang: Callable[..., Any]) -> None:
        """At the line that calls `close`, not into the library."""
        runner = bunsui.Runner("memory://", plugins=[Observer(hang)], autoload_plugins=False)
        runner.run(_one())
        with pytest.warns(RuntimeWarning) as caught:
            runner.close()
        assert [__file__] == [each.filename for each in caught]

    def test_one_that_closes_its_runner(self) -> None:
        """It waits for all but itself."""
        runners: list[bunsui.Runner] = []
        closed = threading.Event()

        def close(event: Any) -> None:
            if type(event).__name__ == "SessionSucceeded":
                runners[0].close()
                closed.set()

        with bunsui.Runner("memory://", plugins=[Observer(close)], autoload_plugins=False) as runner:
            runners.append(runner)
            assert "succeeded" == runner.run(_one()).status
            assert closed.wait(LONG)

    def test_several_runners_with_one_plugin(self) -> None:
        """Each has its own lanes: one that is closed takes nothing from another."""
        seen: list[Any] = []
        plugin = Observer(seen.append)
        with bunsui.Runner("memory://", plugins=[plugin], autoload_plugins=False) as first:
            one = first.run(_one())
            with bunsui.Runner("memory://", plugins=[plugin], autoload_plugins=False) as second:
                two = second.run(_one())
            three = first.run(_one())
        assert sum(len(list(session.events())) for session in (one, two, three)) == len(seen)


SCRIPT = """
import os, sys, threading
import bunsui
from bunsui.runner import assembly

assembly.CLOSING = 0.5

class Observer:
    def __init__(self, does):
        self.does = does

    @bunsui.hookimpl
    def bunsui_session_event(self, event):
        self.does(event)

def runner_of(does):
    return bunsui.Runner("memory://", plugins=[Observer(does)], autoload_plugins=False)

def run(runner):
    job = bunsui.Job.from_callable(lambda: 1, id="a")
    return runner.run(bunsui.Pipeline(name="p", jobs=[job]))
"""


def script(body: str) -> subprocess.CompletedProcess[str]:
    """What came of a program of its own."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", SCRIPT + body]
    return subprocess.run(command, capture_output=True, text=True, timeout=LONG, check=False)


def test_a_program_ends_that_has_an_observer_which_hangs() -> None:
    """Also where nobody has closed the Runner."""
    done = script("runner = runner_of(lambda event: threading.Event().wait())\nprint(run(runner).status)\n")
    assert (0, "succeeded\n") == (done.returncode, done.stdout)
    assert "observer 'Observer' was dropped" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_forked_child_has_observers_of_its_own() -> None:
    """Whatever those of its parent wait for."""
    done = script("""
seen, entered, left = [], threading.Event(), threading.Event()
def hang(event):
    entered.set()
    left.wait()
with runner_of(hang) as runner:
    run(runner)
    entered.wait()
    child = os.fork()
    if not child:
        with runner_of(seen.append) as mine:
            session = run(mine)
        os._exit(0 if list(session.events()) == seen else 1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    left.set()
""")
    assert (0, "0\n", "") == (done.returncode, done.stdout, done.stderr)


def test_a_command_ends_that_has_an_observer_which_hangs(tmp_path: Path) -> None:
    """An installed one; the session has succeeded, and that is what the command says."""
    installed = tmp_path / "installed"
    information = installed / "hanging-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: hanging\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[bunsui]\nhanging = hanging\n")
    (installed / "hanging.py").write_text(
        "import threading, bunsui\nfrom bunsui.runner import assembly\nassembly.CLOSING = 0.5\n"
        "@bunsui.hookimpl\ndef bunsui_session_event(event):\n    threading.Event().wait()\n"
    )
    (tmp_path / "p.yaml").write_text(
        'version: "1.0"\nname: p\njobs: [{id: a, type: custom, command: ["true"]}]\n', encoding="utf-8"
    )
    command = [sys.executable, "-m", "bunsui", "run", "p.yaml", "--store", f"sqlite:///{tmp_path}/s.db"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True, text=True, timeout=LONG, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    assert "observer 'hanging' (hanging 1.0) was dropped" in done.stderr
