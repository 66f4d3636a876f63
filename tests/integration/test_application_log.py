"""The program's own log while pipelines run: what records are about, what becomes of sessions, secrets."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import bunsui
from bunsui import Job, Pipeline, Runner
from bunsui.cli.log_text import FORMATS
from bunsui.cli.main import run
from bunsui.logging import StructuredLogger, configure, json_schema
from bunsui_tests.injections import INJECTIONS, obeyed

SECRET = "canary-4711-of-the-mine"
VALIDATOR = jsonschema.Draft202012Validator(json_schema())

Found = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def found() -> Iterator[Found]:
    """The records that were written so far, from DEBUG on, of one logger; each is what the schema says."""
    stream = io.StringIO()

    def read(logger: str = "bunsui.orders") -> list[dict[str, Any]]:
        records = [json.loads(line) for line in stream.getvalue().splitlines()]
        for record in records:
            VALIDATOR.validate(record)
        return [record for record in records if record["logger"] == logger]

    with configure("DEBUG", stream=stream):
        yield read


@pytest.fixture
def runner() -> Iterator[Runner]:
    with Runner("memory://", config=bunsui.Config()) as runner:
        yield runner


def about(record: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(record.get(name) for name in ("session", "job", "item", "attempt"))


def say() -> None:
    StructuredLogger("orders").info("structured")
    logging.getLogger("bunsui.orders").info("usual")


async def say_later() -> None:
    await asyncio.sleep(0)
    say()


class TestIds:
    @pytest.mark.parametrize("function", [say, say_later])
    def test_jobs_in_this_process(self, function: Any, runner: Runner, found: Found) -> None:
        """Each record of each logger names its session, job and attempt, whoever shares the thread."""
        jobs = [Job.from_callable(function, id=f"j{n}") for n in range(20)]
        session = runner.run(Pipeline("p", jobs))
        expected = [(session.id, f"j{n}", None, 1) for n in range(20) for _ in range(2)]
        assert sorted(expected) == sorted(map(about, found()))

    def test_items_and_attempts(self, runner: Runner, found: Found) -> None:
        """They are named, too."""
        tries: dict[int, int] = {}

        def work(n: int) -> None:
            say()
            tries[n] = tries.get(n, 0) + 1
            if tries[n] < 2:
                raise OSError("busy")

        job = Job.from_callable(
            work, for_each=[0, 1], parameters={"n": "${item}"}, retry={"max_attempts": 2, "delay": 0}
        )
        session = runner.run(Pipeline("p", [job]))
        expected = [(session.id, "work", n, attempt) for n in (0, 1) for attempt in (1, 2) for _ in range(2)]
        assert expected == sorted(map(about, found()))

    def test_outside_of_jobs(self, found: Found) -> None:
        """There are none."""
        say()
        assert [(None,) * 4] * 2 == list(map(about, found()))

    def test_a_thread_of_a_job(self, runner: Runner, found: Found) -> None:
        """It has them with the context of the job, as `contextvars` has it, and else not."""

        def work() -> None:
            for target in (say, copy_context().run):
                thread = threading.Thread(target=target, args=(say,) if target is not say else ())
                thread.start()
                thread.join()

        session = runner.run(Pipeline("p", [Job.from_callable(work)]))
        assert [(None,) * 4] * 2 + [(session.id, "work", None, 1)] * 2 == list(map(about, found()))

    def test_a_worker_process(self, tmp_path: Path, runner: Runner) -> None:
        """Records go to the job's log, with their values and without what only this library adds."""
        (tmp_path / "steps.py").write_text(
            "import bunsui\n"
            "from bunsui.logging.context import ids\n"
            "def work():\n"
            "    log = bunsui.logging.StructuredLogger('orders').bind(table='daily')\n"
            "    log.info('%s rows', rows=3, message='mine', name='own')\n"
            "    return ids()\n"
        )
        (tmp_path / "p.yaml").write_text(
            'version: "1.0"\nname: p\njobs:\n'
            "  - {id: a, type: custom, callable: 'steps:work', isolation: process, for_each: [7]}\n"
        )
        session = runner.run(runner.load(tmp_path / "p.yaml"))
        (record,) = session.logs(fields={"logger": "bunsui.orders"})
        fields = {"table": "daily", "rows": 3, "message": "mine", "name": "own"}
        assert ("%s rows", "INFO", fields) == (record.message, record.level, dict(record.fields))
        assert [{"session": session.id, "job": "a", "item": 0, "attempt": 1}] == session.outputs["a"]

    def test_capture(self, found: Found) -> None:
        """With `capture_logging` the job's log has the same values, too."""

        def work() -> None:
            StructuredLogger("orders").info("m", rows=3, level="own")

        with Runner("memory://", capture_logging=True, config=bunsui.Config()) as runner:
            session = runner.run(Pipeline("p", [Job.from_callable(work)]))
            (record,) = session.logs(fields={"logger": "bunsui.orders"})
        assert [{"rows": 3, "level": "own"}] == [one["fields"] for one in found()]
        assert {"rows": 3, "level": "own"} == record.fields


