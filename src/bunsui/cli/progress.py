"""What happens to the jobs of a session, a line for each event, while a command drives or watches it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bunsui.cli.render import count
from bunsui.cli.streams import say
from bunsui.dsl.problems import printable
from bunsui.engine import events as ev
from bunsui.model.status import JobStatus
from bunsui.ports.hooks import hookimpl

if TYPE_CHECKING:
    from datetime import datetime

    from bunsui.model.session import SessionState

#: Items of a fan-out up to which each of them has a line when it ends; of more, the tenths have.
SHOWN_ITEMS = 20


class Progress:
    """An observer that prints a line when an attempt starts or ends: job, status, attempt, seconds.

    Of a job that fans out, each item has a line when it ends; of many, one in ten and those in trouble.

    Args:
        quiet: whether it prints nothing, and only knows the session.
        session_id: the session, where it is known already.
    """

    def __init__(self, *, quiet: bool, session_id: str | None = None) -> None:
        #: Characters that the longest job id takes.
        self.width = 0
        #: The session, as soon as it is durable.
        self.session_id = session_id
        self._quiet = quiet
        self._begun = False
        #: When each job, and each item that runs, was started.
        self._started: dict[str, datetime] = {}
        #: Of each job that fans out: how many items there are, and how many have succeeded.
        self._items: dict[str, tuple[int, int]] = {}

    def know(self, state: SessionState) -> None:
        """Takes in what has happened before this command."""
        for job, job_state in state.jobs.items():
            if job_state.items is not None and not job_state.status.is_terminal:
                done = sum(item.status is JobStatus.SUCCEEDED for item in job_state.items)
                self._begin_items(job, len(job_state.items), done)

    def _begin_items(self, job: str, total: int, done: int) -> None:
        self._items[job] = total, done
        self.width = max(self.width, len(f"{job}[{max(total - 1, 0)}]"))

    @hookimpl
    def bunsui_session_event(self, session_id: str, event: ev.Event) -> None:
        """Prints what happened to a job."""
        self.session_id = session_id
        if self._quiet:
            return
        if not self._begun:
            self._begun = True
            say(f"session {session_id}")
        if isinstance(event, ev.JobEvent):
            self._job_event(event)

    def _job_event(self, event: ev.JobEvent) -> None:
        name = f"{event.job}[{event.item}]" if isinstance(event, ev.ItemEvent) else event.job
        match event:
            case ev.JobStarted():
                self._started[name] = event.at
                self._line(name, "running", event.attempt)
            case ev.ItemStarted():
                self._started[name] = event.at
            case ev.FanOutStarted():
                self._started[name] = event.at
                self._begin_items(name, event.count, 0)
                self._line(name, "running", 0, note=count(event.count, "item"))
            case ev.ItemSucceeded():
                self._item_succeeded(event, name)
            case ev.JobSucceeded():
                self._line(name, "succeeded", event.attempt, event.at, _cached(event))
            case ev.FanOutSucceeded():
                total, _ = self._items.get(name, (0, 0))
                self._line(name, "succeeded", 0, event.at, count(total, "item"))
            case _:
                self._other_end(event, name)

    def _other_end(self, event: ev.JobEvent, name: str) -> None:
        """What became of a job, or of an attempt, other than that it succeeded here."""
        match event:
            case ev.JobReused():
                self._line(name, "reused", 0, note=f"from session {event.session}")
            case ev.AttemptFailed() | ev.ItemAttemptFailed():
                again = f"{event.error.code}, again in {event.delay:.1f} s"
                self._line(name, "retrying", event.attempt, event.at, again)
            case ev.JobFailed() | ev.ItemFailed():
                self._line(name, "failed", event.attempt, event.at, event.error.code)
            case ev.JobSkipped():
                self._line(name, "skipped", 0, note=event.reason)
            case ev.JobCancelled() | ev.ItemCancelled():
                self._line(name, "cancelled", 0, note=event.reason)
            case ev.AttemptLost() | ev.ItemAttemptLost():
                self._line(name, "lost", event.attempt, note="it never began, or its runner is gone")
            case ev.JobStalled() | ev.ItemStalled():
                self._line(name, "stalled", event.attempt, note=event.reason)
            case ev.JobUnknown() | ev.ItemUnknown():
                self._line(name, "unknown", event.attempt, note=event.reason)

    def _item_succeeded(self, event: ev.ItemSucceeded, name: str) -> None:
        total, done = self._items.get(event.job, (0, 0))
        done += 1
        self._items[event.job] = total, done
        if total <= SHOWN_ITEMS:
            self._line(name, "succeeded", event.attempt, event.at, _cached(event))
        elif done * 10 // total > (done - 1) * 10 // total and done < total:
            self._line(event.job, "running", 0, event.at, f"{done} of {count(total, 'item')}")
        self._started.pop(name, None)

    def _line(self, job: str, status: str, attempt: int, at: datetime | None = None, note: str = "") -> None:
        parts = [f"{job:<{self.width}}", f"{status:<9}"]
        if attempt:
            parts.append(f"attempt {attempt}")
        if at is not None and job in self._started:
            parts.append(f"{(at - self._started[job]).total_seconds():7.2f} s")
        if note:
            parts.append(printable(note))
        say("  ".join(parts).rstrip())


def _cached(event: ev.JobSucceeded | ev.ItemSucceeded) -> str:
    return "" if event.cached_from is None else f"cached from {event.cached_from}"
