"""What the documents say is true: their snippets load and run, their tables are the code's."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import bunsui
from bunsui.cli.exit_codes import MEANINGS, OF_ERRORS
from bunsui.cli.main import cli
from bunsui.configuration.keys import KEYS, USER_ONLY
from bunsui.dsl.alert_fields import ALERT_FIELDS
from bunsui.dsl.codes import CODES
from bunsui.dsl.fields import (
    DEFAULTS_FIELDS,
    JOB_FIELDS,
    MAX_ITEMS,
    MAX_JOBS,
    PIPELINE_FIELDS,
    RETRY,
)
from bunsui.dsl.parameters.fields import PARAMETER_FIELDS
from bunsui.dsl.parser import parse
from bunsui.engine.actions import Action
from bunsui.expressions.syntax import CALLS, CALLS_IN_WORDS
from bunsui.local import bindings

ROOT = Path(__file__).resolve().parents[2]
USER_GUIDE = ROOT / "docs" / "guides" / "user"
DEVELOPER_GUIDE = ROOT / "docs" / "guides" / "developer"
GETTING_STARTED = USER_GUIDE / "getting-started.md"
REFERENCE = USER_GUIDE / "reference.md"
EXAMPLE_PLUGINS = ROOT / "examples" / "plugins"


def markdown_blocks(path: Path, language: str) -> list[str]:
    """The blocks of a language; those that are wrong by intention say so behind it."""
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def rst_blocks(path: Path, language: str) -> list[str]:
    text = path.read_text(encoding="utf-8")
    found = re.findall(rf"\.\. code-block:: {language}\n\n((?:    .*\n|\n)+)", text)
    return [textwrap.dedent(block) for block in found]


def yaml_blocks() -> Iterator[tuple[str, str]]:
    """Every YAML block of the documents and every YAML file of the examples, with where it stands.

    But for those of the example plugins, whose job types are not installed here: where they are, in
    ``nox -s plugins``, the plugins' own test_together.py looks at these.
    """
    folders = [ROOT / "docs", ROOT / "examples"]
    documents = [path for folder in folders for path in sorted(folder.rglob("*"))]
    for path in [*sorted(ROOT.glob("*.rst")), *documents]:
        if EXAMPLE_PLUGINS in path.parents:
            continue
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
    return isinstance(data, dict) and bool(data) and set(data) <= {"custom", "ecs", "lambda", "step_function"}


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


def test_what_is_left_out_is_looked_at_elsewhere() -> None:
    """The gate runs the session that has the example plugins, and their test of the documents."""
    assert re.search(r"nox -s .*\bplugins\b", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    assert 'folder / "tests"' in (ROOT / "noxfile.py").read_text(encoding="utf-8")
    text = (EXAMPLE_PLUGINS / "tests" / "test_together.py").read_text(encoding="utf-8")
    assert "def test_every_definition_is_valid" in text


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


def test_the_command_of_getting_started_runs(tmp_path: Path) -> None:
    """The definition and the script beside it give the output that the text promises."""
    (tmp_path / "commands.yaml").write_text(markdown_blocks(GETTING_STARTED, "yaml")[1], encoding="utf-8")
    (tmp_path / "count.py").write_text(markdown_blocks(GETTING_STARTED, "python")[2], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "bunsui", "run", "commands.yaml", "--format", "json", "--store", "memory://"],
        cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip

    promised = re.search(r"gives `(\{.*\})`", GETTING_STARTED.read_text(encoding="utf-8"))
    assert promised is not None
    assert {"count": json.loads(promised[1])} == json.loads(done.stdout)["outputs"]


def test_the_python_of_getting_started_runs(tmp_path: Path) -> None:
    """It prints the status and the output."""
    (tmp_path / "script.py").write_text(markdown_blocks(GETTING_STARTED, "python")[1], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )

    assert "succeeded {'text': 'hello, Ada'}\n" == done.stdout


@pytest.mark.parametrize(
    "block",
    [
        block
        for page in ("python", "configuration", "logs")
        for block in markdown_blocks(USER_GUIDE / f"{page}.md", "python")
    ],
)
def test_the_python_of_the_guides_runs(block: str, tmp_path: Path) -> None:
    """Each block is a program that ends well and says something."""
    (tmp_path / "script.py").write_text(block, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout
    assert "failed" not in done.stdout


def test_the_tests_of_the_guide_to_testing_pass(tmp_path: Path) -> None:
    """The definition, and each block beside it as a file of tests."""
    page = USER_GUIDE / "testing.md"
    (tmp_path / "pipeline.yaml").write_text(markdown_blocks(page, "yaml")[0], encoding="utf-8")
    blocks = markdown_blocks(page, "python")
    for number, block in enumerate(blocks):
        (tmp_path / f"test_block{number}.py").write_text(block, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    assert 0 == done.returncode, done.stdout
    assert f"{sum(block.count('def test_') for block in blocks)} passed" in done.stdout


def test_the_parts_of_the_readme_fit_together(tmp_path: Path) -> None:
    """The Python runs the definition with the bindings, beside modules that have what these name."""
    readme = ROOT / "README.rst"
    definition, named = rst_blocks(readme, "yaml")
    (tmp_path / "pipeline.yaml").write_text(definition, encoding="utf-8")
    (tmp_path / "bindings.yaml").write_text(named, encoding="utf-8")
    (tmp_path / "script.py").write_text(rst_blocks(readme, "python")[0], encoding="utf-8")
    modules = {
        "handlers": "def extract(event, context):\n    return {'rows': len(event['bucket'])}\n",
        "steps": "def load(rows):\n    return f'{rows} rows'\n",
        "transform": "print('transformed')\n",
    }
    for name, text in modules.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "BUNSUI_STORE": f"sqlite:///{tmp_path}/bunsui.db"},
    )  # fmt: skip

    assert ("succeeded 7 rows\n", "") == (done.stdout, done.stderr)


def anchors(page: Path) -> set[str]:
    """What may stand behind a # in a link to a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "page",
    sorted([*USER_GUIDE.glob("*.md"), *DEVELOPER_GUIDE.glob("*.md"), *EXAMPLE_PLUGINS.glob("**/*.md")]),
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_links_of_the_guides_lead_somewhere(page: Path) -> None:
    """To a file that is there, and a heading of it."""
    wrong = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        target, _, anchor = link.partition("#")
        if "://" in link or "<" in link:
            continue
        path = page if not target else page.parent / target
        if not path.exists() or (anchor and anchor not in anchors(path)):
            wrong.append(link)
    assert [] == wrong


