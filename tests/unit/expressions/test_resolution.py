"""References, replaced by what they name."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from bunsui.expressions.resolution import (
    MAX_DECODED,
    MAX_RENDERED,
    Hidden,
    ReferenceFailed,
    Scope,
    resolve,
    reveal,
)
from bunsui.model.json import Json
from bunsui.model.session import Failure, JobState
from bunsui.model.status import JobStatus

OUTPUT = {
    "rows": [{"id": 1}, {"id": 2}],
    "a.b": 1,
    "": 2,
    "0": "zero",
    "text": "${p}",
    "big": {f"k{i}": i for i in range(12)},
}


def scope(**parameters: Any) -> Scope:
    return Scope(
        parameters=parameters,
        jobs={
            "my-job_1": JobState(JobStatus.SUCCEEDED, encoded_output=Json.of(OUTPUT)),
            "listing": JobState(JobStatus.SUCCEEDED, encoded_output=Json.of([[1], [2]])),
            "failed": JobState(JobStatus.FAILED, error=Failure("E", "m")),
            "skipped": JobState(JobStatus.SKIPPED),
            "nothing": JobState(JobStatus.SUCCEEDED),
            "cancelled": JobState(JobStatus.CANCELLED),
            "running": JobState(JobStatus.RUNNING),
        },
        session_id="s1",
        started_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        pipeline="my pipeline",
        env={"HOME": "/home/a", "EMPTY": ""},
    )


@pytest.mark.parametrize("value", ["text", 1, 1.0, True, None, [1, {"x": None}], {"a": []}, "${x}", ""])
def test_a_text_that_is_one_reference_keeps_the_type(value: Any) -> None:
    """A text that is nothing but a reference becomes the value, with its type."""
    resolved = resolve("${x}", scope(x=value))
    assert (value, type(value)) == (resolved, type(resolved))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is \n\"'", "as it is \n\"'"),
        (1, "1"),
        (1.0, "1"),
        (-0.0, "0"),
        (1.5, "1.5"),
        (1e22, "10000000000000000000000"),
        (True, "true"),
        (False, "false"),
        (None, "null"),
        ([1.0, {"x": [2.0, "t", None]}], '[1,{"x":[2,"t",null]}]'),
        ({}, "{}"),
        ("${x}", "${x}"),
        ("$${x}", "$${x}"),
        (["${x}"], '["${x}"]'),
    ],
)
def test_within_a_text_a_value_is_rendered(value: Any, text: str) -> None:
    """Text as it is, a whole number without point, all else as compact JSON; nothing is evaluated again."""
    assert f"<{text}>" == resolve("<${x}>", scope(x=value))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${jobs.my-job_1.output.rows}", OUTPUT["rows"]),
        ("${jobs.my-job_1.output.rows[1].id}", 2),
        ("${jobs.my-job_1.output.rows.1.id}", 2),
        ('${jobs.my-job_1.output["rows"][0]["id"]}', 1),
        ('${jobs.my-job_1.output["a.b"]}', 1),
        ('${jobs.my-job_1.output[""]}', 2),
        ("${jobs.my-job_1.output.0}", "zero"),
        ("${jobs.my-job_1.output.text}", "${p}"),
        ("${jobs.my-job_1.status}", "succeeded"),
        ("${jobs.listing.output[1][0]}", 2),
        ("${jobs.failed.status}", "failed"),
        ("${jobs.failed.output}", None),
        ("${jobs.failed.output.rows[3]}", None),
        ("${jobs.skipped.output}", None),
        ("${jobs.nothing.output}", None),
        ("${jobs.cancelled.output}", None),
        ("${jobs.running.output}", None),
        ("${jobs.skipped.output.rows}", None),
        ("${jobs.cancelled.output[0]}", None),
        ("${jobs.running.output.rows[0].id}", None),
        ("${session.id}", "s1"),
        ("${session.started_at}", "2026-01-02T03:04:05.000000Z"),
        ("${pipeline.name}", "my pipeline"),
        ("${env.HOME}", "/home/a"),
        ("${env.EMPTY}", ""),
        ("${parameters.p}", "P"),
        ("${parameters.session}", "a parameter of a root's name"),
    ],
)
def test_what_references_reach(text: str, value: Any) -> None:
    """Parameters, outputs and statuses of jobs, the session and the pipeline can be reached."""
    assert value == resolve(text, scope(p="P", session="a parameter of a root's name"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${y}", "${y}: parameters has no 'y'; it has: x, n, l, e"),
        ("${x.y}", "${x.y}: parameters.x has no 'y'; it is text"),
        ("${n.y}", "${n.y}: parameters.n has no 'y'; it is null"),
        ("${l[2]}", "${l[2]}: parameters.l has no 2; it is a list of 2"),
        ("${l.y}", "${l.y}: parameters.l has no 'y'; it is a list of 2"),
        ('${l["²"]}', "${l[\"²\"]}: parameters.l has no '²'; it is a list of 2"),
        ('${l["\u0660"]}', "${l[\"\u0660\"]}: parameters.l has no '\u0660'; it is a list of 2"),
        ("${l.1234567890}", "${l.1234567890}: parameters.l has no '1234567890'; it is a list of 2"),
        ("${e.y}", "${e.y}: parameters.e has no 'y'; it is empty"),
        ("${e[0]}", "${e[0]}: parameters.e has no 0; it is empty"),
        (
            "a ${jobs.my-job_1.output.big.k99} b",
            "${jobs.my-job_1.output.big.k99}: jobs.my-job_1.output.big has no 'k99';"
            " it has: k0, k1, k2, k3, k4, k5, k6, k7, k8, k9",
        ),
        (
            "${jobs.my-job_1.output.rows[0].name}",
            "${jobs.my-job_1.output.rows[0].name}: jobs.my-job_1.output.rows.0 has no 'name'; it has: id",
        ),
        ("${jobs.nothing.output.x}", "${jobs.nothing.output.x}: jobs.nothing.output has no 'x'; it is null"),
        ("${session.owner}", "${session.owner}: session has no 'owner'; it has: id, started_at"),
        ("${env.PATH}", "${env.PATH}: env has no 'PATH'; it has: HOME, EMPTY"),
        ("${inputs.x}", "${inputs.x}: there is no 'inputs' when a job runs"),
    ],
)
def test_what_is_not_there(text: str, message: str) -> None:
    """A path that isn't there fails, naming it and what there is instead."""
    with pytest.raises(ReferenceFailed) as caught:
        resolve(text, scope(x="text", n=None, l=[1, 2], e={}))
    assert message == str(caught.value)


