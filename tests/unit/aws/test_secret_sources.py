"""Secrets from Secrets Manager and from the Parameter Store, over HTTP: moto's and ministack's."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

import bunsui
from bunsui.aws.connections import Connections
from bunsui.aws.secret_sources import AwsSource, KeyNotUsable, ParameterStore, SecretNotText, SecretsManager
from bunsui.aws.settings import AwsSettings
from bunsui.errors import AwsError, StateError
from bunsui.ports.permissions import Permission, Where
from bunsui.ports.secrets import SecretSource
from bunsui.ports.services import Services
from bunsui.testing import FakeClock, SecretSourceSuite
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.secrets import FakeParameterStore, FakeSecretsManager

pytestmark = pytest.mark.usefixtures("aws_environment")

WHERE = Where("eu-central-1", "123456789012")
FIELDS = (
    '{"password": "hunter2-\\u00e9 \\n", "port": 5432, "rate": 1.50, "on": true,'
    ' "a": [1], "n": null, "o": {}}'
)


def source_at(kind: type[AwsSource], url: str) -> AwsSource:
    """As a runner uses it that calls this endpoint, and waits for nothing."""
    aws = Connections(
        AwsSettings(endpoints={"": url}), random=Random(0), wait=lambda event, _: event.is_set()
    )
    return kind().for_runner(Services(aws, FakeClock(), Random(0)))


@pytest.fixture(params=["moto_server", "ministack"])
def emulator(request: pytest.FixtureRequest) -> Any:
    """Each of them."""
    return request.getfixturevalue(request.param)


class TestSecretsManagerAsASource(SecretSourceSuite):
    """Secrets Manager keeps what every source has to keep."""

    known = ("prod/db#password", "hunter2-\u00e9 \n")
    unknown = "prod/none"

    @pytest.fixture
    def source(self, moto_server: Any, monkeypatch: pytest.MonkeyPatch) -> AwsSource:
        monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server.url)
        self.client = moto_server.client("secretsmanager")
        self.client.create_secret(Name="prod/db", SecretString=FIELDS)
        return source_at(SecretsManager, moto_server.url)

    def change(self, source: SecretSource) -> str:
        self.client.put_secret_value(SecretId="prod/db", SecretString='{"password": "another"}')
        return "another"


class TestParameterStoreAsASource(SecretSourceSuite):
    """The Parameter Store keeps what every source has to keep."""

    known = ("/prod/db", " hunter2-\u00e9 \n")
    unknown = "/prod/none"

    @pytest.fixture
    def source(self, moto_server: Any, monkeypatch: pytest.MonkeyPatch) -> AwsSource:
        monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server.url)
        self.client = moto_server.client("ssm")
        self.client.put_parameter(Name="/prod/db", Value=self.known[1], Type="SecureString")
        return source_at(ParameterStore, moto_server.url)

    def change(self, source: SecretSource) -> str:
        self.client.put_parameter(Name="/prod/db", Value="another", Type="SecureString", Overwrite=True)
        return "another"


class TestSecretsManager:
    """What a key of the source ``secretsmanager`` means."""

    @pytest.fixture
    def made(self, emulator: Any) -> dict[str, str]:
        """A secret with a version before: its ARN, and that version's id."""
        client = emulator.client("secretsmanager")
        first = client.create_secret(Name="prod/db", SecretString=FIELDS)
        client.put_secret_value(SecretId="prod/db", SecretString='{"password": "new"}')
        client.create_secret(Name="key", SecretBinary=b"hunter2")
        return {"arn": first["ARN"], "version": first["VersionId"]}

    @pytest.fixture
    def source(self, emulator: Any) -> AwsSource:
        return source_at(SecretsManager, emulator.url)

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("prod/db", '{"password": "new"}'),
            ("prod/db#password", "new"),
            ("prod/db:AWSPREVIOUS", FIELDS),
            ("prod/db:AWSPREVIOUS#password", "hunter2-\u00e9 \n"),
            ("prod/db:{version}#port", "5432"),
            ("prod/db:{version}#rate", "1.50"),
            ("prod/db:{version}#on", "true"),
            ("{arn}", '{"password": "new"}'),
            ("{arn}#password", "new"),
            ("{arn}:AWSPREVIOUS#port", "5432"),
            ("{arn}:{version}#port", "5432"),
        ],
    )
    def test_keys(self, source: AwsSource, made: dict[str, str], key: str, value: str) -> None:
        """A name or an ARN; behind a colon a staging label or the id of a version; behind "#" a field."""
        assert value == source.get(key.format(**made))

    @pytest.mark.parametrize(
        ("key", "text"),
        [
            ("prod/none", "'prod/none'"),
            ("prod/db:NONE", "'prod/db'"),
            ("prod/db:00000000-0000-0000-0000-000000000000", "'prod/db'"),
            ("prod/db#passwrd", "'prod/db' has no field 'passwrd'"),
        ],
    )
    @pytest.mark.usefixtures("made")
    def test_missing(self, source: AwsSource, key: str, text: str) -> None:
        """A secret, a version and a field that are not there."""
        with pytest.raises(LookupError) as raised:
            source.get(key)
        assert text in str(raised.value)

    @pytest.mark.parametrize(
        ("key", "text"),
        [
            ("key", "'key' is binary, and a job is given a text: keep it as one"),
            ("prod/db:AWSPREVIOUS#a", "field 'a' of 'prod/db' is a list, not a text"),
            ("prod/db:AWSPREVIOUS#o", "field 'o' of 'prod/db' is an object, not a text"),
            ("prod/db:AWSPREVIOUS#n", "field 'n' of 'prod/db' is null, not a text"),
        ],
    )
    @pytest.mark.usefixtures("made")
    def test_no_text(self, source: AwsSource, key: str, text: str) -> None:
        """What is there, and is no text, is refused; its value is not said."""
        with pytest.raises(SecretNotText) as raised:
            source.get(key)
        assert (text, False) == (str(raised.value), raised.value.retryable)

    @pytest.mark.parametrize("value", ["hunter2", '["hunter2"]', '{"hunter2', "[" * 100_000])
    def test_no_object(self, emulator: Any, source: AwsSource, value: str) -> None:
        """A secret that is no JSON object has no fields; nothing of it stands in the error or behind it."""
        emulator.client("secretsmanager").create_secret(Name="s", SecretString=value[:65_000])
        with pytest.raises(SecretNotText) as raised:
            source.get("s#password")
        shown = "".join(traceback.format_exception(raised.value))
        assert "'s' is no JSON object, so it has no field 'password'" == str(raised.value)
        assert (None, None) == (raised.value.__cause__, raised.value.__context__)
        assert "hunter2" not in shown

    @pytest.mark.parametrize("key", ["a:b:c", "a#", "#a", ":a", "arn:aws:s3:::bucket", "arn:aws:ssm:eu:1"])
    def test_no_key(self, key: str) -> None:
        """What can't be read as a key is refused before anybody is asked."""
        source = source_at(SecretsManager, "http://127.0.0.1:1")
        with pytest.raises(KeyNotUsable, match=r"is not of the form NAME, NAME:VERSION, NAME#FIELD or") as no:
            source.get(key)
        assert no.value.retryable is False

    @pytest.mark.parametrize(
        ("key", "name"),
        [
            ("prod/db", "prod/db-??????"),
            ("db:AWSPREVIOUS#p", "db-??????"),
            ("db-secret", "db-secret-??????"),
            ("*", "${*}-??????"),
            ("prod/d?-$", "prod/d${?}-${$}-??????"),
        ],
    )
    def test_permissions(self, key: str, name: str) -> None:
        """One secret's value may be asked for: by its name, its ARN has six characters more."""
        arn = f"arn:aws:secretsmanager:eu-central-1:123456789012:secret:{name}"
        expected = [Permission(["secretsmanager:GetSecretValue"], [arn])]
        assert expected == list(SecretsManager().permissions(key, WHERE))

    @pytest.mark.parametrize(
        ("given", "names"),
        [
            ("db", ["db-??????"]),
            ("db-a1B2c3#p", ["db-a1B2c3", "db-a1B2c3-??????"]),
            ("db-secret:AWSPREVIOUS", ["db-secret", "db-secret-??????"]),
            ("*-a1B2c3", ["${*}-a1B2c3", "${*}-a1B2c3-??????"]),
        ],
    )
    def test_permissions_by_arn(self, given: str, names: list[str]) -> None:
        """An ARN may lack the six characters, and a name may end as if it had them: then it is both."""
        begin = "arn:aws-cn:secretsmanager:cn-north-1:000000000000:secret:"
        expected = [Permission(["secretsmanager:GetSecretValue"], [begin + name for name in names])]
        assert expected == list(SecretsManager().permissions(begin + given, WHERE))


