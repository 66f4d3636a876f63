"""A pipeline whose jobs show the secrets that they are given, in every way that they have.

`LEAKING` is a module of the jobs: they run in threads, in processes and as commands, and are told the secrets
by their names. With ``is_secret=False`` the same jobs are given the same values as plain parameters: then
they are to be found wherever something is looked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import bunsui
from bunsui_tests.canary import ASK, SECRETS, TINY

LEAKING = """
import asyncio, base64, csv, io, json, logging, os, shlex, sys, urllib.parse
import bunsui

def ways(value):
    raw, row = value.encode(), io.StringIO()
    csv.writer(row).writerow(["a", value])
    return [
        value, repr(value), ascii(value), f"<{value}>", repr({"k": [raw, value]}), shlex.quote(value),
        json.dumps(value), json.dumps([value], ensure_ascii=False), json.dumps(json.dumps({"p": value})),
        row.getvalue(), "sql '" + value.replace("'", "''") + "'", urllib.parse.quote(value),
        urllib.parse.urlencode({"p": value}), f"https://u:{urllib.parse.quote_plus(value)}@host/",
        raw.hex(), raw.hex().upper(), base64.b64encode(raw).decode(),
        base64.b64encode(b"user:" + raw + b":x").decode(), base64.urlsafe_b64encode(b"u" + raw).decode(),
    ]

def prints(**secrets):
    be_seen()
    os.environ.update({f"MADE_OF_{name}": value for name, value in secrets.items()})
    for stream in (sys.stdout, sys.stderr):
        for value in secrets.values():
            for way in ways(value):
                stream.write(way + "\\n")
            half = len(value) // 2  # Across a border of two writes.
            for part in ("half " + value[:half], value[half:] + " whole\\n"):
                stream.write(part)
                stream.flush()
        stream.write(f"{dict(os.environ)} {secrets}\\n")
        stream.flush()

def logs(**secrets):
    be_seen()
    call = bunsui.current_call()
    structured = bunsui.logging.StructuredLogger("leaking").bind(bound=secrets)
    foreign = logging.getLogger("foreign")
    call.logger.info("%r %s", call, dict(call.parameters))
    for value in secrets.values():
        for way in ways(value):
            call.logger.warning("it is %s", way, extra={"password": way, way: {"deep": [way]}})
            structured.error("it is " + way, password=way, deep={way: [way]})
            foreign.error("it is %s", way, extra={"password": way})
        try:
            raise KeyError(value)
        except KeyError:
            call.logger.exception("with %s", value, stack_info=True)
            structured.exception("with " + value)
            foreign.exception(value)
    call.logger.info("%d", list(secrets))

def raises(**secrets):
    be_seen()
    try:
        try:
            raise KeyError(*secrets.values())
        except KeyError as error:
            raise ValueError({"all": secrets}) from error
    except ValueError as error:
        error.add_note(f"noted {secrets}")
        text = " ".join(way for value in secrets.values() for way in ways(value))
        raise bunsui.JobError("it is " + text, code="Db." + secrets["plain"]) from error

def group(**secrets):
    raise ExceptionGroup(secrets["plain"], [OSError(5, value, value) for value in secrets.values()])

def named(**secrets):
    raise type(secrets["plain"], (Exception,), {})(*secrets.values())

def tiny(password):
    print(password, flush=True) if threading.current_thread() is threading.main_thread() else None
    bunsui.current_call().logger.error(password)
    raise bunsui.JobError(password, code=password)

def returns(**secrets):
    return secrets

def returns_much(**secrets):
    return [secrets, "x" * 40_000]

async def later(**secrets):
    await asyncio.sleep(0)
    logs(**secrets)
    raises(**secrets)

def item(number, **secrets):
    (raises if number else prints)(**secrets)

def handler(event, context):
    logs(**event)
    print(event, flush=True) if threading.current_thread() is threading.main_thread() else None
    raise RuntimeError(json.dumps(event))
"""
COMMAND = """
import json, os, sys
sys.path.insert(0, os.getcwd())
import leaking

