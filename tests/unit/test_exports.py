"""The public surface: `__all__` is what can be seen, and all of it is there."""

from __future__ import annotations

import ast
import inspect
import types
from importlib.metadata import version

import pytest

import bunsui
from bunsui import errors, monitoring


def test_dir():
    """dir() shows the public names and nothing else."""
    assert dir(bunsui) == sorted(bunsui.__all__)


def test_sorted_and_unique():
    """Each public name is listed once."""
    assert len(bunsui.__all__) == len(set(bunsui.__all__))


@pytest.mark.parametrize("name", bunsui.__all__)
def test_importable(name):
    """Every public name can be had."""
    assert getattr(bunsui, name) is not None


@pytest.mark.parametrize("name", sorted(set(bunsui.__all__) - {"__version__", "hookimpl", "hookspec"}))
def test_documented(name):
    """Every public class and function has a docstring of its own."""
    assert inspect.getdoc(getattr(bunsui, name))


def test_nothing_leaks():
    """Beside the public names only submodules, and what typing asks for, can be reached."""
    for name in bunsui.__all__:
        getattr(bunsui, name)
    leaked = {
        name
        for name, value in vars(bunsui).items()
        if not name.startswith(
            ("_", "@")
        )  # pytest rewrites what comes with a plugin: it adds names with an @.
        and name not in bunsui.__all__
        and not (isinstance(value, types.ModuleType) and value.__name__ == f"bunsui.{name}")
    }
    assert leaked == {"annotations", "TYPE_CHECKING"}


def typed_in(module: types.ModuleType) -> set[tuple[str, str]]:
    """The names of ours that type checkers see in a module, each with where it comes from."""
    tree = ast.parse(inspect.getsource(module))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {
        (node.module, alias.name)
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.module.startswith("bunsui")
        for alias in node.names
    }


def test_typed_names_are_the_lazy_ones():
    """What type checkers see, what is loaded, and `__all__` are the same names; and two rooms."""
    typed = typed_in(bunsui) - {("bunsui", "aws"), ("bunsui", "logging")}
    lazy = {(module, name) for module, names in bunsui._HOMES.items() for name in names}
    own = {"__version__", "json_schema", "validate"}
    assert (typed, {name for _, name in lazy} | own) == (lazy, set(bunsui.__all__))


@pytest.mark.parametrize("room", [bunsui.aws, bunsui.logging, monitoring])
def test_names_of_rooms(room):
    """Likewise; those of AWS and of logs need no import of their own."""
    lazy = {(module, name) for name, module in room._HOME.items()}
    assert (typed_in(room), {name for _, name in lazy}) == (lazy, set(room.__all__))
    assert all(inspect.getdoc(getattr(room, name)) for name in room.__all__)


def test_unknown_name():
    """A name that does not exist is an AttributeError, as of any module."""
    with pytest.raises(AttributeError, match=r"^module 'bunsui' has no attribute 'Runer'$"):
        _ = bunsui.Runer


def test_all_errors_are_public():
    """Every error is exported."""
    assert set(errors.__all__) <= set(bunsui.__all__)


def test_version():
    """The version is that of the installed distribution."""
    assert bunsui.__version__ == version("bunsui")
