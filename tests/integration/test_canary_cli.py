"""What commands print of a session whose jobs show secrets in every way has none of them; see test_canary."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from bunsui.cli import main
from bunsui_tests.canary import SECRETS, TINY, CommandLines, found, names_found
from bunsui_tests.leaking import parameters_of, write
from bunsui_tests.receiver import free_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

#: What is run in this process when the session has ended, but for where its output goes.
SHOWING = {
    **{
        f"status {form}": ["session", "status", "@last", "--format", form]
        for form in ("text", "json", "yaml")
    },
    **{
        f"tail {form}": ["logs", "tail", "@last", "-n", "9999", "--format", form]
        for form in ("text", "jsonl", "csv")
    },
    "filter": ["logs", "filter", "@last", "--level", "WARNING"],
    **{
        f"download {form}": ["logs", "download", "@last", "-o", "-", "--format", form]
        for form in ("jsonl", "csv")
    },
    **{f"watch {form}": ["session", "watch", "@last", "--format", form] for form in ("text", "json")},
    **{
        f"config {form}": ["config", "list", "--show-origin", "--format", form]
        for form in ("table", "json", "yaml")
    },
    "plan of a rerun": ["session", "rerun", "@last", "--jobs", "all", "--plan"],
    **{f"doctor {form}": ["doctor", "--format", form] for form in ("table", "json")},
    "channels": ["alerts", "channels"],
}
#: Those that show the pipeline's name, and no value.
NAMING = {
    **{f"list {form}": ["session", "list", "--format", form] for form in ("table", "json", "yaml")},
    **{f"stats {form}": ["pipeline", "stats", "--format", form] for form in ("table", "json")},
}
#: What runs the pipeline, in a process of its own.
RUNNING = {
    "run as text": ["run", "pipeline.json", "--log-level", "debug", "--log-format", "text"],
    "run as json": [
        "run",
        "pipeline.json",
        "--format",
        "json",
        "--log-level",
        "debug",
        "--log-format",
        "json",
    ],
    "plan": ["run", "pipeline.json", "--plan"],
}
#: Each has something to say of channels that do not work.
FAILING = (["alerts", "sweep"], ["alerts", "test", "down"], ["alerts", "test", "broken"])


def configuration(folder: Path, *, is_secret: bool) -> str:
    """The user's, as TOML; without secrets a channel has the name of one."""
    said = "$CANARY_PLAIN" if is_secret else SECRETS["plain"]
    given = '"CANARY_PLAIN"' if is_secret else ""
    program = json.dumps(["sh", "-c", f"echo with {said} >&2; exit 3"])
    lines = [
        f'store = "sqlite:///{folder}/store.db"',
        "capture_logging = true",
        "[alert_channels]",
        'down = {type = "webhook", url_secret = "hidden_url", secret = "plain"}',
        f'broken = {{type = "command", command = {program}, env = [{given}]}}',
        *([] if is_secret else [f'of_{SECRETS["plain"]} = {{type = "log"}}']),
        "[secrets]",
        *(f'{name} = "env:CANARY_{name.upper()}"' for name in (*SECRETS, "tiny", "hidden_url")),
    ]
    return "\n".join(lines)


def printed(arguments: list[str]) -> bytes:
    """What a command prints on both streams, in this process."""
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        main.run(arguments)
    return out.getvalue().encode(errors="surrogatepass")


def seen(folder: Path, *, is_secret: bool) -> dict[str, bytes]:
    """What each command prints, on both streams."""
    write(folder, [{"on": "failure", "channel": ["down", "broken"]}], is_secret=is_secret, with_plugins=False)
    (folder / "config.toml").write_text(configuration(folder, is_secret=is_secret), encoding="utf-8")
    values = {**SECRETS, "tiny": TINY, "hidden_url": f"http://127.0.0.1:{free_port()}/{SECRETS['plain']}"}
    (folder / "parameters.json").write_text(json.dumps(parameters_of(is_secret=is_secret)), encoding="utf-8")
    shown: dict[str, bytes] = {}
    with pytest.MonkeyPatch.context() as variables, CommandLines(folder, os.getpid()) as lines:
        variables.chdir(folder)
        variables.setenv("BUNSUI_CONFIG", str(folder / "config.toml"))
        for name, value in values.items():
            variables.setenv(f"CANARY_{name.upper()}", value)
        for name, arguments in RUNNING.items():
            command = [sys.executable, "-m", "bunsui", *arguments, "-p", "@parameters.json"]
            done = subprocess.run(command, capture_output=True, timeout=120, check=False)
            assert done.returncode == (0 if name == "plan" else 1), done.stderr
            shown[name] = done.stdout + done.stderr
        shown |= {name: printed(arguments) for name, arguments in (SHOWING | NAMING).items()}
        shown["channels that fail"] = b"".join(map(printed, FAILING))
        shown["command lines"] = b"\n".join(lines.seen)
    return shown


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """With secrets."""
    return seen(tmp_path_factory.mktemp("secret"), is_secret=True)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """With the same values as plain parameters."""
    return seen(tmp_path_factory.mktemp("plain"), is_secret=False)


SINKS = (*RUNNING, *SHOWING, "channels that fail", "command lines")


class TestPrinted:
    """Where no secret is, and plain parameters are."""

    def test_all_are_looked_into(self, secret: dict[str, bytes], plain: dict[str, bytes]) -> None:
        """What was seen is what is looked into, and something was printed each time."""
        assert {*SINKS, *NAMING} == {*secret} == {*plain}
        assert [] == [name for name, printed in secret.items() if len(printed) < 100]

    @pytest.mark.parametrize("sink", [*SINKS, *NAMING])
    def test_no_secret(self, secret: dict[str, bytes], sink: str) -> None:
        """None, in no form."""
        assert [] == found(secret[sink])

    @pytest.mark.parametrize("sink", SINKS)
    def test_what_is_none_is_found(self, plain: dict[str, bytes], sink: str) -> None:
        """The twin: there the same values are."""
        assert "plain" in names_found(plain[sink])

    @pytest.mark.parametrize("sink", NAMING)
    def test_a_name_is_found(self, plain: dict[str, bytes], sink: str) -> None:
        """The twin of what shows names."""
        assert {"tiny"} == names_found(plain[sink])

    def test_the_rest_is_there(self, secret: dict[str, bytes]) -> None:
        """What stands around a secret is told."""
        shown = [name for name in (*RUNNING, *SHOWING) if b"***" in secret[name]]
        expected = {"run as text", "run as json", "status json", "tail text", "download csv", "watch json"}
        assert expected <= {*shown}
        assert b"could not be reached: Connection refused" in secret["channels that fail"]
        assert b"exited with 3: with ***" in secret["channels that fail"]
