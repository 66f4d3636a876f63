"""Both plugins as they are installed: their documents, and the pipeline that uses them, by the command line.

``nox -s plugins`` runs this where the wheels of bunsui and of both plugins are installed, and nothing else of
this checkout is.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import bunsui

FOLDER = Path(__file__).resolve().parents[1]
PIPELINE = FOLDER / "pipeline.yaml"
READMES = sorted(FOLDER.glob("**/README.md"))


def definitions() -> Iterator[tuple[str, str]]:
    """Every definition that stands here, with its place."""
    yield PIPELINE.name, PIPELINE.read_text(encoding="utf-8")
    for path in READMES:
        blocks = re.findall(r"```yaml\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
        for number, block in enumerate(blocks, 1):
            yield f"{path.relative_to(FOLDER)}-{number}", block


DEFINITIONS = dict(definitions())


def test_there_are_definitions_to_check() -> None:
    """The pattern that finds them still does."""
    assert {"pipeline.yaml", "bunsui-http/README.md-1", "bunsui-duckdb/README.md-1"} <= set(DEFINITIONS)


@pytest.mark.parametrize("text", DEFINITIONS.values(), ids=list(DEFINITIONS))
def test_every_definition_is_valid(text: str) -> None:
    """With the installed plugins, whose entry points are found."""
    assert [] == bunsui.validate(text)


def test_they_are_active(tmp_path: Path) -> None:
    """As the command says that lists plugins."""
    _, listed = result(command(tmp_path, "plugins", "--format", "json"))
    found = {(plugin["distribution"], plugin["state"]) for plugin in listed}
    assert {("bunsui-http", "active"), ("bunsui-duckdb", "active")} <= found


@pytest.mark.parametrize("name", ["http", "duckdb"])
class TestReadme:
    """The tables of a plugin's README are its code's."""

    def section(self, name: str, heading: str) -> list[str]:
        """The rows of a section's table."""
        text = (FOLDER / f"bunsui-{name}" / "README.md").read_text(encoding="utf-8")
        return re.findall(
            r"^\| (.*) \|$", text.partition(f"## {heading}\n")[2].partition("\n## ")[0], re.MULTILINE
        )

    def test_fields(self, name: str) -> None:
        """Each field, in the order of the schema."""
        documented = [row.partition(" ")[0].strip("`") for row in self.section(name, "Fields")[1:]]
        assert list(bunsui.Plugins().job_types[name].schema["properties"]) == documented

    def test_codes(self, name: str) -> None:
        """Each code that the source gives."""
        source = Path(import_module(f"bunsui_{name}").__file__ or "").parent
        text = "".join(path.read_text(encoding="utf-8") for path in sorted(source.glob("*.py")))
        kind = {"http": "Http", "duckdb": "DuckDB"}[name]
        given = set(re.findall(rf'"{kind}\.([A-Z]\w+)"', text))
        given |= set(re.findall(r'_(?:error|ambiguous)\(\s*"(\w+)"', text))
        table = "\n".join(self.section(name, "Trouble"))
        assert len(given) >= 5
        assert set() == {code for code in given if f"`{kind}.{code}`" not in table}


