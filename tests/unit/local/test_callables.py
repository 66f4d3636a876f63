"""Callables by name: where they are looked for, and how they are called."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bunsui.errors import JobError
from bunsui.local.callables import LambdaContext, find, invoke
from bunsui.ports.job_type import Function
from bunsui_tests.attempts import make_call


@pytest.fixture(autouse=True)
def modules() -> Iterator[None]:
    """Takes back what a test has put into sys.modules."""
    before = dict(sys.modules)
    yield
    for name in set(sys.modules) - set(before):
        del sys.modules[name]


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder


class TestFind:
    def test_beside_the_definition(self, tmp_path: Path) -> None:
        """A module is found in the function's folder."""
        folder = write(tmp_path, "tasks_a.py", "def f():\n    return 'beside'\n")
        assert find(Function("tasks_a:f", (folder,)))() == "beside"

    def test_sys_path_is_unchanged(self, tmp_path: Path) -> None:
        """Finding a module in a folder leaves sys.path as it is."""
        before = list(sys.path)
        find(Function("tasks_a:f", (write(tmp_path, "tasks_a.py", "def f(): pass"),)))
        assert before == sys.path

    def test_first_folder_wins(self, tmp_path: Path) -> None:
        """Folders are looked through in their order."""
        folders = [write(tmp_path / n, "tasks_a.py", f"def f(): return {n!r}") for n in ("one", "two")]
        assert find(Function("tasks_a:f", (tmp_path / "none", *folders)))() == "one"

    def test_two_modules_of_one_name(self, tmp_path: Path) -> None:
        """Two definitions may each have a module of the same name beside them."""
        folders = [write(tmp_path / n, "tasks_a.py", f"def f(): return {n!r}") for n in ("one", "two")]
        assert ["one", "two", "one"] == [
            find(Function("tasks_a:f", (folder,)))() for folder in (*folders, folders[0])
        ]

    def test_folder_before_sys_path(self, tmp_path: Path) -> None:
        """A module beside the definition comes before one of Python's with the same name."""
        folder = write(tmp_path, "colorsys.py", "def f(): return 'mine'")
        assert find(Function("colorsys:f", (folder,)))() == "mine"

    def test_on_sys_path(self, tmp_path: Path) -> None:
        """What is not in a folder is found on sys.path."""
        import json

        assert json.dumps is find(Function("json:dumps", (tmp_path,)))

    def test_imported_once(self, tmp_path: Path) -> None:
        """A module is run once, however often it is asked for, by several threads too."""
        text = "import threading, time\ntime.sleep(0.05)\nstate = []\ndef f(): return state\n"
        function = Function("tasks_a:f", (write(tmp_path, "tasks_a.py", text),))
        found: list[Any] = []
        threads = [threading.Thread(target=lambda: found.append(find(function)())) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (8, 1) == (len(found), len({id(state) for state in found}))

    def test_module_that_is_loaded_already(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A module of the folder that the host has imported itself is not run a second time."""
        write(tmp_path, "tasks_a.py", "def f(): pass")
        monkeypatch.syspath_prepend(tmp_path)
        import tasks_a  # type: ignore[import-not-found]

        assert tasks_a.f is find(Function("tasks_a:f", (tmp_path,)))

    def test_attribute_of_attribute(self, tmp_path: Path) -> None:
        """A callable may be a member of a class."""
        folder = write(tmp_path, "tasks_a.py", "class A:\n  class B:\n    f = staticmethod(lambda: 1)")
        assert find(Function("tasks_a:A.B.f", (folder,)))() == 1

    def test_package(self, tmp_path: Path) -> None:
        """A package in the folder is found, and its relative imports work."""
        write(tmp_path / "pack", "part.py", "def f(): return 'part'")
        write(tmp_path / "pack", "__init__.py", "from .part import f")
        assert find(Function("pack:f", (tmp_path,)))() == "part"

    def test_module_of_a_package(self, tmp_path: Path) -> None:
        """A module of a package in the folder is found."""
        write(tmp_path / "pack", "part.py", "def f(): return 'part'")
        assert find(Function("pack.part:f", (tmp_path,)))() == "part"

    def test_given(self) -> None:
        """A callable that is given is taken as it is."""
        assert len is find(Function("local:x", function=len))

    def test_failed_import_leaves_nothing(self, tmp_path: Path) -> None:
        """A module that failed to import is run anew the next time."""
        folder = write(tmp_path, "tasks_a.py", "1 / 0")
        with pytest.raises(JobError):
            find(Function("tasks_a:f", (folder,)))
        write(tmp_path, "tasks_a.py", "def f(): return 'repaired at last'")
        assert find(Function("tasks_a:f", (folder,)))() == "repaired at last"

    @pytest.mark.parametrize(
        ("target", "reason"),
        [
            ("absent_module:f", "ModuleNotFoundError: No module named 'absent_module'"),
            ("tasks_a:g", "module 'tasks_a' has no 'g'"),
            ("tasks_a:f.g", "module 'tasks_a' has no 'f.g'"),
            ("tasks_a:number", "it is int, which can't be called"),
            ("tasks_bad:f", "ZeroDivisionError: division by zero"),
            ("tasks_exit:f", "SystemExit: 2"),
            ("tasks_syntax:f", "SyntaxError: invalid syntax (tasks_syntax.py, line 1)"),
            ("local:f", "it exists only in the process that made it"),
        ],
    )
    def test_not_found(self, tmp_path: Path, target: str, reason: str) -> None:
        """A callable that can't be had is CallableNotFound, with the reason; another attempt won't help."""
        write(tmp_path, "tasks_a.py", "number = 3\ndef f(): pass")
        write(tmp_path, "tasks_bad.py", "1 / 0")
        write(tmp_path, "tasks_exit.py", "import sys; sys.exit(2)")
        write(tmp_path, "tasks_syntax.py", "def f(:")
        with pytest.raises(JobError) as caught:
            find(Function(target, (tmp_path,)))
        error = caught.value
        message = f"callable '{target}' can't be imported: {reason}"
        assert ("CallableNotFound", message, False) == (error.code, error.message, error.retryable)


class TestInvoke:
    def test_keywords(self) -> None:
        """A custom job's callable gets its parameters as keywords."""
        assert {"b": 2, "a": 1} == invoke(dict, "keywords", "x", make_call({"a": 1, "b": 2}))

    def test_event_and_context(self) -> None:
        """A Lambda function gets the event and a context that knows its name."""
        event, context = invoke(lambda *both: both, "lambda", "my-function", make_call({"a": 1}))
        assert ({"a": 1}, LambdaContext, "my-function") == (event, type(context), context.function_name)

    def test_coroutine(self) -> None:
        """What an async function returns is for the caller to await."""

        async def later(a: int) -> int:
            return a + 1

        assert 2 == asyncio.run(invoke(later, "keywords", "x", make_call({"a": 1})))

    def test_wrong_parameters(self) -> None:
        """Parameters that a callable does not take fail as Python says it."""
        with pytest.raises(TypeError, match=r"unexpected keyword argument 'b'"):
            invoke(lambda a: a, "keywords", "x", make_call({"a": 1, "b": 2}))
