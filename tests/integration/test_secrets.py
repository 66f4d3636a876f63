"""The value of a secret reaches the jobs that need it, and nothing that anybody reads."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
import traceback
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui import Runner
from bunsui.engine import events as ev

#: What is looked for: it survives quoting of every kind.
CORE = "Zq7kVw3xPnT"
#: The secret, with all that makes writers quote.
CANARY = f"p\u00e4\"ss/{CORE}'&\\x y%"
DIGEST = hashlib.sha256(CANARY.encode()).hexdigest()
CONFIG = {"secrets": {"db": "env:SECRETS_TEST_DB"}}


def forms() -> list[bytes]:
    """What betrays the canary: its core, its hexadecimal digits, and its base64 wherever it begins."""
    found = [CORE, CANARY.encode().hex()]
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + CANARY.encode()).decode()
        found.append(encoded[4:-4])
    return [form.encode() for form in found]


def holds(content: bytes | str) -> bool:
    """Whether something of the canary is in it."""
    content = content.encode(errors="surrogatepass") if isinstance(content, str) else content
    return any(form in content for form in forms())


def files(folder: Path) -> dict[str, bytes]:
    """All files below a folder, those of the logs too."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def leaks(folder: Path) -> list[str]:
    """The files that hold something of the canary."""
    return [name for name, content in files(folder).items() if holds(content)]


TASKS = f"""
import hashlib, json, os, pathlib, sys
import bunsui

CORE = b"{CORE[:5]}" + b"{CORE[5:]}"

def digest(password, **more):
    return hashlib.sha256(password.encode()).hexdigest()

def seen(password):
    found = []
    for file in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if CORE in file.read_bytes():
                found.append(str(file))
        except OSError:
            pass
    return [digest(password), found]

def variables(password):
    # BUNSUI_CONFIG is what the tests themselves are started with.
    return sorted(name for name in os.environ if name.startswith("BUNSUI_") and name != "BUNSUI_CONFIG")

def log(password):
    logger = bunsui.current_call().logger
    logger.info("with %s", password)
    logger.warning("two\\nlines %r", {{"p": password}}, stack_info=True)
    try:
        raise KeyError(password)
    except KeyError:
        logger.exception("it is %s", json.dumps(password))
    logger.info("%d", password)
    logger.error("call: %r", bunsui.current_call())
    return digest(password)

class Odd(Exception):
    def __repr__(self):
        return self.args[0]

def fail(password):
    try:
        try:
            raise KeyError(password)
        except KeyError as error:
            raise Odd(password) from error
    except Odd as error:
        error.add_note("noted " + password)
        raise bunsui.JobError("url is db://u:" + password + "@host", code="Db." + password) from error

def group(password):
    raise ExceptionGroup(password, [ValueError(password), OSError(5, password, password)])

def long(password):
    raise ValueError("x" * 9_981 + password)

def deep(password):
    raise ValueError({{"a": [password.encode(), password]}})

def printing(password):
    print("y" * 281 + password)  # What is cut off at 300 characters leaves most of it.
    sys.stdout.flush()
    os._exit(3)
"""
COMMAND = """
import hashlib, json, os, stat, sys
sys.path.insert(0, os.getcwd())
import tasks
found = tasks.seen(os.environ["BUNSUI_PARAM_PASSWORD"])
parameters = os.environ.get("BUNSUI_PARAMETERS_FILE")
if parameters:
    modes = [oct(stat.S_IMODE(os.stat(path).st_mode)) for path in (parameters, os.path.dirname(parameters))]
    found += [modes, json.load(open(parameters))["password"] == os.environ["BUNSUI_PARAM_PASSWORD"]]
names = sorted(name for name in os.environ if name.startswith("BUNSUI_") and name != "BUNSUI_CONFIG")
json.dump([*found, names], open(os.environ["BUNSUI_OUTPUT"], "w"))
"""
PRINTING = f'echo "{"y" * 281}$BUNSUI_PARAM_PASSWORD"; exit 3'
HANDLERS = """
from tasks import digest

def f(event, context):
    return digest(**event)
"""
#: Callables that fail in ways of their own, with the code that the history then has.
FAILING = {"fail": "Db.***", "group": "ExceptionGroup", "long": "ValueError", "deep": "ValueError"}
FAILING_PROCESS = {**FAILING, "printing": "ExitCode.3"}


