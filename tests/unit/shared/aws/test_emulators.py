"""The emulators that tests start answer real boto3, run what they are given, and end."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from bunsui_tests.aws.emulators import Emulator, Ministack, Moto
from bunsui_tests.aws.environment import REGION
from bunsui_tests.conditions import is_running, until
from bunsui_tests.held import leaves_nothing

HANDLER = """\
import os
def handler(event, context):
    print("the flight is", event["flight"])
    if event["flight"] == "none":
        raise ValueError("there is no flight")
    return {"pid": os.getpid(), "flight": event["flight"]}
"""


def archive(text: str) -> bytes:
    """A function's code as it is deployed."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        made.writestr("handler.py", text)
    return packed.getvalue()


def deploy(emulator: Emulator, name: str) -> None:
    """A function with the handler above."""
    emulator.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role="arn:aws:iam::000000000000:role/any",
        Handler="handler.handler",
        Code={"ZipFile": archive(HANDLER)},
        Timeout=30,
    )


def put(emulator: Emulator) -> bytes:
    """What an object has that was put to S3."""
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket="flights", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket="flights", Key="a", Body=b"one", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket="flights", Key="a", Body=b"two", IfNoneMatch="*")
    return bytes(s3.get_object(Bucket="flights", Key="a")["Body"].read())


def listens_at(pid: int) -> set[tuple[str, int]]:
    """Where a process waits for connections."""
    sockets = set()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # Such as of a connection that has just ended.
            sockets.add(str(each.readlink()))
    found = set()
    tables = [Path(f"/proc/{pid}/net/{name}").read_text() for name in ("tcp", "tcp6")]
    for line in [line for table in tables for line in table.splitlines()[1:]]:
        _, local, _, state, *fields = line.split()
        if state == "0A" and f"socket:[{fields[5]}]" in sockets:
            address, port = local.split(":")
            host = ".".join(map(str, reversed(bytes.fromhex(address)))) if len(address) == 8 else address
            found.add((host, int(port, 16)))
    return found


class TestMoto:
    """moto's server."""

    def test_who_calls(self, moto_server: Moto) -> None:
        """It knows its account."""
        assert "123456789012" == moto_server.client("sts").get_caller_identity()["Account"]

    def test_s3(self, moto_server: Moto) -> None:
        """An object is put once."""
        assert b"one" == put(moto_server)

    def test_lambda(self, moto_server: Moto) -> None:
        """A function answers what it is given: no container is asked for."""
        moto_server.client("iam").create_role(RoleName="any", AssumeRolePolicyDocument="{}")
        moto_server.client("lambda").create_function(
            FunctionName="load",
            Runtime="python3.11",
            Role="arn:aws:iam::123456789012:role/any",
            Handler="handler.handler",
            Code={"ZipFile": archive(HANDLER)},
        )
        answer = moto_server.client("lambda").invoke(FunctionName="load", Payload=b'{"a": 1}')
        assert (200, {"a": 1}) == (answer["StatusCode"], json.load(answer["Payload"]))

    def test_ecs(self, moto_server: Moto) -> None:
        """A task goes on with every so many descriptions, to its end."""
        moto_server.transition("ecs::task", times=2)
        ec2, ecs = moto_server.client("ec2"), moto_server.client("ecs")
        subnet = ec2.describe_subnets()["Subnets"][0]
        group = ec2.create_security_group(GroupName="g", Description="g", VpcId=subnet["VpcId"])["GroupId"]
        ecs.create_cluster(clusterName="default")
        ecs.register_task_definition(
            family="etl", containerDefinitions=[{"name": "main", "image": "image", "memory": 128}]
        )
        network = {"awsvpcConfiguration": {"subnets": [subnet["SubnetId"]], "securityGroups": [group]}}
        [task] = ecs.run_task(
            taskDefinition="etl", cluster="default", launchType="FARGATE", networkConfiguration=network
        )["tasks"]
        seen = [ecs.describe_tasks(tasks=[task["taskArn"]])["tasks"][0]["lastStatus"] for _ in range(8)]
        ending = [each for each in ("DEACTIVATING", "STOPPING", "DEPROVISIONING") for _ in range(2)]
        assert ["RUNNING", *ending, "STOPPED"] == seen

    @pytest.mark.parametrize("_", range(2))
    def test_nothing_is_left_for_the_next_test(self, moto_server: Moto, _: int) -> None:
        """What a test has made is not there for another one."""
        assert [] == moto_server.client("s3").list_buckets()["Buckets"]
        put(moto_server)


