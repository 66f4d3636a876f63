"""What a job gives: its rows, or a file with them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bunsui
from bunsui_duckdb import files, schema
from bunsui_duckdb.values import as_json

if TYPE_CHECKING:
    import duckdb

#: What stands for the result where it is written; hardly a name of somebody's own.
_VIEW = "bunsui result"
_OPTIONS = {
    "parquet": "FORMAT parquet, COMPRESSION zstd",
    "csv": "FORMAT csv, HEADER true",
    "json": "FORMAT json, ARRAY true",
    "ndjson": "FORMAT json, ARRAY false",
}
#: The types of statements whose result can be written; MULTI is a PIVOT.
_WITH_ROWS = frozenset({"SELECT", "MULTI"})
_CHUNK = 2**20


def rows(result: duckdb.DuckDBPyConnection, call: bunsui.JobCall) -> dict[str, Any]:
    """The rows of a result, each a mapping, and their number.

    Raises:
        JobError: there are too many, two columns share a name, or a value is not JSON.
    """
    columns = [str(column[0]) for column in result.description or ()]
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        text = f"several columns are called {', '.join(map(repr, twice))}; name them with AS"
        raise bunsui.JobError(text, code="DuckDB.DuplicateColumn", retryable=False)
    limit = call.options.get("max_rows", schema.MAX_ROWS)
    found = result.fetchmany(limit + 1)  # DuckDB makes rows as they are asked for.
    if len(found) > limit:
        text = f"there are more than {limit:,} rows; see 'max_rows', or write them to a file with 'into'"
        raise bunsui.JobError(text, code="DuckDB.TooManyRows", retryable=False)
    as_mappings = [
        {name: as_json(value, name) for name, value in zip(columns, row, strict=True)} for row in found
    ]
    return {"rows": as_mappings, "count": len(found)}


class NewFile:
    """A file of the result, written beside its place and moved there once it is durable.

    Args:
        path: where it is to be; its folder is made. A file that is there is replaced.
        format: one of `schema.FORMATS`.
    """

    def __init__(self, path: Path, format: str) -> None:  # noqa: A002 - the field's name
        self._path = path
        self._format = format
        #: Where it is written.
        self.temporary = path.with_name(f".bunsui-{secrets.token_hex(8)}.part")

    @classmethod
    def of(cls, call: bunsui.JobCall) -> NewFile | None:
        """The file that a job asks for, if any."""
        if "into" not in call.options:
            return None
        known = files.output_format(call.options)
        assert known is not None  # `DuckDBJobType.check` has looked.
        return cls(files.folder_of(call).absolute() / call.options["into"], known)

    def write(
        self, connection: duckdb.DuckDBPyConnection, query: duckdb.Statement, values: dict[str, Any]
    ) -> dict[str, Any]:
        """Writes the result of a query, and returns the output of the job.

        Args:
            connection: may write to `temporary`.
            query: what gives the rows.
            values: of its parameters.

        Raises:
            JobError: it gives no rows, or they can't be written.
            duckdb.Error: it failed.
        """
        if query.type.name not in _WITH_ROWS:
            text = f"the last statement gives no rows to be written: it is {query.type.name}"
            raise bunsui.JobError(text, code="DuckDB.NoRows", retryable=False)
        # By way of a view: so no text of SQL has to be put into another one. No row is made before the copy.
        connection.register(_VIEW, connection.sql(query, params=values))
        target = "'" + str(self.temporary).replace("'", "''") + "'"
        copy = f'COPY (FROM "{_VIEW}") TO {target} ({_OPTIONS[self._format]}, USE_TMP_FILE false)'
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            count = connection.execute(copy).fetchall()[0][0]
            return {"path": str(self._path), "format": self._format, "count": count, **self._keep()}
        except OSError as error:
            text = f"{self._path} can't be written: {error.strerror or error}"
            raise bunsui.JobError(text, code="DuckDB.IOException", retryable=True) from error

    def _keep(self) -> dict[str, Any]:
        """Puts the file in its place; its size and digest."""
        digest = hashlib.sha256()
        with self.temporary.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
            size = file.tell()
            os.fsync(file.fileno())
        self.temporary.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # Only then the name is durable, too.
        finally:
            os.close(folder)
        return {"bytes": size, "sha256": digest.hexdigest()}

    def discard(self) -> None:
        """Leaves nothing behind of one that was not kept."""
        with contextlib.suppress(OSError):
            self.temporary.unlink()
