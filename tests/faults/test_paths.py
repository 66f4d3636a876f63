"""No id, name or key leads out of the folders that are its own; a path harms nothing where it leads.

Each of `PATHS` goes to each call of the library and each command that takes an id, a name or a path; without
all faults a third of them to each, another third to the next. What lies outside is compared before and after,
and holds a mark that nobody may show who was given a mere name.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui.cli.main import run
from bunsui.errors import BunsuiError
from bunsui.local.secret_sources import FileSource
from bunsui.model.artifact import Artifact
from bunsui.ports.store import Append, Commit
from bunsui.runner.sessions import index
from bunsui.stores.records import decode_body

#: What stands in the files outside, and in nothing else.
MARK = "Canary7Qx"
#: Most seconds that one call may take on a machine that has other things to do.
LONG = 20.0
FULL = os.environ.get("BUNSUI_FAULTS") == "full"
#: Without all faults, each call gets every so many of the paths, beginning with another one than the last.
SAMPLE = 3

#: OUT is a folder outside; what is in it has the names of a definition, a store, a log, a module.
PATHS = [
    # Absolute, upwards, and through links that lie in the folder.
    *(
        "OUT",
        "OUT/",
        "OUT/log.jsonl",
        "OUT/pipeline.yaml",
        "OUT/store.db",
        "OUT/sub",
        "OUT/none/new",
        "//OUT/x",
    ),
    *(
        "..",
        ".",
        "...",
        "./",
        "../",
        "../..",
        "../outside",
        "../outside/log",
        "../outside/log.jsonl",
        "/",
        "//",
    ),
    *("../../../../../../../../etc/passwd", "/etc/passwd", "a/../../outside/log", "./../outside/sub", "x/.."),
    *(
        "../outside/.",
        "../outside/sub/..",
        "..//outside",
        ".././outside",
        "..\\outside",
        "..\\..\\outside\\log",
    ),
    *(
        "link",
        "link/log",
        "link/log.jsonl",
        "link/../outside/sub",
        "link.yaml",
        "link.db",
        "dangling",
        "loop",
    ),
    *("../world/../outside/log.jsonl", "world-logs/../../outside", ".bunsui", ".jobs", "a.0001", "a.jsonl"),
    # Encoded, once and more often.
    *("%2e%2e%2foutside", "..%2foutside%2flog", "%2e%2e/outside", "..%252foutside", "%2e%2e%5coutside"),
    *(
        "..%c0%afoutside",
        "%c0%ae%c0%ae/outside",
        "..%00/outside",
        "%00",
        "..%u2215outside",
        "&#46;&#46;/outside",
    ),
    # What ends a text, or a line.
    *("\0", "a\0", "../outside/log\0.x", "\n", "a\n", "a\n../outside/log", "a\r", "a\x1b[2K", "\t", "\x7f"),
    # Letters that look like others, or become others when they are normalised.
    *(
        "\uff0e\uff0e/outside",
        "\uff0e\uff0e\uff0foutside",
        "..\u2215outside",
        "..\u2044outside",
        "\u2025/outside",
    ),
    *(
        "\u2024\u2024/outside",
        "\u202e/edistuo/..",
        "a\u200b",
        "\ufeff",
        "\u0061\u0301",
        "\ud800",
        "\udcff/..",
    ),
    # White space and dots at an end, and none at all.
    *(
        "",
        " ",
        "  ..",
        ".. ",
        "../outside ",
        "a.",
        "a..",
        " a",
        "a ",
        ".a",
        "-",
        "--",
        "-rf",
        "--help",
        "@",
        "@last",
    ),
    # What a shell, a user or Windows has.
    *(
        "~",
        "~/x",
        "~root",
        "~root/x",
        "~nobody-at-all/x",
        "$HOME",
        "${HOME}/x",
        "$(touch OUT/made)",
        "`touch OUT/made`",
    ),
    *(
        "; touch OUT/made",
        "| touch OUT/made",
        "*",
        "?",
        "../*",
        "[a]",
        "{a,../outside}",
        "a:b",
        "a|b",
        "a'b\"c",
    ),
    *("C:\\outside", "C:outside", "\\\\host\\share", "\\\\?\\C:\\outside", "CON", "NUL", "aux.jsonl", "COM1"),
    # Devices, and what is no file.
    *(
        "/dev/null",
        "/dev/full",
        "/dev/zero",
        "/proc/self/environ",
        "/proc/self/cwd/../outside",
        "/proc/self/fd/0",
    ),
    # URLs.
    *(
        "file://OUT/log.jsonl",
        "file:///etc/passwd",
        "sqlite:///OUT/store.db",
        "sqlite:///../outside/store.db",
    ),
    *(
        "sqlite:///%2e%2e/outside/store.db",
        "http://127.0.0.1:9/x",
        "memory://../x",
        "env:HOME",
        "file:../outside/log",
    ),
    # Long ones.
    *("a" * 65, "a" * 300, "a" * 5000, "../" * 1500 + "x", "a/" * 3000, "\u00e4" * 130, "a" * 128 + "/../x"),
    # What names a revision.
    *("flow@1/../../outside", "flow@../1", "../outside/flow@1", "flow@1\n", "flow@" + "9" * 400, "flow@-1"),
]

PIPELINE = {
    "version": "1.0",
    "name": "flow",
    "jobs": [{"id": "a", "type": "custom", "callable": "inside:f", "isolation": "thread"}],
}
MODULE = """
import bunsui
def f():
    bunsui.current_call().logger.info("inside")
    return "x" * 40_000
