"""The published schema in a real editor's backend: yaml-language-server, over stdio.

It is installed from npm once, into pytest's cache. ``-m "not slow"`` leaves these tests out.
"""

from __future__ import annotations

import itertools
import json
import os
import queue
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui.dsl.fields import PIPELINE_FIELDS
from bunsui.dsl.parser import parse
from bunsui.ports.job_type import JobType

pytestmark = pytest.mark.slow

PACKAGE = "yaml-language-server@1.25.0"
#: Seconds that an answer may take.
PATIENCE = 60
#: What npm says where it is the network that fails.
UNREACHABLE = re.compile(
    r"ENOTFOUND|EAI_AGAIN|ECONN\w+|ETIMEDOUT|ESOCKETTIMEDOUT|EHOSTUNREACH|ENETUNREACH"
    r"|ERR_SOCKET|CERT|network|E403|E407|E429|E5\d\d"
)


# The server


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that starts the server, which is installed where it is not yet."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("npm and node are not installed")
    fcntl = pytest.importorskip("fcntl", reason="installing once, in parallel, needs fcntl")
    cache = getattr(request.config, "cache", None)
    # Without a cache, what is next to the temporary folder of this worker is shared by all of a run.
    folder = cache.mkdir("editor") if cache is not None else tmp_path_factory.getbasetemp().parent
    home = folder / PACKAGE
    main = home / "node_modules" / "yaml-language-server" / "bin" / "yaml-language-server"
    with (folder / "install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not main.exists():
            _install(npm, home)
    return [node, str(main), "--stdio"]


def _install(npm: str, home: Path) -> None:
    new = home.with_name(f"{home.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    command = [npm, "install", "--prefix", ".", "--ignore-scripts", "--no-audit", "--no-fund", PACKAGE]
    try:
        done = subprocess.run(
            command, cwd=new, capture_output=True, text=True, timeout=PATIENCE * 3, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not install {PACKAGE} in {PATIENCE * 3} s")
    if done.returncode:
        if UNREACHABLE.search(done.stderr):
            said = " ".join(done.stderr.partition("npm error ")[2].split())
            pytest.skip(f"npm can't reach its registry: {said[:200]}")
        pytest.fail(f"npm could not install {PACKAGE}: {done.stderr}")
    shutil.rmtree(home, ignore_errors=True)
    new.rename(home)


class Editor:
    """The part of a client of the Language Server Protocol (3.17) that these tests need."""

    def __init__(self, command: list[str], folder: Path, schema: dict[str, Any]) -> None:
        file = folder / "bunsui.schema.json"
        file.write_text(json.dumps(schema), encoding="utf-8")
        self._folder = folder
        self._settings = {
            "yaml": {
                "schemas": {file.as_uri(): "*.yaml"},
                "schemaStore": {"enable": False},
                "validate": True,
                "hover": True,
                "completion": True,
            },
        }
        self._log = (folder / "server.log").open("wb")
        self._process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log
        )
        self._writing = threading.Lock()
        self._numbers = itertools.count(1)
        self._answers: dict[int, queue.SimpleQueue[Any]] = {}
        self._published: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="editor", daemon=True)
        self._reader.start()
        self._start()

    def _start(self) -> None:
        documentation = {"documentationFormat": ["markdown", "plaintext"], "snippetSupport": True}
        capabilities = {
            "textDocument": {"completion": {"completionItem": documentation}, "publishDiagnostics": {}},
            "workspace": {"configuration": True},
        }
        self._ask(
            "initialize",
            processId=os.getpid(),
            rootUri=self._folder.as_uri(),
            workspaceFolders=None,
            capabilities=capabilities,
        )
        self._tell("initialized")
        self._tell("workspace/didChangeConfiguration", settings=self._settings)
        # Before its settings have arrived, it finds nothing wrong with anything.
        uri = self._open("{}")
        while not self._next_diagnostics(uri):
            pass

    def close(self) -> None:
        """Stops the server."""
        try:
            self._ask("shutdown")
            self._tell("exit")
            self._process.wait(timeout=PATIENCE)
        finally:
            self._process.kill()
            self._process.wait(timeout=PATIENCE)
            self._reader.join(timeout=PATIENCE)
            for stream in (self._process.stdin, self._process.stdout, self._log):
                if stream is not None:
                    stream.close()

    # Messages

    def _send(self, **message: Any) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        with self._writing:
            self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            self._process.stdin.flush()

    def _tell(self, method: str, **params: Any) -> None:
        self._send(method=method, params=params)

    def _ask(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        answer = self._answers[number] = queue.SimpleQueue()
        self._send(id=number, method=method, params=params or None)
        message = answer.get(timeout=PATIENCE)
        assert "error" not in message, message
        return message["result"]

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while head := stream.readline():
            length = 0
            while head.strip():
                name, _, value = head.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
                head = stream.readline()
            self._take(json.loads(stream.read(length)))

    def _take(self, message: dict[str, Any]) -> None:
        method = message.get("method")
        if method is None:
            self._answers[message["id"]].put(message)
        elif method == "textDocument/publishDiagnostics":
            self._published.put(message["params"])
        elif method == "workspace/configuration":
            asked = message["params"]["items"]
            self._send(
                id=message["id"], result=[self._settings.get(item.get("section"), {}) for item in asked]
            )
        elif "id" in message:
            self._send(id=message["id"], result=None)

    # What an editor asks

    def _open(self, text: str) -> str:
        uri = (self._folder / f"pipeline-{next(self._numbers)}.yaml").as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._tell("textDocument/didOpen", textDocument=document)
        return uri

    def _next_diagnostics(self, uri: str) -> list[dict[str, Any]]:
        while True:
            published = self._published.get(timeout=PATIENCE)
            if published["uri"] == uri:
                return published["diagnostics"]

    def diagnostics(self, text: str) -> list[tuple[int, str]]:
        """(line, message) of what it finds wrong; lines start at 1."""
        found = self._next_diagnostics(self._open(text))
        return sorted((one["range"]["start"]["line"] + 1, one["message"]) for one in found)

    def _at(self, method: str, text: str) -> Any:
        """Its answer at the place that is marked with a bar."""
        before, _, after = text.partition("|")
        position = {"line": before.count("\n"), "character": len(before.rpartition("\n")[2])}
        uri = self._open(before + after)
        return self._ask(method, textDocument={"uri": uri}, position=position)

    def proposals(self, text: str) -> dict[str, str]:
        """What it proposes at the bar: what it would insert by what it shows."""
        answer = self._at("textDocument/completion", text)
        items = answer["items"] if isinstance(answer, dict) else answer
        return {item["label"]: item.get("insertText", "") for item in items}

    def explanation(self, text: str) -> str:
        """What it says of what is at the bar, without the marks of Markdown."""
        answer = self._at("textDocument/hover", text)
        return re.sub(r"\\(?=[\\`*_{}\[\]#+!])", "", answer["contents"]["value"]) if answer else ""


class Probe(JobType):
    """A plugin's job type, whose name begins with that of another one."""

    name = "lambda-probe"
    schema = {
        "type": "object",
        "$defs": {"level": {"enum": ["low", "high"], "description": "How much."}},
        "properties": {
            "level": {"$ref": "#/$defs/level"},
            "network": {
                "type": "object",
                "properties": {"subnets": {"type": "array", "items": {"type": "string"}}},
                "required": ["subnets"],
            },
        },
        "required": ["level"],
    }

    def run(self, call: Any) -> Any:
        return None


class Plugin:
    @staticmethod
    @bunsui.hookimpl
    def bunsui_job_types() -> list[JobType]:
        return [Probe()]


PLUGINS = bunsui.Plugins([Plugin], autoload=False)


@pytest.fixture(scope="module")
def editor(server: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    """An editor that knows the schema, with a plugin."""
    started = Editor(server, tmp_path_factory.mktemp("editor"), bunsui.json_schema(PLUGINS))
    yield started
    started.close()


HEAD = 'version: "1.0"\nname: n\n'
JOB = f"{HEAD}jobs:\n  - id: a\n    "
LAMBDA = f"{JOB}type: lambda\n    function: f\n    "
PROBE = f"{JOB}type: lambda-probe\n    "
TEMPLATE = f"{HEAD}jobs: [{{id: a, template: t}}]\ntemplates:\n  t:\n    "
PARAMETER = f"{HEAD}jobs: [{{id: a, type: lambda, function: f}}]\nparameters:\n  - name: p\n    "
#: Fields of jobs of one type only.
OWN = {"function", "task_definition", "command", "shell", "callable", "level", "network"}
OWN_OF_ECS = {"task_definition", "command", "network"}
TYPES = {"batch", "custom", "ecs", "glue", "lambda", "lambda-probe", "step_function"}
LISTED = ", ".join(f'"{name}"' for name in sorted(TYPES))


# Completion


def test_it_proposes_the_fields_of_a_pipeline(editor: Editor) -> None:
    """In an empty file all that are there, and what a pipeline begins with."""
    proposed = editor.proposals("|")
    assert set(proposed) - {"Pipeline"} == set(PIPELINE_FIELDS)
    assert proposed["version"] == 'version: "1.0"'


def test_it_proposes_only_what_is_not_there(editor: Editor) -> None:
    """Fields that a pipeline has are not proposed again."""
    assert {"version", "name"}.isdisjoint(editor.proposals(f"{HEAD}|"))


@pytest.mark.parametrize(
    ("text", "own"),
    [
        (f"{JOB}type: lambda\n    |", {"function"}),
        (f"{JOB}type: ecs\n    |", OWN_OF_ECS),
        (f"{JOB}type: custom\n    |", {"command", "shell", "callable"}),
        (f"{PROBE}|", {"level", "network"}),
        (f"{JOB}|", set()),
        (f"{HEAD}jobs:\n  - |", set()),
        (
            f"{HEAD}defaults: {{type: ecs}}\njobs:\n  - id: a\n    |",
            {"task_definition", "command", "network"},
        ),
        (f"{JOB}template: t\n    |", OWN),
        (f"{TEMPLATE}type: lambda\n    |", {"function"}),
        (f"{TEMPLATE}|", OWN),
    ],
)
def test_it_proposes_the_fields_of_the_jobs_type(editor: Editor, text: str, own: set[str]) -> None:
    """Beside the fields of every job it proposes those of the job's type, and no other type's."""
    proposed = set(editor.proposals(text))
    assert {"retry", "timeout", "condition", "depends_on"} - proposed == set()
    assert proposed & OWN == own


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (f"{JOB}type: |", TYPES),
        (f"{TEMPLATE}type: |", TYPES),
        (f"{HEAD}defaults:\n  type: |", TYPES),
        (f"{HEAD}on_failure: |", {"continue", "stop"}),
        (f"{LAMBDA}retry:\n      jitter: |", {"full", "none"}),
        (f"{TEMPLATE}retry:\n      jitter: |", {"full", "none"}),
        (f"{LAMBDA}isolation: |", {"thread", "process"}),
        (f"{LAMBDA}allow_failure: |", {"true", "false"}),
        (f"{PROBE}level: |", {"low", "high"}),
        (f"{PARAMETER}type: |", {"string", "integer", "number", "boolean", "array", "object"}),
    ],
)
def test_it_proposes_values(editor: Editor, text: str, values: set[str]) -> None:
    """Where only some values are right it proposes those."""
    assert set(editor.proposals(text)) == values


def test_it_proposes_the_fields_of_retry_with_their_defaults(editor: Editor) -> None:
    """What it inserts is the default."""
    proposed = editor.proposals(f"{LAMBDA}retry:\n      |")
    assert set(proposed) == {"max_attempts", "delay", "backoff", "max_delay", "jitter", "on"}
    assert proposed["max_delay"] == "max_delay: ${1:300}"


@pytest.mark.parametrize(
    ("text", "there", "not_there"),
    [
        (f"{PARAMETER}|", {"pattern", "maxLength", "secret", "enum"}, {"minimum", "items"}),
        (f"{PARAMETER}type: integer\n    |", {"minimum", "multipleOf", "enum"}, {"pattern", "items"}),
        (f"{PARAMETER}type: array\n    |", {"items", "uniqueItems"}, {"pattern", "minimum"}),
        (f"{TEMPLATE}inputs:\n      - name: x\n        |", {"pattern", "required"}, {"minimum", "secret"}),
        (f"{JOB}template: t\n    |", {"with"}, {"id"}),
        (f"{JOB}type: lambda\n    |", {"template"}, {"with"}),
        (f"{TEMPLATE}|", {"inputs"}, {"id", "template", "with"}),
        (f"{HEAD}defaults:\n  |", {"type", "retry", "pool"}, {"id", "for_each", "depends_on"}),
        (f"{PROBE}network:\n      |", {"subnets"}, {"level"}),
    ],
)
def test_it_proposes_what_can_stand_there(
    editor: Editor, text: str, there: set[str], not_there: set[str]
) -> None:
    """Keywords are those of the parameter's type, fields those of the place."""
    proposed = set(editor.proposals(text))
    assert (there - proposed, not_there & proposed) == (set(), set())


# Explanations


@pytest.mark.parametrize(
    ("text", "title", "said"),
    [
        ("version: |'1.0'\n", "Version", "The version of the definition language."),
        ("on_fai|lure: stop\n", "On failure", "independent branches go on"),
        (f"{LAMBDA}re|try: 3\n", "Retry", "a number is short for max_attempts"),
        (f"{LAMBDA}retry:\n      jit|ter: full\n", "Jitter", "a random time between 0 and the wait"),
        (f"{LAMBDA}time|out: 15m\n", "Timeout", "How long one attempt may take"),
        (f"{LAMBDA}for_|each: [1]\n", "For each", "the job runs once for each item"),
        (f"{JOB}ty|pe: lambda\n", "Job type", "What kind of work it is"),
        (f"{JOB}type: lambda\n    func|tion: f\n", "Function", "May hold references"),
        (
            f"{JOB}type: custom\n    sh|ell: ${{x}}\n",
            "Shell",
            "May hold references, such as ${parameters.NAME}",
        ),
        (f"{PROBE}le|vel: high\n", "Level", "How much. May hold references"),
        (f"{PROBE}net|work: {{}}\n", "Network", "A field of lambda-probe jobs."),
        (f"{PROBE}network: {{sub|nets: []}}\n", "Subnets", "May hold references"),
        (f"{TEMPLATE}isola|tion: ${{inputs.x}}\n", "Isolation", "such as ${inputs.NAME}"),
        (f"{PARAMETER}ty|pe: integer\n", "Type", "The type of its values."),
        (f"{PARAMETER}type: integer\n    mini|mum: 3\n", "Minimum", "The least value."),
    ],
)
def test_it_explains_fields(editor: Editor, text: str, title: str, said: str) -> None:
    """Title and description of a field are shown where its key stands."""
    shown = editor.explanation(text)
    assert shown.startswith(f"#### {title}\n")
    assert said in shown


# Problems


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (HEAD, [(1, 'Missing property "jobs".')]),
        (f"{LAMBDA}retrys: 3\n", [(7, "Property retrys is not allowed.")]),
        (f"{LAMBDA}command: [a]\n", [(7, "Property command is not allowed.")]),
        (f"{JOB}type: lambda\n", [(4, 'Missing property "function".')]),
        (f"{JOB}name: x\n", [(4, 'Missing property "type".')]),
        (f"{HEAD}jobs:\n  - type: lambda\n    function: f\n", [(4, 'Missing property "id".')]),
        (f"{HEAD}defaults: {{type: ecs}}\njobs:\n  - id: a\n", [(5, 'Missing property "task_definition".')]),
        (f"{LAMBDA}depends_on: b\n", [(7, 'Incorrect type. Expected "array".')]),
        (f"{LAMBDA}with: {{}}\n", [(4, "Object is missing property template required by property with.")]),
        (
            f"{JOB}type: lamda\n",
            [(5, f"Value is not accepted. Valid values: {LISTED}.")],
        ),
        (
            f"{LAMBDA}isolation: proces\n",
            [(7, 'Value is not accepted. Valid values: "thread", "process".')],
        ),
        (
            f"{JOB}type: custom\n    command: [a]\n    shell: yes\n",
            [(7, "It must be true or false, or a reference such as ${parameters.NAME}.")],
        ),
        (
            f"{LAMBDA}timeout: 15 minutes\n",
            [(7, "It must be more than 0: seconds, or a text such as 15m (ms, s, m, h, d).")],
        ),
        (f"{LAMBDA}retry: {{max_attempt: 3}}\n", [(7, "Property max_attempt is not allowed.")]),
        (
            f"{LAMBDA}for_each: a\n",
            [(7, "It must be a list, or one reference to a list, such as ${jobs.ID.output}.")],
        ),
        (f"{PROBE}level: mid\n", [(6, 'Value is not accepted. Valid values: "low", "high".')]),
        (f"{PROBE}level: low\n    network: {{}}\n", [(7, 'Missing property "subnets".')]),
        (f"{TEMPLATE}id: x\n", [(6, "Property id is not allowed.")]),
        (
            f"{TEMPLATE}retry: ${{parameters.x}}\n",
            [(6, "It must be a whole number or a mapping, or a reference such as ${inputs.NAME}.")],
        ),
        (f"{PARAMETER}minimum: 3\n", [(6, "Property minimum is not allowed.")]),
        (
            f"{PARAMETER}type: integer\n    default: a\n",
            [(7, "Incorrect type. Expected one of integer, null.")],
        ),
        (
            f"{PARAMETER}secret: true\n    default: abc\n",
            [(7, "It must be one reference to a secret, such as ${secrets.NAME}.")],
        ),
    ],
)
def test_it_finds_what_is_wrong(editor: Editor, text: str, found: list[tuple[int, str]]) -> None:
    """What is wrong is said once, where it is."""
    assert editor.diagnostics(text) == found


