"""Conditions, failures, and what becomes of the jobs that follow: from YAML through the Runner."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui import Runner, Session
from bunsui.engine import events as ev

TASKS = """
import json

def give(text="null"):
    return json.loads(text)

def fail():
    raise ValueError("no")

def show(**given):
    return given
"""
HEAD = """\
version: "1.0"
name: conditions
parameters:
  - {name: n, type: integer, default: 3}
  - {name: x, type: number, default: 1.5}
  - {name: s, type: string, default: prod}
  - {name: b, type: boolean, default: true}
  - {name: l, type: array, default: [1, a, null, [2]]}
  - {name: o, type: object, default: {rows: 0, name: x}}
"""
#: What `up` gives: values whose types only a run can tell.
OUTPUT = (
    '{"one": 1, "float": 1.0, "text": "1", "yes": true, "no": false, "null": null,'
    ' "list": [1, "a"], "map": {"k": [1]}}'
)


def run(folder: Path, jobs: str, more: str = "", **parameters: Any) -> Session:
    """Runs YAML jobs, each a line such as ``a: {callable: fail}``."""
    (folder / "tasks.py").write_text(TASKS, encoding="utf-8")
    lines = []
    for line in jobs.strip().splitlines():
        job, _, fields = line.strip().partition(": {")
        lines.append(f"  - {{id: {job}, type: custom, {fields}")
    text = f"{HEAD}{more}\njobs:\n" + "\n".join(lines).replace("callable: ", "callable: tasks:") + "\n"
    (folder / "pipeline.yaml").write_text(text, encoding="utf-8")
    config = {"env": ["CONDITIONS_TEST"]}
    with Runner(f"sqlite:///{folder}/store.db", autoload_plugins=False, config=config) as runner:
        return runner.run(runner.load(folder / "pipeline.yaml"), parameters)


def statuses(session: Session) -> dict[str, str]:
    return {job: str(state.status) for job, state in session.jobs.items()}


def about(session: Session, job: str) -> tuple[str, str, str, bool, int]:
    """Status, error and number of attempts of a job that failed."""
    state = session.jobs[job]
    assert state.error is not None
    error = state.error
    return str(state.status), error.code, error.message, error.retryable, len(state.attempts)


def quoted(condition: str) -> str:
    """As a single-quoted text of YAML."""
    return "'" + condition.replace("'", "''") + "'"


def judged(folder: Path, condition: str, **parameters: Any) -> Session:
    """`up`, and `x` under a condition."""
    jobs = f"up: {{callable: give, parameters: {{text: {quoted(OUTPUT)}}}}}\n"
    jobs += f"x: {{callable: show, depends_on: [up], condition: {quoted(condition)}}}"
    return run(folder, jobs, **parameters)


TRUE = [
    "${n} == 3",
    "${n} == 3.0",
    "${n} != 4",
    "${n} > 2 and ${n} >= 3 and ${n} < 4 and ${n} <= 3",
    "${x} < ${n}",
    '${s} == "prod"',
    "${s} == 'prod'",
    '"a" < "b" and ${s} >= "p"',
    '"Z" < "a"',
    '"\U00010000" < "\uff61"',  # By UTF-16 code units: D800 comes before FF61.
    "${b}",
    "not false",
    "${parameters.b} == true",
    "not ${b} or ${n} == 3",
    "true or true and false",
    "not (false or false) and true",
    "${n} in [1, 2, 3]",
    '${s} in ["dev", "prod"] and ${s} not in []',
    "${n} in ${l} or 1 in ${l}",
    "null in ${l} and [2] in ${l}",
    "${jobs.up.output.one} == ${jobs.up.output.float}",
    "${jobs.up.output.one} != ${jobs.up.output.text}",
    "${jobs.up.output.yes} != ${jobs.up.output.one}",
    "${jobs.up.output.null} == null",
    "${jobs.up.output.map} == ${jobs.up.output.map}",
    '${jobs.up.output.list} == [1, "a"]',
    "${jobs.up.output.list} != [1, 2]",
    '"a" in ${jobs.up.output.list}',
    "${jobs.up.output.map.k[0]} == 1",
    '${jobs.up.output["map"]} != null',
    '${jobs.up.status} == "succeeded"',
    '${pipeline.name} == "conditions" and ${session.id} != "" and ${session.started_at} > "2000"',
    '${env.CONDITIONS_TEST} == "here"',
    "${o.rows} == 0",
    "succeeded(up) and not failed(up) and always()",
    '"$${n}" != "3"',
]


@pytest.mark.parametrize("condition", TRUE)
def test_true_runs_and_its_opposite_skips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, condition: str
) -> None:
    """A job runs where its condition is true; else it is skipped, with the condition as reason."""
    monkeypatch.setenv("CONDITIONS_TEST", "here")
    opposite = f"not ({condition})"
    jobs = f"up: {{callable: give, parameters: {{text: {quoted(OUTPUT)}}}}}\n"
    jobs += f"x: {{callable: show, depends_on: [up], condition: {quoted(condition)}}}\n"
    jobs += f"y: {{callable: show, depends_on: [up], condition: {quoted(opposite)}}}"
    session = run(tmp_path, jobs)

    assert ("succeeded", {"up": "succeeded", "x": "succeeded", "y": "skipped"}) == (
        session.status,
        statuses(session),
    )
    assert f"its condition is false: {opposite}" == session.jobs["y"].reason


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (
            "${jobs.up.output.one} < ${jobs.up.output.text}",
            "'<' compares two numbers or two texts, not a number (${jobs.up.output.one})"
            " and text (${jobs.up.output.text})",
        ),
        (
            "${jobs.up.output.null} > 0",
            "'>' compares two numbers or two texts, not null (${jobs.up.output.null}) and a number",
        ),
        (
            "${jobs.up.output.list} >= ${jobs.up.output.list}",
            "'>=' compares two numbers or two texts, not a list (${jobs.up.output.list})"
            " and a list (${jobs.up.output.list})",
        ),
        (
            "${jobs.up.output.yes} <= ${jobs.up.output.no}",
            "'<=' compares two numbers or two texts, not true or false (${jobs.up.output.yes})"
            " and true or false (${jobs.up.output.no})",
        ),
        ("1 in ${jobs.up.output.text}", "'in' takes a list, not text (${jobs.up.output.text})"),
        ("1 not in ${jobs.up.output.map}", "'not in' takes a list, not a mapping (${jobs.up.output.map})"),
        (
            "${jobs.up.output.one}",
            "the condition must be true or false, not a number (${jobs.up.output.one})",
        ),
        (
            "${jobs.up.output.null}",
            "the condition must be true or false, not null (${jobs.up.output.null})",
        ),
        (
            "not ${jobs.up.output.text}",
            "what follows 'not' must be true or false, not text (${jobs.up.output.text})",
        ),
        (
            "true and ${jobs.up.output.list}",
            "each side of 'and' must be true or false, not a list (${jobs.up.output.list})",
        ),
        (
            "${jobs.up.output.one} or true",
            "each side of 'or' must be true or false, not a number (${jobs.up.output.one})",
        ),
    ],
)
def test_a_type_that_does_not_fit_fails_the_job(tmp_path: Path, condition: str, message: str) -> None:
    """ConditionError says why; another attempt would not help."""
    session = judged(tmp_path, condition)

    assert ("failed", "ConditionError", message, False, 0) == about(session, "x")
    assert "failed" == session.status


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (
            "${jobs.up.output.rows} > 0",
            "${jobs.up.output.rows}: jobs.up.output has no 'rows';"
            " it has: one, float, text, yes, no, null, list, map",
        ),
        (
            "${jobs.up.output.list[2]} == 1",
            "${jobs.up.output.list[2]}: jobs.up.output.list has no 2; it is a list of 2",
        ),
        ("${o.rows.x} == 1", "${o.rows.x}: parameters.o.rows has no 'x'; it is a number"),
    ],
)
def test_a_path_that_is_not_there_fails_the_job(tmp_path: Path, condition: str, message: str) -> None:
    """ReferenceError names it."""
    assert ("failed", "ReferenceError", message, False, 0) == about(judged(tmp_path, condition), "x")


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ("false and ${jobs.up.output.rows} > 0", "skipped"),
        ("true or ${jobs.up.output.rows} > 0", "succeeded"),
        ("${jobs.up.output.no} and ${jobs.up.output.one}", "skipped"),
    ],
)
def test_what_decides_first_decides(tmp_path: Path, condition: str, status: str) -> None:
    """What stands behind it is not looked at."""
    assert status == statuses(judged(tmp_path, condition))["x"]


def test_a_value_is_never_evaluated(tmp_path: Path) -> None:
    """A text that looks like a condition, or a reference, is a text."""
    for value in ('prod" or "a" == "a', "${s}", "always()", "true"):
        assert "skipped" == statuses(judged(tmp_path, '${s} == "prod"', s=value))["x"]


class TestUpstream:
    """What conditions add to, and what replaces it."""

    def test_without_a_condition(self, tmp_path: Path) -> None:
        """A job runs where all upstream succeeded; else it is skipped, and so on down."""
        session = run(
            tmp_path,
            """
            good: {callable: show}
            bad: {callable: fail}
            both: {callable: show, depends_on: [good, bad]}
            below: {callable: show, depends_on: [both]}
            apart: {callable: show, depends_on: [good]}
            """,
        )

        assert {
            "good": "succeeded",
            "bad": "failed",
            "both": "skipped",
            "below": "skipped",
            "apart": "succeeded",
        } == statuses(session)
        assert ["job 'bad' is failed", "job 'both' is skipped"] == [
            session.jobs[job].reason for job in ("both", "below")
        ]

    def test_a_condition_is_added(self, tmp_path: Path) -> None:
        """After a failure upstream it is not even evaluated."""
        session = run(
            tmp_path,
            """
            bad: {callable: fail}
            x: {callable: show, depends_on: [bad], condition: "${jobs.bad.output.rows} > 0 or true"}
            """,
        )

        assert ("skipped", "job 'bad' is failed") == (session.jobs["x"].status, session.jobs["x"].reason)
        assert not [event for event in session.events() if isinstance(event, ev.ConditionEvaluated)]

    @pytest.mark.parametrize(
        ("condition", "after_success", "after_failure", "after_skip"),
        [
            ("always()", "succeeded", "succeeded", "succeeded"),
            ("succeeded(a)", "succeeded", "skipped", "skipped"),
            ("failed(a)", "skipped", "succeeded", "skipped"),
            ("not succeeded(a)", "skipped", "succeeded", "succeeded"),
            ("succeeded(a) or failed(a)", "succeeded", "succeeded", "skipped"),
            ("failed(a) and ${b}", "skipped", "succeeded", "skipped"),
            ("always() and not ${b}", "skipped", "skipped", "skipped"),
        ],
    )
    def test_functions_replace_it(
        self, tmp_path: Path, condition: str, after_success: str, after_failure: str, after_skip: str
    ) -> None:
        """succeeded, failed and always decide alone."""
        found = []
        for a in ("{callable: show}", "{callable: fail}", "{callable: show, condition: 'not ${b}'}"):
            session = run(
                tmp_path, f"a: {a}\nx: {{callable: show, depends_on: [a], condition: {condition!r}}}"
            )
            found.append(statuses(session)["x"])

        assert [after_success, after_failure, after_skip] == found

    def test_a_function_may_name_a_job_further_up(self, tmp_path: Path) -> None:
        """A cleanup at the end looks at the beginning."""
        session = run(
            tmp_path,
            """
            a: {callable: fail}
            b: {callable: show, depends_on: [a]}
            c: {callable: show, depends_on: [b], condition: failed(a)}
            d: {callable: show, depends_on: [c]}
            """,
        )

        assert {"a": "failed", "b": "skipped", "c": "succeeded", "d": "succeeded"} == statuses(session)
        assert "failed" == session.status

    def test_it_waits_for_all_upstream(self, tmp_path: Path) -> None:
        """failed(a) is asked when b has ended, too."""
        session = run(
            tmp_path,
            """
            a: {callable: fail}
            b: {callable: show}
            x: {callable: show, depends_on: [a, b], condition: failed(a)}
            """,
        )
        names = [getattr(event, "job", None) for event in session.events()]
        begun = [type(event).__name__ for event in session.events()].index("ConditionEvaluated")

        assert "succeeded" == statuses(session)["x"]
        assert {"a", "b"} <= set(names[:begun])

    def test_a_session_in_which_jobs_were_skipped_succeeds(self, tmp_path: Path) -> None:
        """A skip is no failure."""
        session = run(
            tmp_path, "a: {callable: show, condition: 'false'}\nb: {callable: show, depends_on: [a]}"
        )

        assert ("succeeded", {"a": "skipped", "b": "skipped"}) == (session.status, statuses(session))

    def test_what_did_not_run_has_no_output(self, tmp_path: Path) -> None:
        """The output of a skipped or failed job is null, with any path; its status says what it is."""
        given = (
            "{s: '${jobs.s.output}', f: '${jobs.f.output.rows[0]}', is: '${jobs.s.status} ${jobs.f.status}'}"
        )
        session = run(
            tmp_path,
            f"""
            s: {{callable: show, condition: 'false'}}
            f: {{callable: fail}}
            x: {{callable: show, depends_on: [s, f], condition: always(), parameters: {given}}}
            """,
        )

        assert {"s": None, "f": None, "is": "skipped failed"} == session.outputs["x"]


class TestAllowFailure:
    """`allow_failure: true`."""

    def test_what_follows_and_the_session_take_it_as_success(self, tmp_path: Path) -> None:
        """The job is failed all the same, its output null, and failed() is true of it."""
        session = run(
            tmp_path,
            """
            a: {callable: fail, allow_failure: true}
            c: {callable: show, depends_on: [a], parameters: {a: "${jobs.a.output}", s: "${jobs.a.status}"}}
            if_failed: {callable: show, depends_on: [a], condition: failed(a)}
            if_succeeded: {callable: show, depends_on: [a], condition: succeeded(a)}
            """,
        )

        assert "succeeded" == session.status
        assert {
            "a": "failed",
            "c": "succeeded",
            "if_failed": "succeeded",
            "if_succeeded": "skipped",
        } == statuses(session)
        assert {"a": None, "s": "failed"} == session.outputs["c"]
        session.raise_for_status()

    def test_it_holds_for_a_condition_that_cannot_be_evaluated(self, tmp_path: Path) -> None:
        """As for any other failure."""
        session = run(
            tmp_path,
            """
            a: {callable: show, condition: '${o.nothing} == 1', allow_failure: true}
            b: {callable: show, depends_on: [a]}
            """,
        )

        assert ("succeeded", {"a": "failed", "b": "succeeded"}) == (session.status, statuses(session))

    def test_it_does_not_hold_for_others(self, tmp_path: Path) -> None:
        """Another job's failure fails the session."""
        session = run(tmp_path, "a: {callable: fail, allow_failure: true}\nb: {callable: fail}")

        assert "failed" == session.status
        with pytest.raises(bunsui.SessionFailed, match="b: ValueError: no"):
            session.raise_for_status()


