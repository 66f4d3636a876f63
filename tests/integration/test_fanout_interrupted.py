"""Crashes, pauses, cancellations and closes while some items of a fan-out have run and others have not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bunsui import Job, Pipeline, Runner, Session, current_call

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A SQLite store on the real disk."""
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def runner(url: str) -> Iterator[Runner]:
    """A runner that is closed at the end."""
    with Runner(url, autoload_plugins=False) as made:
        yield made


def fan(function: Callable[..., Any], items: Any, name: str = "fan", **fields: Any) -> Job:
    """A job that calls `function` with each item as `x`."""
    return Job.from_callable(function, id=name, for_each=items, parameters={"x": "${item}"}, **fields)


def alone(*jobs: Job, **fields: Any) -> Pipeline:
    return Pipeline(name="fans", jobs=jobs, **fields)


def same(x: Any) -> Any:
    return x


def wait_for(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def load(runner: Runner, folder: Path, definition: dict[str, Any], **modules: str) -> Pipeline:
    """A definition that was read from a file in `folder`, with modules beside it."""
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    path = folder / "pipeline.json"
    path.write_text(json.dumps({"version": "1.0", "name": "fans", **definition}), encoding="utf-8")
    return runner.load(path)


#: Asks for something, given URL, session, what, and why.
ASKING = """
import sys
import bunsui
with bunsui.Runner(sys.argv[1]) as runner:
    getattr(runner.session(sys.argv[2]), sys.argv[3])(sys.argv[4])
"""
#: Goes on with a session, given URL and session.
RESUMING = """
import sys
import bunsui
with bunsui.Runner(sys.argv[1]) as runner:
    runner.resume(sys.argv[2])
"""


def elsewhere(code: str, *arguments: str) -> None:
    """Runs Python code in another process."""
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, timeout=60)


def items_of(session: Session, job: str = "fan") -> list[str]:
    """The status of each item."""
    items = session.jobs[job].items
    assert items is not None
    return [str(item.status) for item in items]


GATED = """
import os, pathlib, time
import bunsui

HERE = pathlib.Path(__file__).parent

def work(x):
    with open(HERE / "ran", "a") as ran:
        ran.write(f"{x}\\n")
    while not (HERE / "go").exists():
        time.sleep(0.01)
    return x

def total(xs):
    return sum(xs)
"""
GATED_JOBS = {
    "jobs": [
        {
            "id": "fan",
            "type": "custom",
            "callable": "gated:work",
            "for_each": [1, 2, 3, 4, 5],
            "max_concurrency": 2,
            "parameters": {"x": "${item}"},
        },
        {
            "id": "sum",
            "type": "custom",
            "callable": "gated:total",
            "depends_on": ["fan"],
            "parameters": {"xs": "${jobs.fan.output}"},
        },
    ]
}


def ran(folder: Path) -> list[str]:
    """The items that really ran, in order."""
    file = folder / "ran"
    return file.read_text(encoding="utf-8").split() if file.exists() else []


