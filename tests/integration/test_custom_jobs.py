"""Commands, callables and bound functions as jobs of a session, through the public API."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

import bunsui
from bunsui import Job, Pipeline, RetryPolicy, Runner, Session
from bunsui_tests.conditions import is_running, wait_for

TASKS = """
import os, time
import bunsui

def pid():
    return os.getpid()

def hang():
    open("pid.new", "w").write(str(os.getpid()))
    os.rename("pid.new", "pid")
    time.sleep(600)

def facts(x):
    call = bunsui.current_call()
    call.logger.warning("told the call")
    started_at = call.started_at.isoformat()
    return [call.parameters, call.session_id, call.job_id, call.attempt, started_at, call.cancelled.is_set()]

async def later(x):
    return x + 1

def fail():
    raise LookupError("no such row")

class Group:
    @staticmethod
    def member():
        return "member"
"""


@pytest.fixture
def runner() -> Iterator[Runner]:
    with Runner("memory://") as runner:
        yield runner


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with tasks.py beside the definition."""
    (tmp_path / "tasks.py").write_text(TASKS)
    return tmp_path


def one(folder: Path, fields: str) -> Pipeline:
    """A definition with one job `a`, loaded from a file in `folder`."""
    path = folder / "pipeline.yaml"
    path.write_text(f'version: "1.0"\nname: one\njobs:\n  - {{id: a, type: custom, {fields}}}\n')
    return Pipeline.load(path)


def error_of(session: Session, job: str = "a") -> tuple[str, str] | None:
    error = session.jobs[job].error
    return None if error is None else (error.code, error.message)


def log_of(session: Session, job: str = "a", attempt: int = 1) -> str:
    """What an attempt has written and logged, its tracebacks included."""
    said = [record for record in session.logs(job) if record.attempt == attempt]
    return "\n".join(record.exception or record.message for record in said)


class TestCommands:
    def test_through_a_session(self, runner: Runner, folder: Path) -> None:
        """A command gets its parameters, runs beside its definition, and its output is the job's."""
        (folder / "double.py").write_text(
            "import json, os; n = json.loads(os.environ['BUNSUI_PARAMETERS'])['n']\n"
            "json.dump(n * 2, open(os.environ['BUNSUI_OUTPUT'], 'w')); print('doubled')\n"
        )
        session = runner.run(one(folder, "command: [python, double.py], parameters: {n: 21}"))
        assert (42, "doubled") == (session.outputs["a"], log_of(session))

    def test_failure(self, runner: Runner, folder: Path) -> None:
        """A command that fails fails its job, with the exit code and its last words."""
        session = runner.run(one(folder, "command: 'echo no table >&2; exit 3', shell: true"))
        expected = ("ExitCode.3", "the command failed with exit code 3; it last said: no table")
        assert expected == error_of(session)

    def test_timeout(self, runner: Runner, folder: Path) -> None:
        """A command is ended at its job's timeout."""
        session = runner.run(one(folder, "command: 'echo $$ > pid; exec sleep 600', shell: true, timeout: 1"))
        expected = ("JobTimeout", "the attempt took longer than its timeout of 1 s and was ended")
        assert (expected, False) == (error_of(session), is_running(int((folder / "pid").read_text())))

    def test_cancel(self, runner: Runner, folder: Path) -> None:
        """Cancelling a session ends its command."""
        session = runner.start(
            one(folder, "command: 'echo $$ > new; mv new pid; exec sleep 600', shell: true")
        )
        assert wait_for((folder / "pid").exists)
        session.cancel()
        session.wait(20)
        pid = int((folder / "pid").read_text())
        assert ("cancelled", "cancelled", False) == (
            session.status,
            session.jobs["a"].status,
            is_running(pid),
        )

    def test_parameter_is_never_code(self, runner: Runner, folder: Path) -> None:
        """A session's parameter in a shell's script stays a value."""
        path = folder / "pipeline.yaml"
        path.write_text(
            'version: "1.0"\nname: one\nparameters: [{name: x, required: true}]\njobs:\n'
            "  - id: a\n    type: custom\n    shell: true\n"
            "    command: 'printf %s \"$BUNSUI_PARAM_X\"'\n    parameters: {x: '${x}'}\n"
        )
        text = "$(touch pwned); touch pwned\n`touch pwned`"
        session = runner.run(Pipeline.load(path), {"x": text})
        assert (text, False) == (log_of(session), (folder / "pwned").exists())