class TestParameterStore:
    """What a key of the source ``ssm`` means."""

    @pytest.fixture
    def made(self, emulator: Any) -> dict[str, str]:
        """A parameter with a version before, which has a label: its ARN."""
        client = emulator.client("ssm")
        client.put_parameter(Name="/prod/db", Value='{"password": "old"}', Type="SecureString")
        client.put_parameter(Name="/prod/db", Value="new", Type="SecureString", Overwrite=True)
        client.label_parameter_version(Name="/prod/db", ParameterVersion=1, Labels=["before"])
        client.put_parameter(Name="hosts", Value="a,b", Type="StringList")
        return {"arn": client.get_parameter(Name="/prod/db")["Parameter"]["ARN"]}

    @pytest.fixture
    def source(self, emulator: Any) -> AwsSource:
        return source_at(ParameterStore, emulator.url)

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("/prod/db", "new"),
            ("/prod/db:1", '{"password": "old"}'),
            ("/prod/db:1#password", "old"),
            ("/prod/db:before#password", "old"),
            ("{arn}", "new"),
            ("{arn}:1#password", "old"),
            ("hosts", "a,b"),
        ],
    )
    def test_keys(self, source: AwsSource, made: dict[str, str], key: str, value: str) -> None:
        """A name or an ARN, decrypted; behind a colon a version or a label; a list is text as it is."""
        assert value == source.get(key.format(**made))

    @pytest.mark.parametrize("key", ["/prod/none", "/prod/db:9", "/prod/db:none"])
    @pytest.mark.usefixtures("made")
    def test_missing(self, source: AwsSource, key: str) -> None:
        """A parameter, a version and a label that are not there."""
        with pytest.raises(LookupError, match=key.partition(":")[0]):
            source.get(key)

    @pytest.mark.parametrize(
        ("key", "name"),
        [
            ("/prod/db", "prod/db"),
            ("db:3", "db"),
            ("db:label#field", "db"),
            ("/prod/*", "prod/${*}"),
            ("d?", "d${?}"),
        ],
    )
    def test_permissions(self, key: str, name: str) -> None:
        """One parameter may be asked for: its ARN has one slash where the name begins with one, or not."""
        arn = f"arn:aws:ssm:eu-central-1:123456789012:parameter/{name}"
        assert [Permission(["ssm:GetParameter"], [arn])] == list(ParameterStore().permissions(key, WHERE))

    @pytest.mark.parametrize(("name", "resource"), [("db", "db"), ("prod/*", "prod/${*}")])
    def test_permissions_by_arn(self, name: str, resource: str) -> None:
        """An ARN is itself, without version and field."""
        begin = "arn:aws:ssm:us-east-1:000000000000:parameter/"
        expected = [Permission(["ssm:GetParameter"], [begin + resource])]
        assert expected == list(ParameterStore().permissions(f"{begin}{name}:3#field", WHERE))

    @pytest.mark.parametrize(("name", "resource"), [("db", "db"), ("*", "${*}")])
    def test_permissions_of_a_reference(self, name: str, resource: str) -> None:
        """What is a secret of Secrets Manager behind a parameter's name needs both."""
        key = f"/aws/reference/secretsmanager/{name}:AWSPREVIOUS"
        found = list(ParameterStore().permissions(key, WHERE))
        assert [("ssm:GetParameter",), ("secretsmanager:GetSecretValue",)] == [each.actions for each in found]  # type: ignore[union-attr]
        assert [
            (f"arn:aws:ssm:eu-central-1:123456789012:parameter/aws/reference/secretsmanager/{resource}",),
            (f"arn:aws:secretsmanager:eu-central-1:123456789012:secret:{resource}-??????",),
        ] == [
            each.resources for each in found
        ]  # type: ignore[union-attr]


