"""What the steps of examples/aws-etl share, and the files that are for AWS itself."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import bunsui

ROOT = Path(__file__).resolve().parents[3]
ETL = ROOT / "examples" / "etl"
EXAMPLE = ROOT / "examples" / "aws-etl"


def load_module(path: Path) -> ModuleType:
    """The file as a module that is not in sys.modules."""
    spec = importlib.util.spec_from_file_location(f"aws_etl_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def context(**custom: str) -> Any:
    """What Lambda passes as context, as far as the example looks at it."""
    return SimpleNamespace(client_context=SimpleNamespace(custom=custom))


@pytest.fixture
def handover(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module, in an environment that says nothing of a session."""
    for name in ("ETL_SESSION", "BUNSUI_SESSION_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.syspath_prepend(str(ETL))
    sys.modules.pop("places", None)
    yield load_module(EXAMPLE / "handover.py")
    sys.modules.pop("places", None)


class TestSession:
    def test_a_function_has_it_from_its_client_context(self, handover: ModuleType) -> None:
        """As bunsui sends it to Lambda."""
        assert "s1" == handover.session_id(context(BUNSUI_SESSION_ID="s1"))

    def test_a_task_has_it_from_its_environment(
        self, handover: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As bunsui gives it to containers and commands."""
        monkeypatch.setenv("BUNSUI_SESSION_ID", "s1")
        assert "s1" == handover.session_id()

    def test_all_steps_meet_where_functions_are_not_told(
        self, handover: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """ETL_SESSION goes before what a step that is told knows, so that it finds the others' files."""
        monkeypatch.setenv("ETL_SESSION", "shared")
        without = SimpleNamespace(client_context=None)
        assert "shared" == handover.session_id(without)
        monkeypatch.setenv("BUNSUI_SESSION_ID", "s1")
        assert "shared" == handover.session_id()

    @pytest.mark.parametrize("given", [None, SimpleNamespace(client_context=None), context()])
    def test_no_session(self, handover: ModuleType, given: Any) -> None:
        """Nothing is written below a name that nobody gave."""
        with pytest.raises(ValueError, match="no session: "):
            handover.session_id(given)

    def test_a_session_that_would_lead_elsewhere(self, handover: ModuleType) -> None:
        """It becomes a part of a key: it has to be a plain name."""
        with pytest.raises(ValueError, match=re.escape("'../other' is not a plain name")):
            handover.session_id(context(BUNSUI_SESSION_ID="../other"))


class TestOnAws:
    def test_the_names_are_the_pipelines(self) -> None:
        """Functions, task definition and the one binding have the names that pipeline.yaml has."""
        jobs = bunsui.Pipeline.load(ETL / "pipeline.yaml").jobs
        functions = {job.options["function"] for job in jobs if job.type == "lambda"}
        (task,) = [job.options["task_definition"] for job in jobs if job.type == "ecs"]
        definition = json.loads((EXAMPLE / "task" / "task-definition.json").read_text(encoding="utf-8"))
        assert functions == load_module(EXAMPLE / "cloud.py").FUNCTIONS.keys()
        assert task == definition["family"]
        assert f"  {task}: " in (EXAMPLE / "bindings.yaml").read_text(encoding="utf-8")

    def test_the_image_has_what_the_process_has(self) -> None:
        """The files that the Dockerfile copies are those that cloud.py lays beside main.py."""
        dockerfile = (EXAMPLE / "task" / "Dockerfile").read_text(encoding="utf-8")
        copied = re.search(r"^COPY (.*) \./$", dockerfile, re.MULTILINE)
        assert copied is not None
        shared = load_module(EXAMPLE / "cloud.py").SHARED["task"]
        expected = {EXAMPLE / "task" / "main.py", *shared}
        assert expected == {ROOT / "examples" / name for name in copied[1].split()}

    def test_the_zips_of_the_readme_have_what_the_emulators_have(self) -> None:
        """The files that its two commands pack."""
        readme = (EXAMPLE / "README.rst").read_text(encoding="utf-8")
        shared = load_module(EXAMPLE / "cloud.py").SHARED["function"]
        packed = dict(re.findall(r"zip -j (\w+)\.zip (.*)", readme))
        assert {
            module: {EXAMPLE / "functions" / f"{module}.py", *shared} for module in ("extract", "load")
        } == {module: {ROOT / name for name in names.split()} for module, names in packed.items()}
