"""Secrets that AWS keeps: which jobs get them, how often AWS is asked, and what is left of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.secrets import FakeParameterStore, FakeSecretsManager
from bunsui_tests.conditions import until

pytestmark = pytest.mark.usefixtures("aws_environment")

CANARY = "Zq7kVw3xPnT"
DIGEST = hashlib.sha256(CANARY.encode()).hexdigest()
SECRETS = {"db": "secretsmanager:prod/db#password", "token": "ssm:/prod/token"}


def digest(password: str) -> str:
    bunsui.current_call().logger.info("it is %s", password)
    return hashlib.sha256(password.encode()).hexdigest()


def fail(password: str) -> None:
    raise ValueError(f"url is db://u:{password}@host")


def job(id_: str, name: str = "db", function: Any = digest, **more: Any) -> bunsui.Job:
    return bunsui.Job.from_callable(
        function, id=id_, parameters={"password": f"${{secrets.{name}}}"}, isolation="thread", **more
    )


def pipeline(*jobs: bunsui.Job) -> bunsui.Pipeline:
    return bunsui.Pipeline("Secrets", jobs=list(jobs))


@pytest.fixture(params=["moto_server", "ministack"])
def emulator(request: pytest.FixtureRequest) -> Any:
    """Each of them."""
    return request.getfixturevalue(request.param)


def test_jobs_are_given_them(emulator: Any, tmp_path: Path) -> None:
    """From both, in threads, in processes and in texts; what is kept and logged has nothing of them."""
    emulator.client("secretsmanager").create_secret(
        Name="prod/db", SecretString=json.dumps({"password": CANARY})
    )
    emulator.client("ssm").put_parameter(Name="/prod/token", Value=CANARY, Type="SecureString")
    jobs = [job("db"), job("token", "token"), job("fails", function=fail)]
    url = f"sqlite:///{tmp_path}/store.db"
    config = {"secrets": SECRETS}
    with bunsui.Runner(
        url, aws={"endpoint_url": emulator.url}, config=config, capture_logging=True
    ) as runner:
        session = runner.run(pipeline(*jobs))
        error = session.jobs["fails"].error
        assert (DIGEST, DIGEST) == (session.jobs["db"].output, session.jobs["token"].output)
        assert error is not None
        assert "url is db://u:***@host" == error.message
        logged = [record.message for record in session.logs(job="db")]
        assert "it is ***" in logged
        written = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert {"store.db", "store.db-wal"} <= {path.name for path in written}
        assert [] == [path.name for path in written if CANARY.encode() in path.read_bytes()]
        shown = repr([runner, runner._control.parts, list(session.events()), list(session.logs()), session])
    assert CANARY not in shown


@pytest.fixture
def secrets(fake_aws: FakeAws) -> FakeSecretsManager:
    """Secrets Manager at the endpoint, with the secret that these pipelines need."""
    made = FakeSecretsManager()
    made.values["prod/db"] = json.dumps({"password": "one"})
    fake_aws.add(made)
    fake_aws.add(FakeParameterStore())
    return made


@pytest.fixture
def runner(fake_aws: FakeAws, secrets: FakeSecretsManager) -> Iterator[bunsui.Runner]:
    del secrets
    with bunsui.Runner(
        "memory://", aws={"endpoint_url": fake_aws.url}, config={"secrets": SECRETS}, max_concurrency=20
    ) as made:
        yield made


def of(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def test_asked_once_for_a_session(
    runner: bunsui.Runner, fake_aws: FakeAws, secrets: FakeSecretsManager
) -> None:
    """Twenty jobs that begin at once, and one after them, ask once; the next session sees a new value."""
    with fake_aws.faults.hold("secretsmanager") as held:
        session = runner.start(pipeline(*(job(f"j{i}") for i in range(20)), job("last", depends_on=["j0"])))
        held.wait()
        until(lambda: sum(state.status == "running" for state in session.jobs.values()) == 20)
        held.release()
        session.wait(60)
    assert ("succeeded", {of("one")}) == (session.status, {state.output for state in session.jobs.values()})
    assert 1 == len(fake_aws.called("secretsmanager"))
    secrets.values["prod/db"] = json.dumps({"password": "two"})
    assert of("two") == runner.run(pipeline(job("a"))).jobs["a"].output
    assert 2 == len(fake_aws.called("secretsmanager"))


def test_sessions_do_not_share(runner: bunsui.Runner, fake_aws: FakeAws, secrets: FakeSecretsManager) -> None:
    """Two that are driven at once ask once each."""
    with fake_aws.faults.hold("secretsmanager") as held:
        both = [runner.start(pipeline(job("a"))) for _ in range(2)]
        held.wait(2)
        held.release()
        for session in both:
            session.wait(60)
    assert ["succeeded"] * 2 == [session.status for session in both]
    assert 2 == len(fake_aws.called("secretsmanager"))


def test_asked_anew_when_a_session_is_resumed(
    runner: bunsui.Runner, fake_aws: FakeAws, secrets: FakeSecretsManager
) -> None:
    """What was changed while it rested is what its jobs then get; no value outlives the rest."""

    def pause() -> str:
        session.pause()
        return "asked to"

    first = bunsui.Job.from_callable(pause, id="pause", isolation="thread", depends_on=["a"])
    session = runner.start(pipeline(job("a"), first, job("b", depends_on=["pause"])))
    session.wait(60)
    assert ("paused", of("one")) == (session.status, session.jobs["a"].output)
    live = session._live
    assert live is not None
    assert {} == live.secrets._values
    secrets.values["prod/db"] = json.dumps({"password": "two"})
    resumed = runner.resume(session.id)
    assert ("succeeded", of("two")) == (resumed.status, resumed.jobs["b"].output)
    assert 2 == len(fake_aws.called("secretsmanager"))


def test_denied(runner: bunsui.Runner, fake_aws: FakeAws) -> None:
    """The job fails for good, and its error names the permission; the next job asks anew."""
    with fake_aws.faults.deny("secretsmanager", times=1):
        session = runner.run(pipeline(job("a", retry={"max_attempts": 3, "delay": 0})))
    error = session.jobs["a"].error
    assert error is not None
    assert ("SecretUnavailable", False, 1) == (error.code, error.retryable, len(session.jobs["a"].attempts))
    assert error.message.startswith(
        "secret 'db' is not available: secretsmanager GetSecretValue of 'prod/db'"
    )
    assert error.message.endswith("; the caller needs the permission secretsmanager:GetSecretValue")


def test_missing(runner: bunsui.Runner) -> None:
    """As a variable that is not set: the job fails for good, and what is missing is said."""
    error = runner.run(pipeline(job("a", "token"))).jobs["a"].error
    assert error is not None
    assert ("SecretUnavailable", False) == (error.code, error.retryable)
    assert (
        "secret 'token' is not available: ssm GetParameter of '/prod/token' (in eu-central-1)"
        in error.message
    )


@pytest.mark.parametrize("kind", ["custom", "ecs"])
def test_busy(kind: str, runner: bunsui.Runner, fake_aws: FakeAws) -> None:
    """However long AWS is busy, the job waits for it, here and at a service: no attempt is used up."""
    fake_aws.ecs.define("t")
    at_aws = bunsui.Job("a", "ecs", task_definition="t", parameters={"password": "${secrets.db}"})
    with fake_aws.faults.throttle("secretsmanager", times=7):
        session = runner.run(pipeline(job("a") if kind == "custom" else at_aws))
    assert ("succeeded", 1) == (session.status, len(session.jobs["a"].attempts))
    assert 8 == len(fake_aws.called("secretsmanager"))


def test_cancelled_while_it_is_busy(runner: bunsui.Runner, fake_aws: FakeAws) -> None:
    """Nobody waits for the secret any more."""
    with fake_aws.faults.throttle("secretsmanager") as busy:
        session = runner.start(pipeline(job("a")))
        until(lambda: busy.hits >= 6)
        session.cancel()
        assert "cancelled" == session.wait(60)


def test_cancelled_while_it_is_asked_for(runner: bunsui.Runner, fake_aws: FakeAws) -> None:
    """What comes of that late starts nothing at AWS any more."""
    fake_aws.ecs.define("t")
    at_aws = bunsui.Job("a", "ecs", task_definition="t", parameters={"password": "${secrets.db}"})
    with fake_aws.faults.hold("secretsmanager") as held:
        session = runner.start(pipeline(at_aws))
        held.wait()
        session.cancel()
        until(lambda: all(work.cancelled.is_set() for work in works(runner, session)))
        held.release()
        assert "cancelled" == session.wait(60)
    assert [] == fake_aws.called("ecs", "RunTask")


def works(runner: bunsui.Runner, session: bunsui.Session) -> list[Any]:
    """What the runner has under way for a session."""
    live = runner._control.parts.driver.drives(session.id)
    return [] if live is None else list(live.works.values())


def test_without_credentials(
    runner: bunsui.Runner, fake_aws: FakeAws, aws_environment: dict[str, str]
) -> None:
    """The session pauses, says what to do, and no attempt is used up."""
    with fake_aws.faults.expire(aws_environment["AWS_ACCESS_KEY_ID"]):
        session = runner.run(pipeline(job("a")))
    assert ("paused", "aws-credentials") == (session.status, session.paused_reason)
    assert "secret 'db' is not available" in str(session.state.paused_message)
    assert "renew the credentials" in str(session.state.paused_message)
    resumed = runner.resume(session.id)
    assert ("succeeded", of("one"), 1) == (
        resumed.status,
        resumed.jobs["a"].output,
        len(resumed.jobs["a"].attempts),
    )


def test_as_the_runner_calls_aws(fake_aws: FakeAws, secrets: FakeSecretsManager) -> None:
    """In its region and its role."""
    role = "arn:aws:iam::210987654321:role/etl"
    fake_aws.sts.add_role(role)
    aws = {"endpoint_url": fake_aws.url, "region": "us-west-2", "role": role}
    with bunsui.Runner("memory://", aws=aws, config={"secrets": SECRETS}) as runner:
        assert "succeeded" == runner.run(pipeline(job("a"))).status
    [call] = fake_aws.called("secretsmanager")
    assert ("us-west-2", "210987654321") == (call.region, call.account)
