"""Commits, claims and signs of life, with a clock that is told what time it is."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest

import bunsui
from bunsui.engine import events as ev
from bunsui.engine.decide import Machine
from bunsui.errors import StoreError
from bunsui.model.json import Json
from bunsui.ports.store import Append, Appended, Commit
from bunsui.runner.clock import SystemClock
from bunsui.runner.driving.commits import Commits
from bunsui.runner.driving.heartbeat import Heartbeat
from bunsui.runner.driving.live import Live
from bunsui.runner.driving.observers import Observers
from bunsui.runner.sessions.recovery import Watch
from bunsui.stores.memory import MemoryStore
from bunsui.stores.records import body_of, decode_body

AT = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = 10.0


class FakeClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return AT

    def monotonic(self) -> float:
        return self.seconds


class Small(MemoryStore):
    """Takes commits of at most 2,000 bytes."""

    max_commit_bytes = 2000


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def live(jobs: int = 1) -> Live:
    """A session of independent jobs that has been created and claimed."""
    pipeline = bunsui.Pipeline(
        name="p", jobs=[bunsui.Job(f"j{i}", "custom", {"command": ["x"]}) for i in range(jobs)]
    )
    made = Live("s", pipeline, Machine(pipeline), 0, {}, 1)
    made.record(ev.SessionCreated(AT, "s", "p", pipeline.digest, {}))
    made.record(ev.RunnerClaimed(AT, "me", 1))
    made.record(ev.SessionStarted(AT))
    return made


def commits(store: MemoryStore, clock: FakeClock) -> Commits:
    return Commits(store, clock, Observers(bunsui.Plugins(autoload=False)), LEASE)


def foreign_claim(position: int) -> Append:
    """The commit of somebody else."""
    return Append("s", Commit(position, "foreign", body_of([])))


class TestFlush:
    """`Commits.flush`."""

    def test_all_facts_of_a_turn_are_one_commit(self, clock: FakeClock) -> None:
        """Created, claimed and started: one commit, with the index entry."""
        store = MemoryStore()
        flushed = commits(store, clock).flush([live()])

        assert 1 == len(list(store.read("s")))
        assert ["s"] == [one.id for one in flushed.durable]
        found = store.get("session", "s")
        assert found is not None
        assert "running" == found.value["status"]

    def test_a_session_is_in_the_index_from_its_first_commit_on(self, clock: FakeClock) -> None:
        """Also where further commits wait behind it: as one that has not ended, whatever those will say."""

        class Dying(MemoryStore):
            def append(self, appends: Any) -> list[Appended]:
                if appends[0].commit.position > 1 or not self.works:
                    return [Appended(error=StoreError("gone"))]
                return super().append(appends)

            works = False

        store, session = Dying(), live()
        made = commits(store, clock)
        made.flush([session])
        session.record(ev.JobStarted(AT, "j0", 1, "k"))
        session.record(ev.JobSucceeded(AT, "j0", 1, Json.of(1)))
        session.record(ev.SessionSucceeded(AT))
        store.works = True
        made.flush([session])

        assert 1 == len(list(store.read("s")))
        found = store.get("session", "s")
        assert found is not None
        assert ("running", None) == (found.value["status"], found.value["finished_at"])

    def test_the_index_entry_of_a_commit_is_true_with_it(self, clock: FakeClock) -> None:
        """Also where the release that waits behind the end is lost with its runner."""

        class Dying(MemoryStore):
            last = 1

            def append(self, appends: Any) -> list[Appended]:
                if appends[0].commit.position > self.last:
                    return [Appended(error=StoreError("gone"))]
                return super().append(appends)

        store, session = Dying(), live()
        made = commits(store, clock)
        made.flush([session])
        session.record(ev.JobStarted(AT, "j0", 1, "k"))
        session.record(ev.JobSucceeded(AT, "j0", 1, Json.of(1)))
        session.record(ev.SessionSucceeded(AT))
        made.flush([session])
        session.record(ev.RunnerReleased(AT, 1))
        store.last = 2
        made.flush([session])

        found = store.get("session", "s")
        assert found is not None
        assert (2, "succeeded") == (len(list(store.read("s"))), found.value["status"])

    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            ([], "0 outcomes for 1 appends"),
            (None, "NoneType for 1 appends"),
            ([None], "what is no Appended for 1 appends"),
        ],
    )
    def test_a_store_that_answers_something_else_has_failed(
        self, clock: FakeClock, answer: Any, said: str
    ) -> None:
        """Nothing is known of any of the appends: they are made again."""

        class Odd(MemoryStore):
            def append(self, appends: Any) -> Any:
                super().append(appends)
                return answer

        session = live()
        ((failed, error),) = commits(Odd(), clock).flush([session]).failed
        assert (session, f"the store gave {said}") == (failed, str(error))

    def test_large_outputs_are_split_into_several_commits(self, clock: FakeClock) -> None:
        """In order, each within max_commit_bytes; the index entry comes with the last."""
        store = Small()
        session = live(jobs=6)
        for i in range(6):
            session.record(ev.JobStarted(AT, f"j{i}", 1, "k"))
        for i in range(6):
            session.record(ev.JobSucceeded(AT, f"j{i}", 1, Json.of("x" * 900)))
        session.record(ev.SessionSucceeded(AT))
        commits(store, clock).flush([session])

        bodies = [commit.body for commit in store.read("s")]
        assert 4 < len(bodies)
        assert all(len(body) <= 2000 for body in bodies)
        assert list(range(6)) == sorted(
            range(6),
            key=lambda i: "".join(bodies).index(
                f'Succeeded","at":"{"2026-01-01T00:00:00.000000Z"}","job":"j{i}"'
            ),
        )
        found = store.get("session", "s")
        assert found is not None
        assert "succeeded" == found.value["status"]

    def test_a_conflict_loses_that_session_only(self, clock: FakeClock) -> None:
        """Whoever finds another commit at its position writes nothing."""
        store = MemoryStore()
        made = commits(store, clock)
        session = live()
        made.flush([session])
        store.append([foreign_claim(2)])
        session.record(ev.JobStarted(AT, "j0", 1, "k"))
        flushed = made.flush([session])

        assert (["s"], []) == ([one.id for one in flushed.lost], flushed.durable)
        assert ["foreign"] == [commit.id for commit in store.read("s", 1)]

    def test_an_index_that_is_due_is_written_without_facts(self, clock: FakeClock) -> None:
        """A commit without events carries it, so that it is fenced like any other."""
        store = MemoryStore()
        made = commits(store, clock)
        session = live()
        made.flush([session])
        session.record(ev.JobStarted(AT, "j0", 1, "k"))
        flushed = made.flush([session])
        before = store.get("session", "s")
        session.index_due = True
        made.flush([session])
        after = store.get("session", "s")

        assert ["s"] == [one.id for one in flushed.unindexed]
        assert before is not None
        assert after is not None
        assert ({"pending": 1}, {"running": 1}) == (before.value["jobs"], after.value["jobs"])
        assert [] == decode_body(list(store.read("s"))[-1].body, "the last commit")


class TestStillMine:
    """`Commits.still_mine`, asked between the append of a start and the start."""

    def test_a_fresh_append_is_enough(self, clock: FakeClock) -> None:
        """Within half a lease nobody can have claimed: the store is not asked."""
        store = MemoryStore()
        made = commits(store, clock)
        session = live()
        made.flush([session])
        store.append([foreign_claim(2)])
        clock.seconds += LEASE / 2 - 0.1

        assert made.still_mine(session)

    def test_after_half_a_lease_only_a_commit_shows_it(self, clock: FakeClock) -> None:
        """Who has watched for a lease may claim at any moment: of the two commits one is refused."""
        store = MemoryStore()
        made = commits(store, clock)
        session = live()
        made.flush([session])
        clock.seconds += LEASE / 2
        assert not made.still_mine(session)

        session.index_due = True
        assert [session] == made.flush([session]).durable
        assert made.still_mine(session)

        clock.seconds += LEASE
        store.append([foreign_claim(3)])
        session.index_due = True
        assert [session] == made.flush([session]).lost
        assert not made.still_mine(session)

    def test_a_commit_that_was_there_already_confirms_its_first_append(self, clock: FakeClock) -> None:
        """For half a lease from then on nobody can have claimed, though it was said to have failed."""

        class Doubtful(MemoryStore):
            fails = True

            def append(self, appends: Any) -> list[Appended]:
                outcomes = super().append(appends)
                if self.fails:
                    return [Appended(error=StoreError("it may be there")) for _ in appends]
                return outcomes

        store = Doubtful()
        made = commits(store, clock)
        session = live()
        for _ in range(2):  # The second one that fails does not count for the first.
            made.flush([session])
            clock.seconds += LEASE / 5
        store.append([foreign_claim(2)])
        store.fails = False

        assert [session] == made.flush([session]).durable
        assert made.still_mine(session)
        clock.seconds += LEASE / 10
        assert not made.still_mine(session)

    def test_the_append_of_another_session_confirms_nothing(self, clock: FakeClock) -> None:
        """A runner whose heart does not beat loses the sessions that it does not append to."""
        store = MemoryStore()
        made = commits(store, clock)
        session, busy = live(), live()
        busy.id = "busy"
        made.flush([session, busy])
        store.append([foreign_claim(2)])
        clock.seconds += LEASE
        busy.record(ev.PauseRequested(AT, "r"))
        made.flush([busy])

        assert not made.still_mine(session)


class TestWatch:
    """`Watch`: whether somebody else's runner lives."""

    @staticmethod
    def watch(store: MemoryStore, clock: FakeClock, lease: float = LEASE) -> Watch:
        return Watch(store, "s", 0, ev.RunnerClaimed(AT, "other", 1, {"host": "elsewhere"}, lease), clock)

    def test_silence_for_one_lease_is_death(self, clock: FakeClock) -> None:
        """Not before, and by the watcher's own clock alone."""
        watch = self.watch(MemoryStore(), clock)

        assert not watch.is_dead()
        clock.seconds += LEASE - 0.1
        assert not watch.is_dead()
        clock.seconds += 0.2
        assert watch.is_dead()

    def test_a_beat_is_a_sign_of_life(self, clock: FakeClock) -> None:
        """The wait begins anew with it."""
        store = MemoryStore()
        watch = self.watch(store, clock)
        clock.seconds += LEASE - 0.1
        store.put("runner", "other", {"beat": 1})

        assert not watch.is_dead()
        assert watch.has_moved
        clock.seconds += LEASE - 0.1
        assert not watch.is_dead()

    def test_a_commit_is_a_sign_of_life(self, clock: FakeClock) -> None:
        """A busy runner that has not beaten yet is not taken for dead."""
        store = MemoryStore()
        watch = self.watch(store, clock)
        clock.seconds += LEASE - 0.1
        store.append([foreign_claim(1)])

        assert not watch.is_dead()
        clock.seconds += LEASE - 0.1
        assert not watch.is_dead()

    def test_what_came_while_the_store_was_slow_is_not_overlooked(self, clock: FakeClock) -> None:
        """A watcher that was held up in the middle of a look has not seen a lease of silence."""

        class Slow(MemoryStore):
            def read(self, history: str, after: int = 0) -> Any:
                clock.seconds += LEASE
                self.put("runner", "other", {"beat": 1})
                return super().read(history, after)

        watch = self.watch(Slow(), clock)

        assert not watch.is_dead()
        assert not watch.is_dead()

    def test_the_lease_is_that_of_the_claim(self, clock: FakeClock) -> None:
        """Who watches waits for as long as the runner may be silent."""
        watch = self.watch(MemoryStore(), clock, lease=100.0)
        clock.seconds += 99.0

        assert not watch.is_dead()


