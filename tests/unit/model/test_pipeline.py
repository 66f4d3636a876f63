"""Pipelines and jobs as values."""

from __future__ import annotations

import functools
import json
import types
from collections.abc import Callable
from typing import Any

import pytest
from attrs.exceptions import FrozenInstanceError

from bunsui.errors import DefinitionError, NotFound
from bunsui.model.pipeline import Job, Parameter, Pipeline, RetryPolicy


def extract() -> int:
    return 1


class Steps:
    def method(self) -> int:
        return 1

    @classmethod
    def for_class(cls) -> int:
        return 1

    @staticmethod
    def static() -> int:
        return 1

    def __call__(self) -> int:
        return 1


def local() -> Callable[[], int]:
    def inner() -> int:
        return 1

    return inner


def in_main() -> Any:
    function = types.FunctionType(extract.__code__, {}, "extract")
    function.__module__, function.__qualname__ = "__main__", "extract"
    return function


def replaced() -> Any:
    """A function of this module's name and of the name of another one in it."""
    function = types.FunctionType(extract.__code__, {}, "extract")
    function.__module__, function.__qualname__ = __name__, "extract"
    return function


def from_nowhere() -> Any:
    function = types.FunctionType(extract.__code__, {}, "extract")
    function.__module__, function.__qualname__ = "no_such_module", "extract"
    return function


@pytest.mark.parametrize(
    ("function", "target"),
    [
        (extract, f"{__name__}:extract"),
        (Steps, f"{__name__}:Steps"),
        (Steps.for_class, f"{__name__}:Steps.for_class"),
        (Steps.static, f"{__name__}:Steps.static"),
        (json.dumps, "json:dumps"),
        (len, "builtins:len"),
    ],
)
def test_a_callable_that_can_be_imported_is_named(function: Callable[..., Any], target: str) -> None:
    """What another process can import is named by its module and its place in it."""
    assert {"callable": target} == Job.from_callable(function, id="x").options


@pytest.mark.parametrize(
    "function",
    [
        lambda: 1,
        local(),
        in_main(),
        Steps().method,
        Steps(),
        functools.partial(extract),
        replaced(),
        from_nowhere(),
    ],
    ids=["lambda", "local", "main", "method", "object", "partial", "replaced", "nowhere"],
)
def test_a_callable_that_cannot_be_imported_is_local(function: Callable[..., Any]) -> None:
    """What its name does not lead another process to runs in this process only."""
    assert {"callable": "local:x"} == Job.from_callable(function, id="x").options


@pytest.mark.parametrize(
    ("function", "name"), [(extract, "extract"), (lambda: 1, "lambda"), (Steps().method, "method")]
)
def test_the_id_of_a_callable_is_its_name(function: Callable[..., Any], name: str) -> None:
    """Without an id the job has the callable's name."""
    assert name == Job.from_callable(function).id


def test_from_callable_passes_fields_on() -> None:
    """Dependencies, input and further fields are the job's."""
    job = Job.from_callable(extract, "e", ["a"], {"x": 1}, timeout=3.0, allow_failure=True)
    assert (
        Job(
            id="e",
            type="custom",
            options={"callable": f"{__name__}:extract"},
            depends_on=("a",),
            parameters={"x": 1},
            timeout=3.0,
            allow_failure=True,
        )
        == job
    )


def test_the_function_itself_is_kept() -> None:
    """The object is at hand in this process, whatever its name."""
    assert extract is Job.from_callable(extract).function


def made(**fields: Any) -> Pipeline:
    job = Job(id="a", type="custom", options={"command": ["x"]}, parameters={"p": 1, "q": {"r": 2, "s": 3}})
    return Pipeline(**{"name": "p", "jobs": [job], "metadata": {"k": 1, "l": 2}, **fields})


def test_equal_pipelines_have_equal_digests() -> None:
    """The order of keys does not count."""
    job = Job(id="a", type="custom", options={"command": ["x"]}, parameters={"q": {"s": 3, "r": 2}, "p": 1})
    assert made().digest == made(jobs=[job], metadata={"l": 2, "k": 1}).digest


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "q"},
        {"description": "d"},
        {"on_failure": "stop"},
        {"max_concurrency": 2},
        {"metadata": {}},
        {"parameters": [Parameter("x")]},
        {"outputs": {"x": 1}},
        {"timeout": 60},
        {"jobs": [Job(id="a", type="custom", options={"command": ["x"]}, retry=RetryPolicy(2))]},
    ],
)
def test_different_pipelines_have_different_digests(fields: dict[str, Any]) -> None:
    """Whatever the definition says counts."""
    assert made().digest != made(**fields).digest


