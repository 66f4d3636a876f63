"""Functions that are deployed to Lambda and know which job they run for, in AWS's own runtime of Python."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import bunsui
from bunsui.aws import lambda_handler
from bunsui_tests.aws.environment import client
from bunsui_tests.aws.functions import FunctionDied
from bunsui_tests.aws.runtime import TIMEOUT, Runtime

SOURCE = Path(bunsui.__file__).parents[1]
SITE = Path(str(find_spec("attrs") and find_spec("attrs").origin)).parents[1]  # type: ignore[union-attr]
SESSION, KEY = "k3mzq7w2p5vxa4ht", hashlib.sha256(b"k3mzq7w2p5vxa4ht-load-2").hexdigest()
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
CUSTOM = {
    "BUNSUI_SESSION_ID": SESSION,
    "BUNSUI_JOB_ID": "load",
    "BUNSUI_ATTEMPT": "2",
    "BUNSUI_IDEMPOTENCY_KEY": KEY,
}
TRACED = {**CUSTOM, "TRACEPARENT": PARENT, "TRACESTATE": "vendor=1"}
HANDLERS = """
import sys
import time
import bunsui
from bunsui.aws import lambda_handler

@lambda_handler
def call(event, context):
    call = bunsui.current_call()
    call.logger.info("%s of %s", call.job_id, call.session_id)
    call.logger.debug("not shown")
    left = call.deadline - time.monotonic()
    return [call.session_id, call.job_id, call.attempt, call.idempotency_key, dict(call.parameters),
            dict(call.environment), 0 < left <= 30, call.pipeline, dict(call.options), call.item,
            call.timeout, call.cancelled.is_set()]

def _whether(event, context):
    try:
        return [event, bunsui.current_call().job_id]
    except bunsui.StateError as error:
        return [event, str(error)]

whether = lambda_handler(_whether)

@lambda_handler
def trace(event, context):
    from opentelemetry import trace
    found = trace.get_current_span().get_span_context()
    return [f"{found.trace_id:032x}", f"{found.span_id:016x}", found.trace_state.to_header()]

@lambda_handler
def modules(event, context):
    return sorted({name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names))

@lambda_handler
def fail(event, context):
    raise ValueError(bunsui.current_call().job_id)

@lambda_handler
def work(event, context):
    call = bunsui.current_call()
    return call.workbench.run(None, call)
"""


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Callable[..., Runtime]]:
    """Runs one of the handlers, with bunsui's source and what is installed here beside it."""
    (tmp_path / "handlers.py").write_text(HANDLERS, encoding="utf-8")
    made: list[Runtime] = []

    def run(handler: str, *paths: Path | str, **variables: str) -> Runtime:
        made.append(Runtime(tmp_path, f"handlers.{handler}", *(paths or (SOURCE, SITE)), variables=variables))
        return made[-1]

    yield run
    for each in made:
        each.close()


def test_it_knows_its_call(deployed: Callable[..., Runtime]) -> None:
    """Session, job, attempt, key, input, trace context, deadline; what is not sent is empty."""
    run = deployed("call")
    told = [SESSION, "load", 2, KEY, {"rows": 3}, {"TRACEPARENT": PARENT, "TRACESTATE": "vendor=1"}]
    assert [*told, True, "", {}, None, None, False] == run({"rows": 3}, {"custom": TRACED})
    assert TIMEOUT == 30_000


def test_each_event_has_its_own_call(deployed: Callable[..., Runtime]) -> None:
    """Nothing of one is left for the next, which the same process gets."""
    run = deployed("whether")
    other = {**CUSTOM, "BUNSUI_JOB_ID": "other"}
    none = "current_call() was asked for outside a job"
    found = [run({}, {"custom": CUSTOM}), run({}), run({}, {"custom": other})]
    assert [[{}, "load"], [{}, none], [{}, "other"]] == found


def test_it_logs(deployed: Callable[..., Runtime]) -> None:
    """What it says of its work, at the level from which on a job on this machine is heard."""
    run = deployed("call")
    run({}, {"custom": CUSTOM})
    assert f"load of {SESSION}" in run.log
    assert "not shown" not in run.log


def test_a_level_that_lambda_is_told_holds(deployed: Callable[..., Runtime]) -> None:
    """Whoever configures the function says what it logs."""
    run = deployed("call", AWS_LAMBDA_LOG_LEVEL="WARN", AWS_LAMBDA_LOG_FORMAT="JSON")
    run({}, {"custom": CUSTOM})
    assert "load of" not in run.log


