"""What other tools call the things of this language, so that a hint can name the right word."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from bunsui.dsl.fields import DURATION_PATTERN, JOB_FIELDS, PIPELINE_FIELDS
from bunsui.dsl.parameters.fields import PARAMETER_KEYWORDS
from bunsui.dsl.problems import did_you_mean
from bunsui.expressions.references import ROOTS

__all__ = ["field_hint", "job_type_hint", "listed", "parameter_type", "root"]

#: Most names that a hint lists.
_MOST_LISTED = 10


def _by_habit(table: Mapping[str, str]) -> dict[str, list[str]]:
    """The names of a table by each of the words beside them."""
    found: dict[str, list[str]] = {}
    for name, words in table.items():
        for word in words.split():
            found.setdefault(word, []).append(name)
    return found


#: What a field is called elsewhere, in lower case and without '-' and '_'. One word may stand for several
#: fields: what counts is the first that there is where it stands.
_FIELDS = _by_habit(
    {
        "depends_on": "needs requires dependencies dependency upstream upstreams after waitfor runafter"
        " parents previous",
        "condition": "if when runif onlyif runwhen triggerrule trigger",
        "retry": "retries maxretries numretries retrypolicy retrystrategy attempts maxattempts backofflimit",
        "timeout": "timeoutminutes timeoutmins timeoutseconds timeoutsecs timeouthours executiontimeout"
        " maxruntime deadline activedeadlineseconds dagruntimeout",
        "with": "inputs params arguments",
        "parameters": "params args arguments kwargs opkwargs payload input inputs event env environment"
        " variables vars body configs",
        "for_each": "foreach matrix strategy loop map expand withitems each items iterate",
        "max_concurrency": "maxparallel parallelism concurrency maxactivetasks maxworkers workers"
        " maxactiveruns maxactivetisperdag",
        "allow_failure": "continueonerror softfail ignoreerrors optional ignorefailure",
        "command": "run script cmd bashcommand shellcommand exec entrypoint args",
        "callable": "pythoncallable func handler module entrypoint target function",
        "function": "functionname lambda lambdafunction functionarn resource handler",
        "task_definition": "taskdef task image container taskdefinitionarn family",
        "template": "uses extends inherits base ref",
        "id": "taskid jobid key stepid",
        "name": "dagid pipelineid workflow pipeline title taskname jobname displayname key id",
        "type": "operator kind executor engine jobtype tasktype",
        "jobs": "tasks steps states stages nodes workflow pipeline",
        "defaults": "defaultargs default common shared",
        "templates": "definitions anchors macros taskgroups",
        "outputs": "output results result return returns exports",
        "metadata": "tags labels annotations owner owners docs",
        "description": "doc docmd comment summary",
        "cache": "caching memoize memoization cachepolicy",
        "ttl": "expires expiry expiration maxage lifetime cacheexpiration",
        "key": "cachekey",
        "pool": "queue resourceclass",
        "isolation": "executor sandbox",
        "on_failure": "onerror failurepolicy failfast failurestrategy",
        "alerts": "notifications notify onfailurecallback emailonfailure email",
        "default": "value",
        "required": "mandatory",
        "max_attempts": "attempts maxretries retries limit times count maxtries",
        "delay": "retrydelay interval intervalseconds wait initialinterval minbackoff period",
        "backoff": "backoffrate exponentialbackoff multiplier factor backoffcoefficient",
        "max_delay": "maxretrydelay maxinterval maxdelayseconds maxbackoff cap",
        "on": "errorequals retryon errors codes exceptions",
    }
)
#: What no field does, and what does it instead.
_NOWHERE = {
    **dict.fromkeys(
        ("on", "schedule", "scheduleinterval", "cron", "triggers", "startdate", "catchup", "timetable"),
        "a definition says what runs, not when: start it from a scheduler",
    ),
    **dict.fromkeys(
        ("startat", "next", "end", "resultpath", "catch"),
        "what waits for what is said by 'depends_on' of the later job",
    ),
    "retrydelay": "write retry: {max_attempts: 3, delay: 60}",
    "runson": "leave it out: jobs run where the runner does",
    "steps": "make each step a job, with 'depends_on' between them",
    "cwd": "a command runs in the folder of the definition",
    "workingdirectory": "a command runs in the folder of the definition",
}
#: What to write for a trigger rule of Airflow's.
_RULES = {
    **dict.fromkeys(("all_done", "always"), "here it is 'condition', such as condition: always()"),
    **dict.fromkeys(
        ("one_failed", "all_failed"), "here it is 'condition', such as condition: failed(extract_data)"
    ),
    "all_success": "leave it out: a job runs when all that it depends on succeeded",
}
#: What the name of a duration ends with that says its unit, and the unit.
_UNITS = {"minutes": "m", "mins": "m", "seconds": "s", "secs": "s", "hours": "h"}
_NO_BREAK = "its indentation holds a no-break space (U+00A0): indent with plain spaces"
_PARAMETER_TYPES = _by_habit(
    {
        "string": "str text varchar char date datetime timestamp time uuid path secret enum",
        "integer": "int long int32 int64 bigint whole",
        "number": "float double decimal numeric real",
        "boolean": "bool flag",
        "array": "list tuple set sequence",
        "object": "dict map mapping json struct record hash",
    }
)
_JOB_TYPES = {
    **dict.fromkeys(
        ("python", "pythonoperator", "callable", "py", "func"), ("custom", "type: custom, with 'callable'")
    ),
    **dict.fromkeys(
        ("bash", "bashoperator", "shell", "sh", "script", "command", "exec", "local", "cmd", "subprocess"),
        ("custom", "type: custom, with 'command'"),
    ),
    **dict.fromkeys(
        ("fargate", "ecstask", "container", "docker", "ecsrunoperator", "awsecs", "ecsoperator"),
        ("ecs", "did you mean 'ecs'?"),
    ),
    **dict.fromkeys(
        ("function", "awslambda", "lambdafunction", "task", "lambdainvoke"),
        ("lambda", "did you mean 'lambda'?"),
    ),
    **dict.fromkeys(
        ("stepfunctions", "sfn", "statemachine", "states", "stepfunctionstartexecutionoperator"),
        ("step_function", "did you mean 'step_function'?"),
    ),
    **dict.fromkeys(("awsbatch", "batchjob", "batchoperator"), ("batch", "did you mean 'batch'?")),
    **dict.fromkeys(("awsglue", "gluejob", "gluejoboperator"), ("glue", "did you mean 'glue'?")),
}
_ROOTS = _by_habit(
    {
        "parameters": "params param parameter var vars variables values args arguments config dagrun",
        "jobs": "job tasks task steps step needs states",
        "env": "environment environ envvars",
        "secrets": "secret vault credentials connections conn",
        "item": "each element matrix loop",
        "inputs": "input",
        "session": "run execution context runtime",
        "pipeline": "workflow dag",
    }
)


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def field_hint(name: str, known: Collection[str], value: Any = None) -> str | None:
    """What to do about a field that does not exist, or None.

    Args:
        name: the field.
        known: the fields that there are in its place.
        value: what it holds, where that is at hand.
    """
    if "\u00a0" in name[: len(name) - len(name.lstrip())]:
        return _NO_BREAK
    plain = _plain(name)
    same = [field for field in known if _plain(field) == plain]
    if same:
        return f"did you mean '{same[0]}'?"
    is_pipeline, is_job = "jobs" in known, "depends_on" in known
    # They are taken out of a job before it is looked at.
    own = _OF_TEMPLATES if is_job and "id" in known else ()
    called = [field for field in _FIELDS.get(plain, ()) if field in known or field in own]
    if plain in ("args", "arguments") and "command" in known and isinstance(value, list):
        return "arguments stand in 'command', behind the program"
    if called:
        return _called(called, plain, value)
    if is_pipeline and (name in JOB_FIELDS or name in _OWN_FIELDS):
        return "a job has it: indent it as far as the job's other fields"
    if is_job and name in PIPELINE_FIELDS:
        return "the pipeline has it: it stands beside 'jobs'"
    if (is_pipeline or is_job) and plain in _NOWHERE:
        return _NOWHERE[plain]
    if "allow_failure" in known and not is_job and (name in JOB_FIELDS or name in _OWN_FIELDS):
        return "each job says it for itself, or has it from a template"
    if "default" in known and "required" in known:
        of = [kind for kind, keywords in PARAMETER_KEYWORDS.items() if name in keywords]
        if of:
            return f"only for type: {' or '.join(of)}"
    return did_you_mean(name, known)


#: Fields with which a job uses a template.
_OF_TEMPLATES = ("template", "with")


def _called(fields: Sequence[str], plain: str, value: Any) -> str:
    """What to write for a field that is called so elsewhere; `fields` are what it is called here."""
    unit = next((unit for ending, unit in _UNITS.items() if plain.endswith(ending)), "")
    if fields[0] == "timeout" and type(value) is int and re.search(DURATION_PATTERN, f"{value}{unit}"):
        return f"write timeout: {value}{unit}"
    if fields[0] == "timeout":
        return "here it is 'timeout', such as timeout: 15m"
    if fields[0] == "condition" and isinstance(value, str) and value in _RULES:
        return _RULES[value]
    if "with" in fields and "parameters" in fields:
        return "here it is called 'with' for a template's inputs, else 'parameters'"
    return f"here it is called '{fields[0]}'"


#: Fields of the built-in job types.
_OWN_FIELDS = ("command", "callable", "shell", "function", "task_definition")


def parameter_type(name: str) -> str | None:
    """What the type of a parameter is called here that is called so elsewhere, or None."""
    return next(iter(_PARAMETER_TYPES.get(_plain(name), ())), None)


def job_type_hint(name: str, known: Iterable[str]) -> str | None:
    """What to write for a job type that does not exist, or None."""
    names = list(known)
    kind, hint = _JOB_TYPES.get(_plain(name), ("", ""))
    if kind in names:  # Before what it is like: bash is like batch.
        return hint
    return did_you_mean(name, names) or did_you_mean(name.lower(), names)


def root(name: str) -> str | None:
    """What the beginning of a reference is called here that is called so elsewhere, or None."""
    import difflib  # noqa: PLC0415 - only where something is wrong

    called = _ROOTS.get(_plain(name)) or difflib.get_close_matches(name[:80], sorted(ROOTS), 1, 0.75)
    return next(iter(called), None)


def listed(names: Iterable[str]) -> str:
    """Some names for a hint, not too many."""
    found = list(names)
    more = "" if len(found) <= _MOST_LISTED else f" and {len(found) - _MOST_LISTED} more"
    return ", ".join(found[:_MOST_LISTED]) + more