class TestCallables:
    @pytest.mark.parametrize("isolation", ["thread", "process"])
    def test_current_call(self, runner: Runner, folder: Path, isolation: str) -> None:
        """A callable knows its call, and the call's logger writes to the job's log."""
        fields = f"callable: 'tasks:facts', isolation: {isolation}, parameters: {{x: 1}}"
        session = runner.run(one(folder, fields))
        started_at = session.jobs["a"].started_at.isoformat()
        expected = [{"x": 1}, session.id, "a", 1, started_at, False]
        assert (expected, True) == (session.outputs["a"], "told the call" in log_of(session))

    @pytest.mark.parametrize(
        ("fields", "here"), [("", True), ("isolation: process", False), ("timeout: 600", False)]
    )
    def test_where_it_runs(self, runner: Runner, folder: Path, fields: str, here: bool) -> None:
        """A callable runs in this process, unless it is isolated or has a timeout."""
        session = runner.run(one(folder, f"callable: 'tasks:pid', {fields}"))
        assert here == (session.outputs["a"] == os.getpid())

    @pytest.mark.parametrize("isolation", ["thread", "process"])
    def test_async(self, runner: Runner, folder: Path, isolation: str) -> None:
        """A callable may be async."""
        fields = f"callable: 'tasks:later', isolation: {isolation}, parameters: {{x: 1}}"
        assert runner.run(one(folder, fields)).outputs["a"] == 2

    def test_member(self, runner: Runner, folder: Path) -> None:
        """A callable may be a member of a class."""
        assert runner.run(one(folder, "callable: 'tasks:Group.member'")).outputs["a"] == "member"

    @pytest.mark.parametrize("isolation", ["thread", "process"])
    def test_exception(self, runner: Runner, folder: Path, isolation: str) -> None:
        """An exception is the job's error; its traceback, without the library's frames, is in the log."""
        session = runner.run(one(folder, f"callable: 'tasks:fail', isolation: {isolation}"))
        line = TASKS.splitlines().index('    raise LookupError("no such row")') + 1
        text = (
            f'Traceback (most recent call last):\n  File "{folder}/tasks.py", line {line}, in fail\n'
            '    raise LookupError("no such row")\nLookupError: no such row'
        )
        assert (("LookupError", "no such row"), text) == (error_of(session), log_of(session))

    @pytest.mark.parametrize("isolation", ["thread", "process"])
    def test_not_found(self, runner: Runner, folder: Path, isolation: str) -> None:
        """A callable that is not there fails its job, once."""
        fields = f"callable: 'tasks:gone', isolation: {isolation}, retry: {{max_attempts: 3, delay: 0}}"
        session = runner.run(one(folder, fields))
        message = "callable 'tasks:gone' can't be imported: module 'tasks' has no 'gone'"
        assert (("CallableNotFound", message), 1) == (error_of(session), len(session.jobs["a"].attempts))

    def test_timeout(self, runner: Runner, folder: Path) -> None:
        """A callable with a timeout is ended at it."""
        session = runner.run(one(folder, "callable: 'tasks:hang', timeout: 2"))
        expected = ("JobTimeout", "the attempt took longer than its timeout of 2 s and was ended")
        assert (expected, False) == (error_of(session), is_running(int((folder / "pid").read_text())))

    def test_closure(self, runner: Runner) -> None:
        """A closure is a job of this process."""
        added = 2
        job = Job.from_callable(lambda x: x + added, id="a", parameters={"x": 1})
        assert runner.run(Pipeline(name="p", jobs=[job])).outputs["a"] == 3

    def test_mutated_parameters(self, runner: Runner) -> None:
        """A callable that changes its parameters harms no attempt, job or session after it."""
        seen: list[Any] = []

        def change(x: list[int], y: dict[str, Any]) -> None:
            seen.append([list(x), dict(y)])
            x.append(2)
            y["n"] = 1
            raise ValueError

        job = {"parameters": {"x": [1], "y": "${d}"}, "retry": RetryPolicy(2, delay=0)}
        pipeline = Pipeline(
            name="p",
            parameters=[bunsui.Parameter("d", "object", default={})],
            jobs=[Job.from_callable(change, id=name, **job) for name in ("a", "b")],  # type: ignore[arg-type]
        )
        for _ in range(2):
            runner.run(pipeline)
        assert [[[1], {}]] * 8 == seen

    def test_message_without_end(self, runner: Runner) -> None:
        """An exception with 20 MB of text fails its job; the session ends."""

        def fail() -> None:
            raise ValueError("x" * 20_000_000)

        session = runner.run(Pipeline(name="p", jobs=[Job.from_callable(fail, id="a")]))
        error = session.jobs["a"].error
        assert error is not None
        assert ("failed", "ValueError", True) == (session.status, error.code, len(error.message) < 20_000)

    @pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit()])
    def test_exceptions_that_end_programs(self, runner: Runner, error: BaseException) -> None:
        """Nothing that a callable raises ends more than its job."""

        def fail() -> None:
            raise error

        session = runner.run(Pipeline(name="p", jobs=[Job.from_callable(fail, id="a")]))
        assert ("failed", type(error).__name__) == (session.status, (error_of(session) or ("",))[0])


