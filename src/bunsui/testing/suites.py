"""What the suites have in common: tests that a flag switches off, and what a missing fixture says."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import NoReturn, ParamSpec

import pytest

_Arguments = ParamSpec("_Arguments")


def needs(*names: str) -> Callable[[Callable[_Arguments, None]], Callable[_Arguments, None]]:
    """Skips a test of a suite where one of these attributes is False, None or empty, and names it.

    It looks after the fixtures were made: they may set examples that are known only then.
    """

    def decorate(test: Callable[_Arguments, None]) -> Callable[_Arguments, None]:
        @wraps(test)
        def or_skip(*arguments: _Arguments.args, **fixtures: _Arguments.kwargs) -> None:
            for name in names:
                value = getattr(arguments[0], name)
                if value is None or value is False or (isinstance(value, list | tuple) and not value):
                    pytest.skip(f"{name} is {value!r}")
            test(*arguments, **fixtures)

        return or_skip

    return decorate


def missing(suite: object, fixture: str, example: str) -> NoReturn:
    """Fails a test of a suite that was not given its fixture, and shows what to write.

    Args:
        suite: the instance of the derived class.
        fixture: the fixture's name.
        example: the lines of its body.
    """
    body = "\n".join(f"        {line}" for line in example.splitlines())
    pytest.fail(
        f"{type(suite).__name__} does not say what it tests: give it a fixture '{fixture}', such as\n\n"
        f"    @pytest.fixture\n    def {fixture}(self, tmp_path):\n{body}\n",
        pytrace=False,
    )
