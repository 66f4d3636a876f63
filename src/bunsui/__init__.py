"""bunsui (分水): durable data pipelines, embedded in your process.

A pipeline is a DAG of jobs, declared in YAML, JSON or Python. A `Runner` runs it; each run is a `Session`
with a durable history::

    import bunsui

    pipeline = bunsui.Pipeline.load("pipeline.yaml")
    with bunsui.Runner() as runner:
        session = runner.run(pipeline, {"source_bucket": "flights"})
    print(session.status, session.outputs["load_data"])  # succeeded 3

In the examples of all docstrings, ``pipeline`` is this one, ``runner`` a Runner, and ``session`` what was
just run; what stands behind a ``print`` is what it prints.

Importing this package starts, configures and opens nothing; its names are loaded when they are used.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from bunsui import aws as aws
    from bunsui import logging as logging
    from bunsui.configuration.config import Config
    from bunsui.dsl.problems import Problem
    from bunsui.errors import (
        AlertNotTaken,
        AuthenticationError,
        AwsError,
        BunsuiError,
        ConfigError,
        Conflict,
        DefinitionError,
        JobCancelled,
        JobError,
        JobLost,
        JobTimeout,
        NotFound,
        OutcomeUnknown,
        PermissionDenied,
        PluginError,
        SecretInOutput,
        SessionFailed,
        StateError,
        StoreError,
    )
    from bunsui.model.alerts import AlertRule
    from bunsui.model.log import LogRecord
    from bunsui.model.pipeline import CachePolicy, Job, Parameter, Pipeline, RetryPolicy
    from bunsui.model.plan import Plan, PlannedJob
    from bunsui.model.session import Attempt, Failure, JobState, SessionState
    from bunsui.model.status import JobStatus, SessionStatus
    from bunsui.performance.cache import CacheManager
    from bunsui.plugins.registry import Plugins
    from bunsui.ports.alerts import Alert, AlertChannel
    from bunsui.ports.hooks import hookimpl, hookspec
    from bunsui.ports.job_type import JobCall, JobType, current_call
    from bunsui.ports.remote import (
        CannotTell,
        Failed,
        Found,
        NeverRan,
        RemoteJobType,
        Running,
        Succeeded,
    )
    from bunsui.ports.remote_log import LogLine, LogPage, RemoteLog
    from bunsui.ports.secrets import SecretSource
    from bunsui.runner.handle import Session
    from bunsui.runner.runner import Runner

_HOMES = {
    "bunsui.configuration.config": ("Config",),
    "bunsui.dsl.problems": ("Problem",),
    "bunsui.errors": (
        "AlertNotTaken",
        "AuthenticationError",
        "AwsError",
        "BunsuiError",
        "ConfigError",
        "Conflict",
        "DefinitionError",
        "JobCancelled",
        "JobError",
        "JobLost",
        "JobTimeout",
        "NotFound",
        "OutcomeUnknown",
        "PermissionDenied",
        "PluginError",
        "SecretInOutput",
        "SessionFailed",
        "StateError",
        "StoreError",
    ),
    "bunsui.model.alerts": ("AlertRule",),
    "bunsui.model.log": ("LogRecord",),
    "bunsui.model.pipeline": ("CachePolicy", "Job", "Parameter", "Pipeline", "RetryPolicy"),
    "bunsui.model.plan": ("Plan", "PlannedJob"),
    "bunsui.model.session": ("Attempt", "Failure", "JobState", "SessionState"),
    "bunsui.model.status": ("JobStatus", "SessionStatus"),
    "bunsui.performance.cache": ("CacheManager",),
    "bunsui.plugins.registry": ("Plugins",),
    "bunsui.ports.alerts": ("Alert", "AlertChannel"),
    "bunsui.ports.hooks": ("hookimpl", "hookspec"),
    "bunsui.ports.job_type": ("JobCall", "JobType", "current_call"),
    "bunsui.ports.remote": (
        "CannotTell",
        "Failed",
        "Found",
        "NeverRan",
        "RemoteJobType",
        "Running",
        "Succeeded",
    ),
    "bunsui.ports.remote_log": ("LogLine", "LogPage", "RemoteLog"),
    "bunsui.ports.secrets": ("SecretSource",),
    "bunsui.runner.handle": ("Session",),
    "bunsui.runner.runner": ("Runner",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__version__ = "0.1.0.dev0"

__all__ = [
    "Alert",
    "AlertChannel",
    "AlertNotTaken",
    "AlertRule",
    "Attempt",
    "AuthenticationError",
    "AwsError",
    "BunsuiError",
    "CacheManager",
    "CachePolicy",
    "CannotTell",
    "Config",
    "ConfigError",
    "Conflict",
    "DefinitionError",
    "Failed",
    "Failure",
    "Found",
    "Job",
    "JobCall",
    "JobCancelled",
    "JobError",
    "JobLost",
    "JobState",
    "JobStatus",
    "JobTimeout",
    "JobType",
    "LogLine",
    "LogPage",
    "LogRecord",
    "NeverRan",
    "NotFound",
    "OutcomeUnknown",
    "Parameter",
    "PermissionDenied",
    "Pipeline",
    "Plan",
    "PlannedJob",
    "PluginError",
    "Plugins",
    "Problem",
    "RemoteJobType",
    "RemoteLog",
    "RetryPolicy",
    "Runner",
    "Running",
    "SecretInOutput",
    "SecretSource",
    "Session",
    "SessionFailed",
    "SessionState",
    "SessionStatus",
    "StateError",
    "StoreError",
    "Succeeded",
    "__version__",
    "current_call",
    "hookimpl",
    "hookspec",
    "json_schema",
    "validate",
]


def validate(path_or_text: str | Path, plugins: Plugins | None = None) -> list[Problem]:
    """All that is wrong with a definition; an empty list if nothing is. Never raises for a bad one.

    Such as::

        from pathlib import Path

        Path("wrong.yaml").write_text("version: '1.0'")
        print([problem.message for problem in bunsui.validate("wrong.yaml")][0])  # the pipeline needs 'name'

    Args:
        path_or_text: a path, or the text itself: a ``str`` with a newline is text, any other a path.
        plugins: None: the built-ins and the installed entry points.
    """
    from pathlib import Path  # noqa: PLC0415 - names are loaded when they are used

    from bunsui.dsl import loader  # noqa: PLC0415 - see above
    from bunsui.plugins.registry import Plugins  # noqa: PLC0415 - see above

    is_text = isinstance(path_or_text, str) and "\n" in path_or_text
    job_types = (Plugins() if plugins is None else plugins).usable.job_types
    return loader.problems(path_or_text if is_text else Path(path_or_text), job_types)


def json_schema(plugins: Plugins | None = None) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of definitions, for editors; complete in itself.

    Such as::

        import json

        text = json.dumps(bunsui.json_schema(), indent=2)  # For a file that an editor reads.
        print(json.loads(text)["title"])  # Pipeline

    Args:
        plugins: whose job types it knows. None: the built-ins and the installed entry points.
    """
    from bunsui.dsl.publishing import whole  # noqa: PLC0415 - names are loaded when they are used
    from bunsui.plugins.registry import Plugins  # noqa: PLC0415 - see above

    return whole.json_schema((Plugins() if plugins is None else plugins).usable.job_types)


def _named(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        if name in {"aws", "logging"}:  # Rooms of their own, which need no import by their users.
            return _import_module(f"bunsui.{name}")
        raise AttributeError(f"module 'bunsui' has no attribute {name!r}")
    value = getattr(_import_module(home), name)
    globals()[name] = value
    return value


if not TYPE_CHECKING:
    # Not for type checkers: to them a module with __getattr__ has every name, misspelt ones too.
    __getattr__ = _named


def __dir__() -> list[str]:
    return sorted(__all__)
