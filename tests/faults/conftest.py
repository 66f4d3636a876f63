"""Real processes on a real disk, and what is true of a session whatever is done to them.

A sample runs with all other tests; with ``BUNSUI_FAULTS=full`` as many rounds as the promises name.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field, frozen

from bunsui.engine import events as ev
from bunsui.engine.fold import Fold
from bunsui.engine.transitions import IllegalTransition
from bunsui.stores.dynamodb import DynamoDbStore
from bunsui.stores.records import decode_body
from bunsui.stores.sqlite import SqliteStore
from bunsui_tests.aws.emulators import Emulator
from bunsui_tests.aws.environment import REGION
from bunsui_tests.aws.environment import environment as aws_variables

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
FULL = os.environ.get("BUNSUI_FAULTS") == "full"
#: Seconds that a test may take with all its rounds.
FULL_TIMEOUT = 3600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives all rounds the time that they take."""
    for item in items:
        if FULL and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(FULL_TIMEOUT))


@pytest.fixture
def rounds() -> Callable[[int, int], int]:
    """How many rounds are made: all of them, or a sample."""

    def rounds(full: int, sample: int) -> int:
        return full if FULL else sample

    return rounds


@frozen
class Trace:
    """A job ran, in some process."""

    job: str
    attempt: int
    pid: int
    #: When (seconds since 1970).
    began: float


@define
class Claim:
    """What happened under a claim."""

    event: ev.RunnerClaimed
    started: set[str] = field(factory=set)
    #: The jobs that were recorded as ended, and the processes that their outputs name.
    ended: dict[str, int] = field(factory=dict)

    @property
    def pid(self) -> int:
        """The process of the runner."""
        return int(self.event.process["pid"])


@define
class History:
    """A session, as its commits and the traces of its jobs tell it."""

    commits: list[tuple[int, str, list[ev.Event]]]
    traces: list[Trace]

    @property
    def events(self) -> list[ev.Event]:
        """All facts, oldest first."""
        return [event for _, _, events in self.commits for event in events]

    @property
    def epochs(self) -> list[int]:
        """The claims, oldest first."""
        return [event.epoch for event in self.events if isinstance(event, ev.RunnerClaimed)]

    @property
    def is_held(self) -> bool:
        """Whether some runner's claim holds."""
        claims = [e for e in self.events if isinstance(e, ev.RunnerClaimed | ev.RunnerReleased)]
        return bool(claims) and isinstance(claims[-1], ev.RunnerClaimed)

    @property
    def has_succeeded(self) -> bool:
        """Whether its end is recorded."""
        return any(isinstance(event, ev.SessionSucceeded) for event in self.events)

    @property
    def claims(self) -> list[Claim]:
        """What happened under each claim."""
        claims: list[Claim] = []
        for event in self.events:
            if isinstance(event, ev.RunnerClaimed):
                claims.append(Claim(event))
            elif isinstance(event, ev.JobStarted):
                claims[-1].started.add(event.job)
            elif isinstance(event, ev.JobSucceeded):
                claims[-1].ended[event.job] = json.loads(event.output.text)["pid"]
        return claims

    @property
    def late(self) -> list[Trace]:
        """Jobs that began in a process whose claim was over."""
        claims = self.claims
        over = {old.pid: new.event.at for old, new in pairwise(claims)}
        return [
            trace
            for trace in self.traces
            if trace.pid in over and datetime.fromtimestamp(trace.began, UTC) > over[trace.pid]
        ]

    def wrong(self) -> list[str]:
        """What must never be, and is."""
        return [*self._wrong_commits(), *self._wrong_events(), *self._wrong_work()]

    def _wrong_commits(self) -> Iterator[str]:
        """Between two claims, all commits are of the runner that has claimed."""
        writer = None
        for position, id_, events in self.commits:
            token = id_.rpartition("-")[0]
            if any(isinstance(event, ev.RunnerClaimed) for event in events):
                writer = token
            elif token != writer:
                yield f"commit {position} was appended by a runner whose claim was over"

    def _wrong_events(self) -> Iterator[str]:
        jobs = {event.job for event in self.events if isinstance(event, ev.JobEvent)}
        fold = Fold(dict.fromkeys(jobs, ()))
        last = None
        for event in self.events:
            try:
                fold.apply(event)
            except IllegalTransition as error:
                yield f"illegal: {error}"
                return
            if last is not None and event.at < last:
                yield f"{type(event).__name__} is older than the event before it"
            last = event.at
        if self.epochs != list(range(1, len(self.epochs) + 1)):
            yield f"the epochs are {self.epochs}"

    def _wrong_work(self) -> Iterator[str]:
        """What ran, and what is said to have run."""
        runs = Counter((trace.job, trace.pid) for trace in self.traces)
        ended: set[str] = set()
        allowed: set[tuple[str, int]] = set()
        for claim in self.claims:
            for job, pid in claim.ended.items():
                if pid != claim.pid:
                    yield f"{job} ran in process {pid}, and process {claim.pid} recorded it"
                if not runs[job, claim.pid]:
                    yield f"{job} is recorded as ended, and never ran"
            allowed |= {(job, claim.pid) for job in claim.started - ended}
            ended |= claim.ended.keys()
        for (job, pid), count in runs.items():
            if (job, pid) not in allowed:
                yield f"{job} ran in process {pid}, which had not recorded its start, or not in time"
            if count > 1:
                yield f"{job} ran {count} times in process {pid}"