class TestBindings:
    DEFINITION: ClassVar[dict[str, Any]] = {
        "version": "1.0",
        "name": "bound",
        "jobs": [{"id": "a", "type": "lambda", "function": "f", "parameters": {"n": 1}}],
    }

    def bound(self, function: Any, **fields: Any) -> tuple[Pipeline, dict[str, Any]]:
        job = {**self.DEFINITION["jobs"][0], **fields}
        return Pipeline.from_dict({**self.DEFINITION, "jobs": [job]}), {"lambda": {"f": function}}

    def test_callable(self) -> None:
        """A Python callable as binding runs in this process, with event and context."""
        pipeline, bindings = self.bound(lambda event, context: [event, context.function_name, os.getpid()])
        with Runner("memory://", bindings=bindings) as runner:
            assert [{"n": 1}, "f", os.getpid()] == runner.run(pipeline).outputs["a"]

    def test_beside_the_definition(self, runner: Runner, tmp_path: Path) -> None:
        """bindings.yaml beside the definition is found; its function runs in a warm process."""
        (tmp_path / "handlers.py").write_text("import os\ndef f(event, context): return os.getpid()\n")
        (tmp_path / "bindings.yaml").write_text("lambda: {f: handlers:f}\n")
        (tmp_path / "pipeline.yaml").write_text(Pipeline.from_dict(self.DEFINITION).to_json())
        pipeline = Pipeline.load(tmp_path / "pipeline.yaml")
        pids = {runner.run(pipeline).outputs["a"] for _ in range(3)}
        assert (1, False) == (len(pids), os.getpid() in pids)

    def test_unimportable(self, runner: Runner, tmp_path: Path) -> None:
        """A binding that can't be imported is an error before anything starts."""
        (tmp_path / "bindings.yaml").write_text("lambda: {f: absent:f}\n")
        (tmp_path / "pipeline.yaml").write_text(Pipeline.from_dict(self.DEFINITION).to_json())
        with pytest.raises(bunsui.DefinitionError) as caught:
            runner.run(Pipeline.load(tmp_path / "pipeline.yaml"))
        message = (
            "binding 'lambda: f': callable 'absent:f' can't be imported:"
            " ModuleNotFoundError: No module named 'absent'"
        )
        (problem,) = caught.value.problems
        assert (message, str(tmp_path / "bindings.yaml"), 1, 13, []) == (
            problem.message,
            problem.file,
            problem.line,
            problem.column,
            runner.sessions(),
        )

    def test_timeout_in_a_thread(self) -> None:
        """A callable that can't be ended is left at its timeout, not retried, and its slot is free again."""
        end, calls = threading.Event(), []

        def hang(event: Any, context: Any) -> None:
            calls.append(1)
            end.wait(60)

        pipeline, bindings = self.bound(hang, timeout=0.3, retry={"max_attempts": 3, "delay": 0})
        quick = Pipeline(name="q", jobs=[Job.from_callable(lambda: 1, id="a")])
        with Runner("memory://", bindings=bindings, max_concurrency=1) as runner:
            session = runner.run(pipeline)
            after = runner.run(quick).outputs["a"]
            end.set()
            again = runner.run(quick).outputs["a"]
        message = (
            "the attempt took longer than its timeout of 0.3 s; its thread can't be ended and goes on,"
            " so there is no other attempt"
        )
        assert (("JobTimeout", message), [1], 1, 1) == (error_of(session), calls, after, again)

    def test_cancelled_is_set(self) -> None:
        """A callable in a thread sees that its session is cancelled."""
        begun, seen = threading.Event(), threading.Event()

        def work(event: Any, context: Any) -> None:
            begun.set()
            if bunsui.current_call().cancelled.wait(20):
                seen.set()

        pipeline, bindings = self.bound(work)
        with Runner("memory://", bindings=bindings) as runner:
            session = runner.start(pipeline)
            begun.wait(20)
            session.cancel()
            session.wait(20)
        assert ("cancelled", True) == (session.status, seen.is_set())


