"""A store against a plain dict, step by step: through two handles here and one elsewhere."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bunsui.errors import Conflict
from bunsui.ports.store import Append, Appended, Commit, Document, Put
from bunsui.stores.memory import MemoryStore

#: Who writes: two handles of this process, and a third one that may be another's.
HANDLES = ("file", "other", "remote")
HISTORIES = ("h1", "h2", "é水")
KINDS = ("session", "runner")
KEYS = ("", "a", "a0", "b", "\U0001f600", "\uffff")
GROUPS = ("g", "h")
SORTS = ("", "1", "10", "2")

handles = st.sampled_from(HANDLES)
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

    def lengths(self):
        return [len(self.histories.get(name, ())) for name in HISTORIES]

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


class StoreMachine(RuleBasedStateMachine):
    """The same steps on a model, a store in memory, and three handles on one store."""

    #: Whether an append shows in `Store.changed`.
    appends_show = True
    #: Kinds of documents that don't.
    silent: frozenset[str] = frozenset()

    def open(self) -> dict[str, Any]:
        """The handles of `HANDLES` on a new store."""
        raise NotImplementedError

    def open_again_as(self, handle: str) -> Any:
        """The same handle, anew."""
        raise NotImplementedError

    @initialize()
    def begin(self):
        self.model = Model()
        self.memory = MemoryStore()
        self.files = self.open()
        self.thread = ThreadPoolExecutor(1)
        self.commits = 0
        #: What each reader was told last, and whether somebody else has written since.
        self.tokens = {}
        self.changed = set()
        self.streams = []

    def teardown(self):
        self.thread.shutdown()
        for store in self.files.values():
            store.close()

    def both(self, do, handle):
        """What a step does to the memory and to the file; in memory, others are another thread."""
        in_memory = do(self.memory) if handle == "file" else self.thread.submit(do, self.memory).result()
        return [in_memory, do(self.files[handle])]

    def wrote(self, handle, *kinds):
        """Notes who has to hear of a write: of documents of these kinds, or of an append."""
        shows = not self.silent.issuperset(kinds) if kinds else self.appends_show
        self.changed |= ({"memory", "file", "other"} if shows else {"memory"}) - {handle}
        if handle == "file":
            self.changed.discard("memory")

    # Writing

    @rule(
        data=st.data(),
        names=st.lists(histories, min_size=1, max_size=3, unique=True),
        handle=handles,
    )
    def append(self, data, names, handle):
        entries = []
        for name in names:
            there = self.model.histories.get(name, [])
            position = data.draw(st.integers(-1, 2)) + len(there)
            self.commits += 1
            commit = Commit(position, f"c{self.commits}", data.draw(st.text(max_size=5)))
            known = data.draw(st.sampled_from(["new", "same", "elsewhere", "rewritten"]))
            if there and known != "new":
                old = data.draw(st.sampled_from(there))
                commit = {
                    "same": old,
                    "elsewhere": Commit(position, old.id, commit.body),
                    "rewritten": Commit(old.position, old.id, commit.body),
                }[known]
            entries.append(Append(name, commit, data.draw(st.none() | puts)))
        put = [(entry.document.kind, entry.document.key) for entry in entries if entry.document]
        if len(put) != len(set(put)):
            return  # The order of two puts of one document within a batch is not promised.
        lengths = self.model.lengths()
        expected = self.model.append(entries)
        assert [expected] * 2 == self.both(lambda store: store.append(entries), handle)
        if lengths != self.model.lengths():
            self.wrote(handle)

    @rule(
        put=puts,
        if_version=st.none() | st.integers(0, 3),
        expires=st.sampled_from([None, -1, 3600]),
        handle=handles,
    )
    def put(self, put, if_version, expires, handle):
        expires_at = None if expires is None else time.time() + expires
        arguments = (put.kind, put.key, put.value, if_version)

        def do(store):
            try:
                return store.put(*arguments, expires_at, put.groups)
            except Conflict as error:
                return str(error)

        expected = self.model.put(*arguments, expires == -1, put.groups)
        assert [expected] * 2 == self.both(do, handle)
        if isinstance(expected, int):
            self.wrote(handle, put.kind)

    @rule(kind=kinds, key=keys, handle=handles)
    def delete(self, kind, key, handle):
        if self.model.documents.pop((kind, key), None) is not None:
            self.wrote(handle, kind)
        self.both(lambda store: store.delete(kind, key), handle)

    @rule(name=histories, document=st.none() | st.tuples(kinds, keys), handle=handles)
    def remove(self, name, document, handle):
        self.model.histories.pop(name, None)
        self.model.documents.pop(document, None)
        self.both(lambda store: store.remove(name, document), handle)

    # Reading

    @rule(kind=kinds, prefix=keys | st.just("\ud7ff"), limit=st.integers(1, 4), handle=handles)
    def find_prefix(self, kind, prefix, limit, handle):
        expected = [found for found in self.model.find(kind, None, False) if found.key.startswith(prefix)]
        found = self.both(lambda store: bare(store.find_prefix(kind, prefix, limit)), handle)
        assert [expected[:limit]] * 2 == found

    @rule(
        kind=kinds,
        group=st.none() | st.sampled_from(GROUPS),
        reverse=st.booleans(),
        limit=st.integers(1, 4),
        handle=handles,
    )
    def find(self, kind, group, reverse, limit, handle):
        def pages(store):
            found, after = [], None
            while page := store.find(kind, group, reverse, after, limit):
                assert len(page) <= limit
                found += bare(page)
                after = page[-1].cursor
            return found

        expected = self.model.find(kind, group, reverse)
        assert [expected] * 2 == self.both(pages, handle)

    @rule(kind=kinds, group=st.none() | st.sampled_from(GROUPS), reverse=st.booleans(), handle=handles)
    def go_on_behind_what_is_gone(self, kind, group, reverse, handle):
        """A cursor is good also when its document was deleted."""
        expected = self.model.find(kind, group, reverse)
        if not expected:
            return
        first = expected[0].key

        def rest(store):
            (page,) = store.find(kind, group, reverse, None, 1)
            store.delete(kind, first)
            return bare(store.find(kind, group, reverse, page.cursor, 100))

        del self.model.documents[kind, first]
        expected = [document for document in expected[1:] if document.key != first]
        assert [expected] * 2 == self.both(rest, handle)
        self.wrote(handle, kind)

    @rule(name=histories, after=st.integers(0, 5), handle=handles)
    def read(self, name, after, handle):
        expected = self.model.histories.get(name, [])[after:]
        assert [expected] * 2 == self.both(lambda store: list(store.read(name, after)), handle)

    @rule(name=histories, handle=st.sampled_from(["memory", "file", "other"]))
    def begin_to_read(self, name, handle):
        """A stream that is read later, or never, holds up no writer."""
        expected = list(self.model.histories.get(name, []))
        stream = (self.memory if handle == "memory" else self.files[handle]).read(name)
        if expected:
            assert expected[0] == next(stream)
            self.streams.append((expected[1:], stream))

    @precondition(lambda self: self.streams)
    @rule()
    def read_on(self):
        """What was there when it began is there, in order; what came later may be."""
        expected, stream = self.streams.pop()
        assert expected == list(stream)[: len(expected)]

    @rule(reader=st.sampled_from(["memory", "file", "other"]))
    def look_for_changes(self, reader):
        """What others wrote since the last token is never missed."""
        store = self.memory if reader == "memory" else self.files[reader]
        before = self.tokens.get(reader)
        token = store.changed(before)
        assert before is None or reader not in self.changed or before != token
        self.tokens[reader] = token
        self.changed.discard(reader)

    # Handles

    @rule(handle=handles)
    def close(self, handle):
        """A closed handle goes on, at the price of opening the file for each call."""
        self.files[handle].close()

    @rule(handle=st.sampled_from(["file", "other"]))
    def open_again(self, handle):
        self.files[handle].close()
        self.files[handle] = self.open_again_as(handle)
        self.tokens.pop(handle, None)

    @invariant()
    def documents_are_those_of_the_model(self):
        for kind in KINDS:
            for key in KEYS:
                version, value, _ = self.model.documents.get((kind, key), (0, None, ()))
                expected = Document(key, value, version) if version else None
                stores = (self.memory, self.files["file"], self.files["other"])
                assert [expected] * 3 == [store.get(kind, key) for store in stores]
