"""The store in DynamoDB, on emulators over HTTP: what every store does, and what only this one can."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import random
import re
import signal
import string
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

import bunsui
from bunsui.aws.settings import AwsSettings
from bunsui.ports.store import Append, Appended, Commit, Put
from bunsui.stores import dynamodb_histories
from bunsui.stores.dynamodb import DynamoDbStore
from bunsui.stores.dynamodb_table import EXPIRY, SCHEMA_VERSION, definition
from bunsui.testing import StoreSuite
from bunsui_tests.aws.between import Between
from bunsui_tests.aws.emulators import Emulator
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.conditions import until

#: How many commits each of 8 writers appends. The ordinary run has a few.
APPENDS = 500 if os.environ.get("BUNSUI_FAULTS") == "full" else 20
_NUMBERS = itertools.count(1)
REGION = "eu-central-1"


def url_of(endpoint: str, table: str | None = None) -> str:
    """The URL of a store in a table that no other test has."""
    return f"dynamodb://{table or f'table-{next(_NUMBERS)}'}?region={REGION}&endpoint_url={endpoint}"


def made(endpoint: str) -> DynamoDbStore:
    """A store whose table is there."""
    store = DynamoDbStore(url_of(endpoint))
    store.create()
    return store


@pytest.fixture
def endpoint(dynamodb_emulator: Emulator) -> str:
    return dynamodb_emulator.url


@pytest.fixture
def store(endpoint: str) -> Iterator[DynamoDbStore]:
    store = made(endpoint)
    yield store
    store.close()


@pytest.fixture
def between(dynamodb_emulator: Emulator) -> Iterator[Between]:
    with Between(dynamodb_emulator.url) as found:
        yield found


@pytest.fixture
def through(between: Between) -> Iterator[DynamoDbStore]:
    """A store that is called through `between`."""
    store = made(between.url)
    between.calls.clear()
    yield store
    store.close()


def items(store: DynamoDbStore) -> list[dict[str, Any]]:
    """All items of the table but those of the table itself, and fences, which go by themselves."""
    found = store._calls.call("Scan", ConsistentRead=True)["Items"]
    return [item for item in found if item["pk"]["S"] != "table" and "gone" not in item]


class TestDynamoDbStore(StoreSuite):
    """What every store does."""

    @pytest.fixture
    def store(self, endpoint: str) -> Iterator[DynamoDbStore]:
        store = made(endpoint)
        yield store
        store.close()

    def another_handle(self, store: Any) -> DynamoDbStore:
        return DynamoDbStore(store.url)


# Histories


def test_many_writers(store: DynamoDbStore) -> None:
    """8 writers append to one history: it is dense, and has what each was told is there, once."""
    handles = [DynamoDbStore(store.url) for _ in range(8)]

    def write(writer: int) -> list[str]:
        mine: list[str] = []
        position = 0
        while len(mine) < APPENDS:
            commit = Commit(position + 1, f"{writer}-{len(mine)}", "[]")
            (outcome,) = handles[writer].append([Append("h", commit)])
            assert outcome.error is None
            if outcome.ok:
                mine.append(commit.id)
                position += 1
            else:  # As a driver does: it looks what there is, and goes on behind that.
                there = handles[writer].read("h", position)
                position = max((each.position for each in there), default=position)
        return mine

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(write, range(8)))
    for handle in handles:
        handle.close()
    commits = list(store.read("h"))
    assert [commit.position for commit in commits] == list(range(1, 8 * APPENDS + 1))
    assert sorted(each.id for each in commits) == sorted(each for mine in won for each in mine)


def test_an_append_whose_answer_was_lost(through: DynamoDbStore, between: Between) -> None:
    """It is there once, and known by its id: also its document was put once."""
    entry = Append("h", Commit(1, "a", "[]"), Put("k", "x", {"n": 1}, [("g", "s")]))
    between.losing["TransactWriteItems"] = 1
    assert through.append([entry]) == [Appended()]
    assert [each.id for each in through.read("h")] == ["a"]
    found = through.get("k", "x")
    assert found is not None
    assert found.version == 1
    # And another one at its place is none of it.
    between.losing["TransactWriteItems"] = 1
    assert through.append([Append("h", Commit(1, "b", "[]"))]) == [Appended(conflict=True)]


def test_a_put_whose_answer_was_lost(through: DynamoDbStore, between: Between) -> None:
    """Who puts under a condition is not told that somebody else was first."""
    between.losing["UpdateItem"] = 1
    assert through.put("k", "x", {}, if_version=0) == 1
    between.losing["UpdateItem"] = 1
    assert through.put("k", "x", {"n": 2}, if_version=1) == 2
    with pytest.raises(bunsui.Conflict, match="has version 2, not 1"):
        through.put("k", "x", {}, if_version=1)


def test_a_removal_whose_answer_was_lost(through: DynamoDbStore, between: Between) -> None:
    """Nothing of it stays."""
    through.append([Append("h", Commit(1, "a", "[]"), Put("k", "x", {}))])
    between.losing["TransactWriteItems"] = 1
    through.remove("h", ("k", "x"))
    assert items(through) == []


def test_throttled(through: DynamoDbStore, between: Between) -> None:
    """Where DynamoDB throttles 30% of all calls, each is made again: once and a half as many at most."""
    calls = 0
    between.throttled = 0.3
    for position in range(1, 101):
        (outcome,) = through.append([Append("h", Commit(position, str(position), "[]"))])
        assert outcome.ok
        calls += 1
    between.throttled = 0.0
    assert [each.position for each in through.read("h")] == list(range(1, 101))
    assert between.calls["TransactWriteItems"] <= 1.5 * calls + 10


def test_batches_that_are_done_in_part(through: DynamoDbStore, between: Between) -> None:
    """What DynamoDB leaves out it is asked for again."""
    for position in range(1, 6):
        through.append([Append("h", Commit(position, str(position), "[]"))])
        through.put("k", str(position), {}, groups=[("g", str(position))])
    between.does_little = True
    assert [each.key for each in through.find("k", "g")] == list("12345")
    through.remove("h")
    between.does_little = False
    assert {item["pk"]["S"] for item in items(through)} == {"d:k"}


def test_away(between: Between, through: DynamoDbStore) -> None:
    """What DynamoDB does not take in time is a failure of each append, and may be tried again."""
    through.limit_lock_timeout(1.0)
    between.throttled = 1.0
    (outcome,) = through.append([Append("h", Commit(1, "a", "[]"))])
    assert outcome.error is not None
    assert not outcome.error.lasting
    with pytest.raises(bunsui.StoreError, match="slow down"):
        through.get("k", "x")
    between.throttled = 0.0
    assert through.append([Append("h", Commit(1, "a", "[]"))]) == [Appended()]


def test_a_history_that_is_removed_half(store: DynamoDbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who removes it may die in the middle: it is gone all the same, and another removal clears up."""
    for position in range(1, 4):
        store.append([Append("h", Commit(position, str(position), "[]"), Put("k", "x", {}))])

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dynamodb_histories.Histories, "_sweep", die)
        with pytest.raises(KeyboardInterrupt):
            store.remove("h", ("k", "x"))
    assert (list(store.read("h")), store.get("k", "x")) == ([], None)
    assert len(items(store)) == 4  # Three commits, and the note that they are to go.
    # The name is free at once, and what is left is none of it.
    assert store.append([Append("h", Commit(1, "new", "[]"))]) == [Appended()]
    store.remove("other")
    assert [each.id for each in store.read("h")] == ["new"]
    assert len(items(store)) == 2  # Its head and its commit.


