"""Secrets that jobs show in every way that they have are in nothing that anybody reads.

The same pipeline runs twice: with secrets, and with the same values as plain parameters. Of each place that
is looked into, the second run shows that the value would be found there.
"""

from __future__ import annotations

import gzip
import io
import json
import logging
import os
import pickle
import sys
import threading
import traceback
import warnings
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import bunsui
from bunsui.engine import events as ev
from bunsui.monitoring.exporting import providers
from bunsui.performance.retrying import Backoff
from bunsui.runner.attempts import remotes
from bunsui.stores.memory import MemoryStore
from bunsui_tests.aws.alerts import FakeEvents, FakeSns
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.environment import REGION, environment
from bunsui_tests.canary import SECRETS, TINY, CommandLines, found, names_found
from bunsui_tests.leaking import Plugin, parameters_of, write
from bunsui_tests.otlp import Receiver as OtlpReceiver
from bunsui_tests.receiver import Receiver, free_port
from bunsui_tests.telemetry import Told

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

#: Writes what it was given behind what others were.
PROGRAM = """
import json, os, sys
with open(sys.argv[1], "a") as file:
    file.write(json.dumps([sys.argv, dict(os.environ), sys.stdin.read()], ensure_ascii=False) + "\\n")
"""
CHANNELS = ("hook", "down", "program", "broken", "log", "topic", "bus")


class Raw(OtlpReceiver):
    """Keeps what came as it came, but for its compression."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        super().__init__()

    def _take(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        is_packed = request.headers.get("Content-Encoding") == "gzip"
        self.bodies += [request.path.encode(), gzip.decompress(body) if is_packed else body]
        return super()._take(request, body)


class Kept(logging.Handler):
    """Keeps all that a handler of the program's own is given."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.said: list[str] = []
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.said += [self.format(record), repr(record.__dict__), repr(record.exc_info)]


class Ran:
    """One run of the pipeline, and what is to be seen of it, by the names of `SINKS`."""

    def __init__(self, folder: Path, *, is_secret: bool) -> None:
        self.folder = folder
        self.is_secret = is_secret
        self.sinks: dict[str, bytes] = {}
        #: The arguments of all processes.
        self.processes: set[bytes] = set()
        #: What each job failed with.
        self.codes: dict[str, str | None] = {}
        #: What became of the session's alert, by channel.
        self.alerts: dict[str, tuple[str, str | None]] = {}

    def see(self, name: str, *what: Any) -> None:
        """Takes in what is to be looked into."""
        data = (
            each if isinstance(each, bytes) else str(each).encode(errors="surrogatepass") for each in what
        )
        self.sinks[name] = b"\n".join(data)

    def see_files(self, name: str, folder: Path, pattern: str) -> None:
        """Takes in files, with their names."""
        files = [path for path in sorted(folder.rglob(pattern)) if path.is_file()]
        self.see(name, *(part for path in files for part in (path.name, path.read_bytes())))

    def see_session(self, runner: bunsui.Runner, session: bunsui.Session, kind: str) -> None:
        """Takes in all that a session shows in Python."""
        events = [*session.events()]
        self.see(f"{kind}: events", *map(repr, events))
        self.see(f"{kind}: records", *map(repr, session.logs()))
        self.see(f"{kind}: states", repr(session.state), repr(session.jobs), repr(session.outputs))
        self.see(f"{kind}: outputs", repr({job: state.output for job, state in session.jobs.items()}))
        given = parameters_of(is_secret=self.is_secret)
        self.see(f"{kind}: plan", repr(runner.plan(session.definition, given)))
        self.see(f"{kind}: rerun", repr(runner.plan(rerun=session.id, jobs="all")))
        try:
            session.raise_for_status()
        except bunsui.SessionFailed as error:
            every = [error, *error.errors.values()]
            self.see(f"{kind}: errors", *map(str, every), *map(repr, every))
            self.see(f"{kind}: tracebacks", *("".join(traceback.format_exception(each)) for each in every))
            self.see(f"{kind}: pickles", *map(pickle.dumps, every))

    def see_runner(self, runner: bunsui.Runner, session: bunsui.Session, kind: str) -> None:
        """Takes in what never shows a value, whatever it is: there is no twin of this."""
        parts = runner._control.parts
        shown = [
            runner,
            parts,
            session,
            session.definition,
            runner.sessions(),
            vars(runner),
            parts.channels(),
        ]
        self.see(f"{kind}: reprs", *map(repr, shown))


