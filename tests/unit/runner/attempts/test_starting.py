"""From a decision to what it needs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

from bunsui.dsl.options import check_options
from bunsui.engine import events as ev
from bunsui.engine.actions import Conclude, Evaluate, Expand, Recover, Start
from bunsui.engine.decide import Machine
from bunsui.errors import JobError
from bunsui.jobs.custom import CustomJobType
from bunsui.local.supervisor import Supervisor
from bunsui.model.json import Json
from bunsui.model.pipeline import Job, Parameter, Pipeline
from bunsui.ports.job_type import JobCall, JobType
from bunsui.runner.attempts.event_loop import EventLoop
from bunsui.runner.attempts.host import Host
from bunsui.runner.attempts.keeping import Keeping
from bunsui.runner.attempts.logs import Logs
from bunsui.runner.attempts.starting import EVENT_MARGIN, Starter
from bunsui.runner.clock import SystemClock
from bunsui.runner.driving.live import Live

AT = datetime(2024, 1, 2, tzinfo=UTC)


class Counted(Json):
    """A document that counts how often it is decoded."""

    __slots__ = ("decoded",)

    decoded: list[None]

    def __init__(self, text: str) -> None:
        super().__init__(text)
        object.__setattr__(self, "decoded", [])

    @property
    def value(self) -> Any:
        self.decoded.append(None)
        return super().value


def starter(folder: Path, most: int = 1 << 20) -> Starter:
    def secret(name: str, _: object) -> str:
        raise AssertionError(f"{name} was asked for before its job has begun")

    clock = SystemClock()
    keeping = Keeping(None, clock, 1.0)
    host = Host(Supervisor(), Logs(folder / "logs"), clock, secret, EventLoop(), keeping)
    return Starter({"custom": CustomJobType(), "typed": Typed()}, host, most + EVENT_MARGIN)


def command(name: str = "a", *words: str, **fields: Any) -> Job:
    return Job(name, "custom", {"command": ["x", *words]}, **fields)


def live(*jobs: Job, parameters: dict[str, Any] | None = None, **fields: Any) -> Live:
    """A session of these jobs that has started."""
    declared = [Parameter("n", "integer"), Parameter("s", secret=True)]
    pipeline = Pipeline("p", jobs, parameters=declared, **fields)
    made = Live("s1", pipeline, Machine(pipeline), 0, {}, 0)
    values = {"n": 3, "s": "${secrets.db}", **(parameters or {})}
    made.record(ev.SessionCreated(AT, "s1", "p", pipeline.digest, values))
    made.record(ev.RunnerClaimed(AT, "r", 1))
    made.record(ev.SessionStarted(AT))
    return made


def ended(session: Live, job: str, output: Json) -> None:
    """Has a job succeed."""
    session.record(ev.JobStarted(AT, job, 1, "key"))
    session.record(ev.JobSucceeded(AT, job, 1, output))


def test_condition(tmp_path: Path) -> None:
    """What came of it is a fact."""
    made = starter(tmp_path)
    session = live(command("a", condition="${n} > 2"), command("b", condition="${n} > 3"))
    assert [True, False] == [
        event.result
        for job in "ab"
        if isinstance(event := made.resolve(session, Evaluate(job), AT), ev.ConditionEvaluated)
    ]


def test_condition_that_fails(tmp_path: Path) -> None:
    """The job fails, for good, before its first attempt."""
    session = live(command("up"), command(condition="${jobs.up.output}", depends_on=["up"]))
    ended(session, "up", Json("1"))
    failed = starter(tmp_path).resolve(session, Evaluate("a"), AT)
    assert isinstance(failed, ev.JobFailed)
    assert ("a", 0, "ConditionError", False) == (
        failed.job,
        failed.attempt,
        failed.error.code,
        failed.error.retryable,
    )


def test_items(tmp_path: Path) -> None:
    """How many there are is a fact; the items themselves are found again."""
    session = live(command(for_each=["${n}", "x"], parameters={"x": "${item}", "i": "${item_index}"}))
    made = starter(tmp_path)
    session.record(made.resolve(session, Expand("a"), AT))
    works = [made.prepare(session, Start("a", 1, item)) for item in range(2)]
    assert [{"x": 3, "i": 0}, {"x": "x", "i": 1}] == [work.parameters for work in works]
    assert [3, "x"] == [work.item for work in works]


def test_an_item_is_a_copy(tmp_path: Path) -> None:
    """What one attempt does to it is not seen by the next."""
    session = live(command(for_each=[{"a": [1]}], parameters={"x": "${item.a}"}))
    made = starter(tmp_path)
    session.record(made.resolve(session, Expand("a"), AT))
    first = made.prepare(session, Start("a", 1, 0))
    first.item["a"].append(2)
    first.parameters["x"].append(3)
    second = made.prepare(session, Start("a", 2, 0))
    assert ({"a": [1]}, {"x": [1]}) == (second.item, second.parameters)


def test_an_output_is_decoded_once_for_all_items(tmp_path: Path) -> None:
    """Where each of them looks into it: else the time would grow with the square of their number."""
    output = Counted(Json.of([{"n": n} for n in range(50)]).text)
    fan = command(
        depends_on=["up"],
        for_each="${jobs.up.output}",
        parameters={"x": "${item.n}", "first": "${jobs.up.output[0]}"},
    )
    session = live(command("up"), fan)
    ended(session, "up", output)
    made = starter(tmp_path)
    session.record(made.resolve(session, Expand("a"), AT))
    works = [made.prepare(session, Start("a", 1, item)) for item in range(50)]
    works[0].parameters["first"]["n"] = "spoilt"
    assert ({"x": 49, "first": {"n": 0}}, 2) == (works[49].parameters, len(output.decoded))


LISTS = [("[]", None), ("{}", "NotAList"), ("null", "NotAList"), (f"[{'0,' * 10_000}0]", "TooManyItems")]


@pytest.mark.parametrize(("value", "code"), LISTS, ids=["empty", "mapping", "null", "long"])
def test_lists(tmp_path: Path, value: str, code: str | None) -> None:
    """What is no list, or too long a one, fails the job."""
    session = live(command("up"), command(depends_on=["up"], for_each="${jobs.up.output}"))
    ended(session, "up", Json(value))
    found = starter(tmp_path).resolve(session, Expand("a"), AT)
    assert code == (found.error.code if isinstance(found, ev.JobFailed) else None)


def test_outputs(tmp_path: Path) -> None:
    """What the session gives."""
    session = live(command(), outputs={"o": "${jobs.a.output.x}", "n": "<${n}>"})
    ended(session, "a", Json('{"x":[1]}'))
    found = starter(tmp_path).resolve(session, Conclude(), AT)
    assert ev.SessionSucceeded(AT, Json('{"o":[1],"n":"<3>"}')) == found


@pytest.mark.parametrize(
    ("output", "outputs", "code"),
    [
        ("{}", {"o": "${jobs.a.output.x}"}, "ReferenceError"),
        (f'"{"x" * 90}"', {"o": "${jobs.a.output}"}, "OutputTooLarge"),
        ("[" * 200 + "]" * 200, {"o": ["${jobs.a.output}"]}, "OutputNotJson"),
    ],
)
def test_outputs_that_cannot_be_made(tmp_path: Path, output: str, outputs: dict[str, Any], code: str) -> None:
    """The session fails, and says why."""
    session = live(command(), outputs=outputs)
    ended(session, "a", Json(output))
    found = starter(tmp_path, most=90).resolve(session, Conclude(), AT)
    assert isinstance(found, ev.SessionFailed)
    assert found.error is not None
    assert (code, False) == (found.error.code, found.error.retryable)


def test_secrets_are_not_asked_for(tmp_path: Path) -> None:
    """Their names are noted, each once, by name and by parameter; the values come when the job begins."""
    job = command(parameters={"x": "${secrets.b} ${s}", "y": ["${secrets.b}"]})
    work = starter(tmp_path).prepare(live(job), Start("a", 1))
    assert (("b", "db"), False) == (work.secrets, work.secret_options)


class Typed(JobType):
    """A job type whose field holds a secret."""

    name = "typed"
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {"token": {"type": "string", "maxLength": 5}},
    }

    def run(self, call: JobCall) -> Any:
        """Nothing."""


def test_options_with_secrets_are_checked_later(tmp_path: Path) -> None:
    """When the values are in them: before that, nobody knows whether they fit."""
    job = Job("a", "typed", {"token": "${secrets.db} that is long"})
    work = starter(tmp_path).prepare(live(job), Start("a", 1))
    assert (("db",), True) == (work.secrets, work.secret_options)


def test_wrong_options_with_secrets_show_nothing() -> None:
    """What is wrong would quote the value, or a part of it."""
    job = Job("a", "typed", {"token": "${secrets.db}"})
    with pytest.raises(JobError) as caught:
        check_options(job, Typed(), {"token": "hunter2" * 50}, hidden=["db", "other"])
    assert "the fields of type 'typed' are wrong with the values of secrets in them: db, other" == str(
        caught.value
    )


def test_wrong_options_without_secrets_say_what_is_wrong() -> None:
    """With the field, and what it should be."""
    with pytest.raises(JobError, match=r"'token' of job 'a'.* must have at most 5 characters"):
        check_options(Job("a", "typed"), Typed(), {"token": "123456"})


def test_clear(tmp_path: Path) -> None:
    """What a killed runner has left of an attempt's input goes; the log stays."""
    logs = Logs(tmp_path / "logs")
    log = logs.attempt("s1", "a", 2, 7)
    log.take({"level": "INFO", "logger": "x", "message": "kept"})
    log.close()
    (log.files / "deep").mkdir(parents=True)
    starter(tmp_path).clear(live(command()), Recover("a", 2, 7))
    assert {".jobs", "a.jsonl"} == {path.name for path in log.files.parent.iterdir()}
