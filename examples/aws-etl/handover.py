"""Where the three steps hand their files to each other on S3, and how a file gets there in one piece.

What places.py of examples/etl is for folders. The bucket is the one that ETL_OUTPUT_BUCKET names.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, TextIO

import boto3
import places

s3: Any = boto3.client("s3")


def bucket() -> str:
    """Where the steps write to."""
    return os.environ["ETL_OUTPUT_BUCKET"]


def session_id(context: Any = None) -> str:
    """The session that a step belongs to.

    bunsui says it to a container in BUNSUI_SESSION_ID, and to a function in its client context. Where
    functions do not get that, all three steps have ETL_SESSION in their environments, which goes first:
    they meet in one place then, whichever session it is.

    Args:
        context: of a Lambda function.

    Raises:
        ValueError: nobody has said it, or it is no plain name.
    """
    session = os.environ.get("ETL_SESSION") or os.environ.get("BUNSUI_SESSION_ID")
    if not session and context is not None and context.client_context is not None:
        session = context.client_context.custom.get("BUNSUI_SESSION_ID")
    if not session:
        raise ValueError("no session: this is a job of pipeline.yaml, else set ETL_SESSION")
    return places.checked_name(session, "session id")


def flights_key(session: str) -> str:
    """The cleaned flights of a session, written by extract and read by transform."""
    return f"sessions/{session}/flights.csv"


def summary_key(session: str) -> str:
    """The daily summary of a session, written by transform and read by load."""
    return f"sessions/{session}/daily_summary.csv"


@contextmanager
def reading(key: str) -> Iterator[TextIO]:
    """The text of an object, as it comes."""
    with closing(s3.get_object(Bucket=bucket(), Key=key)["Body"]) as body:
        yield io.TextIOWrapper(body, encoding="utf-8", newline="")


@contextmanager
def replacing(key: str) -> Iterator[TextIO]:
    """A text file to write that takes the place of the object at the end, or not at all."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as file:
        yield file
        file.flush()
        file.seek(0)
        s3.upload_fileobj(file.buffer, bucket(), key)
