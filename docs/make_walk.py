"""Writes docs/architecture/walk.md: the way of one value through the library, as it is seen to go.

It runs a pipeline whose first process dies, has another one resume the session and run it again, and notes
each function of the library that is given the value, or gives it back. Run ``python docs/make_walk.py`` after
a change; a test fails where the page is out of date. A file on the way that `ROOMS` does not explain, or one
that it explains in vain, is an error: the way can't change unseen.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

import bunsui
from bunsui.engine.events import Event, JobSucceeded
from bunsui.model.json import Json

PAGE = Path(__file__).parent / "architecture" / "walk.md"
SOURCE = str(Path(bunsui.__file__).parent)
#: The value: nothing else holds this text.
VALUE = "Osaka"
DEFINITION = """\
version: "1.0"
name: walk
parameters:
  - {name: city, type: string, default: Osaka}
jobs:
  - id: greet
    type: custom
    callable: steps:greet
    parameters: {city: "${city}"}
  - id: send
    type: custom
    callable: steps:send
    parameters: {text: "${jobs.greet.output.text}"}
    depends_on: [greet]
"""
STEPS = """\
import sys
from pathlib import Path

MARK = Path(__file__).with_name("died")


def greet(city):
    return {"text": f"Hello, {city}"}


def send(text):
    if not MARK.exists():
        MARK.touch()
        sys.modules["__main__"].die()
    return {"sent": text}
