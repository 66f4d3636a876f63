"""The Lambda function that loads a session's daily summary into a table: of a SQLite file on S3.

It may run twice for one session, because a job runs *at least* once: the second run writes what the
first one wrote, in its place.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import handlers
import handover
from botocore.exceptions import ClientError

#: How often it begins anew where another one has written the file meanwhile.
TRIES = 5


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Replace a table with the session's daily summary, as examples/etl does.

    ``analytics.daily_summary`` is the table ``daily_summary`` of the object ``analytics.db``.

    Args:
        event: ``{"table": "schema.table", "rows": n}``; n flights were extracted.
        context: says which session it is; see `handover.session_id`.

    Raises:
        ValueError: the table's name is not of that form, or the summary's flights are not n. The
            table is then as it was before.
        RuntimeError: others keep on writing the file.
    """
    schema, table = handlers.schema_and_table(event.get("table"))
    with handover.reading(handover.summary_key(handover.session_id(context))) as file:
        groups = handlers.whole_summary(file, event.get("rows"))
    key = f"{schema}.db"
    for _ in range(TRIES):
        # Lambda leaves what is in its /tmp to the next call.
        with tempfile.TemporaryDirectory() as folder:
            database = Path(folder, key)
            etag = _fetch(key, database)
            handlers.replace_table(database, schema, table, groups)
            if _store(database, key, etag):
                print(f"loaded {len(groups)} rows into {schema}.{table}")
                return {
                    "table": f"{schema}.{table}",
                    "rows": len(groups),
                    "database": f"s3://{handover.bucket()}/{key}",
                }
    raise RuntimeError(f"{key} was written by others {TRIES} times meanwhile: run the job again")


def _fetch(key: str, path: Path) -> str | None:
    """Puts the object into a file; its ETag, or None where there is none yet."""
    try:
        found = handover.s3.get_object(Bucket=handover.bucket(), Key=key)
    except handover.s3.exceptions.NoSuchKey:
        return None
    path.write_bytes(found["Body"].read())
    etag: str = found["ETag"]
    return etag


def _store(path: Path, key: str, etag: str | None) -> bool:
    """Whether the file is the object now: it is not where the object has changed since it was fetched."""
    condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
    try:
        handover.s3.put_object(Bucket=handover.bucket(), Key=key, Body=path.read_bytes(), **condition)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict"):
            return False
        raise
    return True
