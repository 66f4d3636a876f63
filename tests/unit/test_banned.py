"""What could run text as code, make objects of bytes or unpack archives is used only where it is said."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import bunsui

ROOT = Path(bunsui.__file__).parent

#: Modules that make objects of bytes, run text, or write where an archive says.
MODULES = [
    "_pickle",
    "builtins",
    "cloudpickle",
    "code",
    "codeop",
    "commands",
    "dbm",
    "dill",
    "imp",
    "jsonpickle",
    "marshal",
    "pickle",
    "pickletools",
    "pty",
    "runpy",
    "shelve",
    "tarfile",
    "zipfile",
    "zipimport",
]
#: Functions that need no import.
BUILTINS = ["__import__", "breakpoint", "compile", "eval", "exec", "execfile", "input"]
#: Names of other modules, however these are called; of a module that is given, there only.
NAMES = [
    "exec_module",
    "extractall",
    "import_module",
    "load_module",
    "load_source",
    "module_from_spec",
    "os.popen",
    "os.system",
    "spec_from_file_location",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
    "unpack_archive",
    "create_subprocess_shell",
]
#: Of PyYAML only parser and emitter are used: it makes no object of a document.
YAML = [
    "load",
    "load_all",
    "full_load",
    "full_load_all",
    "unsafe_load",
    "unsafe_load_all",
    "safe_load",
    "safe_load_all",
    "Loader",
    "CLoader",
    "FullLoader",
    "CFullLoader",
    "UnsafeLoader",
    "CUnsafeLoader",
    "constructor",
    "add_constructor",
    "YAMLObject",
]

#: What is used all the same, by file, and why.
ALLOWED = {
    ("__init__.py", "import_module"): "the public names are loaded late, from a table of ours",
    ("aws/__init__.py", "import_module"): "likewise",
    ("logging/__init__.py", "import_module"): "likewise",
    ("monitoring/__init__.py", "import_module"): "likewise",
    ("testing/__init__.py", "import_module"): "likewise",
    ("diagnosis/installation.py", "import_module"): "doctor tries the libraries of a table of ours",
    ("local/callables.py", "import_module"): "a job's callable, as its definition names it; no store does",
    ("local/callables.py", "spec_from_file_location"): "likewise, from the definition's folder",
    ("local/callables.py", "module_from_spec"): "likewise",
    ("local/callables.py", "exec_module"): "likewise",
    ("jobs/custom.py", "shell="): "a field of a job, given to a function that checks it",
    ("local/process.py", "/bin/sh"): "a command with 'shell: true', which can hold no references",
}


def banned(source: str) -> Iterator[tuple[int, str]]:
    """The lines of a module that use what is banned, and what that is."""
    names = {name.rpartition(".")[2]: name for name in NAMES}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            for alias in node.names:
                whole = f"{module}.{alias.name}" if module else alias.name
                parts = whole.split(".")
                tops = {".".join(parts[: i + 1]) for i in range(len(parts))}
                yield from ((node.lineno, found) for found in sorted(tops & set(MODULES)))
                if isinstance(node, ast.ImportFrom) and alias.name in names:
                    yield node.lineno, alias.name
                if module.partition(".")[0] == "yaml" and alias.name in YAML:
                    yield node.lineno, f"yaml.{alias.name}"
        elif isinstance(node, ast.Name) and node.id in BUILTINS:
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute):
            of = node.value.id if isinstance(node.value, ast.Name) else ""
            if node.attr in names and names[node.attr].rpartition(".")[0] in ("", of):
                yield node.lineno, node.attr
            if of == "yaml" and node.attr in YAML:
                yield node.lineno, f"yaml.{node.attr}"
        elif isinstance(node, ast.keyword) and node.arg == "shell":
            if not (isinstance(node.value, ast.Constant) and node.value.value is False):
                yield node.value.lineno, "shell="
        elif isinstance(node, ast.Constant) and node.value in ("/bin/sh", "/bin/bash"):
            yield node.lineno, node.value


def found() -> list[tuple[str, int, str]]:
    return [
        (str(path.relative_to(ROOT)), line, what)
        for path in sorted(ROOT.rglob("*.py"))
        for line, what in banned(path.read_text(encoding="utf-8"))
    ]


def test_nothing_banned_is_used() -> None:
    """What was stored becomes JSON and types of a table; code is what a definition names, and no more."""
    assert [] == [each for each in found() if (each[0], each[2]) not in ALLOWED]


def test_what_is_allowed_is_used() -> None:
    """An exception that nobody needs any more is taken back."""
    assert set(ALLOWED) == {(file, what) for file, _, what in found()} & set(ALLOWED)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import pickle as p",
        "from pickle import loads",
        "def f():\n    import marshal",
        "import shelve, json",
        "from importlib import import_module as hidden",
        "import importlib\nimportlib.import_module(name)",
        "eval(text)",
        "run = exec",
        "compile(text, '', 'exec')",
        "import builtins",
        "__import__(name)",
        "import tarfile",
        "archive.extractall(folder)",
        "import shutil\nshutil.unpack_archive(path)",
        "import yaml\nyaml.load(text)",
        "import yaml\nyaml.load(text, Loader=yaml.SafeLoader)",
        "import yaml\nyaml.unsafe_load(text)",
        "from yaml import unsafe_load as load_it",
        "from yaml.constructor import UnsafeConstructor\nfrom yaml import constructor",
        "import os\nos.system(text)",
        "from os import system",
        "import os\nos.popen(text)",
        "import subprocess\nsubprocess.run(text, shell=True)",
        "import subprocess\nsubprocess.run(text, shell=given)",
        "import subprocess\nsubprocess.getoutput(text)",
        "import asyncio\nasyncio.create_subprocess_shell(text)",
        "argv = ['/bin/sh', '-c', text]",
    ],
)
def test_it_would_be_found(source: str) -> None:
    """Each of these, wherever it stands."""
    assert [] != list(banned(source))


@pytest.mark.parametrize(
    "source",
    [
        "import re\nre.compile(text)",
        "import yaml\nyaml.parse(text)",
        "import json\njson.load(file)",
        "self.system(text)",
        "import subprocess\nsubprocess.run(argv, shell=False)",
        "evaluate(text)",
    ],
)
def test_it_does_not_cry_wolf(source: str) -> None:
    """What only looks like it is not."""
    assert [] == list(banned(source))
