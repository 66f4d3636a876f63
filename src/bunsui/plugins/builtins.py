"""What comes with bunsui, named through the same hooks that plugins use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bunsui.errors import ConfigError
from bunsui.ports.hooks import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from bunsui.ports.alerts import AlertChannel
    from bunsui.ports.job_type import JobType
    from bunsui.ports.secrets import SecretSource
    from bunsui.ports.store import Store


@hookimpl
def bunsui_job_types() -> Iterable[JobType]:
    """The built-in job types."""
    from bunsui.jobs.aws_lambda import LambdaJobType
    from bunsui.jobs.batch import BatchJobType
    from bunsui.jobs.custom import CustomJobType
    from bunsui.jobs.ecs import EcsJobType
    from bunsui.jobs.glue import GlueJobType
    from bunsui.jobs.step_function import StepFunctionJobType

    return [
        CustomJobType(),
        LambdaJobType(),
        EcsJobType(),
        StepFunctionJobType(),
        BatchJobType(),
        GlueJobType(),
    ]


@hookimpl
def bunsui_stores() -> Mapping[str, Callable[[str], Store]]:
    """The built-in stores."""
    return {"memory": _memory, "sqlite": _sqlite, "dynamodb": _dynamodb}


@hookimpl
def bunsui_secret_sources() -> Mapping[str, SecretSource]:
    """The built-in secret sources."""
    from bunsui.aws.secret_sources import ParameterStore, SecretsManager
    from bunsui.local.secret_sources import EnvironmentSource, FileSource

    environment = EnvironmentSource()
    return {
        "env": environment,
        "environment": environment,
        "file": FileSource(),
        "secretsmanager": SecretsManager(),
        "ssm": ParameterStore(),
    }


@hookimpl
def bunsui_alert_channels() -> Mapping[str, AlertChannel]:
    """The built-in types of alert channels."""
    from bunsui.monitoring.channels.command import CommandChannel
    from bunsui.monitoring.channels.eventbridge import EventBridgeChannel
    from bunsui.monitoring.channels.log import LogChannel
    from bunsui.monitoring.channels.sns import SnsChannel
    from bunsui.monitoring.channels.webhook import WebhookChannel

    return {
        "command": CommandChannel(),
        "eventbridge": EventBridgeChannel(),
        "log": LogChannel(),
        "sns": SnsChannel(),
        "webhook": WebhookChannel(),
    }


def _memory(url: str) -> Store:
    from bunsui.stores.memory import MemoryStore

    if url != "memory://":
        raise ConfigError(f"store '{url}': a memory store has no name", hint="write memory://")
    return MemoryStore()


def _dynamodb(url: str) -> Store:
    from bunsui.stores.dynamodb import DynamoDbStore

    return DynamoDbStore(url)


def _sqlite(url: str) -> Store:
    """As SQLAlchemy reads it: three slashes and a relative path, or four for an absolute one."""
    from bunsui.stores.sqlite import SqliteStore
    from bunsui.stores.urls import sqlite_path

    path = sqlite_path(url)
    if path is None:
        raise ConfigError(f"store '{url}' is not of the form sqlite:///relative.db or sqlite:////absolute.db")
    return SqliteStore(path)