class TestMinistack:
    """ministack."""

    def test_who_calls(self, ministack: Ministack) -> None:
        """It knows its account."""
        assert "000000000000" == ministack.client("sts").get_caller_identity()["Account"]

    def test_s3(self, ministack: Ministack) -> None:
        """An object is put once."""
        assert b"one" == put(ministack)

    def test_lambda(self, ministack: Ministack) -> None:
        """A function really runs, in a process of its own, and its log and its error can be read."""
        deploy(ministack, "load")
        functions = ministack.client("lambda")
        answer = functions.invoke(FunctionName="load", Payload=b'{"flight": "XY1"}', LogType="Tail")
        result = json.load(answer["Payload"])
        assert ("XY1", False) == (result["flight"], result["pid"] in {os.getpid(), ministack.pid})
        failed = functions.invoke(FunctionName="load", Payload=b'{"flight": "none"}')
        assert "Unhandled" == failed["FunctionError"]
        assert "there is no flight" in json.load(failed["Payload"])["errorMessage"]

    @pytest.mark.parametrize("_", range(2))
    def test_nothing_is_left_for_the_next_test(self, ministack: Ministack, _: int) -> None:
        """What a test has made is not there for another one."""
        assert [] == ministack.client("lambda").list_functions()["Functions"]
        deploy(ministack, "load")


class TestProcesses:
    """An emulator is a process of its own."""

    @pytest.mark.parametrize("kind", [Moto, Ministack])
    def test_two_at_once(self, tmp_path: Path, kind: type[Moto | Ministack]) -> None:
        """Two of them do not meet, whatever they open; both are gone afterwards."""
        folders = [tmp_path / name for name in "ab"]
        for folder in folders:
            folder.mkdir()
        with leaves_nothing():
            first, second = (kind(folder) for folder in folders)
            put(first)
            assert [] == second.client("s3").list_buckets()["Buckets"]
            first.close()
            second.close()
        assert [False, False] == [is_running(each.pid) for each in (first, second)]

    @pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
    @pytest.mark.parametrize("kind", [Moto, Ministack])
    def test_where_it_listens(self, tmp_path: Path, kind: type[Moto | Ministack]) -> None:
        """On its own port of this machine's loopback, and nowhere else."""
        made = kind(tmp_path)
        ports = listens_at(made.pid)
        made.close()
        assert {("127.0.0.1", int(made.url.rpartition(":")[2]))} == ports

    def test_what_functions_run_in_ends_with_it(self, tmp_path: Path) -> None:
        """No process is left of a function that waits for its next call."""
        made = Ministack(tmp_path)
        deploy(made, "load")
        answer = made.client("lambda").invoke(FunctionName="load", Payload=b'{"flight": "XY1"}')
        pid = json.load(answer["Payload"])["pid"]
        made.close()
        until(lambda: not is_running(pid))

    @pytest.mark.skipif(
        sys.platform != "linux", reason="other systems do not tell a process of its parent's end"
    )
    @pytest.mark.parametrize("kind", ["Moto", "Ministack"])
    def test_it_ends_with_who_has_started_it(self, tmp_path: Path, kind: str) -> None:
        """A run of tests that is killed leaves no emulator behind."""
        program = (
            "import pathlib, sys, time; from bunsui_tests.aws.emulators import *\n"
            f"print({kind}(pathlib.Path(sys.argv[1])).pid, flush=True); time.sleep(600)"
        )
        path = os.pathsep.join(each for each in sys.path if each)
        command = [sys.executable, "-c", program, str(tmp_path)]
        environment = {**os.environ, "PYTHONPATH": path}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            pid = int(process.stdout.readline())
            assert is_running(pid)
            process.kill()
        assert -signal.SIGKILL == process.returncode
        until(lambda: not is_running(pid))

    def test_their_files_are_their_own(self, tmp_path: Path) -> None:
        """What it writes is in its folder."""
        made = Ministack(tmp_path)
        deploy(made, "load")
        made.close()
        assert (tmp_path / "output.txt").exists()
        assert not (Path("/tmp") / f"ministack-{made.url.rpartition(':')[2]}.pid").exists()


class TestEnvironment:
    """What is the user's stays out."""

    def test_without_anything(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A test that asks for nothing has no credentials: neither are the user's found, nor any other."""
        (tmp_path / ".aws").mkdir()
        keys = "[default]\naws_access_key_id = AKIAUSER000000000000\naws_secret_access_key = secret\n"
        (tmp_path / ".aws" / "credentials").write_text(keys)
        (tmp_path / ".aws" / "config").write_text("[default]\nregion = eu-west-1\n")
        monkeypatch.setenv("HOME", str(tmp_path))
        assert None is boto3.Session().get_credentials()
        assert None is boto3.Session().region_name

    def test_with_credentials(self, aws_environment: dict[str, str]) -> None:
        """They are the test's own, and this process has them and no other of AWS's variables."""
        session = boto3.Session()
        credentials = session.get_credentials()
        assert credentials is not None
        assert ("AKIATESTING000000000", REGION) == (credentials.access_key, session.region_name)
        assert aws_environment.items() >= {each for each in os.environ.items() if each[0].startswith("AWS_")}
        assert "true" == os.environ["AWS_EC2_METADATA_DISABLED"]

    def test_no_endpoint(self, aws_environment: dict[str, str]) -> None:
        """The URL is not among the variables: who is to use an endpoint is told so."""
        assert not [name for name in os.environ if name.startswith("AWS_ENDPOINT_URL")]