class Shop:
    """The shop, in a process of its own."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, FOLDER / "shop.py", "0"], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    def close(self) -> None:
        """Ends it: nobody answers at its URL any more."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop()
    yield shop
    shop.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the definition, whose name is not a plain one."""
    folder = tmp_path / "sales of märz [1]"
    folder.mkdir()
    (folder / "pipeline.yaml").write_text(PIPELINE.read_text(encoding="utf-8"), encoding="utf-8")
    return folder


def command(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A command of bunsui with a store beside the definition."""
    environment = {**os.environ, "NO_PROXY": "127.0.0.1", "BUNSUI_STORE": f"sqlite:///{folder}/store.db"}
    return subprocess.Popen(
        [sys.executable, "-m", "bunsui", *arguments],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def result(process: subprocess.Popen[str]) -> tuple[int, Any]:
    """Its exit code, and what it printed."""
    out, err = process.communicate(timeout=100)
    assert out, err
    return process.returncode, json.loads(out)


def expected(least: float = 0) -> dict[str, tuple[int, float]]:
    """Orders and total by region, counted by hand."""
    sys.path.insert(0, str(FOLDER))
    try:
        shop = import_module("shop")
    finally:
        sys.path.remove(str(FOLDER))
    found: dict[str, tuple[int, float]] = defaultdict(lambda: (0, 0.0))
    for line in shop.orders().splitlines()[1:]:
        _, region, amount = line.split(",")
        if float(amount) >= least:
            number, total = found[shop.REGIONS[int(region)]]
            found[shop.REGIONS[int(region)]] = number + 1, total + float(amount)
    return dict(found)


def best(outputs: Any) -> dict[str, tuple[int, float]]:
    return {row["region"]: (row["orders"], row["total"]) for row in outputs["best"]}


def test_the_pipeline(folder: Path, shop: Shop) -> None:
    """What is fetched from the shop is summed up; the output is what a loop over the orders gives."""
    arguments = ("-p", f"base_url={shop.url}", "-p", "least=50", "--format", "json")
    code, answer = result(command(folder, "run", "pipeline.yaml", *arguments))
    assert (0, "succeeded") == (code, answer["status"])
    by_total = sorted(expected(50).items(), key=lambda item: -item[1][1])
    assert dict(by_total[:3]) == best(answer["outputs"])
    assert len(by_total) == answer["outputs"]["regions"]
    assert str(folder / "data" / "by-region.parquet") == answer["outputs"]["file"]
    files = ["by-region.parquet", "orders.csv", "regions.json"]
    assert files == sorted(path.name for path in (folder / "data").iterdir())


def test_no_shop(folder: Path, shop: Shop) -> None:
    """The session fails with the code of the plugin, and what needs the files does not run."""
    shop.close()
    arguments = ("-p", f"base_url={shop.url}", "--format", "json")
    definition = folder / "pipeline.yaml"
    text = definition.read_text(encoding="utf-8").replace("delay: 1}", "delay: 0.01}")
    definition.write_text(text, encoding="utf-8")
    code, answer = result(command(folder, "run", "pipeline.yaml", *arguments))
    jobs = answer["jobs"]
    assert (1, "failed", "skipped") == (code, answer["status"], jobs["by_region"]["status"])
    assert ("Http.ConnectError", 3) == (
        jobs["fetch_orders"]["error"]["code"],
        jobs["fetch_orders"]["attempts"],
    )


HOLD = """
import pathlib, sys, time
pathlib.Path("held").touch()
until = time.monotonic() + 60
while not pathlib.Path("go").exists() and time.monotonic() < until:
    time.sleep(0.02)
"""


def test_a_runner_that_is_killed_between_the_two(folder: Path, shop: Shop) -> None:
    """What was fetched is there, and is not fetched again: the shop is closed when the session is resumed."""
    (folder / "hold.py").write_text(HOLD, encoding="utf-8")
    definition = folder / "pipeline.yaml"
    before = "depends_on: [fetch_orders, fetch_regions]"
    hold = f"  - {{id: hold, type: custom, command: ['{sys.executable}', hold.py], {before}}}\n"
    text = definition.read_text(encoding="utf-8")
    assert 1 == text.count(before)
    text = text.replace(before, "depends_on: [hold]").replace("outputs:\n", f"{hold}outputs:\n")
    definition.write_text(text, encoding="utf-8")
    run = command(folder, "run", "pipeline.yaml", "-p", f"base_url={shop.url}", "--format", "json")
    until = time.monotonic() + 60
    while not (folder / "held").exists() and run.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    assert -signal.SIGKILL == run.returncode
    shop.close()
    (folder / "go").touch()

    code, answer = result(command(folder, "session", "resume", "@last", "--format", "json"))
    assert (0, "succeeded") == (code, answer["status"])
    assert best(answer["outputs"]).items() <= expected().items()
    assert 1 == answer["jobs"]["fetch_orders"]["attempts"]
