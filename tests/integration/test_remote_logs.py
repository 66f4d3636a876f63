"""The logs that jobs have at AWS, read with those that are here."""

from __future__ import annotations

import itertools
import json
import os
import queue
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

import bunsui
from bunsui.cli.main import run as command
from bunsui.model.log import LogRecord
from bunsui.ports.hooks import hookimpl
from bunsui.ports.remote_log import TAIL
from bunsui.runner.attempts.remote_work import HIDDEN
from bunsui.runner.clock import SystemClock
from bunsui.runner.surroundings import Surroundings
from bunsui_tests.aws.ecs_tasks import Script, Task
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.functions import FunctionDied
from bunsui_tests.conditions import until

pytestmark = pytest.mark.usefixtures("aws_environment")

#: The log driver of a container, as its definition names it.
AWSLOGS = {
    "logDriver": "awslogs",
    "options": {
        "awslogs-group": "/etl",
        "awslogs-region": "eu-central-1",
        "awslogs-stream-prefix": "job",
    },
}


class Clock(SystemClock):
    """This machine's, and as much later as it is told."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.ahead)

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


class Runner(bunsui.Runner):
    """A runner whose clock can be put on."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self.clock = Clock()
        super().__init__(*arguments, **keywords)

    def _surroundings(self) -> Surroundings:
        return Surroundings(clock=self.clock)


@pytest.fixture
def runner(fake_aws: FakeAws) -> Iterator[Runner]:
    with Runner("memory://", aws={"endpoint_url": fake_aws.url}, autoload_plugins=False) as made:
        yield made


def soon(work: Callable[[Task], Any]) -> Callable[[Task], Script]:
    """Tasks that run at once, and end when they are first asked for; what `work` returns does not matter."""

    def script(task: Task) -> Script:
        task.move("RUNNING")

        def do(task: Task) -> None:
            work(task)

        return Script(work=do)

    return script


def stream(task: Task) -> str:
    """The stream of a task's log."""
    return f"job/main/{task.id}"


def ecs(fake_aws: FakeAws, *lines: str, container: dict[str, Any] | None = None) -> bunsui.Job:
    """A job whose task logs some lines."""
    fake_aws.ecs.define("etl", {"name": "main", "logConfiguration": AWSLOGS, **(container or {})})
    fake_aws.ecs.script = soon(lambda task: fake_aws.logs.put("/etl", stream(task), *lines))
    return bunsui.Job("task", "ecs", {"task_definition": "etl"})


def of_lambda(fake_aws: FakeAws, *lines: str, name: str = "load", **configuration: Any) -> bunsui.Job:
    """A job whose function logs some lines."""

    def body(*_: Any) -> int:
        for line in lines:
            fake_aws.functions.log(line)
        return len(lines)

    fake_aws.functions.add(name, body, **configuration)
    return bunsui.Job(name, "lambda", {"function": name})


def run(runner: bunsui.Runner, *jobs: bunsui.Job) -> bunsui.Session:
    """A session of these jobs that has ended, whose runner is closed."""
    session = runner.run(bunsui.Pipeline("p", jobs))
    runner.close()
    return session


def messages(records: Any) -> list[str]:
    return [record.message for record in records]


def own(records: Any) -> list[str]:
    """What a function itself has logged."""
    return [each for each in messages(records) if not each.startswith(("START", "END", "REPORT"))]


#: More than an answer of Lambda has.
LONG = [f"line {number} {'-' * 60}" for number in range(200)]