"""
#: Beside texts, JSON, mappings, lists and events: what carries the value, and is not made of something that
#: holds everything.
CARRIERS = {"Append", "Commit", "Document", "Inputs", "JobCall", "Parameter", "Pipeline", "Put", "Scope"}
#: Where the driver goes over to something else: the function that it enters then.
TURNS = {"scope_of": "input", "take_over": "takeover", "encode_event": "commit", "Keeping.is_due": "result"}
#: What each stage is, in the order of the page; None: the same as in the first one of its kind.
STAGES: dict[str, tuple[str, str | None]] = {
    "load · caller": (
        "The definition is read",
        "The text becomes a tree whose nodes know line and column; the tree is checked; a `Pipeline` "
        "is made of it. Each of these is one pass over all of it. The value is the default of a "
        "parameter here, and was taken from the text once, as a node's own.",
    ),
    "run · caller": (
        "A session is started",
        "What was given for the parameter is checked against its declaration, and copied: what the "
        "caller does to it later reaches nobody. It stands in the session's first fact, "
        "`SessionCreated`, which is the one place that every later look at the parameter goes back "
        "to. The definition, which has the value as a default, is put under its digest.",
    ),
    "run · driver · input": (
        "The driver makes the job's input",
        "The engine has said which job starts; its `${...}` are replaced by what they name. A "
        "parameter comes from the fold of `SessionCreated`, an output from that of `JobSucceeded`: "
        "decoded, and copied for each job, so that no job can change another one's input.",
    ),
    "run · driver · commit": (
        "What is about to happen becomes durable",
        "One commit for all that the driver's turn has decided. Events are written field by field; an "
        "output is put in as the text that the attempt's thread has made. Only then does the attempt "
        "start, and only then does an observer see anything.",
    ),
    "run · attempt": (
        "The job is called",
        "In a thread of its own: the input becomes a `JobCall`, and what the callable returns is "
        "encoded, once, where it was made.",
    ),
    "run · observer": (
        "An observer is shown it",
        "In another thread. Events are values that several may share; what could be changed of one is "
        "copied.",
    ),
    "run · driver · result": (
        "The output becomes a fact",
        "`JobSucceeded` goes through the engine, which applies it to the fold and decides what "
        "follows; it rides in the same commit as the start of that.",
    ),
    "resume · caller": (
        "Another process takes the session over",
        "The first one has died while the second job ran. The history is read once and folded once, "
        "by the engine that will go on with it; the definition is the session's own copy, read by its "
        "digest, once for the handle and the driver. Its first commit is read by itself before that, "
        "as it says which definition.",
    ),
    "resume · driver · input": (
        "The second job's input, again",
        "As it was made in the process that died: the output of the first job is in the history, so "
        "that job does not run again.",
    ),
    "resume · attempt": (
        "The second job is called",
        "Under the same idempotency key as before.",
    ),
    "resume · driver · result": ("Its output becomes a fact", None),
    "resume · driver · commit": ("That becomes durable", None),
    "outputs · caller": (
        "`session.outputs`",
        "The handle takes over the fold that the driver has let go of, rather than reading the "
        "history again. An output is decoded when somebody looks at it.",
    ),
    "rerun · caller": (
        "The session is run again",
        "The earlier session is read and folded; a digest of each job's work, before and now, says "
        "which outputs are taken over. The definition comes from the store, so it is checked here: it "
        "was another Runner, perhaps with other plugins, that has checked it. The rest is as with any "
        "start.",
    ),
    "rerun · driver · takeover": (
        "An output is taken over",
        "`JobReused` has the text of the earlier session's output, as it stood there.",
    ),
    "rerun · driver · input": (
        "The second job's input, once more",
        "From what was taken over.",
    ),
    "rerun · driver · commit": ("What is about to happen becomes durable", None),
    "rerun · attempt": ("The second job is called", None),
    "rerun · driver · result": ("Its output becomes a fact", None),
}
#: What each file on the way is for.
ROOMS = {
    "dsl/acceptor.py": "the schemas of the language's own fields, as closures",
    "dsl/definition.py": "a `Pipeline` of a tree that has been checked, and back",
    "dsl/loader.py": "from a file, text or mapping to a checked `Pipeline`",
    "dsl/parameters/declarations.py": "what parameters declare",
    "dsl/parameters/inputs.py": "what was given for them: checked, and copied",
    "dsl/parameters/keywords.py": "the JSON Schema keywords of a declaration",
    "dsl/parameters/values.py": "a value against its declaration",
    "dsl/parser.py": "text, or plain data, to a tree",
    "dsl/passed.py": "with which job types a `Pipeline` has been checked, so that the same is not done twice",
    "dsl/placing.py": "which file a `Pipeline` is from, for the places of what turns out to be wrong",
    "dsl/shapes.py": "a tree against the language's schema",
    "dsl/templates.py": "what `templates` declare",
    "dsl/templating.py": "templates and defaults are put in",
    "dsl/tree.py": "nodes with line and column, within the limits",
    "dsl/validator.py": "all that can be wrong, in one list",
    "dsl/wiring.py": "references and dependencies against what there is",
    "dsl/yaml_parser.py": "the events of a YAML parser to nodes",
    "engine/attempts.py": "an attempt's state after a fact",
    "engine/decide.py": "the engine: a fact goes in, actions come out",
    "engine/events/__init__.py": "an event for somebody who may do anything to it",
    "engine/fold.py": "the state of a session after a fact",
    "engine/transitions.py": "the table of statuses: whether that may follow",
    "expressions/references.py": "whether a text holds references",
    "expressions/resolution.py": "a reference replaced by what it names",
    "expressions/settling.py": "the same as far as it is known before anything has run",
    "jobs/custom.py": "the job type: a command or a callable",
    "local/callables.py": "calls a function with the parameters as keywords",
    "local/results.py": "what was returned, encoded, or why it can't be",
    "model/lazy.py": "attributes that are computed once, without a lock",
    "model/json.py": "JSON as its text; plain data as text, canonical text, or a copy",
    "model/pipeline.py": "the `Pipeline`, and its public doors to `dsl`",
    "model/session.py": "where a job stands, with its output",
    "plugins/observer.py": "calls an observer with the arguments that it takes",
    "runner/driving/commits.py": "one append for all sessions of a turn",
    "runner/control.py": "what a Runner and its Sessions share: who drives what, which definitions are known",
    "runner/sessions/creation.py": "a session's creation, with all that it needs to be run from anywhere",
    "runner/sessions/digests.py": "whether two jobs do the same work",
    "runner/attempts/calls.py": "what a job type is given for an attempt",
    "runner/attempts/keeping.py": "whether an output is so large that it becomes an artifact",
    "runner/driving/live.py": "a session while a driver drives it",
    "runner/driving/narrating.py": "what becomes of sessions, in the program's log",
    "runner/sessions/needs.py": "the variables, secrets and pools that a definition names",
    "runner/driving/observers.py": "a lane for each observer",
    "runner/attempts/outcomes.py": "what became of an attempt, as a fact",
    "runner/outputs.py": "outputs by job, decoded when somebody looks",
    "runner/sessions/preflight.py": "whether what a session needs is here",
    "runner/sessions/reading.py": "what a store knows of a session",
    "stores/sessions.py": "what a store holds of sessions: entries, histories, definitions",
    "runner/sessions/reruns.py": "which jobs take their outputs over, and which run",
    "runner/runner.py": "the `Runner`",
    "runner/alerting/alerting.py": "which rules for alerts hold for a session, and who watches it",
    "runner/attempts/starting.py": "from a decision to what it needs",
    "runner/launching.py": "the part of a `Runner` that starts sessions",
    "runner/view.py": "the part of a `Session` that reads",
    "runner/attempts/work.py": "an attempt, and the border at which a job's exceptions stop",
    "stores/checksums.py": "the checksum of a document",
    "stores/records.py": "events as the text of a commit, and back",
    "stores/rows.py": "rows of SQLite as commits and documents",
    "stores/sqlite.py": "the store",
}
HEAD = """\
# The walk of one value

