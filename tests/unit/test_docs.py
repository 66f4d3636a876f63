"""What the documents say is true: their snippets load and run, their tables are the code's."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import bunsui
from bunsui.dsl.parser import parse
from bunsui.local import bindings

ROOT = Path(__file__).resolve().parents[2]
GETTING_STARTED = ROOT / "docs" / "guides" / "user" / "getting-started.md"


def markdown_blocks(path: Path, language: str) -> list[str]:
    """The blocks of a language; those that are wrong by intention say so behind it."""
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def rst_blocks(path: Path, language: str) -> list[str]:
    text = path.read_text(encoding="utf-8")
    found = re.findall(rf"\.\. code-block:: {language}\n\n((?:    .*\n|\n)+)", text)
    return [textwrap.dedent(block) for block in found]


def yaml_blocks() -> Iterator[tuple[str, str]]:
    """Every YAML block of the documents and every YAML file of the examples, with where it stands."""
    folders = [ROOT / "docs", ROOT / "examples"]
    documents = [path for folder in folders for path in sorted(folder.rglob("*"))]
    for path in [*sorted(ROOT.glob("*.rst")), *documents]:
        blocks: list[str] = []
        if path.suffix == ".md":
            blocks = markdown_blocks(path, "yaml")
        elif path.suffix == ".rst":
            blocks = rst_blocks(path, "yaml")
        elif path.suffix == ".yaml":
            blocks = [path.read_text(encoding="utf-8")]
        for i, block in enumerate(blocks):
            yield f"{path.relative_to(ROOT)}-{i + 1}", block


def is_bindings(data: object) -> bool:
    """Whether data is of the shape of bindings: what stands under each job type."""
    return isinstance(data, dict) and bool(data) and set(data) <= {"custom", "ecs", "lambda"}


BLOCKS = dict(yaml_blocks())
DEFINITIONS = {where: text for where, text in BLOCKS.items() if not is_bindings(parse(text).data)}
BINDINGS = {where: text for where, text in BLOCKS.items() if where not in DEFINITIONS}


def test_there_are_definitions_to_check() -> None:
    """The patterns that find them still do, in each kind of place."""
    found = {where.rpartition("-")[0] for where in DEFINITIONS}
    assert {
        "README.rst",
        "docs/guides/user/definitions.md",
        "docs/guides/user/getting-started.md",
        "docs/guides/user/problems.md",
        "examples/etl/pipeline.yaml",
    } <= found
    assert len(DEFINITIONS) >= 50
    assert "examples/etl/bindings.yaml-1" in BINDINGS


@pytest.mark.parametrize("text", DEFINITIONS.values(), ids=list(DEFINITIONS))
def test_every_definition_in_the_documents_is_valid(text: str) -> None:
    """bunsui.validate finds nothing wrong with it, and it can be loaded."""
    assert [] == bunsui.validate(text)
    assert bunsui.Pipeline.parse(text).jobs


@pytest.mark.parametrize("text", BINDINGS.values(), ids=list(BINDINGS))
def test_all_bindings_in_the_documents_are_valid(text: str, tmp_path: Path) -> None:
    """They are read; nothing is imported."""
    (tmp_path / "bindings.yaml").write_text(text, encoding="utf-8")
    assert bindings.load(tmp_path / "bindings.yaml", bunsui.Plugins(autoload=False).job_types)


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


@pytest.mark.parametrize("name", ["make_history", "make_problems"])
def test_a_page_that_is_written_by_a_script_is_up_to_date(name: str) -> None:
    """The script has been run since the last change of what it is made of."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
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
