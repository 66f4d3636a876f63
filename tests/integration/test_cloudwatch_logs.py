"""The logs of jobs in CloudWatch Logs, from the runner that writes them to whoever reads them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui.aws.settings import AwsSettings
from bunsui.cli.main import run as command
from bunsui.errors import AwsError, ConfigError
from bunsui.logging.cloudwatch.logs import CloudLogs
from bunsui.logging.cloudwatch.writer import Writer
from bunsui.model.log import LogRecord
from bunsui.runner.clock import SystemClock
from bunsui.runner.surroundings import Surroundings
from bunsui.stores.dynamodb import DynamoDbStore
from bunsui_tests.aws.emulators import Ministack, Moto
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.environment import REGION
from bunsui_tests.conditions import until

pytestmark = pytest.mark.usefixtures("aws_environment")

GROUP = "/bunsui/team"
THOUSAND = [f"line {n}" for n in range(1000)]


class Clock(SystemClock):
    """This machine's, and as much later as it is told."""

    ahead = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.ahead)


class Later(bunsui.Runner):
    """A runner that looks when all that may come late has come."""

    def _surroundings(self) -> Surroundings:
        clock = Clock()
        clock.ahead = 60.0
        return Surroundings(clock=clock)


def said(records: Any) -> list[str]:
    return [record.message for record in records]


def prints() -> bunsui.Pipeline:
    """A command that prints a thousand lines, and one that prints nothing."""
    code = "for n in range(1000): print(f'line {n}')"
    return bunsui.Pipeline(
        "prints",
        [
            bunsui.Job("load", "custom", {"command": [sys.executable, "-c", code]}),
            bunsui.Job("quiet", "custom", {"command": [sys.executable, "-c", ""]}),
        ],
    )


def logging_(*lines: str) -> bunsui.Pipeline:
    """A job that logs some lines."""

    def load() -> None:
        for line in lines:
            bunsui.current_call().logger.info(line)

    return bunsui.Pipeline("logs", [bunsui.Job.from_callable(load)])


def place(server: Any, more: str = "") -> str:
    """The URL of a group at an endpoint."""
    return f"cloudwatch://{GROUP}?region={REGION}&endpoint_url={server.url}{more}"


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/a.db"


# On DynamoDB


@pytest.fixture
def table(ministack: Ministack) -> Iterator[Callable[..., bunsui.Runner]]:
    """Makes runners on a table, as on as many machines; all of AWS is ministack."""
    settings = {"endpoint_url": ministack.url, "region": REGION}
    DynamoDbStore(f"dynamodb://team?endpoint_url={ministack.url}&region={REGION}").create()
    made: list[bunsui.Runner] = []

    def runner(kind: type[bunsui.Runner] = bunsui.Runner, **more: Any) -> bunsui.Runner:
        given = {"aws": settings, "config": bunsui.Config(), "autoload_plugins": False, **more}
        made.append(kind("dynamodb://team", **given))
        return made[-1]

    yield runner
    for each in made:
        each.close(timeout=0)


def test_another_machine_reads_what_a_job_printed(
    table: Callable[..., bunsui.Runner], ministack: Ministack
) -> None:
    """With nothing configured: in the group of the table, a stream for each job that has printed."""
    with table() as runner:
        session = runner.run(prints())
        session.raise_for_status()
        assert THOUSAND == said(session.logs())  # Also here, at once: what waits is sent first.
    other = table().session(session.id)
    records = list(other.logs())
    assert THOUSAND == said(records)
    assert {("load", "stdout", 1, "INFO")} == {(r.job, r.stream, r.attempt, r.level) for r in records}
    assert ([], THOUSAND[-3:]) == (list(other.logs("quiet")), said(other.logs(last=3)))
    assert ["line 999"] == said(other.logs(grep="9{3}"))
    client = ministack.client("logs")
    (group,) = client.describe_log_groups()["logGroups"]
    assert ("/bunsui/team", 90) == (group["logGroupName"], group["retentionInDays"])
    streams = client.describe_log_streams(logGroupName=GROUP)["logStreams"]
    assert [f"{session.id}/load"] == [each["logStreamName"] for each in streams]