def test_a_failed_reference_is_not_retried() -> None:
    """The failure of a reference has its own code, and another attempt can't help."""
    with pytest.raises(ReferenceFailed) as caught:
        resolve("${y}", scope())
    assert ("ReferenceError", False) == (caught.value.code, caught.value.retryable)


def test_resolve_copies_the_value() -> None:
    """Whatever is done to the resolved value, the definition stays as it is."""
    definition = {"a": [{"b": "${x}"}], "c": ["no reference"], "d": ({},)}
    resolved = resolve(definition, scope(x=1))
    resolved["a"][0]["b"] = 2
    resolved["c"].append(3)
    resolved["d"][0]["x"] = 4
    assert {"a": [{"b": "${x}"}], "c": ["no reference"], "d": ({},)} == definition


def test_resolve_leaves_keys_alone() -> None:
    """References stand in values only."""
    assert {"${x}": 1} == resolve({"${x}": "${x}"}, scope(x=1))


@pytest.mark.parametrize(
    ("text", "value"),
    [("${jobs.my-job_1.output.rows}", OUTPUT["rows"]), ("${x}", {"deep": [1]}), ("${x.deep}", [1])],
)
def test_what_one_reader_does_another_does_not_see(text: str, value: Any) -> None:
    """Outputs and parameters are not shared between the jobs that read them."""
    there = scope(x={"deep": [1]})
    one = resolve(text, there)
    one.clear()
    assert value == resolve(text, there)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
        max_leaves=8,
    )
)
def test_what_is_brought_in_is_never_evaluated(value: Any) -> None:
    """Any value comes in as it is, whole or rendered, whatever texts it holds."""
    there = scope(x={"v": value, "w": "${secret}"}, secret="no")
    assert value == resolve("${x.v}", there)
    rendered = resolve(" ${x.v}", there)[1:]
    assert value == (rendered if isinstance(value, str) else json.loads(rendered))
    assert "${secret}" == resolve("${x.w}", there)


# Items


