"""The Lambda function that cleans the raw flights of a bucket.

It may run twice for one session, because a job runs *at least* once: the second run writes what the
first one wrote, in its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import IO, Any

import handlers
import handover


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Clean a bucket's flights into the session's ``flights.csv``, as examples/etl does.

    Args:
        event: ``{"bucket": name}``.
        context: says which session it is; see `handover.session_id`.

    Raises:
        ValueError: a file lacks a column.
        LookupError: the bucket holds no ``*.csv.gz``.
    """
    target = handover.flights_key(handover.session_id(context))
    with handover.replacing(target) as file:
        counts = handlers.clean(_sources(event["bucket"]), file)
    return {**counts, "path": f"s3://{handover.bucket()}/{target}"}


def _sources(bucket: str) -> Iterator[tuple[str, IO[bytes]]]:
    """The bucket's files with their names, in the order of these."""
    pages = handover.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    sources = sorted(key for key in keys if key.endswith(".csv.gz"))
    if not sources:
        raise LookupError(f"bucket {bucket!r} holds no *.csv.gz file")
    print(f"cleaning {', '.join(sources)}")
    for key in sources:
        yield key, handover.s3.get_object(Bucket=bucket, Key=key)["Body"]
