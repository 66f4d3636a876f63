"""Both stores against a plain dict, step by step."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bunsui.errors import Conflict
from bunsui.ports.store import Append, Appended, Commit, Document, Put
from bunsui.stores.memory import MemoryStore
from bunsui.stores.sqlite import SqliteStore

HISTORIES = ("h1", "h2", "é水")
KINDS = ("session", "runner")
KEYS = ("", "a", "a0", "b", "\U0001f600", "\uffff")
GROUPS = ("g", "h")
SORTS = ("", "1", "10", "2")

histories = st.sampled_from(HISTORIES)
kinds = st.sampled_from(KINDS)
keys = st.sampled_from(KEYS)
values = st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3) | st.none(), max_size=2)
places = st.lists(
    st.tuples(st.sampled_from(GROUPS), st.sampled_from(SORTS)), max_size=2, unique_by=lambda p: p[0]
)
puts = st.builds(Put, kinds, keys, values, places)


class Model:
    """What the port says, in the fewest words: a dict of lists, and a dict."""

    def __init__(self):
        self.histories = {}
        self.documents = {}

    def append(self, appends):
        return [self._append(entry.history, entry.commit, entry.document) for entry in appends]

    def _append(self, name, commit, document):
        history = self.histories.setdefault(name, [])
        if commit.position == len(history) + 1:
            history.append(commit)
            if document is not None:
                self.put(document.kind, document.key, document.value, None, None, document.groups)
            return Appended()
        there = 1 <= commit.position <= len(history) and history[commit.position - 1].id == commit.id
        return Appended(conflict=not there)

    def put(self, kind, key, value, if_version, expired, groups):
        version, *_ = self.documents.get((kind, key), (0,))
        if if_version is not None and if_version != version:
            return f"{kind} '{key}' has version {version}, not {if_version}"
        if expired:
            self.documents.pop((kind, key), None)
        else:
            self.documents[kind, key] = (version + 1, value, groups)
        return version + 1

    def find(self, kind, group, reverse):
        found = []
        for (of, key), (version, value, groups) in self.documents.items():
            sorts = [""] if group is None else [sort for name, sort in groups if name == group]
            found += [((sort, key), Document(key, value, version)) for sort in sorts if of == kind]
        return [document for _, document in sorted(found, key=lambda pair: pair[0], reverse=reverse)]


def bare(documents):
    """Documents without their cursors, which are each store's own."""
    return [Document(document.key, document.value, document.version) for document in documents]


class Stores(RuleBasedStateMachine):
    """The same steps on a model, a store in memory, and two handles on one file."""

    @initialize()
    def begin(self):
        # Without a disk where there is one: what a disk adds is not what is looked for here.
        memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
        self.model = Model()
        self.memory = MemoryStore()
        self.file = SqliteStore(self.folder / "store.db")
        self.other = SqliteStore(self.folder / "store.db")
        self.commits = 0

    def teardown(self):
        for store in (self.file, self.other):
            store.close()
        shutil.rmtree(self.folder)

    def both(self, do, *, other):
        """What a step does to the memory and to the file, through one handle or the other."""
        return [do(self.memory), do(self.other if other else self.file)]

    @rule(
        data=st.data(),
        names=st.lists(histories, min_size=1, max_size=3, unique=True),
        other=st.booleans(),
    )
    def append(self, data, names, other):
        entries = []
        for name in names:
            there = self.model.histories.get(name, [])
            position = data.draw(st.integers(-1, 2)) + len(there)
            self.commits += 1
            commit = Commit(position, f"c{self.commits}", data.draw(st.text(max_size=5)))
            if there and data.draw(st.booleans()):
                commit = data.draw(st.sampled_from(there))
            entries.append(Append(name, commit, data.draw(st.none() | puts)))
        put = [(entry.document.kind, entry.document.key) for entry in entries if entry.document]
        if len(put) != len(set(put)):
            return  # The order of two puts of one document within a batch is not promised.
        expected = self.model.append(entries)
        assert [expected] * 2 == self.both(lambda store: store.append(entries), other=other)

    @rule(
        put=puts,
        if_version=st.none() | st.integers(0, 3),
        expires=st.sampled_from([None, -1, 3600]),
        other=st.booleans(),
    )
    def put(self, put, if_version, expires, other):
        expires_at = None if expires is None else time.time() + expires
        arguments = (put.kind, put.key, put.value, if_version)

        def do(store):
            try:
                return store.put(*arguments, expires_at, put.groups)
            except Conflict as error:
                return str(error)

        expected = self.model.put(*arguments, expires == -1, put.groups)
        assert [expected] * 2 == self.both(do, other=other)

    @rule(kind=kinds, key=keys, other=st.booleans())
    def delete(self, kind, key, other):
        self.model.documents.pop((kind, key), None)
        self.both(lambda store: store.delete(kind, key), other=other)

    @rule(
        kind=kinds,
        group=st.none() | st.sampled_from(GROUPS),
        reverse=st.booleans(),
        limit=st.integers(1, 4),
        other=st.booleans(),
    )
    def find(self, kind, group, reverse, limit, other):
        def pages(store):
            found, after = [], None
            while page := store.find(kind, group, reverse, after, limit):
                assert len(page) <= limit
                found += bare(page)
                after = page[-1].cursor
            return found

        expected = self.model.find(kind, group, reverse)
        assert [expected] * 2 == self.both(pages, other=other)

    @rule(name=histories, after=st.integers(0, 5), other=st.booleans())
    def read(self, name, after, other):
        expected = self.model.histories.get(name, [])[after:]
        assert [expected] * 2 == self.both(lambda store: list(store.read(name, after)), other=other)

    @rule()
    def checkpoint(self):
        self.file.checkpoint()

    @rule()
    def open_again(self):
        self.file.close()
        self.file = SqliteStore(self.folder / "store.db")

    @invariant()
    def documents_are_those_of_the_model(self):
        for kind in KINDS:
            for key in KEYS:
                version, value, _ = self.model.documents.get((kind, key), (0, None, ()))
                expected = Document(key, value, version) if version else None
                assert [expected] * 3 == [s.get(kind, key) for s in (self.memory, self.file, self.other)]


TestStores = Stores.TestCase
TestStores.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
