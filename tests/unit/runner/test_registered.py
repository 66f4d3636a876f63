"""Registered pipelines: names, revisions, and what rivals do to each other."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import bunsui
from bunsui.runner import registered
from bunsui.stores.memory import MemoryStore

#: How many random lives registrations have. The ordinary run has a few.
EXAMPLES = 100 if os.environ.get("BUNSUI_FAULTS") == "full" else 30

AT = datetime(2026, 1, 1, tzinfo=UTC)
LATER = AT + timedelta(days=1)


def pipeline(name: str = "flow", text: str = "v1", jobs: int = 1, **fields: Any) -> bunsui.Pipeline:
    return bunsui.Pipeline(
        name=name,
        description=text,
        jobs=[bunsui.Job(f"j{i}", "custom", {"command": ["true"]}) for i in range(jobs)],
        **fields,
    )


class Rivalled(MemoryStore):
    """Lets a rival in before a head is written."""

    def __init__(self) -> None:
        super().__init__()
        #: Called once, before the next head is put.
        self.rival: Callable[[], object] | None = None

    def put(self, kind: str, *arguments: Any, **keywords: Any) -> int:
        rival = self.rival
        if kind == registered.HEAD and rival is not None:
            self.rival = None
            rival()
        return super().put(kind, *arguments, **keywords)


@pytest.fixture
def store() -> Rivalled:
    return Rivalled()


class TestNames:
    """`parse_name`, and which names it leaves."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("flow", ("flow", None)),
            ("flow@3", ("flow", 3)),
            ("flow@03", ("flow", 3)),
            ("a@1@2", ("a@1", 2)),
            ("flow@", ("flow@", None)),
            ("flow@latest", ("flow@latest", None)),
            ("flow@-1", ("flow@-1", None)),
            ("flow@٣", ("flow@٣", None)),
            ("@3", ("@3", None)),
            ("flow@" + "9" * 5000, ("flow@" + "9" * 5000, None)),
        ],
    )
    def test_only_digits_behind_the_last_at_are_a_revision(
        self, text: str, expected: tuple[str, int | None]
    ) -> None:
        """Anything else belongs to the name."""
        assert expected == registered.parse_name(text)

    @given(st.text(min_size=1), st.integers(0, 10**18 - 1))
    def test_what_is_put_together_is_taken_apart(self, name: str, revision: int) -> None:
        """Whatever the name holds."""
        assert (name, revision) == registered.parse_name(f"{name}@{revision}")

    def test_a_name_that_reads_as_a_revision_is_refused(self, store: Rivalled) -> None:
        """It could not be asked for; the reason says what it would mean."""
        with pytest.raises(bunsui.ConfigError) as raised:
            registered.create(store, AT, pipeline("export@2024"))

        assert (
            "a pipeline named 'export@2024' can't be registered: '@2024' at the end of a name means"
            " revision 2024 of 'export'; rename it" == str(raised.value)
        )

    def test_any_other_name_can_be_registered(self, store: Rivalled) -> None:
        """Spaces, slashes, signs and other scripts included."""
        names = ["a b", "a/b", "a@b", "@3", "分水", "..", "a@", "a'b"]
        for name in names:
            registered.create(store, AT, pipeline(name))

        assert sorted(names) == [found.name for found in registered.find(store)]
        assert names == [registered.get(store, *registered.parse_name(name)).name for name in names]


