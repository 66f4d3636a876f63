"""Executions of state machines of AWS Step Functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import evolve

from bunsui.aws.deployed import PARAMETERS_URL
from bunsui.errors import AwsError, JobError
from bunsui.jobs.aws import FIELDS, caller, console
from bunsui.jobs.aws_remote import AwsRemoteJobType
from bunsui.jobs.looks import READING, Looks
from bunsui.jobs.step_function_arn import Machine, is_standard, machine_of, region_of, wrong_with
from bunsui.jobs.step_function_outcome import STOPPED_HERE, outcome_of
from bunsui.model.json import compact
from bunsui.monitoring import conventions as names
from bunsui.ports.permissions import Permission, Unnamed
from bunsui.ports.remote import CannotTell, Failed, Found, NeverRan, Running, Succeeded
from bunsui.ports.remote_log import LogPage

if TYPE_CHECKING:
    from bunsui.aws.connections import Caller
    from bunsui.ports.job_type import Finding, Hinted, JobCall
    from bunsui.ports.permissions import Where
    from bunsui.ports.remote_log import RemoteLog
    from bunsui.ports.services import Services

#: Bytes of an execution's input: "StartExecution" in the API reference.
MAX_INPUT = 262_144
#: How long after the start of an attempt its name is certain to be taken: it is until 90 days after the end,
#: which an account may have reduced to 30 ("Quotas" in the Step Functions guide).
NAME_AGE = timedelta(days=29)
#: Executions of one machine above which those that run are listed, in place of looking at each.
LISTED_ABOVE = 10
#: Executions of a page of such a list, and its pages that one poll reads.
MAX_LISTED = 1000
MAX_PAGES = 10
#: Machines that are remembered.
MAX_REMEMBERED = 10_000
#: What StopExecution says of what has ended, or is not there any more.
_ENDED = frozenset({"ExecutionDoesNotExist", "ValidationException"})
#: What it says where the reason can't be encrypted by who gives it.
_NO_KEY = frozenset({"KmsAccessDeniedException", "KmsInvalidStateException"})
#: Where an execution's input has the trace that it belongs to.
TRACE_KEY = "_bunsui"
#: An execution that is among those that run, without a look at it.
_RUNS: Mapping[str, Any] = {"status": "RUNNING"}


class StepFunctionJobType(AwsRemoteJobType):
    """``type: step_function``: starts an execution of a state machine, and waits for its end.

    An attempt's key is its execution's name. As long as Step Functions keeps that, it starts no second one,
    so what it does not show (yet) may be started again. After that it may start two, which is why
    `resubmit_is_idempotent` is not promised: `find` says when.
    """

    name: ClassVar[str] = "step_function"
    schema: ClassVar[Mapping[str, Any]] = {
        "title": "Step Functions job",
        "description": "An execution of a state machine of AWS Step Functions.",
        "type": "object",
        "properties": {
            "state_machine": {
                "title": "State machine",
                "description": "The ARN of a standard state machine, or of a version or an alias of one; it"
                " gets the job's parameters as its input, and its output is the job's.",
                "type": "string",
                "minLength": 1,
                "maxLength": 256,
                "examples": ["arn:aws:states:eu-central-1:123456789012:stateMachine:load"],
            },
            **FIELDS,
            "region": {**FIELDS["region"], "description": "Where it runs; the state machine's by default."},
        },
        "required": ["state_machine"],
    }
    binding_field: ClassVar[str | None] = "state_machine"
    service: ClassVar[str] = "stepfunctions"
    poll_batch: ClassVar[int] = 1000

    def __init__(self, services: Services | None = None) -> None:
        super().__init__(services)
        #: Machines that are no express ones.
        self._standard: set[tuple[str, str | None]] = set()
        #: Machines whose executions may not be listed.
        self._unlisted: set[tuple[str, str | None]] = set()
        self._looks = Looks()

    def check(self, options: Mapping[str, Any], job: Mapping[str, Any]) -> list[Finding]:
        """See `JobType.check`."""
        del job
        machine, region = options["state_machine"], options.get("region")
        if "${" in machine:
            return []
        if (wrong := wrong_with(machine)) is not None:
            return [("state_machine", "bad-value", wrong)]
        there = Machine.of(machine).region
        if region is None or "${" in region or region == there:
            return []
        return [
            (
                "region",
                "bad-value",
                f"'region' is {region}, and the state machine is in {there}: leave it out",
            )
        ]

    def require(self, options: Mapping[str, Any]) -> None:
        """See `JobType.require`."""
        self._runner.aws.require(self.service, "StartExecution", caller_of(options), options["state_machine"])

    def verify(self, options: Mapping[str, Any]) -> Sequence[Finding | Hinted]:
        """See `JobType.verify`: whether the state machine is there, and may be started and followed."""
        from bunsui.jobs.step_function_verifying import findings  # noqa: PLC0415 - only for 'pipeline check'

        return findings(self._runner.aws, options, caller_of(options))

    def permissions(self, options: Mapping[str, Any], where: Where) -> Iterable[Permission | Unnamed]:
        """See `JobType.permissions`."""
        del where  # The ARN says it.
        if "${" in options["state_machine"]:
            return [Unnamed("'state_machine' is known only when the job starts")]
        machine = Machine.of(options["state_machine"])
        return [
            Permission(
                ("states:StartExecution", "states:DescribeStateMachine"),
                (machine.unqualified,),
                {"StringEquals": machine.context} if machine.context else {},
            ),
            Permission(("states:ListExecutions",), (machine.unqualified,)),
            Permission(("states:DescribeExecution", "states:StopExecution"), (machine.execution("*"),)),
        ]

    # Beginnings

    def submit(self, call: JobCall) -> Any:
        """See `RemoteJobType.submit`. The handle has what is needed to ask for the execution again."""
        machine = Machine.of(call.options["state_machine"])
        as_ = caller_of(call.options, call.session_id)
        text = self._input(call)
        self._be_standard(machine, as_)
        parameters = {"stateMachineArn": machine.arn, "name": call.idempotency_key, "input": text}
        try:
            answer = self._runner.aws.call(self.service, "StartExecution", parameters, as_, machine.arn)
        except AwsError as error:
            # It has ended already, or had another input, such as a secret's value before a change.
            if error.code != "ExecutionAlreadyExists":
                raise
            return self._handle(call, machine.execution(call.idempotency_key))
        execution = str(answer["executionArn"])
        if not is_standard(execution):
            raise _express(machine, "it has been started, and what becomes of it is not known")
        return self._handle(call, execution)

    def find(self, call: JobCall) -> Found | NeverRan | CannotTell:
        """See `RemoteJobType.find`: looks for the execution that has the attempt's name."""
        execution = Machine.of(call.options["state_machine"]).execution(call.idempotency_key)
        try:
            parameters = {"executionArn": execution}
            self._runner.aws.call(
                self.service, "DescribeExecution", parameters, caller_of(call.options), execution
            )
        except AwsError as error:
            if not self.is_gone(error):
                raise
            # One that was started just now may not be shown yet; its name is taken all the same.
            now = self._runner.clock.now()
            is_young = call.started_at is not None and now - call.started_at < NAME_AGE
            return NeverRan(is_certain=False) if is_young else CannotTell()
        return Found(self._handle(call, execution))

    def _input(self, call: JobCall) -> str:
        """The execution's input, or one that says where it is.

        Raises:
            JobError: it is too large.
            AwsError: it is, and could not be kept on S3.
        """
        text = compact(_traced(call))
        if len(text.encode()) > MAX_INPUT:  # The trace is not what a job fails for.
            text = compact(call.parameters)
        size, objects = len(text.encode()), self._runner.objects
        if size <= MAX_INPUT:
            return text
        if objects is not None:
            return compact({PARAMETERS_URL: objects.put_input(call.session_id, text)})
        raise JobError(
            f"the input of the execution has {size:,} bytes; Step Functions takes at most {MAX_INPUT:,}:"
            " pass where the data is, or keep artifacts on S3 (Runner(artifacts='s3://...'))",
            code="StepFunctions.PayloadTooLarge",
            retryable=False,
        )

    def _be_standard(self, machine: Machine, as_: Caller) -> None:
        """Makes sure, as far as that may be seen, that it is none that can't be followed.

        Raises:
            JobError: it is an express one.
            AwsError: there was no answer.
        """
        key = machine.unqualified, as_.role
        if key in self._standard:
            return
        parameters = {"stateMachineArn": machine.arn, "includedData": "METADATA_ONLY"}
        try:
            answer = self._runner.aws.call(self.service, "DescribeStateMachine", parameters, as_, machine.arn)
        except AwsError as error:
            if error.kind == "refused":
                return  # It may not be looked at, or is too new to be shown: the start itself tells.
            from bunsui.aws.errors import beforehand  # noqa: PLC0415 - only where something is wrong

            raise beforehand(error) from error.__cause__
        if answer.get("type") == "EXPRESS":
            raise _express(machine, "nothing was started")
        self._remember(self._standard, key)

    def _remember(self, where: set[tuple[str, str | None]], key: tuple[str, str | None]) -> None:
        with self._lock:
            if len(where) >= MAX_REMEMBERED:
                where.clear()
            where.add(key)

    @staticmethod
    def _handle(call: JobCall, execution: str) -> dict[str, Any]:
        role = call.options.get("role")
        return {"execution": execution, "region": region_of(execution)} | ({"role": role} if role else {})

    def span_attributes(self, options: Mapping[str, Any], handle: Any) -> Mapping[str, str]:
        """See `JobType.span_attributes`: the state machine, and the execution."""
        found = {names.STATE_MACHINE: options["state_machine"]}
        if handle is None:
            return found
        arn, region = handle["execution"], handle["region"]
        url = console(region, f"states/home?region={region}#/v2/executions/details/{arn}")
        return found | {names.EXECUTION: arn} | url

    # Watching

    def poll(self, handles: Sequence[Any]) -> Sequence[Running | Succeeded | Failed | CannotTell]:
        """See `RemoteJobType.poll`. The handles are of one account and region."""
        outcomes: list[Running | Succeeded | Failed | CannotTell] = [Running()] * len(handles)
        read_by = self._runner.clock.monotonic() + READING
        ask = partial(self._executions, read_by)
        found = self.described(handles, lambda each: machine_of(each["execution"]), self.poll_batch, ask)
        for i, execution in found.items():
            outcomes[i] = self._outcome(handles[i]["execution"], execution)
        return outcomes

    def is_gone(self, error: AwsError) -> bool:
        """See `AwsRemoteJobType.is_gone`."""
        return error.code == "ExecutionDoesNotExist"

    def _executions(
        self, read_by: float, machine: str, handles: Sequence[Any]
    ) -> list[Mapping[str, Any] | Running | BaseException | None]:
        """The executions as they are; None for those that are not shown.

        Where there are many, those that run are listed; each of the others is looked at, for some time. Of
        those that are left then, nothing is known that there was not before.
        """
        arns = [handle["execution"] for handle in handles]
        running = self._running(machine, handles[0], {*arns}) if len(arns) > LISTED_ABOVE else frozenset()
        said: list[Mapping[str, Any] | Running | BaseException | None]
        said = [_RUNS if arn in running else Running() for arn in arns]
        others = self._looks.order({i: arn for i, arn in enumerate(arns) if arn not in running})
        for at, i in enumerate(others):
            if at and self._runner.clock.monotonic() > read_by:
                break
            try:
                said[i] = self._look_at(handles[i])
            except AwsError as error:
                for left in others[at:]:  # It would not be answered for these, either.
                    said[left] = error
                break
        return said

    def _running(self, machine: str, handle: Mapping[str, Any], wanted: set[str]) -> frozenset[str]:
        """The executions of a machine that run, as far as they are listed.

        Raises:
            AwsError: there are no credentials.
        """
        key = machine, handle.get("role")
        found: set[str] = set()
        parameters = {"stateMachineArn": machine, "statusFilter": "RUNNING", "maxResults": MAX_LISTED}
        try:
            for _ in range(0 if key in self._unlisted else MAX_PAGES):
                answer = self.look("ListExecutions", parameters, handle, machine)
                found.update(each["executionArn"] for each in answer.get("executions", []))
                if "nextToken" not in answer or wanted <= found:
                    break
                parameters["nextToken"] = answer["nextToken"]
        except AwsError as error:
            if error.kind == "credentials":
                raise
            if error.code == "AccessDeniedException":
                self._remember(self._unlisted, key)
        return frozenset(found)

    def _look_at(self, handle: Mapping[str, Any]) -> Mapping[str, Any] | None:
        execution = handle["execution"]
        self._looks.begin(execution)
        try:
            return self.look("DescribeExecution", {"executionArn": execution}, handle, execution)
        except AwsError as error:
            if self.is_gone(error):
                return None
            raise

    def _outcome(
        self, execution: str, described: Mapping[str, Any] | Running | None
    ) -> Running | Succeeded | Failed | CannotTell:
        if isinstance(described, Running):
            return described
        if described is None:
            return self.while_missing(execution)
        self.is_there(execution)
        outcome = outcome_of(described)
        if not isinstance(outcome, Running):
            self._looks.over(execution)
        return outcome

    def cancel(self, handle: Any) -> None:
        """See `RemoteJobType.cancel`."""
        execution, as_ = handle["execution"], self.caller_of(handle)
        for parameters in ({"cause": STOPPED_HERE}, {}):
            try:
                stop = {"executionArn": execution, **parameters}
                self._runner.aws.call(self.service, "StopExecution", stop, as_, execution)
            except AwsError as error:
                if error.code in _NO_KEY and parameters:
                    continue  # Without a reason nothing has to be encrypted.
                if error.code not in _ENDED:
                    raise
            return

    # Reading

    def log_page(self, about: RemoteLog, token: Any) -> LogPage:
        """See `JobType.log_page`: the history of the execution."""
        from bunsui.jobs.step_function_log import page  # noqa: PLC0415 - only for who reads logs

        handle = about.handle
        if handle is None:
            return LogPage()
        execution, as_ = handle["execution"], self.caller_of(handle)
        return page(self._runner.aws, as_, execution, token, about.limit, about.last)


def _traced(call: JobCall) -> Mapping[str, Any]:
    """The input with the trace that it belongs to, where there is one: no state is told of it otherwise."""
    trace = {name.lower(): value for name, value in call.environment.items()}
    if not trace or TRACE_KEY in call.parameters:
        return call.parameters
    return {**call.parameters, TRACE_KEY: trace}


def caller_of(options: Mapping[str, Any], *session: str) -> Caller:
    """As whom, and where, Step Functions is called for a job: in the region of its machine, if known."""
    found, machine = caller(options, *session), options["state_machine"]
    if found.region is not None or "${" in machine or wrong_with(machine) is not None:
        return found
    return evolve(found, region=Machine.of(machine).region)


def _express(machine: Machine, what: str) -> JobError:
    return JobError(
        f"state machine '{machine.name}' is an express one, whose executions can't be followed; {what}:"
        " name a standard one",
        code="StepFunctions.StateMachineTypeNotSupported",
        retryable=False,
    )
