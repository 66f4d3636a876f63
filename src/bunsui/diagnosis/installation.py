"""Whether Python, bunsui and the libraries that it needs are there and can be imported."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata

import bunsui
from bunsui.diagnosis.check import Check, ok, problem, warning

#: The first Python that bunsui runs on.
OLDEST_PYTHON = (3, 11)
#: What each library is imported as, by the name that it is installed under.
LIBRARIES: Mapping[str, str] = {
    "attrs": "attrs",
    "boto3": "boto3",
    "cattrs": "cattrs",
    "google-re2": "re2",
    "jsonschema": "jsonschema",
    "opentelemetry-api": "opentelemetry.trace",
    "packaging": "packaging",
    "platformdirs": "platformdirs",
    "pluggy": "pluggy",
    "pyyaml": "yaml",
    "tenacity": "tenacity",
}
#: The libraries of the command line, which is an extra.
CLI_LIBRARIES: Mapping[str, str] = {"click": "click", "rich": "rich", "tomlkit": "tomlkit"}


def installation() -> Iterator[Check]:
    """Python, bunsui, its libraries, and the extra ``cli``."""
    yield python(sys.version_info[:3])
    yield version(bunsui.__version__)
    yield from imports("libraries", LIBRARIES, "pip install --force-reinstall bunsui")
    yield from imports("extra cli", CLI_LIBRARIES, "pip install 'bunsui[cli]'")


def python(found: tuple[int, int, int]) -> Check:
    """Whether a version of Python is new enough."""
    text = f"Python {'.'.join(map(str, found))}, {sys.executable}"
    if found[:2] < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        return problem("python", text, f"use Python {oldest} or later")
    return ok("python", text)


def version(running: str) -> Check:
    """Whether the code that runs is the version that is installed."""
    try:
        installed = metadata.version("bunsui")
    except metadata.PackageNotFoundError:
        return warning(
            "bunsui", f"{running}, which is not installed", "install it with pip: plugins need that"
        )
    if installed != running:
        return warning(
            "bunsui",
            f"{running} runs, but {installed} is installed",
            "look at PYTHONPATH, or install it anew",
        )
    return ok("bunsui", running)


def imports(name: str, libraries: Mapping[str, str], remedy: str) -> Iterator[Check]:
    """Whether libraries can be imported; each is tried."""
    good = []
    for distribution, module in libraries.items():
        try:
            importlib.import_module(module)
            good.append(f"{distribution} {metadata.version(distribution)}")
        except Exception as error:  # Foreign code: a broken library may raise anything.
            found = f"{distribution} can't be imported: {type(error).__name__}: {error}"
            yield problem(name, found, remedy)
    if good:
        yield ok(name, ", ".join(good))
