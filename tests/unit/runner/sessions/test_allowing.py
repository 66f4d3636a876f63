"""`Runner.iam_policy` and `bunsui.aws.iam_policy`: whose policy it is, where, and what can't be in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import bunsui
import bunsui.aws
from bunsui.aws.policies import IamPolicy
from bunsui.ports.permissions import Permission, Unnamed, Where
from bunsui.ports.secrets import SecretSource
from bunsui.testing import FakeStore
from bunsui_tests.aws.endpoint import FakeAws

pytestmark = pytest.mark.usefixtures("aws_environment")

OWN = "arn:aws:iam::123456789012:role/own"
OTHER = "arn:aws:iam::210987654321:role/other"
#: What asks nobody.
THERE = {"region": "eu-central-1", "account": "123456789012"}


class Query(bunsui.JobType):
    """A type of a plugin's, which has no region and no role."""

    name = "query"
    schema: Mapping[str, Any] = {"type": "object", "properties": {"table": {}}}
    #: What it gives in place of that.
    gives: Any = None

    def run(self, call: bunsui.JobCall) -> Any:
        raise NotImplementedError

    def permissions(self, options: Mapping[str, Any], where: Where) -> Any:
        if self.gives is not None:
            return self.gives()
        return [Permission(["athena:GetTable"], [where.arn("athena", options["table"])])]


class Silent(bunsui.JobType):
    """A type that says nothing."""

    name = "silent"
    schema: Mapping[str, Any] = {"type": "object"}

    def run(self, call: bunsui.JobCall) -> Any:
        raise NotImplementedError


class Table(SecretSource):
    def get(self, key: str) -> str:
        raise NotImplementedError

    def permissions(self, key: str, where: Where) -> Any:
        return [Permission(["dynamodb:GetItem"], [where.arn("dynamodb", f"table/{key}")])]


class Unsaid(SecretSource):
    def get(self, key: str) -> str:
        raise NotImplementedError


class Plugin:
    def __init__(self) -> None:
        self.query = Query()

    @bunsui.hookimpl
    def bunsui_job_types(self) -> list[bunsui.JobType]:
        return [self.query, Silent()]

    @bunsui.hookimpl
    def bunsui_secret_sources(self) -> dict[str, SecretSource]:
        return {"table": Table(), "unsaid": Unsaid()}


@pytest.fixture
def plugin() -> Plugin:
    return Plugin()


@pytest.fixture
def policy(fake_aws: FakeAws, plugin: Plugin) -> Any:
    """Makes the policy of jobs; without arguments beside, it asks AWS."""

    def of(*jobs: bunsui.Job, aws: Any = None, config: Any = None, **more: Any) -> IamPolicy:
        runner = {name: more.pop(name) for name in ("store", "artifacts", "bindings") if name in more}
        plugins = bunsui.Plugins([plugin], autoload=False)
        return bunsui.aws.iam_policy(
            bunsui.Pipeline("p", [*jobs]),
            **{"store": "memory://", **runner, **more},
            plugins=plugins,
            config={} if config is None else config,
            aws={"endpoint_url": fake_aws.url, **(aws or {})},
        )

    return of


def allowed(policy: IamPolicy) -> list[tuple[str, str]]:
    """Each action with each of its resources."""
    pairs = []
    for statement in policy.document["Statement"]:
        for action in _listed(statement["Action"]):
            pairs += [(action, resource) for resource in _listed(statement["Resource"])]
    return pairs


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else value


def function(id_: str = "a", name: str = "load", **more: Any) -> bunsui.Job:
    return bunsui.Job(id_, "lambda", function=name, **more)


def at(name: str, region: str = "eu-central-1", account: str = "123456789012") -> tuple[str, str]:
    return "lambda:InvokeFunction", f"arn:aws:lambda:{region}:{account}:function:{name}"


