"""Reading the files of one job's log, from any position, while somebody may be writing to them."""

from __future__ import annotations

from pathlib import Path

from bunsui.logging.log_store import INDEX, segment_name


class JobFiles:
    """The log of one job, read in blocks of whole lines. It holds no file open, and its position is exact.

    Args:
        folder: of the session's logs.
        job: its id.
    """

    def __init__(self, folder: Path, job: str) -> None:
        self.job = job
        self._folder = folder
        #: Where the next block begins: the number of a file, and bytes in it.
        self._number = self._offset = 0
        #: The files that should be there and are not.
        self.gone: list[Path] = []

    def block(self, size: int) -> bytes:
        """The next whole lines; nothing where there are no more, yet.

        Args:
            size: bytes that they have at most, unless a line is longer.
        """
        while True:
            # Looked for first: then what is read here is all that the file before it will ever have.
            goes_on = self._path(self._number + 1).exists()
            data = self._read(self._path(self._number), size, goes_on=goes_on)
            end = data.rfind(b"\n") + 1
            if end:
                self._offset += end
                return data[:end]
            if len(data) == size:
                size *= 2
            elif goes_on:
                self._number, self._offset = self._number + 1, 0
                if data:  # A torn line, that nobody will complete.
                    return data + b"\n"
            else:
                return b""

    def _read(self, path: Path, size: int, *, goes_on: bool) -> bytes:
        try:
            with path.open("rb") as file:
                file.seek(self._offset)
                return file.read(size)
        except FileNotFoundError:
            if goes_on and path not in self.gone:
                self.gone.append(path)
            return b""

    def _path(self, number: int) -> Path:
        return self._folder / segment_name(self.job, number)

    def go_to_last(self, lines: int) -> None:
        """Goes to where the last lines begin: so many, or as many as there are."""
        number = 0
        while self._path(number + 1).exists():
            number += 1
        while True:
            left, offset = _before_last(self._path(number), lines)
            if left <= 0 or number == 0:
                break
            lines, number = left, number - 1
        self._number, self._offset = number, offset


def _before_last(path: Path, lines: int, step: int = 1 << 16) -> tuple[int, int]:
    """How many of the last lines a file does not have, and where they begin in it."""
    try:
        with path.open("rb") as file:
            start = file.seek(0, 2)
            # The line break that ends a line is before the one that is looked for.
            lines += 1
            while start > 0:
                size = min(step, start)
                start -= size
                file.seek(start)
                data = file.read(size)
                found = data.count(b"\n")
                if found < lines:
                    lines -= found
                    continue
                at = len(data)
                for _ in range(lines):
                    at = data.rfind(b"\n", 0, at)
                return 0, start + at + 1
    except FileNotFoundError:
        return lines, 0
    return lines - 1, 0


def jobs_in(folder: Path) -> set[str]:
    """The jobs that have files in a folder."""
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return set()
    return {name.partition(".")[0] for name in names if name.endswith(".jsonl")}


def noted_jobs(folder: Path) -> set[str]:
    """The jobs that have logged something, as the folder itself says."""
    try:
        return set((folder / INDEX).read_text(encoding="ascii", errors="replace").split("\n")) - {""}
    except FileNotFoundError:
        return set()
