"""`Session`: a run, as its history tells it, and what can be asked of who drives it."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

from bunsui.errors import ConfigError, StateError
from bunsui.local.identity import is_dead
from bunsui.model.status import SessionStatus
from bunsui.runner import awaiting
from bunsui.runner.control import has_ended
from bunsui.runner.driving import requests
from bunsui.runner.view import View
from bunsui.runner.waiting import ASK_POLL, POLL, Steps, complete, pauses

if TYPE_CHECKING:
    from bunsui.runner.driving.live import Live
    from bunsui.runner.sessions.recovery import Watch


class Session(View):
    """A handle on a session, whoever drives it.

    All that it shows is read from the history, so it is durable, and stays readable after the Runner
    is closed. It may be used from any thread, and awaited in any event loop. What reads it raises StoreError
    where the store can't be read, and NotFound where the session was pruned.

    Such as::

        session = runner.start(pipeline)
        print(session.wait(), session.jobs["load_data"].output)  # succeeded 3
    """

    # Waiting

    def wait(self, timeout: float | None = None) -> SessionStatus:
        """Waits until the session rests (it ended, or is paused), or this runner was closed over it.

        It waits on where the runner of the session has died, until somebody takes the session over:
        `is_orphaned` tells so, and `Runner.resume` or `Runner.recover` goes on with it.

        Such as::

            print(runner.start(pipeline).wait(timeout=60))  # succeeded

        Args:
            timeout: seconds; None: for ever.

        Returns:
            Its status then.

        Raises:
            TimeoutError: it did not within `timeout`.
            StoreError: the store failed for longer than a lease, or when this runner was closed; the session
                can be resumed.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        live = self._live
        if live is not None:
            if not live.done.wait(timeout):
                raise TimeoutError(f"session {self._id} is {self.status} after {timeout} seconds")
            if live.error is not None:
                raise live.error
        looks = pauses(POLL)
        while (status := self._rest(live)) is None:
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"session {self._id} is {self.status} after {timeout} seconds")
            time.sleep(next(looks))
        return status

    def __await__(self) -> Generator[Any, None, SessionStatus]:
        """Its status when it rests, as `wait` gives it, without blocking the event loop.

        Where the waiting is cancelled, the session goes on. One that nobody drives any more is waited for
        until somebody takes it over, as by `wait`. The store is read in threads of the loop's default
        executor, again and again where another runner drives the session.

        Raises:
            StoreError: the store failed for longer than a lease; the session can be resumed.
        """
        return awaiting.rest(self._live, self._rest).__await__()

    def _rest(self, live: Live | None) -> SessionStatus | None:
        """Its status where it rests, or where `live`, which has ended, was let go of; else None."""
        with self._lock:
            fold = self._read()
            status, claim = fold.status, fold.claim
        # This runner let go of it, and nobody else has taken it over.
        let_go = live is not None and not live.lost and claim is None
        return status if status.is_resting or let_go else None

    # Control

    def pause(self, reason: str | None = None) -> None:
        """Asks for a pause and returns once that is in the history: running jobs end, nothing new starts.

        Such as::

            import threading

            gate = threading.Event()
            wait = bunsui.Job.from_callable(lambda: gate.wait(), id="wait")
            then = bunsui.Job.from_callable(lambda: "done", id="then", depends_on=["wait"])
            session = runner.start(bunsui.Pipeline("Two", [wait, then]))
            session.pause("maintenance")
            print(session.asked, session.status)  # pause running
            gate.set()
            print(session.wait())  # paused
            session.resume()
            print(session.wait())  # succeeded

        Raises:
            ConfigError: the reason is no text.
            StateError: the session has ended, or this handle's runner is closed.
            StoreError: the store failed.
        """
        if self.status is not SessionStatus.PAUSED:
            self._ask("pause", reason)

    def cancel(self, reason: str | None = None) -> None:
        """Asks to cancel and returns once that is in the history: running work is stopped.

        Such as::

            job = bunsui.Job.from_callable(lambda: bunsui.current_call().cancelled.wait(), id="wait")
            session = runner.start(bunsui.Pipeline("One", [job]))
            session.cancel("nobody needs it")
            print(session.wait())  # cancelled

        Raises:
            ConfigError: the reason is no text.
            StateError: the session has ended, or this handle's runner is closed.
            StoreError: the store failed.
        """
        self._ask("cancel", reason)

    def resume(self, assume: Mapping[str, str] | None = None) -> None:
        """Continues it in this handle's runner, and returns once it is claimed; see `Runner.resume`.

        A pause that has not come to rest yet is taken back, whoever drives the session.

        Raises:
            StateError: as `Runner.resume` does, or something was assumed and it has not come to rest.
            NotFound, ConfigError, StoreError: as `Runner.resume` does.
        """
        self._control.require_open()
        # Not this handle's own fold: a long history would be folded twice.
        loaded = self._control.load(self._id)
        fold = loaded.machine.state
        held = fold.claim if fold.pause is not None else None
        if held is not None and not is_dead(held.process):
            if assume:
                raise StateError(
                    f"session {self._id} has not come to rest: nothing can be assumed of its jobs",
                    hint="wait until it is paused, or resume it without",
                )
            self._ask("resume", None)
        else:
            self._driven = self._control.take_over(self._id, assume=assume, loaded=loaded)

    def _ask(self, action: str, reason: str | None) -> None:
        """Asks the runner that holds the session, or does it here where nobody holds it (any more)."""
        if reason is not None and not isinstance(reason, str):
            raise ConfigError(
                f"the reason is {reason!r}", hint="it is a text, such as 'maintenance', or None"
            )
        from bunsui.logging.context import redactor  # noqa: PLC0415 - it imports Python's logging: 6 ms

        if reason is not None and (redact := redactor()) is not None:
            reason = redact(reason)  # A job says so, which was given secrets.
        complete(self._asking(action, reason))

    def _asking(self, action: str, reason: str | None) -> Steps[None]:
        parts = self._control.parts
        request_id = parts.surroundings.new_id()
        asked: requests.Request | None = None
        watch: Watch | None = None
        looks = pauses(ASK_POLL)
        self._control.require_open()
        try:
            while True:
                with self._lock:
                    fold = self._read()
                    held, status, answered = fold.claim, fold.status, request_id in fold.requests
                    epoch, position = fold.epoch, self._position
                if answered:
                    return
                if status.is_terminal:
                    raise has_ended(self._id, status, action)
                if action == "resume" and status is SessionStatus.PAUSED:
                    # It has come to rest meanwhile.
                    self._driven = yield from self._control.taking_over(self._id)
                    return
                if asked is not None and asked.epoch != epoch:
                    watch = None  # It was about the claim before this one.
                if held is None or (watch is not None and watch.is_dead()):
                    request = requests.Request(request_id, self._id, action, 0, reason)
                    try:
                        steps = self._control.taking_over(self._id, request, orphaned_at=position)
                        self._driven = yield from steps
                    except StateError:
                        # Somebody else was faster: then that one is asked. Or the driver here has yet to
                        # notice that it has lost the session.
                        yield POLL / 4
                    self._control.require_open()
                elif asked is None or asked.epoch != held.epoch:
                    asked = requests.Request(request_id, self._id, action, held.epoch, reason)
                    requests.put(self._store, held.runner, asked, parts.clock.now())
                    watch = self._control.watch(self._id, self._position, held)
                    self._control.look_for_requests()
                else:
                    yield next(looks)
        finally:
            if asked is not None:
                requests.answered(self._store, [request_id])