def config_of(folder: Path, url: str, telemetry: Any) -> dict[str, Any]:
    """Where secrets are, and channels for alerts, of which two fail."""
    (folder / "program.py").write_text(PROGRAM, encoding="utf-8")
    program = [sys.executable, str(folder / "program.py"), str(folder / "program.out")]
    pager = {"type": "command", "env": ["CANARY_PLAIN"]}
    return {
        "telemetry": telemetry,
        "secrets": {
            **{name: f"env:CANARY_{name.upper()}" for name in (*SECRETS, "tiny", "hidden_url")},
            "quoted": f"file:{folder}/quoted",
        },
        "alert_channels": {
            "hook": {"type": "webhook", "url": url, "secret": "plain", "header_secrets": {"X-Key": "url"}},
            "down": {"type": "webhook", "url_secret": "hidden_url", "secret": "plain"},
            "program": {"type": "command", "command": program},
            "broken": {**pager, "command": ["sh", "-c", 'echo "with $CANARY_PLAIN" >&2; exit 3']},
            "topic": {"type": "sns", "topic": "arn:aws:sns:eu-central-1:123456789012:alerts"},
            "bus": {"type": "eventbridge"},
        },
    }


def refuse(event: Any, _: Any) -> Any:
    """A function at AWS whose error says what it was given."""
    raise RuntimeError(json.dumps(event, ensure_ascii=False))


