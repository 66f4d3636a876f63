"""The configuration files: where they are, whether they can be trusted, and what stands in which line."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from bunsui.configuration.keys import KEYS
from bunsui.configuration.origins import Source
from bunsui.configuration.user_folders import user_folder
from bunsui.dsl.problems import printable
from bunsui.errors import ConfigError

#: The name of a project's file.
PROJECT_FILE = "bunsui.toml"
#: The variable that names the user's file.
USER_FILE_VARIABLE = "BUNSUI_CONFIG"
#: Bytes of a file, and characters of a line: Python's reader takes time by the square of what is nested.
MAX_BYTES, MAX_LINE = 64 * 1024, 4096
_FOREIGN = "it belongs to another user"
#: Lines that one value may take before it is no more said where it begins.
_MAX_VALUE_LINES = 200


@frozen
class ConfigFile:
    """A file that was read."""

    path: Path
    source: Source
    #: What stands in it, as it stands there.
    data: Mapping[str, Any]
    #: The line of each key, and of each entry of a table under its dotted name.
    lines: Mapping[str, int]

    def where(self, key: str) -> str:
        """The place of a key, for the beginning of an error."""
        line = self.lines.get(key)
        return f"{self.path}{'' if line is None else f':{line}'}: "


def expanded(text: str | Path) -> Path:
    """A path with the user's folder in place of ``~``; of a user that there is not, as a shell, as it is."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - Path.expanduser raises there


def user_path(environ: Mapping[str, str]) -> Path | None:
    """Where the user's file is, or would be: BUNSUI_CONFIG, else in his folder for configurations.

    Returns:
        None: he has no home folder, as in a container with a user id of its own.
    """
    named = environ.get(USER_FILE_VARIABLE)
    if named:
        return expanded(named).absolute()
    folder = user_folder("config")
    return None if folder is None else folder / "config.toml"


def project_paths(folder: Path | None) -> Iterator[Path]:
    """The project files from a folder upwards, the nearest first, whether they can be trusted or not.

    The search ends with the user's home where it comes by there, else with the root.

    Args:
        folder: None: the current one; where that was removed, there is no project.
    """
    try:
        start = (folder or Path.cwd()).absolute()
        home = os.path.expanduser("~")  # noqa: PTH111 - Path.home raises where nobody has one
    except OSError:
        return
    for place in (start, *start.parents):
        path = place / PROJECT_FILE
        if os.path.lexists(path):
            yield path
        if str(place) == home:
            return


def read(path: Path, source: Source) -> ConfigFile | str:
    """The file at `path`, or why it can't be trusted: then it is not read.

    Raises:
        ConfigError: it can be trusted, but not read; or it is not TOML.
        FileNotFoundError: it is not there.
    """
    try:
        # Also of the symbolic link that leads to it, and before it is opened: others may not read it.
        if not _is_owner(path.lstat(), source):
            return _FOREIGN
        # Without waiting for whoever would write to a FIFO.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path.
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{printable(str(path))} can't be read: {reason}") from error
    try:
        if (reason := _distrust(os.fstat(descriptor), source)) is not None:
            return reason
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    return parse(content, path, source)


def _is_owner(about: os.stat_result, source: Source) -> bool:
    if not hasattr(os, "geteuid"):
        return True  # Windows keeps these rights elsewhere.
    # The superuser can do everything anyway; he may hand out the file that BUNSUI_CONFIG names.
    return about.st_uid == os.geteuid() or (source is Source.USER and about.st_uid == 0)


def _distrust(about: os.stat_result, source: Source) -> str | None:
    """Why a file that was opened is not read."""
    if not stat.S_ISREG(about.st_mode):
        return "it is not a regular file"
    if not _is_owner(about, source):
        return _FOREIGN
    if about.st_mode & stat.S_IWOTH or (about.st_mode & stat.S_IWGRP and not _is_own_group(about.st_gid)):
        return "other users may write it" if hasattr(os, "geteuid") else None
    return None


def _is_own_group(gid: int) -> bool:
    """Whether a group is the one that a user has for himself, as many systems make one for each user."""
    import grp  # noqa: PLC0415 - rarely needed
    import pwd  # noqa: PLC0415 - see above

    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    return user.pw_gid == gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}


def parse(content: bytes, path: Path, source: Source) -> ConfigFile:
    """A file from its bytes.

    Raises:
        ConfigError: it is not TOML, or too large.
    """
    import tomllib  # noqa: PLC0415 - only where there is a file

    if len(content) > MAX_BYTES:
        raise ConfigError(f"{path} has more than {MAX_BYTES} bytes", hint="a configuration is a short file")
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: it is not UTF-8") from None
    for number, line_text in enumerate(text.split("\n"), 1):
        if len(line_text) > MAX_LINE:
            raise ConfigError(f"{path}:{number}: the line has more than {MAX_LINE} characters")
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise _not_toml(path, text, error) from None  # Its context could show what stands there.
    return ConfigFile(path, source, data, _lines(text))


def _not_toml(path: Path, text: str, error: Exception) -> ConfigError:
    import re  # noqa: PLC0415 - only in errors

    message = str(error) if not isinstance(error, RecursionError) else "it is nested too deeply"
    found = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    line = "" if found is None else f":{found[1] or text.count(chr(10)) + 1}"
    reason = message if found is None else message[: found.start()]
    return ConfigError(
        f"{path}{line}: it is not TOML: {reason}",
        hint='a line is KEY = VALUE, with text in quotes, such as store = "sqlite:///bunsui.db"',
    )


def _lines(text: str) -> dict[str, int]:
    """The line at which each key, and each entry of a table, is set; `text` is TOML.

    A statement of TOML ends at the first line break at which it is one: what is open, such as a list, can't
    be read by itself.
    """
    found: dict[str, int] = {}
    table: tuple[str, ...] = ()
    pending: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        pending.append(line)
        statement = _statement("\n".join(pending))
        if statement is None:
            if len(pending) > _MAX_VALUE_LINES:
                return found
            continue
        start = number - len(pending) + 1
        is_header = pending[0].lstrip().startswith("[")
        pending = []
        for path in _paths(statement):
            if is_header:
                table = path
            for size in (1, 2):
                if len(name := (path if is_header else (*table, *path))[:size]) == size:
                    found.setdefault(".".join(name), start)
    return found


def _statement(text: str) -> Mapping[str, Any] | None:
    import tomllib  # noqa: PLC0415 - only where there is a file

    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return None


def _paths(data: Any) -> Iterator[tuple[str, ...]]:
    """The paths to the leaves of what a statement sets, to a depth of 2."""
    for name, value in data.items():
        inner = value[0] if isinstance(value, list) and value and isinstance(value[0], dict) else value
        if isinstance(inner, dict) and inner:
            for rest in inner:
                yield (name, rest)
        else:
            yield (name,)


def flat(file: ConfigFile) -> Iterator[tuple[str, Any]]:
    """What stands in a file: a key and its value, of a table each entry under its dotted name."""
    for key, value in file.data.items():
        if isinstance(value, Mapping) and "additionalProperties" in KEYS.get(key, {}):
            yield from ((f"{key}.{name}", item) for name, item in value.items())
        else:
            yield key, value
