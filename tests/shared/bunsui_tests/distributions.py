"""Distributions with a plugin, as an installer leaves them, for a new process to find."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def install(folder: Path, distribution: str, entry: str, module: str, source: str) -> None:
    """Puts a distribution of version 1.0 into a folder: a module, and an entry point that names it."""
    (folder / f"{module}.py").write_text(source, encoding="utf-8")
    about = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[bunsui]\n{entry} = {module}\n")


def python(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the interpreter where what was installed in `folder` can be imported; whatever its exit code."""
    paths = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *paths]), **variables},
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
