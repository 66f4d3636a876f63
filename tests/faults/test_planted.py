"""What a job has put into the folder of the logs: no runner waits for it, and it leads nobody elsewhere."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

#: Seconds after which a process is taken to hang; it takes less than 2.
HANGS = 60
#: Bytes of memory that a process gets.
MEMORY = 1024**3
PIPELINE = {
    "version": "1.0",
    "name": "planted",
    "jobs": [
        {"id": "a", "type": "custom", "command": ["python", "plant.py"]},
        # More than a pipe holds.
        {
            "id": "b",
            "type": "custom",
            "command": ["python", "-c", "for i in range(3000): print(f'line {i:060}')"],
            "depends_on": ["a"],
        },
    ],
}
HEAD = """
import os, pathlib, shutil
folder = pathlib.Path(os.environ["BUNSUI_OUTPUT"]).parent.parent
def sparse(name, size):
    with open(folder / name, "a") as file:
        file.truncate(size)
def link_folder():
    shutil.rmtree(folder)
    folder.symlink_to(pathlib.Path("elsewhere").absolute())
"""
LINES = [
    "[" * 100_000,
    '{"time":"0001-01-01T00:00:00.000000+14:00","level":"INFO","job":"q","stream":"log","message":"m"}',
    *(
        json.dumps(
            {
                "time": "2020-01-01T00:00:00.000000Z",
                "level": "INFO",
                "job": "q",
                "stream": "log",
                "message": "m",
            }
            | {name: value}
        )
        for name in ("time", "level", "job", "item", "attempt", "logger", "fields", "exception")
        for value in (None, True, 7, "\x1b[31m", [1], {"\u202e": 1})
    ),
]
PLANTS = {
    "a FIFO in place of the list": "(folder / '.jobs').unlink(missing_ok=True); os.mkfifo(folder / '.jobs')",
    "a FIFO in place of the next log": "os.mkfifo(folder / 'b.jsonl')",
    "a FIFO in place of the next file": "os.mkfifo(folder / 'a.0001.jsonl')",
    "a list with a hole": "sparse('.jobs', 20 * 2**30)",
    "a log with a hole": "sparse('c.jsonl', 20 * 2**30)",
    "a long line of nothing": "sparse('c.jsonl', 50 * 2**20)",
    "a link in place of a log": "(folder / 'b.jsonl').symlink_to('/etc/passwd')",
    "a link in place of the next file": "(folder / 'a.0001.jsonl').symlink_to('/etc/passwd')",
    "a link in place of the folder": "link_folder()",
    "a folder in place of the list": "(folder / '.jobs').unlink(missing_ok=True); (folder / '.jobs').mkdir()",
    "names in the list": "(folder / '.jobs').write_text('\\x1b[31m\\n../x\\n')",
    "a file with a large number": "(folder / 'a.99999999999.jsonl').touch()",
    "a file with another large number": "(folder / 'a.9999.jsonl').touch()",
    "other lines": "(folder / 'q.jsonl').write_text(pathlib.Path('lines').read_text())",
}


@pytest.fixture
def bunsui(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command line in a folder with the pipeline."""
    (tmp_path / "pipeline.json").write_text(json.dumps(PIPELINE))
    (tmp_path / "lines").write_text("\n".join(LINES) + "\n")
    (tmp_path / "elsewhere").mkdir()

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bunsui", *arguments],
            cwd=tmp_path,
            env=os.environ | {"BUNSUI_STORE": f"sqlite:///{tmp_path}/store.db"},
            capture_output=True,
            text=True,
            timeout=HANGS,
            check=False,
            preexec_fn=limit,
        )

    return run


@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS)
def test_planted(bunsui: Any, tmp_path: Path, plant: str) -> None:
    """The session succeeds; who reads the logs gets them, or a typed error that says what is in the way."""
    (tmp_path / "plant.py").write_text(f"{HEAD}{plant}\n")

    done = bunsui("run", "pipeline.json")
    assert (0, "Traceback" in done.stderr) == (done.returncode, False), done.stderr

    for command in (["filter"], ["tail"], ["filter", "--format", "csv"], ["filter", "--job", "a"]):
        found = bunsui("logs", *command, "@last")
        assert found.returncode in (0, 3, 6), found.stderr
        assert "Traceback" not in found.stderr
        assert "root:" not in found.stdout
        assert "\x1b" not in found.stdout + found.stderr
    assert [] == list((tmp_path / "elsewhere").iterdir())
