"""``type: duckdb``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

import bunsui
from bunsui_duckdb.files import output_format
from bunsui_duckdb.schema import FORMATS, SCHEMA


class DuckDBJobType(bunsui.JobType):
    """SQL over files; the README says what its fields, output and errors are.

    DuckDB blocks, so a plain ``def run`` would do, in the thread that the runner gives it. But nobody can end
    a thread from outside: at the job's timeout it would have to end itself, from `call.deadline` and
    `call.cancelled`, while the runner has given it up. What is async the runner cancels, and waits for:
    `interruptible` runs the query in a thread, and turns the cancellation into an interrupt of DuckDB's.
    """

    name: ClassVar[str] = "duckdb"
    schema: ClassVar[Mapping[str, Any]] = SCHEMA
    #: DuckDB's errors quote the SQL, and paths. Secrets come in as parameters.
    open_fields: ClassVar[frozenset[str]] = frozenset({"sql", "sql_file", "inputs", "into"})

    def check(self, options: Mapping[str, Any], job: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        """See `bunsui.JobType.check`."""
        del job
        found = []
        if ("sql" in options) == ("sql_file" in options):
            both = "both" if "sql" in options else "neither"
            message = f"a duckdb job has exactly one of 'sql' and 'sql_file'; this one has {both}"
            found.append(("sql" if both == "both" else "", "one-of", message))
        if _REFERENCE.search(options.get("sql", "")):
            message = (
                "SQL can't hold references, which could run as code; give the value as a parameter of the"
                " job, and write $NAME"
            )
            found.append(("sql", "reference-in-sql", message))
        into = options.get("into")
        if into is None and "format" in options:
            found.append(("format", "unused-field", "'format' is the format of the file that 'into' names"))
        # What a reference becomes is checked when it is known.
        elif into is not None and not _REFERENCE.search(into) and output_format(options) is None:
            message = f"the suffix of {into!r} tells no format; say 'format', one of: {', '.join(FORMATS)}"
            found.append(("into", "unknown-format", message))
        return found

    async def run(self, call: bunsui.JobCall) -> dict[str, Any]:
        """See `bunsui.JobType.run`.

        Raises:
            JobError: with a code that begins with ``DuckDB.``.
        """
        # Late: DuckDB takes its time to import, which no pipeline should pay for that has no such job, nor
        # a command that only reads definitions. And not in the event loop.
        import asyncio  # noqa: PLC0415 - see above

        from bunsui_duckdb.interruptible import interruptible  # noqa: PLC0415 - it imports asyncio

        await asyncio.to_thread(import_module, "bunsui_duckdb.query")
        from bunsui_duckdb.query import Query  # noqa: PLC0415 - see above

        query = Query(call)
        return await interruptible(query.run, query.interrupt)


#: A reference, but not one that was escaped by another '$'.
_REFERENCE = re.compile(r"(?<!\$)\$\{")