@pytest.mark.parametrize("page", sorted(USER_GUIDE.glob("*.md")), ids=lambda page: page.name)
def test_the_readme_names_each_guide(page: Path) -> None:
    """It is where one finds them."""
    assert f"docs/guides/user/{page.name}" in (ROOT / "README.rst").read_text(encoding="utf-8")


def table(path: Path, heading: str) -> dict[str, list[str]]:
    """The rows of the first table of a section, by their first cell without its marks."""
    section = path.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert rows is not None, heading
    cells = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in rows[0].splitlines()[2:]]
    return {first.strip("`"): rest for first, *rest in cells}


def fields_of_the_reference() -> list[tuple[str, set[str]]]:
    """Each heading, and the fields that the code has of what it is about."""
    return [
        ("A pipeline", set(PIPELINE_FIELDS)),
        ("A parameter", PARAMETER_FIELDS.keys() | {"secret"}),
        ("A job", set(JOB_FIELDS)),
        ("Retry", set(RETRY["properties"])),
        ("An alert", set(ALERT_FIELDS)),
    ]


@pytest.mark.parametrize(("heading", "fields"), fields_of_the_reference())
def test_the_reference_has_every_field(heading: str, fields: set[str]) -> None:
    """And no other."""
    assert fields == set(table(REFERENCE, heading))


def test_the_guide_has_every_key_of_the_configuration() -> None:
    """And says of each whether a project's file may set it."""
    documented = table(USER_GUIDE / "configuration.md", "Keys")
    assert list(KEYS) == list(documented)
    assert {key for key, cells in documented.items() if cells[1] == "no"} == USER_ONLY


def test_the_files_of_the_guide_to_configuration_are_right(tmp_path: Path) -> None:
    """The first is a project's, the second the user's."""
    blocks = markdown_blocks(USER_GUIDE / "configuration.md", "toml")
    project, user = tmp_path / "project" / "bunsui.toml", tmp_path / "config.toml"
    project.parent.mkdir()
    for path, text in zip((project, user), blocks, strict=True):
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
    config = bunsui.Config.load(project.parent, environ={}, user_file=user)
    assert {project, user} == {found.origin.file for found in config.settings.values()}


def test_the_reference_has_the_defaults_of_retry() -> None:
    """The third column is the schema's default, where there is one."""
    defaults = {name: part["default"] for name, part in RETRY["properties"].items() if "default" in part}
    documented = {name: cells[1].strip("`") for name, cells in table(REFERENCE, "Retry").items()}

    assert {name: str(value) for name, value in defaults.items()} == {
        name: documented[name] for name in defaults
    }


def test_the_reference_has_what_defaults_may_hold() -> None:
    """The fields that 'defaults' takes stand in one sentence."""
    sentence = re.search(r"`defaults` may hold ((?:.*\n)+?)\n", REFERENCE.read_text(encoding="utf-8"))
    assert sentence is not None
    assert set(DEFAULTS_FIELDS) == set(re.findall(r"`(\w+)`", sentence[1]))


def test_the_help_and_the_guide_have_every_exit_code() -> None:
    """In one sentence each, and what can't come up yet says so."""
    written = ", ".join(f"{code} {meaning}" for code, meaning in MEANINGS.items())
    assert {code for _, code in OF_ERRORS} <= MEANINGS.keys()
    assert f"Exit codes: {written}." in " ".join((cli.help or "").split())
    guide = " ".join(GETTING_STARTED.read_text(encoding="utf-8").split())
    said = guide.partition("Exit codes: ")[2].partition(".")[0]
    assert written == said.replace(" (nothing asks for permission yet)", "").replace(
        "the store is unavailable", "store or AWS unavailable"
    )


