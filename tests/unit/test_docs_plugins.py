"""The cookbook for plugins is true: all of its code runs, and prints what stands below it.

A block whose fence names a file, such as ```` ```python query_jobs.py ````, is that file from there on; one
that is named ``test_*.py`` is run by pytest. A Python block without a name is a program: it ends well and
prints the text block below it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from inspect import isfunction
from pathlib import Path

import pytest
from attrs import frozen

import bunsui
from bunsui.cli.commands.plugins import _WORDS
from bunsui.cli.exit_codes import OF_ERRORS
from bunsui.cli.main import cli
from bunsui.plugins import hookspecs
from bunsui.plugins.contributions import MAX_NAME, OWN_COMMANDS
from bunsui.ports.store import Store

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "docs" / "guides" / "developer" / "plugins"
#: The pages whose code is run by `test_the_code_of_a_page_runs`, and what of it there is at least.
PAGES = {
    "index": {"run": 1, "tested": 1},
    "job-type": {"run": 6, "tested": 2},
    "remote-job-type": {"run": 4, "tested": 2},
    "store": {"run": 2, "tested": 1},
    "secret-source": {"run": 2, "tested": 1},
    "alert-channel": {"run": 1, "tested": 1},
    "observer": {"run": 2, "tested": 1},
    "command": {"run": 0, "tested": 1},
}

#: The password manager of the page on secret sources, with one entry.
PASS = """#!/bin/sh
if test "$1 $2" = "show work/database"; then
    printf 'correct-horse-battery-staple\\nuser: ada\\n'
else
    echo "Error: $2 is not in the password store." >&2
    exit 1
fi
"""


@frozen
class Block:
    """A block of a page: its language, the file that it is, its text."""

    language: str
    name: str
    text: str


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(*parts) for parts in found]


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A Python program in the folder, with its modules and without any plugin that is installed here."""
    env = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "BUNSUI_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        **environment,
    }
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=env,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


