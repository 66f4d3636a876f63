"""AWS Lambda functions."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from bunsui.aws.deployed import PARAMETERS_URL
from bunsui.errors import AwsError, JobCancelled, JobError
from bunsui.jobs.aws import FIELDS, caller, console, known_region, required
from bunsui.local.callables import call_variables
from bunsui.model.json import compact
from bunsui.model.log import LEVELS
from bunsui.monitoring import conventions as names
from bunsui.ports.job_type import JobCall, JobType
from bunsui.ports.remote_log import TAIL, LogPage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bunsui.aws.connections import Caller, Connections
    from bunsui.ports.job_type import Finding, Hinted
    from bunsui.ports.permissions import Permission, Unnamed, Where
    from bunsui.ports.remote_log import RemoteLog
    from bunsui.ports.services import Services

#: Bytes of an event that a function takes, where its answer is waited for and where it is not: "Invoke" in
#: Lambda's API reference.
MAX_PAYLOAD = {"wait": 6 * 1024 * 1024, "send": 1024 * 1024}
#: Characters of a client context in base64, likewise.
MAX_CONTEXT = 3583
#: Answers that may get lost, over all tries of one attempt.
MAX_LOST = 3
#: Tries after which the job's log says that AWS does not take the call; and again after as many more.
WARN_AFTER = 5
#: The field of records that has the id of the function's call.
REQUEST_ID = "aws_request_id"
#: Groups of logs that are remembered.
MAX_GROUPS = 1000

_log = logging.getLogger(__name__)


class LambdaJobType(JobType):
    """``type: lambda``: invokes a function, and waits for what it returns.

    Args:
        services: of the runner that it is used by.
    """

    name: ClassVar[str] = "lambda"
    schema: ClassVar[Mapping[str, Any]] = {
        "title": "Lambda job",
        "description": "An AWS Lambda function.",
        "type": "object",
        "properties": {
            "function": {
                "title": "Function",
                "description": "The function's name or ARN; it gets the job's parameters as its event.",
                "type": "string",
                "minLength": 1,
                "examples": ["extract-function"],
            },
            "qualifier": {
                "title": "Qualifier",
                "description": "A version or an alias of the function; its latest version by default.",
                "type": "string",
                "pattern": r"^(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9_-]{1,128})$",
                "examples": ["live"],
            },
            "invocation": {
                "title": "Invocation",
                "description": "'wait': the job is over when the function is, and has its output; 'send': it"
                " is over once Lambda has taken the event, and what becomes of that is not known.",
                "enum": ["wait", "send"],
                "default": "wait",
            },
            **FIELDS,
        },
        "required": ["function"],
    }
    binding_field: ClassVar[str | None] = "function"
    binding_style: ClassVar[str] = "lambda"

    def __init__(self, services: Services | None = None) -> None:
        self._services = services
        #: The groups of functions' logs.
        self._groups: dict[tuple[str, str | None, Caller], str] = {}

    def for_runner(self, services: Services) -> LambdaJobType:
        """See `JobType.for_runner`."""
        return LambdaJobType(services)

    def require(self, options: Mapping[str, Any]) -> None:
        """See `JobType.require`."""
        aws = required(self._services, self.name).aws
        aws.require("lambda", "Invoke", caller(options), options["function"])

    def verify(self, options: Mapping[str, Any]) -> Sequence[Finding | Hinted]:
        """See `JobType.verify`: whether the function is there, and may be invoked."""
        from bunsui.jobs.lambda_verifying import findings  # noqa: PLC0415 - only for 'pipeline check'

        return findings(required(self._services, self.name).aws, options)

    def permissions(self, options: Mapping[str, Any], where: Where) -> Iterable[Permission | Unnamed]:
        """See `JobType.permissions`: to invoke this function."""
        from bunsui.jobs.lambda_permissions import permissions  # noqa: PLC0415 - only for 'iam-policy'

        return permissions(options, where)

    def span_attributes(self, options: Mapping[str, Any], handle: Any) -> Mapping[str, str]:
        """See `JobType.span_attributes`: whom it calls."""
        del handle
        # A function may be named by its ARN, or by part of one.
        parts = options["function"].split(":")
        name = parts[parts.index("function") + 1] if "function" in parts[:-1] else parts[0]
        arn = parts[3] if parts[0] == "arn" and len(parts) > 6 else None
        region = arn or known_region(self._services, "lambda", options)
        found = {names.FAAS_NAME: name, names.FAAS_PROVIDER: "aws"}
        found |= {} if region is None else {names.FAAS_REGION: region}
        return found | console(region, f"lambda/home?region={region}#/functions/{name}")

    def run(self, call: JobCall) -> Any:
        """See `JobType.run`."""
        services = required(self._services, self.name)
        parameters: dict[str, Any] | None = None
        budget = services.aws.budget("lambda", caller(call.options))
        budget.earn()
        tries = lost = 0
        while True:
            tries += 1
            try:
                if parameters is None:
                    parameters = self._parameters(call, services)
                return self._invoke(call, services, parameters)
            except AwsError as error:
                lost += _is_lost(error)
                if not _is_repeated(error, call, lost):
                    raise
                if tries % WARN_AFTER == 0:
                    text = f"{error.message}; it is tried again ({tries} times so far)"
                    call.logger.warning("%s", text)
                    _log.warning("job '%s' of session %s: %s", call.job_id, call.session_id, text)
            # In this thread, as it would wait for the answer, too.
            if services.aws.wait(call.cancelled, budget.wait(tries)):
                raise JobCancelled(
                    "the attempt was stopped before Lambda took it"
                    if not lost
                    else "the attempt was stopped after an answer was lost, so Lambda may have taken it"
                )

    def log_page(self, about: RemoteLog, token: Any) -> LogPage:
        """See `JobType.log_page`: what CloudWatch Logs has of the call, once all of it is there."""
        from bunsui.jobs.lambda_log import REQUEST, Call, page  # noqa: PLC0415 - only for who reads logs

        request = str((about.tail or {}).get(REQUEST_ID))
        if REQUEST.fullmatch(request) is None:  # None of Lambda's: it stands within quotes.
            return LogPage()
        aws, as_ = required(self._services, self.name).aws, caller(about.options)
        group = self._group(aws, as_, about.options)
        made = Call(group, request, about.started_at, about.finished_at)
        return page(aws, as_, made, token, about.limit)

    def _group(self, aws: Connections, as_: Caller, options: Mapping[str, Any]) -> str:
        """The group of a function's log. Who may not see its configuration takes it for the usual one."""
        from bunsui.jobs.lambda_log import group_of  # noqa: PLC0415 - see log_page

        function, qualifier = options["function"], options.get("qualifier")
        key = (function, qualifier, as_)
        if key not in self._groups:
            parameters = {"FunctionName": function} | ({} if qualifier is None else {"Qualifier": qualifier})
            configuration = None
            try:
                configuration = aws.call("lambda", "GetFunctionConfiguration", parameters, as_, function)
            except AwsError as error:
                if error.kind != "refused":
                    raise
            if len(self._groups) >= MAX_GROUPS:
                self._groups.clear()
            self._groups[key] = group_of(configuration, function)
        return self._groups[key]

    def _parameters(self, call: JobCall, services: Services) -> dict[str, Any]:
        """What `Invoke` is called with.

        Raises:
            JobError: the event is too large.
            AwsError: it is, and could not be kept on S3.
        """
        options = call.options
        waits = options.get("invocation", "wait") == "wait"
        text = compact(call.parameters)
        most = MAX_PAYLOAD["wait" if waits else "send"]
        if len(text.encode()) > most:
            text = self._by_reference(call, services, text, most)
        parameters = {
            "FunctionName": options["function"],
            "InvocationType": "RequestResponse" if waits else "Event",
            "Payload": text.encode(),
        }
        if waits:  # Lambda takes both only then.
            parameters |= {"LogType": "Tail", "ClientContext": client_context(call)}
        if "qualifier" in options:
            parameters["Qualifier"] = options["qualifier"]
        return parameters

    @staticmethod
    def _by_reference(call: JobCall, services: Services, text: str, most: int) -> str:
        """An event that says where the whole one is."""
        if services.objects is None:
            size, function = len(text.encode()), call.options["function"]
            raise JobError(
                f"the event has {size:,} bytes; function '{function}' takes at most {most:,}:"
                " pass where the data is, or keep artifacts on S3 (Runner(artifacts='s3://...'))",
                code="Lambda.PayloadTooLarge",
                retryable=False,
            )
        return compact({PARAMETERS_URL: services.objects.put_input(call.session_id, text)})

    def _invoke(self, call: JobCall, services: Services, parameters: dict[str, Any]) -> Any:
        def use(client: Any) -> dict[str, Any]:
            answer: dict[str, Any] = client.invoke(**parameters)
            # Here, where a connection that breaks off is told as any other failure.
            return answer | {"Payload": answer["Payload"].read()}

        function, as_ = call.options["function"], caller(call.options, call.session_id)
        answer = services.aws.using("lambda", "Invoke", use, as_, function)
        log_tail(call, answer)
        if "FunctionError" in answer:
            raise function_error(function, answer)
        if parameters["InvocationType"] == "Event":
            return None
        return _decoded(answer["Payload"], f"what function '{function}' returned")


