"""What a runner has for its job types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import field, frozen

if TYPE_CHECKING:
    from random import Random

    from bunsui.aws.connections import Connections
    from bunsui.ports.clock import Clock

__all__ = ["Objects", "Services"]


class Objects(Protocol):
    """Where jobs at AWS find what is too large to be sent along, and leave what they return.

    Such as::

        class Query(bunsui.JobType):
            def for_runner(self, services):
                print(services.objects)  # None: the runner's artifacts are in a folder
                return self
    """

    def put_input(self, session: str, text: str) -> str:
        """Keeps the input of a job, a JSON text, and gives its URL, such as ``s3://bucket/prefix/...``.

        Raises:
            AwsError: it could not be written. It may be put again, so its kind is never ``open``.
        """
        ...

    def read_output(self, url: str) -> Any:
        """What an attempt has left there, up to 64 MiB; None: nothing.

        Raises:
            AwsError: it could not be read.
            JobError: it is no JSON (``OutputNotJson``), or too large (``OutputTooLarge``), or the URL is none
                that `output_url` gives (``OutputElsewhere``).
        """
        ...

    def output_url(self, session: str, name: str) -> str:
        """The URL at which an attempt may leave what it returns; `name` is its own in the session."""
        ...


@frozen
class Services:
    """What a runner has for its job types.

    Such as::

        class Query(bunsui.JobType):
            def __init__(self, services=None):
                self.services = services

            def for_runner(self, services):
                return Query(services)
    """

    #: Calls AWS as the runner was told to.
    aws: Connections
    clock: Clock
    #: For jitter.
    random: Random = field(repr=False)
    #: Where jobs at AWS find large input and leave large output; None: nowhere.
    objects: Objects | None = None