class TestCreate:
    """`create`."""

    def test_it_is_revision_1(self, store: Rivalled) -> None:
        """What is returned is what was given, with its number."""
        given_, made = pipeline(), registered.create(store, AT, pipeline())

        assert (given_, 1, None) == (made, made.revision, given_.revision)

    def test_an_existing_name_is_refused(self, store: Rivalled) -> None:
        """Nothing changes, and the hint says how it would."""
        registered.create(store, AT, pipeline())
        with pytest.raises(bunsui.Conflict) as raised:
            registered.create(store, LATER, pipeline(text="v2"))

        assert (
            "pipeline 'flow' is registered already, with revision 1; update it to make another revision"
            == str(raised.value)
        )
        assert "v1" == registered.get(store, "flow").description

    def test_of_two_at_once_one_wins(self, store: Rivalled) -> None:
        """The other is told that the name is taken, and leaves the winner as it is."""
        store.rival = lambda: registered.create(store, AT, pipeline(text="rival"))
        with pytest.raises(bunsui.Conflict, match="registered already"):
            registered.create(store, AT, pipeline(text="mine"))

        assert ("rival", 1) == (
            registered.get(store, "flow").description,
            registered.get(store, "flow").revision,
        )

    def test_what_only_this_process_can_run_is_refused(self, store: Rivalled) -> None:
        """A lambda has no name by which another process could find it."""
        job = bunsui.Job.from_callable(lambda: 1, id="here")
        with pytest.raises(bunsui.ConfigError) as raised:
            registered.create(store, AT, bunsui.Pipeline(name="flow", jobs=[job]))

        assert (
            "pipeline 'flow' can't be registered: job 'here' calls 'local:here', which only this process has;"
            " put the function into a module" == str(raised.value)
        )
        assert [] == registered.find(store)


class TestUpdate:
    """`update`."""

    def test_each_is_the_next_revision_and_the_older_ones_stay(self, store: Rivalled) -> None:
        """Equal definitions too: an update always makes one."""
        registered.create(store, AT, pipeline(text="v1"))
        made = [registered.update(store, AT, pipeline(text=text)).revision for text in ("v2", "v2", "v4")]

        assert [2, 3, 4] == made
        assert ["v1", "v2", "v2", "v4"] == [
            registered.get(store, "flow", revision).description for revision in (1, 2, 3, 4)
        ]
        assert ("v4", 4) == (
            registered.get(store, "flow").description,
            registered.get(store, "flow").revision,
        )

    def test_a_name_that_is_not_there_is_not_made(self, store: Rivalled) -> None:
        """NotFound, with the name that may be meant."""
        registered.create(store, AT, pipeline("flow"))
        with pytest.raises(bunsui.NotFound) as raised:
            registered.update(store, AT, pipeline("flwo"))

        assert "there is no pipeline 'flwo' in this store; did you mean 'flow'?" == str(raised.value)
        assert ("pipeline", "flwo") == (raised.value.kind, raised.value.name)
        assert ["flow"] == [found.name for found in registered.find(store)]

    def test_two_at_once_get_a_number_each(self, store: Rivalled) -> None:
        """The one that came too late is the later one, and each number stands for its own definition."""
        registered.create(store, AT, pipeline(text="v1"))
        rivals = []
        store.rival = lambda: rivals.append(registered.update(store, AT, pipeline(text="rival")).revision)
        mine = registered.update(store, AT, pipeline(text="mine")).revision

        assert ([2], 3) == (rivals, mine)
        assert ["v1", "rival", "mine"] == [
            registered.get(store, "flow", revision).description for revision in (1, 2, 3)
        ]

    def test_a_name_that_is_deleted_meanwhile_stays_deleted(self, store: Rivalled) -> None:
        """An update does not bring it back."""
        registered.create(store, AT, pipeline())
        store.rival = lambda: registered.delete(store, "flow")
        with pytest.raises(bunsui.NotFound, match="no pipeline 'flow'"):
            registered.update(store, AT, pipeline(text="v2"))

        assert [] == registered.find(store)

    def test_a_name_that_is_made_anew_meanwhile_is_updated_as_it_is_now(self, store: Rivalled) -> None:
        """Not as the one that was read, although both were written once: its revisions are other ones."""

        def anew() -> None:
            registered.delete(store, "flow")
            registered.create(store, LATER, pipeline(text="new"))

        registered.create(store, AT, pipeline(text="old"))
        store.rival = anew
        registered.update(store, LATER, pipeline(text="mine"))

        assert ["new", "mine"] == [registered.get(store, "flow", n).description for n in (1, 2)]
        assert LATER == registered.find(store)[0].created_at

    def test_a_clock_that_was_set_back_changes_no_order(self, store: Rivalled) -> None:
        """updated_at is never before what it was."""
        registered.create(store, LATER, pipeline())
        registered.update(store, AT, pipeline())

        assert (LATER, LATER) == (
            registered.find(store)[0].created_at,
            registered.find(store)[0].updated_at,
        )