secrets = {name: os.environ[f"BUNSUI_PARAM_{name.upper()}"] for name in NAMES}
leaking.prints(**secrets)
if sys.argv[1] == "gives":
    json.dump(secrets, open(os.environ["BUNSUI_OUTPUT"], "w"))
elif sys.argv[1] == "fails":
    print("y" * 281 + secrets["plain"], flush=True)
    sys.exit(f"bye with {secrets}")
"""
SHELL = 'set -x; env; echo "$BUNSUI_PARAM_QUOTED" >&2; : "$BUNSUI_PARAM_URL" "$BUNSUI_PARAM_SHORT"; exit 4'
#: What is too short is masked where it is a whole line.
TINY_SHELL = 'echo "$BUNSUI_PARAM_PASSWORD"; echo "$BUNSUI_PARAM_PASSWORD" >&2; exit 4'


class Typed(bunsui.JobType):
    """A plugin's job type, with a field that holds a secret."""

    name = "leaking"
    schema: ClassVar[dict[str, Any]] = {"type": "object", "properties": {"token": {"type": "string"}}}

    def run(self, call: bunsui.JobCall) -> Any:
        """Shows what it has."""
        for value in (call.options["token"], *call.parameters.values()):
            call.logger.info("%r of %r", value, call)
        raise PermissionError(13, dict(call.parameters), call.options["token"])

    def span_attributes(self, options: Mapping[str, Any], handle: Any) -> Mapping[str, Any]:
        """All that it is told."""
        return {"leaking.token": options["token"]}


class Remote(bunsui.RemoteJobType):
    """A plugin's job type that shows what it was given, in the method that the job says."""

    name = "leaking-remote"
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {"how": {"type": "string"}, "token": {"type": "string"}},
    }
    poll_interval: ClassVar[float] = 0.02

    def __init__(self) -> None:
        self._given: dict[str, dict[str, Any]] = {}
        self._polls = 0

    def submit(self, call: bunsui.JobCall) -> Any:
        """Takes what it was given, or refuses it."""
        self._given[call.idempotency_key] = dict(call.parameters)
        how = call.options["how"]
        if how == "refuses":
            raise bunsui.JobError(f"not with {call.parameters}", code=f"No.{call.parameters['plain']}")
        handle = {"key": call.idempotency_key, "how": how}
        return {**handle, "token": call.options["token"]} if how == "handle" else handle

    def poll(self, handles: Sequence[Any]) -> Sequence[Any]:
        """Fails often enough for that to be said, then gives what there is."""
        self._polls += 1
        if self._polls <= 6:
            raise ConnectionError(f"no answer, asked with {list(self._given.values())}")
        return [self._outcome(handle["how"], self._given[handle["key"]]) for handle in handles]

    def _outcome(self, how: str, given: dict[str, Any]) -> Any:
        if how == "gives":
            return bunsui.Succeeded(given)
        return bunsui.Failed(f"No.{given['plain']}", f"it had {given}", retryable=False)

    def cancel(self, handle: Any) -> None:
        """Never asked."""

    def find(self, call: bunsui.JobCall) -> Any:
        """Nothing got lost."""
        return bunsui.NeverRan()

    def log_page(self, about: bunsui.RemoteLog, token: Any) -> bunsui.LogPage:
        """What the service has written."""
        given = self._given[about.handle["key"]]
        return bunsui.LogPage([bunsui.LogLine(datetime.now(UTC), f"begun with {given}")], None, is_end=True)

    def span_attributes(self, options: Mapping[str, Any], handle: Any) -> Mapping[str, Any]:
        """All that it is told, as the name of a function, too."""
        return {"faas.invoked_name": options["token"], "leaking.handle": json.dumps(handle)}


class Plugin:
    """Registers both."""

    @bunsui.hookimpl
    def bunsui_job_types(self) -> list[bunsui.JobType]:
        return [Typed(), Remote()]


