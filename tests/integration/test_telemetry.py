"""What OpenTelemetry is told of runs: every row of the table in docs/guides/user/telemetry.md.

Each case is told to the SDK with exporters in memory, and over HTTP to a receiver of OTLP.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from opentelemetry import baggage, context, propagate, trace

import bunsui
import bunsui_tests
from bunsui.engine import events as ev
from bunsui.monitoring.exporting import Providers, providers
from bunsui.testing import FakeStore
from bunsui_tests.conditions import until
from bunsui_tests.otlp import Receiver, SeenPoint, SeenSpan
from bunsui_tests.telemetry import Told

Job, Pipeline = bunsui.Job, bunsui.Pipeline


@frozen
class Seen:
    """What was told of one session."""

    session: bunsui.Session
    spans: list[SeenSpan]
    points: list[SeenPoint]

    def span(self, name: str, **attributes: Any) -> SeenSpan:
        """The one span with this name and these attributes, whose names have `_` for `.`."""
        wanted = {key.replace("__", "."): value for key, value in attributes.items()}
        found = [
            span
            for span in self.spans
            if span.name == name and all(span.attributes.get(key) == value for key, value in wanted.items())
        ]
        assert len(found) == 1, [span.name for span in self.spans]
        return found[0]

    @property
    def run(self) -> SeenSpan:
        return self.span("RUN orders")

    def measured(self, name: str, **attributes: Any) -> list[SeenPoint]:
        wanted = {key.replace("__", "."): value for key, value in attributes.items()}
        return [
            point
            for point in self.points
            if point.name == name and wanted.items() <= point.attributes.items()
        ]


class InMemory:
    """The SDK with exporters in memory."""

    def __init__(self) -> None:
        self._told = Told()
        self.providers = self._told.providers

    def seen(self, session: bunsui.Session) -> Seen:
        return Seen(session, self._told.spans, self._told.points)

    def close(self) -> None:
        self._told.tracer_provider.shutdown()
        self._told.meter_provider.shutdown()


class OverHttp:
    """OTLP to a receiver on loopback."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._receiver = Receiver()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", self._receiver.endpoint)
        self.providers = providers("otlp")

    def seen(self, session: bunsui.Session) -> Seen:
        assert self.providers.shutdown(20)
        latest = {(point.name, *sorted(point.attributes.items())): point for point in self._receiver.points}
        return Seen(session, self._receiver.spans, [*latest.values()])

    def close(self) -> None:
        self.providers.shutdown(1)
        self._receiver.close()


