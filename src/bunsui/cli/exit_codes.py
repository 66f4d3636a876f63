"""The exit codes of commands, and which error has which."""

from __future__ import annotations

from collections.abc import Mapping

from bunsui import errors

#: A session did not succeed, or rests, paused; the command was interrupted.
FAILED, PAUSED, INTERRUPTED = 1, 7, 130
#: AWS does not let the caller do something; it, or something there, is not to be had.
NOT_PERMITTED, UNAVAILABLE = 4, 6
#: What each code says.
MEANINGS: Mapping[int, str] = {
    0: "ok",
    FAILED: "the session did not succeed",
    2: "usage or invalid definition",
    3: "not found",
    NOT_PERMITTED: "not permitted",
    5: "wrong state or conflict",
    UNAVAILABLE: "store or AWS unavailable",
    PAUSED: "paused",
    INTERRUPTED: "interrupted",
}
#: The code of each error; the first class that fits counts.
OF_ERRORS: tuple[tuple[type[errors.BunsuiError], int], ...] = (
    (errors.DefinitionError, 2),
    (errors.ConfigError, 2),
    (errors.PluginError, 2),
    (errors.NotFound, 3),
    (errors.AuthenticationError, 4),
    (errors.PermissionDenied, 4),
    (errors.StateError, 5),
    (errors.Conflict, 5),
    (errors.StoreError, 6),
    (errors.AwsError, 6),
    (errors.AlertNotTaken, 6),
    (errors.BunsuiError, 1),
)


def exit_code(error: errors.BunsuiError) -> int:
    """The exit code of an error."""
    return next(code for cls, code in OF_ERRORS if isinstance(error, cls))
