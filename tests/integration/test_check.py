"""What `Runner.check` says of a pipeline before a run, and that it begins nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

import bunsui
from bunsui.stores.memory import MemoryStore
from bunsui.testing import Stubs
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.iam import FakeIam

ROLE = "arn:aws:iam::123456789012:role/etl"
AWS = pytest.mark.usefixtures("aws_environment")


@pytest.fixture
def aws(fake_aws: FakeAws) -> FakeAws:
    """An endpoint with a function and a task definition called ``load``."""
    fake_aws.add(FakeIam())
    fake_aws.functions.add("load", print)
    fake_aws.ecs.define("load")
    return fake_aws


def pipeline(*jobs: Mapping[str, Any], **fields: Any) -> bunsui.Pipeline:
    listed = [{"type": "lambda", "id": f"job{i}", **job} for i, job in enumerate(jobs)]
    return bunsui.Pipeline.from_dict({"version": "1.0", "name": "flow", **fields, "jobs": listed})


def checked(
    aws: FakeAws, *jobs: Mapping[str, Any], given: Mapping[str, Any] | None = None, **fields: Any
) -> Any:
    with bunsui.Runner("memory://", aws={"endpoint_url": aws.url}) as runner:
        return runner.check(pipeline(*jobs, **fields), given)


@AWS
def test_nothing_is_wrong(aws: FakeAws) -> None:
    """There are no problems; what was found is counted by the fields that name it, once each."""
    found = checked(
        aws,
        {"function": "load"},
        {"function": "load", "invocation": "send"},
        {"type": "ecs", "task_definition": "load"},
        {"type": "custom", "command": ["true"]},
    )
    assert ([], {"function": 1, "task_definition": 1}) == (found, found.found)


@AWS
def test_problems_have_places(aws: FakeAws, tmp_path: Path) -> None:
    """File, line and column, as those of `validate` have; the path leads to the field. They are sorted."""
    path = tmp_path / "pipeline.yaml"
    path.write_text(
        'version: "1.0"\nname: flow\njobs:\n'
        "  - {id: task, type: ecs, task_definition: lod, cluster: elt}\n"
        "  - {id: call, type: lambda, function: lod}\n",
        encoding="utf-8",
    )
    with bunsui.Runner("memory://", aws={"endpoint_url": aws.url}) as runner:
        problems = runner.check(runner.load(path))
    assert [
        ("unknown-task-definition", str(path), 4, 44, "/jobs/0/task_definition"),
        ("unknown-cluster", str(path), 4, 58, "/jobs/0/cluster"),
        ("unknown-function", str(path), 5, 40, "/jobs/1/function"),
    ] == [(each.code, each.file, each.line, each.column, each.path) for each in problems]
    assert problems[2].message.startswith("job 'call': there is no function 'lod' in eu-central-1")
    assert {"error"} == {each.severity for each in problems}


@AWS
def test_equal_jobs_are_asked_for_once(aws: FakeAws) -> None:
    """Each of them has the problem."""
    parameters = [{"name": "name", "default": "lod"}]
    jobs = [{"function": "lod"}, {"function": "${name}"}, {"function": "load"}] * 10
    problems = checked(aws, *jobs, parameters=parameters)

    assert [i for i in range(30) if i % 3 < 2] == [int(each.path.split("/")[2]) for each in problems]
    assert ["load", "lod"] == sorted(call.parameters["FunctionName"] for call in aws.calls)


@AWS
def test_what_is_known_before_a_run(aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parameters, the environment and literals; a function that only a job or an item names is a warning."""
    monkeypatch.setenv("LOAD", "lod")
    jobs: list[dict[str, Any]] = [
        {"function": "${name}"},
        {"function": "${env.LOAD}"},
        {"function": "l${name}d"},
        {"function": "${jobs.job0.output}", "depends_on": ["job0"]},
        {"function": "${item}", "for_each": ["load"]},
    ]
    config = {"env": ["LOAD"]}
    with bunsui.Runner("memory://", aws={"endpoint_url": aws.url}, config=config) as runner:
        flow = pipeline(*jobs, parameters=[{"name": "name", "required": True}])
        problems = runner.check(flow, {"name": "oa"})
    assert [
        ("unknown-function", "error", "/jobs/0/function"),
        ("unknown-function", "error", "/jobs/1/function"),
        ("not-checked", "warning", "/jobs/3/function"),
        ("not-checked", "warning", "/jobs/4/function"),
    ] == [(each.code, each.severity, each.path) for each in problems]
    assert {"function": 1} == problems.found


