"""Distributions with a plugin, as an installer leaves them, for a new process to find."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path


def install(folder: Path, distribution: str, entry: str, module: str, source: str) -> None:
    """Puts a distribution of version 1.0 into a folder: a module, and an entry point that names it."""
    (folder / f"{module}.py").write_text(source, encoding="utf-8")
    about = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[bunsui]\n{entry} = {module}\n")


def python(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the interpreter where what was installed in `folder` can be imported; whatever its exit code.

    Plugins of distributions that are installed elsewhere, as by who develops one, are left out.
    """
    paths = [*_without_others(folder), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *paths]), **variables},
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


def _without_others(folder: Path) -> list[str]:
    """Where distributions lie that have the names of those with plugins, and nothing else.

    Of two distributions of one name, the first one on the path is what `importlib.metadata` sees.
    """
    others = {entry.dist.name for entry in entry_points(group="bunsui") if entry.dist is not None}
    place = folder / "left-out"
    for name in others:
        about = place / f"{name.replace('-', '_')}-0.dist-info"
        about.mkdir(parents=True, exist_ok=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0\n")
    return [str(place)] if others else []
