"""Glue jobs: what their runs are started with, and what comes of their ends."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from random import Random
from typing import Any, ClassVar

import pytest

import bunsui
from bunsui.aws.connections import Connections
from bunsui.aws.settings import AwsSettings
from bunsui.jobs.aws_lookup import LookedUpJobType
from bunsui.jobs.glue import GlueJobType
from bunsui.ports.permissions import Permission, Unnamed, Where
from bunsui.ports.services import Services
from bunsui.runner.clock import SystemClock
from bunsui.testing import FakeClock, JobTypeSuite
from bunsui_tests.attempts import make_call
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.glue import GlueRun, Script
from bunsui_tests.aws.iam import NOT_ALLOWED, FakeIam

pytestmark = pytest.mark.usefixtures("aws_environment")

ARN = "arn:aws:glue:eu-central-1:123456789012:job/load"


@pytest.fixture
def aws(fake_aws: FakeAws) -> FakeAws:
    """With a Glue job, whose runs do nothing by themselves."""
    fake_aws.glue.define("load")
    fake_aws.glue.script = Script(every=None)
    return fake_aws


@pytest.fixture
def runner(aws: FakeAws) -> Iterator[bunsui.Runner]:
    with bunsui.Runner("memory://", aws={"endpoint_url": aws.url}) as made:
        yield made


def pipeline(**fields: Any) -> bunsui.Pipeline:
    return bunsui.Pipeline("p", jobs=[bunsui.Job("a", "glue", **{"job_name": "load", **fields})])


def soon(run: GlueRun) -> Script:
    """Such a run ends well when it is first asked for."""
    run.move("RUNNING")
    return Script()


class Outputs:
    """A place for outputs, each of which says where it is."""

    def put_input(self, session: str, text: str) -> str:
        raise NotImplementedError

    def read_output(self, url: str) -> Any:
        return {"read": url}

    def output_url(self, session: str, name: str) -> str:
        return f"s3://bucket/{session}/{name}"


class Methods:
    """The type without a runner."""

    @pytest.fixture
    def kind(self, aws: FakeAws) -> Iterator[GlueJobType]:
        made = Connections(AwsSettings(endpoints={"": aws.url}), wait=lambda event, _: event.is_set())
        self.clock = FakeClock()
        yield GlueJobType().for_runner(Services(made, self.clock, Random(0), Outputs()))
        made.close()

    def call(
        self, parameters: Any = None, *, days: float = 0, key: str = "k1", **options: Any
    ) -> bunsui.JobCall:
        """An attempt that started so long ago."""
        return make_call(
            parameters,
            options={"job_name": "load", **options},
            started_at=self.clock.now() - timedelta(days=days),
            idempotency_key=key,
        )


class TestStart(Methods):
    """What a run is started with."""

    def test_arguments(self, aws: FakeAws, kind: GlueJobType) -> None:
        """The parameters by their names, what is no text as JSON; and what every job is told."""
        call = self.call(
            {"day": "2026-01-31", "rows": [1, 2]}, arguments={"--enable-metrics": "true", "x": "y"}
        )
        handle = kind.submit(call)
        (run,) = aws.glue.runs
        assert handle == {
            "job": "load",
            "run": run.id,
            "region": "eu-central-1",
            "output": "s3://bucket/s1/k1",
        }
        assert run.arguments == {
            "--enable-metrics": "true",
            "--x": "y",
            "--day": "2026-01-31",
            "--rows": "[1,2]",
            "--BUNSUI_SESSION_ID": "s1",
            "--BUNSUI_JOB_ID": "a",
            "--BUNSUI_ATTEMPT": "2",
            "--BUNSUI_IDEMPOTENCY_KEY": "k1",
            "--BUNSUI_OUTPUT_URL": "s3://bucket/s1/k1",
        }

    def test_fields(self, aws: FakeAws, kind: GlueJobType) -> None:
        """Workers, capacity and class are those of the job; the rest is left to Glue."""
        kind.submit(self.call(worker_type="G.1X", number_of_workers=3, execution_class="FLEX"))
        kind.submit(self.call(max_capacity=0.0625))
        first, second = (run.parameters for run in aws.glue.runs)
        assert (first["WorkerType"], first["NumberOfWorkers"], first["ExecutionClass"]) == ("G.1X", 3, "FLEX")
        assert second.keys() == {"JobName", "Arguments", "MaxCapacity"}

    def test_no_room(self, aws: FakeAws, kind: GlueJobType) -> None:
        """A limit of the account may have room for another attempt."""
        aws.faults.throttle("glue", "StartJobRun", code="ResourceNumberLimitExceededException", times=1)
        with pytest.raises(bunsui.JobError) as caught:
            kind.submit(self.call())
        assert (caught.value.code, caught.value.retryable) == (
            "Glue.ResourceNumberLimitExceededException",
            True,
        )

    @pytest.mark.parametrize("code", ["OperationTimeoutException", "InternalServiceException"])
    def test_what_says_nothing(self, aws: FakeAws, kind: GlueJobType, code: str) -> None:
        """A run may have begun all the same, whatever the answer's status."""
        aws.faults.throttle("glue", "StartJobRun", code=code, times=1)
        with pytest.raises(bunsui.AwsError) as caught:
            kind.submit(self.call())
        assert caught.value.kind == "open"

    @pytest.mark.parametrize(
        "fields",
        [
            {"max_capacity": 1, "worker_type": "G.1X"},
            {"arguments": {"--JOB_NAME": "x"}},
            {"parameters": {"mode": "x"}},
            {"arguments": {"--BUNSUI_IDEMPOTENCY_KEY": "x"}},
            {"parameters": {"BUNSUI_OUTPUT_URL": "x"}},
        ],
    )
    def test_what_excludes_itself(self, fields: Any) -> None:
        """Capacity and workers; and names that Glue, or bunsui, uses itself."""
        said = r"exclude each other|is an argument that (Glue uses|bunsui sets) itself"
        with pytest.raises(bunsui.DefinitionError, match=said):
            pipeline(**fields)

    @pytest.mark.parametrize("name", ["BUNSUI_IDEMPOTENCY_KEY", "--BUNSUI_IDEMPOTENCY_KEY"])
    def test_the_key_can_not_be_set(self, aws: FakeAws, kind: GlueJobType, name: str) -> None:
        """In no spelling: else the run would not be found again. References may bring it in."""
        kind.submit(self.call({name: "evil"}, arguments={name: "evil"}))
        assert aws.glue.runs[0].arguments["--BUNSUI_IDEMPOTENCY_KEY"] == "k1"

    @pytest.mark.parametrize("field", ["arguments", "parameters"])
    def test_secrets(self, field: str) -> None:
        """Glue shows and logs arguments, so they can't hold any."""
        with pytest.raises(bunsui.DefinitionError, match=f"'{field}' can be read by others"):
            bunsui.Runner("memory://", aws={"region": "eu-central-1"}).run(
                pipeline(**{field: {"password": "${secrets.s}"}})
            )