class TestNarration:
    def told(self, found: Found) -> list[tuple[Any, ...]]:
        return [(one["level"], one["fields"]["event"], *about(one)[1:]) for one in found("bunsui.sessions")]

    def test_a_session_that_fails(self, runner: Runner, found: Found) -> None:
        """Its start and end, each attempt that failed and the job that did, with what helps to find out."""
        tries = []

        def work() -> None:
            tries.append(1)
            raise OSError("busy\x1b[2J")

        session = runner.run(
            Pipeline("orders", [Job.from_callable(work, retry={"max_attempts": 2, "delay": 0})])
        )
        assert [
            ("INFO", "SessionStarted", None, None, None),
            ("DEBUG", "JobStarted", "work", None, 1),
            ("WARNING", "AttemptFailed", "work", None, 1),
            ("DEBUG", "JobStarted", "work", None, 2),
            ("ERROR", "JobFailed", "work", None, 2),
            ("ERROR", "SessionFailed", None, None, None),
        ] == self.told(found)
        records = found("bunsui.sessions")
        assert {(session.id, "orders")} == {(one["session"], one["fields"]["pipeline"]) for one in records}
        retry, failed = records[2]["fields"], records[4]["fields"]
        assert ("OSError", "busy\x1b[2J", True) == (failed["code"], failed["error"], failed["retryable"])
        assert isinstance(retry["delay"], float)

    def test_the_trace_of_the_run(self, found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where runs are traced, the records of a session name its span, and those of a job the attempt's."""
        exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
        with Runner("memory://", config=bunsui.Config()) as runner:
            runner.run(Pipeline("p", [Job.from_callable(say)]))
        provider.shutdown()
        spans = {span.name: span.context for span in exporter.get_finished_spans()}
        run, attempt = (
            (f"{spans[name].trace_id:032x}", f"{spans[name].span_id:016x}")
            for name in ("RUN p", "attempt say")
        )
        assert {run} == {(one["trace_id"], one["span_id"]) for one in found("bunsui.sessions")}
        assert {attempt} == {(one["trace_id"], one["span_id"]) for one in found()}

    def test_a_failure_that_is_allowed(self, runner: Runner, found: Found) -> None:
        """It is a warning: the session succeeds."""

        def work() -> None:
            raise OSError("busy")

        runner.run(Pipeline("p", [Job.from_callable(work, allow_failure=True)]))
        assert ("WARNING", "JobFailed", "work", None, 1) in self.told(found)
        assert ("INFO", "SessionSucceeded", None, None, None) == self.told(found)[-1]

    def test_paused_resumed_and_taken_over(self, tmp_path: Path, found: Found) -> None:
        """By whoever drives it."""
        store, entered, go = f"sqlite:///{tmp_path}/s.db", threading.Event(), threading.Event()

        def first() -> None:
            entered.set()
            go.wait(30)

        pipeline = Pipeline(
            "p", [Job.from_callable(first), Job("b", "custom", command=["true"], depends_on=["first"])]
        )
        with Runner(store, config=bunsui.Config()) as runner:
            session = runner.start(pipeline)
            assert entered.wait(30)
            session.pause("lunch")
            go.set()
            session.wait()
        with Runner(store, config=bunsui.Config()) as runner:
            runner.resume(session.id)
        told = [(level, event) for level, event, *_ in self.told(found) if level != "DEBUG"]
        assert [
            ("INFO", "SessionStarted"), ("INFO", "PauseRequested"), ("INFO", "SessionPaused"),
            ("INFO", "RunnerClaimed"), ("INFO", "SessionResumed"), ("INFO", "SessionSucceeded"),
        ] == told  # fmt: skip
        (claimed,) = [one for one in found("bunsui.sessions") if one["fields"]["event"] == "RunnerClaimed"]
        assert (2, session.id) == (claimed["fields"]["epoch"], claimed["session"])

    def test_cancelled(self, runner: Runner, found: Found) -> None:
        """The request and the end are told."""
        entered = threading.Event()

        def work() -> None:
            entered.set()
            bunsui.current_call().cancelled.wait(30)

        session = runner.start(Pipeline("p", [Job.from_callable(work)]))
        assert entered.wait(30)
        session.cancel()
        session.wait()
        told = [(level, event) for level, event, *_ in self.told(found)]
        assert ("INFO", "CancelRequested") in told
        assert ("WARNING", "SessionCancelled") == told[-1]

    def test_nobody_listens(self, runner: Runner, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        """No record is made where no handler would get it: Python would print it on stderr."""
        root = logging.getLogger()
        monkeypatch.setattr(root, "handlers", [])
        monkeypatch.setattr(logging.getLogger("bunsui"), "handlers", [])
        made = []
        monkeypatch.setattr(
            logging.getLogger("bunsui.sessions"), "makeRecord", lambda *a, **_: made.append(a)
        )
        session = runner.run(Pipeline("p", [Job.from_callable(lambda: 1 / 0, id="a")]))
        assert ("failed", [], "") == (str(session.status), made, capsys.readouterr().err)

    @pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()])
    def test_a_handler_that_raises(self, error: BaseException, runner: Runner) -> None:
        """It is the program's; sessions go on."""

        class Broken(logging.Handler):
            def handle(self, record: logging.LogRecord) -> bool:
                raise error

        logger, handler = logging.getLogger("bunsui.sessions"), Broken()
        logger.addHandler(handler)
        try:
            with bunsui.logging.set_level("bunsui.sessions", "DEBUG"):
                session = runner.run(Pipeline("p", [Job.from_callable(lambda: 1, id="a")]))
        finally:
            logger.removeHandler(handler)
        assert "succeeded" == session.status


