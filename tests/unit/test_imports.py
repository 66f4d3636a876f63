"""Importing bunsui starts, configures and opens nothing, and leaves heavy libraries alone."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import bunsui

HEAVY = [
    "asyncio",
    "boto3",
    "botocore",
    "cattrs",
    "jsonschema",
    "opentelemetry.sdk",
    "sqlite3",
    "subprocess",
    "tenacity",
    "yaml",
]
LOOK = """
import json, logging, os, signal, sys, threading, warnings

def state():
    return {
        "threads": threading.active_count(),
        "path": list(sys.path),
        "directory": os.getcwd(),
        "environment": dict(os.environ),
        "signals": {int(s): str(signal.getsignal(s)) for s in signal.valid_signals()},
        "handlers": [str(h) for h in logging.getLogger().handlers],
        "level": logging.getLogger().level,
        "disabled": logging.getLogger().manager.disable,
        "filters": [str(f) for f in warnings.filters],
        "hooks": [str(sys.excepthook), str(threading.excepthook)],
        "files": sorted(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else [],
    }

before = state()
import bunsui
STATEMENT
after = state()
changed = {key: [before[key], after[key]] for key in before if before[key] != after[key]}
print(json.dumps([sorted(sys.modules), changed]))
"""


def imported(statement: str) -> tuple[set[str], dict]:
    """The modules that a new process has after `statement`, and what changed in it."""
    source = LOOK.replace("STATEMENT", statement)
    # Measuring coverage would import sqlite3.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run(
        [sys.executable, "-c", source], env=clean, check=True, capture_output=True, text=True
    )
    modules, changed = json.loads(done.stdout)
    return set(modules), changed


STATEMENTS = ["", "bunsui.Pipeline", "bunsui.Runner; bunsui.Pipeline"]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_nothing_changes(statement):
    """No thread, signal handler, path, warning filter, logging, hook or open file comes from importing."""
    _, changed = imported(statement)
    assert changed == {}


@pytest.mark.parametrize("statement", STATEMENTS)
def test_no_heavy_library(statement):
    """Libraries that only some runs need are not imported before one does."""
    modules, _ = imported(statement)
    assert [name for name in HEAVY if name in modules] == []


def test_import_alone_loads_nothing_of_ours():
    """`import bunsui` loads one module; its names are loaded when they are used."""
    modules, _ = imported("")
    assert {name for name in modules if name.partition(".")[0] == "bunsui"} == {"bunsui"}


def test_pipeline_does_not_load_the_runner():
    """Reading definitions needs nothing of what runs them."""
    modules, _ = imported("bunsui.Pipeline")
    assert [
        name for name in modules if name.startswith(("bunsui.runner", "bunsui.stores", "bunsui.local"))
    ] == []


def clocks(*rooms: str) -> list[str]:
    """Where code of these rooms asks `datetime` for the time, which no contract on imports can see."""
    root = Path(bunsui.__file__).parent
    return [
        f"{path.relative_to(root)}:{node.lineno}"
        for room in rooms
        for path in [*root.glob(f"{room}.py"), *root.glob(f"{room}/**/*.py")]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr in {"now", "utcnow", "today"}
        and ast.unparse(node.value) in {"datetime", "datetime.datetime", "date", "datetime.date"}
    ]


def test_the_core_has_no_clock():
    """Times are given to the core; a room that has a clock is found."""
    assert clocks("errors", "model", "ports", "expressions", "engine") == []
    assert clocks("runner") != []
