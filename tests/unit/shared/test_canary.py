"""What tests look for secrets with finds them, however they are written."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus, urlencode

import pytest

from bunsui_tests.canary import ASK, SECRETS, TINY, CommandLines, found, names_found


def in_csv(value: str) -> str:
    made = io.StringIO()
    csv.writer(made).writerow(["a", value, "b"])
    return made.getvalue()


WRITTEN: dict[str, Callable[[str], str]] = {
    "itself": lambda value: f"before {value} behind",
    "repr": lambda value: repr([value]),
    "ascii": lambda value: ascii({"a": value}),
    "bytes": lambda value: repr(value.encode()),
    "json": lambda value: json.dumps([value]),
    "json that is not ASCII": lambda value: json.dumps([value], ensure_ascii=False),
    "json in json": lambda value: json.dumps([json.dumps([value])]),
    "csv": in_csv,
    "shell": shlex.quote,
    "url": lambda value: f"https://host/{quote(value)}?",
    "query": lambda value: urlencode({"a": value}),
    "user": lambda value: f"https://{quote_plus(value)}@host",
    "hex": lambda value: value.encode().hex(),
    "HEX": lambda value: value.encode().hex().upper(),
    **{
        f"base64 behind {text!r}": lambda value, text=text: base64.b64encode(
            f"{text}{value}:x".encode()
        ).decode()
        for text in ("", "u", "us", "user:")
    },
    "base64 for URLs": lambda value: base64.urlsafe_b64encode(f"u{value}".encode()).decode(),
}


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("how", WRITTEN)
def test_forms(name: str, how: str) -> None:
    """Each secret is found, and no other one."""
    assert {name} == names_found(WRITTEN[how](SECRETS[name]))


def test_what_is_none() -> None:
    """Other text is not taken for one; what is found is shown with what it stands behind."""
    assert [] == found("".join(map(chr, range(0x380))) * 3) + found(bytes(range(256)) * 3) + found("***")
    assert {"tiny"} == names_found(TINY)
    assert ["plain as Zq7kVw3xPnTmB2 after b'here: '"] == found("here: Zq7kVw3xPnTmB2!")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_command_lines(tmp_path: Path) -> None:
    """The arguments of a process, and of what it starts, are seen before it goes on."""
    (tmp_path / "ask.py").write_text(ASK)
    child = "import sys; sys.path.insert(0, '.'); import ask; ask.be_seen()"
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1], 'of-the-child'])"
    with CommandLines(tmp_path, os.getpid()) as lines:
        subprocess.run([sys.executable, "-c", program, child, "own"], cwd=tmp_path, check=True, timeout=60)
    ends = {line.split(b"\0")[-2] for line in lines.seen if line}
    assert {b"own", b"of-the-child"} <= ends
