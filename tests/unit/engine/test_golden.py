"""The histories of tests/fixtures/histories, which every version has to fold to the same states."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
import pytest

import bunsui
from bunsui.dsl.definition import to_pipeline
from bunsui.engine import events as ev
from bunsui.engine.decide import Machine
from bunsui.engine.fold import Fold
from bunsui.engine.replay import replay
from bunsui.engine.transitions import ITEM, JOB, SESSION
from bunsui.errors import BunsuiError
from bunsui.model.artifact import Artifact
from bunsui.model.json import Json
from bunsui.model.status import JobStatus, SessionStatus
from bunsui.model.times import from_text
from bunsui.ports.store import Append, Commit
from bunsui.stores.memory import MemoryStore
from bunsui.stores.records import body_of, decode_body, encode_event

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
CORPUS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in (FIXTURES / "histories").glob("*.json")
}
FOLDED = sorted(name for name, history in CORPUS.items() if "state" in history)
REFUSED = sorted(name for name, history in CORPUS.items() if "refused" in history)
#: Written by a later version, as far as this one can tell.
LATER = {"optional-events", "optional-event-before-a-takeover", "fields-of-a-later-version"}
#: What the tables allow and no driver of this version does: it lets go of no session that has ended, and
#: begins one before it lets go of it.
UNSEEN = {
    (ev.RunnerReleased, status) for status in SessionStatus if status.is_terminal or status == "created"
}


def commits_of(history: dict[str, Any]) -> list[list[ev.Event]]:
    """The events of each commit."""
    return [decode_body(body, f"commit {i}") for i, body in enumerate(history["commits"], start=1)]


def pipeline_of(history: dict[str, Any]) -> bunsui.Pipeline:
    return to_pipeline(history["definition"])


def assert_same(frozen: Any, found: Any, where: str = "state") -> None:
    """Fails unless `found` says all that was frozen; fields that later versions add are not looked at."""
    if isinstance(found, Artifact):
        assert frozen == {"sha256": found.sha256, "bytes": found.size}, where
    elif isinstance(found, Json):
        assert frozen == found.value, where
    elif isinstance(found, datetime):
        assert from_text(frozen) == found, where
    elif attrs.has(type(found)):
        for name, value in frozen.items():
            assert_same(value, getattr(found, name), f"{where}.{name}")
    elif isinstance(found, dict) and any(attrs.has(type(value)) for value in found.values()):
        assert list(frozen) == list(found), where
        for key, value in frozen.items():
            assert_same(value, found[key], f"{where}.{key}")
    elif isinstance(found, tuple):
        assert len(frozen) == len(found), where
        for i, value in enumerate(frozen):
            assert_same(value, found[i], f"{where}[{i}]")
    else:
        assert frozen == found, where


# What is in the corpus


def test_there_are_enough() -> None:
    """Histories are added, never removed."""
    assert (len(FOLDED) >= 65, len(REFUSED) >= 6, LATER <= {*FOLDED}) == (True, True, True)
    assert sorted(CORPUS) == sorted([*FOLDED, *REFUSED])


@pytest.mark.parametrize("name", sorted(CORPUS))
def test_a_file_is_what_its_name_says(name: str) -> None:
    """Its name is that of the recording, it says what happens in it, and has nothing that nobody reads."""
    history = CORPUS[name]
    assert (name, True) == (history["name"], history["about"].endswith("."))
    assert {"name", "about", "definition", "commits"} == {*history} - {"state", "refused"}


def test_every_event_occurs() -> None:
    """A class of events without a history would not be held to anything."""
    found = {type(event) for name in FOLDED for commit in commits_of(CORPUS[name]) for event in commit}
    assert {*ev.EVENTS.values(), ev.Unknown} == found


def test_every_status_is_somewhere_the_last() -> None:
    """Of sessions, of jobs, and of items but for skipped, which none ever is."""
    states = [CORPUS[name]["state"] for name in FOLDED]
    jobs = [job for state in states for job in state["jobs"].values()]
    items = {item["status"] for job in jobs for item in job["items"] or ()}
    assert {*SessionStatus} == {state["status"] for state in states}
    assert {*JobStatus} == {job["status"] for job in jobs}
    assert {*JobStatus} - {"skipped"} == items


def transitions(history: dict[str, Any]) -> Iterator[tuple[type[ev.Event], Any]]:
    """Each event with the status before it: of what it is about."""
    fold = Fold([job.id for job in pipeline_of(history).jobs])
    for event in (event for commit in commits_of(history) for event in commit):
        if isinstance(event, ev.ItemEvent):
            yield type(event), fold.items[event.job][event.item].status
        elif isinstance(event, ev.JobEvent):
            yield type(event), fold.jobs[event.job].status
        else:
            yield type(event), fold.status
        fold.apply(event)


def test_every_transition_occurs() -> None:
    """All that the tables allow, but for what no driver does."""
    found = {transition for name in FOLDED for transition in transitions(CORPUS[name])}
    assert set() == {*SESSION, *JOB, *ITEM} - found - UNSEEN


# What becomes of them


@pytest.mark.parametrize("name", FOLDED)
def test_it_folds_to_the_same_state(name: str) -> None:
    """Byte for byte what was stored, it amounts to what it always did."""
    history = CORPUS[name]
    jobs = [job.id for job in pipeline_of(history).jobs]
    assert_same(history["state"], replay(jobs, commits_of(history)))


@pytest.mark.parametrize("name", FOLDED)
def test_a_session_shows_it(name: str) -> None:
    """Through a store, a Runner and a Session: the same state, and every event, unknown ones too."""
    history, store = CORPUS[name], MemoryStore()
    id_, digest = history["state"]["id"], commits_of(history)[0][0].digest  # type: ignore[attr-defined]
    store.put("definition", digest, history["definition"])
    for i, body in enumerate(history["commits"], start=1):
        assert store.append([Append(id_, Commit(i, f"c-{i}", body))])[0].ok
    with bunsui.Runner(store, autoload_plugins=False) as runner:
        session = runner.session(id_)
        assert_same(history["state"], session.state)
        assert [event for commit in commits_of(history) for event in commit] == [*session.events()]


@pytest.mark.parametrize("name", FOLDED)
def test_every_prefix_folds(name: str) -> None:
    """Whatever a crash leaves of it has a state, whose commits are counted."""
    history = CORPUS[name]
    jobs, commits = [job.id for job in pipeline_of(history).jobs], commits_of(history)
    for cut in range(1, len(commits) + 1):
        assert cut == replay(jobs, commits[:cut]).position
        for end in range(len(commits[cut - 1])):
            replay(jobs, [*commits[: cut - 1], commits[cut - 1][: end + 1]])


@pytest.mark.parametrize("name", FOLDED)
def test_a_machine_takes_it(name: str) -> None:
    """Fact by fact, with something to decide, or to wait for, after each; after the end there is nothing."""
    history = CORPUS[name]
    machine = Machine(pipeline_of(history))
    for commit in commits_of(history):
        for event in commit:
            machine.handle(event)
            machine.decide(event.at, 8, {"db": 1})
    status = machine.state.status
    assert history["state"]["status"] == status
    if status.is_terminal:
        assert [] == machine.decide(event.at, 8, {"db": 1})
    else:
        machine.handle(ev.RunnerClaimed(event.at, "successor", machine.state.epoch + 1))


@pytest.mark.parametrize("name", FOLDED)
def test_the_definition_is_the_same(name: str) -> None:
    """As it stands in a store it has the digest that the session's creation names."""
    history = CORPUS[name]
    assert commits_of(history)[0][0].digest == pipeline_of(history).digest  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [name for name in FOLDED if name not in LATER])
