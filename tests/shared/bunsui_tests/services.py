"""A service that jobs run at, and the plugin that brings it."""

from __future__ import annotations

from typing import Any

import bunsui
from bunsui.ports.remote import NeverRan, RemoteJobType


class Service(RemoteJobType):
    """Jobs of the type ``service``; what their work comes to, subclasses say in ``outcome``."""

    name = "service"
    schema = {"type": "object"}
    poll_interval = 0.01

    def submit(self, call: Any) -> Any:
        return "handle"

    def poll(self, handles: Any) -> Any:
        return [self.outcome(handle) for handle in handles]

    def outcome(self, handle: Any) -> Any:
        raise NotImplementedError

    def cancel(self, handle: Any) -> None:
        raise AssertionError("nobody is to stop it")

    def find(self, call: Any) -> Any:
        return NeverRan()


class ServicePlugin:
    """Brings a service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    @bunsui.hookimpl
    def bunsui_job_types(self) -> list[Any]:
        return [self._service]
