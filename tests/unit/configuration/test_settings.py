"""What a Runner is configured with."""

from __future__ import annotations

from typing import Any

import pytest

from bunsui import ConfigError, Runner
from bunsui.configuration.settings import SecretReference, Settings, read_settings
from bunsui.monitoring.channels.configured import ConfiguredChannel


class TestSettings:
    @pytest.mark.parametrize("given", [None, {}, {"env": []}, {"env": (), "secrets": {}}])
    def test_nothing(self, given: Any) -> None:
        """Nothing is configured where nothing is said."""
        assert Settings() == read_settings(given)

    def test_env(self) -> None:
        """Variables are kept in their order, each once."""
        assert ("REGION", "_x1", "A") == read_settings({"env": ["REGION", "_x1", "REGION", "A"]}).env

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ("env:DB_PASSWORD", SecretReference("env", "DB_PASSWORD")),
            ("file:/run/secrets/db", SecretReference("file", "/run/secrets/db")),
            ("vault:kv:db", SecretReference("vault", "kv:db")),
            ({"source": "env", "key": "DB_PASSWORD"}, SecretReference("env", "DB_PASSWORD")),
        ],
    )
    def test_secrets(self, given: Any, expected: SecretReference) -> None:
        """A secret is named by source and key, as a text or as a mapping."""
        assert {"db-1": expected} == read_settings({"secrets": {"db-1": given}}).secrets

    def test_unchanging(self) -> None:
        """Settings can't be changed, nor by changing what they were made from."""
        given = {"secrets": {"db": "env:A"}}
        settings = read_settings(given)
        given["secrets"]["other"] = "env:B"
        with pytest.raises(TypeError):
            settings.secrets["third"] = SecretReference("env", "C")  # type: ignore[index]
        assert ["db"] == list(settings.secrets)

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            (
                ["env"],
                'config is list, not a mapping; such as {"env": ["REGION"], "secrets": {"db":'
                ' "env:DB_PASSWORD"}}',
            ),
            ({"secret": {}}, "config has no key 'secret'; did you mean 'secrets'?"),
            (
                {"frobnicate": 1},
                "config has no key 'frobnicate';"
                " its keys are env, secrets, alert_channels, alerts and telemetry",
            ),
            ({1: 2}, "config has no key 1; its keys are env, secrets, alert_channels, alerts and telemetry"),
            ({"env": "REGION"}, 'config.env is str, not a list of names; such as ["REGION"]'),
            ({"env": None}, 'config.env is NoneType, not a list of names; such as ["REGION"]'),
            (
                {"secrets": ["db"]},
                'config.secrets is list, not a mapping; such as {"db": "env:DB_PASSWORD"}',
            ),
            (
                {"secrets": {"db 1": "env:A"}},
                "config.secrets has the key 'db 1'; a name is a letter, then up to 63 letters, digits, '_'"
                " or '-'",
            ),
            (
                {"secrets": {7: "env:A"}},
                "config.secrets has the key 7; a name is a letter, then up to 63 letters, digits, '_' or '-'",
            ),
            (
                {"secrets": {"db": 7}},
                "config.secrets.db is int, not a text of the form SOURCE:KEY, such as env:DB_PASSWORD",
            ),
            (
                {"secrets": {"db": {"sauce": "env", "key": "A"}}},
                "config.secrets.db has no key 'sauce'; did you mean 'source'?",
            ),
            (
                {"secrets": {"db": {"source": "env"}}},
                "config.secrets.db has no text as its key; or a text of the form SOURCE:KEY, such as"
                " env:DB_PASSWORD",
            ),
            (
                {"secrets": {"db": {"key": "A", "source": ""}}},
                "config.secrets.db has no text as its source; or a text of the form SOURCE:KEY, such as"
                " env:DB_PASSWORD",
            ),
        ],
    )
    def test_wrong(self, given: Any, expected: str) -> None:
        """What is wrong is refused, with the key and the right form."""
        with pytest.raises(ConfigError) as caught:
            read_settings(given)
        assert expected == str(caught.value)

    def test_alert_channels(self) -> None:
        """A channel is a type and its options, as in a file."""
        found = read_settings({"alert_channels": {"ops": {"type": "sns", "topic": "arn"}}}).alert_channels
        assert {"ops": ConfiguredChannel("sns", {"topic": "arn"})} == found

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            (3, "config.alert_channels is not a table of channels by name"),
            ({"a": "hunter2"}, "config.alert_channels.a is not a table with a type"),
            ({"a": {}}, "config.alert_channels.a is not a table with a type"),
            ({"a": {"type": "hunter2 b"}}, "config.alert_channels.a.type is not the type of a channel"),
            ({"a b": {"type": "log"}}, "config.alert_channels has the key 'a b'"),
        ],
    )
    def test_wrong_alert_channels(self, given: Any, expected: str) -> None:
        """What is wrong is refused by its place, and not shown."""
        with pytest.raises(ConfigError) as caught:
            read_settings({"alert_channels": given})
        assert str(caught.value).startswith(expected)
        assert "hunter2" not in str(caught.value)

    @pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "A\n", "É", "hunter2=x", 7, None])
    def test_wrong_variable(self, name: Any) -> None:
        """What is not a variable's name is refused by its place, and not shown."""
        with pytest.raises(ConfigError) as caught:
            read_settings({"env": ["A", name]})
        assert (
            "config.env[1] is not the name of a variable; a name is a letter or '_', then letters, digits and"
            " '_'; its value is not given here" == str(caught.value)
        )

    @pytest.mark.parametrize("value", ["hunter2", "", ":", "env:", ":hunter2"])
    def test_wrong_reference(self, value: str) -> None:
        """What stands in place of a secret's reference is refused, and not shown: it may be the secret."""
        with pytest.raises(ConfigError) as caught:
            read_settings({"secrets": {"db": value}})
        assert (
            "config.secrets.db is not of the form SOURCE:KEY, such as env:DB_PASSWORD; it says where the"
            " value is found, not the value" == str(caught.value)
        )


