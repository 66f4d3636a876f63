"""The room that sends: names, what is configured wrongly, secrets, what hangs, what is shown."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

import pytest

from bunsui.aws.connections import Connections
from bunsui.errors import AlertNotTaken, AwsError, BunsuiError, ConfigError, JobError, PluginError
from bunsui.monitoring.channels.channels import Channels
from bunsui.monitoring.channels.configured import ConfiguredChannel, configured
from bunsui.monitoring.channels.options import check_options
from bunsui.plugins.registry import Plugins
from bunsui.ports.alerts import Alert, AlertChannel
from bunsui.ports.permissions import Permission, Unnamed, Where
from bunsui.ports.registered import Registered
from bunsui.ports.services import Services
from bunsui.testing import FakeClock
from bunsui.testing.alert_channel.sending import minimal

WHERE = Where("eu-central-1", "123456789012")
SECRETS = {"token": "hunter2-5f1c", "other": "correct horse"}


class Pager(AlertChannel):
    """Does what a test tells it to."""

    schema: Any = {
        "type": "object",
        "additionalProperties": False,
        "required": ["to"],
        "properties": {
            "to": {"type": "string"},
            "token": {"type": "string"},
            "headers": {"type": "object"},
            "level": {"enum": ["low", "high"]},
            "count": {"type": "integer", "maximum": 5},
        },
    }
    secret_options = ("token", "headers")

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.sent: list[tuple[Alert, dict[str, Any]]] = []

    def send(self, alert: Alert, options: Mapping[str, Any]) -> None:
        self.sent.append((alert, dict(options)))
        if self.error is not None:
            raise self.error


class Plain(Pager):
    """Needs no option."""

    schema: Any = {"type": "object", "additionalProperties": False}
    secret_options = ()


class Users(Plain):
    """What only the user may name."""

    user_only = True


def secret_of(name: str) -> str:
    """The value of a secret."""
    return SECRETS[name]


def channels(configured: Mapping[str, ConfiguredChannel], types: Mapping[str, Any], **more: Any) -> Channels:
    """With secrets, and no AWS."""
    services = Services(Connections(), FakeClock(), Random(0))
    given = {"secret": secret_of, "secrets": tuple(SECRETS), **more}
    return Channels(configured, types, services, **given)


def of(kind: str = "pager", /, **options: Any) -> ConfiguredChannel:
    """A channel as a file has it."""
    return ConfiguredChannel(kind, options, "f.toml:3")


def test_names() -> None:
    """The configured ones, and types that need no option under their own names, but for a user's."""
    types = {"pager": Pager(), "plain": Plain(), "users": Users(), "log": Plain()}
    found = channels({"ops": of(to="ada"), "log": of(to="bob")}, types)
    assert (("ops", "log", "plain"), "pager", "plain") == (
        found.names,
        found.type_of("log"),
        found.type_of("plain"),
    )
    assert "Channels(ops, log)" == repr(found)


def test_names_of_bunsuis_own() -> None:
    """Who configures nothing can have alerts in the log, and on the bus that each account has."""
    found = channels({}, Plugins(autoload=False).alert_channels)
    assert ("eventbridge", "log") == found.names
    found.check()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("opps", "there is no alert channel 'opps'; did you mean 'ops'?"),
        ("nobody", "there is no alert channel 'nobody'; there are: ops, plain"),
        ("pager", "it is a type of channels: configure one, as 'alert_channels.NAME' with the type pager"),
        ("users", "it is a type of channels: configure one, as 'alert_channels.NAME' with the type users"),
    ],
)
def test_a_channel_that_is_none(name: str, said: str) -> None:
    """Says which there are, or how there would be one."""
    found = channels({"ops": of(to="ada")}, {"pager": Pager(), "plain": Plain(), "users": Users()})
    for ask in (found.type_of, found.check_one, lambda name: found.send_within(name, minimal())):
        with pytest.raises(ConfigError) as caught:
            ask(name)
        assert said in str(caught.value)


