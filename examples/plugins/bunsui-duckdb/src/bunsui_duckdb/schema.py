"""The fields of ``type: duckdb``, as bunsui validates them and as editors explain them."""

from __future__ import annotations

from typing import Any

#: Rows of an output, where the job does not say.
MAX_ROWS = 10_000
FORMATS = ("parquet", "csv", "json", "ndjson")

_FILES = {"type": "string", "minLength": 1}

SCHEMA: dict[str, Any] = {
    "title": "SQL over files",
    "description": "SQL, run by DuckDB over files. The job's parameters are values in it: $name.",
    "type": "object",
    "properties": {
        "sql": {
            "title": "SQL",
            "description": "One or more statements; the output is what the last one gives. It holds no"
            " references: a parameter 'day' of the job is $day.",
            "type": "string",
            "minLength": 1,
            "examples": ["SELECT region, sum(amount) AS total FROM orders WHERE day = $day GROUP BY region"],
        },
        "sql_file": {
            "title": "File with SQL",
            "description": "A file with the SQL; relative to the definition's folder.",
            "type": "string",
            "minLength": 1,
            "examples": ["summary.sql"],
        },
        "inputs": {
            "title": "Inputs",
            "description": "The files that the SQL can read: the name of a view, and a path, a pattern"
            " such as data/*.csv, or a list of them; relative to the definition's folder. CSV, TSV, JSON"
            " and Parquet, by their suffix.",
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
            "additionalProperties": {**_FILES, "type": ["string", "array"], "items": _FILES, "minItems": 1},
            "examples": [{"orders": "data/orders-*.csv", "customers": "data/customers.parquet"}],
        },
        "into": {
            "title": "Into",
            "description": "A file that the rows are written to instead of being part of the output; relative"
            " to the definition's folder. It is there with all of its content or not at all.",
            "type": "string",
            "minLength": 1,
            "examples": ["out/summary.parquet"],
        },
        "format": {
            "title": "Format",
            "description": "The format of that file; where nothing is said, its suffix tells.",
            "enum": list(FORMATS),
            "examples": ["parquet"],
        },
        "max_rows": {
            "title": "Most rows",
            "description": "Rows that an output may have; with more the job fails. A file has no such limit.",
            "type": "integer",
            "minimum": 1,
            "maximum": 1_000_000,
            "default": MAX_ROWS,
            "examples": [100],
        },
        "memory_limit": {
            "title": "Memory",
            "description": "Memory that the query may take before it uses the disk; by default 80% of the"
            " machine's, for each job.",
            "type": "string",
            "pattern": "^[0-9]+(\\.[0-9]+)? ?([KMGT]i?B)$",
            "examples": ["2GB"],
        },
        "threads": {
            "title": "Threads",
            "description": "Threads of the query; by default one for each core of the machine, for each job.",
            "type": "integer",
            "minimum": 1,
            "maximum": 1024,
            "examples": [2],
        },
    },
}
