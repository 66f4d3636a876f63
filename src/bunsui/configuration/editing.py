"""Changes to a configuration file, which keep its comments and its layout."""

from __future__ import annotations

import contextlib
import os
import stat
import time
import tomllib
import uuid
from collections.abc import Callable, Iterator, MutableMapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from bunsui.configuration import files
from bunsui.configuration.checking import parsed
from bunsui.configuration.config import setting
from bunsui.configuration.keys import HIDDEN, example, schema_of
from bunsui.configuration.origins import Origin, Source
from bunsui.dsl.problems import quoted
from bunsui.errors import ConfigError, NotFound

try:
    import fcntl
except ImportError:  # Windows has no flock; there two changes at once may lose one.
    fcntl = None  # type: ignore[assignment]

#: Seconds to wait for another process's change.
LOCK_TIMEOUT = 10.0


def set_value(path: Path, source: Source, key: str, text: str) -> None:
    """Sets a key in a file, which is made where there is none.

    Args:
        path: the file.
        source: `Source.USER` or `Source.PROJECT`, whose file it is.
        key: the key, or the dotted name of an entry of a table.
        text: the value: a text as it is, a number, ``true`` or ``false``, all else as JSON.

    Raises:
        ConfigError: the key or the value is wrong, the key may not stand in such a file, or the file can't be
            read or written.
    """
    schema = schema_of(key)
    value = parsed(text, schema)
    try:
        setting(key, value, "", Origin(source, path))
    except ConfigError as error:
        if error.hint is not None:
            raise
        shown = " ".join([*(["--user"] if source is Source.USER else []), *example(key)])
        raise ConfigError(error.message, hint=f"try: bunsui config set {shown}") from None

    def change(document: MutableMapping[str, Any]) -> None:
        name, dot, entry = key.partition(".")
        if dot:
            table = document.setdefault(name, type(document)() if isinstance(document, dict) else {})
            table[entry] = value
        else:
            document[name] = value

    _change(path, source, change, hidden=key.partition(".")[0] in HIDDEN)


def unset(path: Path, source: Source, key: str) -> None:
    """Removes a key from a file; also one that is none, so that a file can be mended.

    Raises:
        NotFound: it is not set there.
        ConfigError: the file can't be read or written.
    """

    def change(document: MutableMapping[str, Any]) -> None:
        name, dot, entry = key.partition(".")
        if key in document:
            del document[key]
        elif dot and isinstance(document.get(name), MutableMapping) and entry in document[name]:
            del document[name][entry]
        else:
            raise NotFound(f"{quoted(key)} is not set in {path}", kind="key", name=key)

    if not path.exists():
        raise NotFound(f"{quoted(key)} is not set: there is no file {path}", kind="key", name=key)
    _change(path, source, change, hidden=True)


def _change(
    path: Path, source: Source, change: Callable[[MutableMapping[str, Any]], None], *, hidden: bool
) -> None:
    if source is Source.PROJECT and path.is_symlink() and not path.exists():
        # What comes with a project must not choose where a file is made.
        raise ConfigError(f"{path} is a link that leads nowhere", hint="remove it, or make what it leads to")
    # A link is kept: what it leads to is changed.
    real = path.resolve()
    try:
        real.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(real.parent):
            text, mode = _current(path, source)
            document = tomlkit.parse(text)
            expected = deepcopy(tomllib.loads(text))
            change(expected)
            change(document)
            made = tomlkit.dumps(document)
            # TOML has many ways to say one thing: rather no change than one that says another.
            if _read_again(made) != expected:
                raise ConfigError(
                    f"{path} is written in a way that can't be changed here",
                    hint=f"change it in an editor{'' if hidden else '; it is unchanged'}",
                )
            files.parse(made.encode(), path, source)  # Not larger than what is read.
            _replace(real, made, mode, source)
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror}") from error
    except TOMLKitError:
        raise ConfigError(f"{path} can't be changed here", hint="change it in an editor") from None


def _current(path: Path, source: Source) -> tuple[str, int | None]:
    """The text and the mode of a file as it is now; "" and None where there is none.

    Raises:
        ConfigError: it can't be trusted, or is not TOML.
    """
    try:
        found = files.read(path, source)
    except FileNotFoundError:
        return "", None
    if isinstance(found, str):
        raise ConfigError(f"{path} is not changed: {found}")
    content = path.read_bytes().decode("utf-8-sig")
    return content, stat.S_IMODE(path.stat().st_mode)


def _read_again(text: str) -> dict[str, Any] | None:
    with contextlib.suppress(ValueError):
        return tomllib.loads(text)
    return None


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the lock of a folder: the file itself is replaced, and so can't be locked."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + LOCK_TIMEOUT
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ConfigError(
                        f"another process has held the lock of {folder} for {LOCK_TIMEOUT:.0f} seconds",
                        hint="try again",
                    ) from None
                time.sleep(0.01)
            except OSError:
                break  # Some network file systems have no locks of folders.
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str, mode: int | None, source: Source) -> None:
    """Puts a whole file in place, or nothing: a reader sees the old one or the new one."""
    name = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    # Never for a group to write, whatever the umask: such a file may not be read.
    may = 0o600 if source is Source.USER else 0o644
    descriptor = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, may)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(descriptor, mode)
            file.write(text.encode())
            file.flush()
            os.fsync(descriptor)
        name.replace(path)
    except BaseException:  # Only to clean up: it goes on.
        with contextlib.suppress(OSError):
            name.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # The name is durable, too.
    finally:
        os.close(folder)
