"""Registered pipelines: a name, its revisions 1, 2, ..., and who is the newest.

A name has one document, its head, which holds the newest revision whole. An update first copies that one
beside it, then replaces the head, if it is still the one that was copied::

    head of "flow"         revision 1        1            2
    flow@1.1                             revision 1   revision 1
                           create        update: copy  ... replace

So there is one write that counts, and what the others leave behind when they are cut off says nothing
else than the head does: the copy of a revision is the same whoever makes it. A deleted name keeps a head
without a revision: its version goes on, so that an update that was under way can't mistake the name's
next registration for the one that it has read.
"""

from __future__ import annotations

import contextlib
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from bunsui.dsl.problems import did_you_mean, quoted
from bunsui.dsl.tree import encodable
from bunsui.errors import ConfigError, Conflict, NotFound, StoreError
from bunsui.model.job import LOCAL_PREFIX
from bunsui.model.times import from_text, to_text
from bunsui.runner.sessions import creation
from bunsui.stores.records import DAMAGED
from bunsui.stores.sessions import kept_definition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bunsui.model.pipeline import Pipeline
    from bunsui.ports.store import Document, Store

#: The kind of the documents that hold the newest revision of a name, by name.
HEAD = "pipeline"
#: The kind of the documents that hold the older ones.
REVISION = "pipeline-revision"
#: The group of all registered names, by name.
ALL = "all"

#: What a revision holds, and of what kind it is.
_KINDS: dict[str, Any] = {
    "registration": int,
    "revision": int,
    "digest": str,
    "base_dir": str | None,
    "created_at": str,
    "updated_at": str,
    "description": str | None,
    "jobs": int,
}
_TIMES = ("created_at", "updated_at")
_NUMBERED = re.compile(r"(.+)@([0-9]{1,18})", re.DOTALL)
_DIGITS = re.compile("[0-9]+")
_PAGE = 100


@frozen
class PipelineSummary:
    """A registered pipeline as a listing shows it."""

    name: str
    #: The newest; starts at 1.
    revision: int
    #: Of the newest revision's definition; see `Pipeline.digest`.
    digest: str
    #: When the name was registered.
    created_at: datetime
    #: When the newest revision was.
    updated_at: datetime
    description: str | None
    #: How many the newest revision has.
    jobs: int


def parse_name(text: str) -> tuple[str, int | None]:
    """The name and the revision that ``NAME@REVISION`` means; None where there is only a name."""
    match = _NUMBERED.fullmatch(text)
    return (text, None) if match is None else (match[1], int(match[2]))


def create(store: Store, now: datetime, pipeline: Pipeline) -> Pipeline:
    """Registers a pipeline under its name, and returns it as revision 1.

    Raises:
        Conflict: the name is registered already.
        ConfigError: its name looks like a name with a revision, or only this process can run it.
        StoreError: the store failed.
    """
    _require_registrable(pipeline)
    while True:
        head = _head(store, pipeline.name)
        if head is not None and _is_registered(head):
            raise Conflict(
                f"pipeline '{pipeline.name}' is registered already, with revision {head.value['revision']}",
                hint="update it to make another revision",
            )
        registration = 1 if head is None else head.value["registration"] + 1
        if _replace(store, head, pipeline, registration, 1, to_text(now), to_text(now)):
            return pipeline.at(pipeline.base_dir, 1)


def update(store: Store, now: datetime, pipeline: Pipeline) -> Pipeline:
    """Makes a pipeline the newest revision of its name, and returns it with its number.

    Of two updates at once each gets a number of its own.

    Raises:
        NotFound: the name is not registered.
        ConfigError: only this process can run it.
        StoreError: the store failed.
    """
    _require_registrable(pipeline)
    name = pipeline.name
    while True:
        head = _registered(store, name)
        value = head.value
        # An update that was cut off, or is under way, may have made the same copy.
        with contextlib.suppress(Conflict):
            store.put(REVISION, _key(name, value, value["revision"]), value, if_version=0)
        revision = value["revision"] + 1
        # The wall clock may have been set back.
        updated_at = max(to_text(now), value["updated_at"])
        if _replace(store, head, pipeline, value["registration"], revision, value["created_at"], updated_at):
            return pipeline.at(pipeline.base_dir, revision)


def delete(store: Store, name: str) -> None:
    """Removes a name and all its revisions; sessions, with their definitions, stay.

    Raises:
        NotFound: the name is not registered.
        StoreError: the store failed.
    """
    while True:
        head = _registered(store, name)
        deleted = {"registration": head.value["registration"]}
        try:
            store.put(HEAD, name, deleted, if_version=head.version)
        except Conflict:
            continue
        for key in _older(store, name, head.value):
            store.delete(REVISION, key)
        return