class TestHeartbeat:
    """`Heartbeat`."""

    def test_it_beats_while_the_driver_lives(self) -> None:
        """A new version each third of a lease; gone after close."""
        store = MemoryStore()
        alive = threading.Event()
        turn = lambda: 7 if alive.is_set() else None  # noqa: E731
        heartbeat = Heartbeat(store, "me", 0.03, turn, SystemClock(), threading.Thread)
        heartbeat.start()
        time.sleep(0.1)
        assert store.get("runner", "me") is None  # The driver makes no turns: no sign of life.
        alive.set()
        deadline = time.monotonic() + 30
        while (found := store.get("runner", "me")) is None or found.version < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert 7 == found.value["turn"]
        heartbeat.close()

        assert store.get("runner", "me") is None


class TestRetryAcrossRunners:
    """Waits between attempts that outlive the claim they began under."""

    def test_a_resume_before_the_wait_is_over_finishes(self, tmp_path: Any) -> None:
        """The timer of the session's first life does not disturb its second."""
        (tmp_path / "flaky.py").write_text(
            "import pathlib\n"
            "def once():\n"
            "    mark = pathlib.Path(__file__).with_name('tried')\n"
            "    if not mark.exists():\n"
            "        mark.touch()\n"
            "        raise OSError('first')\n"
            "    return 'second'\n",
            encoding="utf-8",
        )
        (tmp_path / "pipeline.yaml").write_text(
            'version: "1.0"\nname: flaky\njobs:\n'
            "  - {id: once, type: custom, callable: 'flaky:once',"
            " retry: {max_attempts: 2, delay: 1, jitter: none}}\n",
            encoding="utf-8",
        )
        with bunsui.Runner(f"sqlite:///{tmp_path}/s.db", autoload_plugins=False) as runner:
            session = runner.start(runner.load(tmp_path / "pipeline.yaml"))
            deadline = time.monotonic() + 30
            while session.jobs["once"].status != "retrying":
                assert time.monotonic() < deadline
                time.sleep(0.01)
            session.pause()
            assert "paused" == session.wait(30)
            resumed = runner.resume(session.id)

        assert ("succeeded", "second", 2) == (
            resumed.status,
            resumed.outputs["once"],
            len(resumed.jobs["once"].attempts),
        )