class TestTasks:
    """ECS tasks, whose logs are streams of CloudWatch Logs."""

    def test_lines(self, fake_aws: FakeAws, runner: Runner) -> None:
        """The lines are records of their job, also when the runner is closed, whose connections then are."""
        session = run(runner, ecs(fake_aws, "begin", "end\n"))
        found = list(session.logs())
        assert [("begin", "stdout", 1, None, "INFO"), ("end", "stdout", 1, None, "INFO")] == [
            (each.message, each.stream, each.attempt, each.item, each.level) for each in found
        ]
        assert {("task", None)} == {(each.job, each.logger) for each in found}
        attempt = session.jobs["task"].attempts[0]
        assert attempt.finished_at is not None
        assert attempt.started_at - timedelta(seconds=1) <= found[0].time <= attempt.finished_at

    def test_nobody_reads(self, fake_aws: FakeAws, runner: Runner) -> None:
        """No call is made for a log that nobody reads, nor for that of a job that is not asked for."""
        other = bunsui.Job("other", "custom", {"command": ["echo", "here"]})
        session = run(runner, ecs(fake_aws, "there"), other)
        session.logs()
        assert ["here"] == messages(session.logs("other"))
        assert not fake_aws.called("logs")
        assert ["there"] == messages(session.logs("task"))

    def test_by_time(self, fake_aws: FakeAws, runner: Runner) -> None:
        """They are merged with the records of other jobs by time."""

        def work(task: Task) -> None:
            now = int(datetime.now(UTC).timestamp() * 1000)
            for text, at in (("early", now - 10_000), ("late", now + 60_000)):
                fake_aws.logs.put("/etl", stream(task), text, timestamp=at)

        job = ecs(fake_aws)
        fake_aws.ecs.script = soon(work)
        here = bunsui.Job("here", "custom", {"command": ["echo", "local"]}, depends_on=["task"])
        assert ["early", "local", "late"] == messages(run(runner, job, here).logs())

    def test_filters(self, fake_aws: FakeAws, runner: Runner) -> None:
        """They pass the same filters as other records."""
        session = run(runner, ecs(fake_aws, "alpha 1", "beta 2", "alpha 3"))
        assert ["alpha 1", "alpha 3"] == messages(session.logs(grep="alph."))
        assert [] == messages(session.logs(level="WARNING"))
        assert ["alpha 3"] == messages(session.logs(last=1))
        assert 3 == len(list(session.logs(fields={"stream": "stdout", "attempt": 1})))
        assert [] == messages(session.logs(fields={"stream": "stderr"}))

    def test_times(self, fake_aws: FakeAws, runner: Runner) -> None:
        """AWS is not asked for lines before the time, nor at all for tasks that had ended long before it."""
        at = datetime.now(UTC)

        def work(task: Task) -> None:
            for second in (0, 10, 20):
                time = int((at + timedelta(seconds=second)).timestamp() * 1000)
                fake_aws.logs.put("/etl", stream(task), f"at {second}", timestamp=time)

        job = ecs(fake_aws)
        fake_aws.ecs.script = soon(work)
        session = run(runner, job)
        since, before = at + timedelta(seconds=5), at + timedelta(seconds=15)
        assert ["at 10", "at 20"] == messages(session.logs(since=since))
        [first, *_] = fake_aws.called("logs")
        assert int(since.timestamp() * 1000) == first.parameters["startTime"]
        assert ["at 10"] == messages(session.logs(since=since, until=before))
        calls = len(fake_aws.called("logs"))
        assert [] == messages(session.logs(since=at + timedelta(hours=1)))
        assert [] == messages(session.logs(until=at - timedelta(hours=1)))
        assert calls == len(fake_aws.called("logs"))

    def test_items_and_attempts(self, fake_aws: FakeAws, runner: Runner) -> None:
        """Each line names the item and the attempt whose task wrote it."""
        seen: dict[str, int] = {}

        def work(task: Task) -> int:
            index = task.environment["BUNSUI_PARAM_NUMBER"]
            seen[index] = seen.get(index, 0) + 1
            fake_aws.logs.put("/etl", stream(task), f"item {index} try {seen[index]}")
            return 1 if index == "1" and seen[index] == 1 else 0

        fake_aws.ecs.define("etl", {"name": "main", "logConfiguration": AWSLOGS})

        def script(task: Task) -> Script:
            task.move("RUNNING")
            return Script(work=work)

        fake_aws.ecs.script = script
        definition = {
            "version": "1.0",
            "name": "p",
            "jobs": [
                {
                    "id": "task",
                    "type": "ecs",
                    "task_definition": "etl",
                    "for_each": [0, 1],
                    "parameters": {"number": "${item}"},
                    "retry": {"max_attempts": 2, "delay": 0},
                }
            ],
        }
        session = runner.run(bunsui.Pipeline.from_dict(definition, plugins=runner.plugins))
        found = {(each.item, each.attempt, each.message) for each in session.logs()}
        assert {(0, 1, "item 0 try 1"), (1, 1, "item 1 try 1"), (1, 2, "item 1 try 2")} == found

    def test_last(self, fake_aws: FakeAws, runner: Runner) -> None:
        """The last records of a large log are read from its end, those of a small one with all of it."""
        session = run(runner, ecs(fake_aws, *map(str, range(500))))
        fake_aws.logs.page = 100
        assert ["497", "498", "499"] == messages(session.logs(last=3))
        assert 2 == len(fake_aws.called("logs"))
        # More than a page has, so it can't be told whether there is more before it.
        assert list(map(str, range(300, 500))) == messages(session.logs(last=200))
        assert list(map(str, range(500))) == messages(session.logs(last=1000))
        assert ["498"] == messages(session.logs(last=1, grep="8"))

    def test_nothing_was_written(self, fake_aws: FakeAws, runner: Runner) -> None:
        """A stream, or a group, that is not there has no lines, and is no fault."""
        session = run(runner, ecs(fake_aws))
        assert [] == list(session.logs())
        fake_aws.logs.put("/etl", "job/main/other", "of another")
        assert [] == list(session.logs())

    @pytest.mark.parametrize(
        "configuration",
        [
            None,
            {"logDriver": "awsfirelens", "options": {"Name": "cloudwatch"}},
            {"logDriver": "awslogs", "options": {"awslogs-group": "/etl"}},
        ],
    )
    def test_logs_elsewhere(self, fake_aws: FakeAws, runner: Runner, configuration: Any) -> None:
        """Of other log drivers, and of streams with names of ECS's own, there is nothing to read."""
        job = ecs(fake_aws, "unseen", container={"logConfiguration": configuration})
        assert [] == list(run(runner, job).logs())
        assert not fake_aws.called("logs")

    def test_pages(self, fake_aws: FakeAws, runner: Runner) -> None:
        """Who does not follow reads page by page until the token repeats, and waits for nothing."""
        session = run(runner, ecs(fake_aws, *map(str, range(25))))
        [task] = fake_aws.ecs.tasks
        fake_aws.logs.put("/etl", stream(task), "late", after_reads=5)
        fake_aws.logs.page = 10
        assert list(map(str, range(25))) == messages(session.logs())
        # Three pages, and the one whose token repeats.
        assert 4 == len(fake_aws.called("logs", "GetLogEvents"))

    def test_pages_are_read_when_they_are_wanted(self, fake_aws: FakeAws, runner: Runner) -> None:
        """A large log is never held as a whole, and a later task's is not begun before its time."""
        first = ecs(fake_aws, *map(str, range(50)))
        second = bunsui.Job("second", "ecs", {"task_definition": "etl"}, depends_on=["task"])
        session = run(runner, first, second)
        fake_aws.logs.page = 10
        records = iter(session.logs())
        calls = [(next(records), len(fake_aws.called("logs")))[1] for _ in range(50)]
        assert [1 + number // 10 for number in range(50)] == calls
        assert "0" == next(records).message

    def test_connections_are_closed(self, fake_aws: FakeAws, runner: Runner) -> None:
        """What was opened for reading is closed when it is over, also by who does not read to the end."""
        session = run(runner, ecs(fake_aws, "one", "two"))
        assert 0 == connections(fake_aws)
        records = session.logs()
        next(records)
        assert 1 == connections(fake_aws)
        records.close()  # type: ignore[attr-defined]
        assert 0 == connections(fake_aws)
        list(session.logs())
        assert 0 == connections(fake_aws)


def connections(fake_aws: FakeAws) -> int:
    """How many connections to the endpoint are open, as who has made them sees it."""
    port = f":{int(fake_aws.url.rpartition(':')[2]):04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(remote.endswith(port) and state == "01" for _, _, remote, state, *_ in rows)


class Following:
    """A thread that follows the logs of a session."""

    def __init__(self, session: bunsui.Session) -> None:
        self.found: queue.SimpleQueue[LogRecord] = queue.SimpleQueue()
        self._error: list[BaseException] = []
        self._thread = threading.Thread(target=self._follow, args=(session,))
        self._thread.start()

    def _follow(self, session: bunsui.Session) -> None:
        try:
            for record in session.logs(follow=True):
                self.found.put(record)
        except BaseException as error:
            self._error.append(error)

    @property
    def goes_on(self) -> bool:
        return self._thread.is_alive()

    def next(self) -> str:
        return self.found.get(timeout=60).message

    def rest(self) -> list[str]:
        """What else it has found, once it has ended."""
        self._thread.join(60)
        assert not self.goes_on
        assert not self._error
        return [self.found.get().message for _ in range(self.found.qsize())]


def looks(fake_aws: FakeAws, action: str = "GetLogEvents") -> None:
    """Returns when one more call has come."""
    fake_aws.wait_for_calls("logs", action, len(fake_aws.called("logs", action)) + 1)


class TestFollowing:
    """Logs that grow while they are read, and after their end."""

    def test_a_task(self, fake_aws: FakeAws, runner: Runner) -> None:
        """What a task writes last comes seconds after its stop, and the session's end: it is not missed."""
        fake_aws.ecs.define("etl", {"name": "main", "logConfiguration": AWSLOGS})
        fake_aws.ecs.script = Script(every=None)
        session = runner.start(bunsui.Pipeline("p", [bunsui.Job("task", "ecs", {"task_definition": "etl"})]))
        until(lambda: fake_aws.ecs.tasks)
        [task] = fake_aws.ecs.tasks
        fake_aws.ecs.move(task, "RUNNING")
        following = Following(session)
        fake_aws.logs.put("/etl", stream(task), "first")
        assert "first" == following.next()
        fake_aws.ecs.stop(task, 0)
        session.wait(60)
        runner.clock.ahead += 2
        looks(fake_aws)
        fake_aws.logs.put("/etl", stream(task), "last")
        assert "last" == following.next()
        looks(fake_aws)
        assert following.goes_on
        runner.clock.ahead += 31
        assert [] == following.rest()

    def test_the_grace_is_over(self, fake_aws: FakeAws, runner: Runner) -> None:
        """Of a task that has ended long ago the log is read once, to its end."""
        session = run(runner, ecs(fake_aws, "one", "two"))
        runner.clock.ahead += 31
        assert ["one", "two"] == messages(session.logs(follow=True))
        assert 2 == len(fake_aws.called("logs"))

    def test_it_can_not_be_read_for_a_moment(self, fake_aws: FakeAws, runner: Runner) -> None:
        """What does not work at one look is read at the next, and nothing is said of it."""
        session = run(runner, ecs(fake_aws, "one"))
        fault = fake_aws.faults.server_error("logs", times=1)
        following = Following(session)
        assert "one" == following.next()
        runner.clock.ahead += 31
        assert [] == following.rest()
        assert 1 == fault.hits

    def test_it_can_not_be_read_at_all(self, fake_aws: FakeAws, runner: Runner) -> None:
        """It ends all the same, once the grace is over, and says what is missing once."""
        session = run(runner, ecs(fake_aws, "one"))
        fake_aws.faults.server_error("logs")
        following = Following(session)
        looks(fake_aws)
        runner.clock.ahead += 31
        [text] = following.rest()
        assert "the log of attempt 1 at its service could not be read: logs GetLogEvents" in text


class TestFunctions:
    """Lambda functions, of whose logs an answer has the last 4 KB."""

    def test_short(self, fake_aws: FakeAws, runner: Runner) -> None:
        """What came whole with the answer is not asked for."""
        session = run(runner, of_lambda(fake_aws, "one", "two"))
        found = list(session.logs())
        assert ["one", "two"] == own(found)
        assert not any(TAIL in each.fields for each in found)
        assert not fake_aws.called("logs")

    def test_long(self, fake_aws: FakeAws, runner: Runner) -> None:
        """What did not is read from CloudWatch Logs: the whole in place of its end, no line twice."""
        session = run(runner, of_lambda(fake_aws, *LONG))
        [made] = fake_aws.functions.invocations
        found = list(session.logs())
        assert LONG == own(found)
        assert messages(found)[0].startswith("START")
        assert messages(found)[-1].startswith("REPORT")
        assert {("load", "log", "bunsui.job.load", 1)} == {
            (each.job, each.stream, each.logger, each.attempt) for each in found
        }
        assert [{"aws_request_id": made.request_id}] * len(found) == [dict(each.fields) for each in found]
        assert found == list(session.logs(fields={"aws_request_id": made.request_id}))

    def test_last(self, fake_aws: FakeAws, runner: Runner) -> None:
        """The last records are those of the whole."""
        session = run(runner, of_lambda(fake_aws, *LONG))
        for count in (1, 3, 150, 500):
            assert messages(session.logs())[-count:] == messages(session.logs(last=count))

    def test_of_one_call_only(self, fake_aws: FakeAws, runner: Runner) -> None:
        """Other calls that the same environment served have lines in its stream: they stay out."""
        first = of_lambda(fake_aws, *LONG)
        second = bunsui.Job("again", "lambda", {"function": "load"}, depends_on=["load"])
        session = run(runner, first, second)
        ids = [made.request_id for made in fake_aws.functions.invocations]
        for job, request in zip(("load", "again"), ids, strict=True):
            found = messages(session.logs(job))
            assert LONG == own(session.logs(job))
            assert {request} == {each.split()[2] for each in found if "RequestId" in each}

    def test_within_a_millisecond(self, fake_aws: FakeAws, runner: Runner) -> None:
        """So it is where one call follows the other so soon that their lines have the same times."""
        job = of_lambda(fake_aws, *LONG, LoggingConfig={"LogFormat": "Text", "LogGroup": "/mine"})
        session = run(runner, job)
        [request] = [made.request_id for made in fake_aws.functions.invocations]
        lines = ["before", "REPORT RequestId: other", f"START RequestId: {request}", "own"]
        lines += [f"END RequestId: {request}", f"REPORT RequestId: {request}", f"{request} Task timed out"]
        after = ["START RequestId: another", "after"]
        now = int(datetime.now(UTC).timestamp() * 1000)
        fake_aws.logs.put("/mine", "stream", *lines, *after, timestamp=now)
        assert lines[2:] == messages(session.logs())

    def test_as_json(self, fake_aws: FakeAws, runner: Runner) -> None:
        """What Lambda itself writes is understood as JSON, too."""
        job = of_lambda(fake_aws, *LONG, LoggingConfig={"LogFormat": "JSON", "LogGroup": "/mine"})
        session = run(runner, job)
        [request] = [made.request_id for made in fake_aws.functions.invocations]
        types = ("platform.start", "platform.runtimeDone", "platform.report")
        first, *rest = [json.dumps({"type": name, "record": {"requestId": request}}) for name in types]
        lines = [first, '{"level": "ERROR", "message": "lost"}', "printed", *rest]
        fake_aws.logs.put("/mine", "stream", "before", *lines)
        found = list(session.logs())
        assert lines == messages(found)
        assert ["INFO", "ERROR", "INFO", "INFO", "INFO"] == [each.level for each in found]

    def test_last_of_others(self, fake_aws: FakeAws, runner: Runner) -> None:
        """The last records may stand before an end that is not given, in the job's own log."""
        with fake_aws.faults.hold(
            "lambda", "Invoke", after=True, when=lambda call: b"long" in call.parameters["Payload"]
        ) as hold:

            def body(event: Any, _: Any) -> None:
                if event["it"] == "short":
                    hold.wait()
                for line in LONG if event["it"] == "long" else ["short"]:
                    fake_aws.functions.log(line)

            fake_aws.functions.add("load", body)
            job = {"id": "j", "type": "lambda", "function": "load", "for_each": ["long", "short"]}
            definition = {
                "version": "1.0",
                "name": "p",
                "jobs": [{**job, "parameters": {"it": "${item}"}}],
            }
            session = runner.start(bunsui.Pipeline.from_dict(definition, plugins=runner.plugins))
            until(lambda: "succeeded" in [each.status for each in session.jobs["j"].items or ()])
            hold.release()
            session.wait(60)
        assert [0] * 203 + [1] * 4 == [each.item for each in session.logs()]
        assert messages(session.logs())[-3:] == messages(session.logs(last=3))

    def test_pages(self, fake_aws: FakeAws, runner: Runner) -> None:
        """It is looked for, and read, page by page."""
        session = run(runner, of_lambda(fake_aws, *LONG))
        fake_aws.logs.page = 30
        assert LONG == own(session.logs())

    def test_levels(self, fake_aws: FakeAws, runner: Runner) -> None:
        """The levels are those that its lines name, of the whole as of the end."""
        lines = ["[ERROR]\t2026-01-01T00:00:00.000Z\tid\tlost", '{"level": "WARN", "message": "slow"}', "x"]
        for rest in ([], LONG):
            job = of_lambda(fake_aws, *rest, *lines, name=f"load{len(rest)}")
            with Runner("memory://", aws={"endpoint_url": fake_aws.url}, autoload_plugins=False) as made:
                session = run(made, job)
            found = [each.level for each in session.logs()]
            assert ["ERROR", "WARNING", "INFO", "INFO", "INFO"] == found[-5:]
            assert lines[:1] == messages(session.logs(level="ERROR"))

    def test_it_failed(self, fake_aws: FakeAws, runner: Runner) -> None:
        """So it is for a function that has failed."""

        def body(*_: Any) -> None:
            for line in LONG:
                fake_aws.functions.log(line)
            raise FunctionDied("Sandbox.Timedout", "too late")

        fake_aws.functions.add("load", body)
        session = run(runner, bunsui.Job("load", "lambda", {"function": "load"}))
        assert [*LONG, "[ERROR] too late"] == own(session.logs())

    def test_not_there_yet(self, fake_aws: FakeAws, runner: Runner) -> None:
        """Where the whole has not arrived, the end is given; and says that it is only the end."""
        fake_aws.logs.delay = 1
        session = run(runner, of_lambda(fake_aws, *LONG))
        found = list(session.logs())
        assert 30 < len(found) < len(LONG)
        assert LONG[-1] in own(found)
        assert all(each.fields[TAIL] is True for each in found)
        assert LONG == own(session.logs())

    def test_followed(self, fake_aws: FakeAws, runner: Runner) -> None:
        """Who follows waits for the whole, and has no line twice."""
        fake_aws.logs.delay = 1
        session = run(runner, of_lambda(fake_aws, *LONG))
        assert LONG == own(session.logs(follow=True))
        assert 2 == len(fake_aws.called("logs", "FilterLogEvents"))

    def test_followed_in_vain(self, fake_aws: FakeAws, runner: Runner) -> None:
        """Where the whole does not come in time, who follows has its end."""
        fake_aws.logs.delay = 1_000_000
        session = run(runner, of_lambda(fake_aws, *LONG))
        following = Following(session)
        looks(fake_aws, "FilterLogEvents")
        assert following.found.empty()
        runner.clock.ahead += 31
        found = following.rest()
        assert 30 < len(found) < len(LONG)
        assert LONG[-1] in found

    def test_group(self, fake_aws: FakeAws, runner: Runner) -> None:
        """The group is the one that the function's configuration names."""
        job = of_lambda(fake_aws, *LONG, LoggingConfig={"LogFormat": "Text", "LogGroup": "/mine"})
        session = run(runner, job)
        [request] = [made.request_id for made in fake_aws.functions.invocations]
        lines = [f"START RequestId: {request} Version: 1", "of mine", f"REPORT RequestId: {request}"]
        fake_aws.logs.put("/mine", "stream", *lines)
        assert ["of mine"] == own(session.logs())

    def test_configuration_is_denied(self, fake_aws: FakeAws, runner: Runner) -> None:
        """Who may not see the configuration looks at the usual group."""
        session = run(runner, of_lambda(fake_aws, *LONG))
        fake_aws.faults.deny("lambda", "GetFunctionConfiguration")
        assert LONG == own(session.logs())

    def test_options_with_references(self, fake_aws: FakeAws, runner: Runner) -> None:
        """What the function is called may follow from parameters, and from a fan-out's item."""
        of_lambda(fake_aws, *LONG, name="load-a")
        definition = {
            "version": "1.0",
            "name": "p",
            "parameters": [{"name": "begin", "type": "string", "default": "load"}],
            "jobs": [{"id": "j", "type": "lambda", "function": "${begin}-${item}", "for_each": ["a"]}],
        }
        session = runner.run(bunsui.Pipeline.from_dict(definition, plugins=runner.plugins))
        found = list(session.logs())
        assert LONG == own(found)
        assert {0} == {each.item for each in found}

    def test_a_bound_function(self, fake_aws: FakeAws) -> None:
        """What ran here, in place of a function, has no log at AWS, whatever it logs."""

        def load(*_: Any) -> None:
            extra = {"aws_request_id": "6f1cbd2e-0d5e-4a71-a9c3-2f7f1b2c3d4e", TAIL: True}
            bunsui.current_call().logger.info("here", extra=extra)

        bindings = {"lambda": {"load": load}}
        with Runner("memory://", bindings=bindings, aws={"endpoint_url": fake_aws.url}) as runner:
            session = runner.run(bunsui.Pipeline("p", [bunsui.Job("a", "lambda", {"function": "load"})]))
            assert ["here"] == messages(session.logs())
        assert not fake_aws.calls


class TestFailures:
    """What can't be read is said, and keeps nobody from reading the rest."""

    def test_denied(self, fake_aws: FakeAws, runner: Runner) -> None:
        """One record names the permission that is missing; all else is read, and nothing tried again."""
        here = bunsui.Job("here", "custom", {"command": ["echo", "local"]})
        session = run(runner, ecs(fake_aws, "one"), of_lambda(fake_aws, *LONG), here)
        fake_aws.faults.deny("logs", "GetLogEvents")
        found = list(session.logs("task")) + list(session.logs("here"))
        assert ["local"] == messages(found[1:])
        notice = found[0]
        assert ("WARNING", "task", "bunsui.logs", 1) == (
            notice.level,
            notice.job,
            notice.logger,
            notice.attempt,
        )
        assert "could not be read: logs GetLogEvents of '/etl:job/main/" in notice.message
        assert "the caller needs the permission logs:GetLogEvents" in notice.message
        assert 1 == len(fake_aws.called("logs"))
        # The function's end is here, and so it is given.
        found = list(session.logs("load"))
        assert LONG[-1] in messages(found)
        assert "bunsui.logs" == found[-1].logger

    def test_it_is_said_whatever_is_asked_for(self, fake_aws: FakeAws, runner: Runner) -> None:
        """No filter hides that something is missing."""
        session = run(runner, ecs(fake_aws, "one"))
        fake_aws.faults.deny("logs")
        for given in ({"level": "ERROR"}, {"grep": "one"}, {"last": 0}, {"until": "1h"}):
            expected = [] if "until" in given else ["bunsui.logs"]
            assert expected == [each.logger for each in session.logs(**given)]  # type: ignore[arg-type]

    def test_throttled(self, fake_aws: FakeAws, runner: Runner) -> None:
        """A call that AWS is too busy for is made again."""
        waits = waiting(runner)
        session = run(runner, ecs(fake_aws, "one"))
        fake_aws.faults.throttle("logs", times=2)
        assert ["one"] == messages(session.logs())
        assert 2 == len(waits)

    def test_throttled_for_long(self, fake_aws: FakeAws, runner: Runner) -> None:
        """It is not for ever, and not for each log anew: ten seconds for all that is read."""
        waits = waiting(runner)
        jobs = [bunsui.Job(f"task{n}", "ecs", {"task_definition": "etl"}) for n in range(3)]
        session = run(runner, ecs(fake_aws, "one"), *jobs)
        fake_aws.faults.throttle("logs")
        found = list(session.logs())
        assert ["task", "task0", "task1", "task2"] == sorted(each.job for each in found)
        assert all("Rate exceeded" in each.message for each in found)
        assert sum(waits) <= 10
        assert len(fake_aws.called("logs")) <= 6

    def test_no_credentials(self, fake_aws: FakeAws, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without credentials it says what helps, and makes no call."""
        session = run(runner, ecs(fake_aws, "one"))
        for name in [name for name in os.environ if name.startswith("AWS_") and "KEY" in name]:
            monkeypatch.delenv(name)
        [notice] = session.logs()
        assert "there are no valid credentials" in notice.message
        assert "renew the credentials" in notice.message
        assert not fake_aws.called("logs")

    def test_no_region(self, fake_aws: FakeAws, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
        """Likewise without a region."""
        session = run(runner, of_lambda(fake_aws, *LONG))
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        found = list(session.logs())
        assert "no region is named" in found[-1].message
        assert LONG[-1] in messages(found)

    def test_nothing_is_reached(self, fake_aws: FakeAws, runner: Runner) -> None:
        """Where AWS is away, the log that is here is read."""
        waiting(runner)
        here = bunsui.Job("here", "custom", {"command": ["echo", "local"]})
        session = run(runner, ecs(fake_aws, "one"), here)
        with fake_aws.outage():
            found = list(session.logs())
        assert ["local"] == messages(found[:1])
        assert "AWS was not reached" in found[1].message
        assert 2 == len(found)


def waiting(runner: Runner) -> list[float]:
    """Lets no time pass where a call waits to be made again; the seconds of each wait."""
    waits: list[float] = []
    runner._control.parts.aws.wait = lambda _, seconds: waits.append(seconds) is not None
    return waits


#: The value of a secret; nothing that is given shows it.
CANARY = "canary/Zq7kVw3xPnT"


class TestSecrets:
    """Jobs that were given secrets may print them at AWS."""

    @pytest.fixture
    def session(
        self, fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> Iterator[bunsui.Session]:
        monkeypatch.setenv("REMOTE_LOGS_CANARY", CANARY)
        ecs(fake_aws)
        fake_aws.ecs.script = soon(
            lambda task: fake_aws.logs.put(
                "/etl", stream(task), "begin", f"it is {task.environment['TOKEN']}", "end"
            )
        )
        fake_aws.functions.add("load", lambda event, _: [*map(fake_aws.functions.log, [*LONG, event["it"]])])
        definition = {
            "version": "1.0",
            "name": "p",
            "jobs": [
                {
                    "id": "task",
                    "type": "ecs",
                    "task_definition": "etl",
                    "environment": {"TOKEN": "${secrets.it}"},
                },
                {"id": "load", "type": "lambda", "function": "load", "parameters": {"it": "${secrets.it}"}},
                {"id": "open", "type": "ecs", "task_definition": "etl", "environment": {"TOKEN": "open"}},
            ],
        }
        config = {"secrets": {"it": "env:REMOTE_LOGS_CANARY"}}
        aws = {"endpoint_url": fake_aws.url}
        with Runner(f"sqlite:///{tmp_path}/s.db", aws=aws, config=config, autoload_plugins=False) as runner:
            made = runner.run(bunsui.Pipeline.from_dict(definition, plugins=runner.plugins))
            assert "succeeded" == made.status
            yield made

    def test_canary(self, fake_aws: FakeAws, session: bunsui.Session) -> None:
        """Their values are taken out of what is read, whatever it is read from."""
        found = list(session.logs())
        [written] = [call for call in fake_aws.called("ecs", "RunTask") if CANARY in str(call.parameters)]
        assert written
        assert ["begin", "it is ***", "end"] == messages(session.logs("task"))
        assert [*LONG, "***"] == own(session.logs("load"))
        assert CANARY not in repr(found)

    def test_not_known(self, session: bunsui.Session, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where they can't be looked up, no line of such a job is shown; those of others are."""
        monkeypatch.delenv("REMOTE_LOGS_CANARY")
        found = list(session.logs())
        assert [HIDDEN] * 3 == messages(session.logs("task"))
        assert {HIDDEN} == set(messages(session.logs("load")))
        assert ["begin", "it is open", "end"] == messages(session.logs("open"))
        assert CANARY not in repr(found)


class Chatty(bunsui.RemoteJobType):
    """``type: chatty``: a plugin's own."""

    name: ClassVar[str] = "chatty"
    schema: ClassVar[dict[str, Any]] = {"type": "object", "properties": {"what": {"type": "string"}}}
    poll_interval = 0.02
    asked: ClassVar[list[tuple[bunsui.RemoteLog, Any]]] = []

    def submit(self, call: bunsui.JobCall) -> Any:
        return {"id": call.job_id}

    def poll(self, handles: Any) -> Any:
        return [bunsui.Succeeded() for _ in handles]

    def cancel(self, handle: Any) -> None:
        pass

    def find(self, call: bunsui.JobCall) -> Any:
        return bunsui.NeverRan()

    def log_page(self, about: bunsui.RemoteLog, token: Any) -> Any:
        self.asked.append((about, token))
        what = about.options.get("what")
        if str(what).startswith("raise"):
            raise RuntimeError(what)
        if what == "exits":
            raise SystemExit(3)
        if what == "junk":
            return [b"junk"]
        if what == "naive":
            return bunsui.LogPage([bunsui.LogLine(about.started_at.replace(tzinfo=None), "naive")])
        if what == "stuck":
            return bunsui.LogPage([], "same", is_end=False)
        at = about.started_at
        lines = [
            bunsui.LogLine(at, f"{about.handle['id']} {token}", "ERROR"),
            bunsui.LogLine(at, "x", "LOUD"),
        ]
        return bunsui.LogPage(lines, (token or 0) + 1, is_end=token == 1)


class Plugin:
    @hookimpl
    def bunsui_job_types(self) -> list[bunsui.JobType]:
        return [Chatty()]


class TestPlugins:
    """Job types of others."""

    def logs_of(self, *whats: str) -> list[LogRecord]:
        config = {"secrets": {"it": "env:REMOTE_LOGS_CANARY"}}
        with Runner("memory://", plugins=[Plugin()], config=config, autoload_plugins=False) as runner:
            jobs = [bunsui.Job(f"j{n}", "chatty", {"what": what}) for n, what in enumerate(whats)]
            return list(run(runner, *jobs).logs())

    def test_secrets_in_errors(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What a type says of a log that it could not read shows no secret that the job was given."""
        monkeypatch.setenv("REMOTE_LOGS_CANARY", f"raise {CANARY}")
        [notice] = self.logs_of("${secrets.it}")
        assert notice.message.endswith("could not be read: RuntimeError: ***")

    def test_pages(self) -> None:
        """The type is asked until it says that there is no more; each page with the token before."""
        found = self.logs_of("")
        assert [("j0 None", "ERROR"), ("x", "INFO"), ("j0 1", "ERROR"), ("x", "INFO")] == [
            (each.message, each.level) for each in found
        ]

    @pytest.mark.parametrize(
        ("what", "expected"),
        [
            ("exits", "SystemExit: 3"),
            ("junk", "TypeError: log_page() of job type 'chatty' gave list"),
            ("naive", "TypeError: log_page() of job type 'chatty' gave a line without an aware time"),
        ],
    )
    def test_faults(self, what: str, expected: str) -> None:
        """Whatever a type does, the other logs are read, and a record says what is missing."""
        found = self.logs_of(what, "")
        assert ["j1 None", "x", "j1 1", "x"] == messages(found[:4])
        [notice] = found[4:]
        text = f"the log of attempt 1 at its service could not be read: {expected}"
        assert ("j0", "WARNING", text) == (notice.job, notice.level, notice.message)

    def test_it_gets_stuck(self) -> None:
        """A type that gives no lines, and no other token, is not asked for ever."""
        assert [] == self.logs_of("stuck")


def test_many_at_once(fake_aws: FakeAws, runner: Runner) -> None:
    """Pages are smaller where many logs are open at once, so that all of them fit into memory."""
    definition = {
        "version": "1.0",
        "name": "p",
        "jobs": [
            {"id": "task", "type": "ecs", "task_definition": "etl", "for_each": list(range(25))},
        ],
    }
    ecs(fake_aws, "one")
    session = runner.run(bunsui.Pipeline.from_dict(definition, plugins=runner.plugins))
    assert 25 == len(list(session.logs()))
    limits = {call.parameters["limit"] for call in fake_aws.called("logs")}
    assert {800} == limits
    assert list(range(25)) == sorted({each.item for each in session.logs() if each.item is not None})


def test_order_within_a_log(fake_aws: FakeAws, runner: Runner) -> None:
    """Lines of a log stay in its order, also where their times fall."""
    ecs(fake_aws)
    now = int(datetime.now(UTC).timestamp() * 1000)

    def work(task: Task) -> None:
        for number, second in zip(itertools.count(), (3, 1, 2), strict=False):
            fake_aws.logs.put("/etl", stream(task), str(number), timestamp=now + second * 1000)

    fake_aws.ecs.script = soon(work)
    session = run(runner, bunsui.Job("task", "ecs", {"task_definition": "etl"}))
    assert ["0", "1", "2"] == messages(session.logs())


def test_commands(
    fake_aws: FakeAws,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`bunsui logs` shows them, as any others."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", fake_aws.url)
    monkeypatch.setenv("BUNSUI_STORE", f"sqlite:///{tmp_path}/s.db")
    with bunsui.Runner() as runner:
        session = run(runner, ecs(fake_aws, "one", "two"))
    for arguments in (["tail", "-n", "1"], ["filter", "--grep", "two"], ["download", "-o", "-"]):
        assert 0 == command(["logs", arguments[0], session.id, *arguments[1:], "--format", "jsonl"])
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert (["one", "two"] if "-o" in arguments else ["two"]) == [line["message"] for line in lines]
        assert {("task", "stdout", 1)} == {(each["job"], each["stream"], each["attempt"]) for each in lines}
