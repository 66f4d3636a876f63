"""Lambda: functions that are callables of the test."""

from __future__ import annotations

import base64
import json
import re
import threading
import traceback
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import unquote

from attrs import define, field, frozen

from bunsui_tests.aws.logs import FakeLogs
from bunsui_tests.aws.messages import Call, Refusal, Reply, Request, encoded
from bunsui_tests.aws.policies import Need
from bunsui_tests.aws.protocols import Refusals, Service

#: Bytes of a payload, there and back; and of one that nobody waits for.
MAX_PAYLOAD = 6 * 1024 * 1024
MAX_EVENT_PAYLOAD = 1024 * 1024
#: Bytes of a log's end that an answer brings, and of an encoded client context.
MAX_TAIL = 4096
MAX_CONTEXT = 3583

#: Takes the event and the client context (None where there was none); what it raises is the handler's error.
Body = Callable[[Any, Any], Any]
_PATH = re.compile(r"/2015-03-31/functions/([^/]+)(/invocations|/configuration|)")


class FunctionDied(Exception):
    """A function's process ended: raised by its body, it is the error that the runtime reports.

    Args:
        error_type: Such as ``Sandbox.Timedout`` or ``Runtime.ExitError``.
        message: Its text.
    """

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type


@frozen
class Invocation:
    """A function was called."""

    function: str
    #: The version that ran.
    version: str
    event: Any
    #: What the client has sent beside it; None: nothing.
    client_context: Any
    request_id: str
    #: ``RequestResponse`` or ``Event``.
    type: str
    access_key: str


@define
class _Function:
    name: str
    body: Body
    #: The version that each qualifier stands for.
    versions: Mapping[str, str]
    configuration: dict[str, Any]
    #: Of the stream of its log.
    stream: str = field(factory=lambda: uuid.uuid4().hex)


