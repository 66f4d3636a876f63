"""The keys of the configuration: one JSON Schema says what they are, and what their values may be.

``title`` says in words what a value is: errors end with it.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from bunsui.aws.log_group import URL_PATTERN as GROUP_PATTERN
from bunsui.aws.place import URL_PATTERN
from bunsui.aws.settings import ENTRY_PATTERN, ROLE_PATTERN, RULE
from bunsui.configuration.checking import fits, rule_of
from bunsui.configuration.settings import VARIABLE_PATTERN
from bunsui.dsl.fields import IDENTIFIER_PATTERN
from bunsui.dsl.problems import did_you_mean, quoted
from bunsui.errors import ConfigError
from bunsui.model.log import LEVELS

_NAMES = {"type": "string", "pattern": IDENTIFIER_PATTERN}

#: The path of a folder: no URL, and none of these whose slashes were forgotten.
_FOLDER = r"^(?!s3:|cloudwatch:)(?![\s\S]*://)[\s\S]*\S"

#: What a configuration file may hold (draft 2020-12).
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "bunsui.toml",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "store": {
            "type": "string",
            "pattern": r"^[A-Za-z][A-Za-z0-9+.-]*://",
            "title": "the URL of a store, such as sqlite:///bunsui.db",
            "description": "Where sessions live; a SQLite file in the user's data directory by default. In a"
            " file, a relative path begins at the file's folder.",
            "examples": ["sqlite:///bunsui.db", "sqlite:////var/lib/etl/bunsui.db"],
        },
        "artifacts": {
            "type": "string",
            "pattern": f"{URL_PATTERN}|{_FOLDER}",
            "title": "the path of a folder, such as artifacts, or a place on S3, such as s3://bucket/prefix",
            "description": "Where outputs above 32 KiB are, whatever the store: a folder, or a place on S3;"
            " STORE-artifacts beside a SQLite store's file by default. In a file, a relative path begins at"
            " the file's folder.",
            "examples": ["/var/lib/etl/artifacts", "s3://etl-artifacts/bunsui"],
        },
        "logs": {
            "type": "string",
            "pattern": f"{GROUP_PATTERN}|{_FOLDER}",
            "title": "the path of a folder, such as logs, a group of CloudWatch Logs, such as"
            " cloudwatch:///bunsui/team, or none",
            "description": "Where the logs of jobs are: a folder, a group of CloudWatch Logs, or `none`: with"
            " the runner only. STORE-logs beside a SQLite store's file by default, and the group"
            " /bunsui/TABLE for a store on DynamoDB. In a file, a relative path begins at the file's folder.",
            "examples": ["/var/lib/etl/logs", "cloudwatch:///bunsui/team?retention=30"],
        },
        "lease": {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 31_536_000,
            "default": 30.0,
            "title": "a number of seconds above 0, at most a year, such as 30",
            "description": "Seconds without a sign of life after which another runner may take a session"
            " over.",
            "examples": [30, 60.5],
        },
        "max_concurrency": {
            "type": "integer",
            "minimum": 1,
            "default": 32,
            "title": "a whole number of at least 1, such as 32",
            "description": "How many attempts a runner has at once, over all its sessions.",
            "examples": [32],
        },
        "local": {
            "type": "boolean",
            "default": False,
            "title": "true or false",
            "description": "Whether a job that would run on AWS is an error.",
            "examples": [True],
        },
        "capture_logging": {
            "type": "boolean",
            "default": False,
            "title": "true or false",
            "description": "Whether what a job in a thread logs with Python's logging goes to its log, too.",
            "examples": [True],
        },
        "telemetry": {
            "type": "string",
            "pattern": r"^(auto|otlp|off|emf(:[\s\S]*\S)?)(?!\n)$",
            "default": "auto",
            "title": "auto, otlp, emf, emf:stdout, emf:PATH or off",
            "description": "Where traces and metrics go. `auto`: to what the program has set as"
            " OpenTelemetry's providers. `otlp`: to a collector, as OpenTelemetry's variables say. `emf`:"
            " metrics as lines of CloudWatch's embedded metric format, to standard error, standard output or"
            " a file; in a file, a relative path begins at the file's folder. `off`: nowhere.",
            "examples": ["otlp", "emf:stdout"],
        },
        "log_level": {
            "type": "string",
            "pattern": rf"^({'|'.join([*LEVELS, *map(str.lower, LEVELS)])})(?!\n)$",
            "title": f"one of {', '.join(LEVELS)}",
            "description": "From which level on commands write the log of bunsui itself to stderr, such as"
            " that a session started or a job failed; by default there is none.",
            "examples": ["INFO"],
        },
        "log_format": {
            "type": "string",
            "pattern": r"^(text|json)(?!\n)$",
            "title": "text or json",
            "description": "How commands write that log: as text, or as lines of JSON. Where only this is"
            " set, the level is INFO.",
            "examples": ["json"],
        },
        "bindings": {
            "type": "string",
            "minLength": 1,
            "title": "the path of a bindings file, such as bindings.yaml",
            "description": "What runs on this machine in place of AWS; `bindings.yaml` beside the definition"
            " by default. In a file, a relative path begins at the file's folder.",
            "examples": ["/home/ann/bindings.yaml"],
        },
        "env": {
            "type": "array",
            "items": {
                "type": "string",
                "pattern": VARIABLE_PATTERN,
                "title": "the name of a variable, without its value",
            },
            "default": [],
            "title": 'a list of names of variables, such as ["REGION"]',
            "description": "The variables of the environment that definitions may name as `${env.X}`.",
            "examples": [["REGION"]],
        },
        "secrets": {
            "type": "object",
            "propertyNames": _NAMES,
            "additionalProperties": {
                "type": "string",
                "pattern": r"^[^:]+:[\s\S]+$",
                "title": "where the value is found, as SOURCE:KEY, such as env:DB_PASSWORD; not the value",
            },
            "default": {},
            "title": 'a table of references by name, such as {"db": "env:DB_PASSWORD"}',
            "description": "Where the secrets that definitions may name as `${secrets.X}` are found.",
            "examples": [{"db": "env:DB_PASSWORD"}],
        },
        "pools": {
            "type": "object",
            "propertyNames": _NAMES,
            "additionalProperties": {
                "type": "integer",
                "minimum": 1,
                "title": "a whole number of at least 1, such as 2",
            },
            "default": {},
            "title": 'a table of numbers by name, such as {"gpu": 2}',
            "description": "How many jobs of each pool run at once.",
            "examples": [{"gpu": 2}],
        },
        "aws": {
            "type": "object",
            "propertyNames": {"type": "string", "pattern": ENTRY_PATTERN, "title": RULE},
            "additionalProperties": {"type": "string", "minLength": 1, "title": "a text"},
            "default": {},
            "title": 'a table of texts, such as {"region": "eu-central-1"}',
            "description": "As whom, and where, AWS is called: `region`, `profile`, `role` (the ARN of a role"
            " to take) with its `external_id`, and `endpoint_url`, of one service `endpoint_url_SERVICE`."
            " Where nothing is said here, AWS's own variables and files count.",
            "examples": [{"region": "eu-central-1"}],
        },
        "aws_allowed_roles": {
            "type": "array",
            "items": {"type": "string", "pattern": ROLE_PATTERN, "title": "the ARN of a role"},
            "title": 'a list of ARNs, such as ["arn:aws:iam::123456789012:role/etl"]',
            "description": "The roles that jobs may name as their `role`; any by default.",
            "examples": [["arn:aws:iam::123456789012:role/etl"]],
        },
        "alert_channels": {
            "type": "object",
            "propertyNames": _NAMES,
            "additionalProperties": {
                "type": "object",
                "required": ["type"],
                "properties": {
                    "type": {
                        "type": "string",
                        "pattern": IDENTIFIER_PATTERN,
                        "title": "the type of a channel, such as sns, webhook or log",
                    }
                },
                "title": 'a table with a type, such as {"type": "sns", "topic": "arn:aws:sns:..."}',
            },
            "default": {},
            "title": 'a table of channels by name, such as {"ops": {"type": "log"}}',
            "description": "The channels that alerts are sent through, each with its `type` and that type's"
            " options. A secret is none of them: it stands in `secrets`, and an option has its name.",
            "examples": [{"ops": {"type": "log"}}],
        },
        "alerts": {
            "type": "array",
            "items": {"type": "object", "title": 'a table, such as {"on": "failure", "channel": "ops"}'},
            "default": [],
            "title": 'a list of alerts, such as [{"on": "failure", "channel": "ops"}]',
            "description": "Whom to tell of what, whatever the definitions say: as their `alerts`, and with"
            " `pipeline` of the pipeline of that name only.",
            "examples": [[{"on": "failure", "channel": "ops"}]],
        },
    },
}

#: Each key's schema, by its name.
KEYS: Mapping[str, Mapping[str, Any]] = SCHEMA["properties"]
#: The keys that a project's file may not set: what decides which commands run, what of the user's
#: definitions may read, in whose name AWS is called, and who is told. Who clones a repository has not agreed
#: to what its files say about these.
USER_ONLY = frozenset({"alert_channels", "alerts", "aws", "aws_allowed_roles", "bindings", "env", "secrets"})
#: The keys whose values are never shown as they are: in place of a name or a reference, a value may stand,
#: and the URL of a channel may be all that one needs to write to it.
HIDDEN = frozenset({"alert_channels", "env", "secrets"})


def variable_of(key: str) -> str:
    """The environment variable of a key."""
    return f"BUNSUI_{key.upper()}"


def schema_of(key: str, where: str = "") -> Mapping[str, Any]:
    """The schema of a key's value; of an entry of a table for a dotted key, such as ``pools.gpu``.

    Args:
        key: the key.
        where: names the place it stands in, for the error; ends with ``: ``.

    Raises:
        ConfigError: there is no such key.
    """
    name, dot, entry = key.partition(".")
    schema = KEYS.get(name)
    if schema is None:
        hint = did_you_mean(name, KEYS) or f"the keys are {', '.join(KEYS)}"
        raise ConfigError(f"{where}there is no key {quoted(name)}", hint=hint)
    if not dot:
        return schema
    if "additionalProperties" not in schema:
        raise ConfigError(
            f"{where}there is no key {quoted(key)}", hint=f"'{name}' has no parts; it is {schema['title']}"
        )
    if not fits(entry, schema["propertyNames"]):
        raise ConfigError(
            f"{where}{quoted(entry)} can't be a name in '{name}'",
            hint=f"{rule_of(schema['propertyNames'])}, as in {example(name)[0]}",
        )
    found: Mapping[str, Any] = schema["additionalProperties"]
    return found


def example(key: str) -> tuple[str, str]:
    """A key of the kind that `key` is and a value for it, as they are written in a shell."""
    name = key.partition(".")[0]
    schema = KEYS[name]
    value = schema["examples"][0]
    if "additionalProperties" in schema:
        entry, value = next(iter(value.items()))
        name = f"{name}.{entry}"
    return name, shlex.quote(value if isinstance(value, str) else json.dumps(value))