class Stage:
    """What a run needs around it, until it is left."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.hook = stack.enter_context(Receiver())
        self.aws = stack.enter_context(FakeAws())
        self.sns, self.events = FakeSns(), FakeEvents()
        self.aws.add(self.sns)
        self.aws.add(self.events)
        self.aws.functions.add("at-aws", refuse)
        self.kept = Kept()
        self.written, self.out, self.err = io.StringIO(), io.StringIO(), io.StringIO()
        self.warnings: list[warnings.WarningMessage] = []
        stack.enter_context(mock.patch.dict(os.environ))  # Jobs in threads leave some there on purpose.
        variables = stack.enter_context(pytest.MonkeyPatch.context())
        variables.setattr(remotes, "_AGAIN", Backoff(first=0.01, longest=0.01))
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            variables.delenv(name)
        hidden = {"tiny": TINY, "hidden_url": f"http://127.0.0.1:{free_port()}/{SECRETS['plain']}"}
        made = {f"CANARY_{name.upper()}": value for name, value in {**SECRETS, **hidden}.items()}
        del made["CANARY_QUOTED"]
        (folder / "quoted").write_text(SECRETS["quoted"] + "\n", encoding="utf-8")
        for name, value in (environment() | made).items():
            variables.setenv(name, value)
        variables.syspath_prepend(folder)

    def listen(self, stack: ExitStack, log_format: Any) -> None:
        """Has all that the program says kept."""
        logger = logging.getLogger("bunsui")
        logger.addHandler(self.kept)
        stack.callback(logger.removeHandler, self.kept)
        stack.enter_context(
            bunsui.logging.configure("DEBUG", format=log_format, stream=self.written, logger="root")
        )
        self.warnings = stack.enter_context(warnings.catch_warnings(record=True))
        stack.enter_context(redirect_stdout(self.out))
        stack.enter_context(redirect_stderr(self.err))


def run(folder: Path, *, is_secret: bool) -> Ran:
    """Runs it with a store in files, and a smaller one with a store in memory."""
    ran = Ran(folder, is_secret=is_secret)
    for part in ("with-files", "in-memory", "in-cloudwatch"):
        (folder / part).mkdir()
    with ExitStack() as stack:
        run_with_files(ran, folder / "with-files", stack)
    with ExitStack() as stack:
        run_in_memory(ran, folder / "in-memory", stack)
    with ExitStack() as stack:
        run_in_cloudwatch(ran, folder / "in-cloudwatch", stack)
    return ran


def run_with_files(ran: Ran, folder: Path, stack: ExitStack) -> None:
    work, data = folder / "work", folder / "data"
    work.mkdir()
    data.mkdir()
    stage, told = Stage(work, stack), Told()
    rules = [{"on": "failure", "channel": [*CHANNELS]}]
    rules.append({"on": "failure", "job": "raises-thread", "channel": ["hook"]})
    path = write(work, rules, is_secret=ran.is_secret)
    config = config_of(work, stage.hook.url(), told.providers)
    sys.modules.pop("leaking", None)
    stage.listen(stack, "json")
    lines = stack.enter_context(CommandLines(work, os.getpid()))
    store = f"sqlite:///{data}/store.db"
    aws = {"endpoint_url": stage.aws.url}
    plugins = [Plugin()]
    with bunsui.Runner(store, config=config, plugins=plugins, aws=aws, autoload_plugins=False) as runner:
        session = runner.run(runner.load(path), parameters_of(is_secret=ran.is_secret))
        ran.see_files("the store while it is open", data, "store.db*")
        ran.see_session(runner, session, "files")
        ran.see_runner(runner, session, "files")
        runner.close()
        ran.see("files: alerts", repr(session.alerts))
        ran.see_files("the store", data, "store.db*")
        ran.see_files("the logs", data, "*.jsonl")
        ran.see_files("the artifacts", data / "store.db-artifacts", "*")
        ran.see("the documents", *(repr(each) for kind in KINDS for each in runner.store.find(kind)))
    ran.codes = {
        job: None if state.error is None else state.error.code for job, state in session.jobs.items()
    }
    ran.alerts = {told.channel: (told.state, told.error) for told in session.alerts if told.alert.job is None}
    ran.processes = lines.seen
    ran.see("command lines", *lines.seen)
    ran.see("the log as json", stage.written.getvalue())
    ran.see("the log of the program's own handlers", *stage.kept.said)
    ran.see("the program's streams", stage.out.getvalue(), stage.err.getvalue(), *stage.warnings)
    ran.see("spans", *map(repr, told.spans))
    ran.see("metrics", *map(repr, told.points))
    for posted in stage.hook.got:
        assert SECRETS["url"] == posted.headers["x-key"]
    posted_headers = [{**each.headers, "x-key": ""} for each in stage.hook.got]
    ran.see("webhooks", *(each.body for each in stage.hook.got), *posted_headers)
    ran.see("commands", (work / "program.out").read_bytes())
    ran.see("sns", repr(stage.sns.published))
    ran.see("eventbridge", repr(stage.events.entries))


#: The kinds of documents that a session leaves.
KINDS = ("session", "alert")


def run_in_memory(ran: Ran, folder: Path, stack: ExitStack) -> None:
    stage, receiver = Stage(folder, stack), Raw()
    stack.callback(receiver.close)
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        otlp = providers("otlp")
    rules = [{"on": "failure", "channel": "log"}]
    path = write(folder, rules, is_secret=ran.is_secret, with_processes=False)
    config = config_of(folder, stage.hook.url(), otlp)
    sys.modules.pop("leaking", None)
    stage.listen(stack, "text")
    stack.enter_context(CommandLines(folder, os.getpid()))
    store = MemoryStore()
    options: Any = {
        "config": config,
        "plugins": [Plugin()],
        "autoload_plugins": False,
        "capture_logging": True,
    }
    with bunsui.Runner(store, **options) as runner:
        session = runner.run(runner.load(path), parameters_of(is_secret=ran.is_secret))
        ran.see_session(runner, session, "memory")
        ran.see_runner(runner, session, "memory")
        ran.see("the histories in memory", *(repr(each) for each in store.read(session.id)))
        runner.close()
        ran.see("memory: alerts", repr(session.alerts))
        ran.see("the documents in memory", repr(store._documents))
        ran.see_files("the logs of a store in memory", session.log_folder, "*")
    assert otlp.shutdown(20)
    ran.see("otlp", *receiver.bodies, *receiver.headers)
    ran.see("the log as text", stage.written.getvalue())


def run_in_cloudwatch(ran: Ran, folder: Path, stack: ExitStack) -> None:
    stage = Stage(folder, stack)
    given = {"is_secret": ran.is_secret, "with_processes": False, "with_plugins": False}
    path = write(folder, **given)
    config = config_of(folder, stage.hook.url(), "off")
    sys.modules.pop("leaking", None)
    aws = {"endpoint_url": stage.aws.url, "region": REGION}
    handler = bunsui.logging.CloudWatchHandler("/canary/app", "app", aws=aws)
    stack.enter_context(CommandLines(folder, os.getpid()))
    for name in ("bunsui", "foreign"):
        logging.getLogger(name).addHandler(handler)
        stack.callback(logging.getLogger(name).removeHandler, handler)
    options: Any = {"config": config, "autoload_plugins": False, "capture_logging": True, "aws": aws}
    logs = f"cloudwatch:///canary/jobs?region={REGION}&endpoint_url={stage.aws.url}"
    with bunsui.Runner("memory://", logs=logs, **options) as runner:
        session = runner.run(runner.load(path), parameters_of(is_secret=ran.is_secret))
        ran.see("records from CloudWatch Logs", *map(repr, session.logs()))
    handler.close()
    puts = [call.parameters for call in stage.aws.called("logs", "PutLogEvents")]
    for group in ("app", "jobs"):
        sent = [repr(put) for put in puts if put["logGroupName"] == f"/canary/{group}"]
        ran.see(f"CloudWatch Logs: {group}", *sent)


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """With secrets."""
    return run(tmp_path_factory.mktemp("secret"), is_secret=True)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """With the same values as plain parameters."""
    return run(tmp_path_factory.mktemp("plain"), is_secret=False)


#: What a session shows in Python.
SHOWN = (
    "events", "records", "states", "outputs", "plan", "rerun", "alerts", "errors", "tracebacks", "pickles",
)  # fmt: skip
#: What is looked into.
SINKS = (
    *(f"{kind}: {name}" for kind in ("files", "memory") for name in SHOWN),
    "the store while it is open", "the store", "the logs", "the artifacts", "the documents",
    "the histories in memory", "the documents in memory", "the logs of a store in memory",
    "the log as json", "the log as text", "the log of the program's own handlers", "the program's streams",
    "records from CloudWatch Logs", "CloudWatch Logs: app", "CloudWatch Logs: jobs",
    "spans", "metrics", "otlp", "webhooks", "commands", "sns", "eventbridge", "command lines",
)  # fmt: skip
#: What shows only names, whatever the values are.
OF_NAMES = ("files: reprs", "memory: reprs")


class TestSinks:
    """Where no secret is, and plain parameters are."""

    def test_all_are_looked_into(self, secret: Ran, plain: Ran) -> None:
        """What was seen is what is looked into."""
        assert {*SINKS, *OF_NAMES} == {*secret.sinks} == {*plain.sinks}

    @pytest.mark.parametrize("sink", [*SINKS, *OF_NAMES])
    def test_no_secret(self, secret: Ran, sink: str) -> None:
        """None, in no form."""
        assert [] == found(secret.sinks[sink])

    @pytest.mark.parametrize("sink", SINKS)
    def test_what_is_none_is_found(self, plain: Ran, sink: str) -> None:
        """The twin: there the same values are."""
        assert "plain" in names_found(plain.sinks[sink])

    @pytest.mark.parametrize("sink", OF_NAMES)
    def test_a_name_is_found(self, plain: Ran, sink: str) -> None:
        """The twin of what shows names."""
        assert {"tiny"} == names_found(plain.sinks[sink])


#: The jobs that give back what they were given.
GIVING = {f"{name}-{where}" for name in ("returns", "returns_much") for where in ("thread", "process")}
GIVING |= {"remote-gives", "command-gives"}


class TestRuns:
    """That the jobs did what they are to do, with the secrets and without."""

    def test_the_jobs_ran(self, secret: Ran, plain: Ran) -> None:
        """Those that give the values back fail with secrets, all others end alike."""
        assert GIVING == {job for job, code in secret.codes.items() if code == "SecretInOutput"}
        assert {None} == {plain.codes[job] for job in GIVING}
        masked = {
            job: code if code is None else code.replace(SECRETS["plain"], "***").replace(TINY, "***")
            for job, code in plain.codes.items()
            if job in secret.codes
        }
        # A handle with a secret is no handle.
        others = dict.fromkeys(GIVING, "SecretInOutput") | {"remote-handle": "TypeError"}
        assert masked | others == secret.codes
        expected = {"raises-thread": "Db.***", "at-aws": "Lambda.RuntimeError", "shell": "ExitCode.4"}
        assert expected.items() <= secret.codes.items()

    def test_processes_were_looked_at(self, secret: Ran) -> None:
        """Workers, commands and what starts them."""
        lines = b" ".join(secret.processes)
        parts = (b"bunsui.local.worker", b"command.py", b"fork_server")
        assert [] == [part for part in parts if part not in lines]

    def test_channels(self, secret: Ran) -> None:
        """Two failed, and say why; the others have told."""
        told = {channel: error for channel, (state, error) in secret.alerts.items() if state != "delivered"}
        expected = {
            "down": "its server could not be reached: Connection refused",
            "broken": "the command 'sh' exited with 3: with ***",
        }
        assert {
            name: f"AlertNotTaken: alert channel '{name}': {why}" for name, why in expected.items()
        } == told
        assert {*CHANNELS} == {*secret.alerts}

    def test_the_rest_is_there(self, secret: Ran) -> None:
        """What stands around a secret is told; nothing is empty but where only a leak would be."""
        empty = {name for name, content in secret.sinks.items() if not content.strip()}
        assert {"the artifacts", "the program's streams"} == empty
        for name in ("the logs", "files: records", "the log as json", "the log as text", "spans", "webhooks"):
            assert b"***" in secret.sinks[name], name


@pytest.mark.parametrize("action", ["cancel", "pause"])
@pytest.mark.parametrize("is_secret", [True, False])
def test_reasons(action: str, is_secret: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that gives a secret as the reason why it pauses, or cancels, its session."""
    monkeypatch.setenv("CANARY_PLAIN", SECRETS["plain"])
    sessions: list[bunsui.Session] = []
    started = threading.Event()

    def ask(password: str) -> None:
        assert started.wait(30)
        getattr(sessions[0], action)(f"it is {password}")

    password = "${secrets.plain}" if is_secret else SECRETS["plain"]
    first = bunsui.Job.from_callable(ask, id="a", parameters={"password": password})
    then = bunsui.Job.from_callable(dict, id="b", depends_on=["a"])
    config = {"secrets": {"plain": "env:CANARY_PLAIN"}}
    with bunsui.Runner("memory://", config=config, autoload_plugins=False) as runner:
        sessions.append(runner.start(bunsui.Pipeline("Reasons", [first, then])))
        started.set()
        assert sessions[0].wait(30) == {"cancel": "cancelled", "pause": "paused"}[action]
        events = [event for event in sessions[0].events() if not isinstance(event, ev.SessionCreated)]
        shown = repr([sessions[0].state, events])
    assert (set() if is_secret else {"plain"}) == names_found(shown)
    assert ("it is ***" in shown) == is_secret


