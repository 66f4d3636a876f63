"""Secrets Manager and the Parameter Store, as far as their values are asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from bunsui_tests.aws.messages import Call, Refusal
from bunsui_tests.aws.protocols import JsonService


class FakeSecretsManager(JsonService):
    """Secrets by name, in every account and region."""

    name: ClassVar[str] = "secretsmanager"

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    @property
    def actions(self) -> dict[str, Callable[[Call], dict[str, Any]]]:
        return {"GetSecretValue": self._get}

    def _get(self, call: Call) -> dict[str, Any]:
        found = self.values.get(call.parameters["SecretId"])
        if found is None:
            text = "Secrets Manager can't find the specified secret."
            raise Refusal("ResourceNotFoundException", text)
        return {"Name": call.parameters["SecretId"], "SecretString": found}


class FakeParameterStore(JsonService):
    """Parameters by name, in every account and region."""

    name: ClassVar[str] = "ssm"

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    @property
    def actions(self) -> dict[str, Callable[[Call], dict[str, Any]]]:
        return {"GetParameter": self._get}

    def _get(self, call: Call) -> dict[str, Any]:
        found = self.values.get(call.parameters["Name"])
        if found is None:
            raise Refusal("ParameterNotFound", "")
        return {"Parameter": {"Name": call.parameters["Name"], "Type": "SecureString", "Value": found}}