def test_the_item_of_a_fan_out() -> None:
    """An item keeps its type, what is in it can be reached, and its index starts at 0."""
    there = evolve(scope(), item={"name": "n", "tags": ["t"]}, item_index=0)
    value = {
        "all": "${item}",
        "name": "${item.name}",
        "tag": "${item.tags[0]}",
        "text": "<${item_index}:${item.name}>",
    }
    assert {"all": {"name": "n", "tags": ["t"]}, "name": "n", "tag": "t", "text": "<0:n>"} == resolve(
        value, there
    )
    assert 0 == resolve("${item_index}", there)


def test_an_item_is_not_shared() -> None:
    """What one attempt does to its item, the next one does not see."""
    there = evolve(scope(), item={"tags": ["t"]}, item_index=0)
    resolve("${item}", there)["tags"].clear()
    assert {"tags": ["t"]} == resolve("${item}", there)


def test_what_an_item_does_not_have() -> None:
    """It is named like anything else that is not there."""
    with pytest.raises(ReferenceFailed) as caught:
        resolve("${item.size}", evolve(scope(), item={"name": "n"}, item_index=0))
    assert "${item.size}: item has no 'size'; it has: name" == str(caught.value)


# What it costs


class Counted(Json):
    """JSON that counts how often it is decoded."""

    __slots__ = ("decodings",)

    def __init__(self, text: str) -> None:
        super().__init__(text)
        #: What it has been decoded to. JSON itself can't be changed; a list of its own can.
        object.__setattr__(self, "decodings", [])

    @property
    def value(self) -> Any:
        self.decodings.append(super().value)
        return self.decodings[-1]


def test_parts_of_an_output_cost_one_decoding() -> None:
    """Whoever keeps what was decoded can resolve a thousand items of one list at the price of one."""
    output = Counted(Json.of([{"n": i} for i in range(1_000)]).text)
    jobs = {"a": JobState(JobStatus.SUCCEEDED, encoded_output=output)}
    decoded: dict[str, Any] = {}
    found = [
        resolve(f"${{jobs.a.output[{i}]}}", evolve(scope(), jobs=jobs, decoded=decoded)) for i in range(1_000)
    ]
    assert ([{"n": i} for i in range(1_000)], 1) == (found, len(output.decodings))


def test_few_outputs_are_kept_decoded() -> None:
    """However many jobs a session refers to, it does not hold all their outputs twice."""
    jobs = {f"a{i}": JobState(JobStatus.SUCCEEDED, encoded_output=Json.of([i])) for i in range(50)}
    there = evolve(scope(), jobs=jobs)
    assert list(range(50)) == [resolve(f"${{jobs.a{i}.output[0]}}", there) for i in range(50)]
    assert len(there.decoded) <= MAX_DECODED


# How long a text may become


def test_a_rendered_text_has_at_most_64_kib() -> None:
    """What is just within is rendered."""
    there = scope(x="x" * (MAX_RENDERED - 2))
    assert MAX_RENDERED == 64 * 1024 == len(resolve("<${x}>", there))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("<${x}>>", ""),
        ("<<<${x}", " with ${x}"),
        ("${x}${n}${n}${n}", " with ${n}"),
        ("${x}${x}", " with ${x}"),
        ("<${x}${secrets.s}>>", ""),
    ],
)
def test_a_longer_text_fails_and_says_by_what(text: str, named: str) -> None:
    """The reference with which it grew too long is named."""
    with pytest.raises(ReferenceFailed) as caught:
        resolve(text, scope(x="x" * (MAX_RENDERED - 2), n=1))
    assert f"a text{named} would have more than 65,536 characters" == str(caught.value)


def test_many_references_do_not_multiply() -> None:
    """A text of 200 references to a long value stops at the limit, whatever it would amount to."""

    class Once(dict[str, Any]):
        """Parameters that count how often they are read."""

        reads = 0

        def __getitem__(self, name: str) -> Any:
            self.reads += 1
            return super().__getitem__(name)

    parameters = Once(x=["x" * 30_000])
    with pytest.raises(ReferenceFailed):
        resolve("-${x}" * 200, evolve(scope(), parameters=parameters))
    assert 3 == parameters.reads


@pytest.mark.parametrize("text", ["${x}", ["${x}", "${x}"], {"a": "${x}"}])
def test_a_value_that_is_one_reference_may_be_longer(text: Any) -> None:
    """Nothing is rendered: it is the value itself."""
    long = "x" * (MAX_RENDERED + 1)
    assert long in json.dumps(resolve(text, scope(x=long)))


def test_a_text_without_references_may_be_longer() -> None:
    """It stands in the definition, which has its own limits."""
    long = "$${" + "x" * MAX_RENDERED
    assert long[1:] == resolve(long, scope())


