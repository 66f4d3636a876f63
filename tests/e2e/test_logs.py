"""Logs of real commands, read by other processes."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import bunsui as library

#: Each job says something, waits for a file of its name, and says something else.
WAITING = """\
version: "1.0"
name: waiting
jobs:
  - id: one
    type: custom
    shell: true
    command: 'echo one begins; until [ -e one ]; do sleep 0.05; done; echo one ends'
  - id: two
    type: custom
    shell: true
    command: 'echo two begins >&2; until [ -e two ]; do sleep 0.05; done'
    depends_on: [one]
"""


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "bunsui", *arguments]


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "BUNSUI_STORE": f"sqlite:///{folder}/s.db"}


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*arguments), cwd=folder, env=environment(folder), stdout=subprocess.PIPE, text=True
    )


def records(process: subprocess.Popen[str], count: int) -> list[str]:
    """The messages of the next records that a command prints."""
    assert process.stdout is not None
    return [json.loads(process.stdout.readline())["message"] for _ in range(count)]


def test_following_what_nobody_drives_any_more(tmp_path: Path) -> None:
    """It says so, once, with the command that goes on; where somebody uses that, it follows to the end."""
    (tmp_path / "pipeline.yaml").write_text(WAITING, encoding="utf-8")
    with start(tmp_path, "run", "pipeline.yaml") as runner:
        with library.Runner(f"sqlite:///{tmp_path}/s.db") as reader:
            while not (sessions := reader.sessions()):
                time.sleep(0.05)
        with subprocess.Popen(
            command("logs", "tail", "@last", "-f", "--format", "jsonl"),
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as tail:
            watchdog = threading.Timer(60, tail.kill)
            watchdog.start()
            assert ["one begins"] == records(tail, 1)
            runner.kill()
            assert tail.stderr is not None
            said = tail.stderr.readline()
            resume = f"bunsui session resume {sessions[0].session_id} --store sqlite:///{tmp_path}/s.db"
            assert f"nobody drives it; continue it with: {resume}\n" == said
            for name in ("one", "two"):
                (tmp_path / name).touch()
            with start(tmp_path, *resume.split()[1:]) as resumed:
                rest, more = tail.communicate()
            watchdog.cancel()
            assert ("two begins", "", 0, 0) == (
                json.loads(rest.splitlines()[-1])["message"],
                more,
                tail.returncode,
                resumed.returncode,
            )


def test_following_what_another_process_runs(tmp_path: Path) -> None:
    """Records come while jobs run, those of a job that starts later too; it ends with the session."""
    (tmp_path / "pipeline.yaml").write_text(WAITING, encoding="utf-8")
    with start(tmp_path, "run", "pipeline.yaml") as runner:
        with library.Runner(f"sqlite:///{tmp_path}/s.db") as reader:
            while not reader.sessions():
                time.sleep(0.05)
        with start(tmp_path, "logs", "tail", "@last", "-f", "--format", "jsonl") as tail:
            first = records(tail, 1)
            (tmp_path / "one").touch()
            second = records(tail, 2)
            (tmp_path / "two").touch()
            rest = tail.communicate(timeout=60)[0]
        runner.communicate(timeout=60)
    assert (["one begins"], ["one ends", "two begins"], "", 0) == (first, second, rest, tail.returncode)


def test_json_of_a_run_is_alone_on_stdout(tmp_path: Path) -> None:
    """What a callable in a thread prints goes to stderr."""
    (tmp_path / "loud.py").write_text("def f():\n    print('loud')\n    return 1\n", encoding="utf-8")
    (tmp_path / "p.yaml").write_text(
        'version: "1.0"\nname: p\njobs: [{id: a, type: custom, callable: "loud:f"}]\n', encoding="utf-8"
    )
    done = subprocess.run(
        command("run", "p.yaml", "--format", "json"),
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert (1, "loud\n") == (json.loads(done.stdout)["outputs"]["a"], done.stderr)


def test_flood(tmp_path: Path) -> None:
    """1 GB of stdout: the job goes on, its log is full and says what it leaves out, memory hardly grows."""
    program = """