@pytest.fixture(params=["memory", "otlp"])
def sink(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    made = InMemory() if request.param == "memory" else OverHttp(monkeypatch)
    yield made
    made.close()


@pytest.fixture
def told() -> Iterator[InMemory]:
    made = InMemory()
    yield made
    made.close()


def running(told_to: Providers, store: Any = "memory://", **more: Any) -> bunsui.Runner:
    return bunsui.Runner(store, autoload_plugins=False, config={"telemetry": told_to}, **more)


def see(sink: Any, *jobs: bunsui.Job, **more: Any) -> Seen:
    """Runs the jobs as a pipeline, and gives what was told of that."""
    with running(sink.providers) as runner:
        session = runner.run(Pipeline("orders", [*jobs], **more))
    return sink.seen(session)


def fine() -> int:
    return 3


def fails() -> None:
    raise LookupError("there is no such table")


def is_within(inner: SeenSpan, outer: SeenSpan) -> bool:
    return inner.parent_id == outer.span_id and inner.trace_id == outer.trace_id


# Rows of spans


def test_success(sink: Any) -> None:
    """A run, a job and its attempt: kinds, names, what is within what, and every required attribute."""
    seen = see(sink, Job.from_callable(fine, id="load"))
    session = seen.session.id
    assert {
        "cicd.pipeline.name": "orders",
        "cicd.pipeline.run.id": session,
        "cicd.pipeline.action.name": "RUN",
        "cicd.pipeline.result": "success",
        "bunsui.session.status": "succeeded",
    } == seen.run.attributes
    assert ("SERVER", "UNSET", "") == (seen.run.kind, seen.run.status, seen.run.parent_id)
    job = seen.span("load")
    assert {
        "cicd.pipeline.task.name": "load",
        "cicd.pipeline.task.run.id": f"{session}/load",
        "cicd.pipeline.task.run.url.full": f"urn:bunsui:session:{session}:job:load",
        "cicd.pipeline.task.run.result": "success",
        "bunsui.job.type": "custom",
    } == job.attributes
    assert ("INTERNAL", "UNSET") == (job.kind, job.status)
    attempt = seen.span("attempt load")
    assert ({"bunsui.job.attempt": 1}, "INTERNAL") == (attempt.attributes, attempt.kind)
    assert is_within(job, seen.run)
    assert is_within(attempt, job)
    assert {"bunsui"} == {span.scope for span in seen.spans}


def test_times_are_those_of_the_history(told: InMemory) -> None:
    """To the microsecond, whenever they were told."""
    seen = see(told, Job.from_callable(fine, id="load"))
    times = {type(event): round(event.at.timestamp() * 1e6) * 1000 for event in seen.session.events()}
    attempt = seen.span("attempt load")
    assert (times[ev.JobStarted], times[ev.JobSucceeded]) == (attempt.start, attempt.end)
    assert (times[ev.RunnerClaimed], times[ev.SessionSucceeded]) == (seen.run.start, seen.run.end)


def test_failure(sink: Any) -> None:
    """What the user's code raised is a failure; run, job and attempt say its type."""
    seen = see(sink, Job.from_callable(fails, id="load"))
    assert "failure" == seen.run.attributes["cicd.pipeline.result"]
    assert "failure" == seen.span("load").attributes["cicd.pipeline.task.run.result"]
    for span in seen.spans:
        assert ("LookupError", "ERROR") == (span.attributes["error.type"], span.status)
        assert "there is no such table" in span.message


def test_an_error_is_not_the_users(sink: Any) -> None:
    """A plugin's fault is told apart from a failure of the job's code."""

    class Broken(bunsui.RemoteJobType):
        name = "broken"
        schema: Any = {"type": "object", "properties": {}}
        poll_interval = 0.05

        def submit(self, call: bunsui.JobCall) -> Any:
            return {"id": 1}

        def poll(self, handles: Any) -> Any:
            return ["junk" for _ in handles]

        def cancel(self, handle: Any) -> None:
            raise NotImplementedError

        def find(self, call: bunsui.JobCall) -> Any:
            return bunsui.NeverRan()

    class Plugin:
        @bunsui.hookimpl
        def bunsui_job_types(self) -> list[Any]:
            return [Broken()]

    with running(sink.providers, plugins=[Plugin()]) as runner:
        text = "{version: '1.0', name: orders, jobs: [{id: load, type: broken}]}"
        session = runner.run(Pipeline.parse(text, plugins=runner.plugins))
    seen = sink.seen(session)
    assert "error" == seen.span("load").attributes["cicd.pipeline.task.run.result"]
    assert ("error", "PluginError") == (
        seen.run.attributes["cicd.pipeline.result"],
        seen.run.attributes["error.type"],
    )


def test_timeout(sink: Any) -> None:
    """Of a job: the run has failed by a timeout, and so it says."""
    seen = see(sink, Job("load", "custom", command=["sleep", "60"], timeout=0.3))
    assert "timeout" == seen.span("load").attributes["cicd.pipeline.task.run.result"]
    assert ("timeout", "JobTimeout") == (
        seen.run.attributes["cicd.pipeline.result"],
        seen.run.attributes["error.type"],
    )


def test_timeout_of_the_pipeline(sink: Any) -> None:
    seen = see(sink, Job("load", "custom", command=["sleep", "60"]), timeout=0.5)
    assert ("timeout", "timed_out") == (
        seen.run.attributes["cicd.pipeline.result"],
        seen.run.attributes["bunsui.session.status"],
    )
    assert "SessionTimeout" == seen.run.attributes["error.type"]
    assert "cancellation" == seen.span("load").attributes["cicd.pipeline.task.run.result"]


def test_cancellation(sink: Any) -> None:
    with running(sink.providers) as runner:
        session = runner.start(
            Pipeline("orders", [Job("load", "custom", command=["sleep", "60"]), after("load")])
        )
        session.cancel()
        session.wait()
    seen = sink.seen(session)
    assert "cancellation" == seen.run.attributes["cicd.pipeline.result"]
    assert "UNSET" == seen.run.status
    assert {"cancellation"} == {
        seen.span(name).attributes["cicd.pipeline.task.run.result"] for name in ("load", "next")
    }


def after(job: str) -> bunsui.Job:
    return Job.from_callable(fine, id="next", depends_on=[job])


def test_skip(sink: Any) -> None:
    """A job that never ran has a span all the same, without an attempt."""
    seen = see(sink, Job.from_callable(fails, id="load"), after("load"))
    skipped = seen.span("next")
    assert "skip" == skipped.attributes["cicd.pipeline.task.run.result"]
    assert skipped.start == skipped.end
    assert not [span for span in seen.spans if span.name == "attempt next"]


def test_retry(sink: Any) -> None:
    """Each attempt has a span of its own; the job is one, and ends as the last attempt did."""
    tries: list[int] = []

    def flaky() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError("not yet")
        return 3

    seen = see(sink, Job.from_callable(flaky, id="load", retry={"max_attempts": 3, "delay": 0.01}))
    attempts = [seen.span("attempt load", bunsui__job__attempt=n) for n in (1, 2, 3)]
    assert ["ConnectionError", "ConnectionError", None] == [
        span.attributes.get("error.type") for span in attempts
    ]
    job = seen.span("load")
    assert all(is_within(span, job) for span in attempts)
    assert ("success", "UNSET") == (job.attributes["cicd.pipeline.task.run.result"], job.status)
    (retries,) = seen.measured("bunsui.job.retries")
    assert (2, "{retry}", "ConnectionError", "failure") == (
        retries.value,
        retries.unit,
        retries.attributes["error.type"],
        retries.attributes["cicd.pipeline.task.run.result"],
    )


def test_fan_out(sink: Any) -> None:
    """One span of the job, and within it one for each attempt of an item."""
    seen = see(sink, Job.from_callable(abs, id="load", for_each=[1, -2, 3], parameters={}), on_failure="stop")
    job = seen.span("load")
    attempts = [seen.span("attempt load", bunsui__job__item=i) for i in range(3)]
    assert all(is_within(span, job) for span in attempts)


def test_a_fan_out_over_nothing(sink: Any) -> None:
    seen = see(sink, Job.from_callable(fine, id="load", for_each=[]))
    assert "success" == seen.span("load").attributes["cicd.pipeline.task.run.result"]
    assert {"RUN orders", "load"} == {span.name for span in seen.spans}


# Rows of metrics


def test_metrics(sink: Any) -> None:
    """Names, units, kinds and attributes; none has the run's id."""
    seen = see(sink, Job.from_callable(fails, id="load"), Job.from_callable(fine, id="fine"))
    (run,) = seen.measured("cicd.pipeline.run.duration")
    assert ("histogram", "s", 1) == (run.kind, run.unit, run.count)
    assert {
        "cicd.pipeline.name": "orders",
        "cicd.pipeline.run.state": "executing",
        "cicd.pipeline.result": "failure",
        "error.type": "LookupError",
    } == run.attributes
    (errors,) = seen.measured("cicd.pipeline.run.errors")
    assert ("sum", "{error}", True, 1) == (errors.kind, errors.unit, errors.is_monotonic, errors.value)
    assert {"cicd.pipeline.name": "orders", "error.type": "LookupError"} == errors.attributes
    for name in ("bunsui.job.duration", "bunsui.job.queue.duration"):
        (job,) = seen.measured(name, cicd__pipeline__task__run__result="failure")
        assert ("histogram", "s", 1) == (job.kind, job.unit, job.count)
        assert {
            "cicd.pipeline.name": "orders",
            "bunsui.job.type": "custom",
            "cicd.pipeline.task.run.result": "failure",
        } == job.attributes
    session = seen.session.id
    assert not [point for point in seen.points if session in str(point.attributes)]


def test_runs_under_way(told: InMemory) -> None:
    """They are counted up and down again, by their state."""
    gate, entered = threading.Event(), threading.Event()

    def wait() -> None:
        entered.set()
        assert gate.wait(30)

    def active(state: str) -> float:
        points = told.seen(session).measured("cicd.pipeline.run.active", cicd__pipeline__run__state=state)
        assert all(("sum", "{run}", False) == (one.kind, one.unit, one.is_monotonic) for one in points)
        return sum(point.value for point in points)

    with running(told.providers) as runner:
        session = runner.start(Pipeline("orders", [Job.from_callable(wait, id="load")]))
        assert entered.wait(30)
        until(lambda: active("executing") == 1)
        session.pause()
        until(lambda: active("finalizing") == 1)
        gate.set()
        session.wait()
        until(lambda: active("finalizing") == 0)
        assert 0 == active("executing")


# A run that goes on


def test_a_pause_ends_the_run_without_a_result(told: InMemory) -> None:
    """And what goes on is another run, linked to it."""
    gate, entered = threading.Event(), threading.Event()

    def wait() -> None:
        entered.set()
        assert gate.wait(30)

    with running(told.providers) as runner:
        session = runner.start(Pipeline("orders", [Job.from_callable(wait, id="load"), after("load")]))
        assert entered.wait(30)
        session.pause()
        gate.set()
        assert "paused" == session.wait()
        runner.resume(session.id)
    first, second = [span for span in told.seen(session).spans if span.name == "RUN orders"]
    assert "paused" == first.attributes["bunsui.session.status"]
    assert "cicd.pipeline.result" not in first.attributes
    assert "success" == second.attributes["cicd.pipeline.result"]
    assert [(first.trace_id, first.span_id)] == [(link.trace_id, link.span_id) for link in second.links]
    assert is_within(told.seen(session).span("next"), second)


KILLED = """
import sys
import bunsui
from bunsui_tests.telemetry import Told

with bunsui.Runner(sys.argv[1], autoload_plugins=False, config={"telemetry": Told().providers}) as runner:
    jobs = [bunsui.Job("load", "custom", command=["sh", "-c", sys.argv[2]])]
    runner.run(bunsui.Pipeline("orders", jobs))
"""


def test_resume_after_a_kill(sink: Any, tmp_path: Path) -> None:
    """The new run is linked to the one that was killed, which the history names; so is the job."""
    url = f"sqlite:///{tmp_path}/store.db"
    mark = tmp_path / "began"
    command = f"test -e {mark} || {{ touch {mark}; sleep 60; }}"
    shared = str(Path(bunsui_tests.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([shared, os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen([sys.executable, "-c", KILLED, url, command], env=environment)
    try:
        until(mark.exists, 60)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with running(sink.providers, url) as runner:
        (summary,) = runner.sessions()
        session = runner.resume(summary.session_id)
    seen = sink.seen(session)
    claims = [event for event in session.events() if isinstance(event, ev.RunnerClaimed)]
    starts = [event for event in session.events() if isinstance(event, ev.JobStarted)]
    assert "success" == seen.run.attributes["cicd.pipeline.result"]
    assert ids_of(claims[0].trace) == [(link.trace_id, link.span_id) for link in seen.run.links]
    assert ids_of(claims[1].trace) == [(seen.run.trace_id, seen.run.span_id)]
    attempt = seen.span("attempt load")
    assert ids_of(starts[0].trace) == [(link.trace_id, link.span_id) for link in attempt.links]
    assert ids_of(starts[1].trace) == [(attempt.trace_id, attempt.span_id)]
    assert starts[1].trace == session.jobs["load"].attempts[-1].trace
    # What was lost was the other runner's: this one succeeded, and took until the job's end.
    job = seen.span("load")
    assert ("UNSET", None, job.end) == (attempt.status, attempt.attributes.get("error.type"), attempt.end)
    assert is_within(job, seen.run)


def ids_of(trace: str | None) -> list[tuple[str, str]]:
    assert trace is not None
    _, trace_id, span_id, _ = trace.split("-")
    return [(trace_id, span_id)]


# What work goes on with


def test_the_caller_is_the_parent(told: InMemory) -> None:
    """A run belongs to the span in which it was started."""
    tracer = told.providers.tracer_provider
    assert tracer is not None
    with tracer.get_tracer("app").start_as_current_span("request"):
        seen = see(told, Job.from_callable(fine, id="load"))
    assert is_within(seen.run, told.seen(seen.session).span("request"))


def names_its_span() -> Any:
    from opentelemetry.trace import get_current_span

    context = get_current_span().get_span_context()
    return [f"{context.trace_id:032x}", f"{context.span_id:016x}"]


async def names_it_too() -> Any:
    return names_its_span()


@pytest.mark.parametrize(
    "job",
    [
        Job.from_callable(names_its_span, id="load"),
        Job.from_callable(names_it_too, id="load"),
        Job("load", "custom", callable="traced:names_its_span", isolation="process"),
        Job("load", "custom", command=["sh", "-c", 'printf %s "\\"$TRACEPARENT\\"" > "$BUNSUI_OUTPUT"']),
    ],
    ids=["thread", "event loop", "process", "command"],
)
def test_work_is_within_its_attempt(
    told: InMemory, job: bunsui.Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a job's code records is within the attempt, wherever it runs."""
    (tmp_path / "traced.py").write_text(TRACED)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    seen = see(told, job)
    output = seen.session.outputs["load"]
    attempt = seen.span("attempt load")
    found = output.split("-")[1:3] if isinstance(output, str) else output
    assert [attempt.trace_id, attempt.span_id] == found


TRACED = """
def names_its_span():
    from opentelemetry.trace import get_current_span

    context = get_current_span().get_span_context()
    return [f"{context.trace_id:032x}", f"{context.span_id:016x}"]
"""


def test_a_trace_goes_on_where_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the API alone a caller's trace reaches the work."""
    context = trace.SpanContext(7, 8, is_remote=True, trace_flags=trace.TraceFlags(1))
    with (
        trace.use_span(trace.NonRecordingSpan(context)),
        bunsui.Runner("memory://", autoload_plugins=False, config={}) as runner,
    ):
        session = runner.run(Pipeline("orders", [Job.from_callable(names_its_span, id="load")]))
    assert {"load": [f"{7:032x}", f"{8:016x}"]} == session.outputs
    assert session.jobs["load"].attempts[0].trace is None


def test_off_is_off() -> None:
    """Work is given nothing of a caller's trace."""
    context = trace.SpanContext(7, 8, is_remote=True, trace_flags=trace.TraceFlags(1))
    command = ["sh", "-c", 'printf %s "\\"$${TRACEPARENT-none}\\"" > "$BUNSUI_OUTPUT"']
    with (
        trace.use_span(trace.NonRecordingSpan(context)),
        bunsui.Runner("memory://", autoload_plugins=False, config={"telemetry": "off"}) as runner,
    ):
        session = runner.run(Pipeline("orders", [Job("load", "custom", command=command)]))
    assert {"load": "none"} == session.outputs


# Without OpenTelemetry

BARE = """
import logging, sys, threading
import bunsui

root = logging.getLogger()
with bunsui.Runner("memory://", autoload_plugins=False) as runner:
    runner.run(bunsui.Pipeline("p", [bunsui.Job.from_callable(lambda: 3, id="a")]))
    print(sorted(name for name in sys.modules if name.startswith("opentelemetry")))
    print(sorted(thread.name for thread in threading.enumerate()))
    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict]
    print([(each.name, each.handlers) for each in (root, *loggers) if each.handlers])
"""


def test_nothing_is_added_without_it(tmp_path: Path) -> None:
    """No module of it, no thread but those that run the work, no handler."""
    done = subprocess.run(
        [sys.executable, "-c", BARE],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    modules, threads, handlers = done.stdout.splitlines()
    assert ("[]", "[]") == (modules, handlers)
    assert "['MainThread', 'bunsui-driver', 'bunsui-heartbeat', 'bunsui-job-1']" == threads


WRONG = """
import sys, threading
import bunsui

with bunsui.Runner("memory://", autoload_plugins=False, config={"telemetry": sys.argv[1]}) as runner:
    for _ in range(2):
        try:
            runner.run(bunsui.Pipeline("p", [bunsui.Job.from_callable(lambda: 3, id="a")]))
        except bunsui.ConfigError as error:
            print(error.message)
    print(runner.sessions())
    ends = [thread for thread in threading.enumerate() if thread.name == "bunsui-telemetry-end"]
    for end in ends:
        end.join(20)
    print([end.is_alive() for end in ends if end.is_alive()])
"""


@pytest.mark.parametrize(
    ("variable", "value", "telemetry"),
    [
        ("OTEL_PROPAGATORS", "nope", "otlp"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "-5", "otlp"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0", "emf"),
    ],
)
def test_a_variable_that_is_wrong(tmp_path: Path, variable: str, value: str, telemetry: str) -> None:
    """OpenTelemetry reads some of them when it is imported: nothing has begun then, and nothing is left."""
    done = subprocess.run(
        [sys.executable, "-c", WRONG, telemetry],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": str(tmp_path), variable: value},
    )
    first, second, *rest = done.stdout.splitlines()
    assert first.startswith("a variable OTEL_* is wrong: ")
    assert (first, ["[]", "[]"]) == (second, rest)


def test_what_a_collector_does_not_take_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One that hangs is waited for, for a while; the session has succeeded before."""
    monkeypatch.setattr("bunsui.runner.driving.telling.CLOSING", 0.5)
    with Receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        receiver.hang()
        with bunsui.Runner("memory://", autoload_plugins=False, config={"telemetry": "otlp"}) as runner:
            session = runner.run(Pipeline("orders", [Job.from_callable(fine, id="load")]))
    assert "succeeded" == session.status
    said = [record.getMessage() for record in caplog.records if record.name.startswith("bunsui")]
    assert said == ["the last traces or metrics are lost: telemetry 'otlp' has not taken them in 0.5 seconds"]


class Failing:
    """A provider whose tracer fails on all spans but those that it is told of."""

    def __init__(self, but: str) -> None:
        self._but = but
        self.told = Told()

    def get_tracer(self, *_: Any, **__: Any) -> Any:
        self._tracer = self.told.tracer_provider.get_tracer("failing")
        return self

    def start_span(self, name: str, *arguments: Any, **keywords: Any) -> Any:
        if not name.startswith(self._but or "-"):
            raise RuntimeError("no collector")
        return self._tracer.start_span(name, *arguments, **keywords)


@pytest.mark.parametrize("but", ["", "RUN"], ids=["at once", "later"])
def test_a_provider_that_fails_fails_no_run(but: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a tracer raises: the session goes on without it, which is said once."""
    failing: Any = Failing(but)
    with running(Providers(failing, failing.told.meter_provider)) as runner:
        session = runner.run(Pipeline("orders", [Job.from_callable(fine, id="load"), after("load")]))
    assert ("succeeded", {"load": 3, "next": 3}) == (session.status, session.outputs)
    # Metrics go on.
    (jobs,) = [point for point in failing.told.points if point.name == "bunsui.job.duration"]
    assert 2 == jobs.count
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [f"session {session.id} is traced no further: RuntimeError: no collector"] == said


@pytest.mark.parametrize("how", [["run"], ["session", "start", "--detach"]], ids=["run", "in the background"])
def test_a_command_goes_on_with_a_trace(tmp_path: Path, how: list[str]) -> None:
    """Of who has started it, as the variables say; and tells a collector."""
    definition = tmp_path / "pipeline.yaml"
    definition.write_text(
        "{version: '1.0', name: orders, jobs: [{id: load, type: custom, command: ['true']}]}"
    )
    with Receiver() as receiver:
        environment = {
            **os.environ,
            "HOME": str(tmp_path),
            "BUNSUI_TELEMETRY": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
            "TRACEPARENT": f"00-{7:032x}-{8:016x}-01",
        }
        store = f"sqlite:///{tmp_path}/bunsui.db"
        command = [sys.executable, "-m", "bunsui", *how, str(definition), "--store", store]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert 0 == done.returncode, done.stderr

        def has_come(told: Receiver) -> bool:
            names = {each.name for each in (*told.spans, *told.points)}
            return {"RUN orders", "cicd.pipeline.run.duration"} <= names

        receiver.wait_for(has_come)
        (run,) = [span for span in receiver.spans if span.name == "RUN orders"]
        assert (f"{7:032x}", f"{8:016x}") == (run.trace_id, run.parent_id)


class Queries(bunsui.RemoteJobType):
    """Work that fails twice, and is known by a number each time."""

    name = "query"
    schema: Any = {"type": "object", "properties": {}}
    poll_interval = 0.01

    def __init__(self) -> None:
        self.submitted = 0

    def submit(self, call: bunsui.JobCall) -> Any:
        self.submitted += 1
        return {"id": self.submitted}

    def poll(self, handles: Any) -> Any:
        return [
            bunsui.Succeeded(1) if handle["id"] == 3 else bunsui.Failed("Busy", "too many")
            for handle in handles
        ]

    def cancel(self, handle: Any) -> None:
        raise NotImplementedError

    def find(self, call: bunsui.JobCall) -> Any:
        return bunsui.NeverRan()

    def span_attributes(self, options: Any, handle: Any) -> Any:
        if handle is None:
            return {}
        return {"query.id": handle["id"], "cicd.pipeline.task.run.url.full": f"https://q/{handle['id']}"}


class Plugin:
    def __init__(self, kind: bunsui.JobType) -> None:
        self._kind = kind

    @bunsui.hookimpl
    def bunsui_job_types(self) -> list[bunsui.JobType]:
        return [self._kind]


@pytest.mark.parametrize("delay", [0, 0.1])
def test_each_attempt_says_what_it_is_known_by(told: InMemory, delay: float) -> None:
    """However soon the next one follows; the job is found where its last attempt is."""
    with running(told.providers, plugins=[Plugin(Queries())]) as runner:
        retry = {"max_attempts": 3, "delay": delay, "jitter": "none"}
        definition = {
            "version": "1.0",
            "name": "orders",
            "jobs": [{"id": "load", "type": "query", "retry": retry}],
        }
        session = runner.run(Pipeline.from_dict(definition, plugins=runner.plugins))
    seen = told.seen(session)
    assert [1, 2, 3] == [
        seen.span("attempt load", bunsui__job__attempt=n).attributes.get("query.id") for n in (1, 2, 3)
    ]
    assert "https://q/3" == seen.span("load").attributes["cicd.pipeline.task.run.url.full"]


def test_a_cached_job_has_no_duration(told: InMemory, tmp_path: Path) -> None:
    """It did not run, so how long it took says nothing; its span says whose output it is."""
    with running(told.providers, f"sqlite:///{tmp_path}/store.db") as runner:
        pipeline = Pipeline("orders", [Job.from_callable(fine, id="load", cache={"ttl": 60})])
        first, second = runner.run(pipeline), runner.run(pipeline)
    seen = told.seen(second)
    assert [1] == [point.count for point in seen.measured("bunsui.job.duration")]
    assert second.jobs["load"].cached_from == first.id
    assert (
        "success"
        == seen.span("load", bunsui__job__reused_from=first.id).attributes["cicd.pipeline.task.run.result"]
    )


def test_two_threads_that_start_one_session(told: InMemory) -> None:
    """Each session is one run with all its attempts, whichever thread's claim it was."""
    with running(told.providers) as runner:
        pipeline = Pipeline("orders", [Job.from_callable(fine, id="load")])
        for n in range(20):
            threads = [
                threading.Thread(target=runner.run, args=(pipeline,), kwargs={"idempotency_key": f"{n}"})
                for _ in range(2)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        session = runner.session(runner.sessions(limit=1)[0].session_id)
    spans = told.seen(session).spans
    runs = {span.span_id for span in spans if span.name == "RUN orders"}
    jobs = {span.span_id: span for span in spans if span.name == "load"}
    assert (20, 20, 20) == (
        len([span for span in spans if span.attributes.get("cicd.pipeline.result") == "success"]),
        len([span for span in jobs.values() if span.parent_id in runs]),
        len([span for span in spans if span.name == "attempt load" and span.parent_id in jobs]),
    )


def test_a_claim_that_failed_hides_none_that_follows(told: InMemory) -> None:
    """Nothing is told of a claim that never became durable; the next one of the same session is."""
    store = FakeStore()
    with running(told.providers, store) as runner:
        pipeline = Pipeline("orders", [Job.from_callable(fine, id="load")])
        store.fail_next(method="append", error=bunsui.StoreError("it is full", lasting=True))
        with pytest.raises(bunsui.StoreError):
            runner.run(pipeline, idempotency_key="k")
        session = runner.run(pipeline, idempotency_key="k")
    seen = told.seen(session)
    assert "success" == seen.run.attributes["cicd.pipeline.result"]
    assert [1] == [point.count for point in seen.measured("cicd.pipeline.run.duration")]


def test_a_trace_does_not_reach_the_next_session(told: InMemory, tmp_path: Path) -> None:
    """Through a process that serves both."""
    (tmp_path / "steps.py").write_text(
        "import os\ndef seen(event, context):\n"
        "    return {name: os.environ.get(name) for name in ('TRACEPARENT', 'BAGGAGE')}\n"
    )
    (tmp_path / "bindings.yaml").write_text("lambda: {seen: 'steps:seen'}")
    tracer = told.providers.tracer_provider
    assert tracer is not None
    pipeline = Pipeline("orders", [Job("load", "lambda", function="seen")])
    bindings = tmp_path / "bindings.yaml"
    with bunsui.Runner("memory://", autoload_plugins=False, config={}, bindings=bindings) as runner:
        token = context.attach(baggage.set_baggage("tenant", "first"))
        with tracer.get_tracer("app").start_as_current_span("request"):
            first = runner.run(pipeline).outputs["load"]
        context.detach(token)
        second = runner.run(pipeline).outputs["load"]
    assert ("tenant=first", True) == (first["BAGGAGE"], first["TRACEPARENT"] is not None)
    assert {"TRACEPARENT": None, "BAGGAGE": None} == second


def test_a_propagator_that_raises_fails_no_job(told: InMemory) -> None:
    """The work goes without a trace."""

    class Broken:
        def inject(self, *_: Any, **__: Any) -> None:
            raise RuntimeError("no")

    before = propagate.get_global_textmap()
    broken: Any = Broken()
    propagate.set_global_textmap(broken)
    try:
        seen = see(told, Job("load", "custom", command=["true"]))
    finally:
        propagate.set_global_textmap(before)
    assert "succeeded" == seen.session.status


def test_providers_that_come_later(told: InMemory) -> None:
    """A runner looks again for those of the program, as long as it has found none."""
    code = """
import bunsui
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

pipeline = bunsui.Pipeline("p", [bunsui.Job.from_callable(lambda: 3, id="a")])
with bunsui.Runner("memory://", autoload_plugins=False) as runner:
    print(runner.run(pipeline).jobs["a"].attempts[0].trace)
    trace.set_tracer_provider(TracerProvider())
    print(runner.run(pipeline).jobs["a"].attempts[0].trace is not None)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ["None", "True"] == done.stdout.split()