def test_the_guide_has_every_status_of_a_session() -> None:
    """In the order in which they come."""
    row = next(
        line
        for line in (USER_GUIDE / "python.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| `session.status` |")
    )
    assert list(map(str, bunsui.SessionStatus)) == re.findall(r"`(\w+)`", row)


def test_the_guide_has_the_defaults_of_the_configuration() -> None:
    """Those that are numbers stand behind their keys."""
    documented = table(USER_GUIDE / "configuration.md", "Keys")
    numbers = {
        key: schema["default"]
        for key, schema in KEYS.items()
        if schema["type"] in ("number", "integer") and "default" in schema
    }
    assert {"lease", "max_concurrency"} == numbers.keys()
    for key, default in numbers.items():
        assert f"{default:g} by default" in documented[key][0]


def test_the_reference_has_the_limits() -> None:
    """Those of the code."""
    job, pipeline = table(REFERENCE, "A job"), table(REFERENCE, "A pipeline")
    assert f"at most {JOB_FIELDS['condition']['maxLength']:,} characters" in job["condition"][0]
    assert f"at most {JOB_FIELDS['name']['maxLength']} characters" in job["name"][0]
    assert f"at most {MAX_ITEMS:,}" in job["for_each"][2]
    assert f"1 to {MAX_JOBS:,}" in pipeline["jobs"][2]
    assert f"1 to {PIPELINE_FIELDS['name']['maxLength']} printable" in pipeline["name"][2]


def test_the_reference_has_every_variable() -> None:
    """That the code reads from its environment, or gives to a command."""
    source = [path.read_text(encoding="utf-8") for path in (ROOT / "src" / "bunsui").rglob("*.py")]
    named = {name for text in source for name in re.findall(r'"(BUNSUI_[A-Z_]+)"', text)}
    documented = {*table(REFERENCE, "What a command gets"), *table(REFERENCE, "What bunsui reads")}
    assert {"BUNSUI_OUTPUT", "BUNSUI_CONFIG"} < named
    # How those of one parameter begin, and one that only tests read.
    assert {"BUNSUI_FAULTS", "BUNSUI_PARAM", "BUNSUI_PARAM_"} == named - documented


def test_the_architecture_has_every_room() -> None:
    """From high to low, as import-linter holds them."""
    text = (ROOT / "docs" / "architecture" / "index.rst").read_text(encoding="utf-8")
    drawn = text.partition("(``pyproject.toml``)::\n\n")[2].partition("\n\n")[0]
    rooms = [word for line in drawn.splitlines() for word in re.findall(r"\w+", line[4:24])]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = next(found["layers"] for found in contracts["contracts"] if "layers" in found)
    assert [word for layer in layers for word in re.findall(r"\w+", layer)] == rooms


def test_the_architecture_has_every_action() -> None:
    """In its picture of one turn."""
    text = (ROOT / "docs" / "architecture" / "index.rst").read_text(encoding="utf-8")
    turn = text.partition("──actions──▶")[2].partition("append once")[0]
    assert {action.__name__.lower() for action in get_args(Action)} == set(re.findall(r"[a-z]+", turn))


def test_the_guide_has_every_call_of_a_condition() -> None:
    """In one sentence, and so does what is explained of a condition that is none."""
    calls = re.findall(r"\w+\((?:job)?\)", CALLS_IN_WORDS)
    assert list(CALLS) == [call.partition("(")[0] for call in calls]
    guide = (USER_GUIDE / "definitions.md").read_text(encoding="utf-8")
    sentence = guide.partition("There are `==`")[2].partition("no arithmetic")[0]
    assert calls == re.findall(r"`(\w+\((?:job)?\))`", sentence)
    assert CALLS_IN_WORDS in " ".join(CODES["bad-condition"].meaning.split())


def test_the_reference_has_every_error_code() -> None:
    """Those that the source gives to errors, but for those that can't come up yet."""
    later = {"NotSupported", "OutcomeUnknown"}
    given = re.compile(r'\b(?:code|default_code|UNAVAILABLE)(?:: [\w\[\]]+)? ?= ?f?"([A-Z]\w+)')
    source = [path.read_text(encoding="utf-8") for path in (ROOT / "src" / "bunsui").rglob("*.py")]
    source = [re.sub(r'"{3}[\s\S]*?"{3}', "", text) for text in source]  # Examples have codes of their own.
    codes = {code for text in source for code in given.findall(text)}
    documented = REFERENCE.read_text(encoding="utf-8").partition("## Error codes")[2]

    assert {"ExitCode", "JobTimeout", "NotAList", "ReferenceError", "SecretUnavailable"} <= codes
    assert set() == {code for code in codes - later if not re.search(rf"`{code}\b", documented)}


@pytest.mark.parametrize("name", ["make_history", "make_hooks", "make_problems", "make_walk"])
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