@AWS
def test_options_that_are_wrong_when_they_are_resolved(aws: FakeAws) -> None:
    """AWS is not asked about them."""
    (problem,) = checked(aws, {"function": "${name}"}, parameters=[{"name": "name", "default": ""}])

    assert ("invalid-options", "/jobs/0") == (problem.code, problem.path)
    assert "must have at least 1 character" in problem.message
    assert [] == aws.calls


@AWS
def test_bound_jobs_are_left_out(aws: FakeAws) -> None:
    """By the bindings that a start would find; also where a parameter names what is bound."""
    bindings = {"lambda": {"lod": lambda event, context: None}}
    jobs = [{"function": "lod"}, {"function": "${name}"}, {"function": "load"}]
    with bunsui.Runner("memory://", aws={"endpoint_url": aws.url}, bindings=bindings) as runner:
        flow = pipeline(*jobs, parameters=[{"name": "name", "default": "lod"}])
        assert [] == runner.check(flow)
    assert ["load"] == [call.parameters["FunctionName"] for call in aws.calls]


@AWS
def test_jobs_of_a_condition_are_looked_at(aws: FakeAws) -> None:
    """Whatever it says: it may say something else the next time."""
    (problem,) = checked(aws, {"function": "lod", "condition": '"a" == "b"'})
    assert "unknown-function" == problem.code


@AWS
def test_a_role_that_is_not_allowed(aws: FakeAws) -> None:
    """It is denied where it stands, and AWS is not asked for it; other jobs are looked at."""
    settings = {"endpoint_url": aws.url, "allowed_roles": []}
    with bunsui.Runner("memory://", aws=settings) as runner:
        problems = runner.check(pipeline({"function": "load", "role": ROLE}, {"function": "lod"}))
    assert [("denied", "/jobs/0/role"), ("unknown-function", "/jobs/1/function")] == [
        (each.code, each.path) for each in problems
    ]
    assert "jobs may not take the role" in problems[0].message
    assert [] == aws.called("sts")