class FakeLambda(Service):
    """Lambda; functions are in every account and region. What they log can be read from CloudWatch Logs."""

    name = "lambda"
    refusals: ClassVar[Refusals] = Refusals(
        throttled=("TooManyRequestsException", 429),
        denied=("AccessDeniedException", 403),
        expired=("ExpiredTokenException", 403),
        unknown_key=("UnrecognizedClientException", 403),
        broken="ServiceException",
    )

    def __init__(self, logs: FakeLogs) -> None:
        self._logs = logs
        self._lock = threading.Lock()
        self._functions: dict[str, _Function] = {}
        self._invocations: list[Invocation] = []
        self._running = threading.local()
        self._threads: list[threading.Thread] = []

    def add(
        self, name: str, body: Body, *, versions: Mapping[str, str] | None = None, **configuration: Any
    ) -> None:
        """A function that can be called from now on.

        Args:
            name: Its name.
            body: What it does; several threads run it at once.
            versions: What may be asked for as qualifier beside ``$LATEST``, with the version that it is.
            configuration: Fields of GetFunctionConfiguration, such as ``Timeout``.
        """
        made = _Function(name, body, {"$LATEST": "$LATEST", **(versions or {})}, configuration)
        with self._lock:
            self._functions[name] = made

    def log(self, line: str) -> None:
        """Writes to the log of the function that runs in this thread."""
        self._running.lines.append(line)

    @property
    def invocations(self) -> list[Invocation]:
        """The calls whose function has run or runs, oldest first."""
        with self._lock:
            return list(self._invocations)

    def close(self) -> None:
        """Waits for functions that nobody waits for, 10 s each."""
        for thread in self._threads:
            thread.join(10.0)

    def parse(self, request: Request) -> tuple[str, dict[str, Any]]:
        found = _PATH.fullmatch(request.path)
        if not found:
            raise Refusal("UnknownOperationException", f"{request.path} is not made here", 404)
        parameters: dict[str, Any] = {"FunctionName": unquote(found[1])}
        if "Qualifier" in request.query:
            parameters["Qualifier"] = request.query["Qualifier"]
        if found[2] != "/invocations":
            return ("GetFunctionConfiguration" if found[2] else "GetFunction"), parameters
        headers = request.headers
        parameters["InvocationType"] = headers.get("x-amz-invocation-type", "RequestResponse")
        parameters["LogType"] = headers.get("x-amz-log-type", "None")
        parameters["Payload"] = request.body
        if encoded_context := headers.get("x-amz-client-context"):
            if len(encoded_context) > MAX_CONTEXT:
                raise Refusal("InvalidRequestContentException", f"Client context exceeds {MAX_CONTEXT} bytes")
            parameters["ClientContext"] = json.loads(base64.b64decode(encoded_context))
        return "Invoke", parameters

    def needs(self, call: Call) -> list[Need]:
        """A function is named with a version or an alias exactly where the call names one."""
        given = call.parameters["FunctionName"]
        arn = given if given.startswith("arn:") else _arn(call, given.rpartition("function:")[2])
        if "Qualifier" in call.parameters:
            arn = f"{arn.removesuffix(':' + call.parameters['Qualifier'])}:{call.parameters['Qualifier']}"
        return [Need("lambda:InvokeFunction" if call.action == "Invoke" else f"lambda:{call.action}", arn)]

    def answer(self, call: Call) -> Reply:
        function, qualifier = self._find(call)
        if call.action == "Invoke":
            return self._invoke(call, function, function.versions[qualifier])
        configuration = {
            "FunctionName": function.name,
            "FunctionArn": _arn(call, function.name),
            "Runtime": "python3.12",
            "Handler": "handler.handler",
            "Timeout": 3,
            "MemorySize": 128,
            "State": "Active",
            "Version": function.versions[qualifier],
            "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{function.name}"},
            **function.configuration,
        }
        whole = (
            configuration if call.action == "GetFunctionConfiguration" else {"Configuration": configuration}
        )
        return Reply(200, encoded(whole))

    def refuse(self, refusal: Refusal) -> Reply:
        members = {"Type": "User" if refusal.status < 500 else "Service", **refusal.members}
        body = encoded({"Message": refusal.message, "message": refusal.message, **members})
        return Reply(refusal.status, body, {"X-Amzn-ErrorType": refusal.code}, refusal.code)

    def _find(self, call: Call) -> tuple[_Function, str]:
        """The function that is meant by a name, a whole ARN or a part of one; and by which qualifier."""
        given = call.parameters["FunctionName"]
        whole = re.fullmatch(
            r"(?:(?:arn:aws:lambda:([\w-]+):)?(\d{12}):function:)?([\w-]+)(?::([\w$-]+))?", given
        )
        if whole is None:
            raise Refusal(
                "ValidationException", f"Value '{given}' at 'functionName' failed to satisfy constraint"
            )
        region, account, name, of_name = whole.groups()
        qualifier = call.parameters.get("Qualifier") or of_name or "$LATEST"
        arn = _arn(call, name) + ("" if qualifier == "$LATEST" else f":{qualifier}")
        if account not in {None, call.account} or region not in {None, call.region}:
            code, status = self.refusals.denied
            raise Refusal(code, f"no resource-based policy allows the action on {given}", status)
        with self._lock:
            function = self._functions.get(name)
        if function is None or qualifier not in function.versions:
            raise Refusal("ResourceNotFoundException", f"Function not found: {arn}", 404)
        return function, qualifier

    def _invoke(self, call: Call, function: _Function, version: str) -> Reply:
        kind, payload = call.parameters["InvocationType"], call.parameters["Payload"]
        limit = MAX_EVENT_PAYLOAD if kind == "Event" else MAX_PAYLOAD
        if len(payload) > limit:
            text = f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
            raise Refusal("RequestTooLargeException", text, 413)
        try:
            event = json.loads(payload or b"{}")
        except ValueError as error:
            text = f"Could not parse request body into json: {error}"
            raise Refusal("InvalidRequestContentException", text) from error
        request_id = str(uuid.uuid4())
        headers = {"X-Amzn-Requestid": request_id, "X-Amz-Executed-Version": version}
        if kind == "DryRun":
            return Reply(204, b"", headers)
        context = call.parameters.get("ClientContext")
        made = Invocation(function.name, version, event, context, request_id, kind, call.access_key)
        with self._lock:
            self._invocations.append(made)
        if kind == "Event":
            thread = threading.Thread(target=self._run, args=(function, made), daemon=True)
            self._threads.append(thread)
            thread.start()
            return Reply(202, b"", headers)
        is_error, result, log = self._run(function, made)
        if is_error:
            headers["X-Amz-Function-Error"] = "Unhandled"
        if call.parameters["LogType"] == "Tail":
            headers["X-Amz-Log-Result"] = base64.b64encode(log.encode()[-MAX_TAIL:]).decode()
        return Reply(200, result, headers)

    def _run(self, function: _Function, made: Invocation) -> tuple[bool, bytes, str]:
        """Whether it has failed, its result or error, and its log."""
        lines = self._running.lines = [f"START RequestId: {made.request_id} Version: {made.version}"]
        is_error, result = _outcome(function.body, made)
        if is_error:
            lines.append(f"[ERROR] {json.loads(result)['errorMessage']}")
        lines.append(f"END RequestId: {made.request_id}")
        lines.append(f"REPORT RequestId: {made.request_id}\tDuration: 1.00 ms\tBilled Duration: 1 ms")
        stream = f"{datetime.now(UTC):%Y/%m/%d}/[{made.version}]{function.stream}"
        lines = [f"{line}\n" for line in lines]
        self._logs.put(f"/aws/lambda/{function.name}", stream, *lines, after_reads=self._logs.delay)
        return is_error, result, "".join(lines)


def _outcome(body: Body, made: Invocation) -> tuple[bool, bytes]:
    try:
        result = body(made.event, made.client_context)
    except FunctionDied as error:
        return True, encoded({"errorType": error.error_type, "errorMessage": str(error)})
    except BaseException as error:  # A handler's error, whatever it is, is what is answered.
        return True, encoded({
            "errorMessage": str(error),
            "errorType": type(error).__name__,
            "requestId": made.request_id,
            "stackTrace": traceback.format_tb(error.__traceback__)[1:],
        })  # fmt: skip
    try:
        text = encoded(result)
    except (TypeError, ValueError) as error:
        message = f"Unable to marshal response: {error}"
        return True, encoded({"errorType": "Runtime.MarshalError", "errorMessage": message})
    if len(text) > MAX_PAYLOAD:
        message = f"Response payload size exceeded maximum allowed payload size ({MAX_PAYLOAD} bytes)."
        return True, encoded({"errorType": "Function.ResponseSizeTooLarge", "errorMessage": message})
    return False, text


def _arn(call: Call, name: str) -> str:
    return f"arn:aws:lambda:{call.region}:{call.account}:function:{name}"
