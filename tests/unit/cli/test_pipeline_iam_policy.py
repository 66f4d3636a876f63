"""``bunsui pipeline iam-policy``: what it prints, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bunsui.cli.main import run
from bunsui_tests.aws.endpoint import FakeAws

ROLE = "arn:aws:iam::210987654321:role/etl"
HEAD = 'version: "1.0"\nname: flow\nparameters:\n  - {name: function, default: load}\njobs:\n  - '
FILES = {
    "flow": HEAD + '{id: load, type: lambda, function: "${function}"}\n',
    "role": HEAD + f'{{id: load, type: lambda, function: load, role: "{ROLE}"}}\n',
    "bound": 'lambda: {load: {command: ["true"]}}\n',
    "later": HEAD + '{id: choose, type: custom, command: ["true"]}\n'
    '  - {id: call, type: lambda, function: "${jobs.choose.output}", depends_on: [choose]}\n'
    "  - {id: load, type: lambda, function: load}\n",
}
THERE = ("--region", "us-west-2", "--account", "123456789012")

Said = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Runs the command: its exit code, the policy that it prints (None: none), and stderr."""
    for name, text in FILES.items():
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BUNSUI_STORE", f"sqlite:///{tmp_path}/store.db")

    def of(*arguments: str) -> tuple[int, Any, str]:
        code = run(["pipeline", "iam-policy", *arguments])
        stdout, stderr = capsys.readouterr()
        return code, json.loads(stdout) if stdout else None, stderr

    return of


def resources(policy: Any) -> list[Any]:
    return [statement["Resource"] for statement in policy["Statement"]]


def test_the_policy(said: Said, tmp_path: Path) -> None:
    """It alone is printed. Without credentials it is made, too; the store is not made."""
    code, policy, stderr = said("flow.yaml", "-p", "function=other", "--artifacts", "s3://etl/a", *THERE)

    function = "arn:aws:lambda:us-west-2:123456789012:function:other"
    assert (0, [function, "arn:aws:s3:::etl/a/*"], "") == (code, resources(policy), stderr)
    assert sorted(f"{name}.yaml" for name in FILES) == sorted(path.name for path in tmp_path.iterdir())


def test_asked(
    fake_aws: FakeAws, aws_environment: dict[str, str], said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Region and account are those of the credentials where they are not given."""
    del aws_environment
    monkeypatch.setenv("AWS_ENDPOINT_URL", fake_aws.url)
    _, policy, _ = said("flow.yaml")
    assert ["arn:aws:lambda:eu-central-1:123456789012:function:load"] == resources(policy)


def test_no_credentials(said: Said) -> None:
    """It ends as any command that can't ask AWS, and says what helps."""
    code, policy, stderr = said("flow.yaml", "--region", "us-west-2")
    assert (6, None) == (code, policy)
    assert "there are no valid credentials" in stderr


def test_a_role(said: Said) -> None:
    """Whoever runs it may take it, and learns how to get the role's own policy."""
    _, policy, stderr = said("role.yaml", *THERE)
    assert [ROLE] == resources(policy)
    assert f"role {ROLE} is taken; what it needs says --role {ROLE}\n" == stderr
    code, policy, stderr = said("role.yaml", "--role", ROLE, *THERE)
    assert (0, ["arn:aws:lambda:us-west-2:210987654321:function:load"], "") == (
        code,
        resources(policy),
        stderr,
    )


def test_what_can_not_be_named(said: Said) -> None:
    """It is shown as what 'validate' finds; the exit code is 2, and nothing is printed to stdout."""
    code, policy, stderr = said("later.yaml", *THERE)
    assert (2, None) == (code, policy)
    assert stderr.startswith("later.yaml:7:5: error[unnamed-permission]: job 'call': not all that it calls")


def test_partial(said: Said) -> None:
    """The rest is printed, and what is missing is a warning on stderr."""
    code, policy, stderr = said("later.yaml", "--partial", *THERE)
    assert (0, ["arn:aws:lambda:us-west-2:123456789012:function:load"]) == (code, resources(policy))
    assert stderr.startswith("later.yaml:7:5: warning[unnamed-permission]: job 'call'")


def test_nothing(said: Said) -> None:
    """What is bound calls nobody at AWS; IAM takes no policy of that kind."""
    code, policy, stderr = said("flow.yaml", "--bindings", "bound.yaml")
    assert (0, []) == (code, policy["Statement"])
    assert "calls nobody at AWS" in stderr


def test_too_long(said: Said) -> None:
    """It is printed, and that it is too long is said."""
    jobs = [f"{{id: j{i}, type: lambda, function: {'f' * 60}{i}}}" for i in range(80)]
    Path("many.yaml").write_text(HEAD + "\n  - ".join(jobs), encoding="utf-8")
    code, policy, stderr = said("many.yaml", *THERE)
    assert (0, 80) == (code, len(resources(policy)[0]))
    assert "a managed policy has 6,144 at most" in stderr