def test_where_a_pipeline_lies_does_not_change_it(tmp_path: Any) -> None:
    """The folder is not part of the definition."""
    assert (made(), made().digest) == (made().at(tmp_path), made().at(tmp_path).digest)


def test_a_digest_is_64_hexadecimal_digits() -> None:
    """A digest is a SHA-256 in hexadecimal."""
    assert 32 == len(bytes.fromhex(made().digest))


@pytest.mark.parametrize(
    ("value", "name"),
    [(made(), "name"), (made().jobs[0], "id"), (Parameter("x"), "name"), (RetryPolicy(), "delay")],
)
def test_values_are_frozen(value: object, name: str) -> None:
    """A definition can't be changed."""
    with pytest.raises(FrozenInstanceError):
        setattr(value, name, "other")


def test_lists_become_tuples() -> None:
    """What is given as a list, or as any iterable, is kept as a tuple."""
    jobs = iter([Job(id="b", type="t"), Job(id="a", type="t", depends_on=iter(["b"]))])
    pipeline = Pipeline(name="p", jobs=jobs)
    assert (("b",), 2) == (pipeline.jobs[1].depends_on, len(pipeline.jobs))


def test_job_by_id() -> None:
    """A job is found by its id."""
    pipeline = made()
    assert pipeline.jobs[0] is pipeline.job("a")


def test_no_job_by_id() -> None:
    """An id that there is not is NotFound, and what there is, is named."""
    with pytest.raises(NotFound, match=r"^pipeline '.*' has no job 'z'; it has: a") as caught:
        made().job("z")
    assert ("job", "z") == (caught.value.kind, caught.value.name)


def test_graph_of_a_pipeline() -> None:
    """The graph has the jobs in the definition's order, with what they wait for."""
    jobs = [Job(id="b", type="t", depends_on=["a", "a"]), Job(id="a", type="t")]
    assert {"b": ("a",), "a": ()} == Pipeline(name="p", jobs=jobs).graph.upstream


def test_schema_of_a_parameter() -> None:
    """A parameter's schema is its type and its further keywords."""
    parameter = Parameter("x", "integer", constraints={"minimum": 1})
    assert {"type": "integer", "minimum": 1} == parameter.schema


def test_the_fields_of_a_type_may_be_keywords() -> None:
    """`Job` and `Parameter` take what is not their own as options and constraints."""
    short = Job("a", "lambda", function="f", depends_on=["b"], retry=2)
    assert Job("a", "lambda", {"function": "f"}, depends_on=["b"], retry=2) == short
    whole = Job("a", "custom", {"shell": True, "command": "x"})
    assert whole == Job("a", "custom", {"shell": True}, command="x")
    assert Parameter("n", "integer", constraints={"minimum": 1}) == Parameter("n", "integer", minimum=1)


def test_a_misspelt_keyword_is_a_problem_of_the_pipeline() -> None:
    """What no type knows is refused there, with the word that was meant."""
    with pytest.raises(DefinitionError, match="did you mean 'command'") as caught:
        Pipeline("p", [Job("a", "custom", comand=["x"])])
    assert "unknown-field" in [problem.code for problem in caught.value.problems]


@pytest.mark.parametrize("function", ["tasks:load", None, 3])
def test_from_callable_takes_callables(function: Any) -> None:
    """Anything else is refused at once."""
    with pytest.raises(TypeError, match="a callable is wanted"):
        Job.from_callable(function)


def test_from_callable_needs_a_name() -> None:
    """What has none needs an id."""
    nameless = functools.partial(print, 1)
    with pytest.raises(TypeError, match="give it one, as in id='load'"):
        Job.from_callable(nameless)
    assert "print_it" == Job.from_callable(nameless, id="print_it").id


def test_durations_are_seconds_in_a_pipeline() -> None:
    """A text such as 15m is taken in Python, too."""
    pipeline = Pipeline("p", [Job("a", "lambda", function="f", timeout="15m")], timeout="1h")
    assert (900, 3600) == (pipeline.jobs[0].timeout, pipeline.timeout)
