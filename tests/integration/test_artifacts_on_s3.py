"""Large outputs on S3, end to end: whichever runner may use the bucket has them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui import Job, Pipeline, Plugins, Runner
from bunsui.aws.settings import read_aws
from bunsui.diagnosis.check import Check, Status
from bunsui.diagnosis.doctor import the_store
from bunsui.engine import events as ev
from bunsui.errors import ConfigError, NotFound, StoreError
from bunsui.ports.remote import Succeeded
from bunsui.stores.memory import MemoryStore
from bunsui_tests import s3 as emulated
from bunsui_tests.s3 import BUSY, DENIED, EXPIRED, S3, Fault, Request
from bunsui_tests.services import Service, ServicePlugin

LARGE = 40_000
URL = "s3://bucket/etl"


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    """One for all tests."""
    with emulated.serving() as running:
        yield running


@pytest.fixture
def s3(server: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """An empty bucket."""
    return server.fresh(monkeypatch)


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A store on the real disk."""
    return f"sqlite:///{tmp_path}/store.db"


def runner(store: str | MemoryStore, s3: S3, **arguments: Any) -> Runner:
    """One whose artifacts are in the bucket."""
    return Runner(store, artifacts=URL, aws=s3.aws, autoload_plugins=False, config={}, **arguments)


def text(size: int) -> str:
    return "x" * size


def both(size: int) -> dict[str, Any]:
    return {"size": size, "text": text(size)}


def same(of: Any) -> Any:
    return of


def ended(session: bunsui.Session) -> bunsui.Session:
    """One that has succeeded."""
    session.wait(60)
    session.raise_for_status()
    return session


def length(of: str) -> int:
    return len(of)


def sized(name: str, size: int = LARGE, **fields: Any) -> Job:
    """A job whose output has this many characters."""
    return Job.from_callable(text, id=name, parameters={"size": size}, **fields)


def measured(of: str, **fields: Any) -> Job:
    """A job that refers to another one's output."""
    return Job.from_callable(
        length, id="length", depends_on=[of], parameters={"of": f"${{jobs.{of}.output}}"}, **fields
    )


class TestARun:
    """From a job's return to whoever reads it."""

    @pytest.mark.parametrize("size", [2**20, 40 * 2**20])
    def test_what_a_job_returns(self, store: str, s3: S3, size: int) -> None:
        """It is an object; references reach it, another runner reads it, and one that is closed."""
        with runner(store, s3) as first:
            jobs = [
                Job.from_callable(both, id="a", parameters={"size": size}),
                Job.from_callable(same, id="b", depends_on=["a"], parameters={"of": "${jobs.a.output.size}"}),
            ]
            session = ended(first.run(Pipeline("p", jobs)))
        assert ([f"etl/{session.id}"], []) == ([key.rpartition("/")[0] for key in s3.names()], s3.uploads())
        with runner(store, s3) as second:
            again = second.session(session.id)
        for each in (session, again):
            assert (size, both(size)) == (each.outputs["b"], each.outputs["a"])

    def test_any_store(self, s3: S3) -> None:
        """One that is no file has them there, too; so have lists of fan-outs, and declared outputs."""
        fan = Job.from_callable(text, id="fan", for_each=[20_000, 30_000], parameters={"size": "${item}"})
        with runner(MemoryStore(), s3) as made:
            session = made.run(Pipeline("p", [fan], outputs={"all": "${jobs.fan.output}"}))
            assert {"all": [text(20_000), text(30_000)]} == session.outputs
        assert 2 == len(s3.names(f"etl/{session.id}/"))

    def test_nothing_is_asked_before_it_is_needed(self, store: str, s3: S3) -> None:
        """Neither by a Runner that is made nor by a session with small outputs."""
        with runner(store, s3) as made:
            ended(made.run(Pipeline("p", [sized("a", 10)])))
            assert ([], 0) == (s3.requests, made._control.parts.aws.statistics.opened)

    def test_a_place_that_is_none(self, store: str) -> None:
        """It is refused when the runner is made."""
        for url in ("s3://", "s3://b ad", "s3://bucket/../x"):
            with pytest.raises(ConfigError, match="names no place on S3"):
                Runner(store, artifacts=url, autoload_plugins=False, config={})

    def test_what_is_gone(self, store: str, s3: S3) -> None:
        """It is named when it is read; all else of the session reads."""
        with runner(store, s3) as made:
            session = made.run(Pipeline("p", [sized("a"), sized("b", 3)]))
            (key,) = s3.names()
            s3.remove(key)
            with pytest.raises(
                NotFound, match=f"job 'a' in session {session.id} is gone: .*s3://bucket/{key}"
            ):
                session.outputs["a"]
            assert "xxx" == session.outputs["b"]

    def test_job_types_have_the_same_place(self, store: str, s3: S3) -> None:
        """What they put there lies with the session's artifacts, and goes with them."""

        class Puts(Service):
            def for_runner(self, services: Any) -> Puts:
                self.objects = services.objects
                return self

            def submit(self, call: Any) -> Any:
                url = self.objects.output_url(call.session_id, call.idempotency_key)
                s3.write(url.removeprefix("s3://bucket/"), b'{"left": "there"}')
                return [self.objects.put_input(call.session_id, "{}"), url]

            def outcome(self, handle: Any) -> Any:
                return Succeeded(self.objects.read_output(handle[1]))

        with runner(store, s3, plugins=[ServicePlugin(Puts())]) as made:
            session = ended(made.run(Pipeline("p", [Job("a", "service")])))
            assert {"left": "there"} == session.outputs["a"]
            assert 2 == len(s3.names(f"etl/{session.id}/"))