def _jobs(*, is_secret: bool, with_processes: bool, with_plugins: bool) -> Iterator[dict[str, Any]]:
    given = {"parameters": {name: f"${{{name}}}" for name in SECRETS}}
    tiny = {"parameters": {"password": "${tiny}"}}
    twice = {"retry": {"max_attempts": 2, "delay": 0}}
    for isolation in ("thread", *(["process"] if with_processes else [])):
        where = {"type": "custom", "isolation": isolation}
        for name in ("logs", "raises", "group", "named", "returns", "returns_much", "later"):
            more = twice if name in ("raises", "named") else {}
            yield {"id": f"{name}-{isolation}", "callable": f"leaking:{name}", **where, **given, **more}
        yield {"id": f"tiny-{isolation}", "callable": "leaking:tiny", **where, **tiny}
    if with_plugins:
        yield {"id": "typed", "type": "leaking", "token": "${plain}", **given}
        for how in ("refuses", "handle", "gives", "fails"):
            yield {"id": f"remote-{how}", "type": "leaking-remote", "how": how, "token": "${plain}", **given}
    if not with_processes:
        return
    custom = {"type": "custom", **given}
    yield {"id": "prints", **custom, "callable": "leaking:prints", "isolation": "process"}
    numbered = {"parameters": {**given["parameters"], "number": "${item}"}, "for_each": [0, 1, 2]}
    yield {"id": "items", "type": "custom", "callable": "leaking:item", "isolation": "process", **numbered}
    for how in ("prints", "gives", "fails"):
        # What may be no secret is found among the arguments: so others would be.
        more = [] if is_secret else [f"${{{name}}}" for name in SECRETS]
        yield {"id": f"command-{how}", **custom, "command": ["python", "command.py", how, *more]}
    yield {"id": "shell", "command": SHELL, "shell": True, **custom}
    yield {"id": "tiny-shell", "type": "custom", "command": TINY_SHELL, "shell": True, **tiny}
    if not is_secret:
        # The streams of the program are the callable's own; what it prints there is its affair.
        yield {"id": "prints-thread", **custom, "callable": "leaking:prints", "isolation": "thread"}
    yield {"id": "bound", "type": "lambda", "function": "bound", **given}
    if with_plugins:
        yield {"id": "at-aws", "type": "lambda", "function": "at-aws", **given}


def write(
    folder: Path,
    alerts: Sequence[Mapping[str, Any]] = (),
    *,
    is_secret: bool,
    with_processes: bool = True,
    with_plugins: bool = True,
) -> Path:
    """Writes the pipeline and its jobs; where it is.

    Args:
        folder: for it.
        alerts: its rules.
        is_secret: whether the values come from the secrets of the configuration; else they are parameters.
        with_processes: whether some run in other processes.
        with_plugins: whether some are of a `Plugin`, or run at AWS.
    """
    parameters = [
        {"name": name, **({"secret": True, "default": f"${{secrets.{name}}}"} if is_secret else {})}
        for name in (*SECRETS, "tiny")
    ]
    jobs = [*_jobs(is_secret=is_secret, with_processes=with_processes, with_plugins=with_plugins)]
    # For what shows no value that was given, but a name: that is looked for there.
    name = "Leaking" if is_secret else f"Leaking {TINY}"
    definition = {"version": "1.0", "name": name, "parameters": parameters, "jobs": jobs}
    if alerts:
        definition["alerts"] = [*alerts]
    (folder / "leaking.py").write_text(ASK + LEAKING, encoding="utf-8")
    (folder / "command.py").write_text(COMMAND.replace("NAMES", repr([*SECRETS])), encoding="utf-8")
    (folder / "bindings.yaml").write_text("lambda: {bound: 'leaking:handler'}\n", encoding="utf-8")
    path = folder / "pipeline.json"
    path.write_text(json.dumps(definition), encoding="utf-8")
    return path


def parameters_of(*, is_secret: bool) -> dict[str, str]:
    """What the pipeline is started with."""
    return {} if is_secret else {**SECRETS, "tiny": TINY}