class TestDelete:
    """`delete`."""

    def test_the_name_is_gone_with_its_revisions(self, store: Rivalled) -> None:
        """Neither listed nor found, and free for a new beginning at 1."""
        registered.create(store, AT, pipeline(text="old 1"))
        registered.update(store, AT, pipeline(text="old 2"))
        registered.delete(store, "flow")

        assert [] == registered.find(store)
        with pytest.raises(bunsui.NotFound):
            registered.get(store, "flow", 1)
        assert [] == store.find(registered.REVISION)
        assert 1 == registered.create(store, AT, pipeline(text="new")).revision

    def test_what_a_deletion_left_behind_is_not_found_again(self, store: Rivalled) -> None:
        """Its second revision is not the new registration's, however it was cut off."""
        registered.create(store, AT, pipeline(text="old 1"))
        registered.update(store, AT, pipeline(text="old 2"))
        left = store.find(registered.REVISION)
        registered.delete(store, "flow")
        for document in left:
            store.put(registered.REVISION, document.key, document.value)
        registered.create(store, AT, pipeline(text="new 1"))
        registered.update(store, AT, pipeline(text="new 2"))

        assert "new 1" == registered.get(store, "flow", 1).description

    def test_what_is_not_there_cannot_be_deleted(self, store: Rivalled) -> None:
        """NotFound, also the second time."""
        registered.create(store, AT, pipeline())
        registered.delete(store, "flow")
        with pytest.raises(bunsui.NotFound) as raised:
            registered.delete(store, "flow")

        assert (
            "there is no pipeline 'flow' in this store; 'bunsui pipeline list' shows those that there are"
            == (str(raised.value))
        )

    def test_what_is_there_bounds_it(self, store: Rivalled) -> None:
        """A head that speaks of a million million revisions is deleted with the one that there is."""
        registered.create(store, AT, pipeline(text="v1"))
        registered.update(store, AT, pipeline(text="v2"))
        head = store.get(registered.HEAD, "flow")
        assert head is not None
        store.put(registered.HEAD, "flow", {**head.value, "revision": 10**18}, groups=[("all", "flow")])
        asked: list[str] = []

        def delete(kind: str, key: str) -> None:
            assert len(asked) < 1000, "it counts"
            asked.append(key)
            MemoryStore.delete(store, kind, key)

        store.delete = delete  # type: ignore[method-assign]
        registered.delete(store, "flow")

        assert (["flow@1.1"], []) == (asked, store.find(registered.REVISION))

    def test_others_stay(self, store: Rivalled) -> None:
        """Also of names that begin as the keys of its revisions do; its own all go."""
        names = ("flow", "flow@1.", "flow@1.x", "flow@1.5@x", "flow2", "flow@1.9@1.z")
        for name in names:
            registered.create(store, AT, pipeline(name))
            registered.update(store, AT, pipeline(name))
        for _ in range(250):
            registered.update(store, AT, pipeline("flow"))
        registered.delete(store, "flow")

        left = [document.key for document in store.find(registered.REVISION, limit=1000)]
        assert sorted(f"{name}@1.1" for name in names[1:]) == left

    def test_an_update_that_came_first_is_deleted_too(self, store: Rivalled) -> None:
        """Whoever deletes a name means the name."""
        registered.create(store, AT, pipeline())
        store.rival = lambda: registered.update(store, AT, pipeline(text="v2"))
        registered.delete(store, "flow")

        assert ([], []) == (registered.find(store), store.find(registered.REVISION))


