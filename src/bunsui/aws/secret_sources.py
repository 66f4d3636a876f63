"""The secret sources at AWS: Secrets Manager, and the Parameter Store of Systems Manager."""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

from bunsui.aws.asking import ask
from bunsui.aws.connections import Caller
from bunsui.errors import AwsError, JobError, StateError
from bunsui.ports.permissions import Permission, literal
from bunsui.ports.secrets import SecretSource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bunsui.ports.permissions import Unnamed, Where
    from bunsui.ports.services import Services

#: What Secrets Manager puts behind a secret's name in its ARN: "-" and six characters of its own choice. See
#: "Secrets Manager secret ARN" in its guide.
ANY_SUFFIX = "-??????"
_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}\Z")
#: A name, which holds neither colon nor "#", or an ARN; a version of it.
_SECRET = re.compile(
    r"(?P<id>arn:[^:]+:secretsmanager:(?P<region>[^:]+):\d{12}:secret:[^:]+|[^:]+)(?::(?P<version>[^:]+))?"
)
_PARAMETER = re.compile(
    r"(?P<id>arn:[^:]+:ssm:(?P<region>[^:]+):\d{12}:parameter/[^:]+|[^:]+)(?::(?P<version>[^:]+))?"
)
#: What keys look like, for a person.
FORM = "NAME, NAME:VERSION, NAME#FIELD or NAME:VERSION#FIELD, where NAME may be an ARN"
#: The id of a version, as Secrets Manager makes it; other texts are staging labels.
_VERSION_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
#: Parameters of this name are secrets of Secrets Manager: "Referencing AWS Secrets Manager secrets from
#: Parameter Store parameters" in the guide of Systems Manager.
REFERENCE = "/aws/reference/secretsmanager/"


class KeyNotUsable(JobError):
    """The key of a secret is none that its source takes."""

    default_retryable = False


class SecretNotText(JobError):
    """A secret is there, and is no text."""

    default_retryable = False


class AwsSource(SecretSource):
    """Secrets at AWS. What it raises has nothing of their values, so its text can be shown.

    A key is the name or the ARN of a secret, then, where wanted, ``:`` and a version, then ``#`` and a field
    of the JSON object that the secret is.

    Args:
        services: of the runner that it is used by.
    """

    kept_for_session: ClassVar[bool] = True
    #: As boto3 calls it.
    service: ClassVar[str]
    #: As AWS calls it.
    action: ClassVar[str]
    #: How keys look, but for the field.
    form: ClassVar[re.Pattern[str]]

    def __init__(self, services: Services | None = None) -> None:
        self._services = services

    def for_runner(self, services: Services) -> Self:
        """See `SecretSource.for_runner`."""
        return type(self)(services)

    def get(self, key: str) -> str:
        """The value of a secret, or of one of its fields; see `SecretSource.get`.

        Raises:
            LookupError: there is no such secret, version or field.
            KeyNotUsable, SecretNotText: as they say.
            AwsError: AWS refused, or gave no answer, also when asked again; or there are no credentials.
        """
        if self._services is None:
            raise StateError("secrets at AWS are asked for by a Runner, which has not been asked here")
        named, field = self._read(key)
        aws, as_ = self._services.aws, Caller(named["region"])
        parameters = self._parameters(named)
        call = partial(aws.call, self.service, self.action, parameters, as_, named["id"])
        try:
            text = self._text(ask(aws, self.service, as_, call))
        except AwsError as error:
            if error.kind == "refused" and (error.code or "").partition("Exception")[0].endswith("NotFound"):
                raise LookupError(str(error)) from None
            raise
        if text is None:
            raise SecretNotText(f"'{named['id']}' is binary, and a job is given a text: keep it as one")
        return text if field is None else _field(text, field, named["id"])

    def _read(self, key: str) -> tuple[re.Match[str], str | None]:
        """The parts of a key: what `form` finds in it, and the field."""
        name, mark, field = key.partition("#")
        found = self.form.fullmatch(name)
        if found is None or (mark and not field):
            raise KeyNotUsable(f"'{key}' is not of the form {FORM}")
        return found, field if mark else None

    @abstractmethod
    def _parameters(self, named: re.Match[str]) -> dict[str, Any]:
        """What AWS is asked with."""

    @abstractmethod
    def _text(self, answer: dict[str, Any]) -> str | None:
        """The whole secret; None: it is no text."""


