"""What code of a test has raised, deep in a runner, that the test itself is to end with."""

from __future__ import annotations

import sys


class Escaped:
    """Keeps what is about the test, not about a job: such an exception can't be only a job's failure.

    That is a failed assertion, what `pytest.fail`, `pytest.skip` and `pytest.exit` raise, and Ctrl-C. Any
    thread may use it.
    """

    def __init__(self) -> None:
        self._kept: list[BaseException] = []

    def notice(self, error: BaseException) -> None:
        """Keeps an exception if it is about the test."""
        if _is_about_the_test(error):
            self.keep(error)

    def keep(self, error: BaseException) -> None:
        """Keeps an exception in any case."""
        self._kept.append(error)

    def forget(self) -> None:
        """Lets go of what it has kept."""
        self._kept.clear()

    def raise_first(self) -> None:
        """Raises the first that it has kept, and lets go of all.

        Raises:
            BaseException: such as an AssertionError.
        """
        if self._kept:
            error = self._kept[0]
            self._kept.clear()
            raise error


def _is_about_the_test(error: BaseException) -> bool:
    if not isinstance(error, Exception):
        # What ends a thread or a task elsewhere is a job's failure; what is left is Ctrl-C, and pytest's.
        return type(error).__name__ not in ("SystemExit", "CancelledError", "GeneratorExit")
    # Where pytest has not been imported, nobody has called `pytest.exit`, whose exception is an ordinary one.
    pytest = sys.modules.get("pytest")
    leaving = () if pytest is None else (pytest.exit.Exception,)
    return isinstance(error, (AssertionError, *leaving))