class ReadOnly(MemoryStore):
    """A store to which nothing may be written."""

    def append(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("a history was written")

    def put(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("a document was written")


@AWS
def test_nothing_is_written(aws: FakeAws) -> None:
    """Neither a session nor a definition, and nothing is invoked or started; a start would write."""
    flow = pipeline({"function": "load"}, {"type": "ecs", "task_definition": "load"})
    with bunsui.Runner(ReadOnly(), aws={"endpoint_url": aws.url}) as runner:
        assert [] == runner.check(flow)
        with pytest.raises(AssertionError, match="was written"):
            runner.start(flow)
    assert ([], []) == (aws.functions.invocations, aws.ecs.tasks)


def test_stubs(bunsui_runner: bunsui.Runner, bunsui_stubs: Stubs) -> None:
    """What something stands in for does not run at AWS, which there is no way to ask here."""
    bunsui_stubs["job0"] = {"rows": 3}

    assert [] == bunsui_runner.check(pipeline({"function": "lod"}))


def test_no_credentials() -> None:
    """As in a start; the job and its binding are named."""
    with bunsui.Runner("memory://", aws={"region": "eu-central-1"}) as runner:
        flow = pipeline({"function": "load"})
        with pytest.raises(bunsui.AwsError) as checking:
            runner.check(flow)
        with pytest.raises(bunsui.AwsError) as starting:
            runner.start(flow)
    assert "credentials" == checking.value.kind == starting.value.kind
    assert str(checking.value).startswith("job 'job0': lambda Invoke of 'load'")
    assert "or bind function 'load' to run it on this machine" in str(checking.value)


@AWS
def test_no_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """Likewise."""
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with bunsui.Runner("memory://") as runner, pytest.raises(bunsui.AwsError, match="no region is named"):
        runner.check(pipeline({"function": "load"}))


def test_what_a_start_refuses(aws: FakeAws) -> None:
    """A parameter that is missing, a local run, no pipeline, a closed runner."""
    flow = pipeline({"function": "load"}, parameters=[{"name": "x", "required": True}])
    with bunsui.Runner("memory://", local=True) as runner:
        with pytest.raises(bunsui.DefinitionError, match="missing-parameter"):
            runner.check(flow)
        with pytest.raises(bunsui.DefinitionError, match="unbound-job"):
            runner.check(flow, {"x": "1"})
        with pytest.raises(bunsui.ConfigError, match="runs a Pipeline"):
            runner.check({})  # type: ignore[arg-type]
    with pytest.raises(bunsui.StateError, match="closed"):
        runner.check(flow)
    assert [] == aws.calls


class Query(bunsui.JobType):
    """A type whose findings are what its job says."""

    name = "query"
    schema: ClassVar[Mapping[str, Any]] = {"type": "object", "properties": {"say": {}}, "required": ["say"]}

    def __init__(self) -> None:
        self.asked = 0

    def verify(self, options: Mapping[str, Any]) -> Sequence[Any]:
        """What the job says."""
        self.asked += 1
        if options["say"] == "raise":
            raise ValueError("no")
        if options["say"] == "exit":
            raise SystemExit(3)
        if options["say"] == "refuse":
            raise bunsui.ConfigError("no password")
        return (
            [tuple(each) for each in options["say"]] if isinstance(options["say"], list) else options["say"]
        )

    def run(self, call: bunsui.JobCall) -> Any:
        """Nothing."""

    @bunsui.hookimpl
    def bunsui_job_types(self) -> list[bunsui.JobType]:
        """Itself."""
        return [self]


@pytest.fixture
def query() -> Iterator[Any]:
    """Checks a pipeline of jobs of that type, which say these things."""
    kind = Query()
    with bunsui.Runner("memory://", plugins=[kind]) as runner:

        def check(*said: Any) -> Any:
            jobs = [{"id": f"job{i}", "type": "query", "say": say} for i, say in enumerate(said)]
            definition = {"version": "1.0", "name": "flow", "jobs": jobs}
            return runner.check(bunsui.Pipeline.from_dict(definition, runner.plugins)), kind.asked

        yield check


def test_a_type_of_a_plugin(query: Any) -> None:
    """Its findings are problems, with a hint where they have four texts; 'not-checked' is a warning."""
    problems, asked = query(
        [["say", "no-table", "no table", "make it"], ["", "denied", "no"]], [["say", "not-checked", "later"]]
    )
    assert [
        ("denied", "job 'job0': no", None, "/jobs/0", "error"),
        ("no-table", "job 'job0': no table", "make it", "/jobs/0/say", "error"),
        ("not-checked", "job 'job1': later", None, "/jobs/1/say", "warning"),
    ] == [(each.code, each.message, each.hint, each.path, each.severity) for each in problems]
    assert 2 == asked


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("raise", "verify() of job type 'query' failed: ValueError: no"),
        ("exit", "verify() of job type 'query' failed: SystemExit: 3"),
        (None, "verify() of job type 'query' gave NoneType, not a list"),
        ([["say", "no-table"]], "verify() of job type 'query' gave what is no list"),
        ([["say", "no-table", 3]], "verify() of job type 'query' gave what is no list"),
    ],
)
def test_a_type_that_fails(query: Any, said: Any, why: str) -> None:
    """That is its fault, and said to be."""
    with pytest.raises(bunsui.PluginError) as caught:
        query([], said)
    assert str(caught.value).startswith(why)


def test_a_type_that_can_not_ask(query: Any) -> None:
    """Its own error is what is said, with the job."""
    with pytest.raises(bunsui.ConfigError, match=r"^job 'job1': no password"):
        query([], "refuse")