"""


class World:
    """A folder with a store, a session and a definition; and what lies beside it."""

    def __init__(self, top: Path) -> None:
        self.outside, self.folder = top / "outside", top / "world"
        self.top = top
        (self.outside / "sub").mkdir(parents=True)
        record = {"time": "2020-01-01T00:00:00.000000Z", "level": "INFO", "job": "a", "stream": "log"}
        for name in ("log", "log.jsonl", "a.jsonl", "sub/a.jsonl", "none.jsonl"):
            (self.outside / name).write_text(json.dumps(record | {"message": MARK}) + "\n")
        (self.outside / ".jobs").write_text("a\n")
        (self.outside / "inside.py").write_text(f"open({str(self.outside / 'imported')!r}, 'w')\n")
        (self.outside / "pipeline.yaml").write_text(f"description: {MARK}\n")
        (self.outside / "store.db").write_text(f"{MARK}\n" * 100)
        (self.outside / hashlib.sha256(MARK.encode()).hexdigest()).write_text(MARK)
        self.folder.mkdir()
        (self.folder / "inside.py").write_text(MODULE)
        (self.folder / "pipeline.json").write_text(json.dumps(PIPELINE))
        for name, target in (
            ("link", self.outside),
            ("link.yaml", self.outside / "pipeline.yaml"),
            ("link.db", self.outside / "store.db"),
            ("dangling", self.outside / "made"),
            ("loop", self.folder / "loop"),
        ):
            (self.folder / name).symlink_to(target)
        self.url = f"sqlite:///{self.folder}/world.db"
        with self.runner() as runner:
            pipeline = runner.load(self.folder / "pipeline.json")
            runner.create_pipeline(pipeline)
            self.session = runner.run(pipeline).id
            #: What the store has of it: commits and index entry.
            self.commits = list(runner.store.read(self.session))
            entry = runner.store.get(index.KIND, self.session)
            assert entry is not None
            self.entry = entry.value
        for folder in ("world.db-logs", "world.db-artifacts"):
            (self.folder / folder / "link").symlink_to(self.outside)
        self.before = self.look()

    def runner(self, store: Any = None, **options: Any) -> bunsui.Runner:
        return bunsui.Runner(store or self.url, autoload_plugins=False, **options)

    def look(self) -> dict[str, tuple[Any, ...]]:
        """What lies beside the folder, with its content."""
        found: dict[str, tuple[Any, ...]] = {}
        for folder, _, files in os.walk(self.top):
            here = Path(folder)
            if here == self.folder or self.folder in here.parents:
                continue
            for path in (here, *(here / name for name in files)):
                about = path.lstat()
                content = path.read_bytes() if path.is_file() else None
                # A file that was made for a moment would change the time of its folder.
                found[str(path.relative_to(self.top))] = (about.st_mode, about.st_mtime_ns, content)
        return found

    def paths(self) -> list[str]:
        return [path.replace("OUT", str(self.outside)) for path in PATHS]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    (tmp_path / "home").mkdir()
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    world = World(tmp_path)
    monkeypatch.chdir(world.folder)
    yield world
    sys.modules.pop("inside", None)


def flow(name: str = "flow", job: str = "a", **fields: Any) -> bunsui.Pipeline:
    made = bunsui.Job(job, "custom", {"callable": "json:dumps"}, parameters={"obj": 1})
    return bunsui.Pipeline(name, [made], **fields)


# Calls that take an id, a name or a key

Call = Callable[[bunsui.Runner, World, str], object]


def register(runner: bunsui.Runner, _: World, name: str) -> object:
    pipeline = flow(name)
    runner.create_pipeline(pipeline)
    runner.update_pipeline(pipeline)
    found = [runner.pipeline(name), runner.pipeline(name, 1), runner.pipelines()]
    runner.delete_pipeline(name)
    return found


def logs_of_new(runner: bunsui.Runner, _: World, name: str, **fields: Any) -> object:
    session = runner.run(flow(name, **fields), idempotency_key=name or None, tags={name: name})
    return [session.status, list(session.logs()), runner.sessions(pipeline=name)]


def as_session(runner: bunsui.Runner, world: World, name: str) -> object:
    """Asks for a history that somebody has put into the store under that id, index entry and all."""
    store = runner.store
    theirs, its = (json.dumps(text)[1:-1] for text in (world.session, name))
    with contextlib.suppress(BunsuiError, UnicodeError):  # What a store does not take is not there.
        for commit in world.commits:
            body = commit.body.replace(theirs, its)
            store.append([Append(name, Commit(commit.position, f"{name}{commit.position}", body))])
        store.put(index.KIND, name, world.entry, groups=[(index.ALL, world.entry["created_at"])])
    return [
        *attempts(
            lambda: list(runner.session(name).logs()),
            lambda: runner.session(name).outputs,
            lambda: runner.resume(name),
            lambda: runner.rerun(name),
            runner.recover,
            runner.sessions,
            lambda: runner.prune(0.001),
        )
    ]


def attempts(*calls: Callable[[], object]) -> Iterator[object]:
    """What each of them gives; its error where that is a typed one."""
    for call in calls:
        try:
            yield call()
        except BunsuiError as error:
            yield repr(error)


def artifact(runner: bunsui.Runner, world: World, name: str) -> object:
    """Asks for an output that a history says lies in a file of that name."""
    body = f'[{{"event":"JobSucceeded@2","artifact":{{"sha256":{json.dumps(name)},"bytes":9}}}}]'
    artifacts = runner._control.parts.artifacts
    assert artifacts is not None
    found = [*attempts(lambda: decode_body(body, "here", artifacts.loader(world.session)))]
    digest = hashlib.sha256(MARK.encode()).hexdigest()
    for call in (
        lambda: Artifact(name, 9),
        lambda: artifacts.get(name, Artifact(digest, len(MARK))),
        lambda: artifacts.put(name, '"x"', "x"),
        lambda: artifacts.tidy(name),
    ):
        with contextlib.suppress(ValueError, OSError, BunsuiError):  # The first two for callers of ours.
            found.append(call())
    return found


def cached(runner: bunsui.Runner, _: World, name: str) -> object:
    cache = bunsui.CacheManager(runner.store)
    return [cache.get_or_compute(name, lambda: 1, ttl=60), cache.get(name)]


def callable_of(runner: bunsui.Runner, world: World, name: str, target: str) -> object:
    """A definition beside which it is looked for."""
    if name == "link":  # Who may name code, and commands, may also link to it.
        return None
    job = {"id": "a", "type": "custom", "callable": target.format(name)}
    path = world.folder / "called.json"
    path.write_text(json.dumps(PIPELINE | {"jobs": [job]}))
    return runner.run(runner.load(path)).status


NAMES: dict[str, Call] = {
    "session": lambda runner, _, name: runner.session(name),
    "resume": lambda runner, _, name: runner.resume(name),
    "rerun": lambda runner, _, name: runner.rerun(name),
    "plan of a rerun": lambda runner, _, name: runner.plan(rerun=name),
    "history in the store": as_session,
    "artifact": artifact,
    "logs of a job": lambda runner, world, name: list(runner.session(world.session).logs(name)),
    "job of a rerun": lambda runner, world, name: runner.rerun(world.session, jobs=[name]),
    "assumed job": lambda runner, world, name: runner.resume(world.session, {name: "rerun"}),
    "pipeline": lambda runner, _, name: [runner.pipeline(name), runner.pipeline(name, 1)],
    "registered": register,
    "deleted": lambda runner, _, name: runner.delete_pipeline(name),
    "pipeline's sessions": lambda runner, _, name: [runner.sessions(pipeline=name), runner.recover(name)],
    "cursor": lambda runner, _, name: runner.sessions(after=name),
    "name, idempotency key and tag": logs_of_new,
    "job id": lambda runner, world, name: logs_of_new(runner, world, "flow", job=name),
    "cache key": cached,
    "callable's module": lambda runner, world, name: callable_of(runner, world, name, "{}:f"),
    "callable's package": lambda runner, world, name: callable_of(runner, world, name, "{}.inside:f"),
}
COMMANDS: dict[str, list[str]] = {
    "session status": ["session", "status", "--", "{}"],
    "session watch": ["session", "watch", "--", "{}"],
    "session pause": ["session", "pause", "--", "{}"],
    "session cancel": ["session", "cancel", "--", "{}"],
    "session resume": ["session", "resume", "--", "{}"],
    "session rerun": ["session", "rerun", "--", "{}"],
    "session rerun --jobs": ["session", "rerun", "@last", "--jobs={}"],
    "session list --pipeline": ["session", "list", "--pipeline={}"],
    "session list --after": ["session", "list", "--after={}"],
    "logs tail": ["logs", "tail", "--", "{}"],
    "logs filter": ["logs", "filter", "--", "{}"],
    "logs filter --job": ["logs", "filter", "@last", "--job={}"],
    "logs download": ["logs", "download", "-o", "saved", "--", "{}"],
    "pipeline show": ["pipeline", "show", "--", "{}"],
    "pipeline delete": ["pipeline", "delete", "--yes", "--", "{}"],
    "explain": ["explain", "--", "{}"],
    "config get": ["config", "get", "--", "{}"],
    "config set": ["config", "set", "--", "{}", "1"],
    "config unset": ["config", "unset", "--", "{}"],
}


def check(world: World, call: Callable[[str], object], number: int, *, shows: bool = False) -> None:
    """Makes the call with each path, or a sample of them, and collects what must not come of it.

    Args:
        world: what lies around.
        call: what is tried; it may raise a typed error.
        number: which of the calls that are tried it is; from 0.
        shows: whether it may show what is in a file that it was told to read.
    """
    wrong: list[str] = []
    for path in world.paths() if FULL else world.paths()[number % SAMPLE :: SAMPLE]:
        began, shown = time.monotonic(), ""
        try:
            shown = repr(call(path))
        except BunsuiError as error:
            shown = f"{error!r} {error}"
        except Exception as error:
            wrong.append(f"{path[:80]!r}: {type(error).__name__}: {error!s:.200}")
        if MARK in shown and not shows:
            wrong.append(f"{path[:80]!r} shows what is outside: {shown[:300]}")
        if time.monotonic() - began > LONG:
            wrong.append(f"{path[:80]!r} took {time.monotonic() - began:.0f} s")
        after = world.look()
        if after != world.before:
            changed = sorted(
                name for name in world.before.keys() | after if world.before.get(name) != after.get(name)
            )
            wrong.append(f"{path[:80]!r} changes {changed}")
            world.before = after
    assert [] == wrong


def test_there_are_enough() -> None:
    """Each is another one."""
    assert len(PATHS) == len(set(PATHS)) >= 60


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_python(world: World, name: str) -> None:
    """It is refused by a typed error, or does nothing beside the runner's own folders."""
    with world.runner() as runner:
        check(world, lambda path: NAMES[name](runner, world, path), [*NAMES].index(name))


