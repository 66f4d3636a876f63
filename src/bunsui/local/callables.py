"""Finding a Python callable by its name, and calling it the way its job wants."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
import time
from functools import reduce
from typing import TYPE_CHECKING, Any

from bunsui.errors import JobError
from bunsui.model.job import LOCAL_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from bunsui.ports.job_type import Function, JobCall

_importing = threading.RLock()


def find(function: Function) -> Callable[..., Any]:
    """The callable that `function` names.

    Its module is looked for in the function's folders first, then on `sys.path`, which stays as it is.

    Raises:
        JobError: there is none, with the code ``CallableNotFound`` and the reason.
    """
    if function.function is not None:
        found = function.function
    elif function.target.startswith(LOCAL_PREFIX):
        raise _not_found(function, "it exists only in the process that made it")
    else:
        module_name, _, qualname = function.target.partition(":")
        try:
            with _importing:
                module = _module(module_name, function.folders)
        except (Exception, SystemExit) as error:  # The border: a module's code may raise anything.
            raise _not_found(function, f"{type(error).__name__}: {error}") from error
        try:
            found = reduce(getattr, qualname.split("."), module)
        except AttributeError:
            raise _not_found(function, f"module '{module_name}' has no '{qualname}'") from None
    if not callable(found):
        raise _not_found(function, f"it is {type(found).__name__}, which can't be called")
    return found  # type: ignore[no-any-return]


def _not_found(function: Function, reason: str) -> JobError:
    return JobError(
        f"callable '{function.target}' can't be imported: {reason}",
        code="CallableNotFound",
        retryable=False,
    )


def _module(name: str, folders: Sequence[Path]) -> ModuleType:
    for folder in folders:
        path = folder.joinpath(*name.split("."))
        file = next((f for f in (path.with_suffix(".py"), path / "__init__.py") if f.is_file()), None)
        if file is None:
            continue
        loaded = sys.modules.get(name)
        if loaded is not None and getattr(loaded, "__file__", None) == str(file):
            return loaded
        # Two definitions may each have a handlers.py beside them: each gets a name of its own.
        private = f"_bunsui_{abs(hash(str(file))):x}_{name.replace('.', '_')}"
        if private in sys.modules:
            return sys.modules[private]
        spec = importlib.util.spec_from_file_location(private, file)
        if spec is None or spec.loader is None:
            continue
        module = importlib.util.module_from_spec(spec)
        sys.modules[private] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:  # Only to clean up: it goes on.
            del sys.modules[private]
            raise
        return module
    return importlib.import_module(name)


def invoke(function: Callable[..., Any], style: str, name: str, call: JobCall) -> Any:
    """Calls `function` for `call`; what an async one returns is an awaitable."""
    if style == "lambda":
        return function(dict(call.parameters), LambdaContext(name, call))
    return function(**call.parameters)


class ClientContext:
    """What a caller tells a Lambda function beside its event."""

    def __init__(self, custom: Mapping[str, str]) -> None:
        self.custom = dict(custom)
        self.env: dict[str, str] = {}
        self.client = None


class LambdaContext:
    """The context object of a Lambda function, as far as there is a meaning to it on this machine.

    After https://docs.aws.amazon.com/lambda/latest/dg/python-context.html.
    """

    def __init__(self, function_name: str, call: JobCall) -> None:
        self.function_name = function_name
        self.function_version = "$LATEST"
        self.invoked_function_arn = f"arn:aws:lambda:local:000000000000:function:{function_name}"
        self.memory_limit_in_mb = "128"
        self.aws_request_id = call.idempotency_key
        self.log_group_name = f"/aws/lambda/{function_name}"
        self.log_stream_name = call.session_id
        self.identity = None
        self.client_context = ClientContext({**call.environment, **call_variables(call)})
        self._deadline = call.deadline

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the job's timeout; 15 minutes, Lambda's longest, where it has none."""
        if self._deadline is None:
            return 900_000
        return max(0, int((self._deadline - time.monotonic()) * 1000))


def call_variables(call: JobCall) -> dict[str, str]:
    """What every job is told about its call: variables of a process, ``custom`` of a Lambda function."""
    return {
        "BUNSUI_SESSION_ID": call.session_id,
        "BUNSUI_JOB_ID": call.job_id,
        "BUNSUI_ATTEMPT": str(call.attempt),
        "BUNSUI_IDEMPOTENCY_KEY": call.idempotency_key,
    }