def follow(page: Path, folder: Path, **environment: str) -> dict[str, int]:
    """Does what a page says, block by block; how many programs ran, and how many test modules."""
    done = {"run": 0, "tested": 0}
    found = blocks(page)
    for block, below in zip(found, [*found[1:], Block("", "", "")], strict=True):
        if block.name:
            (folder / block.name).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.name).write_text(block.text, encoding="utf-8")
        if block.language != "python":
            continue
        compile(block.text, f"{page.name}: {block.name}", "exec")
        if block.name.startswith("test_"):
            tested = run(folder, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", block.name)
            assert 0 == tested.returncode, tested.stdout + tested.stderr
            done["tested"] += 1
        elif not block.name:
            assert "text" == below.language, f"nothing says what this prints: {block.text}"
            ran = run(folder, "-W", "error", "-c", block.text, **environment)
            assert ("", below.text) == (ran.stderr, ran.stdout)
            done["run"] += 1
    return done


@pytest.fixture
def programs(tmp_path: Path) -> str:
    """A PATH that has the programs which pages call and this machine may not have."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "pass").write_text(PASS, encoding="utf-8")
    (folder / "pass").chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(page: str, tmp_path: Path, programs: str) -> None:
    """Its programs print what it says, its tests pass."""
    folder = tmp_path / "page"
    folder.mkdir()
    done = follow(PLUGINS / f"{page}.md", folder, PATH=programs)
    assert all(done[what] >= least for what, least in PAGES[page].items()), done


def test_a_page_that_promises_something_else_is_noticed(tmp_path: Path) -> None:
    """A program that prints something else than the page says, or whose tests fail, makes the test fail."""
    page = tmp_path / "page.md"
    for wrong in ("```python\nprint(1)\n```\n\n```text\n2\n```\n", "```python test_it.py\nassert 0\n```\n"):
        page.write_text(wrong, encoding="utf-8")
        with pytest.raises(AssertionError):
            follow(page, tmp_path)


def install(page: str, folder: Path) -> Path:
    """A folder with what a wheel of the package on a page puts into an environment, and its pipeline."""
    project, environment = folder / "project", folder / "installed"
    project.mkdir()
    follow(PLUGINS / f"{page}.md", project)
    built = run(project, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist")
    assert 0 == built.returncode, built.stdout + built.stderr
    [wheel] = (project / "dist").iterdir()
    shutil.unpack_archive(wheel, environment, "zip")
    for path in project.glob("pipeline.yaml"):
        shutil.copy(path, environment)
    return environment


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The packages of pages, each built once: see `install`."""
    return cache(lambda page: install(page, tmp_path_factory.mktemp(page)))


@pytest.fixture
def installed(built: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A folder of one's own where the package of a page is installed."""
    return lambda page: Path(shutil.copytree(built(page), tmp_path / "installed"))


@pytest.fixture
def package(installed: Callable[[str], Path]) -> Path:
    """Where the package on the first page is installed."""
    found = installed("index")
    (found / "data.txt").write_text("water\n", encoding="utf-8")
    return found


RUN = ("run", "pipeline.yaml", "--store", "memory://", "--format", "json")


def command(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command of bunsui where the package is installed, and installed plugins are loaded."""
    variables = {"BUNSUI_DISABLE_PLUGIN_AUTOLOAD": "", **environment}
    return run(folder, "-m", "bunsui", *arguments, **variables)


def test_the_package_is_installed_and_used(package: Path) -> None:
    """What hatchling builds of the page's files brings its job type to the command line."""
    done = command(package, *RUN)
    assert (0, "") == (done.returncode, done.stderr)
    digest = hashlib.sha256(b"water\n").hexdigest()
    assert {"digest": digest} == json.loads(done.stdout)["outputs"]


def test_the_package_is_listed(package: Path) -> None:
    """`bunsui plugins` prints what the page shows: bunsui's own line first, reasons below."""
    (package / "lost-1.0.dist-info").mkdir()
    (package / "lost-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: bunsui-lost\nVersion: 0.3.0\n"
    )
    (package / "lost-1.0.dist-info" / "entry_points.txt").write_text("[bunsui]\nlost = bunsui_lost\n")
    done = command(package, "plugins")
    [shown] = [block.text for block in blocks(PLUGINS / "index.md") if "DISTRIBUTION" in block.text]
    shown = re.sub(r"^(bunsui +bunsui +)\S+", rf"\g<1>{bunsui.__version__}", shown, flags=re.MULTILINE)
    names = ("PLUGIN ", "bunsui ", "checksum ", "lost ")
    listed = [line.split() for line in done.stdout.splitlines() if line.startswith(names)]
    assert [line.split() for line in shown.splitlines() if line] == listed


def test_the_command_is_installed_and_called(installed: Callable[[str], Path]) -> None:
    """What hatchling builds of the page's files is a command of bunsui: it does what the page says."""
    folder = installed("command")
    (folder / "bunsui.toml").write_text('store = "sqlite:///bunsui.db"\n', encoding="utf-8")
    definition = {
        "version": "1.0",
        "name": "Nightly",
        "jobs": [{"id": "load", "type": "custom", "command": ["sh", "-c", "exit 3"]}],
    }
    (folder / "pipeline.json").write_text(json.dumps(definition), encoding="utf-8")
    assert 0 == command(folder, "failures", "--store", "memory://").returncode
    ran = command(folder, "run", "pipeline.json", "--format", "json")
    session = json.loads(ran.stdout)["session_id"]
    [shown] = [block.text for block in blocks(PLUGINS / "command.md") if block.text.startswith("$ bunsui")]
    printed = ""
    for arguments in (["failures"], ["failures", "misspelt"]):
        done = command(folder, *arguments)
        printed += f"$ bunsui {' '.join(arguments)}\n{done.stdout}{done.stderr}$ echo $?\n{done.returncode}\n"
    shown = re.sub(r"^\w{16}  ", f"{session}  ", shown, flags=re.MULTILINE).replace("/srv/etl", str(folder))
    assert shown == printed
    described = command(folder, "--help").stdout.partition("Commands:\n")[2]
    assert ["failures", "Print", "the", "jobs"] in [line.split()[:4] for line in described.splitlines()]


def test_the_plugin_of_a_command_needs_no_click(installed: Callable[[str], Path]) -> None:
    """Where bunsui's extra for the command line is not installed it is imported without a warning."""
    folder = installed("command")
    program = (
        "import sys; sys.modules['click'] = None\n"  # As if it were not installed.
        "import bunsui\n"
        "with bunsui.Runner('memory://') as runner:\n"
        "    assert 'custom' in runner.plugins.job_types\n"
        "    print([each.name for each in runner.plugins.describe() if each.state == 'active'])\n"
    )
    ran = run(folder, "-W", "error", "-c", program, BUNSUI_DISABLE_PLUGIN_AUTOLOAD="")
    assert ("", True) == (ran.stderr, "'failures'" in ran.stdout)


def test_the_names_that_a_command_may_not_have() -> None:
    """The page names those of which there is no command yet."""
    text = (PLUGINS / "command.md").read_text(encoding="utf-8")
    to_come = re.findall(r"`(\w+)`", text.partition("still to come: ")[2].partition(". ")[0])
    assert sorted(OWN_COMMANDS - set(cli.commands)) == to_come


def test_the_exit_codes_of_a_command() -> None:
    """The page says of each error what the command line says."""
    text = (PLUGINS / "command.md").read_text(encoding="utf-8").partition("### Exit codes")[2]
    said = {}
    for line in re.findall(r"^\| `bunsui\.\w+Error\(.*|^\| `bunsui\.NotFound\(.*", text, re.MULTILINE):
        said |= dict.fromkeys(re.findall(r"`bunsui\.(\w+)\(", line), int(line.rstrip(" |")[-1]))
    said |= {"DefinitionError": 2, "PluginError": 2, "AwsError": 6, "BunsuiError": 1}
    assert {cls.__name__: code for cls, code in OF_ERRORS} == said
    assert "`DefinitionError` and `PluginError` give 2, `AwsError` gives 6, all others 1" in text


def test_the_package_is_left_out(package: Path) -> None:
    """With BUNSUI_DISABLE_PLUGIN_AUTOLOAD=1 its definition names a type that is not there, which is told."""
    done = command(package, *RUN, BUNSUI_DISABLE_PLUGIN_AUTOLOAD="1")
    assert 2 == done.returncode
    assert "job 'digest' has the type 'checksum', which does not exist" in done.stderr
    assert "BUNSUI_DISABLE_PLUGIN_AUTOLOAD is set" in done.stderr


def test_the_package_says_what_is_wrong(package: Path) -> None:
    """A file that is not there fails the job with the code that the plugin gives it."""
    (package / "data.txt").unlink()
    done = command(package, *RUN)
    assert 1 == done.returncode
    error = json.loads(done.stdout)["jobs"]["digest"]["error"]
    assert ("Checksum.NoFile", False) == (error["code"], error["retryable"])


@pytest.mark.parametrize("page", sorted(PLUGINS.glob("*.md")), ids=lambda page: page.stem)
def test_links_of_the_cookbook_lead_somewhere(page: Path) -> None:
    """To a file or folder that is there, and a heading of it."""
    wrong = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        target, _, anchor = link.partition("#")
        path = page.parent / target if target else page
        if "://" in link:
            continue
        if not path.exists() or (anchor and anchor not in anchors(path)):
            wrong.append(link)
    assert [] == wrong


def anchors(page: Path) -> set[str]:
    """What may stand behind a # in a link to a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_leads_to_the_cookbook() -> None:
    """To its first page, from which the others are reached."""
    assert "docs/guides/developer/plugins/index.md" in (ROOT / "README.rst").read_text(encoding="utf-8")


def test_the_first_page_names_every_hook() -> None:
    """Its table has those of the code, and each page of the cookbook stands on it."""
    text = (PLUGINS / "index.md").read_text(encoding="utf-8")
    hooks = {name for name in vars(hookspecs) if name.startswith("bunsui_")}
    assert hooks == set(re.findall(r"^\| \[`(\w+)\(", text, re.MULTILINE))
    assert {f"{page}.md" for page in PAGES} - {"index.md"} <= set(re.findall(r"\]\(([\w-]+\.md)\)", text))


class ToCome:
    """A plugin with the hooks of which the first page says that they are still to come."""

    @bunsui.hookimpl(optionalhook=True)
    def bunsui_auth_providers(self) -> list[object]:
        return []


class ToComeNow:
    """One that does not mark them so."""

    @bunsui.hookimpl
    def bunsui_auth_providers(self) -> list[object]:
        return []


def test_hooks_that_are_to_come() -> None:
    """The first page and that of the hooks name them; a plugin that marks them is taken, another is not."""
    names = {name for name in vars(ToCome) if name.startswith("bunsui_")}
    assert set() == names & set(vars(hookspecs))
    for page in ("index", "hooks"):
        text = (PLUGINS / f"{page}.md").read_text(encoding="utf-8")
        assert [] == [name for name in names if f"`{name}`" not in text], page
    assert "custom" in bunsui.Plugins([ToCome()], autoload=False).job_types
    with pytest.raises(bunsui.PluginError, match="there is no hook 'bunsui_auth_providers'"):
        bunsui.Plugins([ToComeNow()], autoload=False)


def test_the_first_page_names_every_state_of_a_plugin() -> None:
    """As `bunsui plugins` prints them."""
    text = (PLUGINS / "index.md").read_text(encoding="utf-8")
    said = text.partition("The state is ")[2].partition("\n## ")[0]
    assert ["active", *_WORDS] == re.findall(r"`(\w+)`", said)


def test_what_the_pages_count() -> None:
    """The length of a job type's name, and the methods of the port of stores."""
    text = (PLUGINS / "job-type.md").read_text(encoding="utf-8")
    assert f"printable text of one line, at most {MAX_NAME} characters" in text
    methods = [name for name, value in vars(Store).items() if isfunction(value)]
    with_body = [name for name in methods if name not in Store.__abstractmethods__]
    own = {"create", "find_prefix", "limit_lock_timeout", "log_group", "permissions", "remove", "with_aws"}
    assert (15, own) == (len(methods), set(with_body))
    page = (PLUGINS / "store.md").read_text(encoding="utf-8")
    assert "has fifteen methods, seven of them with a body" in page


def test_the_first_job_type_has_20_lines() -> None:
    """As the page's heading says; empty ones are not counted."""
    first = blocks(PLUGINS / "job-type.md")[0]
    assert "query_jobs.py" == first.name
    assert len([line for line in first.text.splitlines() if line.strip()]) <= 20