KEEPING = """
import threading
import bunsui

asked, kept, threads = threading.Event(), [], []

def f(password=None):
    if password is not None:
        def later():
            asked.wait(60)
            print("late:", password, flush=True)
        kept.append(password)
        threads.append(threading.Thread(target=later, daemon=True))
        threads[0].start()
        return
    asked.set()
    for thread in threads:
        thread.join()
    print("kept:", *kept, flush=True)
    import os
    os._exit(3)
"""


@pytest.mark.parametrize("is_secret", [True, False])
def test_what_a_worker_keeps(tmp_path: Path, is_secret: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module, or a thread, keeps a secret: a later job of the same function, given none, shows none."""
    monkeypatch.setenv("CANARY_PLAIN", SECRETS["plain"])
    (tmp_path / "keeping.py").write_text(KEEPING, encoding="utf-8")
    password = "${secrets.plain}" if is_secret else SECRETS["plain"]
    job = {"type": "custom", "callable": "keeping:f", "isolation": "process"}
    jobs = [{"id": "a", **job, "parameters": {"password": password}}, {"id": "b", **job, "depends_on": ["a"]}]
    (tmp_path / "p.json").write_text(json.dumps({"version": "1.0", "name": "p", "jobs": jobs}))
    config = {"secrets": {"plain": "env:CANARY_PLAIN"}}
    with bunsui.Runner("memory://", config=config, autoload_plugins=False) as runner:
        session = runner.run(runner.load(tmp_path / "p.json"))
        shown = repr([*session.logs("b"), session.jobs["b"]])
    assert "kept:" in shown
    assert (set() if is_secret else {"plain"}) == names_found(shown)
