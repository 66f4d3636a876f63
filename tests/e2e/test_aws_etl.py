"""examples/aws-etl as its README has it: a cloud is started, the pipeline runs in it, and all is stopped."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from attrs import define

from bunsui_tests.conditions import wait_for

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
README = (EXAMPLES / "aws-etl" / "README.rst").read_text(encoding="utf-8")
START, CREATE, RUN, STOP = (
    line.strip() for line in README.partition("and stop the cloud::\n\n")[2].partition("\n\n")[0].splitlines()
)
STALE = """
import sys
sys.path[:0] = ["examples/aws-etl/functions", "examples/aws-etl", "examples/etl"]
import pathlib, load
other = pathlib.Path("other.db")
other.write_bytes(b"another one's")
print(load._store(other, "analytics.db", None), load._store(other, "analytics.db", '"0123456789abcdef"'))
"""

#: The command, on a host that is called as the first argument says.
LAPTOP = """
import socket, sys
name = sys.argv.pop(1)
socket.gethostname = lambda: name
from bunsui.cli.main import run
sys.exit(run(sys.argv[1:]))
"""
#: The functions of the example, and a job between them that waits for a file.
GATE = """
version: "1.0"
name: Gate
parameters: [{{name: source_bucket, type: string}}]
templates:
  extract: {{type: lambda, function: extract-function, parameters: {{bucket: "${{source_bucket}}"}}}}
jobs:
  - {{id: extract_data, template: extract}}
  - id: gate
    type: custom
    depends_on: [extract_data]
    command:
      - python
      - -c
      - |
        import pathlib, time
        gate = pathlib.Path("{gate}")
        gate.with_suffix(".reached").touch()
        while not gate.with_suffix(".open").exists():
            time.sleep(0.05)
  - {{id: load_data, template: extract, depends_on: [gate]}}
"""

#: Says which processes were the emulator's.
FAILING = """
import cloud
deploy = cloud.deploy
def failing(environment):
    print(cloud.PROCESS.read_text())
    deploy(environment)