EVERYTHING = """\
version: "1.0"
name: Everything
description: All that the language can say.
parameters:
  - {name: bucket, required: true, pattern: "^[a-z]+$"}
  - {name: rows, type: integer, default: 3, minimum: 1}
  - {name: password, secret: true, default: "${secrets.db_password}"}
  - {name: regions, type: array, default: [north], items: {type: string}}
defaults:
  retry: 3
  timeout: 1h
templates:
  load:
    type: lambda
    inputs:
      - {name: table, required: true}
      - {name: tries, type: integer, default: 2}
      - {name: after, type: array, default: []}
      - {name: place, default: thread}
    function: load-${inputs.table}
    retry: {max_attempts: "${inputs.tries}", delay: 5, jitter: none, on: ["Lambda.TooMany*"]}
    timeout: ${inputs.tries}m
    depends_on: ${inputs.after}
    isolation: ${inputs.place}
    parameters:
      table: ${inputs.table}
      password: ${password}
  probing:
    type: lambda-probe
    network: {subnets: [a]}
jobs:
  - id: list
    type: custom
    command: [python, list.py, "${bucket}"]
    shell: false
    allow_failure: true
    pool: gpu
  - id: each
    name: Each of them
    type: lambda
    function: ${bucket}-function
    for_each: ${jobs.list.output.files}
    max_concurrency: 3
    depends_on: [list]
    condition: ${rows} > 0 and not failed(list)
    parameters: {file: "${item}", at: "${item_index}", deep: [{rows: "${rows}"}]}
  - id: load
    template: load
    with: {table: flights, after: [each]}
  - id: probe
    template: probing
    level: ${bucket}
  - id: probe2
    type: lambda-probe
    level: high
    network: {subnets: "${regions}"}
outputs:
  rows: ${jobs.load.output.rows}
  count: 3
on_failure: stop
timeout: 2h
max_concurrency: 4
alerts:
  - {on: failure, channel: ops, job: load, silence: 1h}
  - {on: recovery, channel: [ops, log]}
  - {on: duration, above: 2h, channel: ops}
  - {on: duration, above_median: 3, runs: 10, job: each, channel: ops}
  - {on: success_rate, below: 0.9, channel: ops}
  - {on: stalled, after: 30m, channel: log}
metadata: {team: flights, anything: [1, {a: b}]}
"""


def test_it_finds_nothing_wrong_with_what_is_right(editor: Editor) -> None:
    """A definition that uses all that there is, and is valid, has no problem."""
    assert [p for p in bunsui.validate(EVERYTHING, PLUGINS) if p.severity == "error"] == []
    assert set(PIPELINE_FIELDS) == set(parse(EVERYTHING).data)
    assert editor.diagnostics(EVERYTHING) == []


def test_patterns_are_javascripts(server: list[str]) -> None:
    """Every pattern is one for JavaScript, with the flag that editors set."""
    patterns: list[str] = []

    def collect(part: Any) -> None:
        for key, value in part.items() if isinstance(part, dict) else enumerate(part):
            if key == "pattern" and isinstance(value, str):
                patterns.append(value)
            elif key == "patternProperties":
                patterns.extend(value)
            if isinstance(value, (dict, list)):
                collect(value)

    collect(bunsui.json_schema(PLUGINS))
    script = "JSON.parse(process.argv[1]).forEach(pattern => new RegExp(pattern, 'u'))"
    done = subprocess.run(
        [server[0], "-e", script, json.dumps(patterns)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert len(set(patterns)) > 5
    assert done.stderr == ""
