"""Saving into a file that is there once it is complete."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from bunsui.dsl.problems import quoted
from bunsui.errors import ConfigError


@contextlib.contextmanager
def saving(path: Path, *, force: bool) -> Iterator[TextIO]:
    """A file for its owner alone, which is there when it is complete.

    Args:
        path: where.
        force: whether what is there may be overwritten: a file is replaced, behind a link the one that it
            leads to; what is no file, such as a pipe or a device, stays, and is written to.

    Raises:
        ConfigError: there is something already, or it can't be written.
    """
    try:
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            mode = None
        if mode is not None and stat.S_ISDIR(mode):
            raise ConfigError(f"{quoted(str(path))} is a folder", hint="name a file in it")
        if mode is not None and not force:
            raise _exists(path)
        # A device that was replaced would be missing to the whole machine.
        if mode is not None and not stat.S_ISREG(mode):
            opened = _written_to(path)
        else:
            opened = _made(Path(os.path.realpath(path)) if force else path, force=force)
        with opened as file:
            yield file
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise ConfigError(f"{quoted(str(path))} can't be written: {error.strerror}") from error


def _exists(path: Path) -> ConfigError:
    return ConfigError(f"{quoted(str(path))} is there already", hint="give another name, or --force")


@contextlib.contextmanager
def _written_to(path: Path) -> Iterator[TextIO]:
    with _text(os.open(path, os.O_WRONLY | os.O_NOCTTY)) as file:
        yield file


@contextlib.contextmanager
def _made(path: Path, *, force: bool) -> Iterator[TextIO]:
    with contextlib.ExitStack() as on_failure:
        number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
        on_failure.callback(os.unlink, name)
        with _text(number) as file:
            yield file
        if force:
            Path(name).replace(path)
            on_failure.pop_all()
        else:
            os.link(name, path)  # Unlike a rename, it fails where somebody else was faster.


def _text(descriptor: int) -> TextIO:
    return os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="")
