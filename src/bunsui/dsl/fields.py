"""The fields of the definition language: what each may hold, and what an editor says of it.

Everything here is JSON Schema (draft 2020-12), in parts: `bunsui.dsl.schema` puts together what a definition
is validated against, `bunsui.dsl.publishing.whole` the one schema that editors read.
"""

from __future__ import annotations

from typing import Any, get_args

from bunsui.expressions.syntax import CALLS_IN_WORDS, MAX_LENGTH
from bunsui.model.job import MAX_ITEMS
from bunsui.model.pipeline import LANGUAGE_VERSION
from bunsui.ports.job_type import OnLost

# A pattern's $ also matches before a line break at the end, in Python; hence (?!\n).
IDENTIFIER_PATTERN = r"^[A-Za-z][A-Za-z0-9_-]{0,63}(?!\n)$"
#: The same in words.
IDENTIFIER_RULE = "a letter, then up to 63 letters, digits, '_' or '-'"
DURATION_PATTERN = r"^(?=.*[1-9])[0-9]{1,9}(\.[0-9]{1,9})?(ms|s|m|h|d)(?!\n)$"
PRINTABLE_PATTERN = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+(?!\n)$"
#: Most jobs of a pipeline.
MAX_JOBS = 10_000
#: Most rules for alerts of a pipeline, and most channels of one: what became of each is in one document.
MAX_ALERTS, MAX_CHANNELS = 50, 10

_SECONDS = {"type": "number", "minimum": 0}
_COUNT = {"type": "integer", "minimum": 1}
_IDENTIFIER = {"type": "string", "pattern": IDENTIFIER_PATTERN}


def duration(title: str, description: str) -> dict[str, Any]:
    """The schema of a field that holds a time span."""
    return {
        "title": title,
        "description": f"{description} Seconds, or a text such as 15m (ms, s, m, h, d).",
        "type": ["number", "string"],
        "exclusiveMinimum": 0,
        "pattern": DURATION_PATTERN,
        "examples": [900, "15m"],
    }


RETRY: dict[str, Any] = {
    "title": "Retry",
    "description": "When a failed attempt is followed by another; a number is short for max_attempts.",
    "type": ["integer", "object"],
    "minimum": 1,
    "properties": {
        "max_attempts": {
            "title": "Most attempts",
            "description": "How many attempts there may be; counts the first. 1 without 'retry'.",
            "default": 3,
            **_COUNT,
        },
        "delay": {
            "title": "First wait",
            "description": "Seconds before the second attempt.",
            "default": 10,
            **_SECONDS,
        },
        "backoff": {
            "title": "Factor",
            "description": "The factor from one wait to the next.",
            "type": "number",
            "minimum": 1,
            "default": 2,
        },
        "max_delay": {
            "title": "Longest wait",
            "description": "Seconds; no wait is longer.",
            "default": 300,
            **_SECONDS,
        },
        "jitter": {
            "title": "Jitter",
            "description": "full: a random time between 0 and the wait; none: the wait itself.",
            "enum": ["full", "none"],
            "default": "full",
        },
        "on": {
            "title": "Error codes",
            "description": "Error codes to retry on, with * for any text; by default all that can help.",
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "examples": [["Lambda.TooManyRequests*"]],
        },
    },
    "additionalProperties": False,
    "examples": [3, {"max_attempts": 5, "delay": 30}],
}

#: Fields that every job may have.
JOB_FIELDS: dict[str, Any] = {
    "id": {
        "title": "Id",
        "description": "The job's name for others, unique within the pipeline: a letter, then letters,"
        " digits, '_' or '-'.",
        **_IDENTIFIER,
        "examples": ["extract_data"],
    },
    "name": {"title": "Name", "description": "For people.", "type": "string", "maxLength": 128},
    "description": {
        "title": "Description",
        "description": "What the job does; for people.",
        "type": "string",
    },
    "type": {
        "title": "Job type",
        "description": "What kind of work it is; decides which further fields there are.",
        "type": "string",
    },
    "template": {
        "title": "Template",
        "description": "The name of one of the pipeline's templates, whose fields this job takes over"
        " where it has none of its own.",
        "type": "string",
    },
    "with": {
        "title": "Inputs of the template",
        "description": "Values for the template's inputs, by name. Texts may hold references.",
        "type": "object",
    },
    "depends_on": {
        "title": "Depends on",
        "description": "The ids of the jobs that must have ended before this one starts.",
        "type": "array",
        "items": {"type": "string"},
        "default": [],
    },
    "parameters": {
        "title": "Parameters",
        "description": "The job's input, by name. Texts in it, at any depth, may hold references such as"
        " ${source_bucket} or ${jobs.extract.output.rows}.",
        "type": "object",
        "examples": [{"bucket": "${source_bucket}"}],
    },
    "condition": {
        "title": "Condition",
        "description": "The job runs only where this is true, else it is skipped. Comparisons, 'and', 'or',"
        f" 'not', 'in', references, {CALLS_IN_WORDS}. It is asked in addition to whether"
        " all jobs upstream succeeded, unless it calls one of these.",
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_LENGTH,
        "examples": ['${rows} > 0 and ${environment} == "prod"', "failed(load_data)"],
    },
    "retry": RETRY,
    "timeout": duration("Timeout", "How long one attempt may take; it ends the attempt and its work."),
    "isolation": {
        "title": "Isolation",
        "description": "Where a Python callable runs: in a thread of this process, or in a process of its"
        " own, which can be ended. With a timeout it is a process where nothing is said.",
        "enum": ["thread", "process"],
        "default": "thread",
    },
    "for_each": {
        "title": "For each",
        "description": "A list, or a reference to one: the job runs once for each item, which it reaches as"
        " ${item} and ${item_index}. Its output is the list of outputs.",
        "type": ["string", "array"],
        "maxItems": MAX_ITEMS,
        "examples": ["${jobs.list.output.files}", ["north", "south"]],
    },
    "max_concurrency": {
        "title": "Most at once",
        "description": "How many items of 'for_each' may run at once; by default all that the runner allows.",
        **_COUNT,
    },
    "cache": {
        "title": "Cache",
        "description": "Reuses the output of an equal earlier job, of whatever session: one with the same"
        " type, fields of the type and parameters, or with the same key.",
        "type": "object",
        "properties": {
            "ttl": {
                **duration("Time to live", "How long an output may be reused."),
                "default": 3600,
                "examples": [3600, "1d"],
            },
            "key": {
                "title": "Key",
                "description": "Any value, with references: what counts in place of the parameters.",
                "examples": ["${day}", ["${jobs.list.output.version}", "${item}"]],
            },
        },
        "additionalProperties": False,
        "examples": [{"ttl": "1d"}, {"ttl": 3600, "key": "${day}"}],
    },
    "allow_failure": {
        "title": "Allow failure",
        "description": "Whether what follows, and the session, treat this job's failure as success, with a"
        " null output.",
        "type": "boolean",
        "default": False,
    },
    "on_lost": {
        "title": "On lost work",
        "description": "What to do when, after a crash, it can't be told whether an attempt ran: rerun it"
        " under the same idempotency key, pause the session and ask (unknown), or fail the job. By default"
        " what its type says: rerun for what runs on this machine and for lambda.",
        "enum": list(get_args(OnLost)),
    },
    "pool": {
        "title": "Pool",
        "description": "The name of one of the runner's pools, which says how many jobs in it may run at"
        " once over all sessions.",
        **_IDENTIFIER,
        "examples": ["gpu"],
    },
}

