"""The notice of what a log lacks where the disk has no room for it: it takes that of the last records."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from bunsui.logging.records import OWN

#: Bytes at the end of a file in which the room is looked for.
_TAIL = 1024 * 1024


def write_over_end(path: Path, notice: Callable[[int], bytes], lost: int) -> int | None:
    """Writes a notice over the end of a file: over what is torn there, and as few whole records as needed.

    The file does not grow, and no line begins elsewhere than before, so who follows it reads on. The last
    lines must be nobody's but the caller's.

    Args:
        path: the file.
        notice: the line that says how many records are missing.
        lost: how many are, so far.

    Returns:
        How many the notice says: those that it has taken the room of, too. None: there is none.

    Raises:
        OSError: it can't be written.
    """
    file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        size = os.fstat(file).st_size
        before = max(size - _TAIL, 0)
        data = os.pread(file, size - before, before)
        start = end = data.rfind(b"\n") + 1
        lost += _records_in(data[end:])
        line = notice(lost)
        if len(data) - end >= len(line):
            end += len(line)
        while end - start < len(line):
            # Where the tail begins is the beginning of a line only if that is the file's.
            earlier = data.rfind(b"\n", 0, max(start - 1, 0)) + 1
            if start == 0 or (earlier == 0 and before):
                return None
            lost += _records_in(data[earlier:start])
            start, line = earlier, notice(lost)
        os.pwrite(file, line[:-1].ljust(end - start - 1) + b"\n", before + start)
        os.ftruncate(file, before + end)
    finally:
        os.close(file)
    return lost


def _records_in(line: bytes) -> int:
    """How many records are lost with a line; what is torn was counted before."""
    try:
        found = json.loads(line)
        return int(found["fields"]["lost"]) if found.get("logger") == OWN else 1
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return 0