class Order:
    """Jobs that wait for what was committed about others."""

    def __init__(self) -> None:
        self.failed = threading.Event()
        self.running = threading.Event()

    @bunsui.hookimpl
    def bunsui_session_event(self, event: ev.Event) -> None:
        if isinstance(event, ev.JobFailed):
            self.failed.set()

    def fail_while_another_runs(self) -> None:
        assert self.running.wait(30)
        raise ValueError("no")

    def run_until_one_has_failed(self) -> str:
        self.running.set()
        assert self.failed.wait(30)
        return "ended"

    def run(self, folder: Path, **fields: Any) -> Session:
        """`bad` fails while `slow` runs; three more jobs wait for these."""
        make: Callable[..., bunsui.Job] = bunsui.Job.from_callable
        jobs = [
            make(self.fail_while_another_runs, id="bad", **fields),
            make(self.run_until_one_has_failed, id="slow"),
            make(dict, id="after_slow", depends_on=["slow"]),
            make(dict, id="after_bad", depends_on=["bad"]),
            make(dict, id="cleanup", depends_on=["bad", "slow"], condition="always()"),
        ]
        return self.start(folder, jobs)

    def start(self, folder: Path, jobs: list[bunsui.Job]) -> Session:
        pipeline = bunsui.Pipeline(name="stopping", jobs=jobs, on_failure="stop")
        with Runner(f"sqlite:///{folder}/s.db", plugins=[self], autoload_plugins=False) as runner:
            return runner.run(pipeline)