class TestRuns:
    """Runs of a whole session."""

    def test_success(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """A run is started, watched and ends well."""
        aws.glue.script = soon
        session = runner.run(pipeline())
        assert (session.status, session.outputs) == ("succeeded", {"a": None})

    def test_lost_answer(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """The answer to StartJobRun is lost: the run is found by its argument."""
        aws.faults.drop_after("glue", "StartJobRun", times=1)
        aws.glue.script = soon
        assert runner.run(pipeline()).status == "succeeded"
        assert len(aws.glue.runs) == 1

    def test_lost_call(self, aws: FakeAws, runner: bunsui.Runner, monkeypatch: pytest.MonkeyPatch) -> None:
        """A call that did not arrive is made again, once the run has not been listed for long enough."""
        monkeypatch.setattr(LookedUpJobType, "shown_within", 0.1)
        aws.faults.drop_before("glue", "StartJobRun", times=1)
        aws.glue.script = soon
        assert runner.run(pipeline()).status == "succeeded"
        assert (len(aws.glue.runs), len(aws.called("glue", "StartJobRun"))) == (1, 2)

    def test_as_many_as_may_run(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """A run for which there is no room among those of its job waits for one, and fails nothing."""
        aws.glue.define("load", ExecutionProperty={"MaxConcurrentRuns": 1})
        first, second = runner.start(pipeline()), runner.start(pipeline())
        aws.wait_for_calls("glue", "StartJobRun", 3)
        aws.glue.end(aws.glue.runs[0])
        aws.glue.script = soon
        assert {first.wait(60), second.wait(60)} == {"succeeded"}
        assert len(aws.glue.runs) == 2

    def test_cancelled(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """Who cancels the session has the run stopped."""
        session = runner.start(pipeline())
        aws.wait_for_calls("glue", "GetJobRun")
        session.cancel()
        assert session.wait() == "cancelled"
        assert aws.glue.runs[0].state == "STOPPED"

    def test_logs(self, aws: FakeAws, runner: bunsui.Runner) -> None:
        """Output and errors, which are in two groups, by their time."""
        aws.glue.script = soon
        session = runner.run(pipeline())
        run = aws.glue.runs[0].id
        aws.logs.page = 1
        for part, lines in (("output", ["1", "4", "5"]), ("error", ["2", "3"])):
            for line in lines:
                aws.logs.put(f"/aws-glue/jobs/{part}", run, line, timestamp=1_700_000_000_000 + int(line))
        assert [record.message for record in session.logs(job="a")] == ["1", "2", "3", "4", "5"]

    def test_bound(self, aws: FakeAws) -> None:
        """A job that is bound by its name runs on this machine."""
        with bunsui.Runner("memory://", bindings={"glue": {"load": lambda **_: 3}}) as runner:
            assert runner.run(pipeline()).outputs == {"a": 3}
        assert aws.calls == []


class TestWatching(Methods):
    """What is said of runs."""

    @pytest.mark.parametrize("state", ["FAILED", "ERROR", "TIMEOUT", "STOPPED", "EXPIRED"])
    def test_failures(self, aws: FakeAws, kind: GlueJobType, state: str) -> None:
        """Each end but one is a failure, whose code is Glue's word for it."""
        handle = kind.submit(self.call())
        aws.glue.end(aws.glue.runs[0], state, "ValueError: no such table")
        text = f"the run ended as {state}: ValueError: no such table"
        assert kind.poll([handle]) == [bunsui.Failed(f"Glue.{state}", text)]

    @pytest.mark.parametrize("state", ["WAITING", "STARTING", "RUNNING", "STOPPING"])
    def test_running(self, aws: FakeAws, kind: GlueJobType, state: str) -> None:
        """What waits, or is about to stop, has not ended."""
        handle = kind.submit(self.call())
        aws.glue.runs[0].move(state)
        assert kind.poll([handle]) == [bunsui.Running()]

    def test_output(self, aws: FakeAws, kind: GlueJobType) -> None:
        """What the run has left where BUNSUI_OUTPUT_URL says."""
        handle = kind.submit(self.call())
        aws.glue.end(aws.glue.runs[0])
        assert kind.poll([handle]) == [bunsui.Succeeded({"read": "s3://bucket/s1/k1"})]

    def test_many(self, aws: FakeAws, kind: GlueJobType) -> None:
        """300 runs of a job are looked at with two calls; what was started long before is asked for alone."""
        old = kind.submit(self.call(key="old"))
        for i in range(1000):
            kind.submit(self.call(key=f"between{i}"))
        handles = [old, *(kind.submit(self.call(key=f"k{i}")) for i in range(300))]
        aws.glue.end(aws.glue.runs[0], "FAILED", "x")
        assert kind.poll(handles[1:]) == [bunsui.Running()] * 300
        assert (len(aws.called("glue", "GetJobRuns")), len(aws.called("glue", "GetJobRun"))) == (2, 0)
        found = kind.poll(handles)
        assert isinstance(found[0], bunsui.Failed)
        assert found[1:] == [bunsui.Running()] * 300
        assert (len(aws.called("glue", "GetJobRuns")), len(aws.called("glue", "GetJobRun"))) == (7, 1)

    def long_ago(self, aws: FakeAws, kind: GlueJobType, count: int) -> list[Any]:
        """Handles of runs that have ended, and are on no page that a poll reads."""
        handles = [kind.submit(self.call(key=f"k{i}")) for i in range(count)]
        for run in aws.glue.runs:
            aws.glue.end(run)
            run.is_listed = False
        return handles

    def test_throttled_on_the_way(self, aws: FakeAws, kind: GlueJobType) -> None:
        """What was answered counts, on pages, too; one that never is keeps the others from nothing."""
        handles = self.long_ago(aws, kind, 5)
        aws.glue.runs[4].is_listed = True
        aws.faults.throttle(
            "glue", "GetJobRun", when=lambda call: call.parameters["RunId"] == handles[2]["run"]
        )
        running, done = bunsui.Running(), bunsui.Succeeded
        assert [isinstance(each, done) for each in kind.poll(handles)] == [True, True, False, False, True]
        assert kind.poll(handles[2:4])[0] == running
        assert isinstance(kind.poll(handles[2:4])[1], done)

    def test_pages_without_an_answer(self, aws: FakeAws, kind: GlueJobType) -> None:
        """Each is asked for by itself."""
        handles = self.long_ago(aws, kind, 5)
        aws.faults.throttle("glue", "GetJobRuns")
        assert all(isinstance(each, bunsui.Succeeded) for each in kind.poll(handles))

    def test_a_bound_of_time(self, aws: FakeAws, kind: GlueJobType) -> None:
        """No poll asks for long; each goes on with those that were not looked at for longest."""
        handles = self.long_ago(aws, kind, 12)
        for run in aws.glue.runs[:6]:
            run.move("RUNNING")

        def slow(_: Any) -> bool:
            self.clock.advance(1.0)
            return False

        aws.faults.drop_before("glue", "GetJobRun", when=slow)
        assert kind.poll(handles) == [bunsui.Running()] * 12
        assert len(aws.called("glue", "GetJobRun")) == 6
        assert all(isinstance(each, bunsui.Succeeded) for each in kind.poll(handles)[6:])

    def test_an_output_that_takes_all_the_time(self, aws: FakeAws, kind: GlueJobType) -> None:
        """It keeps a poll from the others, and the next one begins with these."""
        handles = [kind.submit(self.call(key=f"k{i}")) for i in range(3)]
        for run in aws.glue.runs:
            aws.glue.end(run)

        def hangs(url: str) -> Any:
            if url.endswith("k0"):
                self.clock.advance(6.0)
                raise bunsui.AwsError("no answer", service="s3", action="GetObject", kind="open")
            return {"read": url}

        objects = kind._runner.objects
        assert isinstance(objects, Outputs)
        objects.read_output = hangs  # type: ignore[method-assign]
        assert kind.poll(handles) == [bunsui.Running()] * 3
        assert [type(each) for each in kind.poll(handles)[1:]] == [bunsui.Succeeded] * 2

    def test_missing_before_it_was_left(self, aws: FakeAws, kind: GlueJobType) -> None:
        """Who looks again after a long time begins anew: work may be shown late."""
        handle = kind.submit(self.call())
        run = aws.glue.runs[0]
        aws.glue.forget(run)
        assert kind.poll([handle]) == [bunsui.Running()]
        self.clock.advance(121)
        assert kind.poll([handle]) == [bunsui.Running()]
        self.clock.advance(60)
        assert kind.poll([handle]) == [bunsui.CannotTell()]

    def test_polling_error_is_no_failure(self, aws: FakeAws, kind: GlueJobType) -> None:
        """What GetJobRun fails with says nothing about the run: it is asked again."""
        handle = kind.submit(self.call())
        aws.faults.server_error("glue", "GetJobRun", times=1)
        aws.faults.throttle("glue", "GetJobRun", times=1)
        aws.faults.deny("glue", "GetJobRun", times=1)
        for expected in ("open", "busy", "open"):
            with pytest.raises(bunsui.AwsError) as caught:
                kind.poll([handle])
            assert caught.value.kind == expected
        assert kind.poll([handle]) == [bunsui.Running()]

    @pytest.mark.parametrize("count", [1, 4])
    def test_gone(self, aws: FakeAws, kind: GlueJobType, count: int) -> None:
        """Runs that are not shown count as running for a minute; then nobody can tell."""
        handles = [kind.submit(self.call(key=f"k{i}")) for i in range(count)]
        for run in aws.glue.runs:
            aws.glue.forget(run)
        assert kind.poll(handles) == [bunsui.Running()] * count
        self.clock.advance(60)
        assert kind.poll(handles) == [bunsui.CannotTell()] * count
        kind.cancel(handles[0])  # That it is not there is no error of who wants it stopped.

    def test_a_run_that_can_not_be_stopped(self, aws: FakeAws, kind: GlueJobType) -> None:
        """It says so in an answer that is none of an error; one that has ended needs no stop."""
        aws.glue.script = Script(every=None, obeys=False)
        handle = kind.submit(self.call())
        with pytest.raises(bunsui.AwsError, match="InvalidInputException: the run can't be stopped"):
            kind.cancel(handle)
        aws.glue.end(aws.glue.runs[0])
        kind.cancel(handle)


class TestFinding(Methods):
    """What is said of a run that is looked for by its attempt's key."""

    def looked_for(self, kind: GlueJobType, *, days: float = 0) -> Any:
        """What is said in the end of an attempt that is not listed."""
        call = self.call(days=days)
        for _ in range(2):
            with pytest.raises(bunsui.AwsError, match="does not list the attempt k1") as caught:
                kind.find(call)
            assert caught.value.kind == "open"
            self.clock.advance(15)
        return kind.find(call)

    def test_found(self, aws: FakeAws, kind: GlueJobType) -> None:
        """On any page; and the first one, where Glue has tried again by itself."""
        handle = kind.submit(self.call())
        for i in range(250):
            kind.submit(self.call(key=f"other{i}"))
        kind.submit(self.call())
        aws.glue.runs[-1].more["Attempt"] = 1
        aws.glue.runs[-1].is_listed = False
        assert kind.find(self.call()) == bunsui.Found(handle)
        assert len(aws.called("glue", "GetJobRuns")) == 2

    def test_the_first_of_several(self, aws: FakeAws, kind: GlueJobType) -> None:
        """Where Glue has tried again by itself, the run that was started is meant."""
        handle = kind.submit(self.call())
        kind.submit(self.call())
        aws.glue.runs[-1].more["Attempt"] = 1
        assert kind.find(self.call()) == bunsui.Found(handle)

    def test_not_listed(self, kind: GlueJobType) -> None:
        """It is looked for over half a minute before it counts as never begun."""
        assert self.looked_for(kind) == bunsui.NeverRan()

    def test_no_further_than_needed(self, aws: FakeAws, kind: GlueJobType) -> None:
        """Pages of runs that were started long before the attempt are the last that are read."""
        for i in range(450):
            kind.submit(self.call(key=f"other{i}"))
        for run in aws.glue.runs:
            run.started = self.clock.now().timestamp() - 7200
        with pytest.raises(bunsui.AwsError):
            kind.find(self.call())
        assert len(aws.called("glue", "GetJobRuns")) == 1
        for run in aws.glue.runs:
            run.started = self.clock.now().timestamp() - 3000  # Clocks differ.
        with pytest.raises(bunsui.AwsError):
            kind.find(self.call())
        assert len(aws.called("glue", "GetJobRuns")) == 4

    def test_pages_that_say_nothing_of_time(self, aws: FakeAws, kind: GlueJobType) -> None:
        """Runs without a start are no older ones, and neither is a page without any."""
        handle = kind.submit(self.call())
        for i in range(200):
            kind.submit(self.call(key=f"other{i}"))
            aws.glue.runs[-1].more["StartedOn"] = None
        assert kind.find(self.call()) == bunsui.Found(handle)

    def test_a_search_that_was_left(self, kind: GlueJobType) -> None:
        """Meanwhile another runner may have begun the work: it is looked for anew, for as long as before."""
        call = self.call()
        with pytest.raises(bunsui.AwsError):
            kind.find(call)
        self.clock.advance(121)
        with pytest.raises(bunsui.AwsError):
            kind.find(call)
        self.clock.advance(30)
        assert kind.find(call) == bunsui.NeverRan()

    def test_a_search_for_an_earlier_start(self, kind: GlueJobType) -> None:
        """What was looked for before it was begun again says nothing of that."""
        with pytest.raises(bunsui.AwsError):
            kind.find(self.call())
        self.clock.advance(40)
        with pytest.raises(bunsui.AwsError):
            kind.find(self.call())

    def test_not_listed_any_more(self, kind: GlueJobType) -> None:
        """What Glue may have forgotten, nobody can tell of."""
        assert self.looked_for(kind, days=79) == bunsui.NeverRan()
        assert kind.find(self.call(days=80)) == bunsui.CannotTell()


class TestBefore(Methods):
    """What is found out before a run, and what it needs."""

    @pytest.fixture
    def iam(self, aws: FakeAws) -> FakeIam:
        made = FakeIam()
        aws.add(made)
        return made

    @pytest.mark.usefixtures("iam")
    def test_a_job_that_can_be_run(self, aws: FakeAws, kind: GlueJobType) -> None:
        """Nothing is found, and nothing is started; IAM is asked for all that the runner does."""
        assert list(kind.verify({"job_name": "load"})) == []
        assert aws.glue.runs == []
        (call,) = aws.called("iam", "SimulatePrincipalPolicy")
        asked = {value for name, value in call.parameters.items() if name.startswith("ActionNames.")}
        assert asked == {f"glue:{each}JobRun" for each in ("Start", "Get", "BatchStop")} | {"glue:GetJobRuns"}
        assert call.parameters["ResourceArns.member.1"] == ARN

    @pytest.mark.usefixtures("iam")
    def test_no_such_job(self, kind: GlueJobType) -> None:
        """It is looked for in the region that is named."""
        assert list(kind.verify({"job_name": "laod"})) == [
            (
                "job_name",
                "unknown-glue-job",
                "there is no Glue job 'laod' in eu-central-1",
                "make it, or name another, or another 'region' or 'role'",
            )
        ]

    @pytest.mark.usefixtures("iam")
    def test_repetitions_of_its_own(self, aws: FakeAws, kind: GlueJobType) -> None:
        """Runs that Glue starts by itself are nobody's."""
        aws.glue.define("again", MaxRetries=2)
        ((field, code, message, _),) = kind.verify({"job_name": "again"})
        assert (field, code) == ("job_name", "own-retries")
        assert "has MaxRetries 2" in message

    @pytest.mark.usefixtures("iam")
    def test_a_job_that_may_not_be_looked_at(self, aws: FakeAws, kind: GlueJobType) -> None:
        """The run does not look at it, so it may be right."""
        aws.faults.deny("glue", "GetJob")
        assert [finding[:2] for finding in kind.verify({"job_name": "load"})] == [("job_name", "not-checked")]

    def test_denied(self, iam: FakeIam, kind: GlueJobType) -> None:
        """Who may not do what with what, and which permission is needed."""
        iam.decide("glue:StartJobRun", NOT_ALLOWED)
        ((field, code, message, hint),) = kind.verify({"job_name": "load"})
        assert (field, code, hint) == (
            "job_name",
            "denied",
            "the caller needs the permission glue:StartJobRun",
        )
        assert message.endswith(f"may not glue:StartJobRun with {ARN}: no policy allows it")

    @pytest.mark.usefixtures("iam")
    def test_a_role_that_can_not_be_taken(self, aws: FakeAws, kind: GlueJobType) -> None:
        """In it nothing else can be asked, so that is all."""
        found = kind.verify({"job_name": "load", "role": "arn:aws:iam::123456789012:role/etl"})
        assert [finding[:2] for finding in found] == [("role", "denied")]
        assert aws.called("glue") == []

    @pytest.mark.parametrize("name", ["job_name", "region", "role"])
    def test_nothing_is_asked(self, aws: FakeAws, kind: GlueJobType, name: str) -> None:
        """Where it is not known yet which Glue job it is."""
        found = kind.verify({"job_name": "load", name: "${jobs.b.output}"})
        assert [finding[:2] for finding in found] == [(name, "not-checked")]
        assert aws.calls == []

    def test_permissions(self, kind: GlueJobType) -> None:
        """Each call, on the job; what is named by a reference can't be said."""
        where = Where("eu-central-1", "123456789012")
        actions = ["glue:StartJobRun", "glue:GetJobRun", "glue:GetJobRuns", "glue:BatchStopJobRun"]
        assert list(kind.permissions({"job_name": "load"}, where)) == [Permission(actions, [ARN])]
        (wild,) = kind.permissions({"job_name": "load-*?"}, where)  # Glue allows such names.
        assert wild == Permission(actions, [f"{ARN}-${{*}}${{?}}"])
        unnamed = Unnamed("'job_name' is known only when the job starts")
        assert list(kind.permissions({"job_name": "${item}"}, where)) == [unnamed]


class Glue(GlueJobType):
    """Under another name: the built-in has its own already."""

    name: ClassVar[str] = "own-glue"
    poll_interval: ClassVar[float] = 0.02


class TestSuite(JobTypeSuite):
    """What holds for every job type; an argument says how a run ends."""

    options = {"job_name": "load"}
    parameters = {"table": "flights"}
    invalid_options = [{}, {"job_name": ""}, {"job_name": "x", "number_of_workers": 0}]
    failing_options = {**options, "arguments": {"how": "fail"}}
    slow_options = {**options, "arguments": {"how": "sleep"}}
    unknown_handle = {"job": "load", "run": "jr_0", "region": "eu-central-1"}
    takes_secrets = False

    @pytest.fixture
    def job_type(self, aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[GlueJobType]:
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
        monkeypatch.setattr("bunsui.jobs.aws_remote.MISSING_PATIENCE", 0.0)

        def script(run: GlueRun) -> Script:
            how = run.arguments.get("--how")
            if how == "sleep":
                return Script(every=None)
            return Script(work=lambda _: "no" if how == "fail" else None)

        aws.glue.script = script
        made = Connections(AwsSettings())
        yield Glue().for_runner(Services(made, SystemClock(), Random(0)))
        made.close()