def definition() -> dict[str, Any]:
    """Jobs of every kind that are given the secret."""
    given = {"parameters": {"password": "${secrets.db}"}}
    jobs: list[dict[str, Any]] = []
    for isolation in ("thread", "process"):
        for name in ("seen", "log", *(FAILING if isolation == "thread" else FAILING_PROCESS)):
            job = f"{name}-{isolation}" if name != "printing" else name
            jobs.append(
                {"id": job, "type": "custom", "callable": f"tasks:{name}", "isolation": isolation, **given}
            )
            if name in FAILING:
                jobs[-1]["retry"] = {"max_attempts": 2, "delay": 0}
    jobs += [
        {"id": "variables", "type": "custom", "callable": "tasks:variables", "isolation": "process", **given},
        {"id": "command", "type": "custom", "command": ["python", "command.py"], **given},
        {"id": "printing-command", "type": "custom", "command": PRINTING, "shell": True, **given},
        {
            "id": "large",
            "type": "custom",
            "command": ["python", "command.py"],
            "parameters": {"password": "${secrets.db}", "padding": "x" * 150_000},
        },
        {"id": "bound", "type": "lambda", "function": "f", **given},
        {
            "id": "fan",
            "type": "custom",
            "callable": "tasks:fail",
            "for_each": [1, 2],
            "parameters": {"password": "${secrets.db}"},
            "max_concurrency": 1,
        },
        {"id": "mixed", "type": "custom", "callable": "tasks:digest"}
        | {"parameters": {"password": "u:${secrets.db}@${secret}", "list": [{"deep": "${secret}"}]}},
    ]
    return {
        "version": "1.0",
        "name": "canary",
        "parameters": [{"name": "secret", "secret": True, "default": "${secrets.db}"}],
        "jobs": jobs,
    }


class Told:
    """What was said to an observer, to the host's streams, and in the process's own log."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.out, self.err = io.StringIO(), io.StringIO()

    @bunsui.hookimpl
    def bunsui_session_event(self, session_id: str, event: ev.Event) -> None:
        self.events.append(repr((session_id, event)))


class Ran:
    """A session that ran with the canary, and what was there before its runner was closed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.told = folder, Told()
        (folder / "tasks.py").write_text(TASKS, encoding="utf-8")
        (folder / "handlers.py").write_text(HANDLERS, encoding="utf-8")
        (folder / "command.py").write_text(COMMAND, encoding="utf-8")
        (folder / "bindings.yaml").write_text("lambda: {f: 'handlers:f'}\n")
        (folder / "pipeline.json").write_text(json.dumps(definition()), encoding="utf-8")
        store = f"sqlite:///{folder}/store.db"
        with (
            redirect_stdout(self.told.out),
            redirect_stderr(self.told.err),
            Runner(store, plugins=[self.told], config=CONFIG, autoload_plugins=False) as runner,
        ):
            self.repr = repr([runner, runner._control.parts])
            self.session = runner.run(runner.load(folder / "pipeline.json"))
            self.open = files(folder)
            self.listed = repr(runner.sessions())


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """One run of everything."""
    before = dict(os.environ)
    os.environ["SECRETS_TEST_DB"] = CANARY
    os.environ["BUNSUI_PARAM_OTHER"] = os.environ["BUNSUI_PARAMETERS"] = "of another job"
    sys.modules.pop("tasks", None)
    try:
        yield Ran(tmp_path_factory.mktemp("canary"))
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_the_check_would_notice() -> None:
    """Each way to write the canary is seen by what these tests look with."""
    raw = CANARY.encode()
    written = [CANARY, repr(CANARY), json.dumps(CANARY), raw.hex(), base64.b64encode(b"user:" + raw).decode()]
    assert [True] * 5 == [holds(f"before {text} behind") for text in written]