class TestWhere:
    """In which region and account things are."""

    def test_asked(self, fake_aws: FakeAws, policy: Any) -> None:
        """The region is the runner's, the account that of the credentials; AWS is asked once."""
        assert [at("load"), at("store")] == allowed(policy(function(), function("b", "store")))
        assert ["GetCallerIdentity"] == [call.action for call in fake_aws.calls]

    def test_given(self, fake_aws: FakeAws, policy: Any) -> None:
        """Then nobody is asked; what has a region of its own is there."""
        found = policy(
            function(), function("b", region="us-east-1"), region="us-west-2", account="210987654321"
        )
        expected = [at("load", region, "210987654321") for region in ("us-east-1", "us-west-2")]
        assert expected == allowed(found)
        assert [] == fake_aws.calls

    @pytest.mark.parametrize(
        ("region", "partition"), [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
    )
    def test_partitions(self, region: str, partition: str, policy: Any) -> None:
        """What is in China or of the government has ARNs of its own."""
        found = policy(function(), artifacts="s3://bucket", region=region, account="123456789012")
        resources = {resource.partition(":lambda")[0].partition(":s3")[0] for _, resource in allowed(found)}
        assert {f"arn:{partition}"} == resources

    def test_a_region_for_who_has_to_ask(self, fake_aws: FakeAws, policy: Any) -> None:
        """ECS is asked there, too."""
        fake_aws.ecs.define("t")
        policy(bunsui.Job("a", "ecs", task_definition="t"), region="us-west-2", account="123456789012")
        assert [("DescribeTaskDefinition", "us-west-2")] == [
            (call.action, call.region) for call in fake_aws.calls
        ]

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"region": "Frankfurt"}, "region is 'Frankfurt'; such as 'eu-central-1'"),
            ({"account": "1234"}, "account is '1234'; it has twelve digits"),
            ({"role": "etl"}, "role is 'etl'; it is an ARN"),
            ({"role": OTHER}, f"no run of this pipeline takes the role {OTHER}; it takes none"),
        ],
    )
    def test_wrong_arguments(self, given: dict[str, str], message: str, policy: Any) -> None:
        """They are told before anybody is asked."""
        with pytest.raises(bunsui.ConfigError, match=f"^{message}"):
            policy(function(), **{**THERE, **given})


class TestWhoseItIs:
    """A role that is taken has a policy of its own."""

    def test_a_role_of_a_job(self, fake_aws: FakeAws, policy: Any) -> None:
        """Whoever runs it may take the role; what is called in it, the role is allowed, in its account."""
        jobs = [function(), function("b", "there", role=OTHER)]
        mine, its = policy(*jobs, **THERE), policy(*jobs, **THERE, role=OTHER)

        assert [at("load"), ("sts:AssumeRole", OTHER)] == allowed(mine)
        assert [at("there", account="210987654321")] == allowed(its)
        assert ((OTHER,), []) == (mine.roles, fake_aws.calls)

    def test_the_role_of_the_runner(self, policy: Any) -> None:
        """It calls all but what jobs call in another, which whoever runs it takes by himself."""
        jobs, aws = [function(), function("b", "there", role=OTHER)], {"role": OWN}
        mine = policy(*jobs, artifacts="s3://bucket", aws=aws, **THERE)
        its = policy(*jobs, artifacts="s3://bucket", aws=aws, **THERE, role=OWN)

        assert [("sts:AssumeRole", OWN), ("sts:AssumeRole", OTHER)] == allowed(mine)
        assert at("load") == allowed(its)[0]
        assert {"s3"} == {action.partition(":")[0] for action, _ in allowed(its)[1:]}

    def test_a_role_that_jobs_may_not_name(self, policy: Any) -> None:
        """No run would take it."""
        with pytest.raises(bunsui.PermissionDenied, match=f"jobs may not take the role {OTHER}"):
            policy(function(role=OTHER), aws={"allowed_roles": [OWN]}, **THERE)

    def test_a_role_that_does_not_exist_is_not_taken(self, fake_aws: FakeAws, policy: Any) -> None:
        """Who makes policies may not be who is to have them."""
        policy(bunsui.Job("a", "ecs", task_definition="t", role=OTHER), **THERE)
        assert [] == fake_aws.calls