def _is_lost(error: AwsError) -> bool:
    """Whether no answer of Lambda's came: none at all, or a page of what is between here and there."""
    from bunsui.aws.errors import NO_ANSWER  # noqa: PLC0415 - only where something is wrong

    # botocore takes the status for the code of what is no answer of AWS's.
    return error.kind == "open" and (error.code == NO_ANSWER or str(error.code).isdigit())


def _is_repeated(error: AwsError, call: JobCall, lost: int) -> bool:
    """Whether a call is made again, under the same key.

    One that may have had an effect is where the job says so; not for ever, where each time the answer is
    lost: what is between here and Lambda, such as a gateway that drops idle connections, may never let it by.
    """
    if error.kind == "open":
        return call.on_lost == "rerun" and lost < MAX_LOST
    return error.kind == "busy"


def client_context(call: JobCall) -> str:
    """What a function finds in ``context.client_context.custom``: the same as one that is bound.

    Where all of it would be too much, the trace context is left out.
    """
    variables = call_variables(call)
    for custom in ({**call.environment, **variables}, variables):
        encoded = base64.b64encode(compact({"custom": custom}).encode()).decode()
        if len(encoded) <= MAX_CONTEXT:
            break
    return encoded


def log_tail(call: JobCall, answer: Mapping[str, Any]) -> None:
    """Puts the last 4 KB of the function's log, which come with its answer, into the job's.

    Where that is not all of it, the records say so, and the whole is read by who reads the job's log.
    """
    from bunsui.jobs.lambda_log import is_whole, level_in  # noqa: PLC0415 - only where a function was called

    text = base64.b64decode(answer.get("LogResult") or "").decode("utf-8", "replace")
    fields: dict[str, Any] = {REQUEST_ID: answer.get("ResponseMetadata", {}).get("RequestId", "")}
    if not is_whole(text):
        fields[TAIL] = True
    for line in text.splitlines():
        call.logger.log(LEVELS[level_in(line)], "%s", line, extra=fields)


def function_error(function: str, answer: Mapping[str, Any]) -> JobError:
    """The error of a function that failed: its code is the type of the exception that it raised."""
    try:
        said = json.loads(answer["Payload"])
    except ValueError:
        said = None
    if not isinstance(said, dict):
        said = {}
    kind = str(said.get("errorType") or answer["FunctionError"])
    text = str(said.get("errorMessage") or f"function '{function}' failed")
    return JobError(text, code=f"Lambda.{kind}")


def _decoded(payload: bytes, what: str) -> Any:
    if not payload:
        return None
    try:
        return json.loads(payload)
    except ValueError as error:
        raise JobError(f"{what} is not JSON: {error}", code="OutputNotJson", retryable=False) from None
