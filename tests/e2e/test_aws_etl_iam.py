"""examples/aws-etl under exactly the policy that is made for it, where ministack enforces, and under less.

Its ECS task is bound to this machine, as nothing runs containers here; what such a task needs,
``tests/integration/test_iam_policy.py`` shows.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

import bunsui
from bunsui.aws.settings import AwsSettings
from bunsui.stores.dynamodb import USED, DynamoDbStore
from bunsui.stores.dynamodb_items import INDEXES
from bunsui.stores.dynamodb_table import definition
from bunsui_tests.aws.emulators import Ministack
from bunsui_tests.aws.environment import REGION, client, environment
from bunsui_tests.conditions import until

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
GIVEN = {"source_bucket": "flights"}
#: May do anything in ministack.
ROOT = "test"
DEPLOY = "import json, sys, cloud; cloud.deploy(json.load(sys.stdin) | cloud.STEPS)"
TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
#: The task of the example, which returns more than a history holds, and does not end while it is held.
TASK = """\
import json, os, pathlib, runpy, sys, time
while pathlib.Path("held").exists():
    time.sleep(0.02)
sys.path.insert(0, "emulator/task")
runpy.run_path("emulator/task/main.py", run_name="__main__")
pathlib.Path(os.environ["BUNSUI_OUTPUT"]).write_text(json.dumps("x" * 40_000))
"""
LAMBDA, S3 = "arn:aws:lambda:eu-central-1:000000000000:function", "arn:aws:s3:::artifacts/etl/*"
TABLE = "arn:aws:dynamodb:eu-central-1:000000000000:table/etl"
STORE = "dynamodb://etl"
GROUP = "arn:aws:logs:eu-central-1:000000000000:log-group:/bunsui/etl"
#: What keeping the logs of jobs takes, which no run fails without.
LOGS = [
    (f"logs:{action}", resource)
    for action in (
        "CreateLogGroup",
        "CreateLogStream",
        "DescribeLogStreams",
        "GetLogEvents",
        "PutLogEvents",
        "PutRetentionPolicy",
    )
    for resource in (GROUP, f"{GROUP}:*")
]
#: All that the policy allows.
ALLOWED = [
    *LOGS,
    *((action, TABLE) for action in USED),
    *(("dynamodb:Query", f"{TABLE}/index/{index}") for index in INDEXES),
    ("lambda:InvokeFunction", f"{LAMBDA}:extract-function"),
    ("lambda:InvokeFunction", f"{LAMBDA}:load-function"),
    ("s3:AbortMultipartUpload", S3),
    ("s3:GetObject", S3),
    ("s3:PutObject", S3),
]


def policy_of(*allowed: tuple[str, str]) -> dict[str, Any]:
    statements = [{"Effect": "Allow", "Action": action, "Resource": to} for action, to in allowed]
    return {"Version": "2012-10-17", "Statement": statements}


@frozen
class Cloud:
    """The example in a cloud where a user's policy counts."""

    folder: Path
    emulator: Ministack
    #: What the command prints.
    policy: dict[str, Any]
    variables: dict[str, str]

    @property
    def settings(self) -> AwsSettings:
        """As whom, and where, the user calls AWS."""
        return AwsSettings(region=REGION, profile="runner", endpoints={"": self.emulator.url})

    def allow(self, document: dict[str, Any]) -> None:
        """All that the user of the profile ``runner`` may do."""
        client("iam", self.emulator.url, access_key=ROOT).put_user_policy(
            UserName="runner", PolicyName="run", PolicyDocument=json.dumps(document)
        )

    def run(
        self, monkeypatch: pytest.MonkeyPatch, *, pauses_within: float | None = None
    ) -> tuple[str, str | None]:
        """What a run of that user comes to, and what is wrong with it.

        One may ask it to pause while its task runs, which ends when that is told, or after so many seconds.
        """
        for name, value in self.variables.items():
            monkeypatch.setenv(name, value)
        aws = {"profile": "runner", "endpoint_url": self.emulator.url}
        bindings = self.folder / "aws-etl" / "large.yaml"
        pipeline = bunsui.Pipeline.load(self.folder / "etl" / "pipeline.yaml")
        if pauses_within is not None:
            self._held.touch()
        with bunsui.Runner(
            STORE, aws=aws, artifacts="s3://artifacts/etl", bindings=bindings, lease=6.0
        ) as runner:
            try:
                session = runner.start(pipeline, GIVEN)
                if pauses_within is not None:
                    self._pause(session, pauses_within)
                status = str(session.wait())
                failed = [str(job.error.message) for job in session.jobs.values() if job.error]
                size = len(session.jobs["transform_data"].output or "")
            except bunsui.StoreError as error:
                return "lost", str(error)
            finally:
                self._held.unlink(missing_ok=True)  # Before the runner waits for what runs.
            return f"{status}, {size}", next(iter(failed), None)

    @property
    def _held(self) -> Path:
        return self.folder / "aws-etl" / "held"

    def _pause(self, session: bunsui.Session, within: float) -> None:
        def ask() -> None:
            with contextlib.suppress(bunsui.StateError):  # It has ended, and nobody has looked.
                session.pause()

        until(lambda: session.jobs["transform_data"].status == "running")
        asks = threading.Thread(target=ask)
        asks.start()
        asks.join(within)
        self._held.unlink()
        asks.join()

    def left(self) -> list[str]:
        """Which of requests and signs of life runs have left; then they are gone."""
        with contextlib.closing(DynamoDbStore(STORE, self.settings)) as store:
            found = [(kind, each.key) for kind in ("request", "runner") for each in store.find(kind)]
            for kind, key in found:
                store.delete(kind, key)
        return sorted({kind for kind, _ in found})


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("iam")
    left = shutil.ignore_patterns("output", "emulator", "__pycache__", "plugins")
    shutil.copytree(EXAMPLES, folder, ignore=left, dirs_exist_ok=True)
    own = folder / "aws-etl"
    (own / "emulator").mkdir()
    (own / "large.py").write_text(TASK, encoding="utf-8")
    large = {"ecs": {"transform-task": {"command": [sys.executable, "large.py"]}}}
    (own / "large.yaml").write_text(json.dumps(large), encoding="utf-8")
    emulator = Ministack(tmp_path_factory.mktemp("ministack"), enforces=True)
    try:
        iam = client("iam", emulator.url, access_key=ROOT)
        iam.create_role(
            RoleName="etl", AssumeRolePolicyDocument=json.dumps(policy_of() | {"Statement": TRUST})
        )
        steps = json.dumps(policy_of(("s3:*", "*")))
        iam.put_role_policy(RoleName="etl", PolicyName="steps", PolicyDocument=steps)
        iam.create_user(UserName="runner")
        key = iam.create_access_key(UserName="runner")["AccessKey"]
        (folder / "credentials").write_text(
            f"[runner]\naws_access_key_id = {key['AccessKeyId']}\n"
            f"aws_secret_access_key = {key['SecretAccessKey']}\nregion = {REGION}\n",
            encoding="utf-8",
        )
        variables = {
            **environment(ROOT),
            "AWS_ENDPOINT_URL": emulator.url,
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
            "ETL_OUTPUT_BUCKET": "etl-output",
            "ETL_SESSION": "emulated",
        }
        _python(own, variables, "-c", DEPLOY, text=json.dumps(variables))
        client("dynamodb", emulator.url, access_key=ROOT).create_table(TableName="etl", **definition())
        place = {"LocationConstraint": REGION}
        client("s3", emulator.url, access_key=ROOT).create_bucket(
            Bucket="artifacts", CreateBucketConfiguration=place
        )
        printed = _python(
            folder, variables, "-m", "bunsui", "pipeline", "iam-policy", "etl/pipeline.yaml",
            "-p", "source_bucket=flights", "--bindings", "aws-etl/large.yaml",
            "--artifacts", "s3://artifacts/etl", "--store", STORE,
        )  # fmt: skip
        yield Cloud(folder, emulator, json.loads(printed), variables)
    finally:
        emulator.close()


