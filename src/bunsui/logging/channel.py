"""What comes out of a pipe of a process, as records."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bunsui.logging.records import STREAM_LEVELS, head_of, lines_of
from bunsui.model.times import to_text

if TYPE_CHECKING:
    from bunsui.ports.clock import Clock

#: Bytes of a line above which it is cut into several records.
MAX_LINE = 64 * 1024
#: Bytes that are read at once, at most; also what a pipe holds, unless its user has made it larger.
CHUNK = 64 * 1024
#: Bytes of a structured record of a worker above which it is taken for text.
MAX_RECORD = 4 * 1024 * 1024
#: What every record of a worker has, as text.
_TEXTS = ("level", "logger", "message")


class Stream(Protocol):
    """Masks what must not be shown, in bytes that come in pieces."""

    def feed(self, data: bytes, *, ends: bool = False) -> bytes:
        """As much of what has come as is settled."""
        ...


class Redactor(Protocol):
    """Knows what must not be shown."""

    def redact(self, text: str) -> str:
        """`text` without it."""
        ...

    def stream(self) -> Stream | None:
        """The same for bytes that come in pieces; None where there is nothing to look for in them."""
        ...

    def is_short(self, line: str) -> bool:
        """Whether a whole line is something that must not be shown."""
        ...


class Channel:
    """Reads one stream of an attempt: splits it into lines, redacts them, and hands them on as records.

    Any thread may have it read; what is held in memory is bounded by a line, a chunk and the longest secret.
    After a fault in that it goes on reading, so that the process can go on writing, and counts the lines.

    Args:
        descriptor: the end of the pipe that is read; closed by `close`.
        stream: ``stdout`` or ``stderr``.
        write: takes whole lines of the log.
        clock: says when something was read.
        job: the job's id.
        attempt: starts at 1.
        item: the index of the fan-out's item.
        redactor: knows the secrets of the attempt; None: there are none.
        mark: what a worker puts before a record of `logging`, at any place of the stream.
        take: takes such a record.
        lose: told how many lines are lost by a fault, and of which.
    """

    def __init__(
        self,
        descriptor: int,
        stream: str,
        write: Callable[[bytes], None],
        clock: Clock,
        job: str,
        attempt: int,
        item: int | None,
        redactor: Redactor | None,
        mark: bytes,
        take: Callable[[Mapping[str, Any]], None],
        lose: Callable[[int, str], None],
    ) -> None:
        self._descriptor = descriptor
        self._head = head_of(job, attempt, item, stream, STREAM_LEVELS[stream])
        self._write = write
        self._clock = clock
        self._redactor = redactor
        self._stream = None if redactor is None else redactor.stream()
        self._mark = mark
        self._take = take
        self._lose = lose
        #: What has gone wrong: after that nothing is written.
        self._fault = ""
        #: What this step has handed on: lines, and b"" for a record. It is counted after a fault alone.
        self._told: list[bytes] = []
        self._lock = threading.Lock()
        #: The beginning of a mark, or of what follows one.
        self._raw = b""
        #: The beginning of a line.
        self._line = b""
        #: Whether everything was read that will ever come.
        self.ended = False
        #: The last line that is not blank, without its surroundings.
        self.last_line = b""

    def fileno(self) -> int:
        """The end of the pipe."""
        return self._descriptor

    def read(self) -> None:
        """Takes in what is there, up to `CHUNK` bytes."""
        with self._lock:
            self._read()

    def _read(self) -> int:
        if self.ended:
            return 0
        try:
            data = os.read(self._descriptor, CHUNK)
        except BlockingIOError:
            return 0
        self._feed(data, ends=not data)
        return len(data)

    def drain(self) -> None:
        """Takes in all that has been written until now.

        Where somebody else goes on writing to the pipe, a child of the process, this ends all the same; and
        an open line ends here, unless it may be the beginning of a secret.
        """
        with self._lock:
            left = max(_capacity(self._descriptor), CHUNK) if not self.ended else 0
            while left > 0 and (size := self._read()):
                left -= size
            if not self.ended and self._line:
                self._guard(lambda: self._lines(b"\n"), b"\n")

    def finish(self) -> None:
        """Takes in what is there, and lets go of what was held back: nobody will read the rest."""
        self.drain()
        with self._lock:
            if not self.ended:
                self._feed(b"", ends=True)

    def close(self) -> None:
        """Closes the end of the pipe."""
        with self._lock:
            self.ended = True
            os.close(self._descriptor)

    def _feed(self, data: bytes, *, ends: bool) -> None:
        self.ended = ends
        self._guard(lambda: self._take_in(data, ends=ends), data, ends=ends)

    def _guard(self, step: Callable[[], None], data: bytes, *, ends: bool = False) -> None:
        """Does a step that hands on what has come; after the first fault its lines are counted instead."""
        self._told = []
        if not self._fault:
            try:
                step()
            except Exception as error:  # A fault of ours must end neither the job nor the logs of others.
                self._fault, self._raw = _shown(error), b""
            else:
                self._told = []  # Else an idle channel would keep its last chunk.
                return
        open_line = self._line + data
        self._line = b"" if ends else open_line[open_line.rfind(b"\n") + 1 :][:1]  # That there is one.
        lines = data.count(b"\n") + (ends and open_line[-1:] not in (b"", b"\n"))
        lines -= sum(told.count(b"\n") + 1 for told in self._told)
        if lines > 0:
            with contextlib.suppress(Exception):  # Where not even that can be told, the job goes on, too.
                self._lose(lines, self._fault)

    def _take_in(self, data: bytes, *, ends: bool) -> None:
        if self._mark:
            data = self._take_records(self._raw + data, ends=ends)
        self._text(data, ends=ends)
        if ends and self._line:
            self._lines(b"\n")

    def _take_records(self, data: bytes, *, ends: bool) -> bytes:
        """Takes structured records out of what has come; the text behind the last of them.

        What begins like one and is none is text: something else was written into it, or its job has made it
        up. It ends where its line does, or where the next one begins, as none has a mark within it.
        """
        self._raw = b""
        after = 0
        while (start := data.find(self._mark, after)) >= 0:
            after = start + len(self._mark)
            following = data.find(self._mark, after)
            end = data.find(b"\n", after, following if following >= 0 else len(data))
            if end < 0 and following >= 0:
                continue
            if end < 0 and not ends and len(data) - start < MAX_RECORD:
                break
            record = _as_record(data[after : end if end >= 0 else len(data)])
            if record is None:
                continue
            self._text(data[:start], ends=True)
            if self._line:
                self._lines(b"\n")
            if self._takes(record):
                data, after = data[end + 1 :] if end >= 0 else b"", 0
            else:
                data, after = data[start:], len(self._mark)
        if start < 0 and not ends:
            start = _beginning(data, self._mark)
        if start >= 0 and not ends:
            data, self._raw = data[:start], data[start:]
        return data

    def _takes(self, record: Mapping[str, Any]) -> bool:
        try:
            self._take(record)
        except RecursionError:  # Nested more deeply than can be written again.
            return False
        self._told.append(b"")
        return True

    def _text(self, data: bytes, *, ends: bool) -> None:
        if self._stream is not None:
            data = self._stream.feed(data, ends=ends)
        if data:
            self._lines(data)

    def _lines(self, data: bytes) -> None:
        """Writes the lines that are whole, and keeps the beginning of the next one."""
        data = self._line + data
        end = data.rfind(b"\n")
        whole, self._line = data[: max(end, 0)], data[end + 1 :]
        time = ""
        if end >= 0 or len(self._line) > MAX_LINE:
            time = to_text(self._clock.now())
        if end >= 0:
            self._write_whole(whole, time)
            self._told.append(whole)
        while len(self._line) > MAX_LINE:
            cut = _before_character(self._line, MAX_LINE)
            self._write(lines_of(self._line[:cut], self._head, time, ',"continues":true}'))
            self._line = self._line[cut:]

    def _write_whole(self, data: bytes, time: str) -> None:
        if self._redactor is not None:
            data = _without_short(data, self._redactor)
        last = data.rstrip()
        if last:
            self.last_line = last[last.rfind(b"\n") + 1 :].strip()[-MAX_LINE:]
        if len(data) <= MAX_LINE or max(map(len, data.split(b"\n"))) <= MAX_LINE:
            self._write(lines_of(data, self._head, time))
            return
        for line in data.split(b"\n"):
            rest = line
            while len(rest) > MAX_LINE:
                cut = _before_character(rest, MAX_LINE)
                self._write(lines_of(rest[:cut], self._head, time, ',"continues":true}'))
                rest = rest[cut:]
            self._write(lines_of(rest, self._head, time))


def _shown(error: Exception) -> str:
    """Which fault it was, and where. Its text may hold what must not be shown."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else f" in {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
    return f"a fault in reading them ({type(error).__name__}{where})"


def _without_short(data: bytes, redactor: Redactor) -> bytes:
    """Whole lines, with a mask in place of each that is a short secret, however it ends."""
    text = data.decode("utf-8", "surrogateescape")
    lines = text.split("\n")
    bare = [line.removesuffix("\r") for line in lines] if "\r" in text else lines
    if not any(map(redactor.is_short, bare)):
        return data
    shown = (
        redactor.redact(line) + whole[len(line) :] if redactor.is_short(line) else whole
        for line, whole in zip(bare, lines, strict=True)
    )
    return "\n".join(shown).encode("utf-8", "surrogateescape")


def _as_record(text: bytes) -> dict[str, Any] | None:
    """What a worker has written as a record; None where it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(found, dict) and all(isinstance(found.get(key), str) for key in _TEXTS)
    return found if whole else None


def _beginning(data: bytes, mark: bytes) -> int:
    """Where a mark may begin that goes on in what follows; -1: nowhere."""
    start = data.rfind(mark[:1], max(len(data) - len(mark) + 1, 0))
    return start if start >= 0 and mark.startswith(data[start:]) else -1


def _before_character(data: bytes, most: int) -> int:
    """Where to cut UTF-8, at `most` bytes or just before."""
    cut = most
    while cut > most - 4 and data[cut] & 0xC0 == 0x80:
        cut -= 1
    return cut if data[cut] & 0xC0 != 0x80 else most


def _capacity(descriptor: int) -> int:
    """Bytes that a pipe may hold."""
    import fcntl  # noqa: PLC0415 - where there are processes

    try:
        return fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ)
    except (AttributeError, OSError):  # macOS: at most this.
        return CHUNK
