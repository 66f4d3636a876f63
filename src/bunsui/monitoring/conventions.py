"""The names of OpenTelemetry that bunsui uses: a change of the conventions is an edit of this file.

From the semantic conventions 1.44, https://opentelemetry.io/docs/specs/semconv/: ``cicd`` (release
candidate), ``faas`` and ``aws`` (in development), ``error.type`` (stable). What has no name there begins
with ``bunsui.``.
"""

from __future__ import annotations

import re
from types import MappingProxyType

from bunsui.model.status import SessionStatus

#: The scope of all that bunsui records.
SCOPE = "bunsui"

# A run, which is a session.
PIPELINE_NAME = "cicd.pipeline.name"
PIPELINE_ACTION = "cicd.pipeline.action.name"
RUN_ID = "cicd.pipeline.run.id"
RUN_STATE = "cicd.pipeline.run.state"
PIPELINE_RESULT = "cicd.pipeline.result"
SESSION_STATUS = "bunsui.session.status"

# A task, which is a job.
TASK_NAME = "cicd.pipeline.task.name"
TASK_RUN_ID = "cicd.pipeline.task.run.id"
TASK_RUN_URL = "cicd.pipeline.task.run.url.full"
TASK_RUN_RESULT = "cicd.pipeline.task.run.result"
#: Not ``cicd.pipeline.task.type``, which allows only build, test and deploy.
JOB_TYPE = "bunsui.job.type"
JOB_ATTEMPT = "bunsui.job.attempt"
JOB_ITEM = "bunsui.job.item"
#: Of a job whose run goes on elsewhere: it has no result yet.
JOB_STATUS = "bunsui.job.status"
#: The session whose output the job took over, instead of running.
REUSED_FROM = "bunsui.job.reused_from"

ERROR_TYPE = "error.type"
#: The type of an error that has no name: the fallback that the conventions give.
OTHER = "_OTHER"

# What a job called.
FAAS_NAME = "faas.invoked_name"
FAAS_PROVIDER = "faas.invoked_provider"
FAAS_REGION = "faas.invoked_region"
ECS_TASK = "aws.ecs.task.arn"
ECS_CLUSTER = "aws.ecs.cluster.arn"
ECS_LAUNCH_TYPE = "aws.ecs.launchtype"
STATE_MACHINE = "aws.step_functions.state_machine.arn"
EXECUTION = "bunsui.aws.execution.arn"
LOG_GROUPS = "aws.log.group.names"
LOG_STREAMS = "aws.log.stream.names"

# Metrics.
RUN_DURATION = "cicd.pipeline.run.duration"
RUN_ACTIVE = "cicd.pipeline.run.active"
RUN_ERRORS = "cicd.pipeline.run.errors"
#: Runs that an application counts itself: see `bunsui.monitoring.MetricsCollector`.
RUNS = "bunsui.pipeline.runs"
JOB_DURATION = "bunsui.job.duration"
JOB_QUEUE_DURATION = "bunsui.job.queue.duration"
JOB_RETRIES = "bunsui.job.retries"

# The states of a run that is under way. What a pause is has no name there: see `SESSION_STATUS`.
PENDING, EXECUTING, FINALIZING = "pending", "executing", "finalizing"

# How a run or a task ended: `FAILURE` is the user's code, `ERROR` the worker, the engine or AWS.
SUCCESS, FAILURE, ERROR = "success", "failure", "error"
TIMEOUT, CANCELLATION, SKIP = "timeout", "cancellation", "skip"
#: All of them.
ALL_RESULTS = (SUCCESS, FAILURE, ERROR, TIMEOUT, CANCELLATION, SKIP)

#: The result of a session by its status; what failed may have been an `ERROR`: see `result_of_code`.
RESULTS = MappingProxyType(
    {
        SessionStatus.SUCCEEDED: SUCCESS,
        SessionStatus.FAILED: FAILURE,
        SessionStatus.CANCELLED: CANCELLATION,
        SessionStatus.TIMED_OUT: TIMEOUT,
    }
)

#: The codes of failures that are not of the user's code.
_ERRORS = frozenset(
    {
        "AwsError",
        "CommandNotStarted",
        "JobLost",
        "OutcomeUnknown",
        "PermissionDenied",
        "PluginError",
        "ProcessLost",
        "ProcessNotStarted",
        "SecretUnavailable",
        "StoreError",
    }
)
#: How the codes begin that only AWS itself gives.
_OF_AWS = ("Batch.", "ECS.", "Glue.", "LOGS.", "S3.", "SECRETSMANAGER.", "SSM.", "STS.", "StepFunctions.")
#: What AWS Lambda refuses with. All other codes that begin so are what a function raised.
_OF_LAMBDA = re.compile(
    r"Lambda\.(AccessDenied|CodeArtifact|EC2|EFS|ENI|Invalid(Security|Subnet|Zip)|KMS|Recursive|Resource"
    r"|S3Files|Serialized|Service|SnapStart|SubnetIP|Throttling|TooManyRequests|Unsupported)\w*Exception"
)
_TIMEOUTS = frozenset(
    {
        "Batch.Timeout",
        "Glue.TIMEOUT",
        "JobTimeout",
        "Lambda.Sandbox.Timedout",
        "SessionTimeout",
        "States.Timeout",
        "StepFunctions.TimedOut",
    }
)
#: What the user's own work came to, as AWS calls it.
_FAILURES = frozenset({"Glue.ERROR", "Glue.FAILED", "StepFunctions.ExecutionFailed"})


def result_of_code(code: str) -> str:
    """How a job ended whose failure has this code: `FAILURE`, `ERROR`, `TIMEOUT` or `CANCELLATION`."""
    if code in _TIMEOUTS:
        return TIMEOUT
    if code == "JobCancelled":
        return CANCELLATION
    if code in _FAILURES:
        return FAILURE
    is_error = code in _ERRORS or code.startswith(_OF_AWS) or _OF_LAMBDA.fullmatch(code) is not None
    return ERROR if is_error else FAILURE
