"""Runs that share a store, and what is installed."""

from __future__ import annotations

import threading

from bunsui import Pipeline
from bunsui.stores.memory import MemoryStore
from bunsui.testing import run_pipeline
from bunsui.testing.stubbing.runner import registry

PIPELINE = Pipeline.from_dict(
    {"version": "1.0", "name": "p", "jobs": [{"id": "a", "type": "lambda", "function": "f"}]}
)
OTHER = Pipeline.from_dict(
    {"version": "1.0", "name": "other", "jobs": [{"id": "a", "type": "lambda", "function": "f"}]}
)


def test_runs_in_one_store_one_after_the_other():
    """Each has a session of its own, and the same ones each time."""
    store, again = MemoryStore(), MemoryStore()
    ids = [run_pipeline(PIPELINE, stubs={"a": n}, store=store).session.id for n in range(3)]
    assert 3 == len(set(ids))
    assert ids == [run_pipeline(PIPELINE, stubs={"a": n}, store=again).session.id for n in range(3)]


class Gate(MemoryStore):
    """Lets nobody on who has looked for the first time before all have."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._all = threading.Barrier(number, timeout=30)
        self._seen = threading.local()

    def read(self, history, after=0):
        commits = list(super().read(history, after))
        if not hasattr(self._seen, "once"):
            self._seen.once = True
            self._all.wait()
        return iter(commits)


def both(pipelines) -> list:
    """What runs of these come to in one store, all of which find the same id free."""
    store, runs = Gate(len(pipelines)), {}

    def run(n):
        runs[n] = run_pipeline(pipelines[n], stubs={"a": n}, store=store)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(pipelines))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [runs[n] for n in range(len(pipelines))]


def test_runs_in_one_store_at_the_same_time():
    """None is given another one's session: each has called its own stubs, once."""
    for pipelines in ([PIPELINE, PIPELINE], [PIPELINE, OTHER]):
        runs = both(pipelines)
        assert [{"a": 0}, {"a": 1}] == [run.outputs for run in runs]
        assert [1, 1] == [len(run.calls["a"]) for run in runs]
        assert 2 == len({run.session.id for run in runs})


def test_what_is_installed_is_asked_for_each_run():
    """No registry outlives its run."""
    assert registry() is not registry()