class TestJobs:
    """What the jobs got."""

    @pytest.mark.parametrize("job", ["seen-thread", "seen-process", "command", "large"])
    def test_no_command_line_shows_it(self, ran: Ran, job: str) -> None:
        """The job has the value, and while it runs no process has it among its arguments."""
        assert [DIGEST, []] == ran.session.jobs[job].output[:2]

    @pytest.mark.parametrize("job", ["log-thread", "log-process", "bound"])
    def test_the_value_reaches_them(self, ran: Ran, job: str) -> None:
        """As it is."""
        assert DIGEST == ran.session.jobs[job].output

    def test_within_a_text(self, ran: Ran) -> None:
        """A secret may be part of a longer text, by its name and by a parameter's."""
        expected = hashlib.sha256(f"u:{CANARY}@{CANARY}".encode()).hexdigest()
        assert expected == ran.session.jobs["mixed"].output

    def test_a_large_input_is_a_private_file(self, ran: Ran) -> None:
        """Only its owner can read it, and it is gone with its folder afterwards."""
        modes, same = ran.session.jobs["large"].output[2:4]
        assert (["0o600", "0o700"], True) == (modes, same)
        assert [] == [name for name in ran.open if "parameters" in name or ".files" in name]

    def test_variables_of_other_jobs_are_not_there(self, ran: Ran) -> None:
        """A command, or a worker, has its own, and none that the runner's process was given."""
        assert [
            "BUNSUI_ATTEMPT",
            "BUNSUI_IDEMPOTENCY_KEY",
            "BUNSUI_JOB_ID",
            "BUNSUI_OUTPUT",
            "BUNSUI_PARAMETERS",
            "BUNSUI_PARAM_PASSWORD",
            "BUNSUI_SESSION_ID",
        ] == ran.session.jobs["command"].output[-1]
        assert [
            "BUNSUI_ATTEMPT",
            "BUNSUI_IDEMPOTENCY_KEY",
            "BUNSUI_JOB_ID",
            "BUNSUI_SESSION_ID",
        ] == ran.session.jobs["variables"].output

    def test_failures_are_masked(self, ran: Ran) -> None:
        """Codes and messages, of threads, processes and items."""
        found = {job: state.error for job, state in ran.session.jobs.items() if state.error is not None}
        codes = {f"{name}-thread": code for name, code in FAILING.items()}
        codes |= {f"{name}-process": code for name, code in FAILING.items()}

        codes |= {"printing": "ExitCode.3", "printing-command": "ExitCode.3", "fan": "Db.***"}
        assert codes == {job: error.code for job, error in found.items()}
        assert {"url is db://u:***@host", "item 0: url is db://u:***@host"} == {
            error.message for error in found.values() if error.code == "Db.***"
        }

    def test_a_masked_failure_is_tried_again(self, ran: Ran) -> None:
        """As any other."""
        assert [2, 2] == [len(ran.session.jobs[f"fail-{where}"].attempts) for where in ("thread", "process")]


class TestSinks:
    """Where it must not be."""

    def test_the_store(self, ran: Ran) -> None:
        """Not a byte of the database or its log, while it is open and after it was closed."""
        names = {"store.db", "store.db-wal", "store.db-shm"}
        assert {"store.db", "store.db-wal"} <= names & set(ran.open)
        assert [] == [name for name in names & set(ran.open) if holds(ran.open[name])]
        assert not holds((ran.folder / "store.db").read_bytes())

    def test_the_history_has_the_reference(self, ran: Ran) -> None:
        """What is stored is where the value is found, by its name."""
        created = next(event for event in ran.session.events() if isinstance(event, ev.SessionCreated))
        assert {"secret": "${secrets.db}"} == created.parameters == ran.session.parameters
        assert not holds(repr(list(ran.session.events())))

    def test_no_file(self, ran: Ran) -> None:
        """Neither logs, also of what a process printed by itself, nor what else lies about."""
        assert [] == [name for name, content in ran.open.items() if holds(content)]
        printed = [path for path in ran.folder.rglob("printing*.jsonl") if b"***" in path.read_bytes()]
        assert 2 == len(printed)

    def test_logs_say_what_they_can(self, ran: Ran) -> None:
        """The rest of each record, and tracebacks, are there."""
        for where in ("thread", "process"):
            text = "\n".join(
                f"{record.message}\n{record.exception}" for record in ran.session.logs(f"log-{where}")
            )
            assert all(part in text for part in ("with ***", "lines {'p': '***'}", "KeyError: '***'"))
            assert "a log record from tasks.py:" in text
            assert "call: JobCall(session_id=" in text
            failed = [str(record.exception) for record in ran.session.logs(f"fail-{where}")]
            assert "Odd: ***\nnoted ***" in failed[0]

    def test_what_the_session_shows(self, ran: Ran) -> None:
        """Its state, outputs, jobs, listing, and all their reprs."""
        session = ran.session
        shown = [
            session,
            session.state,
            session.jobs,
            session.outputs,
            session.definition,
            ran.listed,
            ran.repr,
        ]
        assert [False] * len(shown) == [holds(repr(each)) for each in shown]

    def test_observers(self, ran: Ran) -> None:
        """What plugins are told."""
        assert ran.told.events
        assert not holds("".join(ran.told.events))

    def test_the_hosts_streams(self, ran: Ran) -> None:
        """Also where a log record can't be written."""
        assert ("", "") == (ran.told.out.getvalue(), ran.told.err.getvalue())

    def test_errors(self, ran: Ran) -> None:
        """What `raise_for_status` raises: text, traceback, chain, parts, pickled and not."""
        with pytest.raises(bunsui.SessionFailed) as caught:
            ran.session.raise_for_status()
        error = caught.value
        chain = [error, *error.errors.values(), error.__cause__, error.__context__]
        text = "".join(line for each in chain if each for line in traceback.format_exception(each))

        assert not holds(text + repr(chain) + repr(error.__dict__))
        assert not holds(pickle.dumps(error))


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