def test_who_has_not_heard_of_a_removal(store: DynamoDbStore) -> None:
    """Another one removes the history of a writer, which appends nothing any more."""
    other = DynamoDbStore(store.url)
    for position in range(1, 3):
        store.append([Append("h", Commit(position, str(position), "[]"))])
    other.remove("h")
    assert store.append([Append("h", Commit(3, "3", "[]"), Put("k", "x", {}))]) == [Appended(conflict=True)]
    assert store.append([Append("h", Commit(3, "3", "[]"))]) == [Appended(conflict=True)]
    assert (list(store.read("h")), store.get("k", "x"), items(store)) == ([], None, [])
    other.close()


def test_a_history_that_is_removed_while_it_is_read(
    store: DynamoDbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who reads page by page is told: never a part for the whole."""
    body = "".join(random.Random(0).choices(string.printable, k=300_000))
    for position in range(1, 10):
        store.append([Append("h", Commit(position, str(position), body))])
    stream = store.read("h")
    assert next(stream).position == 1
    store.remove("h")
    with pytest.raises(bunsui.NotFound, match="was removed while it was read"):
        list(stream)


def test_a_commit_that_is_missing(store: DynamoDbStore) -> None:
    """A table that somebody has changed by hand is not read as if nothing was."""
    for position in range(1, 4):
        store.append([Append("h", Commit(position, str(position), "[]"))])
    (second,) = [item for item in items(store) if item["sk"]["S"].endswith("2")]
    store._calls.call("DeleteItem", Key={"pk": second["pk"], "sk": second["sk"]})
    with pytest.raises(bunsui.StoreError, match="commit 2 of h is missing") as raised:
        list(store.read("h"))
    assert raised.value.lasting


def test_a_commit_that_does_not_fit(store: DynamoDbStore) -> None:
    """It fails by itself, says why, and nothing of it is written; what is beside it is."""
    body = "".join(random.Random(0).choices(string.printable, k=600_000))
    outcomes = store.append([Append("h", Commit(1, "a", body)), Append("i", Commit(1, "a", "[]"))])
    assert outcomes[1].ok
    assert outcomes[0].error is not None
    assert outcomes[0].error.lasting
    assert "commit 1 of h has 600,000 bytes" in str(outcomes[0].error)
    assert "artifacts on S3" in str(outcomes[0].error.hint)
    assert list(store.read("h")) == []


def test_a_document_that_does_not_fit(store: DynamoDbStore) -> None:
    """A definition of megabytes does, since it is compressed; what has no order does not."""
    jobs = {f"job-{number}": {"type": "lambda", "function": f"f-{number}"} for number in range(20_000)}
    store.put("definition", "d", jobs)
    found = store.get("definition", "d")
    assert found is not None
    assert found.value == jobs
    with pytest.raises(bunsui.StoreError, match=r"k 'x' has [\d,]+ bytes"):
        store.put("k", "x", {"t": "".join(random.Random(0).choices(string.printable, k=600_000))})
    assert store.get("k", "x") is None


def test_long_keys(store: DynamoDbStore) -> None:
    """What is too long for DynamoDB is refused; in a group, long keys are told apart all the same."""
    with pytest.raises(bunsui.StoreError, match="1,200 bytes; DynamoDB takes 1,023"):
        store.put("k", "x" * 1200, {})
    with pytest.raises(bunsui.StoreError, match="are too long"):
        store.put("k", "x", {}, groups=[("g", "s" * 1200)])
    names = ["水" * 300 + letter for letter in "abc"]
    for name in names:
        store.put("k", name, {}, groups=[("水" * 100, "s")])
    assert {each.key for each in store.find("k", "水" * 100)} == set(names)
    assert [each.key for each in store.find("k")] == names


def test_reads_are_consistent(through: DynamoDbStore, between: Between) -> None:
    """Whatever is read: emulators would not show it, DynamoDB would now and then give what was."""
    through.append([Append("h", Commit(1, "a", "[]"), Put("k", "x", {}, [("g", "1"), ("h", "2")]))])
    between.losing["TransactWriteItems"] = 1
    through.append([Append("h", Commit(2, "b", "[]"))])
    assert len(list(through.read("h"))) == 2
    through.get("k", "x")
    through.find("k")
    through.find("k", "g")
    through.find_prefix("k", "x")
    through.changed(None)
    through.remove("h")
    asked = [
        (action, each)
        for action, body in between.bodies
        for each in body.get("RequestItems", {"": body}).values()
        if action in ("BatchGetItem", "GetItem", "Query", "Scan")
    ]
    assert {action for action, _ in asked} == {"BatchGetItem", "GetItem", "Query"}
    assert [action for action, each in asked if not each.get("ConsistentRead")] == []


def test_facts_that_do_not_fit_into_one_commit(store: DynamoDbStore) -> None:
    """The driver splits them: many jobs that end at once, each with an output of 30,000 characters."""
    gate = threading.Barrier(20)

    def large(item: int) -> str:
        gate.wait(60)
        return "".join(random.Random(item).choices(string.ascii_letters, k=30_000))

    job = bunsui.Job.from_callable(
        large, id="large", parameters={"item": "${item}"}, for_each=list(range(20))
    )
    with bunsui.Runner(store) as runner:
        session = runner.run(bunsui.Pipeline("Large", jobs=[job]))
        assert session.status == "succeeded"
        assert [len(output) for output in session.outputs["large"]] == [30_000] * 20
        bodies = [len(commit.body) for commit in store.read(session.id)]
    assert sum(bodies) > 600_000
    assert max(bodies) <= store.max_commit_bytes


# Costs


@pytest.fixture
def counted(ministack: Emulator, aws_environment: dict[str, str]) -> Iterator[Between]:
    """An emulator that counts write units as DynamoDB does."""
    del aws_environment
    with Between(ministack.url) as found:
        yield found


def chain(jobs: int, **fields: Any) -> bunsui.Pipeline:
    """Jobs of which each follows the one before."""
    each = [
        {"id": f"j{number}", "depends_on": [f"j{number - 1}"] if number else [], **fields}
        for number in range(jobs)
    ]
    return bunsui.Pipeline.from_dict({"version": "1.0", "name": "Chain", "jobs": each})


#: Writes just below 1 KiB of what can't be made smaller: each of these characters is worth 13 bits.
OUTPUT = (
    "import json, os, random, time; time.sleep(float({seconds!r}));"
    "letters = [chr(0x4E00 + random.randrange(8192)) for _ in range(330)];"
    "json.dump(''.join(letters), open(os.environ['BUNSUI_OUTPUT'], 'w'), ensure_ascii=False)"
)


def units(counted: Between, folder: Path, fields: dict[str, Any], jobs: int, aws: str | None = None) -> float:
    """The write units of a job, beside those of its session: what a chain takes more than one of a job."""
    used = []
    with (
        contextlib.closing(made(counted.url)) as store,
        bunsui.Runner(store, artifacts=folder, aws={"endpoint_url": aws}) as runner,
    ):
        for length in (
            1,
            1,
            jobs + 1,
        ):  # The first one also looks at the table, and registers the definition.
            before = sum(counted.writes)
            session = runner.run(chain(length, **fields))
            assert session.status == "succeeded"
            used.append(sum(counted.writes) - before)
    found = (used[2] - used[1]) / jobs
    print(f"{found:.1f} write units a job, {used[1] - found:.1f} a session")
    return found


@pytest.mark.parametrize(("jobs", "seconds"), [(20, 0.0), (3, 1.5)], ids=["fast", "slow"])
def test_write_units(jobs: int, seconds: float, counted: Between, tmp_path: Path) -> None:
    """A job with an output just below 1 KiB takes at most 8, also where each commit takes the index along."""
    fields = {"type": "custom", "command": ["python", "-c", OUTPUT.format(seconds=seconds)]}
    assert 0 < units(counted, tmp_path, fields, jobs) <= 8


def test_write_units_of_jobs_at_aws(counted: Between, fake_aws: FakeAws, tmp_path: Path) -> None:
    """What a service runs takes one commit more, for its handle."""
    fake_aws.ecs.define("t")
    fields = {"type": "ecs", "task_definition": "t"}
    assert 0 < units(counted, tmp_path, fields, 5, fake_aws.url) <= 8


# What goes wrong


def test_an_endpoint_that_hangs(through: DynamoDbStore, between: Between) -> None:
    """Whoever calls is told soon after the time that a lock may take: a driver has to make its turns."""
    through.limit_lock_timeout(1.0)
    between.hangs = True
    began = time.monotonic()
    outcomes = through.append([Append(str(number), Commit(1, "a", "[]")) for number in range(100)])
    with pytest.raises(bunsui.StoreError, match="no answer came"):
        through.get("k", "x")
    # Five of its tries, on the busiest machine; without a bound it would be a minute for each.
    assert time.monotonic() - began < 50
    assert {outcome.error is not None and not outcome.error.lasting for outcome in outcomes} == {True}


def test_a_write_that_meets_another(through: DynamoDbStore, between: Between) -> None:
    """It is made again: a transaction, or another region's write, is on its way."""
    between.refusing["UpdateItem"] = ["TransactionConflictException", "ReplicatedWriteConflictException"]
    assert through.put("k", "x", {}) == 1
    between.refusing["DeleteItem"] = ["TransactionConflictException"]
    through.delete("k", "x")
    assert through.get("k", "x") is None


def test_a_partition_that_is_full(through: DynamoDbStore, between: Between) -> None:
    """It is said what helps."""
    between.refusing["PutItem"] = ["ItemCollectionSizeLimitExceededException"]
    through.append([Append("h", Commit(1, "a", "[]"))])
    (outcome,) = through.append([Append("h", Commit(2, "b", "[]"))])
    assert outcome.error is not None
    assert outcome.error.lasting
    assert "has reached 10 GB" in str(outcome.error)
    assert "bunsui session prune" in str(outcome.error.hint)


def test_a_refusal_names_no_job(through: DynamoDbStore, between: Between) -> None:
    """What AWS says of jobs does not help who calls a store."""
    between.refusing["GetItem"] = ["ValidationException"]
    with pytest.raises(bunsui.StoreError) as raised:
        through.get("k", "x")
    assert raised.value.hint == "see what AWS says of it"


def test_closed_while_it_is_used(store: DynamoDbStore) -> None:
    """Others go on, at the price of connecting again."""
    ends = threading.Event()

    def use() -> int:
        times = 0
        while not ends.is_set():
            store.get("k", "x")
            times += 1
        return times

    with ThreadPoolExecutor(4) as pool:
        users = [pool.submit(use) for _ in range(4)]
        for _ in range(20):
            store.close()
            time.sleep(0.02)
        ends.set()
        assert all(user.result() > 0 for user in users)


def test_forked_while_the_table_is_looked_at(between: Between) -> None:
    """The child looks by itself."""
    made(between.url).close()
    store = DynamoDbStore(url_of(between.url, f"table-{next(_NUMBERS) - 1}"))
    between.hangs = True
    looking = threading.Thread(target=store_get, args=(store,))
    looking.start()
    until(lambda: between.calls["DescribeTable"] >= 2)
    between.hangs = False
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        code = 1
        try:
            code = 0 if store.get("k", "x") is None else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    between.let_go()
    looking.join()
    store.close()


def store_get(store: DynamoDbStore) -> None:
    """Looks, whatever comes of it."""
    with contextlib.suppress(bunsui.StoreError):
        store.get("k", "x")


def test_odd_times(store: DynamoDbStore) -> None:
    """Times that DynamoDB's numbers can't hold are as early, or as late, as any."""
    for number, expires_at in enumerate((-math.inf, -1e40, 0, 1e-300)):
        store.put("k", f"past-{number}", {}, expires_at=expires_at)
    for number, expires_at in enumerate((math.inf, 1e126, 1.2e40)):
        store.put("k", f"later-{number}", {}, expires_at=expires_at)
    assert [each.key for each in store.find("k")] == ["later-0", "later-1", "later-2"]


def test_what_can_not_be_there(store: DynamoDbStore) -> None:
    """Whoever asks for it finds nothing, as in any store."""
    assert store.get("k", "x" * 2000) is None
    store.delete("k", "x" * 2000)
    assert store.find("k", "g" * 2000) == []
    with pytest.raises(bunsui.ConfigError):
        store.find("k", after=json.dumps(["\ud800", "x"]))


# The table


def test_definition(store: DynamoDbStore) -> None:
    """The table is billed by request, and documents expire."""
    described = store._calls.call("DescribeTable")["Table"]
    assert described["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    expiry = store._calls.call("DescribeTimeToLive")["TimeToLiveDescription"]
    assert expiry == {"TimeToLiveStatus": "ENABLED", "AttributeName": "gone"}
    assert not store.create().is_new


def test_recovery(moto_server: Emulator, aws_environment: dict[str, str]) -> None:
    """The table can be restored to any point in time; where that can't be, it is said."""
    del aws_environment
    store = DynamoDbStore(url_of(moto_server.url))
    assert store.create().lacks == ()
    backups = store._calls.call("DescribeContinuousBackups")["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    store.close()


def test_a_table_that_is_not_ready(between: Between) -> None:
    """What was made a moment ago DescribeTable may not show yet, and its backups come later still."""
    store = DynamoDbStore(url_of(between.url))
    between.refusing["DescribeTable"] = ["ResourceNotFoundException"]
    between.refusing["DescribeContinuousBackups"] = ["ContinuousBackupsUnavailableException"] * 2
    assert store.create().is_new
    assert between.calls["DescribeContinuousBackups"] >= 3
    store.close()


def test_no_table(endpoint: str) -> None:
    """Whoever reads or writes is told how to make it."""
    store = DynamoDbStore(url_of(endpoint, "not-there"))
    with pytest.raises(bunsui.StoreError, match=f"there is no table 'not-there' in {REGION}") as raised:
        store.get("k", "x")
    assert raised.value.lasting
    assert "bunsui store create 'dynamodb://not-there?" in str(raised.value.hint)
    (outcome,) = store.append([Append("h", Commit(1, "a", "[]"))])
    assert outcome.error is not None
    store.close()


def _other(**changes: Any) -> dict[str, Any]:
    return {**definition(), **changes}


_NO_INDEX = {name: value for name, value in definition().items() if name != "LocalSecondaryIndexes"}
_NO_INDEX["AttributeDefinitions"] = definition()["AttributeDefinitions"][:2]
_OTHER_KEY = {
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
}
_NUMBERS_AS_KEY = _NO_INDEX | {
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "N"},
    ]
}


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (_OTHER_KEY, "is none of bunsui's: its key is 'id', not 'pk' and 'sk'"),
        (_NO_INDEX, "has no local secondary index 'by-group-1' by 'pk' and 'g1'"),
        (_NUMBERS_AS_KEY, "has no local secondary index"),
    ],
    ids=["another-key", "no-index", "numbers"],
)
def test_another_shape(endpoint: str, shape: dict[str, Any], said: str) -> None:
    """A table of something else is left alone: nothing is written, and it is said what is wrong."""
    store = DynamoDbStore(url_of(endpoint))
    store._calls.call("CreateTable", **shape)
    for use in (lambda: store.get("k", "x"), lambda: store.put("k", "x", {}), store.create):
        with pytest.raises(bunsui.StoreError, match=said) as raised:
            use()
        assert raised.value.lasting
        assert "name another table" in str(raised.value.hint)
    assert store._calls.call("Scan")["Count"] == 0
    store.close()