class SecretsManager(AwsSource):
    """Secrets Manager, as the source ``secretsmanager``."""

    service: ClassVar[str] = "secretsmanager"
    action: ClassVar[str] = "GetSecretValue"
    form: ClassVar[re.Pattern[str]] = _SECRET

    def permissions(self, key: str, where: Where) -> Iterable[Permission | Unnamed]:
        """See `SecretSource.permissions`.

        One for a key of AWS KMS that is the user's own can't be seen in the secret's name.
        """
        named, _ = self._read(key)
        name = literal(named["id"])
        if named["region"] is None:
            arns = [where.arn("secretsmanager", f"secret:{name}{ANY_SUFFIX}")]
        else:
            # AWS takes an ARN without the six characters, too, and a name may end as if it had them.
            arns = [*([name] if _SUFFIX.search(name) else []), f"{name}{ANY_SUFFIX}"]
        return [Permission(["secretsmanager:GetSecretValue"], arns)]

    def _parameters(self, named: re.Match[str]) -> dict[str, Any]:
        version = named["version"]
        if version is None:
            return {"SecretId": named["id"]}
        name = "VersionId" if _VERSION_ID.fullmatch(version) else "VersionStage"
        return {"SecretId": named["id"], name: version}

    def _text(self, answer: dict[str, Any]) -> str | None:
        return answer.get("SecretString")


class ParameterStore(AwsSource):
    """The Parameter Store of Systems Manager, as the source ``ssm``; a list is a text with commas."""

    service: ClassVar[str] = "ssm"
    action: ClassVar[str] = "GetParameter"
    form: ClassVar[re.Pattern[str]] = _PARAMETER

    def permissions(self, key: str, where: Where) -> Iterable[Permission | Unnamed]:
        """See `SecretSource.permissions`.

        One for a key of AWS KMS that is the user's own can't be seen in the parameter's name.
        """
        named, _ = self._read(key)
        name = literal(named["id"])
        if named["region"] is not None:
            return [Permission(["ssm:GetParameter"], [name])]
        wanted = [Permission(["ssm:GetParameter"], [where.arn("ssm", f"parameter/{name.removeprefix('/')}")])]
        if name.startswith(REFERENCE):
            secret = where.arn("secretsmanager", f"secret:{name.removeprefix(REFERENCE)}{ANY_SUFFIX}")
            wanted.append(Permission(["secretsmanager:GetSecretValue"], [secret]))
        return wanted

    def _parameters(self, named: re.Match[str]) -> dict[str, Any]:
        return {"Name": named[0], "WithDecryption": True}

    def _text(self, answer: dict[str, Any]) -> str | None:
        return str(answer["Parameter"]["Value"])


def _field(text: str, field: str, secret: str) -> str:
    """A field of a secret that is a JSON object; numbers as they are written there.

    Raises:
        LookupError: it has no such field.
        SecretNotText: it is no object, or the field is no text, number or boolean.
    """
    try:
        # A number is the text that it is written as.
        whole = json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        whole = None  # Not from within the handler: a JSONDecodeError keeps the whole text.
    if not isinstance(whole, dict):
        raise SecretNotText(f"'{secret}' is no JSON object, so it has no field '{field}'")
    if field not in whole:
        raise LookupError(f"'{secret}' has no field '{field}'")
    value = whole[field]
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        kind = "null" if value is None else "a list" if isinstance(value, list) else "an object"
        raise SecretNotText(f"field '{field}' of '{secret}' is {kind}, not a text")
    return value