class TestRunner:
    def test_given(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A Runner hands on what it is configured with."""
        monkeypatch.setenv("BNS_TEST_SECRET", "hunter2")
        config = {"env": ["REGION"], "secrets": {"db": "env:BNS_TEST_SECRET"}}
        with Runner("memory://", config=config, pools={"gpu": 2}, autoload_plugins=False) as runner:
            parts = runner._control.parts
            assert (("REGION",), ("db",), "hunter2", {"gpu": 2}) == (
                parts.settings.env,
                parts.secrets.names,
                parts.secrets.get("db"),
                parts.pools,
            )

    def test_not_given(self) -> None:
        """A Runner that is not told otherwise has no variables, secrets or pools."""
        with Runner("memory://", autoload_plugins=False) as runner:
            parts = runner._control.parts
            assert (Settings(), (), {}) == (parts.settings, parts.secrets.names, parts.pools)

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ({"config": {"envs": []}}, "config has no key 'envs'; did you mean 'env'?"),
            ({"pools": {"gpu": 0}}, "pools.gpu is 0; it is a whole number of at least 1, such as 2"),
            (
                {"config": {"secrets": {"db": "fil:x"}}},
                "config.secrets.db names a source that does not exist; there are: env, environment, file,"
                " secretsmanager, ssm;"
                " did you mean 'file'?",
            ),
        ],
    )
    def test_wrong(self, tmp_path: Any, arguments: dict[str, Any], expected: str) -> None:
        """A wrong configuration is refused before the store is opened."""
        with pytest.raises(ConfigError) as caught:
            Runner(f"sqlite:///{tmp_path}/below/a.db", autoload_plugins=False, **arguments)
        assert (expected, []) == (str(caught.value), list(tmp_path.iterdir()))


class TestAlerts:
    """Rules for alerts of a configuration."""

    def test_those_of_a_mapping(self) -> None:
        """They are as in a definition, and may be for one pipeline."""
        rule = {"on": "duration", "above": "2h", "channel": ["ops", "log"], "pipeline": "Load"}
        (found,) = read_settings({"alerts": [rule]}).alerts
        assert (7200, ("ops", "log"), "Load") == (found.above, found.channels, found.pipeline)

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            (3, "config.alerts is 3; it is a list of alerts"),
            (["failure"], "config.alerts[0] is 'failure'; it is a table"),
            (
                [{"on": "failed", "channel": "ops"}],
                "config.alerts: 'on' of alert 1 is 'failed'; it must be one",
            ),
            ([{"on": "failure"}], "config.alerts: alert 1 (on: failure) needs 'channel'"),
            ([{"on": "failure", "channel": "ops", "pipeline": ""}], "must have at least 1 character, not 0"),
            ([{"on": "failure", "channel": "ops"}] * 51, "config.alerts has 51 rules; there may be 50"),
        ],
    )
    def test_wrong(self, given: Any, expected: str) -> None:
        """What is wrong, and of which."""
        with pytest.raises(ConfigError) as caught:
            read_settings({"alerts": given})
        assert expected in str(caught.value)
