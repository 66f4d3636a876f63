"""Where the values of secrets come from."""

from __future__ import annotations

from abc import ABC, abstractmethod

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

    @abstractmethod
    def get(self, key: str) -> str:
        """The value that `key` has now.

        Called when a job starts that needs it, each time anew, in a thread of that job's own: by several
        threads at once.

        Args:
            key: what the configuration says behind the source's name; never empty.

        Raises:
            LookupError: there is no such secret; another attempt would not find it either.
            JobError: as its `retryable` says.
            Exception: any other: the source failed for the moment, and another attempt may help.
        """
