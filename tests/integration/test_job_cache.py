"""Jobs that take the output of an equal earlier one, and what makes two equal."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui import CacheManager, Job, Pipeline, Runner
from bunsui.engine import events as ev
from bunsui.errors import StoreError
from bunsui.model.json import MAX_DEPTH
from bunsui.ports.remote import Succeeded
from bunsui.runner.attempts import artifacts
from bunsui.runner.attempts.caching import NAMESPACE
from bunsui.stores.memory import MemoryStore
from bunsui.stores.sqlite import SqliteStore
from bunsui_tests.conditions import until
from bunsui_tests.services import Service, ServicePlugin

TASKS = """
import json, os, time
from pathlib import Path

def ran(*what):
    with (Path(__file__).parent / "ran").open("a") as file:
        file.write(json.dumps(what) + "\\n")

def task(**given):
    ran(given)
    return {"given": given}

def large(size):
    ran(size)
    return "x" * size

def slow(seconds):
    ran(seconds)
    time.sleep(seconds)
    return seconds

def secret(key):
    ran(len(key))
    return len(key)

def flaky():
    ran("flaky")
    raise ValueError("no")

async def later():
    ran("later")
    return "later"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where definitions, their tasks and the store lie."""
    (tmp_path / "tasks.py").write_text(TASKS, encoding="utf-8")
    return tmp_path


@pytest.fixture
def runner(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runner]:
    """A runner on the real disk."""
    monkeypatch.setenv("CACHE_SECRET", "open sesame 123")
    config = {"secrets": {"one": "env:CACHE_SECRET", "two": "env:CACHE_SECRET"}}
    with Runner(f"sqlite:///{folder}/store.db", autoload_plugins=False, config=config) as made:
        yield made


def write(folder: Path, *jobs: str, more: str = "") -> Path:
    """A definition of these jobs, in the folder."""
    path = folder / "p.yaml"
    lines = "".join(f"  - {{{job}}}\n" for job in jobs)
    path.write_text(f'version: "1.0"\nname: p\n{more}jobs:\n{lines}', encoding="utf-8")
    return path


def run(runner: Runner, folder: Path, *jobs: str, more: str = "", **parameters: Any) -> bunsui.Session:
    """Runs these jobs."""
    return runner.run(runner.load(write(folder, *jobs, more=more)), parameters)


def ran(folder: Path) -> int:
    """How often tasks ran."""
    file = folder / "ran"
    return len(file.read_text().splitlines()) if file.exists() else 0


def from_(session: bunsui.Session, job: str = "a") -> str | None:
    """The session whose output it is."""
    return session.jobs[job].attempts[-1].cached_from


A = 'id: a, type: custom, callable: "tasks:task", '


class TestEqual:
    """What makes two jobs equal."""

    def test_the_second_takes_the_output_of_the_first(self, runner: Runner, folder: Path) -> None:
        """It says whose, in the state and in the history; a third one names the first, too."""
        sessions = [run(runner, folder, A + "parameters: {x: 1}, cache: {}") for _ in range(3)]
        assert [None, sessions[0].id, sessions[0].id] == [from_(session) for session in sessions]
        assert (1, [{"a": {"given": {"x": 1}}}] * 3) == (
            ran(folder),
            [session.outputs for session in sessions],
        )
        (event,) = [event for event in sessions[1].events() if isinstance(event, ev.JobSucceeded)]
        assert sessions[0].id == event.cached_from
        with Runner(f"sqlite:///{folder}/store.db", autoload_plugins=False) as other:
            assert sessions[0].id == from_(other.session(sessions[2].id))

    @pytest.mark.parametrize(
        ("first", "second", "is_equal"),
        [
            ("parameters: {x: 1}, cache: {}", "parameters: {x: 2}, cache: {}", False),
            ("parameters: {x: 1}, cache: {}", "parameters: {x: '1'}, cache: {}", False),
            ("parameters: {x: 1}, cache: {}", "parameters: {x: 1}", False),
            ("parameters: {x: 1, y: 2}, cache: {}", "parameters: {y: 2, x: 1}, cache: {ttl: 5}", True),
            ("parameters: {x: 1}, cache: {}", "parameters: {x: '${n}'}, cache: {}", True),
            ("parameters: {x: 1}, cache: {key: k}", "parameters: {x: 2}, cache: {key: k}", True),
            ("parameters: {x: 1}, cache: {key: [1]}", "parameters: {x: 1}, cache: {key: [2]}", False),
            ("parameters: {x: 1}, cache: {key: '${n}'}", "parameters: {x: 2}, cache: {key: 1}", True),
            ("parameters: {x: 1}, cache: {key: k}", "parameters: {x: 1}, cache: {}", False),
        ],
    )
    def test_parameters_and_keys(
        self, runner: Runner, folder: Path, first: str, second: str, is_equal: bool
    ) -> None:
        """All resolved, in any order; with a key the key alone."""
        more = "parameters: [{name: n, type: integer, default: 1}]\n"
        one = run(runner, folder, A + first, more=more)
        two = run(runner, folder, A + second, more=more)
        assert (one.id if is_equal else None) == from_(two)
        assert (1 if is_equal else 2) == ran(folder)

    def test_other_code_and_other_folders_are_not_equal(self, runner: Runner, folder: Path) -> None:
        """A relative command in another folder is another program."""
        run(runner, folder, A + "cache: {}")
        assert None is from_(run(runner, folder, 'id: a, type: custom, callable: "tasks:later", cache: {}'))
        other = folder / "other"
        other.mkdir()
        (other / "tasks.py").write_text(TASKS, encoding="utf-8")
        assert None is from_(run(runner, other, A + "cache: {}"))
        assert (2, 1) == (ran(folder), ran(other))

    def test_secrets_count_by_their_names(self, runner: Runner, folder: Path) -> None:
        """Not by their values, and nothing of these is in the store."""
        job = 'id: a, type: custom, callable: "tasks:secret", cache: {}, parameters: {key: "${secrets.%s}"}'
        first = run(runner, folder, job % "one")
        assert first.id == from_(run(runner, folder, job % "one"))
        assert None is from_(run(runner, folder, job % "two"))
        assert not any(b"open sesame" in path.read_bytes() for path in folder.rglob("*") if path.is_file())

    def test_each_item_counts_by_itself(self, runner: Runner, folder: Path) -> None:
        """An item that another session had is taken over; the order of the list does not count."""
        job = A + "for_each: %s, parameters: {x: '${item}'}, cache: {}"
        first = run(runner, folder, job % "[1, 2]")
        second = run(runner, folder, job % "[3, 2, 1]")
        items = second.jobs["a"].items or ()
        assert [None, first.id, first.id] == [item.attempts[0].cached_from for item in items]
        assert [{"given": {"x": x}} for x in (3, 2, 1)] == second.outputs["a"]

    def test_a_local_function_has_its_key(self, runner: Runner) -> None:
        """Which is what makes it equal."""
        calls: list[int] = []

        def count() -> int:
            calls.append(1)
            return len(calls)

        jobs = [Job.from_callable(count, id="a", cache={"key": "v1"})]
        assert [1, 1] == [runner.run(Pipeline("p", jobs)).outputs["a"] for _ in range(2)]


class TestKept:
    """What is kept, for how long, and what happens where it can't be."""

    def test_a_failure_is_not_kept(self, runner: Runner, folder: Path) -> None:
        """The next one runs; so does the next attempt."""
        job = 'id: a, type: custom, callable: "tasks:flaky", cache: {}, retry: {max_attempts: 2, delay: 0}'
        assert ["failed"] * 2 == [run(runner, folder, job).status for _ in range(2)]
        assert 4 == ran(folder)

    def test_an_output_that_can_not_be_kept(
        self, runner: Runner, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It leaves nothing behind that an equal job would take."""
        monkeypatch.setattr(artifacts, "MAX_ARTIFACT", 100_000)
        job = 'id: a, type: custom, callable: "tasks:large", cache: {}, parameters: {size: 200000}'
        errors = [run(runner, folder, job).jobs["a"].error for _ in range(2)]
        assert (["OutputTooLarge"] * 2, 2) == ([error.code for error in errors if error], ran(folder))

    def test_its_time(self, runner: Runner, folder: Path) -> None:
        """After that it runs again."""
        job = A + "cache: {ttl: 0.5}"
        run(runner, folder, job)
        time.sleep(0.6)
        assert (None, 2) == (from_(run(runner, folder, job)), ran(folder))

    def test_null_is_kept(self, runner: Runner) -> None:
        """It is an output as any other."""
        jobs = [Job.from_callable(lambda: None, id="a", cache={"key": "null"})]
        first = runner.run(Pipeline("p", jobs))
        second = runner.run(Pipeline("p", jobs))
        assert (first.id, None) == (from_(second), second.outputs["a"])

    def test_the_deepest_is_kept(self, runner: Runner) -> None:
        """With as many levels as an output may have."""
        jobs = [Job.from_callable(lambda: json.loads(deepest), id="a", cache={"key": "deep"})]
        deepest = "[" * MAX_DEPTH + "]" * MAX_DEPTH
        first = runner.run(Pipeline("p", jobs))
        second = runner.run(Pipeline("p", jobs))
        assert ("succeeded", first.id, deepest) == (
            first.status,
            from_(second),
            json.dumps(second.outputs["a"]),
        )

    def test_large_outputs(self, runner: Runner, folder: Path) -> None:
        """The file is shared, and stays when the session that made it goes; one that is lost is made anew."""
        job = 'id: a, type: custom, callable: "tasks:large", cache: {}, parameters: {size: 50000}'
        first, second = run(runner, folder, job), run(runner, folder, job)
        assert (first.id, 1) == (from_(second), ran(folder))
        place = folder / "store.db-artifacts"
        for path in (place / first.id).iterdir():
            path.unlink()
        assert "x" * 50_000 == second.outputs["a"]
        third = run(runner, folder, job)
        assert (None, 2, "x" * 50_000) == (from_(third), ran(folder), third.outputs["a"])
        assert third.id == from_(run(runner, folder, job))

    @pytest.mark.parametrize("size", [32_766, 32_767])
    def test_at_the_limit(self, runner: Runner, folder: Path, size: int) -> None:
        """The largest in the history, and the smallest that is a file."""
        job = f'id: a, type: custom, callable: "tasks:large", cache: {{}}, parameters: {{size: {size}}}'
        first = run(runner, folder, job)
        assert first.id == from_(run(runner, folder, job))

    def test_async_code(self, runner: Runner, folder: Path) -> None:
        """It is waited for in a thread, and kept."""
        job = 'id: a, type: custom, callable: "tasks:later", cache: {}'
        first, second = run(runner, folder, job), run(runner, folder, job)
        assert (first.id, "later", 1) == (from_(second), second.outputs["a"], ran(folder))

    def test_clearing(self, runner: Runner, folder: Path) -> None:
        """The guide says how."""
        run(runner, folder, A + "cache: {}")
        CacheManager(runner.store, namespace=NAMESPACE).clear()
        time.sleep(1.1)
        assert None is from_(run(runner, folder, A + "cache: {}"))

    def test_a_cache_that_fails(self, folder: Path) -> None:
        """The job runs."""

        class NoCache(SqliteStore):
            def get(self, kind: str, key: str) -> Any:
                if kind.startswith("cache"):
                    raise StoreError("no cache")
                return super().get(kind, key)

            def put(self, kind: str, *arguments: Any, **more: Any) -> int:
                if kind.startswith("cache"):
                    raise StoreError("no cache")
                return super().put(kind, *arguments, **more)

        store = NoCache(folder / "store.db")
        with Runner(store, autoload_plugins=False) as runner:
            first = run(runner, folder, A + "cache: {}")
            time.sleep(1.1)  # The memory of this process has it for a second.
            sessions = [first, run(runner, folder, A + "cache: {}")]
        store.close()
        assert (["succeeded"] * 2, 2) == ([session.status for session in sessions], ran(folder))

    def test_the_command_says_so(self, folder: Path) -> None:
        """Progress names the session."""
        path = write(folder, A + "cache: {}")
        command = [sys.executable, "-m", "bunsui", "run", path, "--store", f"sqlite:///{folder}/store.db"]
        shown = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)]
        assert (["cached from" in text for text in shown], 1) == ([False, True], ran(folder))


class TestAtOnce:
    """Of equal jobs at the same time one runs."""

    def test_in_one_session(self, runner: Runner, folder: Path) -> None:
        """The others wait for it."""
        job = 'type: custom, callable: "tasks:slow", cache: {}, parameters: {seconds: 0.3}'
        session = run(runner, folder, *(f"id: {name}, {job}" for name in "abcd"))
        whose = sorted(str(from_(session, name)) for name in "abcd")
        assert ("succeeded", 1, sorted([session.id] * 3 + ["None"])) == (session.status, ran(folder), whose)

    def test_in_several_processes(self, folder: Path) -> None:
        """Through the store."""
        path = write(
            folder, 'id: a, type: custom, callable: "tasks:slow", cache: {}, parameters: {seconds: 1}'
        )
        command = [sys.executable, "-m", "bunsui", "run", path, "--store", f"sqlite:///{folder}/store.db"]
        processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(3)]
        assert ([0] * 3, 1) == ([process.wait(60) for process in processes], ran(folder))

    def test_who_waits_has_its_own_timeout_and_can_be_cancelled(self, runner: Runner, folder: Path) -> None:
        """Waiting counts; the one that runs goes on."""
        job = 'type: custom, callable: "tasks:slow", cache: {key: k}, parameters: {seconds: 3}'
        session = run(
            runner,
            folder,
            f"id: a, {job}",
            'id: first, type: custom, callable: "tasks:slow", parameters: {seconds: 0.3}',
            f"id: b, {job}, depends_on: [first], timeout: 0.5",
        )
        error = session.jobs["b"].error
        assert error is not None
        assert ("JobTimeout", "succeeded", 2) == (error.code, session.jobs["a"].status, ran(folder))

    def test_one_that_fails_is_followed_by_another(self, runner: Runner) -> None:
        """Its failure is its own."""
        lock, calls = threading.Lock(), []

        def once() -> str:
            with lock:
                calls.append(1)
                first = len(calls) == 1
            time.sleep(0.2)
            if first:
                raise ValueError("the first one")
            return "second"

        jobs = [Job.from_callable(once, id=name, cache={"key": "k"}) for name in "ab"]
        session = runner.run(Pipeline("p", jobs))
        assert (2, ["failed", "succeeded"]) == (
            len(calls),
            sorted(str(s.status) for s in session.jobs.values()),
        )


def test_work_at_a_service(folder: Path) -> None:
    """It is not submitted where an equal one has succeeded."""
    submitted: list[Any] = []

    class Counting(Service):
        def submit(self, call: Any) -> Any:
            submitted.append(call.parameters)
            return len(submitted)

        def outcome(self, handle: Any) -> Any:
            return Succeeded(["x" * 40_000, handle])

    pipeline = Pipeline("p", [Job("a", "service", parameters={"x": 1}, cache={})])
    with Runner(
        f"sqlite:///{folder}/store.db", autoload_plugins=False, plugins=[ServicePlugin(Counting())]
    ) as runner:
        first = runner.run(pipeline)
        until(lambda: runner.store.find("cache"))
        second = runner.run(pipeline)
    assert (first.id, first.outputs, 1) == (from_(second), second.outputs, len(submitted))


def test_memory_stores_have_it_too() -> None:
    """But for outputs that would be files."""
    jobs = [
        Job.from_callable(lambda: "x" * 10, id="small", cache={"key": "s"}),
        Job.from_callable(lambda: "x" * 40_000, id="large", cache={"key": "l"}),
    ]
    with Runner(MemoryStore(), autoload_plugins=False) as runner:
        first, second = (runner.run(Pipeline("p", jobs)) for _ in range(2))
    assert (first.id, None) == (from_(second, "small"), from_(second, "large"))