class TestInTheMiddle:
    """Crashes, pauses, cancellations and closes while some items have run and others not."""

    @pytest.mark.parametrize("at_once", [1, 3])
    def test_kill_at_every_append(self, tmp_path: Path, at_once: int) -> None:
        """Items that have ended do not run again, all others do, and the outputs are as if undisturbed."""
        (tmp_path / "tasks.py").write_text(
            "import os\nimport bunsui\n"
            "def work(x):\n"
            "    call = bunsui.current_call()\n"
            "    with open(os.environ['HARNESS_RUNS'], 'a') as ran:\n"
            "        ran.write(f'fan[{call.item_index}]\\n')\n"
            "    if x == 12 and call.attempt == 1:\n"
            "        raise ValueError('again')\n"
            "    return x\n"
            "def make():\n"
            "    with open(os.environ['HARNESS_RUNS'], 'a') as ran:\n"
            "        ran.write('list\\n')\n"
            "    return [10, 11, 12, 13]\n",
            encoding="utf-8",
        )
        jobs = [
            {"id": "list", "type": "custom", "callable": "tasks:make"},
            {
                "id": "fan",
                "type": "custom",
                "callable": "tasks:work",
                "depends_on": ["list"],
                "for_each": "${jobs.list.output}",
                "max_concurrency": at_once,
                "parameters": {"x": "${item}"},
                "retry": {"max_attempts": 2, "delay": 0},
            },
        ]
        definition = tmp_path / "pipeline.json"
        definition.write_text(json.dumps({"version": "1.0", "name": "crash", "jobs": jobs}), encoding="utf-8")
        (tmp_path / "runs").mkdir()
        done = subprocess.run(
            [sys.executable, FIXTURES / "crash_harness.py", definition, tmp_path / "runs", "{}"],
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )
        assert 0 == done.returncode, done.stderr
        results = json.loads(done.stdout)
        crashed = [result for result in results if result["code"] == 99 and result["session"] is not None]

        if at_once == 1:  # Else it depends on what ends together how many commits there are.
            among = {sum(name.startswith("fan[") for name in r["ended_before"]) for r in crashed}
            assert {0, 1, 2, 3, 4} == among
        for result in crashed:
            place = result["failpoint"]
            ended = set(result["ended_before"])
            if {"list", "fan"} <= ended and result["resume_code"] == 1:
                continue  # It had ended: there was nothing to resume.
            assert (place, 0, "succeeded") == (place, result["resume_code"], result["status"])
            assert (place, set()) == (place, ended & set(result["ran_after"]))
            assert (place, {"list": [10, 11, 12, 13], "fan": [10, 11, 12, 13]}) == (place, result["outputs"])
            assert {"list", *(f"fan[{i}]" for i in range(4))} == {*result["ran_before"], *result["ran_after"]}

    def test_pause_and_resume_in_other_processes(self, runner: Runner, url: str, tmp_path: Path) -> None:
        """Items that run end, no further one starts; resumed, only these run."""
        session = runner.start(load(runner, tmp_path, GATED_JOBS, gated=GATED))
        wait_for(lambda: len(ran(tmp_path)) == 2)
        elsewhere(ASKING, url, session.id, "pause", "lunch")
        (tmp_path / "go").touch()

        assert ("paused", 2) == (session.wait(60), len(ran(tmp_path)))
        assert ["succeeded", "succeeded", "pending", "pending", "pending"] == items_of(session)
        elsewhere(RESUMING, url, session.id)

        assert ("succeeded", 15) == (session.status, session.outputs["sum"])
        assert ["1", "2", "3", "4", "5"] == sorted(ran(tmp_path))

    def test_cancel_from_another_process(self, runner: Runner, url: str, tmp_path: Path) -> None:
        """The processes of items that run are ended; nothing else starts."""
        script = (
            "echo $$ > pid.$BUNSUI_PARAM_X.new; mv pid.$BUNSUI_PARAM_X.new pid.$BUNSUI_PARAM_X; sleep 600"
        )
        job = {
            "id": "fan",
            "type": "custom",
            "command": script,
            "shell": True,
            "for_each": [1, 2, 3],
            "max_concurrency": 2,
            "parameters": {"x": "${item}"},
        }
        session = runner.start(load(runner, tmp_path, {"jobs": [job]}))
        wait_for(lambda: (tmp_path / "pid.1").exists() and (tmp_path / "pid.2").exists())
        elsewhere(ASKING, url, session.id, "cancel", "enough")

        assert "cancelled" == session.wait(60)
        assert ["cancelled", "cancelled", "pending"] == items_of(session)
        assert ("cancelled", "enough") == (session.jobs["fan"].status, session.jobs["fan"].reason)
        for x in (1, 2):
            with pytest.raises(ProcessLookupError):
                os.kill(int((tmp_path / f"pid.{x}").read_text()), 0)

    def test_close_in_the_middle(self, url: str, tmp_path: Path) -> None:
        """Items that run may end; another runner goes on with the rest."""
        with Runner(url, autoload_plugins=False) as first:
            session = first.start(load(first, tmp_path, GATED_JOBS, gated=GATED))
            wait_for(lambda: len(ran(tmp_path)) == 2)
            threading.Timer(0.2, (tmp_path / "go").touch).start()
            first.close(timeout=30)
        assert ["succeeded"] * 2 + ["pending"] * 3 == items_of(session)
        with Runner(url, autoload_plugins=False) as second:
            resumed = second.resume(session.id)

        assert ("succeeded", 15, ["1", "2", "3", "4", "5"]) == (
            resumed.status,
            resumed.outputs["sum"],
            sorted(ran(tmp_path)),
        )

    def test_close_at_once_in_the_middle(self, url: str, tmp_path: Path) -> None:
        """Items whose threads could not be ended count as lost: they run again, under the same key."""
        keys: dict[int, list[str]] = {}
        opened = threading.Event()

        def work(x: int) -> int:
            keys.setdefault(x, []).append(current_call().idempotency_key)
            if x and not opened.is_set():
                assert opened.wait(60)
            return x

        pipeline = Pipeline(
            name="fans",
            jobs=[Job("fan", "lambda", {"function": "f"}, for_each=[0, 1, 2], parameters={"x": "${item}"})],
        )
        bindings = {"lambda": {"f": lambda event, context: work(event["x"])}}
        with Runner(url, bindings=bindings, autoload_plugins=False) as first:
            session = first.start(pipeline)
            wait_for(lambda: len(keys) == 3 and items_of(session).count("succeeded") == 1)
            first.close(timeout=0)
        opened.set()
        with Runner(url, bindings=bindings, autoload_plugins=False) as second:
            resumed = second.resume(session.id)

        assert [0, 1, 2] == resumed.outputs["fan"]
        assert [1, 2, 2] == [len(keys[x]) for x in range(3)]
        assert [1, 1, 1] == [len(set(keys[x])) for x in range(3)]

    def test_a_store_that_fails_in_the_middle(self) -> None:
        """Nothing is lost and nothing starts twice."""
        from bunsui.errors import StoreError
        from bunsui.ports.store import Appended
        from bunsui.stores.memory import MemoryStore

        class Flickering(MemoryStore):
            """Every third append fails; every sixth is durable all the same."""

            count = 0

            def append(self, appends: Any) -> list[Appended]:
                self.count += 1
                if self.count % 3:
                    return super().append(appends)
                if self.count % 6 == 0:
                    super().append(appends)
                return [Appended(error=StoreError("disk I/O error")) for _ in appends]

        runs: list[int] = []
        with Runner(Flickering(), autoload_plugins=False) as runner:
            session = runner.run(alone(fan(lambda x: runs.append(x) or x, list(range(8)), max_concurrency=2)))

        assert (list(range(8)), list(range(8))) == (session.outputs["fan"], sorted(runs))

    def test_a_stale_runner_writes_nothing_of_its_items(self, url: str, tmp_path: Path) -> None:
        """Where another runner has taken over, the results of the first one are dropped."""
        with Runner(url, autoload_plugins=False) as first:
            session = first.start(load(first, tmp_path, GATED_JOBS, gated=GATED))
            wait_for(lambda: len(ran(tmp_path)) == 2)
            live = first._control.live(session.id)
            assert live is not None
            with Runner(url, autoload_plugins=False) as second:
                # As one that took this process for dead does.
                taken = second._control.take_over(session.id, orphaned_at=1)
                wait_for(lambda: len(ran(tmp_path)) == 4)
                (tmp_path / "go").touch()
                assert taken.done.wait(60)
            assert live.done.wait(60)

        assert (True, "succeeded", 15) == (live.lost, session.status, session.outputs["sum"])
        counts = {x: ran(tmp_path).count(x) for x in "12345"}
        assert {"1": 2, "2": 2, "3": 1, "4": 1, "5": 1} == counts
