"""What a Runner takes from its arguments, and what from the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bunsui import Config, ConfigError, Job, Pipeline, Runner
from bunsui.aws.settings import AwsSettings
from bunsui.configuration.settings import SecretReference, Settings
from bunsui.runner.configured import Configured, configured

A_LEASE = "it is a number of seconds above 0, at most a year, such as 30"
A_COUNT = "it is a whole number of at least 1"
A_NAME = "a name is a letter, then up to 63 letters, digits, '_' or '-'"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project and a user's file that say something of every key."""
    user = tmp_path / "user.toml"
    user.write_text(
        'bindings = "b.yaml"\nenv = ["A"]\nlocal = true\ncapture_logging = true\n'
        'aws.region = "eu-west-1"\n'
        'pools.cpu = 4\n[secrets]\ndb = "env:B"\n'
    )
    user.chmod(0o600)
    monkeypatch.setenv("BUNSUI_CONFIG", str(user))
    (tmp_path / "bunsui.toml").write_text(
        'store = "sqlite:///p.db"\nlease = 5\nmax_concurrency = 6\nartifacts = "large"\nlogs = "said"\n'
    )
    (tmp_path / "bunsui.toml").chmod(0o644)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def use(config: Any = None, **arguments: Any) -> Configured:
    names = (
        "store",
        "bindings",
        "local",
        "max_concurrency",
        "pools",
        "lease",
        "artifacts",
        "logs",
        "capture_logging",
        "aws",
    )
    return configured(config, **{name: arguments.get(name) for name in names})


def test_none_is_what_is_configured(folder: Path) -> None:
    """In files and environment."""
    expected = Configured(
        store=f"sqlite:///{folder}/p.db", bindings=str(folder / "b.yaml"), local=True, max_concurrency=6,
        pools={"cpu": 4}, lease=5.0, artifacts=str(folder / "large"), logs=str(folder / "said"),
        capture_logging=True, aws=AwsSettings(region="eu-west-1"),
        names=Settings(("A",), {"db": SecretReference("env", "B")}),
    )  # fmt: skip
    assert expected == use()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("store", "memory://"), ("bindings", {}), ("local", False), ("max_concurrency", 32), ("pools", {}),
        ("lease", 30.0), ("artifacts", "elsewhere"), ("logs", "none"), ("capture_logging", False),
        ("aws", AwsSettings(profile="etl")),
    ],
)  # fmt: skip
def test_an_argument_wins(folder: Path, name: str, value: Any) -> None:
    """Also where it is what would be without any configuration; the others stay as configured."""
    found, others = use(**{name: value}), use()
    assert value == getattr(found, name)
    assert [key for key in vars_of(found) if getattr(found, key) != getattr(others, key)] == [name]


def vars_of(found: Configured) -> list[str]:
    return [attribute.name for attribute in Configured.__attrs_attrs__]  # type: ignore[attr-defined]


def test_a_config_is_all_there_is(folder: Path) -> None:
    """No file is read, nor the environment."""
    found = use(Config())
    assert (False, 32, {}, 30.0, Settings(), None, None, None, False) == (
        found.local, found.max_concurrency, found.pools, found.lease, found.names, found.bindings,
        found.artifacts, found.logs, found.capture_logging,
    )  # fmt: skip
    assert 7.0 == use(Config.load(folder, environ={}, lease=7)).lease


def test_a_mapping_is_all_there_is_beside_the_store(folder: Path) -> None:
    """As names were given before there were files. Artifacts and logs are the store's."""
    found = use({"env": ["X"]})
    places = (f"sqlite:///{folder}/p.db", f"{folder}/large", f"{folder}/said")
    assert places == (found.store, found.artifacts, found.logs)
    assert (Settings(("X",)), 30.0, {}, False, False) == (
        found.names, found.lease, found.pools, found.local, found.capture_logging,
    )  # fmt: skip
    (folder / "bunsui.toml").write_text("nonsense")
    assert "memory://" == use({}, store="memory://").store


def test_a_runner_reads_it(folder: Path) -> None:
    """When it is made."""
    with Runner(autoload_plugins=False, bindings={}) as runner:
        assert folder / "p.db" == runner.store.path
        session = runner.run(Pipeline(name="p", jobs=[Job.from_callable(lambda: "x" * 40_000, id="a")]))
        assert 1 == len([*(folder / "large" / session.id).iterdir()])
    (folder / "bunsui.toml").write_text("lease = 0\n")
    with pytest.raises(ConfigError, match=r"bunsui\.toml:1: lease is 0"):
        Runner("memory://", autoload_plugins=False)


def test_a_runner_warns_of_a_file_that_is_ignored(folder: Path) -> None:
    """At the line that makes it."""
    (folder / "bunsui.toml").chmod(0o666)
    with pytest.warns(RuntimeWarning, match="is ignored: other users may write it") as caught:
        Runner("memory://", autoload_plugins=False).close()
    assert __file__ == caught[0].filename


def test_a_source_that_is_none_is_named_with_its_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File and line, and not the reference."""
    (folder / "user.toml").write_text('[secrets]\ndb = "hunter2:x"\n')
    with pytest.raises(ConfigError) as caught:
        Runner("memory://", autoload_plugins=False)
    assert str(caught.value).startswith(
        f"{folder}/user.toml:2: secrets.db names a source that does not exist; there are: env,"
        " environment, file"
    )
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"lease": 0}, f"lease is 0; {A_LEASE}"),
        ({"lease": -1}, f"lease is -1; {A_LEASE}"),
        ({"lease": float("nan")}, f"lease is NaN; {A_LEASE}"),
        ({"lease": float("inf")}, f"lease is Infinity; {A_LEASE}"),
        ({"lease": 1e12}, f"lease is 1000000000000.0; {A_LEASE}"),
        ({"lease": "30"}, f"lease is '30'; {A_LEASE}"),
        ({"lease": True}, f"lease is true; {A_LEASE}"),
        ({"max_concurrency": 0}, f"max_concurrency is 0; {A_COUNT}, such as 32"),
        ({"max_concurrency": True}, f"max_concurrency is true; {A_COUNT}, such as 32"),
        ({"local": "no"}, "local is 'no'; it is true or false"),
        ({"capture_logging": 0}, "capture_logging is 0; it is true or false"),
        ({"bindings": 3}, "bindings is 3; it is a mapping, or the path of a bindings file"),
        ({"store": 3}, "store is 3; it is a URL or a Store; such as 'sqlite:///bunsui.db'"),
        ({"pools": ["a"]}, 'pools is ["a"]; it is a table of numbers by name, such as {"gpu": 2}'),
        ({"pools": {"1a": 2}}, f"pools has the key '1a'; {A_NAME}"),
        ({"pools": {1: 2}}, f"pools has the key '1'; {A_NAME}"),
        ({"pools": {"a": 0}}, f"pools.a is 0; {A_COUNT}, such as 2"),
        ({"pools": {"a": True}}, f"pools.a is true; {A_COUNT}, such as 2"),
        ({"pools": {"a": 1.0}}, f"pools.a is 1.0; {A_COUNT}, such as 2"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], expected: str) -> None:
    """Are errors that name them, and say what `Config.load` says of the same value."""
    with pytest.raises(ConfigError) as caught:
        use(**arguments)
    assert expected == str(caught.value)


def test_pools_do_not_change_with_what_they_were_made_from() -> None:
    """A Runner has those that it was given."""
    given = {"gpu": 2}
    found = use(Config(), pools=given).pools
    given["gpu"] = 3
    assert {"gpu": 2} == found
