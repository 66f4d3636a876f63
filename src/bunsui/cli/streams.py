"""Writing for somebody who may have gone: a terminal that was closed, `| head`, a full disk behind `>`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Literal

import click


@contextlib.contextmanager
def unread(name: Literal["stdout", "stderr"]) -> Iterator[None]:
    """Goes on where what the block writes can't be written; what follows in the stream then goes nowhere."""
    try:
        yield
    except OSError:
        to_nowhere(name)


def to_nowhere(name: Literal["stdout", "stderr"]) -> None:
    """Lets go of a stream that can't be written any more.

    It still holds what it could not write. Its flush at the end of the program, which would fail and so
    choose the exit code, finds a place for it.
    """
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, getattr(sys, name).fileno())
    os.close(null)


def say(text: str) -> None:
    """Prints a line of a run to stdout; the run goes on where nobody can read it any more."""
    with unread("stdout"):
        click.echo(text)


def note(text: str) -> None:
    """Prints a line to stderr; the exit code does not hang on whether anybody can read it."""
    with unread("stderr"):
        click.echo(text, err=True)
