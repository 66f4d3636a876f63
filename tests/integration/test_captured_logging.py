"""`Runner(capture_logging=True)`: what jobs in threads log with `logging`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

import pytest

from bunsui import Job, Pipeline, Runner, StateError, current_call

LOG = logging.getLogger("tests.captured")


def work(n: int) -> None:
    LOG.warning("about %d", n, extra={"n": n})
    current_call().logger.warning("told the call")


async def later(n: int) -> None:
    await asyncio.sleep(0)
    LOG.warning("about %d", n, extra={"n": n})


def fan(function: object) -> Pipeline:
    return Pipeline("p", [Job.from_callable(function, id="a", for_each=[0, 1], parameters={"n": "${item}"})])


@pytest.mark.parametrize("function", [work, later])
def test_each_record_goes_to_the_log_of_its_call(function: object) -> None:
    """Also where calls share a thread; the call's own logger writes once."""
    with Runner("memory://", capture_logging=True) as runner:
        session = runner.run(fan(function))
    found = {
        (r.item, r.message, r.logger, r.fields.get("n")) for r in session.logs(fields={"logger": LOG.name})
    }
    told = [r.item for r in session.logs(grep="told")]
    assert {(n, f"about {n}", LOG.name, n) for n in (0, 1)} == found
    assert ([0, 1] if function is work else []) == sorted(told)


def test_nobody_asked(caplog: pytest.LogCaptureFixture) -> None:
    """Without it, only the host has the record, and its root logger is as it was."""
    before = list(logging.getLogger().handlers)
    with Runner("memory://") as runner:
        session = runner.run(fan(work))
        during = list(logging.getLogger().handlers)
    assert (before, ["told the call"] * 2) == (during, [record.message for record in session.logs()])
    assert {"about 0", "about 1"} == {record.getMessage() for record in caplog.records}


def test_handler_lives_with_the_runner() -> None:
    """It is there from the first session until the Runner is closed; levels stay as they are."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    with Runner("memory://", capture_logging=True) as runner:
        made = list(root.handlers)
        runner.run(fan(work))
        during = list(root.handlers)
    assert (before, 1, before, level) == (made, len(during) - len(before), root.handlers, root.level)


def test_two_runners_take_their_own(caplog: pytest.LogCaptureFixture) -> None:
    """A job that runs a Runner of its own, and what it runs, log into a log each."""
    sessions = []

    def outer() -> None:
        with Runner("memory://", capture_logging=True) as runner:
            sessions.append(runner.run(Pipeline("inner", [Job.from_callable(work, parameters={"n": 7})])))
        LOG.warning("outside")

    with Runner("memory://", capture_logging=True) as runner:
        session = runner.run(Pipeline("outer", [Job.from_callable(outer)]))
    mine = {"logger": LOG.name}
    assert (["outside"], ["about 7"]) == (
        [record.message for record in session.logs(fields=mine)],
        [record.message for record in sessions[0].logs(fields=mine)],
    )


def test_host_that_hands_records_to_the_call(tmp_path: Path) -> None:
    """A handler of the host may write to the log that the record is about: nothing waits for itself."""
    (tmp_path / "s.db-logs").write_text("in the place of the folder: nothing can be logged")

    class Forward(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            with contextlib.suppress(StateError):  # No call runs in this thread.
                current_call().logger.warning("forwarded")

    forward = Forward()
    logging.getLogger().addHandler(forward)
    try:
        with Runner(f"sqlite:///{tmp_path}/s.db", capture_logging=True) as runner:
            session = runner.start(Pipeline("p", [Job.from_callable(work, parameters={"n": 1})]))
            assert session.wait(20) == "succeeded"
    finally:
        logging.getLogger().removeHandler(forward)