SCRIPT = """
import sys
import bunsui
from bunsui.cli.drive import drive
from bunsui.cli.progress import Progress

progress = Progress(quiet=sys.argv[2] != "text")
config = {"secrets": {"db": "file:secret"}}
runner = bunsui.Runner(sys.argv[1], config=config, plugins=[progress], autoload_plugins=False)
pipeline = runner.load("p.json")
sys.exit(drive(runner, lambda: runner.start(pipeline), progress, sys.argv[2], ""))
"""


def job_file(folder: Path, text: str, **fields: Any) -> None:
    """`p.json` with one job, that calls `f` of this module with the secret."""
    (folder / "mine.py").write_text(textwrap.dedent(text), encoding="utf-8")
    job = {"id": "a", "type": "custom", "callable": "mine:f", "parameters": {"password": "${secrets.db}"}}
    definition = {"version": "1.0", "name": "p", "jobs": [job | fields]}
    (folder / "p.json").write_text(json.dumps(definition), encoding="utf-8")


class TestCommandLine:
    """What a command prints of a session with secrets."""

    @pytest.mark.parametrize("form", ["text", "json"])
    def test_a_failure(self, tmp_path: Path, form: str) -> None:
        """Masked on both streams."""
        (tmp_path / "secret").write_text(f"{CANARY}\n", encoding="utf-8")
        job_file(
            tmp_path,
            """
            import bunsui
            def f(password):
                bunsui.current_call().logger.info("%d", password)
                raise ValueError("no entry with " + password)
            """,
            retry={"max_attempts": 2, "delay": 0},
        )
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, f"sqlite:///{tmp_path}/s.db", form],
            cwd=tmp_path,
            capture_output=True,
            timeout=60,
            check=False,
        )

        assert (1, b"", False) == (done.returncode, done.stderr, holds(done.stdout))
        assert b"no entry with ***" in done.stdout

    def test_a_session_of_another_process(self, tmp_path: Path) -> None:
        """Killed with -9: only the reference is stored, and the next runner asks for the value anew."""
        (tmp_path / "secret").write_text(CANARY, encoding="utf-8")
        job_file(
            tmp_path,
            """
            import hashlib, pathlib, time
            HERE = pathlib.Path(__file__).parent
            def f(password):
                (HERE / "on").touch()
                while not (HERE / "go").exists():
                    time.sleep(0.01)
                return hashlib.sha256(password.encode()).hexdigest()
            """,
        )
        url = f"sqlite:///{tmp_path}/s.db"
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, url, "json"], cwd=tmp_path)
        wait_for(tmp_path / "on")
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        assert ["secret"] == leaks(tmp_path)
        (tmp_path / "secret").write_text("rotated", encoding="utf-8")
        (tmp_path / "go").touch()
        config = {"secrets": {"db": f"file:{tmp_path}/secret"}}
        with Runner(url, config=config, autoload_plugins=False) as runner:
            session = runner.resume(runner.sessions()[0].session_id)

        assert {"a": hashlib.sha256(b"rotated").hexdigest()} == session.outputs
        assert [] == leaks(tmp_path)

    @pytest.mark.parametrize("then", ["resume", "cancel"])
    def test_a_large_input_that_a_killed_runner_left(self, tmp_path: Path, then: str) -> None:
        """Its file goes when the session is taken over, whatever becomes of that."""
        (tmp_path / "secret").write_text(CANARY, encoding="utf-8")
        command = "test -e again && exit; echo $$ > pid.new; mv pid.new pid; exec sleep 600"
        job = {"id": "a", "type": "custom", "command": command, "shell": True}
        job["parameters"] = {"password": "${secrets.db}", "padding": "x" * 150_000}
        definition = {"version": "1.0", "name": "p", "jobs": [job]}
        (tmp_path / "p.json").write_text(json.dumps(definition), encoding="utf-8")
        url = f"sqlite:///{tmp_path}/s.db"
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, url, "json"], cwd=tmp_path)
        wait_for(tmp_path / "pid")
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        assert {"secret", "parameters.json"} == {Path(name).name for name in leaks(tmp_path)}
        (tmp_path / "again").touch()
        config = {"secrets": {"db": f"file:{tmp_path}/secret"}}
        with Runner(url, config=config, autoload_plugins=False) as runner:
            session = runner.session(runner.sessions()[0].session_id)
            getattr(session, then)()
            session.wait(60)

        assert ({"resume": "succeeded", "cancel": "cancelled"}[then], ["secret"]) == (
            session.status,
            leaks(tmp_path),
        )