<!-- Written by docs/make_walk.py from a run; a test holds the two together. -->

One parameter's value, from a line of YAML to a job's call, its output into the history, from there to an
observer, to `session.outputs`, into another process that resumes the session, and into a rerun. The page is
made by running this pipeline, whose first process dies in the second job, and noting each function of the
library that is given the value, or gives it back. What holds everything, such as the driver itself, is
left out.

"""


class Recorder:
    """Notes who is given the value: (stage, file, function), in order."""

    def __init__(self) -> None:
        self.phase = ""
        self.hops: list[tuple[str, str, str]] = []
        self._driver = "input"

    def start(self) -> None:
        """Looks at all calls from now on, in all threads."""
        threading.setprofile(self._look)
        sys.setprofile(self._look)

    def stop(self, path: Path) -> None:
        """Looks no more, and writes what was seen."""
        sys.setprofile(None)
        threading.setprofile(None)
        path.write_text(json.dumps(self.hops))

    def _look(self, frame: Any, event: str, result: object) -> None:
        code = frame.f_code
        if event not in ("call", "return") or not code.co_filename.startswith(SOURCE):
            return
        if event == "call":
            names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            values = [frame.f_locals.get(name) for name in names if name not in ("self", "cls")]
        else:
            values = [result]
        if any(map(holds, values)):
            file = code.co_filename[len(SOURCE) + 1 :]
            self.hops.append((self._stage(code.co_qualname), file, code.co_qualname))

    def _stage(self, function: str) -> str:
        thread = threading.current_thread().name
        if thread == "bunsui-driver":
            self._driver = TURNS.get(function, self._driver)
            return f"{self.phase} · driver · {self._driver}"
        who = {"MainThread": "caller"}.get(thread, "observer" if "observer" in thread else "attempt")
        return f"{self.phase} · {who}"


def holds(value: Any, depth: int = 6) -> bool:
    """Whether a value is the one that is followed, or something with it in it."""
    if isinstance(value, str):
        return VALUE in value
    if isinstance(value, bytes):
        return VALUE.encode() in value
    if value.__class__ is Json:
        return VALUE in value.text
    if not depth:
        return False
    if isinstance(value, dict):
        return any(holds(each, depth - 1) for each in list(value.values()))
    if isinstance(value, list | tuple):
        return any(holds(each, depth - 1) for each in value)
    if isinstance(value, Event) or type(value).__name__ in CARRIERS:
        names = [field.name for field in attrs.fields(type(value))]
        return any(holds(getattr(value, name, None), depth - 1) for name in names)
    return False


recorder = Recorder()
#: Set once an observer has seen that the first job has succeeded.
seen = threading.Event()


class Watching:
    """The observer."""

    @bunsui.hookimpl
    def bunsui_session_event(self, event: Event) -> None:
        """Lets the second job go on once the first one's success was shown."""
        if isinstance(event, JobSucceeded) and event.job == "greet":
            seen.set()


def die() -> None:
    """Called by the second job of the first process."""
    seen.wait(60)
    recorder.stop(Path("first.json"))
    os._exit(9)