def test_it_is_written_as_it_was(name: str) -> None:
    """An earlier version that can read what it wrote itself can read what this one writes of the same facts.

    Should events get new fields, this test shows which histories are written differently then.
    """
    commits = commits_of(CORPUS[name])
    # As data: a wait of one second may stand there as 1 or as 1.0.
    written = [json.loads(body_of(map(encode_event, commit)))["events"] for commit in commits]
    assert [json.loads(body)["events"] for body in CORPUS[name]["commits"]] == written


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused(name: str) -> None:
    """With the error that says what is wrong, and where."""
    history = CORPUS[name]
    with pytest.raises(BunsuiError) as caught:
        replay([job.id for job in pipeline_of(history).jobs], commits_of(history))
    assert history["refused"] == {"error": type(caught.value).__name__, "text": str(caught.value)}


# Events that this version does not know


def test_optional_events_are_kept_and_ignored() -> None:
    """With them a history amounts to what it does without them, but for the number of its commits."""
    whole, plain = (CORPUS[name]["state"] for name in ("optional-events", "diamond"))
    assert {**plain, "position": plain["position"] + 1} == whole
    unknown = [e for commit in commits_of(CORPUS["optional-events"]) for e in commit if type(e) is ev.Unknown]
    assert ["JobNoted", "SessionBilled"] == [event.name for event in unknown]
    assert {"text": "größer als gestern", "rows": [1, 2.5, None]} == unknown[0].data["note"]
    assert [body_of([encode_event(unknown[1])])] == CORPUS["optional-events"]["commits"][-1:]