class Worker:
    """A process with a Runner; see fault_worker.py."""

    def __init__(self, folder: Path, options: dict[str, Any]) -> None:
        self.errors = folder / f"worker-{time.monotonic_ns()}.err"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, FIXTURES / "fault_worker.py", json.dumps(options)],
                env=environment(folder),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                bufsize=0,
            )
        self.pid = self.process.pid

    def tell(self, do: str, **arguments: Any) -> None:
        """Has it do something; `answer` says what came of it."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")

    def has_answered(self, seconds: float = 0.0) -> bool:
        """Whether there is an answer, within some seconds."""
        return bool(select.select([self.process.stdout], [], [], seconds)[0])

    def answer(self, seconds: float = 150.0) -> dict[str, Any]:
        """The answer to what it was told."""
        assert self.process.stdout is not None
        assert self.has_answered(seconds), f"no answer within {seconds} s; {self.errors.read_text()}"
        line = self.process.stdout.readline()
        assert line, f"the worker ended; {self.errors.read_text()}"
        return dict(json.loads(line))

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Tells it to do something, and waits for the answer."""
        self.tell(do, **arguments)
        return self.answer()

    def freeze(self) -> None:
        """Stops it, and returns when it has stopped."""
        os.kill(self.pid, signal.SIGSTOP)
        self.await_stop()

    def await_stop(self) -> None:
        """Returns when it has stopped."""
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), self.errors.read_text()

    def wake(self) -> None:
        """Lets it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def end(self) -> None:
        """Kills it."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def environment(folder: Path) -> dict[str, str]:
    """The environment of a process whose jobs leave traces, and find their modules."""
    path = f"{FIXTURES}:{os.environ.get('PYTHONPATH', '')}"
    # Whoever waits for a lease waits for ever.
    return {**os.environ, "PYTHONPATH": path, "FAULT_TRACES": str(folder / "traces"), "BUNSUI_LEASE": "3600"}


class Bench:
    """A store, the processes that use it, and the histories in it.

    Args:
        folder: Where the traces of jobs are, and the store that is a file.
        store: Another one, in DynamoDB.
    """

    def __init__(self, folder: Path, store: DynamoDbStore | None = None) -> None:
        self.folder = folder
        self.path = folder / "store.db"
        self.url = f"sqlite:///{self.path}" if store is None else store.url
        self.environment = environment(folder)
        self.store = store or SqliteStore(self.path)
        self._workers: list[Worker] = []
        self._programs: list[subprocess.Popen[str]] = []
        (folder / "traces").mkdir()

    def worker(self, lease: float = 30.0, lock_timeout: float = 5.0, **more: Any) -> Worker:
        """A process with a Runner; see fault_worker.py for the options."""
        options = {"url": self.url, "lease": lease, "lock_timeout": lock_timeout, **more}
        worker = Worker(self.folder, options)
        self._workers.append(worker)
        return worker

    def program(self, *arguments: str | Path, folder: Path | None = None) -> subprocess.Popen[str]:
        """A Python process of another kind, with all that it says."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=folder, env=self.environment, text=True, **pipes
        )
        self._programs.append(process)
        return process

    def history(self, session: str) -> History:
        """A session as it is now."""
        commits = [
            (commit.position, commit.id, decode_body(commit.body, f"commit {commit.position}"))
            for commit in self.store.read(session)
        ]
        return History(commits, self.traces(session))

    def traces(self, session: str) -> list[Trace]:
        """What has really run."""
        file = self.folder / "traces" / f"{session}.jsonl"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return [Trace(**json.loads(line)) for line in lines]

    def until(self, condition: Callable[[], Any], seconds: float = 60.0) -> None:
        """Waits until something is so."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds} s"
            time.sleep(0.005)

    def close(self) -> None:
        """Ends all processes."""
        for worker in self._workers:
            worker.end()
        for program in self._programs:
            with program:
                program.kill()
        self.store.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A store on the disk, and processes that use it."""
    made = Bench(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A bench for all tests of a module: processes take their time to start."""
    made = Bench(tmp_path_factory.mktemp("shared"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def tables(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Makes the same on a table of DynamoDB, in an emulator of this name."""
    with contextlib.ExitStack() as open_:
        yield lambda name: open_.enter_context(
            _table_bench(request.getfixturevalue(f"_{name}"), tmp_path_factory.mktemp("table"))
        )


@contextlib.contextmanager
def _table_bench(emulator: Emulator, folder: Path) -> Iterator[Bench]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in aws_variables().items():
            patch.setenv(name, value)
        store = DynamoDbStore(f"dynamodb://races?region={REGION}&endpoint_url={emulator.url}")
        store.create()
        made = Bench(folder, store)
        yield made
        made.close()