def test_a_later_version(store: DynamoDbStore) -> None:
    """A table that a later bunsui uses is not touched."""
    later = {"pk": {"S": "table"}, "sk": {"S": "schema"}, "ver": {"N": str(SCHEMA_VERSION + 1)}}
    store._calls.call("PutItem", Item=later)
    before = store._calls.call("Scan")["Items"]
    other = DynamoDbStore(store.url)
    for use in (lambda: other.get("k", "x"), lambda: other.put("k", "x", {}), lambda: other.remove("h")):
        with pytest.raises(bunsui.StoreError, match="has version 2; this bunsui knows version 1") as raised:
            use()
        assert raised.value.lasting
    assert other._calls.call("Scan")["Items"] == before
    other.close()


def test_a_table_that_was_made_otherwise(endpoint: str) -> None:
    """One of the same shape, as from a template, is marked by who writes first; a reader changes nothing."""
    store = DynamoDbStore(url_of(endpoint))
    store._calls.call("CreateTable", **definition())
    assert store.find("session") == []
    assert store._calls.call("Scan")["Count"] == 0
    store.put("k", "x", {})
    assert {item["sk"]["S"] for item in store._calls.call("Scan")["Items"]} == {"schema", "bell", "kx"}
    store.close()


# URLs


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("dynamodb://", "names no table"),
        ("dynamodb://ab", "names no table"),
        ("dynamodb://a b c", "names no table"),
        ("dynamodb://team/other", "names no table"),
        ("dynamodb://team?regoin=eu-central-1", "has no entry 'regoin'"),
        ("dynamodb://team?region=eu-central-1&region=eu-west-1", "says 'region' twice"),
        ("dynamodb://team?region=Europe", "aws.region is 'Europe'"),
        ("dynamodb://team?region=", "aws.region is ''"),
        (
            "dynamodb://team?endpoint_url=http://u:hunter2@host",
            "dynamodb://team has a user or a password in it",
        ),
    ],
)
def test_a_wrong_url(url: str, said: str) -> None:
    with pytest.raises(bunsui.ConfigError, match=said):
        bunsui.Plugins(autoload=False).open_store(url)