@pytest.mark.parametrize(
    ("channel", "said"),
    [
        (
            of("pagr"),
            "ops.type is 'pagr', and there is no such type of alert channels; did you mean 'pager'?",
        ),
        (
            of("nothing"),
            "ops.type is 'nothing', and there is no such type of alert channels; there are: pager",
        ),
        (of(), "ops needs 'to'"),
        (of(to=3), "ops.to is not text"),
        (of(to="a", too="b"), "ops has no option 'too'; did you mean 'to'?"),
        (
            of(to="a", zz="b"),
            "ops has no option 'zz'; its options are type, to, token, headers, level, count",
        ),
        (of(to="a", level="x"), "ops.level is none of low, high"),
        (of(to="a", count=6), "ops.count is not what its type takes: maximum 5"),
        (of(to="a", token="hunter2"), "ops.token is not the name of a secret that is configured"),
        (
            of(to="a", headers={"A": "hunter2"}),
            "ops.headers.A is not the name of a secret that is configured",
        ),
    ],
)
def test_what_is_configured_wrongly(channel: ConfiguredChannel, said: str) -> None:
    """The error names the place and what helps, and shows nothing that may be a secret; nothing is sent."""
    pager = Pager()
    found = channels({"ops": channel}, {"pager": pager})
    for ask in (found.check, lambda: found.send("ops", minimal())):
        with pytest.raises(ConfigError) as caught:
            ask()
        assert str(caught.value).startswith(f"f.toml:3: alert_channels.{said}")
        assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert [] == pager.sent


def test_a_type_of_a_plugin_that_is_disabled() -> None:
    """Then that is why."""
    types: Registered[AlertChannel] = Registered({"pager": Pager()}, (PluginError("it is bad", plugin="p"),))
    with pytest.raises(PluginError, match="a plugin that may have it is disabled: it is bad"):
        channels({"ops": of("telegraph")}, types).check()


def test_what_a_channel_is_given() -> None:
    """Its options, with the values of secrets in place of their names, and only there."""
    pager = Pager()
    alert = minimal()
    configured = of(to="token", token="token", headers={"A": "other"}, level="low")
    channels({"ops": configured}, {"pager": pager}).send("ops", alert)
    values = {"token": SECRETS["token"], "headers": {"A": SECRETS["other"]}}
    assert [(alert, {"to": "token", "level": "low", **values})] == pager.sent
    assert {"A": "other"} == configured.options["headers"]


def test_one_runner_makes_it_once() -> None:
    """`for_runner` is asked once, by the first that sends."""
    asked = []

    class Made(Plain):
        def for_runner(self, services: Services) -> AlertChannel:
            asked.append(services)
            return self

    found = channels({}, {"plain": Made()})
    found.check()
    assert [] == asked
    found.send("plain", minimal())
    found.send("plain", minimal())
    assert 1 == len(asked)


@pytest.mark.parametrize(
    ("gives", "said"), [(3, "gave int, which is no alert channel"), (None, "failed: ZeroDivisionError")]
)
def test_one_that_can_not_be_made(gives: object, said: str) -> None:
    """It names the type."""

    class Bad(Plain):
        def for_runner(self, services: Services) -> Any:
            return gives or 1 / 0

    with pytest.raises(PluginError) as caught:
        channels({}, {"plain": Bad()}).send("plain", minimal())
    assert f"for_runner() of alert channel 'plain' {said}" == str(caught.value)


class Loud(Exception):
    """Shows what it should not."""


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (Loud("POST https://x.org/hunter2-5f1c failed"), "raised Loud"),
        (SystemExit("hunter2-5f1c"), "raised SystemExit"),
        (ConfigError("hunter2-5f1c"), "raised ConfigError"),
        (AwsError("hunter2-5f1c", service="sqs", action="SendMessage"), "raised AwsError"),
    ],
)
def test_what_a_plugin_raises(error: BaseException, shown: str) -> None:
    """Only the name of its type is shown: its text could hold anything. Nothing leads to it, either."""
    found = channels({"ops": of(to="a", token="token")}, {"pager": Pager(error)})
    with pytest.raises(AlertNotTaken) as caught:
        found.send("ops", minimal())
    assert f"alert channel 'ops' {shown}" == str(caught.value)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert (None, None) == (caught.value.__cause__, caught.value.__context__)


def test_what_a_plugin_says() -> None:
    """Who raises `AlertNotTaken` means its text to be shown; a secret that is in it by mistake is not."""
    error = AlertNotTaken("no answer to hunter2-5f1c", hint="ask for hunter2-5f1c", retry_after=30)
    with pytest.raises(AlertNotTaken) as caught:
        channels({"ops": of(to="a", token="token")}, {"pager": Pager(error)}).send("ops", minimal())
    assert ("alert channel 'ops': no answer to ***; ask for ***", 30) == (
        str(caught.value),
        caught.value.retry_after,
    )


def test_an_interrupt_is_nobodys_failure() -> None:
    """Who waits for it wants to go."""
    with pytest.raises(KeyboardInterrupt):
        channels({}, {"plain": Plain(KeyboardInterrupt())}).send("plain", minimal())


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (JobError("secret 'token' is not available: variable X is not set"), AlertNotTaken),
        (AwsError("no credentials", service="ssm", action="get", kind="credentials"), AwsError),
    ],
)
def test_a_secret_that_is_not_to_be_had(error: BunsuiError, kind: type[BunsuiError]) -> None:
    """Nothing is sent without it, and it is said which one it is."""

    def fail(name: str) -> str:
        raise error

    pager = Pager()
    with pytest.raises(kind, match=error.message):
        channels({"ops": of(to="a", token="token")}, {"pager": pager}, secret=fail).send("ops", minimal())
    assert [] == pager.sent