class TestWhatIsCalled:
    """By jobs, and beside them."""

    def test_nothing(self, fake_aws: FakeAws, policy: Any) -> None:
        """What runs on this machine needs no permission, and nobody is asked, not even for a region."""
        jobs = [bunsui.Job("a", "custom", command=["true"]), function("b")]
        found = policy(*jobs, bindings={"lambda": {"load": {"command": ["true"]}}})
        assert ([], ()) == (found.document["Statement"], found.roles)
        assert [] == fake_aws.calls

    def test_artifacts(self, policy: Any) -> None:
        """What a run does with them; not what removes sessions. A prefix is no pattern."""
        objects = "arn:aws:s3:::bucket/a${*}/*"
        actions = ("s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject")
        expected = [(action, objects) for action in actions]
        assert [at("load"), *expected] == allowed(policy(function(), artifacts="s3://bucket/a*", **THERE))
        whole = allowed(policy(function(), artifacts="s3://bucket", **THERE))
        assert ("s3:GetObject", "arn:aws:s3:::bucket/*") in whole

    @pytest.mark.parametrize(
        ("kind", "options"),
        [
            ("batch", {"job_queue": "queue", "job_definition": "load:1"}),
            ("glue", {"job_name": "load"}),
            ("ecs", {"task_definition": "load:1"}),
        ],
    )
    def test_outputs_that_jobs_may_leave(self, policy: Any, kind: str, options: Any) -> None:
        """Else S3 says of one that is not there that it may not be read, and the job waits."""
        listing = ("s3:ListBucket", "arn:aws:s3:::bucket")
        job = bunsui.Job("a", kind, options)
        assert listing in allowed(policy(job, artifacts="s3://bucket/a", partial=True, **THERE))
        assert listing not in allowed(policy(function(), artifacts="s3://bucket/a", **THERE))

    def test_secrets(self, policy: Any) -> None:
        """Those that the pipeline names are asked for; where they are in the environment, by nobody."""
        config = {"secrets": {"db": "table:db", "unused": "table:unused", "here": "env:HERE"}}
        job = function(parameters={"password": "${secrets.db}", "other": "${secrets.here}"})
        table = ("dynamodb:GetItem", "arn:aws:dynamodb:eu-central-1:123456789012:table/db")
        assert [table, at("load")] == allowed(policy(job, config=config, **THERE))

    def test_the_store(self, policy: Any) -> None:
        """It says so itself."""

        class Store(FakeStore):
            def permissions(self, where: Where) -> Any:
                return [Permission(["dynamodb:PutItem"], [where.arn("dynamodb", "table/t")])]

        table = ("dynamodb:PutItem", "arn:aws:dynamodb:eu-central-1:123456789012:table/t")
        assert [table, at("load")] == allowed(policy(function(), store=Store(), **THERE))

    def test_a_type_of_a_plugin(self, policy: Any) -> None:
        """It gets where the runner is."""
        found = policy(bunsui.Job("a", "query", table="t"), **THERE)
        assert [("athena:GetTable", "arn:aws:athena:eu-central-1:123456789012:t")] == allowed(found)

    def test_conditions_count_for_nothing(self, policy: Any) -> None:
        """Nobody knows before a run which of its jobs it has."""
        assert [at("load")] == allowed(policy(function(condition="1 == 2"), **THERE))


