"""Objects of S3: put where there is none, checked by S3 itself, in parts where they are large.

See "Checking object integrity" and "How to prevent object overwrites with conditional writes" in S3's guide.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any, TypeVar

from attrs import frozen

from bunsui.aws.errors import About, failed_with
from bunsui.aws.place import SCHEME
from bunsui.errors import AwsError

if TYPE_CHECKING:
    from bunsui.aws.connections import Connections

T = TypeVar("T")

#: Bytes of a part. Above it an object is sent in parts, of which S3 takes 10,000.
PART = 16 * 2**20
#: Objects that S3 lists, or removes, with one call, at most.
PAGE = 1000
_CHUNK = 2**20

#: What S3 says of an object that is not there: to HEAD, which has no body, only the status.
_GONE = frozenset({"404", "NoSuchKey"})
#: What it says where there is one that should not be there: to HEAD as above.
_THERE = frozenset({"412", "PreconditionFailed"})
# After a call whose answer was lost, the upload is none any more; with another one on its way, S3 asks for a
# new one ("CompleteMultipartUpload" in its API reference).
_OVER = _THERE | {"NoSuchUpload", "ConditionalRequestConflict"}

#: Makes a call, again where it fails for now.
Steady = Callable[[Callable[[], Any]], Any]


@frozen
class Head:
    """What S3 says of an object without sending it."""

    size: int
    #: Base64 of the SHA-256, as S3 has computed it; of an object in parts that of their sums, with ``-`` and
    #: their number behind it. None: S3 does not know it.
    sha256: str | None


@frozen
class Content:
    """What is to be an object: bytes that have been counted, and their SHA-256."""

    #: Is read from its beginning, by one thread at a time.
    file: IO[bytes]
    size: int
    digest: bytes

    @property
    def is_in_parts(self) -> bool:
        """Whether it is sent in parts."""
        return self.size > PART

    def parts(self) -> Iterator[bytes]:
        """The bytes, in parts."""
        self.file.seek(0)
        while part := self.file.read(PART):
            yield part

    def is_that_of(self, head: Head | None) -> bool:
        """Whether S3 says that an object has this content; not where S3 can't tell."""
        if head is None or head.sha256 is None or head.size != self.size:
            return False
        # Of one that was sent in parts, but not of a copy of it, it is the sum of theirs.
        found = head.sha256.partition("-")[0]
        if found == encoded(self.digest) or not self.is_in_parts:
            return found == encoded(self.digest)
        sums = (hashlib.sha256(part).digest() for part in self.parts())
        return found == encoded(hashlib.sha256(b"".join(sums)).digest())