def commanded(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """What a command prints; an AssertionError where it did not end as one may."""
    capsys.readouterr()
    code = run(arguments)
    out, err = capsys.readouterr()
    assert 0 <= code <= 7, f"exit code {code}: {err}"
    assert "Traceback" not in err, err[-500:]
    return out + err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_name_in_a_command(
    world: World, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Likewise; and it ends with an exit code, not with a traceback."""
    monkeypatch.setenv("BUNSUI_STORE", world.url)

    def call(path: str) -> str:
        (world.folder / "saved").unlink(missing_ok=True)
        return commanded(capsys, [part.replace("{}", path) for part in COMMANDS[command]])

    check(world, call, [*COMMANDS].index(command))


# Calls that take a path

LIBRARY: dict[str, Call] = {
    "definition": lambda runner, _, path: runner.load(path),
    "bindings": lambda _, world, path: use(world, bindings=path),
    "artifacts": lambda _, world, path: world.runner("memory://", artifacts=path).close(),
    "store": lambda _, world, path: sessions_of(world, path),
    "store of a file": lambda _, world, path: sessions_of(world, f"sqlite:///{path}"),
    "configuration": lambda _, world, path: bunsui.Config.load(
        environ={"BUNSUI_CONFIG": path, "HOME": "/none"}
    ),
    "variables": lambda _, world, path: bunsui.Config.load(
        environ={"BUNSUI_STORE": path, "BUNSUI_ARTIFACTS": path, "BUNSUI_BINDINGS": path}
    ),
    "secret": lambda _, world, path: secret_of(path),
}
PATH_COMMANDS: dict[str, list[str]] = {
    "run": ["run", "--", "{}"],
    "run --bindings": ["run", "pipeline.json", "--store", "memory://", "--bindings={}"],
    "session list --store": ["session", "list", "--store={}"],
    "session start": ["session", "start", "--", "{}"],
    "session rerun --file": ["session", "rerun", "@last", "--file={}"],
    "pipeline create": ["pipeline", "create", "--file={}"],
    "pipeline update": ["pipeline", "update", "--file={}"],
    "pipeline validate": ["pipeline", "validate", "--", "{}"],
    "pipeline diff": ["pipeline", "diff", "--", "pipeline.json", "{}"],
    "logs download --output": ["logs", "download", "@last", "--output={}"],
}


def secret_of(path: str) -> object:
    with contextlib.suppress(LookupError, OSError):  # As it says.
        return FileSource().get(path)
    return None


def sessions_of(world: World, url: str) -> object:
    with world.runner(url) as runner:
        return runner.sessions()


def use(world: World, store: str = "memory://", **options: Any) -> object:
    """Runs something with a large output, with what a Runner was told."""
    with world.runner(store, **options) as runner:
        return [runner.run(runner.load(world.folder / "pipeline.json")).status, runner.sessions()]


def look_at(world: World, call: Callable[[str], object], number: int) -> None:
    """As `check`; but what the caller has named may be made there, if it was not there."""
    old = dict(world.before)

    def made(path: str) -> object:
        try:
            return call(path)
        finally:
            after = world.look()
            new = {name: value for name, value in after.items() if name not in old}
            folders = {name for name, value in old.items() if value[2] is None}
            world.before = {
                name: after.get(name) if name in folders else value for name, value in old.items()
            } | new

    check(world, made, number, shows=True)


@pytest.mark.parametrize("name", LIBRARY)
def test_a_path_in_python(world: World, name: str) -> None:
    """It is read if it is what was asked for, or refused; nothing that is there changes, or goes."""
    with world.runner() as runner:
        look_at(world, lambda path: LIBRARY[name](runner, world, path), [*LIBRARY].index(name))


@pytest.mark.parametrize("command", PATH_COMMANDS)
def test_a_path_in_a_command(
    world: World, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Likewise, with an exit code."""
    monkeypatch.setenv("BUNSUI_STORE", world.url)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))

    def call(path: str) -> object:
        try:
            if b"\0" in os.fsencode(path):
                return None
        except UnicodeEncodeError:
            return None
        return commanded(capsys, [part.replace("{}", path) for part in PATH_COMMANDS[command]])

    look_at(world, call, [*PATH_COMMANDS].index(command))  # But for what no argument of a command can be.
