"""What lies beside a store: the logs of its jobs, and their large outputs."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from attrs import frozen

from bunsui.aws.connections import Connections
from bunsui.aws.s3 import PAGE
from bunsui.diagnosis.check import Check, Status, failed, ok, problem, warning
from bunsui.diagnosis.sizes import in_bytes
from bunsui.errors import AwsError, ConfigError, NotFound, StoreError
from bunsui.model.artifact import Artifact
from bunsui.runner.assembly import artifacts_of
from bunsui.runner.attempts.artifact_bucket import S3Artifacts
from bunsui.runner.attempts.artifact_folder import FolderArtifacts
from bunsui.runner.clock import SystemClock
from bunsui.runner.log_places import cloud_of, folder_of
from bunsui.runner.sessions import index, reading
from bunsui.stores.access import may_write
from bunsui.stores.memory import MemoryStore

if TYPE_CHECKING:
    from bunsui.aws.settings import AwsSettings
    from bunsui.logging.cloudwatch.logs import CloudLogs
    from bunsui.ports.store import Store
    from bunsui.runner.attempts.artifacts import Artifacts

#: Files whose sizes are added up, at most.
MOST_FILES = 100_000
#: The newest sessions whose artifacts are looked for, and seconds that this may take.
NEWEST, SECONDS = 20, 5.0
#: Bytes of artifacts that are read.
MOST_READ = 64 * 1024 * 1024

#: What a disk, or a user's share of one, says that takes no more.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_CONTENT = "artifacts' content"
_RESTORE = "restore the file from a backup"
_Name = Literal["logs", "artifacts"]
_UNTIL = {
    "logs": "commands fail, and all else runs without logs, until it can be",
    "group": "all runs without logs, until it can be",
    "artifacts": "a job with a large output fails until it can be",
}


def beside(
    store: Store, given: str | None = None, aws: AwsSettings | None = None, logs: str | None = None
) -> Iterator[Check]:
    """Where logs and artifacts lie, and whether the newest sessions' artifacts are there.

    Logs that are gone with their runner are not looked at.

    Args:
        store: can be read.
        given: the configured place of artifacts; None: beside the store, if that is a file.
        aws: as whom, and where, AWS is called, for a place on S3 and for CloudWatch Logs.
        logs: the configured place of logs; None: as the store has it.
    """
    yield from _logs(store, logs, aws)
    connections = Connections(aws)
    try:
        yield from _artifacts(store, given, connections)
    finally:
        connections.close()


def _logs(store: Store, given: str | None, aws: AwsSettings | None) -> Iterator[Check]:
    try:
        place, cloud = folder_of(given, store.path), cloud_of(given, store, aws, SystemClock())
    except ConfigError as error:
        yield failed("logs", error, "name another place with: bunsui config set --user logs PLACE")
        return
    if cloud is not None:
        yield group(cloud)
    elif place is not None:
        yield folder("logs", place)
    elif not isinstance(store, MemoryStore):  # Of that nothing outlives the runner.
        yield ok("logs", "they are kept for as long as the runner is: neither a folder nor a group is named")


def group(cloud: CloudLogs) -> Check:
    """Whether a group of CloudWatch Logs can be asked for its streams. Nothing is written there."""
    where = f"group {cloud.group.name} of CloudWatch Logs"
    try:
        is_there = cloud.is_there()
    except AwsError as error:
        return failed("logs", error, f"see to the group, or name another place: {_UNTIL['group']}")
    return ok("logs", f"{where} can be asked" if is_there else f"{where} is made with the first record")


def _artifacts(store: Store, given: str | None, connections: Connections) -> Iterator[Check]:
    try:
        artifacts = artifacts_of(given, store.path, connections)
    except ConfigError as error:
        yield failed(
            "artifacts", error, "name another folder with: bunsui config set --user artifacts FOLDER"
        )
        return
    if artifacts is None:
        return
    if isinstance(artifacts, FolderArtifacts):
        yield folder("artifacts", artifacts.folder)
    elif isinstance(artifacts, S3Artifacts):
        found = bucket(artifacts)
        yield found
        if found.status is not Status.OK:
            return  # The same would be said of each artifact.
    try:
        yield named_artifacts(store, artifacts)
    except StoreError as error:
        yield failed(_CONTENT, error, "restore the store from a backup")


def bucket(artifacts: S3Artifacts) -> Check:
    """Whether a place on S3 can be listed, and what it holds. Nothing is written there."""
    try:
        found = artifacts.first()
    except AwsError as error:
        return failed("artifacts", error, f"see to the bucket: {_UNTIL['artifacts']}")
    text = f"{artifacts.place} can be listed, and has {in_bytes(sum(size for _, size in found))}"
    more = "" if len(found) < PAGE else "; no further ones were counted"
    return ok("artifacts", f"{text} in {len(found)} objects{more}")


def folder(name: _Name, place: Path, most: int = MOST_FILES) -> Check:
    """Whether a folder, or the one that it will be made in, can be written, by whom, and what it holds.

    Args:
        name: what lies in it.
        place: the folder; it need not exist.
        most: files that are looked at, at most.
    """
    move = f"move away what is there: {_UNTIL[name]}"
    give = f"run as a user who may, or give the right with chmod or chown: {_UNTIL[name]}"
    try:
        if not place.exists():
            if place.is_symlink():
                return problem(name, f"{place} is a link to what is not there", move)
            if not may_write(place.parent):
                return problem(name, f"{place} is not there, and this user may not make it", give)
            return ok(name, f"{place} is not there yet: it is made with the first of them")
        if not place.is_dir():
            return problem(name, f"{place} is no folder", move)
        # Written, as nothing else tells; on Linux a file without a name, so nobody ever sees it.
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"x" * 4096)
            file.flush()
        mode = place.stat().st_mode
    except OSError as error:
        room = f"make room on the disk, such as with bunsui session prune: {_UNTIL[name]}"
        return problem(
            name, f"{place} can't be written: {error.strerror}", room if error.errno in _FULL else give
        )
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        return warning(name, f"every user may write the folder {place}", f"chmod o-w '{place}'")
    found = _weigh(place, most)
    text = f"{place} can be written, and has {in_bytes(found.size)} in {found.files} files"
    if found.closed:
        return warning(
            name,
            f"{text}; {found.closed} folders in it may not be looked at by this user",
            "run all that use the store as one user: others can't read those sessions' " + name,
        )
    return ok(name, text if found.files < most else f"{text}; no further ones were counted")


@frozen
class _Weight:
    """What a folder holds, and how many folders in it can't be looked at."""

    size: int
    files: int
    closed: int


