"""Where the value of a secret comes from, when it is asked for, and who may name it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui import Job, Parameter, Pipeline, RetryPolicy, Runner, Session, current_call

CANARY = "Zq7kVw3xPnT-canary"


def digest(password: Any) -> str:
    """What a job may return of a secret."""
    return hashlib.sha256(str(password).encode()).hexdigest()


class Vault(bunsui.SecretSource):
    """A source that gives what it is made with, one after the other, the last for ever; or raises it."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str]] = []

    def get(self, key: str) -> str:
        self.asked.append((key, threading.current_thread().name))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer  # type: ignore[no-any-return]


class Plugin:
    """Registers a source as `vault`."""

    def __init__(self, source: bunsui.SecretSource) -> None:
        self.source = source

    @bunsui.hookimpl
    def bunsui_secret_sources(self) -> dict[str, bunsui.SecretSource]:
        return {"vault": self.source}


def with_vault(source: bunsui.SecretSource, store: str = "memory://") -> Runner:
    """A runner whose secret `db` is kept in this source."""
    config = {"secrets": {"db": {"source": "vault", "key": "kv/db"}}}
    return Runner(store, config=config, plugins=[Plugin(source)], autoload_plugins=False)


def given(function: Callable[..., Any] = digest, name: str = "a", **fields: Any) -> Job:
    """A job that is given the secret `db` as `password`."""
    return Job.from_callable(function, id=name, parameters={"password": "${secrets.db}"}, **fields)


def pipeline(*jobs: Job, **fields: Any) -> Pipeline:
    return Pipeline(name="secrets", jobs=jobs, **fields)