class TestFindAndGet:
    """`find` and `get`."""

    def test_a_summary_tells_of_the_newest_revision(self, store: Rivalled) -> None:
        """Its description, jobs and digest; and when the name and the revision were registered."""
        registered.create(store, AT, pipeline(text="v1"))
        newest = pipeline(text="v2", jobs=3)
        registered.update(store, LATER, newest)

        assert [registered.PipelineSummary("flow", 2, newest.digest, AT, LATER, "v2", 3)] == (
            registered.find(store)
        )

    def test_all_are_found_by_name(self, store: Rivalled) -> None:
        """More than a page of the store, ordered by code points."""
        names = [f"p{i}" for i in range(250)]
        for i, name in enumerate(names):
            registered.create(store, AT - timedelta(days=i), pipeline(name))

        assert sorted(names) == [found.name for found in registered.find(store)]

    @pytest.mark.parametrize("base_dir", [Path("/srv/a"), None])
    def test_the_folder_comes_back(self, store: Rivalled, base_dir: Path | None) -> None:
        """Each revision's own: its commands run there."""
        registered.create(store, AT, pipeline(base_dir=base_dir))
        registered.update(store, AT, pipeline(base_dir=Path("/srv/b")))

        assert [base_dir, Path("/srv/b")] == [registered.get(store, "flow", n).base_dir for n in (1, 2)]

    def test_a_relative_folder_is_kept_absolute(
        self, store: Rivalled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who reads it may stand somewhere else."""
        monkeypatch.chdir(tmp_path)
        registered.create(store, AT, pipeline(base_dir=Path("sub")))
        monkeypatch.chdir("/")

        assert tmp_path / "sub" == registered.get(store, "flow").base_dir

    @pytest.mark.parametrize(
        ("updates", "wrong", "hint"),
        [
            (0, 2, "it has revision 1 only"),
            (2, 4, "it has revisions 1 to 3"),
            (2, 0, "it has revisions 1 to 3"),
            (2, -1, "it has revisions 1 to 3"),
        ],
    )
    def test_a_missing_revision_names_those_there_are(
        self, store: Rivalled, updates: int, wrong: int, hint: str
    ) -> None:
        """NotFound."""
        registered.create(store, AT, pipeline())
        for _ in range(updates):
            registered.update(store, AT, pipeline())
        with pytest.raises(bunsui.NotFound) as raised:
            registered.get(store, "flow", wrong)

        assert f"pipeline 'flow' has no revision {wrong}; {hint}" == str(raised.value)

    def test_a_definition_that_was_lost_is_the_stores_error(self, store: Rivalled) -> None:
        """Not NotFound: the name is there."""
        made = registered.create(store, AT, pipeline())
        store.delete("definition", made.digest)
        with pytest.raises(bunsui.StoreError) as raised:
            registered.get(store, "flow")

        assert (
            f"the definition {made.digest[:12]} of pipeline 'flow', revision 1, is not in the store"
            == str(raised.value)
        )


class Registrations(RuleBasedStateMachine):
    """A store of registered pipelines, against a dict of lists."""

    names = st.sampled_from(["a", "b"])
    texts = st.sampled_from(["x", "y"])

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore()
        self.model: dict[str, list[str]] = {}

    @rule(name=names, text=texts)
    def create(self, name: str, text: str) -> None:
        if name in self.model:
            with pytest.raises(bunsui.Conflict):
                registered.create(self.store, AT, pipeline(name, text))
        else:
            assert 1 == registered.create(self.store, AT, pipeline(name, text)).revision
            self.model[name] = [text]

    @rule(name=names, text=texts)
    def update(self, name: str, text: str) -> None:
        if name not in self.model:
            with pytest.raises(bunsui.NotFound):
                registered.update(self.store, AT, pipeline(name, text))
        else:
            self.model[name].append(text)
            made = registered.update(self.store, AT, pipeline(name, text))
            assert len(self.model[name]) == made.revision

    @rule(name=names)
    def delete(self, name: str) -> None:
        if name not in self.model:
            with pytest.raises(bunsui.NotFound):
                registered.delete(self.store, name)
        else:
            registered.delete(self.store, name)
            del self.model[name]

    @invariant()
    def all_is_there(self) -> None:
        found = {one.name: one.revision for one in registered.find(self.store)}
        assert {name: len(texts) for name, texts in self.model.items()} == found
        assert self.model == {
            name: [registered.get(self.store, name, n + 1).description for n in range(count)]
            for name, count in found.items()
        }


TestRegistrations = Registrations.TestCase
TestRegistrations.settings = settings(TestRegistrations.settings, max_examples=EXAMPLES)
