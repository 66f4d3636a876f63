"""The fields of a rule for alerts: what each may hold, by what the rule is about."""

from __future__ import annotations

from typing import Any

from bunsui.dsl.fields import IDENTIFIER_PATTERN, MAX_CHANNELS, PRINTABLE_PATTERN, duration
from bunsui.model.alerts import KINDS, RUNS

_NAME = {"type": "string", "pattern": IDENTIFIER_PATTERN}
#: Most past runs that a rule looks at.
MAX_RUNS = 100

#: Every field that some rule has.
ALERT_FIELDS: dict[str, Any] = {
    "on": {
        "title": "On",
        "description": "What to tell of: failure (of the session, or of a job), recovery (it succeeded, and"
        " the run before it had failed), duration (it took too long), success_rate (too many runs failed),"
        " stalled (it stopped moving).",
        "type": "string",
        "enum": list(KINDS),
        "examples": ["failure"],
    },
    "channel": {
        "title": "Channel",
        "description": "The name of the channel that it is told by, or a list of names, as the runner's"
        " configuration has them under alert_channels.",
        "type": ["string", "array"],
        "pattern": IDENTIFIER_PATTERN,
        "minItems": 1,
        "maxItems": MAX_CHANNELS,
        "uniqueItems": True,
        "items": _NAME,
        "examples": ["ops", ["ops", "log"]],
    },
    "job": {
        "title": "Job",
        "description": "The id of the job that it is about; the session as a whole where it names none.",
        "type": "string",
        "examples": ["load_data"],
    },
    "silence": {
        **duration(
            "Silence",
            "After one was sent, no other alert of this rule and pipeline is sent for so long; how many"
            " were left out says the next one.",
        ),
        "examples": [3600, "1h"],
    },
    "above": {**duration("Above", "How long it may take, by the wall clock."), "examples": [7200, "2h"]},
    "above_median": {
        "title": "Above the median",
        "description": "The factor: it may take so many times the median of those of the runs before it that"
        " succeeded, of which at least three are needed.",
        "type": "number",
        "exclusiveMinimum": 0,
        "examples": [3],
    },
    "runs": {
        "title": "Runs",
        "description": "How many runs are looked at.",
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_RUNS,
        "default": RUNS,
    },
    "below": {
        "title": "Below",
        "description": "The share of runs that have to succeed, such as 0.9; told once when it falls below.",
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 1,
        "examples": [0.9],
    },
    "after": {
        **duration("After", "How long nothing may be recorded of a session that has yet to end."),
        "examples": [1800, "30m"],
    },
}
#: Only rules of a configuration have it.
PIPELINE: dict[str, Any] = {
    "title": "Pipeline",
    "description": "The name of the only pipeline that it is for; any, where it names none.",
    "type": "string",
    "minLength": 1,
    "maxLength": 128,
    "pattern": PRINTABLE_PATTERN,
    "examples": ["ETL Pipeline"],
}
_ALWAYS = ("on", "channel", "silence")


def rule_schema(kind: str | None, *, configured: bool = False) -> dict[str, Any]:
    """The schema of a rule.

    Args:
        kind: what it is about; None: that is not known.
        configured: whether it stands in a configuration, and not in a definition.
    """
    more = {"pipeline": PIPELINE} if configured else {}
    if kind is None:
        named = {name: ALERT_FIELDS[name] for name in _ALWAYS}
        return {"type": "object", "properties": {**named, **more}, "required": ["on", "channel"]}
    one_of, others = KINDS[kind]
    return {
        "type": "object",
        "properties": {**{name: ALERT_FIELDS[name] for name in (*_ALWAYS, *one_of, *others)}, **more},
        "required": ["on", "channel", *(one_of if len(one_of) == 1 else ())],
        "additionalProperties": False,
    }