class TestTrouble:
    """S3 fails: what a job returned is not lost without a word, and no job fails for it."""

    def test_throttled(self, store: str, s3: S3) -> None:
        """Each call is made again until it is taken."""
        seen: set[Request] = set()

        def once(request: Request) -> Fault | None:
            known = request in seen
            seen.add(request)
            return None if known else BUSY

        s3.fault = once
        with runner(store, s3) as made:
            session = made.run(Pipeline("p", [sized("a"), measured("a")]))
        assert ("succeeded", LARGE) == (session.status, session.outputs["length"])
        assert all(state.attempt_count == 1 for state in session.jobs.values())

    @pytest.mark.parametrize(
        ("fault", "words"), [(EXPIRED, "renew the credentials"), (DENIED, "permission s3:PutObject")]
    )
    def test_an_output_that_can_not_be_kept(self, store: str, s3: S3, fault: Fault, words: str) -> None:
        """The session is set aside with the remedy; once it helps, the session is resumed."""
        s3.times(10**6, fault, "PUT")
        pipeline = Pipeline("p", [sized("small", 3), sized("a", depends_on=["small"])])
        with runner(store, s3) as made:
            with pytest.raises(StoreError, match=rf"job 'a' can't be kept: .*{words}"):
                made.run(pipeline)
            (summary,) = made.sessions()
        s3.heal()
        with runner(store, s3) as other:
            session = ended(other.resume(summary.session_id))
        assert ("succeeded", text(LARGE)) == (session.status, session.outputs["a"])
        starts = [event.job for event in session.events() if isinstance(event, ev.JobStarted)]
        assert ["small", "a", "a"] == starts

    @pytest.mark.parametrize("how", ["parameter", "condition", "list"])
    def test_an_output_that_can_not_be_read(self, store: str, s3: S3, how: str) -> None:
        """Who refers to it does not fail by that, as by one that is gone: the session is set aside."""
        made_by = sized("a")
        jobs = {
            "parameter": [made_by, measured("a")],
            "condition": [made_by, sized("b", 1, depends_on=["a"], condition="${jobs.a.output} != 'x'")],
            "list": [
                Job.from_callable(text, id="fan", for_each=[LARGE], parameters={"size": "${item}"}),
                measured("fan"),
            ],
        }[how]
        s3.times(10**6, DENIED, "GET")
        with runner(store, s3) as made:
            with pytest.raises(StoreError, match=r"can't be read: .*permission s3:GetObject"):
                made.run(Pipeline("p", jobs))
            (summary,) = made.sessions()
        s3.heal()
        with runner(store, s3) as other:
            session = ended(other.resume(summary.session_id))
        assert "succeeded" == session.status
        # Only who refers to it had to be begun anew.
        starts = [e.job for e in session.events() if isinstance(e, ev.JobStarted | ev.ItemStarted)]
        assert sorted(set(starts)) == sorted(starts)

    def test_a_read_that_is_throttled_for_too_long(self, store: str, s3: S3) -> None:
        """After a lease the session is set aside likewise."""
        s3.times(10**6, BUSY, "GET")
        with runner(store, s3, lease=1.0) as made:
            with pytest.raises(StoreError, match=r"can't be read: .*SlowDown"):
                made.run(Pipeline("p", [sized("a"), measured("a")]))
            (summary,) = made.sessions()
        s3.heal()
        with runner(store, s3) as other:
            ended(other.resume(summary.session_id))

    def test_what_runs_meanwhile_ends_first(self, store: str, s3: S3) -> None:
        """What took hours is recorded before the session is set aside."""
        gate, asked = threading.Event(), threading.Event()

        def fault(request: Request) -> Fault | None:
            if request.method == "GET":
                asked.set()
                return DENIED
            return None

        s3.fault = fault
        slow = Job.from_callable(lambda: gate.wait(30), id="slow")
        with runner(store, s3) as made:
            session = made.start(Pipeline("p", [slow, sized("a"), measured("a")]))
            assert asked.wait(30)
            assert "running" == session.status
            gate.set()
            with pytest.raises(StoreError, match="can't be read"):
                session.wait(30)
            assert "succeeded" == made.session(session.id).jobs["slow"].status


