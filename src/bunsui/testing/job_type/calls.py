"""A job type's methods, called as a runner does, without one."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from bunsui.errors import StateError
from bunsui.ports.job_type import JobCall
from bunsui.ports.remote import Running
from bunsui.testing.job_type.cases import JOB
from bunsui.testing.job_type.watching import SOON, plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bunsui.ports.job_type import Command, Function
    from bunsui.ports.remote import CannotTell, Failed, RemoteJobType, Succeeded


class Bench:
    """The `Workbench` of a call to a remote type: it runs nothing on this machine."""

    def __init__(self) -> None:
        self.logger = logging.LoggerAdapter(logging.getLogger("bunsui.testing"), {})
        self.cancelled = threading.Event()

    def run(self, work: Command | Function, call: JobCall) -> Any:
        """See `Workbench.run`."""
        del work, call
        raise StateError("a remote job type runs nothing on this machine")

    begin = run


def call_of(
    options: Mapping[str, Any], parameters: Mapping[str, Any], folder: Path, key: str | None = None
) -> JobCall:
    """The call of an attempt; with a key of its own, unless one is given."""
    return JobCall(
        session_id="suite",
        pipeline="suite",
        job_id=JOB,
        attempt=1,
        parameters=plain(parameters),
        options=plain(options),
        idempotency_key=key or uuid4().hex + uuid4().hex,
        folder=folder,
        workbench=Bench(),
    )


def poll_one(job_type: RemoteJobType, handle: Any) -> Running | Succeeded | Failed | CannotTell:
    """What became of one piece of work."""
    (answer,) = job_type.poll([handle])
    return answer


def ended(job_type: RemoteJobType, handle: Any, patience: float) -> Succeeded | Failed | CannotTell:
    """What a piece of work comes to; a test fails where it does not end in time."""
    deadline = time.monotonic() + patience
    while isinstance(answer := poll_one(job_type, handle), Running):
        if time.monotonic() > deadline:
            pytest.fail(f"poll says Running after {patience:g} seconds; give more with 'patience'")
        time.sleep(min(job_type.poll_interval, SOON))
    return answer
