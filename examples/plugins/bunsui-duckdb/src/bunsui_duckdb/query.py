"""Runs a job's SQL. The only module that imports DuckDB at once."""

from __future__ import annotations

import tempfile
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import duckdb

import bunsui
from bunsui_duckdb import files, outputs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Nothing comes in from outside: neither an extension that a query would have use for, nor what the user
#: has configured for other work, nor the variables of this module under their names.
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_persistent_secrets": False,
    "python_enable_replacements": False,
}
#: Errors of the machine, not of the SQL or of the data: another attempt may succeed.
_PASSING = (duckdb.IOException, duckdb.OutOfMemoryException)


class Query:
    """The SQL of one attempt, on a database of its own that lives in memory.

    Args:
        call: the attempt.
    """

    def __init__(self, call: bunsui.JobCall) -> None:
        self._call = call
        #: Guards what follows: a connection is not interrupted once it is closed.
        self._lock = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._is_interrupted = False

    def interrupt(self) -> None:
        """Has `run` end soon; from another thread. An interrupt between two statements stops neither."""
        with self._lock:
            self._is_interrupted = True
            if self._connection is not None:
                self._connection.interrupt()

    def run(self) -> dict[str, Any]:
        """Runs it, and returns the job's output.

        Raises:
            JobError: see the README.
        """
        sql = files.sql_of(self._call)
        inputs = files.input_files(self._call)
        target = outputs.NewFile.of(self._call)
        try:
            with self._connected() as connection:
                self._restrict(connection, inputs, target)
                for view, paths in inputs.items():
                    _make_view(connection, view, paths)
                return self._execute(connection, sql, target)
        except duckdb.Error as error:
            code = f"DuckDB.{type(error).__name__}"
            raise bunsui.JobError(str(error), code=code, retryable=isinstance(error, _PASSING)) from error
        finally:
            if target is not None:
                target.discard()

    @contextmanager
    def _connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        # Where DuckDB puts what does not fit into memory; by default that is the working directory.
        with tempfile.TemporaryDirectory(prefix="bunsui-duckdb-") as spill:
            connection = duckdb.connect(":memory:", config={**_CONFIG, "temp_directory": spill})
            with self._lock:
                self._connection = connection
            try:
                yield connection
            finally:
                with self._lock:
                    self._connection = None
                connection.close()

    def _restrict(
        self,
        connection: duckdb.DuckDBPyConnection,
        inputs: dict[str, list[Path]],
        target: outputs.NewFile | None,
    ) -> None:
        """Leaves the SQL the job's files and nothing else: no other file, no network.

        So what a job reads and writes stands in its definition, whatever its SQL says.
        """
        allowed = [path for paths in inputs.values() for path in paths]
        if target is not None:
            allowed.append(target.temporary)
        options = self._call.options
        settings = {
            "TimeZone": "'UTC'",  # The output is the same on every machine.
            "memory_limit": _quoted(options["memory_limit"]) if "memory_limit" in options else None,
            "threads": options.get("threads"),
            "allowed_paths": f"[{', '.join(map(_quoted, allowed))}]",
            "enable_external_access": "false",  # The last: after it the one before can't be changed.
        }
        for name, value in settings.items():
            if value is not None:
                connection.execute(f"SET {name} = {value}")

    def _execute(
        self, connection: duckdb.DuckDBPyConnection, sql: str, target: outputs.NewFile | None
    ) -> dict[str, Any]:
        statements = connection.extract_statements(sql)
        if not statements:
            raise bunsui.JobError("the SQL has no statement", code="DuckDB.NoStatement", retryable=False)
        for statement in statements[:-1]:
            connection.execute(statement, self._parameters(statement))
            if self._is_interrupted:
                raise bunsui.JobCancelled("the query was interrupted")
        last = statements[-1]
        values = self._parameters(last)
        if target is None:
            return outputs.rows(connection.execute(last, values), self._call)
        return target.write(connection, last, values)

    def _parameters(self, statement: duckdb.Statement) -> dict[str, Any]:
        """The values of what a statement names; the job may have more parameters than that."""
        given = self._call.parameters
        missing = sorted(statement.named_parameters - given.keys())
        if missing:
            named = ", ".join(f"${name}" for name in missing)
            text = f"the SQL names {named}, which the job's 'parameters' have not"
            raise bunsui.JobError(text, code="DuckDB.MissingParameter", retryable=False)
        return {name: given[name] for name in statement.named_parameters}


def _make_view(connection: duckdb.DuckDBPyConnection, view: str, paths: list[Path]) -> None:
    reader = files.reader_of(view, paths)
    connection.execute(f'CREATE VIEW "{view}" AS FROM {reader}([{", ".join(map(_quoted, paths))}])')


def _quoted(text: str | Path) -> str:
    """A text as a literal of SQL."""
    return "'" + str(text).replace("'", "''") + "'"
