"""Starts and stops a cloud on this machine: ministack, with what the pipeline of examples/etl needs of AWS.

``start`` runs ministack in the background, on a free port of 127.0.0.1. It makes three buckets, puts the raw
flights into one of them, and deploys the two Lambda functions. What a client needs to know is in
``emulator/env`` then, beside this file. ``stop`` ends all of that, and removes the folder.
"""

from __future__ import annotations

import argparse
import fcntl
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ETL = HERE.parent / "etl"
EMULATOR = HERE / "emulator"
LOG = EMULATOR / "log"
PROCESS = EMULATOR / "process"
ENVIRONMENT = EMULATOR / "env"

#: The bucket of the raw flights, which the pipeline is given as a parameter.
SOURCE_BUCKET = "flights"
#: The environment of every step, beside what AWS itself says there.
STEPS = {"ETL_OUTPUT_BUCKET": "etl-output", "ETL_SESSION": "emulated"}
#: Where sessions live, and their large outputs: what every runner here shares.
ARTIFACTS_BUCKET = "etl-artifacts"
SHARED_STORE = {"BUNSUI_STORE": "dynamodb://etl", "BUNSUI_ARTIFACTS": f"s3://{ARTIFACTS_BUCKET}/bunsui"}
#: The functions of pipeline.yaml, by the modules that they are in.
FUNCTIONS = {"extract-function": "extract", "load-function": "load"}
#: What a function has beside its own module, and the task beside main.py.
SHARED = {
    "function": (HERE / "handover.py", ETL / "places.py", ETL / "handlers.py"),
    "task": (HERE / "handover.py", ETL / "places.py", ETL / "transform.py"),
}
#: Seconds for ministack to start, on a busy machine.
PATIENCE = 60.0


def start() -> None:
    """Start the emulator, and put everything there. Where something fails, nothing stays."""
    if is_running():
        sys.exit(f"it runs already, {ENVIRONMENT} says where; end it with: python {sys.argv[0]} stop")
    shutil.rmtree(EMULATOR, ignore_errors=True)
    EMULATOR.mkdir()
    try:
        environment = {
            "AWS_ENDPOINT_URL": start_emulator(),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "no_proxy": "127.0.0.1",
            **STEPS,
            **SHARED_STORE,
        }
        deploy(environment)
    except BaseException:
        stop()
        raise
    lines = [f"{name}={value}\n" for name, value in environment.items()]
    ENVIRONMENT.write_text("".join(lines), encoding="utf-8")
    print(f"AWS is at {environment['AWS_ENDPOINT_URL']} now, with {', '.join(FUNCTIONS)} and the flights")


def start_emulator() -> str:
    """Start ministack, and wait until it answers; its URL."""
    deadline = time.monotonic() + PATIENCE
    # Another process may be given the port before the emulator has it: then it is tried again.
    for _ in range(3):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        process = run_emulator(port)
        while process.poll() is None and time.monotonic() < deadline:
            if answers(f"{url}/_ministack/ready"):
                return url
            time.sleep(0.1)
    said = LOG.read_text(encoding="utf-8", errors="replace")[-2000:]
    requirements = HERE / "requirements.txt"
    sys.exit(f"ministack does not start; it is installed with: pip install -r {requirements}\n{said}")


def run_emulator(port: int) -> subprocess.Popen[bytes]:
    """Run ministack in the background."""
    # Nothing of the user's: functions run in this environment, as far as Lambda does not set it. Its files
    # are made in the folder; two of its listeners are off, since they have fixed ports.
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(EMULATOR),
        "TMPDIR": str(EMULATOR),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "LAMBDA_EXECUTOR": "local",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
    }
    with LOG.open("wb") as log:
        # Who has this lock is the emulator: it is handed on with its output, and free once it has ended. So
        # `stop` can tell it from another process that was given its number since.
        fcntl.flock(log, fcntl.LOCK_EX)
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"],
            cwd=EMULATOR,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    PROCESS.write_text(str(process.pid), encoding="utf-8")
    return process


def deploy(environment: dict[str, str]) -> None:
    """Make the buckets, put the flights there, deploy the functions, and lay out the task."""
    os.environ.update(environment)
    import boto3  # noqa: PLC0415 - it takes its endpoint and its credentials from the environment

    s3: Any = boto3.client("s3")
    place = {"LocationConstraint": environment["AWS_DEFAULT_REGION"]}
    for name in (SOURCE_BUCKET, STEPS["ETL_OUTPUT_BUCKET"], ARTIFACTS_BUCKET):
        s3.create_bucket(Bucket=name, CreateBucketConfiguration=place)
    for path in sorted((ETL / "data" / "flights").glob("*.csv.gz")):
        s3.upload_file(str(path), SOURCE_BUCKET, path.name)

    functions: Any = boto3.client("lambda")
    for name, module in FUNCTIONS.items():
        functions.create_function(
            FunctionName=name,
            Runtime="python3.13",
            Handler=f"{module}.handler",
            Code={"ZipFile": packed(HERE / "functions" / f"{module}.py", *SHARED["function"])},
            Role="arn:aws:iam::000000000000:role/etl",
            Timeout=300,
            MemorySize=512,
            Environment={"Variables": STEPS},
        )
        functions.get_waiter("function_active_v2").wait(FunctionName=name)

    task = EMULATOR / "task"
    task.mkdir()
    for path in (HERE / "task" / "main.py", *SHARED["task"]):
        shutil.copy(path, task)


def packed(*paths: Path) -> bytes:
    """A zip file with these files side by side."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            archive.write(path, path.name)
    return made.getvalue()


def stop() -> None:
    """End the emulator and the functions' processes, and remove its files. It may be gone already."""
    if is_running():
        # All of its processes are of one group. It has nothing to save.
        os.killpg(int(PROCESS.read_text(encoding="utf-8")), signal.SIGKILL)
        with LOG.open("rb") as log:
            fcntl.flock(log, fcntl.LOCK_EX)  # Once it is gone.
    shutil.rmtree(EMULATOR, ignore_errors=True)


def is_running() -> bool:
    """Whether the emulator that was started here still runs."""
    try:
        with LOG.open("rb") as log:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def answers(url: str) -> bool:
    """Whether there is something at a URL of this machine."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("action", choices=["start", "stop"])
    {"start": start, "stop": stop}[parser.parse_args().action]()
