"""A job that runs once for each item of a list, through the public API, on a real store."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui import Job, Pipeline, RetryPolicy, Runner, Session, current_call

AT_ONCE = RetryPolicy(max_attempts=2, delay=0)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A SQLite store on the real disk."""
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def runner(url: str) -> Iterator[Runner]:
    """A runner that is closed at the end."""
    with Runner(url, autoload_plugins=False) as made:
        yield made


def fan(function: Callable[..., Any], items: Any, name: str = "fan", **fields: Any) -> Job:
    """A job that calls `function` with each item as `x`."""
    return Job.from_callable(function, id=name, for_each=items, parameters={"x": "${item}"}, **fields)


def alone(*jobs: Job, **fields: Any) -> Pipeline:
    return Pipeline(name="fans", jobs=jobs, **fields)


def same(x: Any) -> Any:
    return x


def giving(value: Any) -> Job:
    """The job `list`, whose output is `value`."""
    return Job.from_callable(lambda: value, id="list")


def load(runner: Runner, folder: Path, definition: dict[str, Any], **modules: str) -> Pipeline:
    """A definition that was read from a file in `folder`, with modules beside it."""
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    path = folder / "pipeline.json"
    path.write_text(json.dumps({"version": "1.0", "name": "fans", **definition}), encoding="utf-8")
    return runner.load(path)


def items_of(session: Session, job: str = "fan") -> list[str]:
    """The status of each item."""
    items = session.jobs[job].items
    assert items is not None
    return [str(item.status) for item in items]