class TestSecrets:
    def leak(self, isolation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[bunsui.LogRecord]:
        """Runs a job that logs its secret in all ways; the records of its log."""
        monkeypatch.setenv("THE_SECRET", SECRET)
        (tmp_path / "leaking.py").write_text(
            "import logging, bunsui\n"
            "outside = bunsui.logging.StructuredLogger('orders')\n"
            "def work(secret):\n"
            "    inside = outside.bind(secret=secret)\n"
            "    inside.warning('one')\n"
            "    outside.warning(f'two {secret}', **{secret: [{'a': secret.encode()}]})\n"
            "    outside.warning('x' * 65_480 + secret + 'y' * 99, value='x' * 65_480 + secret + 'y' * 99)\n"
            "    logging.getLogger('bunsui.orders').warning('three %s', secret, extra={'a': secret})\n"
            "    try:\n"
            "        raise ValueError(secret)\n"
            "    except ValueError:\n"
            "        outside.exception('four')\n"
            "    raise RuntimeError(secret)\n"
        )
        (tmp_path / "p.yaml").write_text(
            'version: "1.0"\nname: p\njobs:\n'
            "  - id: a\n    type: custom\n    callable: leaking:work\n"
            f"    isolation: {isolation}\n    parameters: {{secret: '${{secrets.db}}'}}\n"
            "    retry: {max_attempts: 2, delay: 0}\n"
        )
        monkeypatch.syspath_prepend(str(tmp_path))
        sys.modules.pop("leaking", None)
        config = {"secrets": {"db": "env:THE_SECRET"}}
        with Runner("memory://", config=config, capture_logging=True) as runner:
            session = runner.run(runner.load(tmp_path / "p.yaml"))
            assert "failed" == session.status
            return list(session.logs())

    @pytest.mark.parametrize("isolation", ["thread", "process"])
    @pytest.mark.parametrize("form", ["json", "text"])
    def test_their_values_are_masked(
        self, isolation: str, form: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In each record that a job logs, wherever they stand, also where a text is cut within one."""
        stream = io.StringIO()
        with configure("DEBUG", format=form, stream=stream):
            records = self.leak(isolation, tmp_path, monkeypatch)
        shown = stream.getvalue() + "\n".join(map(str, records))
        assert len(records) >= 10
        assert all(text in shown for text in ("two ***", "three ***", "***"))
        # Of a part of it, too: the last six characters are in no other text.
        assert [part for part in (SECRET, SECRET[:9], SECRET[-6:]) if part in shown] == []

    def test_other_handlers_get_them_masked(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What a StructuredLogger logs in a job; of other loggers they get what these say."""
        self.leak("thread", tmp_path, monkeypatch)
        ours = [r for r in caplog.records if r.name == "bunsui.orders" and not r.args]
        assert len(ours) >= 8
        assert SECRET not in str([vars(record) for record in ours])
        text, _ = [str(record.exc_text) for record in ours if record.getMessage() == "four"]
        assert ("Traceback (most", "ValueError: ***") == (text[:15], text[-15:])

    def test_an_exception_without_them_is_handed_on(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """As it is, for handlers that look into it."""
        monkeypatch.setenv("THE_SECRET", SECRET)
        outside = bunsui.logging.StructuredLogger("orders")

        def work(secret: str) -> None:
            try:
                raise ValueError(len(secret))
            except ValueError:
                outside.exception("five")

        job = bunsui.Job.from_callable(work, id="a", parameters={"secret": "${secrets.db}"})
        with Runner("memory://", config={"secrets": {"db": "env:THE_SECRET"}}) as runner:
            assert "succeeded" == runner.run(bunsui.Pipeline("p", [job])).status
        (record,) = [record for record in caplog.records if record.getMessage() == "five"]
        assert record.exc_info is not None
        assert record.exc_info[0] is ValueError


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_injections_through_jobs(
    isolation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What jobs print and log comes back unchanged; shown, nothing of it is obeyed, as text, JSON and CSV."""
    (tmp_path / "texts.json").write_text(json.dumps([*INJECTIONS.values()]))
    (tmp_path / "hostile_job.py").write_text(
        "import bunsui, json, sys, pathlib\n"
        "def work(path, in_process):\n"
        "    for text in json.loads(pathlib.Path(path).read_text()):\n"
        "        bunsui.current_call().logger.info(text, extra={'given': text})\n"
        "        if in_process:\n"
        "            bunsui.logging.StructuredLogger('orders').warning(text, **{text: text})\n"
        "            print(text)\n"
        "            print(text, file=sys.stderr)\n"
    )
    parameters = {"path": str(tmp_path / "texts.json"), "in_process": isolation == "process"}
    pipeline = {
        "version": "1.0",
        "name": "p",
        "jobs": [
            {
                "id": "a",
                "type": "custom",
                "callable": "hostile_job:work",
                "isolation": isolation,
                "parameters": parameters,
            }
        ],
    }
    monkeypatch.syspath_prepend(str(tmp_path))
    store = f"sqlite:///{tmp_path}/s.db"
    with Runner(store, config=bunsui.Config()) as runner:
        session = runner.run(Pipeline.from_dict(pipeline))
        assert "succeeded" == session.status
        records = list(session.logs())
    told = [record for record in records if record.logger == "bunsui.job.a"]
    assert [(text, {"given": text}) for text in INJECTIONS.values()] == [
        (record.message, dict(record.fields)) for record in told
    ]
    if isolation == "process":
        assert {"stdout", "stderr", "log"} == {record.stream for record in records}
        structured = [record for record in records if record.logger == "bunsui.orders"]
        assert [(text, {text: text}) for text in INJECTIONS.values()] == [
            (record.message, dict(record.fields)) for record in structured
        ]
    for form in FORMATS:
        capfd.readouterr()
        assert 0 == run(["logs", "filter", session.id, "--store", store, "--format", form])
        shown = capfd.readouterr().out.replace("\r\n", "\n")
        assert set() == obeyed(shown)
        lines = shown.removesuffix("\n").split("\n")
        if form == "text":
            assert len(records) == sum(not line.startswith("   ") for line in lines)
        else:
            assert len(records) == len(lines) - (form == "csv")
        if form == "jsonl":
            assert [record.message for record in records] == [json.loads(line)["message"] for line in lines]
