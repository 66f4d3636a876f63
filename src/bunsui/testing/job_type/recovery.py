"""Job types of remote services, and runners that die: the work is found again, and starts once."""

# ruff: noqa: S101 - asserting is what this file is for

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from bunsui.engine.events import Event, JobSubmitted, RunnerReleased
from bunsui.ports.hooks import hookimpl
from bunsui.stores.memory import MemoryStore
from bunsui.testing.job_type.cases import begin, definition, outcome, run, runner_of
from bunsui.testing.job_type.remote import RemoteCalls
from bunsui.testing.job_type.watching import Seen, WatchedRemoteJobType
from bunsui.testing.suites import needs

if TYPE_CHECKING:
    from pathlib import Path

    from bunsui.ports.remote import RemoteJobType

SUCCEEDED = ("succeeded", "")


class _Released:
    """A plugin that knows when a runner has let go of its session."""

    def __init__(self) -> None:
        self.happened = threading.Event()

    @hookimpl
    def bunsui_session_event(self, event: Event) -> None:
        """See `bunsui.plugins.hookspecs`."""
        if isinstance(event, RunnerReleased):
            self.happened.set()


class Recovery(RemoteCalls):
    """Holds for every RemoteJobType when its runner is gone; mixed into `JobTypeSuite`."""

    def _document(self, remote: RemoteJobType) -> dict[str, Any]:
        return definition(remote, self.options, self.parameters)

    def _go_on(self, remote: RemoteJobType, store: MemoryStore, session: str, seen: Seen) -> tuple[str, str]:
        """What a session comes to with a runner, and an instance of the type, of another process."""
        with runner_of(WatchedRemoteJobType(self.another(remote), seen), store) as runner:
            handle = runner.session(session)
            handle.resume()
            handle.wait(self.patience)
            return outcome(handle)

    @needs("can_run")
    def test_a_runner_that_dies_is_followed(self, remote: RemoteJobType, tmp_path: Path) -> None:
        """What a runner had submitted is followed by the next one, and not submitted again."""
        seen, store = Seen(), MemoryStore()
        with runner_of(WatchedRemoteJobType(remote, seen, is_slow=True), store) as runner:
            session = begin(runner, self._document(remote), tmp_path)
            deadline = time.monotonic() + self.patience
            while not any(isinstance(event, JobSubmitted) for event in session.events()):
                assert time.monotonic() < deadline, outcome(session)
                time.sleep(0.01)
            runner.close(timeout=0)
        assert SUCCEEDED == self._go_on(remote, store, session.id, seen)
        assert 1 == len(seen.submitted)

    @needs("can_run", "can_find")
    def test_a_runner_that_dies_before_it_knows_the_handle(
        self, remote: RemoteJobType, tmp_path: Path
    ) -> None:
        """What was submitted by a runner that could not record the handle is found, and starts once."""
        seen, store, released = Seen(), MemoryStore(), _Released()
        has_it = threading.Event()

        def hold() -> None:
            has_it.set()
            released.happened.wait(self.patience)

        with runner_of(WatchedRemoteJobType(remote, seen, hold), store, released) as runner:
            session = begin(runner, self._document(remote), tmp_path)
            assert has_it.wait(self.patience), outcome(session)
            runner.close(timeout=0)
        assert not any(isinstance(event, JobSubmitted) for event in session.events())
        assert SUCCEEDED == self._go_on(remote, store, session.id, seen)
        assert 1 == len(seen.submitted)

    @needs("can_run", "can_find")
    def test_an_answer_that_is_lost(self, remote: RemoteJobType, tmp_path: Path) -> None:
        """What was submitted, though the answer did not arrive, is found, and starts once."""
        seen = Seen()

        def lose() -> None:
            raise ConnectionError("the answer is lost")

        with runner_of(WatchedRemoteJobType(remote, seen, lose)) as runner:
            assert SUCCEEDED == outcome(run(runner, self._document(remote), tmp_path, self.patience))
        assert 1 == len(seen.submitted)