class TestSources:
    """When a source is asked, and what comes of its failures."""

    def test_a_plugins_source(self) -> None:
        """It is asked for its key, once for each attempt, in the attempt's own thread."""
        vault = Vault(CANARY)
        with with_vault(vault) as runner:
            session = runner.run(pipeline(given(), given(name="b")))

        assert {"a": digest(CANARY), "b": digest(CANARY)} == session.outputs
        assert ["kv/db"] * 2 == [key for key, _ in vault.asked]
        assert all(thread.startswith("bunsui-job-") for _, thread in vault.asked)

    def test_it_is_not_asked_for_jobs_without_secrets(self) -> None:
        """Nor before a job starts that has one."""
        vault = Vault(CANARY)
        with with_vault(vault) as runner:
            runner.run(pipeline(Job.from_callable(dict, id="a"), given(name="b", condition="false")))

        assert [] == vault.asked

    def test_a_slow_source_holds_nobody_else(self) -> None:
        """Other jobs run meanwhile."""
        other = threading.Event()

        class Slow(bunsui.SecretSource):
            def get(self, key: str) -> str:
                assert other.wait(30)
                return CANARY

        with with_vault(Slow()) as runner:
            session = runner.run(pipeline(given(), Job.from_callable(other.set, id="b")))

        assert "succeeded" == session.status

    @pytest.mark.parametrize("how", ["cancel", "timeout"])
    def test_a_job_that_was_stopped_meanwhile_does_not_begin(self, how: str) -> None:
        """Where the source took longer than the job had, its code is never called."""
        asked, answer = threading.Event(), threading.Event()
        called: list[int] = []

        class Slow(bunsui.SecretSource):
            def get(self, key: str) -> str:
                asked.set()
                assert answer.wait(30)
                return CANARY

        config = {"secrets": {"db": "vault:x"}}
        bindings = {"lambda": {"f": lambda event, context: called.append(1)}}
        timeout = 0.2 if how == "timeout" else None
        job = Job("a", "lambda", {"function": "f"}, [], {"password": "${secrets.db}"}, timeout=timeout)
        with Runner(
            "memory://", config=config, bindings=bindings, plugins=[Plugin(Slow())], autoload_plugins=False
        ) as runner:
            session = runner.start(pipeline(job))
            assert asked.wait(30)
            if how == "cancel":
                session.cancel()
                answer.set()
            assert {"cancel": "cancelled", "timeout": "failed"}[how] == session.wait(30)
            answer.set()
        # All threads of the runner have ended, or are about to: none is left in the job's code.
        assert [] == called

    def test_the_next_attempt_sees_a_rotated_secret(self) -> None:
        """And the value that the attempt before had stays masked in its error."""
        seen: list[str] = []

        def work(password: str) -> str:
            seen.append(password)
            if len(seen) == 1:
                raise PermissionError(f"denied with {password}")
            return "ok"

        with with_vault(Vault("first-value", "second-value")) as runner:
            session = runner.run(pipeline(given(work, retry=RetryPolicy(2, delay=0))))
        error = session.jobs["a"].attempts[0].error

        assert error is not None
        assert ("ok", ["first-value", "second-value"], "denied with ***") == (
            session.outputs["a"],
            seen,
            error.message,
        )

    def test_each_item_asks_anew(self) -> None:
        """As each attempt does; secrets and items may stand in one text."""
        vault = Vault("one1", "two2", "three3")
        password = {"password": "${item}=${secrets.db}"}
        items = ["x", "y", "z"]
        job = Job.from_callable(digest, id="fan", for_each=items, max_concurrency=1, parameters=password)
        with with_vault(vault) as runner:
            session = runner.run(pipeline(job))

        assert [digest("x=one1"), digest("y=two2"), digest("z=three3")] == session.outputs["fan"]

    def test_a_secret_that_is_not_there(self) -> None:
        """SecretUnavailable, for good: the job's code is never called."""
        called: list[int] = []
        with with_vault(Vault(KeyError(CANARY))) as runner:
            state = runner.run(pipeline(given(called.append, retry=RetryPolicy(3, delay=0)))).jobs["a"]

        assert state.error is not None
        message = "secret 'db' is not available: source 'vault' raised KeyError for 'kv/db'"
        assert ("SecretUnavailable", message, False, 1, []) == (
            state.error.code,
            state.error.message,
            state.error.retryable,
            len(state.attempts),
            called,
        )

    def test_a_source_that_fails_for_the_moment(self) -> None:
        """The attempt fails, and the next one may have it."""
        with with_vault(Vault(ConnectionError(CANARY), CANARY)) as runner:
            state = runner.run(pipeline(given(retry=RetryPolicy(3, delay=0)))).jobs["a"]
        error = state.attempts[0].error

        assert error is not None
        assert ("SecretUnavailable", True) == (error.code, error.retryable)
        assert ("succeeded", 2, False) == (state.status, len(state.attempts), CANARY in error.message)

    def test_retry_may_name_the_code(self) -> None:
        """As any other."""
        retry = RetryPolicy(3, delay=0, on=("Other",))
        with with_vault(Vault(ConnectionError("away"), CANARY)) as runner:
            state = runner.run(pipeline(given(retry=retry))).jobs["a"]

        assert ("failed", 1) == (state.status, len(state.attempts))

    def test_what_a_source_raises_is_shown_nowhere(self, tmp_path: Path) -> None:
        """It may hold the value."""
        with with_vault(Vault(RuntimeError(CANARY)), f"sqlite:///{tmp_path}/s.db") as runner:
            session = runner.run(pipeline(given()))
            with pytest.raises(bunsui.SessionFailed) as caught:
                session.raise_for_status()

        assert CANARY not in "".join(traceback.format_exception(caught.value))
        assert [] == [f for f in tmp_path.rglob("*") if f.is_file() and CANARY.encode() in f.read_bytes()]

    @pytest.mark.parametrize("value", ["", "x", "abc"])
    def test_short_values(self, value: str) -> None:
        """They reach the job, too."""
        with with_vault(Vault(value)) as runner:
            assert digest(value) == runner.run(pipeline(given())).outputs["a"]

    def test_a_file_and_a_variable(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The sources that are there without plugins; two secrets for one job."""
        (tmp_path / "token").write_text("from a file\n", encoding="utf-8")
        monkeypatch.setenv("SECRET_VALUES_TEST", "from a variable")
        config = {"secrets": {"f": f"file:{tmp_path}/token", "v": "env:SECRET_VALUES_TEST"}}
        job = Job.from_callable(
            lambda f, v: [digest(f), digest(v)], id="a", parameters={"f": "${secrets.f}", "v": "${secrets.v}"}
        )
        with Runner("memory://", config=config, autoload_plugins=False) as runner:
            session = runner.run(pipeline(job))

        assert [digest("from a file"), digest("from a variable")] == session.outputs["a"]


class TestNames:
    """Who may name which secret."""

    def test_one_that_is_not_configured_is_refused_at_the_start(self) -> None:
        """With the place that names it and the nearest name there is; nothing is written."""
        jobs = [given(), Job.from_callable(dict, id="b", parameters={"x": {"y": ["${secrets.dbx}"]}})]
        with with_vault(Vault(CANARY)) as runner:
            with pytest.raises(bunsui.DefinitionError) as caught:
                runner.start(pipeline(*jobs))
            assert [] == runner.sessions()

        (problem,) = caught.value.problems
        message = "${secrets.dbx}: the runner's configuration has no secret 'dbx'"
        assert ("unknown-secret", "/jobs/1/parameters/x/y/0", message, "did you mean 'db'?") == (
            problem.code,
            problem.path,
            problem.message,
            problem.hint,
        )

    def test_one_that_is_not_configured_is_missed_before_a_session_is_resumed(self, tmp_path: Path) -> None:
        """ConfigError; the session stays as it is, and resumable."""
        url = f"sqlite:///{tmp_path}/s.db"
        entered, opened = threading.Event(), threading.Event()

        def gate() -> None:
            entered.set()
            assert opened.wait(30)

        later = Job("later", "custom", {"callable": "builtins:dict"}, ["a"], {"x": "${secrets.db}"})
        with with_vault(Vault(CANARY), url) as runner:
            session = runner.start(pipeline(Job.from_callable(gate, id="a"), later))
            assert entered.wait(30)
            session.pause()
            opened.set()
            assert "paused" == session.wait(30)
            before = list(session.events())
            with (
                Runner(url, autoload_plugins=False) as other,
                pytest.raises(bunsui.ConfigError, match=f"no secret 'db'.*{session.id} stays resumable"),
            ):
                other.resume(session.id)

        assert before == list(session.events())

    @pytest.mark.parametrize(
        "jobs",
        [
            [{"condition": '${secrets.db} == "x"'}],
            [{"for_each": ["${secrets.db}"]}],
            [{"for_each": "${secrets.db}"}],
            [{"command": ["x", "${secrets.db}"]}],
            [{"condition": '${password} == "x"'}],
            [{"for_each": ["a ${password}"]}],
            [{"command": ["x", "--password=${password}"]}],
        ],
    )
    def test_places_that_others_read_take_none(self, jobs: list[dict[str, Any]]) -> None:
        """Conditions, lists of items and command lines; neither by its name nor by a parameter's."""
        whole = [{"id": "a", "type": "custom", "command": ["x"], **fields} for fields in jobs]
        parameters = [{"name": "password", "secret": True}]
        definition = {"version": "1.0", "name": "p", "parameters": parameters, "jobs": whole}
        with pytest.raises(bunsui.DefinitionError, match=r"secret-not-allowed|bad-for-each"):
            Pipeline.from_dict(definition)

    @pytest.mark.parametrize("output", ["${secrets.db}", {"a": ["x ${password}"]}])
    def test_outputs_take_none(self, output: Any) -> None:
        """They are kept in the history."""
        parameters = [Parameter("password", secret=True)]
        with pytest.raises(bunsui.DefinitionError, match="secret-not-allowed"):
            pipeline(given(), parameters=parameters, outputs={"x": output})


class TestParameters:
    """`secret: true`."""

    @pytest.fixture
    def runner(self, tmp_path: Path) -> Iterator[Runner]:
        with with_vault(Vault(CANARY), f"sqlite:///{tmp_path}/s.db") as made:
            yield made

    @staticmethod
    def taking(**fields: Any) -> Pipeline:
        """A pipeline with the secret parameter `password`, and another one that is none."""
        job = Job.from_callable(
            lambda password, plain: [digest(password), plain],
            id="a",
            parameters={"password": "${password}", "plain": "${plain}"},
        )
        return pipeline(job, parameters=[Parameter("password", secret=True, **fields), Parameter("plain")])

    def run(self, runner: Runner, **parameters: Any) -> Session:
        return runner.run(self.taking(), parameters)

    def test_a_reference_is_taken(self, runner: Runner) -> None:
        """The job gets the value; the session shows the reference."""
        session = self.run(runner, password="${secrets.db}")

        assert [digest(CANARY), None] == session.outputs["a"]
        assert {"password": "${secrets.db}", "plain": None} == session.parameters

    def test_none_is_none(self, runner: Runner) -> None:
        """One that is not required need not be given."""
        assert [digest(None), None] == self.run(runner).outputs["a"]

    def test_a_default(self, runner: Runner) -> None:
        """Is a reference, too."""
        session = runner.run(self.taking(default="${secrets.db}"))

        assert (digest(CANARY), "${secrets.db}") == (session.outputs["a"][0], session.parameters["password"])

    def test_required(self, runner: Runner) -> None:
        """As any other."""
        with pytest.raises(bunsui.DefinitionError, match="needs the parameter 'password'"):
            runner.run(self.taking(required=True))

    def test_a_reference_in_another_parameter_stays_text(self, runner: Runner) -> None:
        """Only a parameter that is secret brings one in."""
        session = self.run(runner, plain="${secrets.db}", password="${secrets.db}")

        assert [digest(CANARY), "${secrets.db}"] == session.outputs["a"]

    @pytest.mark.parametrize(
        "value",
        [
            CANARY,
            f"a {CANARY} b",
            f"${{secrets.db}}{CANARY}",
            f"$${{secrets.{CANARY}}}",
            f"${{{CANARY}}}",
            f"${{secrets.db.{CANARY}}}",
            [CANARY],
            {"password": CANARY},
            {CANARY: 1},
            CANARY.encode(),
            lambda: CANARY,
        ],
    )
    def test_a_value_is_refused_and_not_shown(self, runner: Runner, tmp_path: Path, value: Any) -> None:
        """Neither by the error nor by its parts, and nothing is written."""
        with pytest.raises(bunsui.DefinitionError) as caught:
            self.run(runner, password=value)
        error = caught.value
        shown = "".join(traceback.format_exception(error)) + repr(error) + repr(error.problems)

        assert ["bad-secret"] == [problem.code for problem in error.problems]
        assert ([], False) == (runner.sessions(), CANARY in shown)
        assert [] == [f for f in tmp_path.rglob("*") if f.is_file() and CANARY.encode() in f.read_bytes()]

    def test_one_that_is_not_configured(self, runner: Runner) -> None:
        """The problem names the parameter."""
        with pytest.raises(bunsui.DefinitionError) as caught:
            self.run(runner, password="${secrets.other}")

        assert [("unknown-secret", "/parameters/password")] == [
            (problem.code, problem.path) for problem in caught.value.problems
        ]

    @pytest.mark.parametrize("assignment", [f"password={CANARY}", f"password=${{secrets.db}}{CANARY}"])
    def test_on_the_command_line(self, tmp_path: Path, assignment: str) -> None:
        """A value is refused with exit code 2, and not shown."""
        job = {"id": "a", "type": "custom", "command": ["true"], "parameters": {"p": "${password}"}}
        parameters = [{"name": "password", "secret": True}]
        definition = {"version": "1.0", "name": "p", "parameters": parameters, "jobs": [job]}
        (tmp_path / "p.json").write_text(json.dumps(definition), encoding="utf-8")
        command = [sys.executable, "-m", "bunsui", "run", "p.json", "-p", assignment]
        done = subprocess.run(
            [*command, "--store", f"sqlite:///{tmp_path}/s.db"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        assert (2, "", False) == (done.returncode, done.stdout, CANARY in done.stderr)
        assert "error[bad-secret]: parameter 'password' is secret" in done.stderr
        assert ["p.json"] == [path.name for path in tmp_path.iterdir()]


def test_the_call_of_an_item_shows_no_secret() -> None:
    """Nor do its item and its input."""

    def shown(password: str) -> bool:
        call = current_call()
        assert call.item == {"user": "u"}
        return CANARY in f"{call!r} {call}"

    with with_vault(Vault(CANARY)) as runner:
        session = runner.run(pipeline(given(shown, "fan", for_each=[{"user": "u"}])))

    assert [False] == session.outputs["fan"]
