"""One attempt: its border, and what the driver and its thread know of each other."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bunsui.errors import StateError
from bunsui.expressions.resolution import Hidden
from bunsui.jobs.custom import CustomJobType
from bunsui.local.results import MAX_MESSAGE
from bunsui.local.supervisor import Supervisor
from bunsui.model.pipeline import Job, Pipeline
from bunsui.ports.job_type import Command, JobCall, JobType, current_call
from bunsui.runner.attempts.event_loop import EventLoop
from bunsui.runner.attempts.host import Host
from bunsui.runner.attempts.idempotency import idempotency_key
from bunsui.runner.attempts.keeping import Keeping
from bunsui.runner.attempts.kept_secrets import KeptSecrets
from bunsui.runner.attempts.logs import Logs
from bunsui.runner.attempts.work import Work
from bunsui.runner.clock import SystemClock

NOW = datetime(2024, 1, 2, tzinfo=UTC)


class Noon(SystemClock):
    """Its wall clock stands still."""

    def now(self) -> datetime:
        return NOW


class Desk:
    """Makes work, and takes what it reports."""

    def __init__(self, folder: Path) -> None:
        self.reported: list[Work] = []
        self.supervisor = Supervisor()
        self.event_loop = EventLoop()
        self.secrets: dict[str, str] = {}
        keeping = Keeping(None, Noon(), 1.0)

        def secret(name: str, _: KeptSecrets) -> str:
            return self.secrets[name]

        self.host = Host(self.supervisor, Logs(folder / "logs"), Noon(), secret, self.event_loop, keeping)
        self.pipeline = Pipeline(name="p", jobs=[Job("a", "custom", {"command": ["true"]})]).at(folder)

    def work(self, function: Any = None, job_type: JobType | None = None, **options: Any) -> Work:
        if function is not None:
            job = Job.from_callable(function, id="a")
        else:
            job = Job(id="a", type="custom", options=options)
        live: Any = SimpleNamespace(
            id="s1", pipeline=self.pipeline, callable_folders=(), secrets=KeptSecrets()
        )
        made = Work(live, job, 1, job_type or CustomJobType(), None, {}, job.options, self.host)
        made.report = self.reported.append
        return made


def messages(work: Work) -> list[str]:
    """What is in the log of some work."""
    lines = (work.log.files.parent / "a.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["message"] for line in lines]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.event_loop.close()
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


def test_idempotency_key_of_items() -> None:
    """Each item has keys of its own, which are not those of the job, nor of a job of another name."""
    items = [idempotency_key("s", "a", 1, item) for item in (None, 0, 1, 10)]
    others = [idempotency_key("s", "a", 11, 0), idempotency_key("s", "a0", 1)]
    assert 6 == len({*items, *others})


def into(found: list[str]) -> Any:
    """A job that notes the secret that it is given."""

    def take(password: str) -> None:
        found.append(password)

    return take


class TestSecrets:
    """Work that is given secrets."""

    VALUE = 'hunter2"\u00e9/'

    def secret(self, desk: Desk, function: Any, parameters: Any = None) -> Work:
        """Work whose `password` is the secret `db`."""
        desk.secrets["db"] = self.VALUE
        work = desk.work(function)
        work.parameters = parameters or {"password": Hidden((("db",),))}
        work.secrets = ("db",)
        return work

    def test_they_are_put_in_when_it_begins(self, desk: Desk) -> None:
        """Not before."""
        seen: list[str] = []
        work = self.secret(desk, into(seen))
        before = repr(work.parameters)
        work()
        assert ([self.VALUE], False) == (seen, "hunter2" in before)

    def test_one_that_cant_be_had(self, desk: Desk) -> None:
        """The attempt fails; its code is not called."""
        called: list[str] = []
        work = self.secret(desk, into(called))
        work.secrets = ("other",)
        work()
        assert work.failure is not None
        assert ("KeyError", [], [work]) == (work.failure.code, called, desk.reported)

    def test_stopped_while_it_was_asked_for(self, desk: Desk) -> None:
        """Its code is not called."""
        called: list[str] = []
        work = self.secret(desk, into(called))

        def secret(name: str, _: KeptSecrets) -> str:
            work.cancel()
            return self.VALUE

        desk.host.secret = secret
        work()
        assert work.failure is not None
        assert ("JobCancelled", []) == (work.failure.code, called)

    def test_a_failure_is_masked(self, desk: Desk) -> None:
        """Its code, its message, and the traceback in the log."""

        def fail(password: str) -> None:
            raise type(password, (Exception,), {})(f"it is {password!r}")

        work = self.secret(desk, fail)
        work()
        assert work.failure is not None
        assert ("***", "it is '***'") == (work.failure.code, work.failure.message)
        log = (work.log.files.parent / "a.jsonl").read_text(encoding="utf-8")
        assert ("it is '***'" in log, "hunter2" in log) == (True, False)

    def test_a_long_failure_is_masked_before_it_is_cut(self, desk: Desk) -> None:
        """Half of a value would be shown else."""

        def fail(password: str) -> None:
            raise ValueError("x" * (MAX_MESSAGE - 4) + password)

        work = self.secret(desk, fail)
        work()
        assert work.failure is not None
        assert "x***" == work.failure.message[-4:]

    def test_its_logger_masks(self, desk: Desk) -> None:
        """Also what is logged with an exception, and what can't be logged."""

        def log(password: str) -> None:
            logger = current_call().logger
            logger.info("a %s", {"p": password})
            logger.info("%d", password)

        work = self.secret(desk, log)
        work()
        first, second = messages(work)
        assert "a {'p': '***'}" == first
        assert second.startswith("a log record from test_work.py:")

    def test_it_is_not_given_back(self, desk: Desk) -> None:
        """An output that holds the value fails the attempt."""
        work = self.secret(desk, lambda password: [{"deep": f"a {password}"}])
        work()
        assert work.failure is not None
        assert ("SecretInOutput", False, None) == (work.failure.code, work.failure.retryable, work.output)

    def test_another_output_is_kept(self, desk: Desk) -> None:
        """As it is."""
        work = self.secret(desk, len_of)
        work()
        assert work.output is not None
        assert str(len(self.VALUE)) == work.output.text


def len_of(password: str) -> int:
    return len(password)
