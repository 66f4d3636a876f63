"""What the documents say is true: their snippets load and run, their tables are the code's."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import bunsui

ROOT = Path(__file__).resolve().parents[2]
GETTING_STARTED = ROOT / "docs" / "guides" / "user" / "getting-started.md"


def markdown_blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def readme_blocks(language: str) -> list[str]:
    text = (ROOT / "README.rst").read_text(encoding="utf-8")
    found = re.findall(rf"\.\. code-block:: {language}\n\n((?:    .*\n|\n)+)", text)
    return [textwrap.dedent(block) for block in found]


def definitions() -> list[str]:
    blocks = [*markdown_blocks(GETTING_STARTED, "yaml"), *readme_blocks("yaml")]
    return [block for block in blocks if block.startswith("version:")]


def test_there_are_definitions_to_check() -> None:
    """The pattern that finds them still does."""
    assert 3 == len(definitions())


@pytest.mark.parametrize("text", definitions())
def test_every_definition_in_the_documents_is_valid(text: str) -> None:
    """bunsui.validate finds nothing wrong with it."""
    assert [] == bunsui.validate(text)


def test_the_first_pipeline_of_getting_started_runs(tmp_path: Path) -> None:
    """The definition and the module beside it, as they stand there, give what the text promises."""
    (tmp_path / "pipeline.yaml").write_text(markdown_blocks(GETTING_STARTED, "yaml")[0], encoding="utf-8")
    (tmp_path / "steps.py").write_text(markdown_blocks(GETTING_STARTED, "python")[0], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "bunsui", "run", "pipeline.yaml", "-p", "who=Ada", "--format", "json",
         "--store", "memory://"],
        cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip

    assert {"greet": {"text": "hello, Ada"}, "shout": "HELLO, ADA"} == json.loads(done.stdout)["outputs"]


def test_the_python_of_getting_started_runs(tmp_path: Path) -> None:
    """It prints the status and the output."""
    (tmp_path / "script.py").write_text(markdown_blocks(GETTING_STARTED, "python")[1], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )

    assert "succeeded {'text': 'hello, Ada'}\n" == done.stdout


def test_the_history_page_is_the_codes() -> None:
    """docs/make_history.py has been run since the last change of events or transitions."""
    spec = importlib.util.spec_from_file_location("make_history", ROOT / "docs" / "make_history.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    assert module.page() == module.PAGE.read_text(encoding="utf-8")


def test_the_readme_begins_with_the_two_commands() -> None:
    """The example and the tests, from a fresh clone."""
    commands = [
        line.strip()
        for line in (ROOT / "README.rst").read_text(encoding="utf-8").splitlines()[:12]
        if line.startswith("    ")
    ]
    assert [
        "python3 -m venv .venv && .venv/bin/pip install '.[cli]' &&"
        " .venv/bin/bunsui run examples/etl/pipeline.yaml --local -p source_bucket=flights",
        "python3 -m venv .venv && .venv/bin/pip install nox && .venv/bin/nox -s tests",
    ] == commands