class TestItems:
    """Which items there are, and what reaches them."""

    def test_outputs_are_in_the_order_of_the_items(self, runner: Runner) -> None:
        """Also where the last item ends first."""
        done = [threading.Event() for _ in range(5)]
        done[4].set()

        def after_the_next(x: int) -> int:
            assert done[x + 1 if x < 3 else 4].wait(30)
            done[x].set()
            return x * x

        session = runner.run(alone(fan(after_the_next, [0, 1, 2, 3])))

        assert ("succeeded", [0, 1, 4, 9]) == (session.status, session.outputs["fan"])

    def test_items_of_an_upstream_output(self, runner: Runner) -> None:
        """A list that a job returned; a later job reaches the list of outputs, and one of them."""
        after = Job.from_callable(
            lambda whole, second: [whole, second],
            id="after",
            depends_on=["fan"],
            parameters={"whole": "${jobs.fan.output}", "second": "${jobs.fan.output[1].name}"},
        )
        fans = fan(same, "${jobs.list.output.files}", depends_on=["list"])
        session = runner.run(alone(giving({"files": [{"name": "a"}, {"name": "b"}]}), fans, after))

        assert [[{"name": "a"}, {"name": "b"}], "b"] == session.outputs["after"]

    def test_a_fan_out_over_a_fan_out(self, runner: Runner) -> None:
        """The output of one is the list of the next."""
        second = fan(lambda x: x + 1, "${jobs.fan.output}", name="second", depends_on=["fan"])
        session = runner.run(alone(fan(lambda x: x * 10, [1, 2]), second))

        assert [11, 21] == session.outputs["second"]

    def test_a_literal_list_may_hold_references(self, runner: Runner) -> None:
        """Each brings its value, with its type, at any depth."""
        items = ["${start}", {"deep": ["${jobs.list.output}"]}, "from ${start}", 3, None, "$${start}"]
        pipeline = alone(
            giving([True]),
            fan(same, items, depends_on=["list"]),
            parameters=[bunsui.Parameter("start", type="integer")],
        )
        session = runner.run(pipeline, {"start": 7})

        assert [7, {"deep": [[True]]}, "from 7", 3, None, "${start}"] == session.outputs["fan"]

    def test_no_item(self, runner: Runner) -> None:
        """The job succeeds without an attempt, with an empty list, and what follows runs."""
        fans = fan(same, "${jobs.list.output}", depends_on=["list"])
        after = Job.from_callable(
            lambda x: [x], id="after", depends_on=["fan"], parameters={"x": "${jobs.fan.output}"}
        )
        session = runner.run(alone(giving([]), fans, after))
        state = session.jobs["fan"]

        assert ("succeeded", [], 0, ()) == (state.status, state.output, state.attempt_count, state.items)
        assert [[]] == session.outputs["after"]

    def test_item_and_index_reach_the_input(self, runner: Runner) -> None:
        """As values, in parts, and within text."""
        job = Job.from_callable(
            lambda **given: given,
            id="fan",
            for_each=[{"n": 1.0}, {"n": [2]}],
            parameters={
                "item": "${item}",
                "n": "${item.n}",
                "i": "${item_index}",
                "t": "${item_index}: ${item.n}",
            },
        )
        session = runner.run(alone(job))

        assert [
            {"item": {"n": 1.0}, "n": 1.0, "i": 0, "t": "0: 1"},
            {"item": {"n": [2]}, "n": [2], "i": 1, "t": "1: [2]"},
        ] == session.outputs["fan"]

    def test_item_and_index_reach_a_command(self, runner: Runner, tmp_path: Path) -> None:
        """In its arguments and in its environment; no shell ever reads them."""
        script = (
            "import json, os, sys\n"
            "variables = os.environ['BUNSUI_PARAM_NAME'], json.loads(os.environ['BUNSUI_PARAMETERS'])\n"
            "found = [sys.argv[1:], *variables]\n"
            "json.dump(found, open(os.environ['BUNSUI_OUTPUT'], 'w'))\n"
        )
        job = {
            "id": "fan",
            "type": "custom",
            "command": ["python", "-c", script, "${item}", "--index=${item_index}"],
            "for_each": ["$(touch x)", "-rf 'a b'"],
            "parameters": {"name": "${item}", "index": "${item_index}"},
        }
        session = runner.run(load(runner, tmp_path, {"jobs": [job]}))

        assert [
            [["$(touch x)", "--index=0"], "$(touch x)", {"name": "$(touch x)", "index": 0}],
            [["-rf 'a b'", "--index=1"], "-rf 'a b'", {"name": "-rf 'a b'", "index": 1}],
        ] == session.outputs["fan"]

    def test_the_call_knows_its_item(self, runner: Runner) -> None:
        """Item, index, attempt, and an idempotency key of its own."""

        def about(x: Any) -> Any:
            call = current_call()
            return [call.item, call.item_index, call.attempt, call.job_id, call.idempotency_key]

        outputs = runner.run(alone(fan(about, ["a", "b"]))).outputs["fan"]

        assert [["a", 0, 1, "fan"], ["b", 1, 1, "fan"]] == [output[:4] for output in outputs]
        assert 2 == len({output[4] for output in outputs})

    def test_an_item_is_nobody_elses_object(self, runner: Runner) -> None:
        """What an attempt does to its item and its input is not seen by the next attempt, nor by others."""

        def spoil(x: list[int]) -> list[int]:
            call = current_call()
            call.item.append(2)
            x.append(3)
            if call.attempt == 1:
                raise ValueError("again")
            return [*call.item, *x]

        shared = [1]
        session = runner.run(alone(fan(spoil, [shared, shared], retry=AT_ONCE)))

        assert [[1, 2, 1, 3]] * 2 == session.outputs["fan"]

    @pytest.mark.parametrize("isolation", ["thread", "process"])
    def test_references_in_an_item_stay_text(self, runner: Runner, tmp_path: Path, isolation: str) -> None:
        """What a reference brought in is never evaluated again, wherever it comes from."""
        texts = [
            "${secrets.x}",
            "$${item}",
            "${",
            "${item_index} ${env.HOME}",
            {"${item}": "${jobs.list.output}"},
        ]
        tasks = f"import bunsui\ndef make():\n    return {texts!r}\ndef same(x, t):\n"
        tasks += "    return [x, t, bunsui.current_call().item]\n"
        definition = {
            "jobs": [
                {"id": "list", "type": "custom", "callable": "texts:make"},
                {
                    "id": "fan",
                    "type": "custom",
                    "callable": "texts:same",
                    "isolation": isolation,
                    "depends_on": ["list"],
                    "for_each": "${jobs.list.output}",
                    "parameters": {"x": "${item}", "t": "<${item}>"},
                },
            ]
        }
        session = runner.run(load(runner, tmp_path, definition, texts=tasks))

        shown = [text if isinstance(text, str) else json.dumps(text, separators=(",", ":")) for text in texts]
        assert [[text, f"<{s}>", text] for text, s in zip(texts, shown, strict=True)] == session.outputs[
            "fan"
        ]

    def test_items_of_a_parameter(self, runner: Runner) -> None:
        """A list that the session was started with; references in it stay text."""
        pipeline = alone(fan(same, "${files}"), parameters=[bunsui.Parameter("files", type="array")])
        session = runner.run(pipeline, {"files": ["a", "${x}"]})

        assert ["a", "${x}"] == session.outputs["fan"]


