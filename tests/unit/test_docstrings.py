"""Every public name says what it is, and shows it by an example that runs.

An example is a ``::`` block of a docstring. In its namespace are `bunsui` and, where it names them, a
`pipeline`, a `runner`, and a `session` of both; the pipeline's file and the module of its jobs lie in the
current folder. What stands as a comment behind a ``print`` is what that prints.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import io
import re
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, redirect_stdout
from functools import cache, cached_property
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest
from attrs import frozen

import bunsui
import bunsui.logging
import bunsui.testing
from bunsui.ports import clock, hooks, job_type, remote, remote_log, secrets, store

#: What users call, and what authors of plugins implement.
MODULES = (bunsui, bunsui.logging, bunsui.testing, clock, hooks, job_type, remote, remote_log, secrets, store)
#: What has no docstring: texts, and the alias of a tuple.
PLAIN = {
    "bunsui.__version__",
    "bunsui.ports.hooks.PROJECT",
    "bunsui.ports.job_type.Finding",
    "bunsui.ports.job_type.Hinted",
    "bunsui.ports.remote_log.TAIL",
}

PIPELINE = """
version: "1.0"
name: ETL Pipeline
parameters:
  - {name: source_bucket, type: string, default: flights}
jobs:
  - id: extract_data
    type: custom
    callable: steps:extract
    parameters: {bucket: "${source_bucket}"}
  - id: load_data
    type: custom
    callable: steps:load
    parameters: {rows: "${jobs.extract_data.output.rows}"}
    depends_on: [extract_data]
"""
STEPS = """
import bunsui

def extract(bucket):
    if bucket == "missing":
        raise LookupError("there is no bucket 'missing'")
    bunsui.current_call().logger.info("reading %s", bucket)
    return {"rows": 3}

def load(rows):
    return rows
"""

_BLOCK = re.compile(r"::\n\n((?:    .*\n|\n)+)")
_PRINTED = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)


def blocks(text: str | None) -> list[str]:
    """The examples of a docstring."""
    clean = "" if text is None else inspect.cleandoc(text) + "\n"
    return [textwrap.dedent(block) for block in _BLOCK.findall(clean)]


def used(text: str | None) -> set[str]:
    """The names that the examples of a docstring call, read or define."""
    nodes = (node for block in blocks(text) for node in ast.walk(ast.parse(block)))
    names = ("attr", "id", "name")
    return {getattr(node, name) for node in nodes for name in names if hasattr(node, name)}


def public(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """The names of a module that are for others, with what they stand for."""
    names = getattr(module, "__all__", None)
    if names is None:
        made_here = {name for name in vars(module) if re.search(rf"^(class )?{name}\b", source(module), re.M)}
        names = [name for name in made_here if name[0] != "_"]
    for name in names:
        if f"{module.__name__}.{name}" not in PLAIN:
            yield f"{module.__name__}.{name}", getattr(module, name)


@cache
def source(thing: Any) -> str:
    """The text of a module or a class."""
    return inspect.getsource(thing)


@frozen
class Member:
    """A public attribute of a class that is this library's."""

    #: The class that has it; a base class of the public one, perhaps.
    owner: type
    name: str
    value: Any

    @property
    def is_method(self) -> bool:
        """Whether it is called."""
        return isinstance(self.value, FunctionType | classmethod | staticmethod)

    @property
    def text(self) -> str | None:
        """Its docstring; of a plain value the comment above it."""
        if self.is_method or isinstance(self.value, property | cached_property):
            return getattr(self.value, "__func__", self.value).__doc__
        return comments(self.owner).get(self.name)


@cache
def comments(cls: type) -> Mapping[str, str]:
    """What stands in ``#:`` above the attributes of a class."""
    found: dict[str, str] = {}
    above: list[str] = []
    for line in source(cls).splitlines():
        text = line.strip()
        match = re.match(r"(?:self\.)?(\w+)\s*[:=]", text)
        if match and above:
            found[match[1]] = " ".join(above)
        above = [*above, text[2:].strip()] if text.startswith("#:") else []
    return found


def members(cls: type) -> Iterator[Member]:
    """Those of a class and of its bases; of an attribute that stands in several, the first."""
    seen = set()
    for owner in cls.__mro__:
        if not owner.__module__.startswith("bunsui"):
            continue
        annotated = vars(owner).get("__annotations__", {})
        for name in [*vars(owner), *annotated]:
            value = vars(owner).get(name)
            is_code = isinstance(
                value, FunctionType | classmethod | staticmethod | property | cached_property
            )
            # A subclass that sets a value says no more of it than the class that declares it.
            if name.startswith("_") or name in seen or not (is_code or name in annotated):
                continue
            seen.add(name)
            yield Member(owner, name, value)