@pytest.mark.parametrize(
    "context",
    [
        None,
        {},
        {"custom": None},
        {"custom": {}},
        {"custom": {"theirs": "1"}},
        {"custom": {name: CUSTOM[name] for name in list(CUSTOM)[:3]}},
        {"custom": {**CUSTOM, "BUNSUI_ATTEMPT": "two"}},
        {"custom": {**CUSTOM, "BUNSUI_ATTEMPT": 2}},
        {"custom": {**CUSTOM, "BUNSUI_JOB_ID": ""}},
        {"custom": {**CUSTOM, "BUNSUI_JOB_ID": "load\n[ERROR] forged"}},
        {"custom": {**CUSTOM, "BUNSUI_JOB_ID": "load\n"}},
        {"custom": {**CUSTOM, "BUNSUI_JOB_ID": "a" * 65}},
        {"custom": {**CUSTOM, "BUNSUI_JOB_ID": "load.all"}},
        {"custom": {**CUSTOM, "BUNSUI_SESSION_ID": SESSION.upper()}},
        {"custom": {**CUSTOM, "BUNSUI_SESSION_ID": SESSION[1:]}},
        {"custom": {**CUSTOM, "BUNSUI_SESSION_ID": f"{SESSION}\n"}},
        {"custom": {**CUSTOM, "BUNSUI_IDEMPOTENCY_KEY": "a" * 65}},
        {"custom": {**CUSTOM, "BUNSUI_IDEMPOTENCY_KEY": f"{KEY[1:]}\n"}},
        {"custom": {**CUSTOM, "BUNSUI_IDEMPOTENCY_KEY": "load-2"}},
    ],
)
def test_called_by_others(deployed: Callable[..., Runtime], context: Any) -> None:
    """It works just the same, and has no call."""
    assert [[1, 2], "current_call() was asked for outside a job"] == deployed("whether")([1, 2], context)


def test_only_the_trace_is_taken_over(deployed: Callable[..., Runtime]) -> None:
    """What else a caller names, such as what a process of the function would load, is not its environment."""
    run = deployed("call")
    sent = {**TRACED, "BAGGAGE": "a=1", "LD_PRELOAD": "/tmp/theirs.so", "PATH": "/tmp", "traceparent": PARENT}
    told = {"TRACEPARENT": PARENT, "TRACESTATE": "vendor=1", "BAGGAGE": "a=1"}
    assert told == run({}, {"custom": sent})[5]


def logged(caplog: pytest.LogCaptureFixture, job: str, **extra: Any) -> logging.LogRecord:
    """What a deployed function's logger makes of a message."""
    caplog.clear()

    @lambda_handler
    def load(event: Any, context: Any) -> None:
        del event, context
        bunsui.current_call().logger.info("loading", extra=extra)

    load(None, SimpleNamespace(client_context=SimpleNamespace(custom={**CUSTOM, "BUNSUI_JOB_ID": job})))
    [record] = caplog.records
    return record


def test_jobs_share_a_logger(caplog: pytest.LogCaptureFixture) -> None:
    """Python keeps each logger for ever, and whoever may call the function names the job."""
    record = logged(caplog, "load", table="daily")
    assert ("bunsui.job", "load", "daily") == (record.name, record.job, record.table)  # type: ignore[attr-defined]
    known = len(logging.root.manager.loggerDict)
    assert [f"load-{i}" for i in range(100)] == [
        logged(caplog, f"load-{i}").job for i in range(100)  # type: ignore[attr-defined]
    ]
    assert known == len(logging.root.manager.loggerDict)


