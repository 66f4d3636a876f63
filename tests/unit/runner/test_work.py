"""One attempt: its border, and what the driver and its thread know of each other."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from bunsui.errors import StateError
from bunsui.jobs.custom import CustomJobType
from bunsui.local.supervisor import Supervisor
from bunsui.model.pipeline import Job, Pipeline
from bunsui.ports.job_type import Command, JobCall, JobType, current_call
from bunsui.runner.logs import Logs
from bunsui.runner.work import Host, Work, idempotency_key

NOW = datetime(2024, 1, 2, tzinfo=UTC)


class Desk:
    """Makes work, and takes what it reports."""

    def __init__(self, folder: Path) -> None:
        self.reported: list[Work] = []
        self.supervisor = Supervisor()
        self.host = Host(self.supervisor, Logs(folder / "logs"), lambda: NOW)
        self.pipeline = Pipeline(name="p").at(folder)

    def work(self, function: Any = None, job_type: JobType | None = None, **options: Any) -> Work:
        if function is not None:
            job = Job.from_callable(function, id="a")
        else:
            job = Job(id="a", type="custom", options=options)
        live: Any = SimpleNamespace(id="s1", pipeline=self.pipeline)
        made = Work(live, job, 1, job_type or CustomJobType(), None, {}, job.options, self.host)
        made.report = self.reported.append
        return made


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.supervisor.close()


def test_success(desk: Desk) -> None:
    """An attempt reports itself once, with its output and time."""
    work = desk.work(lambda: [1])
    work()
    assert work.output is not None
    assert ([work], "[1]", None, NOW) == (desk.reported, work.output.text, work.failure, work.finished_at)


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1), KeyboardInterrupt(), RecursionError()])
def test_failure(desk: Desk, error: BaseException) -> None:
    """Whatever is raised stops at the border, and is reported."""

    def fail() -> None:
        raise error

    work = desk.work(fail)
    work()
    assert work.failure is not None
    assert ([work], type(error).__name__, None) == (desk.reported, work.failure.code, work.output)


def test_call_ends_with_the_work(desk: Desk) -> None:
    """After an attempt its thread is in no call any more."""
    desk.work(lambda: current_call().job_id)()
    with pytest.raises(StateError):
        current_call()


def test_async_job_type(desk: Desk) -> None:
    """A job type may be async."""

    class Later(JobType):
        name: ClassVar[str] = "later"
        schema: ClassVar[dict[str, Any]] = {"type": "object"}

        async def run(self, call: JobCall) -> Any:
            return call.attempt

    work = desk.work(job_type=Later())
    work()
    assert work.output is not None
    assert work.output.text == "1"


def test_traceback_that_cant_be_written(desk: Desk, tmp_path: Path) -> None:
    """Where the log can't be written, the error itself is reported all the same."""
    (tmp_path / "logs").write_text("a file in the folder's place")
    work = desk.work(lambda: 1 / 0)
    work()
    assert work.failure is not None
    assert work.failure.code == "ZeroDivisionError"


def test_endable_before_it_begins(desk: Desk) -> None:
    """Work that has not begun needs nobody to end it: it looks at its deadline itself."""
    assert desk.work(lambda: 1).endable


def test_not_endable_in_a_thread(desk: Desk) -> None:
    """Work in a thread can't be ended."""
    seen: list[bool] = []
    work = desk.work(lambda: seen.append(work.endable))
    work()
    assert seen == [False]


def test_endable_as_a_command(desk: Desk) -> None:
    """While a command runs the attempt can be ended; before and after it, only its thread could."""
    seen: list[bool] = []

    class Looking(CustomJobType):
        def run(self, call: JobCall) -> Any:
            seen.append(work.endable)
            worker = threading.Thread(target=lambda: seen.append(wait_for_it()))
            worker.start()
            call.workbench.run(Command(["sleep", "0.3"]), call)
            worker.join()
            seen.append(work.endable)

    def wait_for_it() -> bool:
        deadline = time.monotonic() + 30
        while not work.endable and time.monotonic() < deadline:
            time.sleep(0.01)
        return work.endable

    work = desk.work(job_type=Looking())
    work()
    assert ([False, True, False], None) == (seen, work.failure)


def test_timeout_before_the_beginning(desk: Desk) -> None:
    """Work whose deadline is over when its thread takes it never begins."""
    ran: list[int] = []
    work = desk.work(lambda: ran.append(1))
    work.deadline = time.monotonic() - 1
    work()
    assert work.failure is not None
    expected = ("JobTimeout", "the attempt's timeout was over before it began", [])
    assert expected == (work.failure.code, work.failure.message, ran)


def test_cancel_before_the_beginning(desk: Desk) -> None:
    """Work that was cancelled when its thread takes it never begins."""
    ran: list[int] = []
    work = desk.work(lambda: ran.append(1))
    work.cancel()
    work()
    assert work.failure is not None
    expected = ("JobCancelled", "the attempt was stopped before it began", [])
    assert expected == (work.failure.code, work.failure.message, ran)


def test_one_cancelled_event(desk: Desk) -> None:
    """Threads that ask for the event at once get the same one."""
    for _ in range(50):
        work, barrier, found = desk.work(lambda: 1), threading.Barrier(4), set()

        def ask(work: Work = work, barrier: Any = barrier, found: set[int] = found) -> None:
            barrier.wait(20)
            found.add(id(work.cancelled))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 1


def test_idempotency_key() -> None:
    """The key is 64 hexadecimal digits, the same each time, and another for each attempt, job and session."""
    keys = [idempotency_key(*each) for each in [("s", "a", 1), ("s", "a", 2), ("s", "b", 1), ("t", "a", 1)]]
    same = idempotency_key("s", "a", 1)
    assert (4, 64, same) == (len(set(keys)), len(same), keys[0])