#: What is public, by its name; what stands in two modules, once.
SURFACE = dict(
    {id(thing): (name, thing) for module in MODULES[::-1] for name, thing in public(module)}.values()
)
CLASSES = {name: thing for name, thing in SURFACE.items() if isinstance(thing, type)}
MEMBERS = {f"{name}.{one.name}": (cls, one) for name, cls in CLASSES.items() for one in members(cls)}


def docstring(name: str, thing: Any) -> str | None:
    """That of a thing itself, not of a base class; of a marker of pluggy that of the module that makes it."""
    if isinstance(thing, type):
        return vars(thing).get("__doc__")
    found: str | None = thing.__doc__
    return found if isinstance(thing, FunctionType) else importlib.import_module(home(name)).__doc__


def home(name: str) -> str:
    """The module where a public name is made."""
    module, _, short = name.rpartition(".")
    return bunsui._HOME.get(short, module)


def every_example() -> Iterator[tuple[str, str]]:
    """Each example with where it stands, once."""
    texts = {"bunsui": bunsui.__doc__}
    for name, thing in SURFACE.items():
        texts[home(name) if "hooks" in home(name) else name] = docstring(name, thing)
    for _, one in MEMBERS.values():
        if one.is_method or isinstance(one.value, property | cached_property):
            texts[f"{one.owner.__module__}.{one.owner.__qualname__}.{one.name}"] = one.text
    for where, text in texts.items():
        for number, block in enumerate(blocks(text)):
            yield f"{where.removeprefix('bunsui.')}-{number + 1}", block


EXAMPLES = dict(every_example())


def test_the_surface_is_all_there() -> None:
    """What is looked at has not become empty by mistake."""
    public_names = {"bunsui.Runner", "bunsui.validate", "bunsui.testing.simulate", "bunsui.ports.store.Store"}
    assert public_names <= set(SURFACE)
    assert {"bunsui.Runner.create_pipeline", "bunsui.Session.id", "bunsui.Job.depends_on"} <= set(MEMBERS)
    assert len(EXAMPLES) > 120


def test_every_public_name_has_a_docstring() -> None:
    """Of its own; a plain value has a comment (``#:``), or stands among the ``Attributes`` of its class."""
    missing = [name for name, thing in SURFACE.items() if not docstring(name, thing)]
    for name, (cls, one) in MEMBERS.items():
        if not one.text and (one.is_method or not re.search(rf"\b{one.name}: ", cls.__doc__ or "")):
            missing.append(name)
    assert [] == missing


def test_every_class_and_function_has_an_example() -> None:
    """In its docstring, where it is met or made."""
    missing = [name for name, thing in SURFACE.items() if not blocks(docstring(name, thing))]
    assert [] == missing


def test_every_method_has_an_example() -> None:
    """Its own, or one of its class, or of the class whose port it implements, uses it."""
    missing = []
    for name, (cls, one) in MEMBERS.items():
        texts = [base.__doc__ for base in cls.__mro__ if hasattr(base, one.name)]
        texts += [other.text for other in members(cls)]
        texts += [getattr(vars(base).get(one.name), "__doc__", None) for base in cls.__mro__]
        # Those of the suites are never called, and those of a class of Python's are known, or called by it.
        others = [base for base in cls.__mro__ if not base.__module__.startswith("bunsui")]
        is_known = one.name.startswith("test_") or any(hasattr(base, one.name) for base in others)
        is_needed = one.is_method and not is_known
        if is_needed and not blocks(one.text) and not any(one.name in used(text) for text in texts):
            missing.append(name)
    assert [] == missing


@pytest.mark.parametrize("block", EXAMPLES.values(), ids=list(EXAMPLES))
def test_the_example_runs(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And prints what it says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BUNSUI_STORE", "memory://")
    (tmp_path / "pipeline.yaml").write_text(PIPELINE, encoding="utf-8")
    (tmp_path / "steps.py").write_text(STEPS, encoding="utf-8")
    printed = io.StringIO()
    with ExitStack() as stack:
        names: dict[str, Any] = {"__name__": "__main__", "bunsui": bunsui}
        if re.search(r"\b(pipeline|runner|session)\b", block):
            names["pipeline"] = bunsui.Pipeline.load("pipeline.yaml")
        if re.search(r"\b(runner|session)\b", block):
            names["runner"] = stack.enter_context(bunsui.Runner())
        if re.search(r"\bsession\b", block):
            names["session"] = names["runner"].run(names["pipeline"], {"source_bucket": "flights"})
        with redirect_stdout(printed):
            exec(compile(block, "<example>", "exec"), names)

    assert _PRINTED.findall(block) == printed.getvalue().splitlines()
