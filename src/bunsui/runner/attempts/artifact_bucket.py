"""Artifacts on S3: objects of a bucket, which any runner that may use it finds.

``PREFIX/SESSION/SHA256``, as in a folder. Below ``PREFIX/SESSION/inputs/`` lies what is too large to be sent
to a job along with its call, and below ``outputs/`` what such jobs leave there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from bunsui.aws.connections import Connections
from bunsui.aws.place import Place
from bunsui.aws.s3 import PAGE, PART, Bucket, Content, TooLong, encoded
from bunsui.aws.settings import AwsSettings
from bunsui.errors import AwsError, JobError, StateError
from bunsui.model.artifact import Artifact, Unread
from bunsui.ports.permissions import Permission, Where, literal
from bunsui.runner.attempts.artifacts import Artifacts, Patience, checked, whose_in
from bunsui.runner.clock import SystemClock

T = TypeVar("T")

#: Seconds within which a read is tried again: the driver makes some in its turns, and goes on then.
READ_PATIENCE = 2.0
#: A read that failed after more seconds than this has waited for answers that did not come: that holds up the
#: driver once, and for so many seconds after it nothing is read.
SLOW, REST = 5.0, 10.0
#: Failures after which a call is made again: with what it does, it does no harm twice.
PASSING = ("busy", "open")
#: Bytes above which it is asked for an object before it is sent: a call costs less than that.
LOOK_FIRST = 2**20
#: Most bytes of what a job leaves at its URL.
MOST_OUTPUT = 64 * 2**20
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_OUTPUT = re.compile(r"([A-Za-z0-9_-]{1,128})/outputs/([A-Za-z0-9_-]{1,128})\.json")


class S3Artifacts(Artifacts):
    """Artifacts as objects of a bucket; see also `Objects`.

    Args:
        at: the bucket, and what its keys begin with.
        connections: the runner's. Once they are closed, others are made for each thing that is read: a
            Session outlives its Runner.
    """

    def __init__(self, at: Place, connections: Connections) -> None:
        self._at = at
        self._connections = connections
        self._bucket = Bucket(connections, at.bucket)
        self._clock = SystemClock()
        #: Until when (monotonic) nothing is read.
        self._rests_until = 0.0

    def __reduce__(self) -> tuple[object, ...]:
        settings = self._connections.settings
        names = ("region", "profile", "role", "external_id", "allowed_roles")
        fields = {name: getattr(settings, name) for name in names} | {"endpoints": dict(settings.endpoints)}
        return _remade, (self._at, fields)

    @property
    def place(self) -> str:
        """See `Artifacts.place`."""
        return self._at.url

    @property
    def objects(self) -> S3Artifacts:
        """See `Artifacts.objects`."""
        return self

    def permissions(self, where: Where, *, leaves_output: bool) -> Iterable[Permission]:
        """See `Artifacts.permissions`. Sessions are removed with other permissions, which no run needs."""
        bucket = f"arn:{where.partition}:s3:::{self._at.bucket}"
        objects = f"{bucket}/{literal(self._at.key(''))}*"
        # What an upload that fails has left has to be paid for.
        yield Permission(["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"], [objects])
        if leaves_output:
            # Else S3 says of an object that is not there that it may not be read: "GetObject" in its API
            # reference. A condition on the prefix would not be met by that call.
            yield Permission(["s3:ListBucket"], [bucket])

    def where(self, session: str, artifact: Artifact | None = None) -> str:
        """See `Artifacts.where`."""
        return self._bucket.url(self._key(session, *([] if artifact is None else [artifact.sha256])))

    def _key(self, session: str, *names: str) -> str:
        return self._at.key(checked(session), *names)

    # Writing

    def _write(self, session: str, parts: Iterable[bytes], patience: Patience | None) -> tuple[str, int]:
        checked(session)
        # What it is called follows from all of it, so it is on its way only once all of it is here: up to a
        # part in memory, else in a file that has no name.
        with tempfile.SpooledTemporaryFile(max_size=PART) as file:
            digest, size = hashlib.sha256(), 0
            try:
                for part in parts:
                    size += len(part)
                    digest.update(part)
                    file.write(part)
            except OSError as error:  # It is this machine's disk that is full.
                error.filename = error.filename or tempfile.gettempdir()
                raise
            content = Content(file, size, digest.digest())
            self._store(self._key(session, digest.hexdigest()), content, patience)
        return digest.hexdigest(), size

    def _store(self, key: str, content: Content, patience: Patience | None) -> None:
        """Makes an object of a content, unless it is there already."""

        def steady(call: Callable[[], T]) -> T:
            return self._steadily(call, patience)

        def is_there() -> bool:
            try:
                return content.is_that_of(steady(lambda: self._bucket.head(key)))
            except AwsError as error:
                if error.kind == "refused":  # Who may write may still not be allowed to look.
                    return False
                raise

        if content.size > LOOK_FIRST and is_there():
            return
        # Where there is one of this name, S3 says whether it has this content: if not, it is mended.
        if not self._bucket.put(key, content, steady) and not is_there():
            self._bucket.put(key, content, steady, replace=True)

    def _share(self, artifact: Artifact, source: str, target: str, patience: Patience | None) -> None:
        """The object is copied by S3, which says what it has copied."""
        keys = self._key(source, artifact.sha256), self._key(target, artifact.sha256)
        copied = None
        try:
            copied = self._steadily(lambda: self._bucket.copy(*keys), patience)
        except AwsError as error:
            if error.code == "NoSuchKey":
                raise self._gone(source, artifact, "object") from error
            # A bucket may take nothing but conditional writes, which a copy is not.
            if error.kind != "refused":
                raise
        if copied == encoded(bytes.fromhex(artifact.sha256)):
            return
        # It says nothing, or it is damaged: then that is found here, and nothing of it stays.
        try:
            data = self.read(source, artifact)
        except BaseException:  # Only to clean up: it goes on.
            if copied is not None and source != target:
                with contextlib.suppress(AwsError):
                    self._bucket.delete([keys[1]])
            raise
        self._write(target, [data], patience)

    def _steadily(self, call: Callable[[], T], patience: Patience | None, until: float | None = None) -> T:
        """Makes a call, again where it fails for now: each may be made twice.

        Args:
            call: makes it.
            patience: how long it is made again; None: it is not.
            until: when (monotonic) that ends; None: it begins with the first failure.
        """
        budget = self._connections.budget("s3")
        budget.earn()
        tries = 0
        while True:
            try:
                return call()
            except AwsError as error:
                if patience is None or error.kind not in PASSING:
                    raise
                tries += 1
                until = patience.until() if until is None else until
                if not patience.waits(budget.wait(tries), until):
                    raise

    # Reading

    def _reading(self, call: Callable[[Bucket], T]) -> T:
        """What a call reads; see `connections`."""
        try:
            return call(self._bucket)
        except StateError:  # They are closed.
            connections = Connections(self._connections.settings)
            try:
                return call(Bucket(connections, self._at.bucket))
            finally:
                connections.close()

    def _content(self, session: str, artifact: Artifact) -> bytes | None:
        key = self._key(session, artifact.sha256)
        began = self._clock.monotonic()
        if began < self._rests_until:
            text = f"{whose_in(session, artifact)} can't be read: S3 gave no answer a moment ago"
            raise Unread(text, hint="try again later", passing=True)
        patience = Patience(self._clock, READ_PATIENCE)
        until = patience.until()
        try:
            data = self._reading(
                lambda bucket: self._steadily(
                    lambda: bucket.get(key, artifact.size, exactly=True), patience, until
                )
            )
        except TooLong:
            return None
        except AwsError as error:
            passing = error.kind in PASSING
            if passing and self._clock.monotonic() - began > SLOW:
                self._rests_until = self._clock.monotonic() + REST
            raise Unread(
                f"{whose_in(session, artifact)} can't be read: {error.message}",
                hint="try again later" if passing else error.hint,
                passing=passing,
            ) from error
        if data is None:
            raise self._gone(session, artifact, "object")
        return data

    def wrong(self, session: str, artifact: Artifact) -> str | None:
        """See `Artifacts.wrong`. This is a call."""
        key = self._key(session, artifact.sha256)
        try:
            head = self._reading(lambda bucket: bucket.head(key))
        except AwsError:
            return "can't be read"
        if head is None:
            return "is gone"
        # Of an object in parts S3 has another sum, and not all that speak its language have one.
        is_known = head.sha256 is not None and artifact.size <= PART
        is_same = not is_known or head.sha256 == encoded(bytes.fromhex(artifact.sha256))
        return None if is_same and head.size == artifact.size else "is damaged"

    # Housekeeping

    def tidy(self, session: str) -> None:
        """See `Artifacts.tidy`. A call for that would keep waiting who takes a session over; see `remove`."""
        checked(session)

    def size(self, session: str) -> int:
        """See `Artifacts.size`."""
        pages = self._reading(lambda bucket: list(bucket.listed(self._key(session) + "/")))
        return sum(size for page in pages for _, size in page)

    def first(self) -> list[tuple[str, int]]:
        """Some of what is there, up to 1,000: keys, each with the bytes of its object.

        Raises:
            AwsError: it can't be listed.
        """
        prefix = f"{self._at.prefix}/" if self._at.prefix else ""
        return self._reading(lambda bucket: next(bucket.listed(prefix, PAGE)))

    def remove(self, session: str) -> None:
        """See `Artifacts.remove`: all below ``PREFIX/SESSION/``, and parts of what was never completed."""
        prefix = self._key(session) + "/"
        for page in self._bucket.listed(prefix):
            if page:
                self._bucket.delete([key for key, _ in page])
        try:
            self._bucket.abort_uploads(prefix)
        except AwsError as error:
            if error.kind != "refused":  # Not everybody may look for them, and most buckets clean up.
                raise

    # For jobs at AWS; see `Objects`

    def put_input(self, session: str, text: str) -> str:
        """See `Objects.put_input`."""
        data = text.encode()
        digest = hashlib.sha256(data)
        key = self._key(session, "inputs", digest.hexdigest())
        try:
            with tempfile.SpooledTemporaryFile(max_size=PART) as file:
                file.write(data)
                self._store(key, Content(file, len(data), digest.digest()), None)
        except AwsError as error:
            from bunsui.aws.errors import beforehand  # noqa: PLC0415 - only where something is wrong

            raise beforehand(error) from error.__cause__
        return self._bucket.url(key)

    def output_url(self, session: str, name: str) -> str:
        """See `Objects.output_url`."""
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of an output")
        return self._bucket.url(self._key(session, "outputs", f"{name}.json"))

    def read_output(self, url: str) -> Any:
        """See `Objects.read_output`."""
        begin = f"{self.place}/"
        found = _OUTPUT.fullmatch(url.removeprefix(begin)) if url.startswith(begin) else None
        if found is None:  # What stands in a history leads nowhere else.
            raise JobError(
                f"the output is said to be at {url!r:.200}, which is not below {begin}",
                code="OutputElsewhere",
                retryable=False,
            )
        key = self._key(found[1], "outputs", f"{found[2]}.json")
        try:
            data = self._bucket.get(key, MOST_OUTPUT)
        except TooLong as error:
            raise JobError(
                f"the output at {url} has {error.args[0]:,} bytes; at most {MOST_OUTPUT:,} are read:"
                " return where it is in place of it",
                code="OutputTooLarge",
                retryable=False,
            ) from None
        if data is None:
            return None
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise JobError(
                f"the output at {url} is not JSON: {error}", code="OutputNotJson", retryable=False
            ) from None


def _remade(at: Place, fields: dict[str, Any]) -> S3Artifacts:
    return S3Artifacts(at, Connections(AwsSettings(**fields)))