# Secrets


def test_a_secret_is_left_out() -> None:
    """What is resolved holds the secret's name, never its value."""
    assert Hidden((("db_password",),)) == resolve("${secrets.db_password}", scope())


def test_a_text_with_secrets_is_left_open() -> None:
    """All else in it is rendered already."""
    hidden = resolve("postgres://${user}:${secrets.pw}@${n}/${secrets.db}", scope(user="u", n=1.0))
    assert Hidden(("postgres://", "u", ":", ("pw",), "@", "1", "/", ("db",))) == hidden
    assert ["pw", "db"] == hidden.names


def test_the_secrets_that_were_met_are_known() -> None:
    """Whoever resolves is told which values it must ask for, wherever they stand."""
    there = scope(x=1)
    resolve({"a": ["${secrets.one}", "<${x}>"], "b": {"c": "-${secrets.two}${secrets.one}"}}, there)
    assert ["one", "two", "one"] == there.secrets


def test_revealing_makes_whole() -> None:
    """The value is put where it was left out, at any depth; all else stays as it is."""
    there = scope(n=1)
    value = resolve(
        {"a": ["${secrets.s}", {"b": "<${secrets.s}|${n}|${secrets.t}>"}], "n": "${n}", "x": None}, there
    )
    secrets = {"s": "S${n}", "t": ""}
    assert {"a": ["S${n}", {"b": "<S${n}|1|>"}], "n": 1, "x": None} == reveal(value, secrets.__getitem__)


def test_revealing_copies() -> None:
    """What was resolved stays without the secret, for the next attempt."""
    value = resolve({"a": ["${secrets.s}"]}, scope())
    reveal(value, lambda _: "value")["a"].append(1)
    assert {"a": [Hidden((("s",),))]} == value


@given(st.text(), st.text())
def test_what_a_secret_holds_is_never_looked_at(value: str, other: str) -> None:
    """Whatever a secret is, a reference, braces, another's name, it comes in as it is."""
    resolved = resolve(["${secrets.s}", "<${secrets.s}:${secrets.o}>"], scope())
    assert [value, f"<{value}:{other}>"] == reveal(resolved, {"s": value, "o": other}.__getitem__)


def test_a_secret_is_asked_for_where_it_stands_only() -> None:
    """What has no secret asks for none."""
    asked: list[str] = []
    reveal(resolve({"a": "${n}", "b": ["${secrets.s}"]}, scope(n=1)), lambda name: asked.append(name) or "v")
    assert ["s"] == asked


def secretive(**parameters: Any) -> Scope:
    return evolve(scope(**parameters), secret_parameters=frozenset({"token"}))


def test_a_secret_parameter_is_a_secret() -> None:
    """Its value is a reference to one, and stands for that."""
    there = secretive(token="${secrets.api}", x=1)
    assert (Hidden((("api",),)), Hidden(("Bearer ", ("api",)))) == (
        resolve("${token}", there),
        resolve("Bearer ${token}", there),
    )
    assert ["api", "api"] == there.secrets


def test_a_secret_parameter_that_was_not_given_is_null() -> None:
    """As any other is."""
    assert resolve("${token}", secretive(token=None)) is None


def test_no_other_parameter_becomes_a_secret() -> None:
    """What a parameter brings in is never evaluated again: text that looks like a reference is text."""
    assert ["${secrets.api}", "<${secrets.api}>"] == resolve(
        ["${x}", "<${x}>"], secretive(x="${secrets.api}")
    )


def test_what_is_hidden_shows_nothing() -> None:
    """There is nothing to show: it can be printed, compared and logged."""
    assert "Hidden(parts=(('api',),))" == repr(resolve("${token}", secretive(token="${secrets.api}")))


def test_what_references_bring_in_is_bounded() -> None:
    """Many references to one large output are refused, by the one that is too much."""
    output = ["x" * 1000] * 5000
    jobs = {"a": JobState(JobStatus.SUCCEEDED, encoded_output=Json.of(output))}
    assert [output] * 6 == resolve(["${jobs.a.output}"] * 6, evolve(scope(), jobs=jobs))
    for texts in (["${jobs.a.output}"] * 7, [f"${{jobs.a.output[{i}]}}" for i in range(5000)] * 7):
        with pytest.raises(ReferenceFailed, match="bring in more than 33,554,432 characters"):
            resolve(texts, evolve(scope(), jobs=jobs))