class TestStop:
    """`on_failure: stop`."""

    def test_nothing_new_starts(self, tmp_path: Path) -> None:
        """What runs ends; what has not started is cancelled, a cleanup too."""
        session = Order().run(tmp_path)
        expected: Mapping[str, str] = {
            "bad": "failed",
            "slow": "succeeded",
            "after_slow": "cancelled",
            "after_bad": "cancelled",
            "cleanup": "cancelled",
        }

        assert ("failed", expected) == (session.status, statuses(session))
        assert {"job 'bad' failed"} == {
            state.reason for state in session.jobs.values() if state.status == "cancelled"
        }

    def test_a_failure_that_is_allowed_stops_nothing(self, tmp_path: Path) -> None:
        """All others run."""
        session = Order().run(tmp_path, allow_failure=True)

        assert ("succeeded", {"failed", "succeeded"}) == (session.status, set(statuses(session).values()))

    def test_a_condition_that_cannot_be_evaluated_stops_too(self, tmp_path: Path) -> None:
        """It fails its job as any error does."""
        jobs = """
            up: {callable: give, parameters: {text: '1'}}
            x: {callable: show, depends_on: [up], condition: '${jobs.up.output}'}
            y: {callable: show, depends_on: [x], condition: always()}
        """
        session = run(tmp_path, jobs, "on_failure: stop")

        assert {"up": "succeeded", "x": "failed", "y": "cancelled"} == statuses(session)

    def test_continue_is_the_default(self, tmp_path: Path) -> None:
        """Independent branches go on, and the session fails when all has come to rest."""
        jobs = "a: {callable: fail}\nb: {callable: show}\nc: {callable: show, depends_on: [b]}"
        for more in ("", "on_failure: continue"):
            session = run(tmp_path, jobs, more)

            assert ("failed", {"a": "failed", "b": "succeeded", "c": "succeeded"}) == (
                session.status,
                statuses(session),
            )


def test_a_condition_is_evaluated_once(tmp_path: Path) -> None:
    """What came of it is in the history before the job starts, and is not asked again with a retry."""
    session = run(
        tmp_path,
        "a: {callable: fail, condition: '${b}', retry: {max_attempts: 3, delay: 0}}",
    )
    names = [type(event).__name__ for event in session.events() if isinstance(event, ev.JobEvent)]

    assert ["ConditionEvaluated", "JobStarted", "AttemptFailed", "JobStarted"] == names[:4]
    assert 1 == names.count("ConditionEvaluated")