def _older(store: Store, name: str, head: Any) -> Iterator[str]:
    """The keys of a name's older revisions that are there: a damaged head may speak of any number."""
    prefix = _key(name, head, "")
    page = store.find_prefix(REVISION, prefix, _PAGE)
    while page:
        for document in page:
            # Those of a name that begins with this one, an '@' and a number stand among them.
            if document.key.startswith(prefix) and _DIGITS.fullmatch(document.key, len(prefix)):
                yield document.key
        if not page[-1].key.startswith(prefix):
            return
        page = store.find(REVISION, after=page[-1].cursor, limit=_PAGE)


def find(store: Store) -> list[PipelineSummary]:
    """All registered pipelines, by name."""
    found: list[PipelineSummary] = []
    after: str | None = None
    while True:
        page = store.find(HEAD, ALL, after=after, limit=_PAGE)
        found += map(_summary, page)
        if len(page) < _PAGE:
            return found
        after = page[-1].cursor


def get(store: Store, name: str, revision: int | None = None) -> Pipeline:
    """A registered pipeline as it was registered; the newest revision where none is given.

    Raises:
        NotFound: the name is not registered, or has no such revision.
        StoreError: the store failed, or its definition is not there.
    """
    head = _registered(store, name)
    value, newest = head.value, head.value["revision"]
    if revision not in (None, newest):
        older = store.get(REVISION, _key(name, value, revision))
        if older is None:
            raise NotFound(
                f"pipeline '{name}' has no revision {revision}",
                kind="pipeline",
                name=name,
                hint="it has revision 1 only" if newest == 1 else f"it has revisions 1 to {newest}",
            )
        value = _checked(older).value
    whose = f"pipeline '{name}', revision {value['revision']},"
    pipeline, folder = kept_definition(store, value["digest"], whose), value["base_dir"]
    return pipeline.at(None if folder is None else Path(folder), value["revision"])


def _require_registrable(pipeline: Pipeline) -> None:
    name, revision = parse_name(pipeline.name)
    if revision is not None:
        raise ConfigError(
            f"a pipeline named '{pipeline.name}' can't be registered: '@{revision}' at the end of a name"
            f" means revision {revision} of '{name}'",
            hint="rename it",
        )
    for job in pipeline.jobs:
        target = job.options.get("callable")
        if isinstance(target, str) and target.startswith(LOCAL_PREFIX):
            raise ConfigError(
                f"pipeline '{pipeline.name}' can't be registered: job '{job.id}' calls '{target}',"
                " which only this process has",
                hint="put the function into a module",
            )


def _head(store: Store, name: str) -> Document | None:
    head = store.get(HEAD, name)
    return None if head is None else _checked(head)


def _checked(document: Document) -> Document:
    """A head, or an older revision, that is what `_replace` or `delete` wrote.

    Raises:
        StoreError: it is something else.
    """
    value = document.value
    kinds = _KINDS if _is_registered(document) else {"registration": int}
    good = all(isinstance(value.get(name), kind) for name, kind in kinds.items())
    try:
        for name in _TIMES if good and kinds is _KINDS else ():
            from_text(value[name])
    except ValueError:
        good = False
    if not good:
        raise StoreError(
            f"what is registered as pipeline {quoted(document.key)} is damaged", hint=DAMAGED, lasting=True
        )
    return document


def _is_registered(head: Document) -> bool:
    return "revision" in head.value


def _registered(store: Store, name: str) -> Document:
    """The head of a name that is registered; NotFound where it is not."""
    head = _head(store, name) if encodable(name) else None  # What is no text is no name, either.
    if head is None or not _is_registered(head):
        raise NotFound(
            f"there is no pipeline '{name}' in this store",
            kind="pipeline",
            name=name,
            hint=did_you_mean(name, [summary.name for summary in find(store)])
            or "'bunsui pipeline list' shows those that there are",
        )
    return head


def _key(name: str, head: Any, revision: object) -> str:
    """The key of an older revision. A name that was deleted and created again has others than before."""
    return f"{name}@{head['registration']}.{revision}"


def _replace(
    store: Store,
    head: Document | None,
    pipeline: Pipeline,
    registration: int,
    revision: int,
    created_at: str,
    updated_at: str,
) -> bool:
    """Makes `pipeline` the head of its name, unless the head is no longer the one that was read."""
    creation.keep_definition(store, pipeline)
    value = {
        "registration": registration,
        "revision": revision,
        "digest": pipeline.digest,
        # Read from other folders than this process is in.
        "base_dir": None if pipeline.base_dir is None else str(pipeline.base_dir.absolute()),
        "created_at": created_at,
        "updated_at": updated_at,
        "description": pipeline.description,
        "jobs": len(pipeline.jobs),
    }
    version = 0 if head is None else head.version
    try:
        store.put(HEAD, pipeline.name, value, if_version=version, groups=[(ALL, pipeline.name)])
    except Conflict:
        return False
    return True


def _summary(document: Document) -> PipelineSummary:
    value = _checked(document).value
    return PipelineSummary(
        name=document.key,
        revision=value["revision"],
        digest=value["digest"],
        created_at=from_text(value["created_at"]),
        updated_at=from_text(value["updated_at"]),
        description=value["description"],
        jobs=value["jobs"],
    )
