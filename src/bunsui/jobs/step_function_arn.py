"""The ARNs of state machines and of their executions.

A machine, a version and an alias of it, and an execution of it, whichever of these it was started with
("Actions, resources, and condition keys for AWS Step Functions" in IAM's reference)::

    arn:aws:states:eu-central-1:123456789012:stateMachine:load
    arn:aws:states:eu-central-1:123456789012:stateMachine:load:7
    arn:aws:states:eu-central-1:123456789012:stateMachine:load:live
    arn:aws:states:eu-central-1:123456789012:execution:load:NAME
"""

from __future__ import annotations

import re

from attrs import frozen

from bunsui.dsl.problems import quoted
from bunsui.errors import JobError

#: What neither state machines nor executions have in their names: "StartExecution" in the API reference.
_NAME = r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}"
_ARN = re.compile(
    rf"(?P<begin>arn:aws[a-z-]*:states:(?P<region>[a-z0-9-]+):[0-9]{{12}}):stateMachine:(?P<name>{_NAME})"
    r"(?::(?P<qualifier>[0-9A-Za-z_-]{1,80}))?"
)
#: Such as an execution's, by what stands before its name.
_OTHERS = {
    "activity": "an activity",
    "execution": "an execution",
    "express": "an execution of an express state machine",
    "mapRun": "the run of a Map state",
}
#: What is said of what is no such ARN.
EXAMPLE = "arn:aws:states:eu-central-1:123456789012:stateMachine:load"


@frozen
class Machine:
    """A state machine, and which version or alias of it is meant."""

    #: As it stands in the job.
    arn: str
    #: Partition, service, region and account.
    begin: str
    region: str
    name: str
    #: The number of a version, or the name of an alias; None: the latest there is.
    qualifier: str | None

    @classmethod
    def of(cls, text: str) -> Machine:
        """The machine that an ARN names.

        Raises:
            JobError: it names none.
        """
        if (wrong := wrong_with(text)) is not None:
            raise JobError(wrong, code="StepFunctions.InvalidArn", retryable=False)
        found = _ARN.fullmatch(text)
        assert found is not None  # noqa: S101 - `wrong_with` has told
        return cls(text, **found.groupdict())

    @property
    def unqualified(self) -> str:
        """The ARN of the machine itself."""
        return f"{self.begin}:stateMachine:{self.name}"

    @property
    def context(self) -> dict[str, str]:
        """What a policy may ask for beside the machine's own ARN, by condition key.

        A version or an alias has no ARN in policies: "Authorization for versions and aliases" in the Step
        Functions guide.
        """
        return {} if self.qualifier is None else {"states:StateMachineQualifier": self.qualifier}

    def execution(self, name: str) -> str:
        """The ARN of its execution of this name; ``*`` for all of them."""
        return f"{self.begin}:execution:{self.name}:{name}"


def wrong_with(text: str) -> str | None:
    """Why a text is no ARN of a state machine, or of a version or an alias of one; None: it is."""
    if _ARN.fullmatch(text) is not None:
        return None
    parts = text.split(":")
    kind = parts[5] if len(parts) > 6 and parts[0] == "arn" and parts[2] == "states" else ""
    if kind in _OTHERS:
        why = f"the ARN of {_OTHERS[kind]}"
    elif kind == "stateMachine" and "/" in text:
        why = "the ARN of a Map state, which can't be started by itself"
    else:
        why = "no ARN of a state machine"
    return f"'state_machine' is {quoted(text)}, {why}: name a state machine, such as {EXAMPLE}"


def machine_of(execution: str) -> str:
    """The ARN of the machine, without version or alias, that an execution is of."""
    return execution.rpartition(":")[0].replace(":execution:", ":stateMachine:", 1)


def region_of(arn: str) -> str:
    """The region in an ARN."""
    return arn.split(":", 4)[3]


def is_standard(execution: str) -> bool:
    """Whether an execution is one of a standard state machine, by its ARN."""
    return ":express:" not in execution