class TestWhatCanNotBeNamed:
    """It is an error, unless the rest is wanted."""

    LATER = (
        bunsui.Job("choose", "custom", command=["true"]),
        function("call", "${jobs.choose.output}", depends_on=["choose"]),
        function("there", region="${jobs.choose.output}", depends_on=["choose"]),
        bunsui.Job("ask", "silent"),
        function("rest", parameters={"p": "${secrets.pin}"}),
    )
    CONFIG = {"secrets": {"pin": "unsaid:pin"}}
    MESSAGES = [
        f"{whose}: not all that it calls at AWS can be named: {why}"
        for whose, why in (
            ("job 'call'", "'function' is known only when the job starts"),
            ("job 'there'", "'region' is known only when the job starts"),
            ("job 'ask'", "job type 'silent' does not say what it calls at AWS"),
            ("secret 'pin'", "its source does not say what it calls at AWS"),
        )
    ]

    def test_all_at_once(self, policy: Any) -> None:
        """Each with what it is and why."""
        with pytest.raises(bunsui.DefinitionError) as caught:
            policy(*self.LATER, config=self.CONFIG, **THERE)
        problems = caught.value.problems
        assert self.MESSAGES == [problem.message for problem in problems]
        assert {("unnamed-permission", "error")} == {(each.code, each.severity) for each in problems}
        assert "/jobs/4/parameters/p" == problems[3].path

    def test_the_rest(self, policy: Any) -> None:
        """And what is missing."""
        found = policy(*self.LATER, config=self.CONFIG, partial=True, **THERE)
        assert [at("load")] == allowed(found)
        assert self.MESSAGES == [problem.message for problem in found.unnamed]
        assert {"warning"} == {problem.severity for problem in found.unnamed}

    def test_of_another_role(self, policy: Any) -> None:
        """That concerns who makes its policy."""
        jobs = [self.LATER[0], function("b", "${jobs.choose.output}", depends_on=["choose"], role=OTHER)]
        assert [("sts:AssumeRole", OTHER)] == allowed(policy(*jobs, **THERE))
        with pytest.raises(bunsui.DefinitionError, match="'function' is known only"):
            policy(*jobs, **THERE, role=OTHER)

    def test_wrong_options(self, policy: Any) -> None:
        """As in a run."""
        pipeline = bunsui.Pipeline(
            "p", [function(name="${f}")], parameters=[bunsui.Parameter("f", default="")]
        )
        with pytest.raises(bunsui.DefinitionError, match="invalid-options"):
            bunsui.aws.iam_policy(pipeline, store="memory://", config={}, **THERE)


@pytest.mark.parametrize(
    ("gives", "message"),
    [
        (lambda: 1 / 0, "failed: ZeroDivisionError: division by zero"),
        (lambda: 3, "gave int, not an iterable of Permission and Unnamed"),
        (lambda: [Unnamed("x"), "s3:*"], "gave what is neither a Permission nor Unnamed"),
    ],
)
def test_a_type_that_fails(gives: Any, message: str, plugin: Plugin, policy: Any) -> None:
    """That is the plugin's fault."""
    plugin.query.gives = gives
    with pytest.raises(bunsui.PluginError, match=rf"permissions\(\) of job type 'query' {message}"):
        policy(bunsui.Job("a", "query", table="t"), **THERE)


def test_a_runner_that_is_closed() -> None:
    """It gives none."""
    runner = bunsui.Runner("memory://")
    runner.close()
    with pytest.raises(bunsui.StateError, match="closed"):
        runner.iam_policy(bunsui.Pipeline("p", [function()]), **THERE)


class TestAlerts:
    """What the channels call that alerts are sent through."""

    TOPIC = "arn:aws:sns:eu-central-1:123456789012:data"

    def policy(self, fake_aws: FakeAws, *rules: bunsui.AlertRule, **config: Any) -> IamPolicy:
        channels = {
            "ops": {"type": "sns", "topic": self.TOPIC},
            "other": {"type": "sns", "topic": f"{self.TOPIC}-2"},
        }
        job = bunsui.Job("a", "custom", command=["true"])
        return bunsui.aws.iam_policy(
            bunsui.Pipeline("p", [job], alerts=rules),
            store="memory://",
            plugins=bunsui.Plugins(autoload=False),
            config={"alert_channels": channels, **config},
            aws={"endpoint_url": fake_aws.url},
            **THERE,
        )

    def test_those_that_rules_name(self, fake_aws: FakeAws) -> None:
        """Of the definition and of the configuration, and no other."""
        (found,) = allowed(self.policy(fake_aws, bunsui.AlertRule("failure", "ops")))
        assert ("sns:Publish", self.TOPIC) == found
        rules = [{"on": "failure", "channel": "other"}]
        (found,) = allowed(self.policy(fake_aws, alerts=rules))
        assert ("sns:Publish", f"{self.TOPIC}-2") == found
        assert [] == self.policy(fake_aws).document["Statement"]

    def test_one_that_calls_nobody(self, fake_aws: FakeAws) -> None:
        """Nobody has to be asked for it."""
        found = self.policy(fake_aws, bunsui.AlertRule("failure", "log"))
        assert ([], []) == (found.document["Statement"], fake_aws.calls)