def test_what_the_url_says_goes_first() -> None:
    """The runner's region, profile and endpoints are those where it says nothing."""
    others = AwsSettings(
        region="us-east-1", profile="team", endpoints={"": "http://all", "dynamodb": "http://d"}
    )
    plain = DynamoDbStore("dynamodb://team").with_aws(others)
    assert plain._calls.settings == others
    url = "dynamodb://team?region=eu-west-1&endpoint_url=http://localhost:8000"
    own = DynamoDbStore(url).with_aws(others)
    assert (own.url, own._calls.settings.region, own._calls.settings.profile) == (url, "eu-west-1", "team")
    assert own._calls.settings.endpoint("dynamodb") == "http://localhost:8000"
    assert own._calls.settings.endpoint("sts") == "http://all"


def test_template() -> None:
    """The template in the guide makes what the command makes."""
    guide = (Path(__file__).parents[3] / "docs/guides/user/dynamodb.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```yml\n(.*?)```", guide, re.DOTALL)
    found = yaml.safe_load(text)["Resources"]["Bunsui"]["Properties"]
    assert found.pop("TableName") == "bunsui"
    assert found.pop("TimeToLiveSpecification") == {"AttributeName": EXPIRY, "Enabled": True}
    assert found.pop("PointInTimeRecoverySpecification") == {"PointInTimeRecoveryEnabled": True}
    assert found == definition()