def first() -> None:
    """Loads, starts, and dies while the second job runs."""
    recorder.start()
    recorder.phase = "load"
    pipeline = bunsui.Pipeline.load("pipeline.yaml")
    recorder.phase = "run"
    runner = bunsui.Runner("sqlite:///walk.db", plugins=[Watching()])
    session = runner.start(pipeline, {"city": VALUE})
    Path("session").write_text(session.id)
    session.wait()


def second() -> None:
    """Resumes it, looks at its outputs, and runs it again."""
    recorder.start()
    recorder.phase = "resume"
    with bunsui.Runner("sqlite:///walk.db") as runner:
        session = runner.resume(Path("session").read_text())
        recorder.phase = "outputs"
        sent = session.outputs["send"]
        recorder.phase = "rerun"
        again = runner.rerun(session.id, ["send"]).outputs["send"]
    if sent != again or sent != {"sent": f"Hello, {VALUE}"}:
        raise SystemExit(f"the jobs came to {sent} and {again}")
    recorder.stop(Path("second.json"))


def walked() -> dict[str, dict[str, list[str]]]:
    """By stage, the files in the order in which they first had the value, each with its functions."""
    stages: dict[str, dict[str, list[str]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "pipeline.yaml").write_text(DEFINITION)
        Path(folder, "steps.py").write_text(STEPS)
        for process, code in (("first", 9), ("second", 0)):
            command = [sys.executable, __file__, process]
            done = subprocess.run(command, cwd=folder, check=False, timeout=120)  # noqa: S603 - this file
            if code != done.returncode:
                raise SystemExit(f"the {process} process ended with {done.returncode}")
            for stage, file, function in json.loads(Path(folder, f"{process}.json").read_text()):
                functions = stages.setdefault(stage, {}).setdefault(file, [])
                # What is defined within a function is that function's affair, as are those of the file alone.
                name = function.partition(".<locals>")[0]
                if name not in functions and not name.rpartition(".")[2].startswith("_"):
                    functions.append(name)
    return stages


def picture(stages: Mapping[str, Mapping[str, object]]) -> str:
    """The way as a flowchart of Mermaid: a box for each stage, with the files in it."""
    lines = ["flowchart TB"]
    for number, (stage, (title, prose)) in enumerate(STAGES.items(), 1):
        lines += [f'  subgraph S{number}["{number}. {title}<br/>{stage}"]', "    direction LR"]
        shown = [f"as {_like(stage)}"] if prose is None else [*stages[stage]]
        nodes = [f'S{number}F{index}["{text}"]' for index, text in enumerate(shown)]
        lines += [f"    {' --> '.join(nodes)}", "  end"]
        if number > 1:
            lines.append(f"  S{number - 1} --> S{number}")
    return "\n".join(lines)


def _like(stage: str) -> int:
    """The number of the first stage in which the same is done."""
    kind = stage.partition(" · ")[2]
    return next(number for number, other in enumerate(STAGES, 1) if other.endswith(kind))


def page() -> str:
    """The page of the way, as it is seen to go now.

    Raises:
        SystemExit: something on it is not explained, or is explained in vain.
    """
    stages = walked()
    files = {file for each in stages.values() for file in each}
    for what, there, explained in (("stages", set(stages), set(STAGES)), ("files", files, set(ROOMS))):
        if there != explained:
            raise SystemExit(f"{what} that the walk and its explanations differ in: {there ^ explained}")
    text = f"{HEAD}```yaml\n{DEFINITION}```\n\n```python\n# steps.py\n{STEPS}```\n\n"
    text += f"```mermaid\n{picture(stages)}\n```\n"
    for number, (stage, (title, prose)) in enumerate(STAGES.items(), 1):
        text += f"\n## {number}. {title}\n\n"
        if prose is None:
            text += f"As {_like(stage)}.\n"
            continue
        text += f"{textwrap.fill(prose, 110)}\n\n"
        for file, functions in stages[stage].items():
            named = f" ({', '.join(f'`{name}`' for name in functions)})" if functions else ""
            text += f"- `{file}`: {ROOMS[file]}{named}\n"
    return text


def main() -> None:
    """Writes the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    {"first": first, "second": second, "": main}["".join(sys.argv[1:])]()