class TestReuse:
    """What one session made, another one takes over."""

    def test_a_rerun(self, store: str, s3: S3) -> None:
        """S3 copies it; it stays when the earlier session is pruned."""
        pipeline = Pipeline("p", [sized("a"), Job.from_callable(text, id="b", parameters={"size": 3})])
        with runner(store, s3) as made:
            first = made.run(pipeline)
            s3.requests.clear()
            second = ended(made.rerun(first.id, jobs=["b"]))
            assert ["HEAD", "PUT"] == s3.asked()
            for key in s3.names(f"etl/{first.id}/"):
                s3.remove(key)
            assert ("succeeded", text(LARGE)) == (second.status, second.outputs["a"])
        assert 1 == sum(isinstance(event, ev.JobReused) for event in second.events())

    def test_a_rerun_of_what_is_gone(self, store: str, s3: S3) -> None:
        """It runs, and the plan says so."""
        with runner(store, s3) as made:
            first = made.run(Pipeline("p", [sized("a"), sized("b", 3)]))
            s3.remove(s3.names()[0])
            second = ended(made.rerun(first.id, jobs=["b"]))
            assert text(LARGE) == second.outputs["a"]
        assert 2 == sum(isinstance(event, ev.JobStarted) for event in second.events())

    @pytest.mark.parametrize("fault", [None, DENIED])
    def test_a_cache(self, store: str, s3: S3, fault: Fault | None) -> None:
        """An equal job takes the object over; where that is refused it runs, and the entry stays."""
        ran: list[int] = []

        def large() -> str:
            ran.append(1)
            return text(LARGE)

        pipeline = Pipeline("p", [Job.from_callable(large, id="a", cache={"key": "v1"})])
        with runner(store, s3) as made:
            ended(made.run(pipeline))
            if fault is not None:
                s3.times(4, fault, key="etl/")  # To copy it, and to read it, twice.
            second = ended(made.run(pipeline))
            assert (text(LARGE), 1 if fault is None else 2) == (second.outputs["a"], len(ran))
            ended(made.run(pipeline))
        assert (1 if fault is None else 2) == len(ran)


class TestHousekeeping:
    """Prune and doctor."""

    def test_prune(self, store: str, s3: S3) -> None:
        """It weighs and removes what is in the bucket; what it may not remove keeps the session."""
        with runner(store, s3) as made:
            session = made.run(Pipeline("p", [sized("a")]))
            kept = made.run(Pipeline("q", [sized("a")]))
            s3.times(1, DENIED, "POST", "delete")
            threading.Event().wait(0.01)
            pruned = made.prune(0.001)
            assert ([session.id], [kept.id]) == (
                [each.session_id for each in pruned.kept],
                [each.session_id for each in pruned.sessions],
            )
            assert "needs the permission s3:DeleteObject" in pruned.kept[0].reason
            assert LARGE + 2 == pruned.artifact_bytes
            assert [session.id] == [key.split("/")[1] for key in s3.names()]
            assert [session.id] == [each.session_id for each in made.prune(0.001).sessions]
        assert [] == s3.names()

    def test_the_doctor(self, store: str, s3: S3) -> None:
        """It lists the place, reads what the newest sessions name, and writes nothing there."""

        def look() -> dict[str, Check]:
            checks = the_store(store, Plugins(autoload=False), URL, aws=read_aws(s3.aws))
            return {check.name: check for check in checks}

        with runner(store, s3) as made:
            made.run(Pipeline("p", [sized("a")]))
        s3.requests.clear()
        found = look()
        assert "s3://bucket/etl can be listed, and has 39.1 KiB in 1 objects" == found["artifacts"].what
        assert Status.OK is found["artifacts' content"].status
        assert ["GET", "GET"] == s3.asked()
        s3.times(9, DENIED, "GET", "list-type")
        found = look()
        assert Status.PROBLEM is found["artifacts"].status
        assert "s3:ListBucket" in (found["artifacts"].remedy or "")
        assert "artifacts' content" not in found
        s3.heal()
        s3.remove(s3.names()[0])
        assert Status.WARNING is look()["artifacts' content"].status


def test_the_configuration_names_it(
    tmp_path: Path, store: str, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's own file says where, and in whose name."""
    file = tmp_path / "config.toml"
    file.write_text(f'artifacts = "{URL}"\n[aws]\nregion = "us-east-1"\nendpoint_url_s3 = "{s3.url}"\n')
    file.chmod(0o600)
    config = bunsui.Config.load(tmp_path, environ={}, user_file=file)
    with Runner(store, config=config, autoload_plugins=False) as made:
        session = made.run(Pipeline("p", [sized("a")]))
        assert text(LARGE) == session.outputs["a"]
    assert 1 == len(s3.names("etl/"))
