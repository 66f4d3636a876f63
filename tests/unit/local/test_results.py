"""What a job's code returned or raised, as the history holds it."""

from __future__ import annotations

import enum
from types import SimpleNamespace
from typing import Any

import pytest

from bunsui.errors import JobError, JobTimeout
from bunsui.local.callables import invoke
from bunsui.local.results import MAX_MESSAGE, encode, failure, traceback_text
from bunsui.model.session import Failure


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Leaving(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


def cyclic() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """The error as it is when it has been raised."""
    try:
        raise error from cause
    except BaseException as caught:
        return caught


class TestEncode:
    @pytest.mark.parametrize(
        ("output", "text"),
        [
            (None, "null"),
            (True, "true"),
            ("é\n\ud800", '"\\u00e9\\n\\ud800"'),
            ((1, 2.5), "[1,2.5]"),
            ({"b": [], "a": {}}, '{"b":[],"a":{}}'),
            (enum.IntEnum("E", "one").one, "1"),  # type: ignore[attr-defined]
        ],
    )
    def test_json(self, output: Any, text: str) -> None:
        """An output is compact JSON, ASCII only, its keys in their order."""
        assert text == encode(output).text

    @pytest.mark.parametrize(
        ("output", "reason"),
        [
            (float("nan"), "it is nan, and JSON has no NaN and no infinity; None would do, or text"),
            ([float("inf")], "[0] is inf, and JSON has no NaN and no infinity; None would do, or text"),
            ({1: 2}, "keys must be text, not int (1); str() makes it"),
            (b"x", "it is of type bytes; convert it to text, a number, a list or a dict"),
            ([{"a": object}], "[0].a is of type type; convert it to text, a number, a list or a dict"),
        ],
    )
    def test_not_json(self, output: Any, reason: str) -> None:
        """What is not JSON is an error with place and reason, which another attempt won't help."""
        with pytest.raises(JobError) as caught:
            encode(output)
        error = caught.value
        message = f"what the job returned is not JSON: {reason}"
        assert ("OutputNotJson", message, False) == (error.code, error.message, error.retryable)

    @pytest.mark.parametrize("make", [cyclic, deep])
    def test_bottomless(self, make: Any) -> None:
        """What holds itself, or is nested without end, is an error of the job."""
        with pytest.raises(JobError) as caught:
            encode(make())
        assert caught.value.code == "OutputNotJson"


class TestFailure:
    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (ValueError("no"), Failure("ValueError", "no", True)),
            (KeyError("k"), Failure("KeyError", "'k'", True)),
            (SystemExit(3), Failure("SystemExit", "3", True)),
            (KeyboardInterrupt(), Failure("KeyboardInterrupt", "", True)),
            (JobError("m", code="C", retryable=False), Failure("C", "m", False)),
            (JobError("m", code=""), Failure("JobError", "m", True)),
            (JobTimeout("late"), Failure("JobTimeout", "late", True)),
            (Silent(), Failure("Silent", "(Silent whose text can't be made: RuntimeError)", True)),
            (Leaving(), Failure("Leaving", "(Leaving whose text can't be made: SystemExit)", True)),
        ],
    )
    def test_failure(self, error: BaseException, expected: Failure) -> None:
        """An exception's name is the code, its text the message; a JobError says both itself."""
        assert expected == failure(error)

    @pytest.mark.parametrize("error", [ValueError("x" * 50_000), JobError("x" * 50_000)])
    def test_long_message(self, error: Exception) -> None:
        """The history keeps the beginning of a long text."""
        assert "x" * MAX_MESSAGE + "... (50000 characters)" == failure(error).message


class TestTraceback:
    def test_exception(self) -> None:
        """An exception has its traceback."""
        text = traceback_text(raised(ValueError("no")))
        assert text is not None
        assert ("Traceback (most recent call last):", "ValueError: no") == (
            text.splitlines()[0],
            text.splitlines()[-1],
        )

    def test_job_error(self) -> None:
        """A JobError says all itself."""
        assert traceback_text(raised(JobError("m"))) is None

    def test_cause_of_a_job_error(self) -> None:
        """A JobError with a cause shows that."""
        text = traceback_text(raised(JobError("m"), raised(ValueError("behind it"))))
        assert text is not None
        assert text.splitlines()[-1] == "ValueError: behind it"

    def test_frames_of_the_library(self) -> None:
        """The library's own frames before the job's are left out."""
        names: dict[str, Any] = {"__name__": "bunsui.made.up"}
        exec(compile("def call(function):\n    function()\n", "library.py", "exec"), names)

        def job() -> None:
            raise ValueError("no")

        try:
            names["call"](job)
        except ValueError as error:
            # This test's own frame is what stands before the library's: as if the library began it.
            error.__traceback__ = error.__traceback__.tb_next  # type: ignore[union-attr]
            text = traceback_text(error) or ""
        assert (False, True) == ("library.py" in text, "in job" in text)

    @pytest.mark.parametrize("style", ["keywords", "lambda"])
    def test_arguments_that_do_not_fit(self, style: str) -> None:
        """The message says it: there is no frame of the job's own."""
        call: Any = SimpleNamespace(
            parameters={"y": 1}, idempotency_key="k", session_id="s", job_id="j", attempt=1, environment={},
            deadline=None,
        )  # fmt: skip
        with pytest.raises(TypeError) as caught:
            invoke(lambda: None, style, "job", call)
        # This test's own frame stands before the library's: as if the library began it.
        caught.value.__traceback__ = caught.value.__traceback__.tb_next  # type: ignore[union-attr]
        assert traceback_text(caught.value) is None

    def test_cause_in_the_library(self) -> None:
        """A JobError that the library made of a fault of its own has said it; any other fault has not."""
        names: dict[str, Any] = {"__name__": "bunsui.made.up"}
        exec(compile("def fail():\n    raise OSError('no')\n", "library.py", "exec"), names)
        with pytest.raises(OSError, match="no") as caught:
            names["fail"]()
        caught.value.__traceback__ = caught.value.__traceback__.tb_next  # type: ignore[union-attr]
        assert traceback_text(raised(JobError("m"), caught.value)) is None
        assert "library.py" in (traceback_text(caught.value) or "")

    @pytest.mark.parametrize("error", [Silent(), Leaving()])
    def test_exception_without_text(self, error: Exception) -> None:
        """An exception whose text can't be made has a traceback all the same."""
        assert (traceback_text(raised(error)) or "").startswith("Traceback")