# What hangs


class Stuck(Plain):
    """Sends nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def send(self, alert: Alert, options: Mapping[str, Any]) -> None:
        assert self.go.wait(60)
        super().send(alert, options)


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    found = Stuck()
    yield found
    found.go.set()


def test_one_that_hangs_is_given_up(stuck: Stuck) -> None:
    """Who waits goes on, and no second thread is lost to it; other channels are none the worse."""
    plain = Plain()
    found = channels({}, {"stuck": stuck, "plain": plain})
    before = threading.active_count()
    with pytest.raises(AlertNotTaken) as caught:
        found.send_within("stuck", minimal(), 0.05)
    assert "alert channel 'stuck' has not taken it in 0.05 seconds" == str(caught.value)
    for _ in range(3):
        with pytest.raises(AlertNotTaken, match="alert channel 'stuck' still hangs in an earlier attempt"):
            found.send_within("stuck", minimal(), 0.05)
    found.send_within("plain", minimal())
    assert (before + 1, 1) == (threading.active_count(), len(plain.sent))


def test_one_that_hung_is_tried_again(stuck: Stuck) -> None:
    """Once the attempt that hung has ended."""
    found = channels({}, {"stuck": stuck})
    with pytest.raises(AlertNotTaken):
        found.send_within("stuck", minimal(), 0.05)
    (hanging,) = [each for each in threading.enumerate() if each.name == "bunsui-alert-stuck"]
    assert hanging.daemon
    stuck.go.set()
    hanging.join(60)
    found.send_within("stuck", minimal())
    assert 2 == len(stuck.sent)


def test_what_is_raised_in_time_is_raised() -> None:
    """With or without a bound it is the same."""
    found = channels({}, {"plain": Plain(AlertNotTaken("busy", retry_after=5))})
    with pytest.raises(AlertNotTaken) as caught:
        found.send_within("plain", minimal())
    assert ("alert channel 'plain': busy", 5) == (str(caught.value), caught.value.retry_after)


# Permissions


def test_permissions() -> None:
    """Of each channel once; one that does not say what it calls is Unnamed; nobody is asked for a secret."""

    class Queue(Pager):
        def permissions(self, options: Mapping[str, Any], where: Where) -> Any:
            return [Permission(["sqs:SendMessage"], [where.arn("sqs", options["token"])])]

    def refuse(name: str) -> str:
        raise AssertionError(name)

    configured = {"ops": of("queue", to="a", token="token"), "all": of(to="b")}
    found = channels(configured, {"queue": Queue(), "pager": Pager()}, secret=refuse)
    arn = "arn:aws:sqs:eu-central-1:123456789012:token"
    assert [
        Permission(["sqs:SendMessage"], [arn]),
        Unnamed("its channel does not say what it calls at AWS"),
    ] == found.permissions(["ops", "all", "ops"], WHERE)
    assert [] == found.permissions([], WHERE)


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        (["sqs:*"], "gave what is neither a Permission nor Unnamed"),
        (3, "failed: TypeError"),
        (None, "failed: TypeError"),
    ],
)
def test_permissions_that_are_none(gives: Any, said: str) -> None:
    """It names the type."""

    class Bad(Plain):
        def permissions(self, options: Mapping[str, Any], where: Where) -> Any:
            return gives

    with pytest.raises(PluginError) as caught:
        channels({}, {"plain": Bad()}).permissions(["plain"], WHERE)
    assert f"permissions() of alert channel 'plain' {said}" == str(caught.value)


# What is configured


def test_a_configured_channel_is_a_value() -> None:
    """What is changed later of what it was made of does not change it; its options are not shown."""
    table: dict[str, Any] = {"type": "webhook", "url": "https://x.org/hunter2", "headers": {"A": "b"}}
    found = configured(table, "f:1")
    table["headers"]["A"] = "c"
    assert ("webhook", {"url": "https://x.org/hunter2", "headers": {"A": "b"}}) == (found.type, found.options)
    assert "ConfiguredChannel(type='webhook', place='f:1')" == repr(found)
    with pytest.raises(TypeError):
        found.options["url"] = "x"  # type: ignore[index]


def test_tables_within_options() -> None:
    """Whatever kind of mapping or list they are."""
    schema = {
        "type": "object",
        "properties": {"a": {"type": "object", "properties": {"b": {"type": "array"}}}},
    }
    check_options(ConfiguredChannel("x", {"a": {"b": (1, 2)}}).options, schema, "it")