class TestWrongLists:
    """What is no list, and what is too long a one."""

    @pytest.mark.parametrize(
        ("value", "what"),
        [(None, "null"), ({"a": 1}, "a mapping"), ("abc", "text"), (3, "a number"), (True, "true or false")],
    )
    def test_a_value_that_is_no_list_fails_the_job(self, runner: Runner, value: Any, what: str) -> None:
        """With NotAList; another attempt would not help, so there is none."""
        fans = fan(same, "${jobs.list.output}", depends_on=["list"], retry=AT_ONCE)
        state = runner.run(alone(giving(value), fans)).jobs["fan"]

        assert state.error is not None
        assert ("failed", "NotAList", f"'for_each' must be a list, not {what}", False, 0) == (
            state.status,
            state.error.code,
            state.error.message,
            state.error.retryable,
            state.attempt_count,
        )

    def test_more_than_10000_items_fail_the_job(self, runner: Runner) -> None:
        """With TooManyItems, before any of them starts."""
        fans = fan(same, "${jobs.list.output}", depends_on=["list"])
        state = runner.run(alone(giving([0] * 10_001), fans)).jobs["fan"]

        assert state.error is not None
        message = "'for_each' has 10,001 items; at most 10,000 are run"
        assert ("failed", "TooManyItems", message, 0) == (
            state.status,
            state.error.code,
            state.error.message,
            state.attempt_count,
        )

    def test_a_path_that_is_not_there_fails_the_job(self, runner: Runner) -> None:
        """ReferenceError names it."""
        fans = fan(same, "${jobs.list.output.files}", depends_on=["list"])
        error = runner.run(alone(giving({"rows": 1}), fans)).jobs["fan"].error

        assert error is not None
        message = "${jobs.list.output.files}: jobs.list.output has no 'files'; it has: rows"
        assert ("ReferenceError", message) == (error.code, error.message)

    def test_10000_items_run(self, runner: Runner) -> None:
        """Each may look into the output that the list came from."""
        job = Job.from_callable(
            lambda x, first: x["n"] + first,
            id="fan",
            depends_on=["list"],
            for_each="${jobs.list.output}",
            parameters={"x": "${item}", "first": "${jobs.list.output[0].n}"},
        )
        session = runner.run(alone(giving([{"n": n} for n in range(10_000)]), job))

        assert list(range(10_000)) == session.outputs["fan"]

    def test_an_item_without_what_it_is_asked_for_fails(self, runner: Runner) -> None:
        """The path is named, and so is the item; items that run end."""
        job = Job.from_callable(
            same, id="fan", for_each=[{"a": 1}, {"b": 1}], parameters={"x": "${item.a}"}, retry=AT_ONCE
        )
        session = runner.run(alone(job))
        error = session.jobs["fan"].error

        assert error is not None
        assert ("ReferenceError", "item 1: ${item.a}: item has no 'a'; it has: b", False) == (
            error.code,
            error.message,
            error.retryable,
        )
        assert ["succeeded", "failed"] == items_of(session)

    def test_an_item_that_does_not_fit_a_field_fails(self, runner: Runner, tmp_path: Path) -> None:
        """The job type's schema holds for what an item brings in."""
        job = {"id": "fan", "type": "custom", "command": ["true", "${item}"], "for_each": ["a", {"b": 1}]}
        error = runner.run(load(runner, tmp_path, {"jobs": [job]})).jobs["fan"].error

        assert error is not None
        assert "InvalidOptions" == error.code
        assert error.message.startswith(
            "item 1: 'command[1]' of job 'fan' (its references resolved) must be text"
        )


