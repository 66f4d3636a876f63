"""Which pipeline ``NAME[@REVISION]|FILE`` means."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bunsui.cli.options import registered
from bunsui.dsl.problems import quoted
from bunsui.errors import ConfigError, NotFound

if TYPE_CHECKING:
    from bunsui.model.pipeline import Pipeline
    from bunsui.runner.runner import Runner


def pipeline_of(runner: Runner, text: str) -> Pipeline:
    """The pipeline in a file, or the registered one; with ``./`` before it, or as an absolute path, a file.

    Raises:
        NotFound: there is neither.
        ConfigError: there are both.
        DefinitionError: the file's definition is wrong.
    """
    is_file = os.path.isfile(text)  # noqa: PTH113 - false, and no error, also for what can't be a path
    if os.path.isabs(text) or text.startswith((f".{os.sep}", f"..{os.sep}")):  # noqa: PTH117 - as above
        return runner.load(text)
    try:
        found = registered(runner, text)
    except NotFound as error:
        if is_file:
            return runner.load(text)
        raise NotFound(
            f"there is no file {quoted(text)}, and {error.message}",
            kind="pipeline",
            name=text,
            hint=error.hint,
        ) from error
    if is_file:
        raise ConfigError(
            f"{quoted(text)} is both a file here and a registered pipeline",
            hint=f"the file is './{text}'; for the other, give its revision ('{found.name}@{found.revision}')"
            " or run this in another folder",
        )
    return found
