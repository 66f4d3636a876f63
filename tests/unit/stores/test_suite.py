"""The suite for stores: who may import it, and that it bites."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from xml.etree import ElementTree

import pytest

import bunsui.testing
from bunsui.testing import StoreSuite

TWINS = """
import time
from attrs import evolve
from bunsui.ports.store import Appended, Store
from bunsui.stores.memory import MemoryStore
from bunsui.testing import StoreSuite


class Gaps(MemoryStore):
    def _append(self, entry, value):
        self._histories.setdefault(entry.history, []).append(entry.commit)
        return Appended()

class LastWins(MemoryStore):
    def _append(self, entry, value):
        outcome = super()._append(entry, value)
        history = self._histories.get(entry.history, [])
        if outcome.conflict and 1 <= entry.commit.position <= len(history):
            history[entry.commit.position - 1] = entry.commit
            return Appended()
        return outcome

class NotIdempotent(MemoryStore):
    def _append(self, entry, value):
        there = entry.commit in self._histories.get(entry.history, [])
        return Appended(conflict=True) if there else super()._append(entry, value)

class SameIdAnywhere(MemoryStore):
    def _append(self, entry, value):
        ids = [commit.id for commit in self._histories.get(entry.history, [])]
        return Appended() if entry.commit.id in ids else super()._append(entry, value)

class DocumentOnConflict(MemoryStore):
    def _append(self, entry, value):
        outcome = super()._append(entry, value)
        if outcome.conflict and entry.document is not None:
            self._put(entry.document.kind, entry.document.key, value, None, ())
        return outcome

class DocumentAgain(MemoryStore):
    def append(self, appends):
        for entry in appends:
            if entry.document is not None and entry.commit in self._histories.get(entry.history, []):
                self.put(entry.document.kind, entry.document.key, entry.document.value)
        return super().append(appends)

class AllOrNothing(MemoryStore):
    def append(self, appends):
        before = {name: list(history) for name, history in self._histories.items()}
        outcomes = super().append(appends)
        if any(outcome.conflict for outcome in outcomes):
            self._histories = before
        return outcomes

class ReadsInclusive(MemoryStore):
    def read(self, history, after=0):
        return super().read(history, max(0, after - 1))

class ReadsAPage(MemoryStore):
    def read(self, history, after=0):
        return iter(list(super().read(history, after))[:600])

class SharedValues(MemoryStore):
    def get(self, kind, key):
        found = super().get(kind, key)
        return found and evolve(found, value=self._documents[kind][key].value)

class AnyVersion(MemoryStore):
    def put(self, kind, key, value, if_version=None, expires_at=None, groups=()):
        return super().put(kind, key, value, None, expires_at, groups)

class Eternal(MemoryStore):
    def put(self, kind, key, value, if_version=None, expires_at=None, groups=()):
        return super().put(kind, key, value, if_version, None, groups)

class KeepsVersions(MemoryStore):
    def delete(self, kind, key):
        super().put(kind, key, {}, expires_at=0.0)
        self.gone = (kind, key)
    def _live(self, kind, key):
        if getattr(self, "gone", None) == (kind, key):
            return self._documents[kind][key]
        return super()._live(kind, key)

class Forward(MemoryStore):
    def find(self, kind, group=None, reverse=False, after=None, limit=100):
        return super().find(kind, group, False, after, limit)

class NoLimit(MemoryStore):
    def find(self, kind, group=None, reverse=False, after=None, limit=100):
        return super().find(kind, group, reverse, after, 10**6)

class FirstGroup(MemoryStore):
    def put(self, kind, key, value, if_version=None, expires_at=None, groups=()):
        return super().put(kind, key, value, if_version, expires_at, groups[:1])

class PrefixAnywhere(MemoryStore):
    def find_prefix(self, kind, prefix, limit=100):
        return [document for document in self.find(kind, limit=10**6) if prefix in document.key][:limit]

class RemovesNothing(MemoryStore):
    def remove(self, history, document=None):
        pass

class KeepsTheDocument(MemoryStore):
    def remove(self, history, document=None):
        super().remove(history)

class ReadsAPartOfWhatIsRemoved(MemoryStore):
    def read(self, history, after=0):
        while commits := self._histories.get(history, [])[after:after + 10]:
            yield from commits
            after += 10

class EightMethods(MemoryStore):
    find_prefix, remove = Store.find_prefix, Store.remove

class MissesChanges(MemoryStore):
    def changed(self, token):
        return 0

class MissesDeletes(MemoryStore):
    def delete(self, kind, key):
        self._documents.get(kind, {}).pop(key, None)

class ClosedForGood(MemoryStore):
    def close(self):
        self._histories, self._documents = {}, {}

class NoLock:
    def __enter__(self): pass
    def __exit__(self, *ignored): pass

class Unlocked(MemoryStore):
    def __init__(self):
        super().__init__()
        self._lock = NoLock()
    def _live(self, kind, key):
        found = super()._live(kind, key)
        time.sleep(0.0001)
        return found

class Fine(MemoryStore):
    pass


for cls in [Fine, *MemoryStore.__subclasses__()]:
    def make_store(self, tmp_path, cls=cls):
        return cls()
    globals()[f"Test{cls.__name__}"] = type(f"Test{cls.__name__}", (StoreSuite,), {"make_store": make_store})
"""


def test_every_broken_twin_is_found(tmp_path):
    """A store that breaks one clause fails the suite; one that keeps all passes, with eight methods, too."""
    (tmp_path / "test_twins.py").write_text(TWINS)
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--tb=no", "--junitxml=report.xml"]
    subprocess.run(
        [sys.executable, "-m", "pytest", *options, "test_twins.py"],
        cwd=tmp_path,
        capture_output=True,
        timeout=120,
        check=False,
    )
    failed = defaultdict(int)
    for case in ElementTree.parse(tmp_path / "report.xml").iter("testcase"):
        failed[case.get("classname").rpartition(".Test")[2]] += case.find("failure") is not None
    assert ["Fine", "EightMethods"] == [name for name, count in failed.items() if count == 0]
    assert 26 == len(failed)


def test_bunsui_does_not_import_pytest():
    """Neither bunsui nor its room for testing loads pytest, which only those who test have."""
    code = "import sys, bunsui, bunsui.testing, bunsui.stores.sqlite; print('pytest' in sys.modules)"
    assert (
        "False\n"
        == subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    )


def test_an_unknown_name():
    """The room says plainly what it does not have."""
    with pytest.raises(AttributeError, match=r"^module 'bunsui.testing' has no attribute 'JobSuite'$"):
        bunsui.testing.JobSuite  # noqa: B018


def test_a_suite_without_a_store(tmp_path):
    """Who derives from the suite and forgets the store is told what is missing."""
    with pytest.raises(NotImplementedError, match=r"a StoreSuite needs make_store\(self, tmp_path\)"):
        StoreSuite().make_store(tmp_path)


def test_another_handle_is_the_same_store_by_default(tmp_path):
    """A store that only one process can use needs to say nothing more."""
    store = object()
    assert store is StoreSuite().another_handle(store)