#: What a job can read of its own environment, and of those that led to it, below the runner's.
LOOKING = """
import json, os, pathlib
def f(*event, **given):
    found, pid = [str(dict(os.environ))], os.getpid()
    while pid != int(os.environ["OF_RUNNER"]):
        found.append(pathlib.Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace"))
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
        pid = int(stat.rpartition(")")[2].split()[1])
    return sorted({name for name in ("HELD_DB", "HELD_KEY", "LEFT_ALONE") for text in found if name in text})
if __name__ == "__main__":
    json.dump(f(), open(os.environ["BUNSUI_OUTPUT"], "w"))
"""


class TestVariables:
    """The variables in which secrets are found."""

    @pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
    def test_no_process_inherits_them(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Neither commands, workers and handlers nor what starts them; who refers to one has it."""
        monkeypatch.setenv("HELD_DB", CANARY)
        monkeypatch.setenv("HELD_KEY", CANARY)
        monkeypatch.delenv("SECRETS_TEST_DB", raising=False)  # Of the run that other tests look at.
        monkeypatch.setenv("LEFT_ALONE", "1")
        monkeypatch.setenv("OF_RUNNER", str(os.getpid()))
        (tmp_path / "looking.py").write_text(LOOKING, encoding="utf-8")
        (tmp_path / "bindings.yaml").write_text("lambda: {f: 'looking:f'}\n")
        given = {"parameters": {"password": "${secrets.db}"}}
        looks = {"type": "custom", "callable": "looking:f", "isolation": "process"}
        printed = 'test "$BUNSUI_PARAM_PASSWORD" && env | grep -c HELD_; test $? = 1'
        jobs = [
            {"id": "command", "type": "custom", "command": ["python", "looking.py"]},
            {"id": "worker", **looks},
            {"id": "worker-with-one", **looks, **given},
            {"id": "handler", "type": "lambda", "function": "f"},
            {"id": "command-with-one", "type": "custom", "command": printed, "shell": True, **given},
            {"id": "shows-all", "type": "custom", "command": ["env"]},
        ]
        (tmp_path / "p.json").write_text(json.dumps({"version": "1.0", "name": "p", "jobs": jobs}))
        config = {"secrets": {"db": "env:HELD_DB", "key": "environment:HELD_KEY"}}
        with Runner(f"sqlite:///{tmp_path}/s.db", config=config, autoload_plugins=False) as runner:
            session = runner.run(runner.load(tmp_path / "p.json"))
            ended = {job: state.status for job, state in session.jobs.items()}
            seen = {
                job: session.jobs[job].output for job in ("command", "worker", "worker-with-one", "handler")
            }

        assert dict.fromkeys(ended, "succeeded") == ended
        assert {job: ["LEFT_ALONE"] for job in seen} == seen
        assert [] == leaks(tmp_path)

    def test_a_callable_in_a_thread_sees_the_programs_own(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It runs in that process: nothing is taken from a program's `os.environ`."""
        monkeypatch.setenv("HELD_DB", CANARY)
        (tmp_path / "seeing.py").write_text("import os\ndef f():\n    return 'HELD_DB' in os.environ\n")
        job = {"id": "a", "type": "custom", "callable": "seeing:f"}
        (tmp_path / "p.json").write_text(json.dumps({"version": "1.0", "name": "p", "jobs": [job]}))
        config = {"secrets": {"db": "env:HELD_DB"}}
        with Runner("memory://", config=config, autoload_plugins=False) as runner:
            assert runner.run(runner.load(tmp_path / "p.json")).outputs == {"a": True}