def _weigh(place: Path, most: int) -> _Weight:
    """Adds up the files in a folder and those below it, `most` at most; links are not followed."""
    size = files = closed = 0
    left = [os.fspath(place)]
    while left and files < most:
        try:
            with os.scandir(left.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        left.append(entry.path)
                    elif files < most:
                        with contextlib.suppress(FileNotFoundError):  # A file of a process that has ended.
                            size += entry.stat(follow_symlinks=False).st_size
                            files += 1
        except FileNotFoundError:  # Its session is pruned just now.
            continue
        except OSError:
            closed += 1
    return _Weight(size, files, closed)


def named_artifacts(
    store: Store, artifacts: Artifacts, seconds: float = SECONDS, most_read: int = MOST_READ
) -> Check:
    """Whether the artifacts that the histories of the newest sessions name are there, and whole.

    Args:
        store: has the histories.
        artifacts: where they should lie.
        seconds: after which nothing further is looked at.
        most_read: bytes that are read; of further ones only the size is looked at.

    Raises:
        StoreError: a history can't be read.
    """
    deadline = time.monotonic() + seconds
    sessions = read = looked_at = 0
    for summary in index.find(store, None, None, NEWEST, None):
        session = summary.session_id
        sessions += 1
        for artifact in _named(store, session):
            whole = artifact.size <= most_read
            wrong = _wrong(artifacts, session, artifact, whole=whole)
            if wrong is not None and store.get(index.KIND, session) is None:
                break  # It was pruned just now.
            if wrong is not None:
                return wrong
            looked_at += 1
            if whole:
                most_read -= artifact.size
                read += 1
            if time.monotonic() > deadline:  # On S3 each is a call.
                break
        if time.monotonic() > deadline:
            break
    return ok(
        _CONTENT,
        f"the newest {sessions} sessions name {looked_at}, and all are there; {read} of them were read, and"
        " are whole",
    )


def _named(store: Store, session: str) -> Iterator[Artifact]:
    """The artifacts that a history names, each once."""
    seen: set[Artifact] = set()
    for _, events in reading.history(store, session):
        for event in events:
            for output in (getattr(event, "output", None), getattr(event, "outputs", None)):
                if isinstance(output, Artifact) and output not in seen:
                    seen.add(output)
                    yield output


def _wrong(artifacts: Artifacts, session: str, artifact: Artifact, *, whole: bool) -> Check | None:
    """What is wrong with an artifact, which is read for that, or only looked at; None: nothing is."""
    if not whole and artifacts.wrong(session, artifact) is None:
        return None
    try:  # Reading it says more.
        artifacts.get(session, artifact)
    except NotFound as error:
        elsewhere = "unless a program keeps them elsewhere, with Runner(artifacts=...)"
        return warning(_CONTENT, f"{error.message}, {elsewhere}", error.hint or _RESTORE)
    except StoreError as error:
        return failed(_CONTENT, error, _RESTORE)
    return None