class TestKindsOfWork:
    """What an item may be."""

    def test_bound_functions(self, runner: Runner, tmp_path: Path) -> None:
        """Functions of a bindings file get the item as their event; their workers are used again."""
        (tmp_path / "bindings.yaml").write_text("lambda: {f: 'handlers:handle'}", encoding="utf-8")
        handlers = (
            "import os\n"
            "def handle(event, context):\n"
            "    return [event, context.client_context.custom['BUNSUI_ATTEMPT'], os.getpid()]\n"
        )
        job = {
            "id": "fan",
            "type": "lambda",
            "function": "f",
            "for_each": ["a", "b", "c", "d"],
            "max_concurrency": 2,
            "parameters": {"name": "${item}"},
        }
        outputs = runner.run(load(runner, tmp_path, {"jobs": [job]}, handlers=handlers)).outputs["fan"]

        assert [[{"name": name}, "1"] for name in "abcd"] == [output[:2] for output in outputs]
        # Two at a time: either may do more than its half.
        assert len({output[2] for output in outputs}) <= 2

    def test_a_function_for_each_item(self, url: str) -> None:
        """Which function runs may depend on the item."""
        bindings = {"lambda": {"one": lambda event, context: 1, "two": lambda event, context: 2}}
        job = Job("fan", "lambda", {"function": "${item}"}, for_each=["two", "one", "three"])
        with Runner(url, bindings=bindings, autoload_plugins=False, local=True) as runner:
            session = runner.run(alone(job))
        error = session.jobs["fan"].error

        assert error is not None
        assert ("UnboundJob", ["succeeded", "succeeded", "failed"]) == (error.code, items_of(session))
        assert error.message.startswith("item 2: function 'three' is not bound")

    def test_callables_in_processes(self, runner: Runner, tmp_path: Path) -> None:
        """The call of a worker knows its item."""
        tasks = (
            "import bunsui\ndef about(x):\n"
            "    call = bunsui.current_call()\n    return [x, call.item, call.item_index]\n"
        )
        job = {
            "id": "fan",
            "type": "custom",
            "callable": "tasks:about",
            "isolation": "process",
            "for_each": [{"a": 1}, None],
            "parameters": {"x": "${item}"},
        }
        session = runner.run(load(runner, tmp_path, {"jobs": [job]}, tasks=tasks))

        assert [[{"a": 1}, {"a": 1}, 0], [None, None, 1]] == session.outputs["fan"]

    def test_each_attempt_of_each_item_is_in_the_log(self, runner: Runner, tmp_path: Path) -> None:
        """Each record of a command names the item and the attempt."""
        script = (
            'echo "item $BUNSUI_PARAM_X, attempt $BUNSUI_ATTEMPT"; test $BUNSUI_ATTEMPT$BUNSUI_PARAM_X != 1b'
        )
        command = {
            "id": "sh",
            "type": "custom",
            "command": script,
            "shell": True,
            "for_each": ["a", "b"],
            "parameters": {"x": "${item}"},
            "retry": {"max_attempts": 2, "delay": 0},
        }
        session = runner.run(load(runner, tmp_path, {"jobs": [command]}))
        assert {
            (0, 1, "item a, attempt 1"),
            (1, 1, "item b, attempt 1"),
            (1, 2, "item b, attempt 2"),
        } == {(record.item, record.attempt, record.message) for record in session.logs("sh")}

    def test_the_logger_of_an_item_names_it(self, runner: Runner) -> None:
        """As do tracebacks."""

        def work(x: int) -> None:
            current_call().logger.info("about %d", x)
            if x:
                raise ValueError("boom")

        session = runner.run(alone(fan(work, [0, 1])))
        logs = {(record.item, record.message): record for record in session.logs()}

        assert {(0, "about 0"), (1, "about 1"), (1, "the attempt failed")} == set(logs)
        assert str(logs[1, "the attempt failed"].exception).endswith("ValueError: boom")


def test_a_number_in_a_command_is_rendered() -> None:
    """An argument that is a number, or a reference to one, arrives as its text."""
    text = (
        'version: "1.0"\nname: numbers\njobs:\n  - id: a\n    type: custom\n    for_each: [1, 2.0, "x"]\n'
        "    command:\n      - python\n      - -c\n"
        "      - import json, os, sys; json.dump(sys.argv[1:], open(os.environ['BUNSUI_OUTPUT'], 'w'))\n"
        '      - 7\n      - "${item_index}"\n      - ${item}\n'
    )
    with bunsui.Runner("memory://") as runner:
        session = runner.run(bunsui.Pipeline.parse(text))
    assert [["7", "0", "1"], ["7", "1", "2"], ["7", "2", "x"]] == session.outputs["a"]