def test_fields_of_a_later_version_are_ignored() -> None:
    """Known events may bring more than this version looks at."""
    assert CORPUS["one-job"]["state"] == CORPUS["fields-of-a-later-version"]["state"]


# The script


def test_what_is_frozen_is_not_recorded_again() -> None:
    """Asked for a name that has a file, the script refuses, and the file stays as it is."""
    path = FIXTURES / "histories" / "one-job.json"
    before = path.read_bytes()
    script = [sys.executable, FIXTURES / "freeze_histories.py", "one-job"]
    done = subprocess.run(script, capture_output=True, text=True, timeout=60, check=False)
    text = "one-job.json is frozen: record what has changed under another name\n"
    assert (1, "", text) == (done.returncode, done.stdout, done.stderr)
    assert before == path.read_bytes()


def test_every_history_has_its_recording() -> None:
    """Whoever wonders how one came about finds what was done, and no recording lacks its file."""
    script = [sys.executable, FIXTURES / "freeze_histories.py", "--list"]
    done = subprocess.run(script, capture_output=True, text=True, timeout=60, check=True)
    assert sorted(CORPUS) == sorted(done.stdout.split())


# The corpus bites


@pytest.mark.parametrize("name", FOLDED)
def test_a_different_fold_is_noticed(name: str) -> None:
    """A state in which anything is different is not taken for the frozen one."""
    history = CORPUS[name]
    state = replay([job.id for job in pipeline_of(history).jobs], commits_of(history))
    for field in _frozen_fields(state, history["state"]):
        other = attrs.evolve(state, **{field.name: "something else"})
        with pytest.raises((AssertionError, AttributeError, TypeError)):
            assert_same(history["state"], other)
    for job, job_state in state.jobs.items():
        for field in _frozen_fields(job_state, history["state"]["jobs"][job]):
            changed = attrs.evolve(job_state, **{field.name: Json('"else"')})
            with pytest.raises((AssertionError, AttributeError, TypeError)):
                assert_same(history["state"], attrs.evolve(state, jobs={**state.jobs, job: changed}))


def _frozen_fields(found: Any, frozen: Mapping[str, Any]) -> list[attrs.Attribute[Any]]:
    """The fields that there were when a state was frozen."""
    return [field for field in attrs.fields(type(found)) if field.name in frozen]
