"""The registered pipelines of a store, as a `Runner` offers them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from bunsui.model.pipeline import Pipeline
    from bunsui.ports.store import Store
    from bunsui.runner.registered import PipelineSummary


class Register(ABC):
    """The part of a `Runner` that keeps pipelines in its store, under their names and with revisions."""

    @property
    @abstractmethod
    def store(self) -> Store:
        """Where everything durable lives."""

    @abstractmethod
    def _check(self, pipeline: Pipeline) -> None:
        """Makes sure that a pipeline can run here."""

    @abstractmethod
    def _require_open(self) -> None:
        """Raises StateError where the Runner is not to write anything (any more)."""

    @abstractmethod
    def _now(self) -> datetime:
        """The time of the runner's clock."""

    def create_pipeline(self, pipeline: Pipeline) -> Pipeline:
        """Registers a pipeline under its name, and returns it as revision 1.

        Such as::

            print(runner.create_pipeline(pipeline).revision)  # 1

        Raises:
            DefinitionError: it is wrong; nothing was written.
            Conflict: the name is registered already.
            ConfigError: its name ends like ``@3``, or a job of it exists in this process only.
            StateError: this runner is closed.
            StoreError: the store failed.
        """
        from bunsui.runner import registered

        self._require_open()
        self._check(pipeline)
        return registered.create(self.store, self._now(), pipeline)

    def update_pipeline(self, pipeline: Pipeline) -> Pipeline:
        """Makes a pipeline the next revision of its name, and returns it with its number.

        Such as::

            runner.create_pipeline(pipeline)
            print(runner.update_pipeline(pipeline).revision)  # 2

        Raises:
            DefinitionError: it is wrong; nothing was written.
            NotFound: the name is not registered.
            ConfigError: a job of it exists in this process only.
            StateError: this runner is closed.
            StoreError: the store failed.
        """
        from bunsui.runner import registered

        self._require_open()
        self._check(pipeline)
        return registered.update(self.store, self._now(), pipeline)

    def delete_pipeline(self, name: str) -> None:
        """Removes a registered pipeline with all its revisions; its sessions stay, and can be resumed.

        Such as::

            runner.create_pipeline(pipeline)
            runner.delete_pipeline("ETL Pipeline")
            print(runner.pipelines())  # []

        Raises:
            NotFound: the name is not registered.
            StateError: this runner is closed.
            StoreError: the store failed.
        """
        from bunsui.runner import registered

        self._require_open()
        registered.delete(self.store, name)

    def pipelines(self) -> list[PipelineSummary]:
        """All registered pipelines, by name.

        Such as::

            runner.create_pipeline(pipeline)
            print([(known.name, known.revision) for known in runner.pipelines()])  # [('ETL Pipeline', 1)]

        Raises:
            StoreError: the store can't be read.
        """
        from bunsui.runner import registered

        return registered.find(self.store)

    def pipeline(self, name: str, revision: int | None = None) -> Pipeline:
        """A registered pipeline, ready to be run; the newest revision where none is given.

        Such as::

            runner.create_pipeline(pipeline)
            registered = runner.pipeline("ETL Pipeline")
            print(registered == pipeline, runner.run(registered).status)  # True succeeded

        Raises:
            NotFound: the name is not registered, or has no such revision.
            StoreError: the store failed.
        """
        from bunsui.runner import registered

        return registered.get(self.store, name, revision)