def test_the_trace_goes_on(deployed: Callable[..., Runtime]) -> None:
    """A span that the function makes has the job's as its parent; without a trace there is none."""
    run = deployed("trace")
    assert ["4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "vendor=1"] == run({}, {"custom": TRACED})
    assert ["0" * 32, "0" * 16, ""] == run({}, {"custom": CUSTOM})


def test_a_propagator_that_fails(deployed: Callable[..., Runtime]) -> None:
    """Is no reason for the function to fail."""
    run = deployed("whether", OTEL_PROPAGATORS="none-such")
    assert [{}, "load"] == run({}, {"custom": TRACED})


@pytest.fixture
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with bunsui and attrs, and AWS's runtime, and nothing else."""
    made = tmp_path_factory.mktemp("bare")
    for name in ("attr", "attrs", "awslambdaric", "simplejson", "snapshot_restore_py.py"):
        (made / name).symlink_to(SITE / name)
    (made / "bunsui").symlink_to(SOURCE / "bunsui")
    return made


def alone(bare: Path, code: str) -> Any:
    """What a program prints, as JSON, that finds bunsui and attrs alone."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(bare)!r})\n" + code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


CONTEXT = """
import json, sys
from types import SimpleNamespace
import bunsui
from bunsui.aws import lambda_handler
context = SimpleNamespace(client_context=SimpleNamespace(custom=CUSTOM))

@lambda_handler
def f(event, context):
    return [bunsui.current_call().job_id, event]
"""


def test_it_needs_attrs_alone(bare: Path) -> None:
    """Neither boto3 nor OpenTelemetry nor anything else has to be deployed with it, or is imported."""
    code = f"""{CONTEXT.replace("CUSTOM", repr(TRACED))}
installed = {{name.partition(".")[0] for name in sys.modules}} - set(sys.stdlib_module_names) - {{"__main__"}}
print(json.dumps([sorted(installed), f(1, context)]))
"""
    assert [["attr", "attrs", "bunsui"], ["load", 1]] == alone(bare, code)


def test_an_event_on_s3_without_boto3(bare: Path) -> None:
    """It is said what to deploy."""
    code = f"""{CONTEXT.replace("CUSTOM", repr(CUSTOM))}
try:
    f({{"bunsui_parameters_url": "s3://bucket/{SESSION}/inputs/{"0" * 64}"}}, context)
except bunsui.ConfigError as error:
    print(json.dumps(str(error)))
"""
    assert (
        f"the event is at s3://bucket/{SESSION}/inputs/{'0' * 64}, and boto3 is not installed here;"
        " add boto3 to what is deployed; AWS's own Python runtimes have it"
    ) == alone(bare, code)


def test_it_is_cheap_to_import() -> None:
    """Of bunsui only what it needs is there, and of what bunsui is built on attrs alone."""
    code = "import json, sys, bunsui.aws; bunsui.aws.lambda_handler; print(json.dumps([*sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = json.loads(done.stdout)
    heavy = {"asyncio", "boto3", "botocore", "cattrs", "opentelemetry", "pluggy", "subprocess", "yaml"}
    assert set() == heavy & set(modules)
    assert 15 > len([name for name in modules if name.partition(".")[0] == "bunsui"])


def test_errors_are_the_functions_own(deployed: Callable[..., Runtime]) -> None:
    """As without the decorator."""
    with pytest.raises(FunctionDied, match=r"^load$") as raised:
        deployed("fail")({}, {"custom": CUSTOM})
    assert "ValueError" == raised.value.error_type


def test_there_is_no_runner(deployed: Callable[..., Runtime]) -> None:
    """To run something else."""
    with pytest.raises(FunctionDied, match="has no runner to run further work"):
        deployed("work")({}, {"custom": CUSTOM})


class TestLargeEvents:
    """Events that a runner has put onto S3."""

    @pytest.fixture
    def run(self, deployed: Callable[..., Runtime], moto_server: Any) -> Runtime:
        self.s3 = client("s3", moto_server.url)
        self.s3.create_bucket(Bucket="etl", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        return deployed("whether", AWS_ENDPOINT_URL=moto_server.url)

    def put(self, text: str, prefix: str = "runs/", digest: str | None = None) -> dict[str, str]:
        """The event that says where an event is."""
        digest = digest or hashlib.sha256(text.encode()).hexdigest()
        key = f"{prefix}{SESSION}/inputs/{digest}"
        self.s3.put_object(Bucket="etl", Key=key, Body=text.encode())
        return {"bunsui_parameters_url": f"s3://etl/{key}"}

    @pytest.mark.parametrize("prefix", ["", "runs/", "a/b/"])
    def test_they_are_read(self, run: Runtime, prefix: str) -> None:
        """The function gets the whole, and so has the call; also where the job does not wait for it."""
        event = self.put('{"rows": [1, 2]}', prefix)
        assert [{"rows": [1, 2]}, "load"] == run(event, {"custom": CUSTOM})
        assert {"rows": [1, 2]} == run(event)[0]

    def test_other_events_are_left_alone(self, run: Runtime) -> None:
        """One with more in it is the caller's."""
        event = {**self.put("{}"), "rows": 1}
        assert [event, "load"] == run(event, {"custom": CUSTOM})

    @pytest.mark.parametrize(
        "url",
        [
            "s3://etl/private/salaries.json",
            f"s3://etl/runs/{SESSION}/outputs/{'0' * 64}",
            f"s3://etl/runs/other/inputs/{'0' * 64}",
            f"https://etl/{SESSION}/inputs/{'0' * 64}",
            7,
        ],
    )
    def test_nothing_else_is_read(self, run: Runtime, url: Any) -> None:
        """What lies elsewhere, or is of another session."""
        with pytest.raises(FunctionDied, match="where no runner puts one") as raised:
            run({"bunsui_parameters_url": url}, {"custom": CUSTOM})
        assert "ConfigError" == raised.value.error_type

    def test_what_is_there_is_what_was_put(self, run: Runtime) -> None:
        """By its name: so that no other object can be passed off as an event."""
        event = self.put('{"salary": 1}', digest="0" * 64)
        with pytest.raises(FunctionDied, match="is not the event that was put there"):
            run(event, {"custom": CUSTOM})

    def test_it_is_gone(self, run: Runtime) -> None:
        """That is said, and what helps."""
        event = {"bunsui_parameters_url": f"s3://etl/{SESSION}/inputs/{'0' * 64}"}
        with pytest.raises(FunctionDied, match="is not there any more; run the job again") as raised:
            run(event, {"custom": CUSTOM})
        assert "NotFound" == raised.value.error_type


class Unfit:
    """What is no function that Lambda calls with event and context."""

    async def __call__(self, event: Any, context: Any) -> None:
        del event, context

    async def load(self, context: Any) -> None:
        del context

    async def stream(self, context: Any) -> AsyncIterator[int]:
        del context
        yield 1

    def rows(self, context: Any) -> Iterator[int]:
        del context
        yield 1

    def none(self) -> None:
        pass

    def method(self, event: Any, context: Any) -> Any:
        return event, context


class TestDecorating:
    """What is decorated, and how."""

    def test_it_looks_the_same(self) -> None:
        """Name, docstring and signature are the function's."""

        @lambda_handler
        def load(event: dict[str, Any], context: object) -> int:
            """Loads."""
            del context
            return len(event)

        assert ("load", "Loads.", 1) == (load.__name__, load.__doc__, load({"a": 1}, None))

    @pytest.mark.parametrize(("given", "text"), [(7, "7 is int, which can't be called"), (None, "NoneType")])
    def test_no_function(self, given: Any, text: str) -> None:
        """Is refused where it is decorated."""
        with pytest.raises(bunsui.ConfigError, match=text):
            lambda_handler(given)

    @pytest.mark.parametrize(
        ("given", "text"),
        [
            (Unfit.load, "Unfit.load is async"),
            (functools.partial(Unfit.load, None), "is async"),
            (Unfit(), "is async"),
            (functools.partial(Unfit()), "is async"),
            (Unfit.stream, "Unfit.stream is async"),
            (Unfit.rows, "Unfit.rows is a generator"),
            (Unfit.none, "Unfit.none can't be called with event and context alone"),
            (Unfit.method, "Unfit.method can't be called with event and context alone, such as a method"),
        ],
    )
    def test_what_lambda_can_not_run(self, given: Any, text: str) -> None:
        """It does not await, does not iterate, and has no 'self'; that is told at once."""
        with pytest.raises(bunsui.ConfigError) as raised:
            lambda_handler(given)
        assert text in str(raised.value)
        assert str(raised.value).endswith(
            "; decorate a function (event, context), which may call asyncio.run"
        )

    def test_what_else_can_be_called(self) -> None:
        """A method of an object, one that is written in C, and what another decorator gives the rest."""

        def injecting(function: Any) -> Any:
            @functools.wraps(function)
            def wrapper(event: Any, context: Any) -> Any:
                return function(event, context, 3)

            return wrapper

        @injecting
        def load(event: Any, context: Any, given: int) -> Any:
            return event, context, given

        assert (1, 2) == lambda_handler(Unfit().method)(1, 2)
        assert 2 == lambda_handler(max)(1, 2)
        assert (1, 2, 3) == lambda_handler(load)(1, 2)


@lambda_handler
def bound(event: Any, context: Any) -> Any:
    """What it knows of its call."""
    call = bunsui.current_call()
    call.logger.info("loading %s", call.job_id)
    same = call.idempotency_key == context.client_context.custom["BUNSUI_IDEMPOTENCY_KEY"]
    return [type(call.workbench).__module__, call.pipeline, call.job_id, event, call.timeout, same]


@pytest.mark.parametrize(
    ("isolation", "bench"),
    [("thread", "bunsui.runner.attempts.work"), ("process", "bunsui.local.worker")],
)
def test_bound_to_this_machine(tmp_path: Path, isolation: str, bench: str) -> None:
    """The call is the runner's own, which knows more."""
    bindings: Any = {"lambda": {"load": bound}}
    if isolation == "process":
        head = "from typing import Any\n\nimport bunsui\nfrom bunsui.aws import lambda_handler\n\n"
        (tmp_path / "handlers.py").write_text(head + inspect.getsource(bound), encoding="utf-8")
        (tmp_path / "bindings.yaml").write_text("lambda: {load: 'handlers:bound'}\n", encoding="utf-8")
        bindings = tmp_path / "bindings.yaml"
    job = bunsui.Job("a", "lambda", function="load", parameters={"rows": 3}, timeout=30)
    with bunsui.Runner(f"sqlite:///{tmp_path}/store.db", bindings=bindings) as runner:
        session = runner.run(bunsui.Pipeline("Bound", [job]))
        assert "succeeded" == session.status, session.jobs["a"].error
        assert [bench, "Bound", "a", {"rows": 3}, 30, True] == session.jobs["a"].output
        assert "loading a" in [record.message for record in session.logs()]
