"""Writing for somebody who may have gone: a terminal that was closed, `| head`, a full disk behind `>`."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO

import click


class Output(io.TextIOWrapper):
    """stdout for a command: it goes on where what it writes can't be written; what follows goes nowhere.

    Args:
        stream: what it stands for; see `around`.
    """

    def __init__(self, stream: io.TextIOWrapper) -> None:
        super().__init__(
            stream.buffer,
            encoding=stream.encoding,
            errors="backslashreplace",  # What a terminal can't show is escaped.
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
        self._is_terminal = stream.isatty()
        #: Whether nobody reads it any more.
        self.is_unread = False
        #: Why what was written could not be kept.
        self.lost: OSError | None = None

    def write(self, text: str) -> int:
        """Writes, or does not."""
        with self._going_on():
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Flushes, or does not."""
        with self._going_on():
            super().flush()

    @contextlib.contextmanager
    def _going_on(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # Of a pipe or a terminal the reader has gone, as `head` does, which is no fault of the command.
            if self._is_terminal or isinstance(error, BrokenPipeError):
                self.is_unread = True
            else:
                self.lost = error
            to_nowhere(self)
            super().flush()


@contextlib.contextmanager
def around() -> Iterator[None]:
    """Makes sure that there are standard streams, and that stdout is an `Output` within the block."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # It was closed, as with `>&-`.
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - for good
    before = sys.stdout
    if not isinstance(before, io.TextIOWrapper):
        yield  # A program has put something of its own there.
        return
    before.flush()
    sys.stdout = output = Output(before)
    try:
        yield
    finally:
        output.flush()
        sys.stdout = before
        output.detach()


def has_reader() -> bool:
    """Whether what is written to stdout can still be of use to anybody."""
    return not (isinstance(sys.stdout, Output) and (sys.stdout.is_unread or sys.stdout.lost))


def lost() -> OSError | None:
    """Why what was written to stdout is lost, though somebody wanted it."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    return sys.stdout.lost if isinstance(sys.stdout, Output) else None


def say(text: str) -> None:
    """Prints a line of a run to stdout; the run goes on where nobody can read it any more."""
    click.echo(text)


@contextlib.contextmanager
def unread() -> Iterator[None]:
    """Goes on where what the block writes to stderr can't be written; what follows then goes nowhere."""
    try:
        yield
    except OSError:
        to_nowhere(sys.stderr)


def to_nowhere(stream: TextIO) -> None:
    """Lets go of a stream that can't be written any more.

    It still holds what it could not write. Its flush at the end of the program, which would fail and so
    choose the exit code, finds a place for it.
    """
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def note(text: str) -> None:
    """Prints a line to stderr; the exit code does not hang on whether anybody can read it."""
    with unread():
        click.echo(text, err=True)
