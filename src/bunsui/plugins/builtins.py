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
    from bunsui.jobs.aws_lambda import LambdaJobType  # noqa: PLC0415
    from bunsui.jobs.batch import BatchJobType  # noqa: PLC0415
    from bunsui.jobs.custom import CustomJobType  # noqa: PLC0415
    from bunsui.jobs.ecs import EcsJobType  # noqa: PLC0415
    from bunsui.jobs.glue import GlueJobType  # noqa: PLC0415
    from bunsui.jobs.step_function import StepFunctionJobType  # noqa: PLC0415

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
    from bunsui.aws.secret_sources import ParameterStore, SecretsManager  # noqa: PLC0415
    from bunsui.local.secret_sources import EnvironmentSource, FileSource  # noqa: PLC0415

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
    from bunsui.monitoring.channels.command import CommandChannel  # noqa: PLC0415
    from bunsui.monitoring.channels.eventbridge import EventBridgeChannel  # noqa: PLC0415
    from bunsui.monitoring.channels.log import LogChannel  # noqa: PLC0415
    from bunsui.monitoring.channels.sns import SnsChannel  # noqa: PLC0415
    from bunsui.monitoring.channels.webhook import WebhookChannel  # noqa: PLC0415

    return {
        "command": CommandChannel(),
        "eventbridge": EventBridgeChannel(),
        "log": LogChannel(),
        "sns": SnsChannel(),
        "webhook": WebhookChannel(),
    }


def _memory(url: str) -> Store:
    from bunsui.stores.memory import MemoryStore  # noqa: PLC0415

    if url != "memory://":
        raise ConfigError(f"store '{url}': a memory store has no name", hint="write memory://")
    return MemoryStore()


def _dynamodb(url: str) -> Store:
    from bunsui.stores.dynamodb import DynamoDbStore  # noqa: PLC0415

    return DynamoDbStore(url)


def _sqlite(url: str) -> Store:
    """As SQLAlchemy reads it: three slashes and a relative path, or four for an absolute one."""
    from bunsui.stores.sqlite import SqliteStore  # noqa: PLC0415
    from bunsui.stores.urls import sqlite_path  # noqa: PLC0415

    path = sqlite_path(url)
    if path is None:
        raise ConfigError(f"store '{url}' is not of the form sqlite:///relative.db or sqlite:////absolute.db")
    return SqliteStore(path)