class TestRetries:
    def flaky(self, failures: int, error: Exception, **policy: Any) -> tuple[Pipeline, list[int]]:
        """A job that fails so often, and the attempts that it saw."""
        attempts: list[int] = []

        def work() -> int:
            attempts.append(bunsui.current_call().attempt)
            if len(attempts) <= failures:
                raise error
            return len(attempts)

        job = Job.from_callable(work, id="a", retry=RetryPolicy(**{"delay": 0, **policy}))
        return Pipeline(name="p", jobs=[job]), attempts

    def test_third_attempt_succeeds(self, runner: Runner) -> None:
        """A job that fails twice and then succeeds has succeeded, in three attempts with a key each."""
        pipeline, attempts = self.flaky(2, ValueError("no"), max_attempts=3)
        session = runner.run(pipeline)
        assert ("succeeded", 3, [1, 2, 3], 3) == (
            session.status,
            session.outputs["a"],
            attempts,
            len(session.jobs["a"].attempts),
        )

    def test_all_attempts_fail(self, runner: Runner) -> None:
        """A job that fails in all its attempts has failed, with the last error."""
        pipeline, attempts = self.flaky(9, ValueError("no"), max_attempts=3)
        assert (("ValueError", "no"), [1, 2, 3]) == (error_of(runner.run(pipeline)), attempts)

    @pytest.mark.parametrize(
        ("on", "tries"),
        [
            ((), 2),
            (("Busy.*",), 2),
            (("Busy",), 1),
            (("*Now",), 2),
            (("A", "Busy.Now"), 2),
            (("B.sy*",), 1),
            (("*Busy",), 1),
            (("B*w",), 2),
            (("B*s",), 1),
        ],
    )
    def test_patterns(self, runner: Runner, on: tuple[str, ...], tries: int) -> None:
        """Only the codes that the policy names are retried; without names, all that is retryable."""
        pipeline, attempts = self.flaky(1, bunsui.JobError("m", code="Busy.Now"), max_attempts=2, on=on)
        runner.run(pipeline)
        assert tries == len(attempts)

    def test_not_retryable(self, runner: Runner) -> None:
        """What another attempt can't help is not retried."""
        error = bunsui.JobError("m", code="Gone", retryable=False)
        pipeline, attempts = self.flaky(1, error, max_attempts=3)
        runner.run(pipeline)
        assert attempts == [1]

    def test_command(self, runner: Runner, folder: Path) -> None:
        """A command's attempts have a log each, and know their number."""
        fields = "command: 'echo try $BUNSUI_ATTEMPT; [ $BUNSUI_ATTEMPT = 3 ]', shell: true"
        session = runner.run(one(folder, f"{fields}, retry: {{max_attempts: 3, delay: 0}}"))
        assert ("succeeded", ["try 1", "try 2", "try 3"]) == (
            session.status,
            [log_of(session, "a", n) for n in (1, 2, 3)],
        )


class TestWhereCallablesAre:
    """Beside the definition, beside the bindings, then on sys.path."""

    @pytest.mark.parametrize("isolation", ["thread", "process"])
    def test_beside_the_bindings(self, tmp_path: Path, isolation: str) -> None:
        """Also where these lie in another folder than the definition, and after a resume."""
        definition, bindings = tmp_path / "definition", tmp_path / "bindings"
        definition.mkdir()
        bindings.mkdir()
        (bindings / f"far_{isolation}.py").write_text("def f():\n    return 'far'\n")
        (bindings / "bindings.yaml").write_text("lambda: {unused: 'm:f'}\n")
        (definition / "p.yaml").write_text(
            'version: "1.0"\nname: n\njobs:\n'
            "  - {id: first, type: custom, shell: true, command: 'while ! test -e go; do sleep 0.01; done'}\n"
            f"  - {{id: a, type: custom, callable: 'far_{isolation}:f', isolation: {isolation},"
            " depends_on: [first]}\n"
        )
        store = f"sqlite:///{tmp_path}/store.db"
        with Runner(store, bindings=bindings / "bindings.yaml") as runner:
            paused = runner.start(Pipeline.load(definition / "p.yaml"))
            paused.pause()
            (definition / "go").touch()
            paused.wait()
        assert ("paused", "pending") == (paused.status, paused.jobs["a"].status)
        with Runner(store) as runner:
            session = runner.resume(paused.id)
        assert ("far", None) == (session.jobs["a"].output, session.jobs["a"].error)


class TestShells:
    """What a shell's script may hold."""

    def test_a_variable_in_braces(self, tmp_path: Path, runner: Runner) -> None:
        """'$${X}' is the shell's ${X}."""
        script = 'echo "$${BUNSUI_PARAM_X}" > "$BUNSUI_OUTPUT"'
        session = runner.run(one(tmp_path, f"command: '{script}', shell: true, parameters: {{x: 1.0}}"))
        assert (1, None) == (session.jobs["a"].output, session.jobs["a"].error)