def _python(folder: Path, variables: dict[str, str], *arguments: str, text: str = "") -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, input=text, capture_output=True, text=True, timeout=120,
        env={**os.environ, **variables, "HOME": str(folder)}, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def test_it_is_enough(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user has no other policy; what ministack allows, it allows by this one."""
    cloud.allow(cloud.policy)

    assert ("succeeded, 40000", None) == cloud.run(monkeypatch)


@pytest.mark.parametrize(
    ("pair", "comes_to"),
    [
        (("lambda:InvokeFunction", f"{LAMBDA}:extract-function"), "failed, 0"),
        (("lambda:InvokeFunction", f"{LAMBDA}:load-function"), "failed, 40000"),
        (("s3:GetObject", S3), "lost"),
        (("s3:PutObject", S3), "lost"),
        (("dynamodb:DescribeTable", TABLE), "lost"),
        (("dynamodb:GetItem", TABLE), "lost"),
        (("dynamodb:PutItem", TABLE), "lost"),
        (("dynamodb:UpdateItem", TABLE), "lost"),
    ],
)
def test_without_any_one_action_it_does_not_go(
    pair: tuple[str, str], comes_to: str, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is missing is named."""
    cloud.allow(policy_of(*(each for each in ALLOWED if each != pair)))
    came_to, wrong = cloud.run(monkeypatch)

    assert comes_to == came_to
    assert f"the caller needs the permission {pair[0]}" in str(wrong)


def logged(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, *without: tuple[str, str]) -> list[str]:
    """What another runner reads of a run's logs, where the one that runs may not do something."""
    cloud.allow(policy_of(*(each for each in ALLOWED if each not in without)))
    assert ("succeeded, 40000", None) == cloud.run(monkeypatch)
    cloud.allow(cloud.policy)
    with bunsui.Runner(STORE, aws=cloud.settings) as runner:
        (newest,) = runner.sessions(limit=1)
        return [record.message for record in runner.session(newest.session_id).logs()]


def test_its_logs_are_kept(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """And read again, under the same policy."""
    logs = client("logs", cloud.emulator.url, access_key=ROOT)
    for group in logs.describe_log_groups(logGroupNamePrefix="/bunsui/")["logGroups"]:
        logs.delete_log_group(logGroupName=group["logGroupName"])
    assert logged(cloud, monkeypatch)


@pytest.mark.parametrize("action", ["logs:CreateLogStream", "logs:PutLogEvents"])
def test_without_logs_it_goes_all_the_same(
    action: str, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning names what is missing."""
    assert [] == logged(cloud, monkeypatch, *(each for each in LOGS if each[0] == action))
    assert f"the caller needs the permission {action}" in caplog.text


@pytest.mark.parametrize(
    "pair", [("dynamodb:BatchGetItem", TABLE), ("dynamodb:Query", f"{TABLE}/index/by-group-1")]
)
def test_without_these_nobody_can_pause_it(
    pair: tuple[str, str], cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runner does not see what it is asked for."""
    cloud.allow(cloud.policy)
    assert ("paused, 40000", None) == cloud.run(monkeypatch, pauses_within=60.0)
    cloud.allow(policy_of(*(each for each in ALLOWED if each != pair)))
    assert ("succeeded, 40000", None) == cloud.run(monkeypatch, pauses_within=1.0)


def test_without_reading_nobody_can_go_on_with_it(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who resumes a session reads its history."""
    pair = ("dynamodb:Query", TABLE)
    cloud.allow(policy_of(*(each for each in ALLOWED if each != pair)))
    cloud.run(monkeypatch)
    with bunsui.Runner(STORE, aws=cloud.settings) as runner:
        (newest,) = runner.sessions(limit=1)
        with pytest.raises(bunsui.StoreError) as raised:
            runner.resume(newest.session_id)
        assert f"the caller needs the permission {pair[0]}" in str(raised.value)


def test_without_deleting_something_stays(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked for is not taken away."""
    cloud.allow(cloud.policy)
    assert ("paused, 40000", None) == cloud.run(monkeypatch, pauses_within=60.0)
    cloud.left()
    assert ("paused, 40000", None) == cloud.run(monkeypatch, pauses_within=60.0)
    assert [] == cloud.left()
    cloud.allow(policy_of(*(each for each in ALLOWED if each != ("dynamodb:DeleteItem", TABLE))))
    cloud.run(monkeypatch, pauses_within=60.0)
    cloud.allow(cloud.policy)
    assert "request" in cloud.left()  # So is a runner's sign of life, where its run has lasted long enough.


def test_all_that_it_allows(cloud: Cloud) -> None:
    """The tests above know all of it."""
    found = []
    for statement in cloud.policy["Statement"]:
        actions, resources = (
            [given] if isinstance(given := statement[name], str) else given for name in ("Action", "Resource")
        )
        found += [(action, resource) for action in actions for resource in resources]
    assert sorted(ALLOWED) == sorted(found)