cloud.deploy = failing
cloud.start()
"""


class Checkout:
    """A copy of the examples, with a home of its own, and the commands `python` and `bunsui`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.emulator = folder / "examples" / "aws-etl" / "emulator"
        left = shutil.ignore_patterns("output", "emulator", "__pycache__", "plugins")
        shutil.copytree(EXAMPLES, folder / "examples", ignore=left)
        commands = folder / "bin"
        commands.mkdir()
        for name, arguments in (("python", ""), ("bunsui", "-m bunsui")):
            script = f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n'
            (commands / name).write_text(script, encoding="utf-8")
            (commands / name).chmod(0o755)
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ETL_"))}
        self.environment = {
            **plain,
            "PATH": f"{commands}:{os.environ['PATH']}",
            "HOME": str(folder),
            "BUNSUI_STORE": f"sqlite:///{folder}/store.db",
        }

    def run(self, command: str, check: int = 0, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Runs a command of the README, from the root."""
        done = subprocess.run(
            command, shell=True, cwd=self.folder, env=self.environment, input=text,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert check == done.returncode, done.stdout + done.stderr
        return done

    def variables(self) -> dict[str, str]:
        """What `emulator/env` says."""
        lines = (self.emulator / "env").read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines)

    def client(self, service: str) -> Any:
        """A client of the cloud."""
        import boto3
        from botocore.config import Config

        said = self.variables()
        return boto3.client(
            service,
            endpoint_url=said["AWS_ENDPOINT_URL"],
            region_name=said["AWS_DEFAULT_REGION"],
            aws_access_key_id=said["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=said["AWS_SECRET_ACCESS_KEY"],
            config=Config(proxies={}),
        )

    def laptop(self, name: str) -> Laptop:
        """One of several that share the store in the cloud."""
        return Laptop(name, self.folder, {**self.environment, **self.variables()})

    def table(self) -> list[tuple[Any, ...]]:
        """The rows of the result on S3."""
        database = self.folder / "fetched.db"
        with closing(self.client("s3").get_object(Bucket="etl-output", Key="analytics.db")["Body"]) as body:
            database.write_bytes(body.read())
        return rows_of(database)


@define
class Begun:
    """A run that waits at its gate."""

    process: subprocess.Popen[str]
    session: str


class Laptop:
    """Where ``bunsui`` runs under the name of another host, with a home of its own."""

    def __init__(self, name: str, folder: Path, variables: dict[str, str]) -> None:
        self._name = name
        self._folder = folder / name
        self._folder.mkdir(exist_ok=True)
        self._gate = folder / f"gate-{time.monotonic_ns()}"
        self._environment = {**variables, "HOME": str(self._folder), "BUNSUI_LEASE": "3"}

    def start(self, command: str) -> subprocess.Popen[str]:
        """Begins a command."""
        program = [sys.executable, "-c", LAPTOP, self._name, *command.split()]
        return subprocess.Popen(
            program, cwd=self._folder, env=self._environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, command: str) -> str:
        """What a command that succeeds says."""
        with self.start(command) as process:
            said, _ = process.communicate(timeout=120)
        assert 0 == process.returncode, said
        return said

    def begin(self) -> Begun:
        """Runs the pipeline of a gate until it waits there."""
        (self._folder / "gate.yaml").write_text(GATE.format(gate=self._gate), encoding="utf-8")
        process = self.start("run gate.yaml -p source_bucket=flights")
        wait_for(lambda: self._gate.with_suffix(".reached").exists() or process.poll() is not None, 60)
        assert process.poll() is None
        newest, *_ = json.loads(self.run("session list --pipeline Gate --format json"))
        return Begun(process, newest["session_id"])

    def open_gate(self) -> None:
        """Lets the run go on."""
        self._gate.with_suffix(".open").touch()

    def attempts(self, session: str) -> dict[str, int]:
        """How often each job of a session that has succeeded was tried."""
        said = json.loads(self.run(f"session status {session} --format json"))
        assert "succeeded" == said["status"]
        return {name: job["attempts"] for name, job in said["jobs"].items()}

    def hosts(self, session: str) -> list[str]:
        """On which hosts a session was claimed."""
        code = (
            "import bunsui, sys\n"
            "with bunsui.Runner() as runner:\n"
            "    for event in runner.session(sys.argv[1]).events():\n"
            "        if type(event).__name__ == 'RunnerClaimed': print(event.process['host'])\n"
        )
        program = [sys.executable, "-c", code, session]
        done = subprocess.run(program, env=self._environment, capture_output=True, text=True, check=True)
        return done.stdout.split()


def rows_of(database: Path) -> list[tuple[Any, ...]]:
    """The rows of the daily summary."""
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT * FROM daily_summary ORDER BY day, carrier").fetchall()


def expected_rows() -> list[tuple[Any, ...]]:
    """What they must be, computed by other means."""
    path = ROOT / "tests" / "fixtures" / "etl_expected.py"
    spec = importlib.util.spec_from_file_location("etl_expected", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    summary = module.expected_summary(EXAMPLES / "etl" / "data" / "flights" / "2013-01.csv.gz")
    return sorted((*key, *group.values()) for key, group in summary.items())


def processes_of(group: int) -> list[str]:
    """The processes of a group that have not ended."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pgid=,stat=,args="], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    found = [line.split(None, 2) for line in listed.splitlines()]
    return [line[2] for line in found if int(line[0]) == group and not line[1].startswith("Z")]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A cloud in which the pipeline has run once."""
    checkout = Checkout(tmp_path_factory.mktemp("aws"))
    checkout.run(START)
    try:
        checkout.run(CREATE)
        checkout.run(RUN)
        yield checkout
    finally:
        checkout.run(STOP)


def test_the_result_is_that_of_examples_etl(ran: Checkout) -> None:
    """Row for row, and that is what the raw file says by other means; the pipeline is the same file."""
    ran.run("bunsui run examples/etl/pipeline.yaml --local -p source_bucket=flights")

    local = rows_of(ran.folder / "examples" / "etl" / "output" / "analytics.db")
    assert expected_rows() == local == ran.table()


def test_the_functions_have_run_in_the_cloud(ran: Checkout) -> None:
    """Each has written into its own log group there."""
    logs = ran.client("logs")
    said = {
        name: "".join(
            event["message"] for event in logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        )
        for name in ("extract-function", "load-function")
    }
    assert "cleaning 2013-01.csv.gz" in said["extract-function"]
    assert "loaded 460 rows into analytics.daily_summary" in said["load-function"]


def test_a_second_session_leaves_the_same(ran: Checkout) -> None:
    """In a store that is a file, too; it replaces the files and the table of the first one."""
    before = ran.table()
    ran.run(f"{RUN} --store sqlite:///store.db")

    keys = [entry["Key"] for entry in ran.client("s3").list_objects_v2(Bucket="etl-output")["Contents"]]
    assert [
        "analytics.db", "sessions/emulated/daily_summary.csv", "sessions/emulated/flights.csv",
    ] == sorted(keys)  # fmt: skip
    assert before == ran.table()
    said = ran.run("bunsui logs filter @last --job transform_data").stdout
    assert "wrote s3://etl-output/sessions/emulated/daily_summary.csv" in said


def test_two_laptops(ran: Checkout) -> None:
    """What is begun on one is listed, paused and gone on with on the other."""
    one, other = ran.laptop("one"), ran.laptop("other")
    begun = one.begin()
    listed = json.loads(other.run("session list --pipeline Gate --status running --format json"))
    assert [each["session_id"] for each in listed] == [begun.session]
    other.run(f"session pause {begun.session}")
    one.open_gate()
    said, _ = begun.process.communicate(timeout=60)
    assert (begun.process.returncode, "paused" in said) == (7, True)
    assert "paused" in other.run(f"session status {begun.session}")
    other.run(f"session resume {begun.session}")
    assert other.attempts(begun.session) == {"extract_data": 1, "gate": 1, "load_data": 1}


def test_a_laptop_that_dies(ran: Checkout) -> None:
    """Another one takes over what it has left, once its lease is over; what had ended does not run again."""
    one, other = ran.laptop("one"), ran.laptop("other")
    begun = one.begin()
    begun.process.kill()
    begun.process.communicate(timeout=60)
    one.open_gate()
    other.run(f"session resume {begun.session}")
    assert other.attempts(begun.session) == {"extract_data": 1, "gate": 1, "load_data": 1}
    assert other.hosts(begun.session) == ["one", "other"]


def test_a_table_that_another_one_has_written_meanwhile_is_not_replaced(ran: Checkout) -> None:
    """Neither one that came into being, nor one that changed."""
    before = ran.table()
    done = ran.run("env $(cat examples/aws-etl/emulator/env) python -", text=STALE)

    assert "False False\n" == done.stdout
    assert before == ran.table()


def test_the_python_of_the_readme_prints_what_it_says(ran: Checkout) -> None:
    """Run as it is said there."""
    blocks = re.findall(r"\.\. code-block:: (\w+)\n\n((?:    .*\n|\n)+)", README)
    snippets = {kind: textwrap.dedent(text).strip() for kind, text in blocks}
    command = re.search(r"This is to run as ``(.*)``:", README)
    assert command is not None
    done = ran.run(f"{command[1]} -W error -", text=snippets["python"])

    assert snippets["text"] == done.stdout.strip()


def test_stop_leaves_nothing(tmp_path: Path) -> None:
    """No process of the emulator or a function, no file, nobody at the port; a second stop does nothing."""
    checkout = Checkout(tmp_path)
    checkout.run(START)
    try:
        address = checkout.variables()["AWS_ENDPOINT_URL"].removeprefix("http://").split(":")
        group = int((checkout.emulator / "process").read_text(encoding="utf-8"))
        checkout.client("lambda").invoke(FunctionName="extract-function", Payload=b'{"bucket": "flights"}')
        assert len(processes_of(group)) >= 2
        assert "it runs already" in checkout.run(START, check=1).stderr
    finally:
        checkout.run(STOP)

    assert [] == processes_of(group)
    assert not checkout.emulator.exists()
    with socket.socket() as probe:
        assert probe.connect_ex((address[0], int(address[1]))) != 0
    checkout.run(STOP)


def test_a_start_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """The emulator runs by then; it is stopped, and its files are gone."""
    checkout = Checkout(tmp_path)
    (checkout.folder / "examples" / "aws-etl" / "functions" / "load.py").unlink()
    done = checkout.run("env PYTHONPATH=examples/aws-etl python -", text=FAILING, check=1)

    assert "load.py" in done.stderr.splitlines()[-1]
    assert [] == processes_of(int(done.stdout))
    assert not checkout.emulator.exists()