import json, resource, sys
from bunsui import Job, Pipeline, Runner
flood = "import sys; line = b'x' * 99 + b'\\\\n'\\nfor _ in range({}): sys.stdout.buffer.write(line * 10000)"
with Runner(sys.argv[1]) as runner:
    runner.run(Pipeline("warm", [Job("a", "custom", command=["python", "-c", flood.format(1)])]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    job = Job("a", "custom", command=["python", "-c", flood.format(1000)])
    session = runner.run(Pipeline("flood", [job]))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (last,) = session.logs(last=1)
    size = sum(path.stat().st_size for path in session.log_folder.glob("a*.jsonl"))
    kept = sum(1 for path in session.log_folder.glob("a*.jsonl") for _ in path.open("rb")) - 1
grown = (after - before) / 1024
print(json.dumps([session.status, grown, size / 2**20, kept + last.fields["lost"], last.message]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, f"sqlite:///{tmp_path}/s.db"],
        capture_output=True,
        text=True,
        check=True,
    )
    status, grown, size, records_in_all, message = json.loads(done.stdout)
    assert ("succeeded", True, True, 10_000_000) == (status, grown < 50, 99 < size <= 100, records_in_all)
    assert message.startswith("this log is full (100 MiB)")
    assert "is full: " in done.stderr


def test_disk_that_is_full_while_a_job_logs(tmp_path: Path) -> None:
    """The job goes on; what is lost is counted in the log, and told on stderr."""
    program = """
import resource, sys, threading, time
from bunsui import Job, Pipeline, Runner, current_call
def work():
    log = current_call().logger
    log.info("first")
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, resource.RLIM_INFINITY))
    for n in range(20):
        log.info("lost %d", n)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    log.info("last")
    return "done"
with Runner("memory://") as runner:
    session = runner.run(Pipeline("p", [Job.from_callable(work)]))
found = list(session.logs())
print(session.outputs["work"], found[-1].message, sum(r.fields.get("lost", 0) for r in found)
      + sum(r.message.startswith("lost") for r in found))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "done last 20\n" == done.stdout
    assert "can't be written: File too large; the job goes on" in done.stderr


def test_disk_that_stays_full(tmp_path: Path) -> None:
    """What the log of a command lacks stands in it, as who asks for that is told."""
    lines = 5_000
    (tmp_path / "chatty.yaml").write_text(
        'version: "1.0"\nname: chatty\njobs:\n  - id: say\n    type: custom\n'
        f"    command: [seq, '{lines}']\n",
        encoding="utf-8",
    )
    limited = f"ulimit -f 400; exec {shlex.join(command('run', 'chatty.yaml'))}"
    shared: Any = {"cwd": tmp_path, "env": environment(tmp_path), "capture_output": True, "text": True}
    done = subprocess.run(["bash", "-c", limited], check=True, **shared)
    told = int(re.findall(r"has lost (\d+) records", done.stderr)[0])
    asked = command("logs", "filter", "@last", "--field", "logger=bunsui.logs", "--format", "jsonl")
    (notice,) = subprocess.run(asked, check=True, **shared).stdout.splitlines()
    with library.Runner(f"sqlite:///{tmp_path}/s.db") as runner:
        kept = sum(1 for _ in runner.session(runner.sessions()[0].session_id).logs()) - 1
    assert (told, lines - told) == (json.loads(notice)["fields"]["lost"], kept)


def test_secret_in_two_writes(tmp_path: Path) -> None:
    """A process that prints a secret piece by piece, over several lines, shows nothing of it."""
    secret = "first line of a key\nsecond line of a key\nthird"
    script = (
        "import os, sys, time\n"
        "for piece in os.environ['BUNSUI_PARAM_S'].partition('second'):\n"
        "    sys.stdout.write(piece); sys.stdout.flush(); time.sleep(0.1)\n"
        "print(' and more')\n"
    )
    job: Any = {"command": ["python", "-c", script], "parameters": {"s": "${secrets.s}"}}
    os.environ["BUNSUI_TEST_KEY"] = secret
    try:
        config = {"secrets": {"s": "env:BUNSUI_TEST_KEY"}}
        with library.Runner(f"sqlite:///{tmp_path}/s.db", config=config) as runner:
            session = runner.run(library.Pipeline("p", [library.Job("a", "custom", **job)]))
    finally:
        del os.environ["BUNSUI_TEST_KEY"]
    assert ["*** and more"] == [record.message for record in session.logs()]
