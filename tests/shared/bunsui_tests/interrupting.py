"""Ctrl-C within a call: at the points where the interpreter looks for signals, one after the other."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any


class Interrupt:
    """Raises KeyboardInterrupt at one point of what this thread does within it, and takes it in.

    CPython looks for signals after a call, and when a loop goes round (``Python/ceval.c``): so those are the
    points, also in the standard library's code. It does so when a function begins, too, but 3.11 confuses its
    stack where a trace function raises there.

    Args:
        point: which of them; from 1 on.
    """

    def __init__(self, point: int) -> None:
        self.point = point
        #: How many points there were, up to that one.
        self.seen = 0
        #: What came out of what was interrupted, with its traceback, as a notebook keeps it.
        self.error: BaseException | None = None

    @property
    def has_come(self) -> bool:
        """Whether there were so many points."""
        return self.seen >= self.point

    def __enter__(self) -> Interrupt:
        self._outer = sys.gettrace()
        self._trace = self._begin, self._step
        #: The last instruction of each frame.
        self._last: dict[FrameType, str] = {}
        sys.settrace(self._trace[0])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        sys.settrace(self._outer)
        self._last.clear()
        self.error = error
        return self.has_come and isinstance(error, KeyboardInterrupt)

    def _begin(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        if frame.f_code is Interrupt.__exit__.__code__:
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        return self._trace[1]

    def _step(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
        if event == "return":
            self._last.pop(frame, None)
        elif event == "opcode":
            last = self._last.get(frame, "")
            self._last[frame] = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            if last.startswith(("CALL", "JUMP_BACKWARD")) and "INTRINSIC" not in last:
                self.seen += 1
                if self.has_come:
                    raise KeyboardInterrupt  # This ends the tracing, too.
        return self._trace[1]


def everywhere(step: int = 1, first: int = 1) -> Iterator[Interrupt]:
    """One interrupt for each point, or for each so many, until one does not come any more."""
    point = first
    while True:
        interrupt = Interrupt(point)
        yield interrupt
        if not interrupt.has_come:
            return
        point += step
