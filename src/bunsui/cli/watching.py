"""``session watch``: what happens to a session, whoever drives it, until it rests.

At a terminal a table that is drawn again and again, elsewhere a line for each change, or each event as a line
of JSON. The store is looked at as one who waits for a session does.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from bunsui.cli import render
from bunsui.cli.progress import Progress
from bunsui.cli.streams import has_reader, note, say
from bunsui.runner.sessions import reading
from bunsui.runner.waiting import POLL, pauses
from bunsui.stores.records import encode_event

if TYPE_CHECKING:
    from bunsui.engine.events import Event
    from bunsui.runner.handle import Session
    from bunsui.runner.runner import Runner

#: Seconds between two drawings of the table, in which seconds go on.
FRAME = 0.25


def watch(runner: Runner, session: Session, form: str, at: str) -> None:
    """Shows a session until it rests, then how it rests; `at` names the store in what is proposed."""
    if form == "json":
        for event in _events(runner, session, lambda: None):
            say(json.dumps({"session_id": session.id} | json.loads(encode_event(event))))
        return
    if sys.stdout.isatty() and os.environ.get("TERM") not in ("dumb", "unknown"):
        _live(session, at)
    else:
        _lines(runner, session, at)
    state = session.state
    say(f"\n{render.ending(state)}")
    render.pause(state, at)


def noting_unattended(session: Session, at: str) -> Callable[[], None]:
    """What notes that nobody drives a session, each time that this becomes so; to be called now and then."""
    said: list[str | None] = [None]

    def look() -> None:
        told = render.unattended(session, at)
        if told is not None and told != said[0]:
            note(told)
        said[0] = told

    return look


def _lines(runner: Runner, session: Session, at: str) -> None:
    """Prints a line for each change, as a run does."""
    progress = Progress(quiet=False)
    progress.width = max(len(job.id) for job in session.definition.jobs)
    for event in _events(runner, session, noting_unattended(session, at)):
        progress.bunsui_session_event(session.id, event)


def _events(runner: Runner, session: Session, look: Callable[[], None]) -> Iterator[Event]:
    """The facts of a session, oldest first, until it rests; `look` is called where there is nothing new."""
    position = 0
    looks = pauses(POLL)
    while True:
        resting = session.status.is_resting  # Before: nothing comes after what is read then.
        before = position
        for last, events in reading.history(runner.store, session.id, before):
            yield from events
            position = last
        if resting or not has_reader():
            return
        if position == before:
            look()
            time.sleep(next(looks))
        else:
            looks = pauses(POLL)


def _live(session: Session, at: str) -> None:
    """Draws the table until the session rests; what it shows last stays."""
    # Late, as all of rich: no other command pays for it.
    from rich.console import Console  # noqa: PLC0415 - see above
    from rich.live import Live  # noqa: PLC0415 - see above

    from bunsui.cli.watch_table import WatchTable  # noqa: PLC0415 - see above

    # That it is a terminal is known; colours are NO_COLOR's matter.
    console = Console(highlight=False, markup=False, emoji=False, force_terminal=True)
    table = WatchTable(session.state, render.unattended(session, at))
    due, looks = time.monotonic(), pauses(POLL)
    with Live(table, console=console, auto_refresh=False) as live:
        while not table.state.status.is_resting:
            time.sleep(min(FRAME, max(due - time.monotonic(), 0.0)))
            if time.monotonic() >= due:
                before, table.state = table.state.position, session.state
                table.note = render.unattended(session, at)
                if table.state.position != before:
                    looks = pauses(POLL)
                due = time.monotonic() + next(looks)
            live.refresh()
        table.is_last = True
        live.refresh()