class Bucket:
    """The objects of a bucket. It repeats nothing.

    Args:
        connections: call AWS.
        name: the bucket's.
    """

    def __init__(self, connections: Connections, name: str) -> None:
        self._connections = connections
        self._name = name

    # Reading

    def get(self, key: str, most: int, *, exactly: bool = False) -> bytes | None:
        """An object, read to its end; None where there is none.

        Args:
            key: its key.
            most: bytes.
            exactly: whether it has to have as many.

        Raises:
            TooLong: it has more, or with `exactly` another number of bytes; it was not read.
            AwsError: it can't be read.
        """

        def use(client: Any) -> bytes:
            answer = client.get_object(Bucket=self._name, Key=key)
            with contextlib.closing(answer["Body"]) as body:
                size = answer["ContentLength"]
                if size > most or (exactly and size != most):
                    raise TooLong(size)
                chunks, left = [], most + 1
                # To its end: only there it shows that the connection has broken off.
                while left > 0 and (chunk := body.read(min(left, _CHUNK))):
                    chunks.append(chunk)
                    left -= len(chunk)
            return b"".join(chunks)

        return _unless_gone(lambda: self._using("GetObject", key, use))

    def head(self, key: str) -> Head | None:
        """What S3 says of an object; None where there is none."""
        parameters = {"Key": key, "ChecksumMode": "ENABLED"}
        answer = _unless_gone(lambda: self._call("HeadObject", key, parameters))
        return None if answer is None else Head(answer["ContentLength"], answer.get("ChecksumSHA256"))

    def listed(self, prefix: str, most: int | None = None) -> Iterator[list[tuple[str, int]]]:
        """Keys that begin with `prefix`, each with the bytes of its object, 1,000 at a time."""
        parameters: dict[str, Any] = {"Prefix": prefix} | ({} if most is None else {"MaxKeys": most})
        while True:
            answer = self._call("ListObjectsV2", prefix, parameters)
            yield [(each["Key"], each["Size"]) for each in answer.get("Contents", ())]
            if most is not None or not answer.get("IsTruncated"):
                return
            parameters["ContinuationToken"] = answer["NextContinuationToken"]

    # Writing

    def put(self, key: str, content: Content, steady: Steady, *, replace: bool = False) -> bool:
        """Makes an object, durably, unless there is one under this key.

        S3 checks what arrives against the SHA-256. In parts, an object is there with all of them or not at
        all; where that fails, the parts are removed.

        Args:
            key: its key.
            content: what it is to hold.
            steady: makes each call, again where that helps.
            replace: makes it also where there is one.

        Returns:
            Whether it was made; if not, there is one.
        """
        condition = {} if replace else {"IfNoneMatch": "*"}
        if content.is_in_parts:
            return self._put_in_parts(key, content, steady, condition)
        parameters = {
            "Key": key,
            "Body": b"".join(content.parts()),
            "ContentType": "application/json",
            "ChecksumAlgorithm": "SHA256",
            "ChecksumSHA256": encoded(content.digest),
            **condition,
        }
        return _unless(_THERE, lambda: steady(lambda: self._call("PutObject", key, parameters)))

    def _put_in_parts(self, key: str, content: Content, steady: Steady, condition: dict[str, Any]) -> bool:
        parameters = {"Key": key, "ContentType": "application/json", "ChecksumAlgorithm": "SHA256"}
        begun = steady(lambda: self._call("CreateMultipartUpload", key, parameters))
        upload = {"Key": key, "UploadId": begun["UploadId"]}
        try:
            parts = [
                self._put_part(upload, number, part, steady)
                for number, part in enumerate(content.parts(), start=1)
            ]
            ends = {**upload, "MultipartUpload": {"Parts": parts}, **condition}

            def complete() -> bool:
                return _unless(_OVER, lambda: self._call("CompleteMultipartUpload", key, ends))

            is_made: bool = steady(complete)
        except BaseException:  # Only to clean up: it goes on.
            self._abort(upload)
            raise
        if not is_made:
            self._abort(upload)
        return is_made

    def _put_part(self, upload: dict[str, Any], number: int, part: bytes, steady: Steady) -> dict[str, Any]:
        checksum = encoded(hashlib.sha256(part).digest())
        parameters = {**upload, "PartNumber": number, "Body": part, "ChecksumSHA256": checksum}
        answer = steady(lambda: self._call("UploadPart", upload["Key"], parameters))
        return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum}

    def _abort(self, upload: dict[str, Any]) -> None:
        # What is left then is removed with the session; see `abort_uploads`.
        with contextlib.suppress(AwsError):
            self._call("AbortMultipartUpload", upload["Key"], upload)

    def copy(self, source: str, target: str) -> str | None:
        """Makes an object of another one's content, up to 5 GB.

        Returns:
            Base64 of the SHA-256 of what was copied, as S3 has computed it; None: S3 does not say.

        Raises:
            AwsError: `NoSuchKey`: there is none; or it can't be copied.
        """
        parameters = {
            "Key": target,
            "CopySource": {"Bucket": self._name, "Key": source},
            "ChecksumAlgorithm": "SHA256",
        }
        answer = self._call("CopyObject", target, parameters)
        checksum: str | None = answer.get("CopyObjectResult", {}).get("ChecksumSHA256")
        return checksum

    # Removing

    def delete(self, keys: Sequence[str]) -> None:
        """Removes up to `PAGE` objects, as far as they are there.

        Raises:
            AwsError: some could not be removed.
        """
        parameters = {"Delete": {"Objects": [{"Key": key} for key in keys], "Quiet": True}}
        answer = self._call("DeleteObjects", keys[0], parameters)
        for wrong in answer.get("Errors", ()):
            about = About("s3", "DeleteObjects", self.url(wrong.get("Key", "")))
            raise failed_with(str(wrong.get("Code")), str(wrong.get("Message", "")), about)

    def abort_uploads(self, prefix: str) -> None:
        """Removes the parts of objects that were never completed, under keys that begin with `prefix`."""
        answer = self._call("ListMultipartUploads", prefix, {"Prefix": prefix})
        for upload in answer.get("Uploads", ()):
            self._abort({"Key": upload["Key"], "UploadId": upload["UploadId"]})

    def url(self, key: str) -> str:
        """The URL of an object."""
        return f"{SCHEME}{self._name}/{key}"

    def _call(self, action: str, key: str, parameters: dict[str, Any]) -> dict[str, Any]:
        return self._connections.call(
            "s3", action, {"Bucket": self._name, **parameters}, resource=self.url(key)
        )

    def _using(self, action: str, key: str, use: Callable[[Any], T]) -> T:
        used: T = self._connections.using("s3", action, use, resource=self.url(key))
        return used


class TooLong(Exception):
    """An object has more bytes than were asked for, or others; these many."""


def encoded(digest: bytes) -> str:
    """A checksum as S3 writes it: in base64."""
    return base64.b64encode(digest).decode()


def _unless_gone(call: Callable[[], T]) -> T | None:
    try:
        return call()
    except AwsError as error:
        if error.code in _GONE:
            return None
        raise


def _unless(codes: frozenset[str], call: Callable[[], Any]) -> bool:
    """Makes a call; whether it did not end with one of these errors."""
    try:
        call()
    except AwsError as error:
        if error.code in codes:
            return False
        raise
    return True