def test_on_the_command_line(
    table: Callable[..., bunsui.Runner],
    ministack: Ministack,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """All of ``bunsui logs`` reads them, with nothing said of where they are."""
    with table() as runner:
        session = runner.run(logging_("one", "two", "three"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", ministack.url)
    monkeypatch.setenv("BUNSUI_STORE", "dynamodb://team")
    assert 0 == command(["logs", "filter", session.id, "--grep", "t", "--format", "jsonl"])
    assert ["two", "three"] == [json.loads(x)["message"] for x in capsys.readouterr().out.splitlines()]
    assert 0 == command(["logs", "tail", "@last", "-n", "1"])
    assert "three" in capsys.readouterr().out
    saved = tmp_path / "saved.jsonl"
    assert 0 == command(["logs", "download", "@last", "-o", str(saved), "--format", "jsonl"])
    assert ["one", "two", "three"] == [json.loads(x)["message"] for x in saved.read_text().splitlines()]


def test_one_that_runs_is_followed_from_another_machine(table: Callable[..., bunsui.Runner]) -> None:
    """Lines come while the job runs; it ends when what may come late has come."""
    goes_on = threading.Event()

    def load() -> None:
        bunsui.current_call().logger.info("begins")
        goes_on.wait(60)
        bunsui.current_call().logger.info("ends")

    with table() as runner:
        session = runner.start(bunsui.Pipeline("p", [bunsui.Job.from_callable(load)]))
        records: Iterator[LogRecord] = table(Later).session(session.id).logs(follow=True)
        assert ["begins"] == said(islice(records, 1))
        goes_on.set()
        session.wait()
        runner.close()
        assert ["ends"] == said(records)


def test_a_session_that_is_taken_over_has_one_log(table: Callable[..., bunsui.Runner]) -> None:
    """Whoever runs its jobs writes to the same streams."""

    def step(name: str) -> bunsui.Job:
        code = f"print('{name}')"
        return bunsui.Job(name, "custom", {"command": [sys.executable, "-c", code]})

    first, second = step("a"), bunsui.Job("b", "custom", {"command": ["printf", "b"]}, depends_on=["a"])
    with table() as runner:
        session = runner.start(bunsui.Pipeline("p", [first, second]))
        session.pause()
        session.wait()
    with table() as runner:
        runner.resume(session.id)
    assert ["a", "b"] == said(table().session(session.id).logs())


@pytest.mark.parametrize(
    ("url", "settings", "expected"),
    [
        ("dynamodb://team", AwsSettings(), "cloudwatch:///bunsui/team"),
        ("dynamodb://team", AwsSettings(endpoints={"": "http://all"}), "cloudwatch:///bunsui/team"),
        ("dynamodb://team", AwsSettings(endpoints={"dynamodb": "http://local"}), None),
        ("dynamodb://team?endpoint_url=http://local", AwsSettings(), None),
        (
            "dynamodb://team?endpoint_url=http://local",
            AwsSettings(endpoints={"logs": "http://logs"}),
            "cloudwatch:///bunsui/team",
        ),
        *(
            (f"dynamodb://team?endpoint_url=https://{host}", AwsSettings(), "cloudwatch:///bunsui/team")
            for host in (
                "vpce-0a-b.dynamodb.eu-central-1.vpce.amazonaws.com",
                "dynamodb-fips.us-east-1.amazonaws.com",
                "dynamodb.cn-north-1.amazonaws.com.cn",
                "dynamodb.us-east-1.api.aws",
            )
        ),
        ("dynamodb://team?endpoint_url=https://amazonaws.com.local", AwsSettings(), None),
    ],
)
def test_the_group_of_a_table(url: str, settings: AwsSettings, expected: str | None) -> None:
    """Of a table at an emulator nothing goes to AWS itself."""
    found = DynamoDbStore(url, settings).log_group()
    assert expected == (None if found is None else found[0])


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"])
def test_the_group_of_a_table_at_an_emulator_of_variables(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As AWS's own tools take them."""
    monkeypatch.setenv(variable, "http://local")
    assert (variable == "AWS_ENDPOINT_URL") == (DynamoDbStore("dynamodb://team").log_group() is not None)


def test_other_places_of_a_table(
    table: Callable[..., bunsui.Runner], ministack: Ministack, tmp_path: Path
) -> None:
    """Where the configuration names one, or none, nothing is in the table's group."""
    for logs in (str(tmp_path / "kept"), "none"):
        with table(logs=logs) as runner:
            session = runner.run(logging_("one"))
            assert ["one"] == said(session.logs())
    assert [] == ministack.client("logs").describe_log_groups()["logGroups"]
    assert 1 == len(list((tmp_path / "kept").glob("*/load.jsonl")))


# In a group that is named


@pytest.mark.parametrize("server", ["moto_server", "fake_aws"])
def test_any_store(server: str, store: str, request: pytest.FixtureRequest) -> None:
    """The group that is named, with its retention; no file lies beside the store."""
    aws = request.getfixturevalue(server)
    with bunsui.Runner(store, logs=place(aws, "&retention=7")) as runner:
        session = runner.run(logging_(*THOUSAND))
        assert THOUSAND == said(session.logs())
    with bunsui.Runner(store, logs=place(aws, "&retention=7")) as runner:
        assert THOUSAND == said(runner.session(session.id).logs())
        assert THOUSAND[-5:] == said(runner.session(session.id).logs(last=5))
    assert not Path(f"{store.removeprefix('sqlite:///')}-logs").exists()
    if isinstance(aws, Moto):
        (group,) = aws.client("logs").describe_log_groups()["logGroups"]
        assert (GROUP, 7) == (group["logGroupName"], group["retentionInDays"])


def test_secrets_never_leave(fake_aws: FakeAws, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are masked before anything is sent."""
    monkeypatch.setenv("DB_PASSWORD", "hunter2-hunter2")
    code = "import os, sys; print('password', os.environ['BUNSUI_PARAM_PASSWORD'])"
    job = bunsui.Job(
        "load", "custom", {"command": [sys.executable, "-c", code]}, parameters={"password": "${secrets.db}"}
    )
    config = {"secrets": {"db": "env:DB_PASSWORD"}}
    with bunsui.Runner(store, logs=place(fake_aws), config=config) as runner:
        session = runner.run(bunsui.Pipeline("p", [job]))
        assert ["password ***"] == said(session.logs())
    assert "hunter2" not in str([call.parameters for call in fake_aws.calls])


@pytest.mark.parametrize("how", ["refuse", "hang", "deny"])
def test_cloudwatch_logs_is_down(
    fake_aws: FakeAws, store: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """No job fails or waits; what was lost is warned of once, at the end."""
    fake_aws.logs.put(GROUP, "other", "x")
    if how == "hang":
        fake_aws.faults.hang("logs")
    elif how == "deny":
        fake_aws.faults.deny("logs")
    runner = bunsui.Runner(store, logs=place(fake_aws))
    if how == "refuse":
        with fake_aws.outage():
            session = runner.run(logging_("one", "two"))
            runner.close()
    else:
        session = runner.run(logging_("one", "two"))
        runner.close()
    session.raise_for_status()
    some = "up to " if how == "hang" else ""
    assert [f"{some}2 records of logs are missing in group /bunsui/team"] == [
        each.getMessage().partition(":")[0] for each in caplog.records if "missing" in each.getMessage()
    ]
    fake_aws.faults.abandon()


def test_nothing_is_begun_before_a_record(fake_aws: FakeAws, store: str) -> None:
    """A session whose jobs log nothing calls nothing, and has no thread for it."""
    with bunsui.Runner(store, logs=place(fake_aws)) as runner:
        runner.run(logging_()).raise_for_status()
        assert "bunsui-cloudwatch" not in [each.name for each in threading.enumerate()]
    assert [] == fake_aws.calls


def test_what_can_t_be_read_is_said(fake_aws: FakeAws, store: str) -> None:
    """With the permission that is missing."""
    with bunsui.Runner(store, logs=place(fake_aws)) as runner:
        session = runner.run(logging_("one"))
        fake_aws.faults.deny("logs", "DescribeLogStreams")
        with pytest.raises(AwsError) as raised:
            list(session.logs())
    assert "the permission logs:DescribeLogStreams" in str(raised.value.hint)


def test_prune_removes_the_streams(fake_aws: FakeAws, store: str) -> None:
    """Of the session that is removed, and no others."""
    with bunsui.Runner(store, logs=place(fake_aws)) as runner:
        session = runner.run(logging_("one"))
        list(session.logs())
    fake_aws.logs.put(GROUP, "another/load", "x")
    with Later(store, logs=place(fake_aws)) as runner:
        assert (runner.prune(1, dry_run=True).kept, ["one"]) == ((), said(session.logs()))
        assert [session.id] == [each.session_id for each in runner.prune(1).sessions]
    names = fake_aws.client("logs").describe_log_streams(logGroupName=GROUP)["logStreams"]
    assert ["another/load"] == [each["logStreamName"] for each in names]


def test_prune_keeps_what_it_can_t_remove(fake_aws: FakeAws, store: str) -> None:
    """The session stays, with the reason, until its logs can be removed, too."""
    with bunsui.Runner(store, logs=place(fake_aws)) as runner:
        session = runner.run(logging_("one"))
        list(session.logs())
    with Later(store, logs=place(fake_aws)) as runner:
        with fake_aws.faults.deny("logs", "DeleteLogStream"):
            (kept,) = runner.prune(1).kept
        assert session.id == kept.session_id
        assert "logs DeleteLogStream" in kept.reason
        assert ["one"] == said(runner.session(session.id).logs())
        assert 1 == len(runner.prune(1).sessions)


def test_what_jobs_log_at_aws_is_shown_with_it(fake_aws: FakeAws, store: str) -> None:
    """The end of a function's log, which its answer has, gives way to the whole, as where it is in a file."""

    def body(*_: Any) -> None:
        for n in range(300):
            fake_aws.functions.log(f"[INFO] {n} {'.' * 30}")

    fake_aws.functions.add("load", body)
    with bunsui.Runner(store, logs=place(fake_aws), aws={"endpoint_url": fake_aws.url}) as runner:
        session = runner.run(bunsui.Pipeline("p", [bunsui.Job("load", "lambda", {"function": "load"})]))
        session.raise_for_status()
        found = [text.split()[1] for text in said(session.logs()) if text.startswith("[INFO]")]
    kept = fake_aws.logs.lines(GROUP, f"{session.id}/load")
    assert list(map(str, range(300))) == found
    assert 0 < len(kept) < 300


def test_permissions(fake_aws: FakeAws, store: str) -> None:
    """The policy of a pipeline has what its runner's logs take: of the group, and of its streams."""
    aws = {"endpoint_url": fake_aws.url}
    with bunsui.Runner(store, logs=place(fake_aws), aws=aws) as runner:
        policy = runner.iam_policy(logging_("one"))
    arn = f"arn:aws:logs:{REGION}:123456789012:log-group:{GROUP}"
    found = {action: each["Resource"] for each in policy.document["Statement"] for action in each["Action"]}
    assert {
        "logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:GetLogEvents",
        "logs:PutLogEvents", "logs:PutRetentionPolicy",
    } == set(found)  # fmt: skip
    assert all(resources == [arn, f"{arn}:*"] for resources in found.values())


def test_permissions_of_a_role(fake_aws: FakeAws, store: str) -> None:
    """Logs that are written in a role of their own are that role's affair: whoever runs has to take it."""
    role = "arn:aws:iam::123456789012:role/logs"
    aws = {"endpoint_url": fake_aws.url}
    with bunsui.Runner(store, logs=place(fake_aws, f"&role={role}"), aws=aws) as runner:
        own = runner.iam_policy(logging_("one"))
        of_role = runner.iam_policy(logging_("one"), role=role)
    assert (role,) == own.roles
    assert ["sts:AssumeRole"] == [a for each in own.document["Statement"] for a in _listed(each["Action"])]
    assert "logs:PutLogEvents" in str(of_role.document)


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else value


@pytest.mark.parametrize(
    ("logs", "said_"),
    [
        ("cloudwatch:///a b", "names no group of CloudWatch Logs"),
        ("cloudwatch:///a?retention=2", "retention of"),
        ("cloudwatch:/a", "logs is 'cloudwatch:/a'"),
        ("s3://bucket/logs", "logs is 's3://bucket/logs'"),
        (" ", "logs is ' '"),
        (3, "logs is 3"),
        (os.devnull, "which is no folder"),
    ],
)
def test_wrong_places(logs: Any, said_: str) -> None:
    """They are refused at once, with what is allowed."""
    with pytest.raises(ConfigError) as raised:
        bunsui.Runner("memory://", logs=logs)
    assert said_ in str(raised.value)


KILLED = """
import sys, time
import bunsui

def load():
    log = bunsui.current_call().logger
    for n in range(100):
        log.info("%d", n)
    while len(sys.argv) > 3 and not open(sys.argv[3]).read():
        time.sleep(0.01)
    log.info("in the queue")
    print("ready", flush=True)
    time.sleep(600)

with bunsui.Runner(sys.argv[1], logs=sys.argv[2]) as runner:
    runner.run(bunsui.Pipeline("p", [bunsui.Job.from_callable(load)]))
"""


def test_a_runner_that_is_killed_loses_what_waits(fake_aws: FakeAws, store: str, tmp_path: Path) -> None:
    """What was sent is there, and what was in the queue is not."""
    script, flag = tmp_path / "program.py", tmp_path / "flag"
    script.write_text(KILLED)
    flag.touch()
    fake_aws.faults.hold("logs", when=lambda call: "in the queue" in str(call.parameters))
    program = [sys.executable, str(script), store, place(fake_aws), str(flag)]
    with (
        subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process,
        bunsui.Runner(store, logs=place(fake_aws)) as runner,
    ):
        until(lambda: len(runner.sessions()) == 1)
        session = runner.session(runner.sessions()[0].session_id)
        until(lambda: len(list(session.logs())) == 100)
        flag.write_text("go on")
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        fake_aws.faults.abandon()
        assert list(map(str, range(100))) == said(session.logs())


def test_failed_jobs_ask_for_nothing(
    fake_aws: FakeAws,
    store: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """``bunsui run`` says how to see their logs; to ask for each would take minutes where AWS hangs."""
    flow = tmp_path / "p.yaml"
    flow.write_text(
        'version: "1.0"\nname: p\njobs:\n'
        '  - {id: a, type: custom, command: [sh, -c, "echo one; exit 3"]}\n'
        '  - {id: b, type: custom, command: [sh, -c, "exit 4"]}\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("BUNSUI_STORE", store)
    monkeypatch.setenv("BUNSUI_LOGS", place(fake_aws))
    assert 1 == command(["run", str(flow)])
    printed = capsys.readouterr().out
    assert [True, True] == [f"--job {job}" in printed for job in "ab"]
    asked = {call.action for call in fake_aws.called("logs")}
    assert "PutLogEvents" in asked
    assert not asked & {"DescribeLogStreams", "GetLogEvents", "FilterLogEvents"}


def test_logs_that_are_kept_elsewhere(fake_aws: FakeAws, store: str) -> None:
    """Who reads where they are not is told so: they have never looked as if nobody had logged."""
    with bunsui.Runner(store) as runner:
        session = runner.run(prints()).id
    with bunsui.Runner(store, logs=place(fake_aws)) as runner:
        with pytest.raises(bunsui.NotFound, match="not in group /bunsui/team, but in /") as raised:
            list(runner.session(session).logs())
        assert "the key logs" in str(raised.value.hint)
        session = runner.run(prints()).id
    with bunsui.Runner(store) as runner:
        with pytest.raises(bunsui.NotFound, match="is gone") as raised:
            list(runner.session(session).logs())
        assert "the key logs" in str(raised.value.hint)


def test_the_end_of_a_runner_whose_jobs_wait_for_room(
    fake_aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What collects what a command prints waits no longer than the end itself would."""
    monkeypatch.setattr(Writer.ending, "__defaults__", (0.5,))
    monkeypatch.setattr(Writer.close, "__defaults__", (0.5,))
    monkeypatch.setattr(CloudLogs.close, "__defaults__", (0.5,))
    monkeypatch.setitem(Writer.__init__.__kwdefaults__, "block", 3600.0)
    hung = fake_aws.faults.hang("logs")
    code = "while True: print('x' * 10_000)"
    runner = bunsui.Runner("memory://", logs=place(fake_aws, "&policy=block"))
    runner.start(bunsui.Pipeline("p", [bunsui.Job("a", "custom", {"command": [sys.executable, "-c", code]})]))
    hung.wait()
    writer = runner._control.parts.logs.cloud._writer
    until(lambda: writer._hurries > 0)
    ending = threading.Thread(target=runner.close, args=(0,), daemon=True)
    ending.start()
    ending.join(30)
    outlives = ending.is_alive()
    hung.end()
    ending.join(30)
    assert not outlives
