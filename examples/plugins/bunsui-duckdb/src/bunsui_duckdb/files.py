"""The files of a job: where they are, and how DuckDB reads and writes them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import bunsui

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Suffix to the function that reads such files.
_READERS = {
    ".csv": "read_csv",
    ".tsv": "read_csv",
    ".json": "read_json",
    ".jsonl": "read_json",
    ".ndjson": "read_json",
    ".parquet": "read_parquet",
}
_PACKED = frozenset({".gz", ".zst"})
_FORMATS = {".parquet": "parquet", ".csv": "csv", ".json": "json", ".ndjson": "ndjson", ".jsonl": "ndjson"}


def folder_of(call: bunsui.JobCall) -> Path:
    """Where relative paths begin: beside the definition; where that has no folder, the working directory."""
    return call.folder or Path.cwd()


def output_format(options: Mapping[str, Any]) -> str | None:
    """The format of the file ``into``; None where neither ``format`` nor the suffix tells."""
    if "format" in options:
        return str(options["format"])
    return _FORMATS.get(Path(str(options["into"])).suffix.lower())


def sql_of(call: bunsui.JobCall) -> str:
    """The SQL of a job.

    Raises:
        JobError: its file can't be read.
    """
    if "sql" in call.options:
        return str(call.options["sql"])
    path = folder_of(call) / str(call.options["sql_file"])
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise _missing(f"there is no file {path} with the SQL") from None
    except (OSError, UnicodeDecodeError) as error:
        raise bunsui.JobError(f"{path}: {error}", code="DuckDB.UnreadableFile", retryable=False) from error


def input_files(call: bunsui.JobCall) -> dict[str, list[Path]]:
    """The files of each input, in the order of their names; absolute.

    Raises:
        JobError: there are none.
    """
    folder = folder_of(call).absolute()
    found: dict[str, list[Path]] = {}
    for view, given in call.options.get("inputs", {}).items():
        patterns = given if isinstance(given, list) else [given]
        found[view] = [path for pattern in patterns for path in _matching(view, folder, Path(pattern))]
    return found


def _matching(view: str, folder: Path, pattern: Path) -> list[Path]:
    if (folder / pattern).is_file():  # Also one whose name could be read as a pattern.
        files = [folder / pattern]
    else:
        # From there on, so that the names of these folders are no pattern.
        root = Path(pattern.anchor) if pattern.is_absolute() else folder
        parts = pattern.relative_to(pattern.anchor)
        files = sorted(path for path in root.glob(str(parts)) if path.is_file()) if parts.parts else []
    if not files:
        raise _missing(f"input '{view}': there is no file {folder / pattern}")
    for file in files:
        if "*" in str(file) or "?" in str(file):
            # DuckDB would take it as a pattern, and has no way to write one that is none.
            text = f"input '{view}': DuckDB can't read a file with '*' or '?' in its path: {file}"
            raise bunsui.JobError(text, code="DuckDB.UnreadableFile", retryable=False)
    return files


def reader_of(view: str, files: Sequence[Path]) -> str:
    """The DuckDB function that reads the files of an input.

    Raises:
        JobError: they are of no known kind, or of several.
    """
    readers = {_READERS.get(_suffix(file)) for file in files}
    reader = readers.pop() if len(readers) == 1 else None
    if reader is None:
        kinds = ", ".join(_READERS)
        text = f"input '{view}': its files are of one kind, by their suffix, one of {kinds} (and .gz, .zst)"
        raise bunsui.JobError(text, code="DuckDB.UnreadableFile", retryable=False)
    return reader


def _suffix(file: Path) -> str:
    return (Path(file.stem) if file.suffix.lower() in _PACKED else file).suffix.lower()


def _missing(text: str) -> bunsui.JobError:
    return bunsui.JobError(text, code="DuckDB.NoSuchFile", retryable=False)