@pytest.fixture
def endpoint(fake_aws: FakeAws) -> FakeAws:
    """One with a secret and a parameter named ``db``."""
    secrets, parameters = FakeSecretsManager(), FakeParameterStore()
    secrets.values["db"] = parameters.values["db"] = "hunter2"
    fake_aws.add(secrets)
    fake_aws.add(parameters)
    return fake_aws


@pytest.fixture(params=[SecretsManager, ParameterStore])
def source(request: pytest.FixtureRequest, endpoint: FakeAws) -> Iterator[AwsSource]:
    """Each of them, at the endpoint."""
    made = source_at(request.param, endpoint.url)
    yield made
    assert made._services is not None
    made._services.aws.close()


class TestAnswers:
    """What is made of what AWS says."""

    def test_busy(self, endpoint: FakeAws, source: AwsSource) -> None:
        """It is asked again, and in the end that is what is said; another attempt may help."""
        with endpoint.faults.throttle(source.service, times=4):
            assert "hunter2" == source.get("db")
        with endpoint.faults.throttle(source.service), pytest.raises(AwsError) as raised:
            source.get("db")
        assert ("busy", 10) == (raised.value.kind, len(endpoint.called(source.service)))

    def test_no_answer(self, endpoint: FakeAws, source: AwsSource) -> None:
        """As where it is busy: to ask has no effect."""
        with endpoint.faults.drop_after(source.service, times=4):
            assert "hunter2" == source.get("db")

    def test_denied(self, endpoint: FakeAws, source: AwsSource) -> None:
        """It is not asked again; the permission is named."""
        with endpoint.faults.deny(source.service), pytest.raises(AwsError) as raised:
            source.get("db")
        assert ("refused", 1) == (raised.value.kind, len(endpoint.called(source.service)))
        assert f"the caller needs the permission {source.service}:{source.action}" == raised.value.hint

    def test_expired(self, endpoint: FakeAws, source: AwsSource, aws_environment: dict[str, str]) -> None:
        """There is nobody in whose name to ask."""
        with (
            endpoint.faults.expire(aws_environment["AWS_ACCESS_KEY_ID"]),
            pytest.raises(AwsError) as raised,
        ):
            source.get("db")
        assert "credentials" == raised.value.kind

    def test_region(self, endpoint: FakeAws, source: AwsSource) -> None:
        """An ARN's is where it is asked for; of a name it is the runner's."""
        of = "secret:db-a1B2c3" if source.service == "secretsmanager" else "parameter/db"
        with pytest.raises(LookupError):
            source.get(f"arn:aws:{source.service}:us-west-2:123456789012:{of}")
        source.get("db")
        assert ["us-west-2", "eu-central-1"] == [call.region for call in endpoint.calls]

    def test_without_a_runner(self, source: AwsSource) -> None:
        """There is nothing to ask AWS with."""
        with pytest.raises(StateError, match="asked for by a Runner"):
            type(source)().get("db")


def test_they_are_built_in() -> None:
    """Under the names that a configuration uses, and kept for a session."""
    found = bunsui.Plugins(autoload=False).secret_sources
    assert (SecretsManager, ParameterStore) == (type(found["secretsmanager"]), type(found["ssm"]))
    assert (True, True) == (found["secretsmanager"].kept_for_session, found["ssm"].kept_for_session)