#: What `defaults` may hold. Not what tells one job from another, or would make a job wait for itself.
DEFAULTS_FIELDS = (
    "type",
    "parameters",
    "condition",
    "retry",
    "timeout",
    "isolation",
    "max_concurrency",
    "cache",
    "allow_failure",
    "on_lost",
    "pool",
)
#: What a template can't hold of a job's fields.
NOT_IN_TEMPLATES = ("id", "template", "with")

PIPELINE_FIELDS: dict[str, Any] = {
    "version": {
        "title": "Version",
        "description": "The version of the definition language.",
        "const": LANGUAGE_VERSION,
        "examples": [LANGUAGE_VERSION],
    },
    "name": {
        "title": "Name",
        "description": "The pipeline's name: any printable text of one line.",
        "type": "string",
        "minLength": 1,
        "maxLength": 128,
        "pattern": PRINTABLE_PATTERN,
        "examples": ["ETL Pipeline"],
    },
    "description": {
        "title": "Description",
        "description": "What the pipeline does; for people.",
        "type": "string",
    },
    "parameters": {
        "title": "Parameters",
        "description": "The values that a session is started with; jobs reach them as ${NAME}.",
        "type": "array",
        "items": {"type": "object"},
    },
    "defaults": {
        "title": "Defaults",
        "description": "Fields that every job has where neither it nor its template says otherwise.",
        "type": "object",
        "properties": {name: JOB_FIELDS[name] for name in DEFAULTS_FIELDS},
        "additionalProperties": False,
        "examples": [{"retry": 3, "timeout": "1h"}],
    },
    "templates": {
        "title": "Templates",
        "description": "Partial jobs by name. A job takes one over with 'template' and gives its inputs in"
        " 'with'; its own fields win, mappings merge.",
        "type": "object",
        "propertyNames": _IDENTIFIER,
        "additionalProperties": {"type": "object"},
    },
    "jobs": {
        "title": "Jobs",
        "description": "The steps, in any order: what waits for what is said by 'depends_on'.",
        "type": "array",
        "minItems": 1,
        "maxItems": MAX_JOBS,
        "items": {"type": "object"},
    },
    "outputs": {
        "title": "Outputs",
        "description": "What the session gives as its outputs when it has succeeded, by name. Texts may hold"
        " references. By default: every job's output by its id.",
        "type": "object",
        "propertyNames": _IDENTIFIER,
        "examples": [{"rows": "${jobs.load_data.output.rows}"}],
    },
    "on_failure": {
        "title": "On failure",
        "description": "continue: independent branches go on; stop: nothing new starts, what runs may end.",
        "enum": ["continue", "stop"],
        "default": "continue",
    },
    "timeout": duration(
        "Timeout", "How long a session may take, the time in which it is paused not counted."
    ),
    "max_concurrency": {
        "title": "Most at once",
        "description": "How many attempts of one session may run at once; as many as the runner allows by"
        " default.",
        **_COUNT,
    },
    "alerts": {
        "title": "Alerts",
        "description": "Whom to tell of what: rules, each with what it is about ('on') and the channels of"
        " the runner's configuration by which it is told.",
        "type": "array",
        "maxItems": MAX_ALERTS,
        "items": {"type": "object"},
    },
    "metadata": {
        "title": "Metadata",
        "description": "Anything; bunsui keeps it and does not look.",
        "type": "object",
    },
}
