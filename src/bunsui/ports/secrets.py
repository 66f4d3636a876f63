"""Where the values of secrets come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from bunsui.ports.permissions import Unnamed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bunsui.ports.permissions import Permission, Where
    from bunsui.ports.services import Services

__all__ = ["SecretSource"]


class SecretSource(ABC):
    """A place that keeps secrets. Subclass it, and register it with the hook ``bunsui_secret_sources``.

    A configuration names a secret by source and key, such as ``env:DB_PASSWORD``. What is raised here is
    shown by the name of its type alone: its text could hold the value.

    Such as::

        from pathlib import Path

        class Folder(bunsui.SecretSource):
            def get(self, key):
                return (Path("/run/secrets") / key).read_text()

        class Plugin:
            @bunsui.hookimpl
            def bunsui_secret_sources(self):
                return {"folder": Folder()}

        print("folder" in bunsui.Plugins([Plugin()]).secret_sources)  # True
    """

    #: Whether a runner asks for a value once for all jobs of a session, for as long as it drives that, and
    #: forgets it then; it is for sources whose answers take time or money. A failure is not kept.
    kept_for_session: ClassVar[bool] = False

    @abstractmethod
    def get(self, key: str) -> str:
        """The value that `key` has now.

        Called when a job starts that needs it, each time anew unless the source is `kept_for_session`, in a
        thread of that job's own: by several threads at once. It is called by who reads a session's logs, too,
        so that the value is taken out of them.

        Args:
            key: what the configuration says behind the source's name; never empty.

        Raises:
            LookupError: there is no such secret; another attempt would not find it either.
            JobError: as its `retryable` says.
            AwsError: of the kind ``credentials``, where there are none to ask AWS with: the attempt begins
                again once there are some, and the session pauses until then. Of the kind ``refused``: another
                attempt would not be answered either.
            Exception: any other: the source failed for the moment, and another attempt may help.
        """

    def permissions(self, key: str, where: Where) -> Iterable[Permission | Unnamed]:
        """What whoever asks for a secret has to be allowed at AWS; see `bunsui.aws.iam_policy`.

        By default it can't be named. A source that does not call AWS gives nothing. It asks nobody.

        Such as::

            from bunsui.ports.permissions import Permission

            class Table(bunsui.SecretSource):
                def get(self, key):
                    return read_item("secrets", key)

                def permissions(self, key, where):
                    return [Permission(["dynamodb:GetItem"], [where.arn("dynamodb", "table/secrets")])]

        Args:
            key: what the configuration says behind the source's name.
            where: the region and account of the runner.
        """
        del key, where
        return [Unnamed("its source does not say what it calls at AWS")]

    def for_runner(self, services: Services) -> SecretSource:
        """This source as one runner uses it, which calls AWS through that runner's connections.

        Asked once by each runner, for a source that its configuration names; what comes back is asked for
        the values. Where it fails, what needs a secret of the source fails by a `PluginError`.

        Such as::

            class Table(bunsui.SecretSource):
                def __init__(self, aws=None):
                    self.aws = aws

                def get(self, key):
                    item = {"name": {"S": key}}
                    found = self.aws.call("dynamodb", "GetItem", {"TableName": "secrets", "Key": item})
                    return found["Item"]["value"]["S"]

                def for_runner(self, services):
                    return Table(services.aws)

        Args:
            services: what the runner has for what its plugins bring.
        """
        del services
        return self
