"""`Config`: which value counts, and what is refused where."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from bunsui import Config, ConfigError, Plugins
from bunsui.aws.settings import AwsSettings
from bunsui.cli.main import run
from bunsui.configuration.config import misspelt_variables
from bunsui.configuration.keys import KEYS, USER_ONLY, variable_of
from bunsui.configuration.origins import Origin, Source
from bunsui.configuration.settings import SecretReference
from bunsui.model.alerts import AlertRule
from bunsui.monitoring.channels.configured import ConfiguredChannel
from bunsui.stores.urls import sqlite_path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder / "bunsui.toml"


@pytest.fixture
def user(tmp_path: Path) -> Path:
    return tmp_path / "user" / "config.toml"


def load(project: Path, user: Path, environ: dict[str, str] | None = None, **arguments: Any) -> Config:
    user.parent.mkdir(exist_ok=True)
    return (
        Config.load(project.parent, environ=environ or {}, user_file=None, **arguments)
        if not (user.exists())
        else Config.load(project.parent, environ=environ or {}, user_file=user, **arguments)
    )


def write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)


def error(*args: Any, **arguments: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(*args, **arguments)
    return str(caught.value)


def test_later_wins(project: Path, user: Path) -> None:
    """Project, user, environment, argument: each over those before it, and each says where it comes from."""
    environ: dict[str, str] = {}
    write(user, "")
    assert (30.0, "default") == (load(project, user).lease, str(load(project, user).origin("lease")))
    write(project, "\nlease = 1\n")
    assert (1.0, f"{project}:2") == (load(project, user).lease, str(load(project, user).origin("lease")))
    write(user, "lease = 2\n")
    assert (2.0, f"{user}:1") == (load(project, user).lease, str(load(project, user).origin("lease")))
    environ["BUNSUI_LEASE"] = "3"
    found = load(project, user, environ)
    assert (3.0, "BUNSUI_LEASE") == (found.lease, str(found.origin("lease")))
    found = load(project, user, environ, lease=4)
    assert (4.0, "argument") == (found.lease, str(found.origin("lease")))
    assert (project, user) == (found.project_file, found.user_file)


def test_tables_are_put_together(project: Path, user: Path) -> None:
    """Entry by entry, each with its own origin."""
    write(project, "pools = {gpu = 1, cpu = 1}\n")
    write(user, "[pools]\ngpu = 2\nnet = 2\n")
    found = load(project, user, {"BUNSUI_POOLS": '{"net": 3}'}, pools={"disk": 4})
    assert {"gpu": 2, "cpu": 1, "net": 3, "disk": 4} == found.pools
    assert [f"{project}:1", f"{user}:2", "BUNSUI_POOLS", "argument"] == [
        str(found.origin(f"pools.{name}")) for name in ("cpu", "gpu", "net", "disk")
    ]


def test_every_key_has_its_variable(project: Path, user: Path) -> None:
    """With JSON for lists and tables; one that is empty says nothing."""
    environ = {
        "BUNSUI_STORE": "memory://", "BUNSUI_LEASE": "5", "BUNSUI_MAX_CONCURRENCY": "6",
        "BUNSUI_LOG_LEVEL": "info", "BUNSUI_LOG_FORMAT": "json", "BUNSUI_LOGS": "none",
        "BUNSUI_LOCAL": "true", "BUNSUI_ARTIFACTS": "large", "BUNSUI_CAPTURE_LOGGING": "true",
        "BUNSUI_TELEMETRY": "emf:m.jsonl",
        "BUNSUI_BINDINGS": "b.yaml", "BUNSUI_ENV": '["A", "B", "A"]',
        "BUNSUI_SECRETS": '{"db": "env:A"}',
        "BUNSUI_POOLS": '{"gpu": 2}',
        "BUNSUI_AWS": '{"region": "eu-west-1"}',
        "BUNSUI_AWS_ALLOWED_ROLES": '["arn:aws:iam::123456789012:role/etl"]',
        "BUNSUI_ALERT_CHANNELS": '{"ops": {"type": "pager", "to": ["ada"]}}',
        "BUNSUI_ALERTS": '[{"on": "stalled", "after": "30m", "channel": "ops", "pipeline": "Load"}]',
    }  # fmt: skip
    assert {variable_of(key) for key in KEYS} == set(environ)
    write(user, "")
    found = load(project, user, environ)
    assert ("memory://", 5.0, 6, True, "b.yaml", "large", True, "emf:m.jsonl") == (
        found.store, found.lease, found.max_concurrency, found.local, found.bindings, found.artifacts,
        found.capture_logging, found.telemetry,
    )  # fmt: skip
    assert ("info", "json") == (found.log_level, found.log_format)
    assert (("A", "B"), {"db": SecretReference("env", "A")}) == (found.names.env, found.names.secrets)
    assert {"gpu": 2} == found.pools
    roles = ("arn:aws:iam::123456789012:role/etl",)
    assert AwsSettings(region="eu-west-1", allowed_roles=roles) == found.aws
    assert {"ops": ConfiguredChannel("pager", {"to": ["ada"]})} == found.alert_channels
    assert found.alert_channels == found.names.alert_channels
    assert "BUNSUI_ALERT_CHANNELS" == found.alert_channels["ops"].place
    assert (AlertRule("stalled", "ops", after=1800, pipeline="Load"),) == found.alerts == found.names.alerts
    assert {} == load(project, user, dict.fromkeys(environ, "")).settings


def test_nothing(project: Path, user: Path) -> None:
    """Config() is what is configured where nothing is."""
    write(user, "")
    assert Config().settings == load(project, user).settings == {}
    assert (30.0, 32, False, None, {}, None, None, False, "auto") == (
        Config().lease, Config().max_concurrency, Config().local, Config().bindings, Config().pools,
        Config().artifacts, Config().logs, Config().capture_logging, Config().telemetry,
    )  # fmt: skip
    assert (None, None) == (Config().log_level, Config().log_format)
    assert Config().store.startswith("sqlite:////")


def test_the_default_store_in_a_folder_with_strange_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a URL that means that folder, also where its name is no UTF-8."""
    monkeypatch.setenv("XDG_DATA_HOME", os.fsdecode(b"/data/50%41 ?#\xff"))
    folder = Path(platformdirs.user_data_dir("bunsui", appauthor=False))
    assert folder / "bunsui.db" == sqlite_path(Config().store)


def test_a_project_in_a_folder_whose_name_is_no_utf8(tmp_path: Path, user: Path) -> None:
    """Its store is found by the URL that is made of both."""
    folder = tmp_path / os.fsdecode(b"n\xff")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this disk takes no such name")
    write(user, "")
    write(folder / "bunsui.toml", 'store = "sqlite:///a.db"')
    assert folder / "a.db" == sqlite_path(load(folder / "bunsui.toml", user).store)


def test_no_file_is_made_of_what_is_no_url_of_a_file(project: Path, user: Path) -> None:
    """A query is refused where the store is opened, as on the command line; it is no part of a name."""
    write(project, "")
    write(user, 'store = "sqlite:///a.db?mode=ro"')
    with pytest.raises(ConfigError, match=r"'sqlite:///a\.db\?mode=ro' is not of the form"):
        Plugins(autoload=False).open_store(load(project, user).store)


@pytest.mark.parametrize("key", sorted(USER_ONLY))
def test_what_a_project_may_not_say(project: Path, user: Path, key: str) -> None:
    """What runs commands, or reads what belongs to the user: he says it himself, in any of his own ways."""
    lines = {"bindings": 'bindings = "b.yaml"', "env": 'env = ["A"]', "secrets": '[secrets]\ndb = "env:A"'}
    lines |= {"aws": 'aws = {region = "eu-west-1"}', "aws_allowed_roles": "aws_allowed_roles = []"}
    lines["alert_channels"] = '[alert_channels.ops]\ntype = "log"'
    lines["alerts"] = '[[alerts]]\non = "failure"\nchannel = "ops"'
    write(user, "")
    write(project, f"lease = 5\n{lines[key]}\n")
    place = f"{project}:{3 if key == 'secrets' else 2}: '{key}' may not be set in a project's file"
    assert error(project, user).startswith(place)
    assert "bunsui config set --user" in error(project, user)
    # Also where one of the user's own would win over it.
    write(user, lines[key])
    assert "may not be set in a project's file" in error(project, user)
    write(project, "")
    assert load(project, user).settings


@pytest.mark.parametrize(
    "text", ['"secrets.db" = "env:A"', 'secrets.db = "env:A"', 'secrets = {db = "env:A"}', "secrets = 3"]
)
def test_no_spelling_of_it_passes(project: Path, user: Path, text: str) -> None:
    """However TOML says it."""
    write(user, "")
    write(project, text)
    assert "may not be set in a project's file" in error(project, user)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////tmp/other.db",
        "sqlite:///../other.db",
        "sqlite:///a/%2e%2e/../../o.db",
        "vault://x",
        "sqlite:///",
    ],
)
def test_a_projects_store_stays_in_its_folder(project: Path, user: Path, url: str) -> None:
    """A repository that was cloned writes to no other file, and talks to no service."""
    write(user, "")
    write(project, f'store = "{url}"')
    assert error(project, user).startswith(
        f"{project}:1: a project's file may name a store in its own folder"
    )
    write(project, "")
    write(user, f'store = "{url}"')
    assert load(project, user).store


def test_a_projects_store_follows_no_link_out_of_it(project: Path, user: Path, tmp_path: Path) -> None:
    """Neither one of a folder nor one of the file."""
    write(user, "")
    (project.parent / "out").symlink_to(tmp_path)
    (project.parent / "link.db").symlink_to(tmp_path / "other.db")
    for url in ("sqlite:///out/other.db", "sqlite:///link.db"):
        write(project, f'store = "{url}"')
        assert "in its own folder only" in error(project, user)


@pytest.mark.parametrize("path", ["/tmp/other", "..", "a/../../b", "~", "out", "out/x"])
def test_a_projects_artifacts_stay_in_its_folder(
    project: Path, user: Path, tmp_path: Path, path: str
) -> None:
    """A repository that was cloned has nothing written elsewhere, through no link either."""
    (project.parent / "out").symlink_to(tmp_path)
    write(user, "")
    write(project, f'artifacts = "{path}"')
    assert error(project, user).startswith(
        f"{project}:1: a project's file may name a folder in its own folder only, such as artifacts;"
        " any other is set in your own file with: bunsui config set --user artifacts FOLDER"
    )
    write(project, "")
    write(user, f'artifacts = "{path}"')
    assert load(project, user).artifacts


def test_a_bucket_is_named_by_the_user_only(project: Path, user: Path) -> None:
    """A repository that was cloned sends no outputs to a bucket; it is no path, wherever it is named."""
    url = "s3://bucket/some/prefix"
    write(user, "")
    write(project, f'artifacts = "{url}"')
    assert error(project, user).startswith(
        f"{project}:1: a project's file may name a folder in its own folder only, such as artifacts;"
        " any other is set in your own file with: bunsui config set --user artifacts URL"
    )
    write(project, "")
    write(user, f'artifacts = "{url}"')
    assert url == load(project, user).artifacts
    assert url == Config.load(project.parent, environ={"BUNSUI_ARTIFACTS": url}, user_file=user).artifacts


@pytest.mark.parametrize("path", ["/tmp/other", "../m.jsonl", "~/m.jsonl", "out/m.jsonl"])
def test_a_projects_metrics_stay_in_its_folder(project: Path, user: Path, tmp_path: Path, path: str) -> None:
    """A repository that was cloned has nothing written elsewhere; the user may say where."""
    (project.parent / "out").symlink_to(tmp_path)
    write(user, "")
    write(project, f'telemetry = "emf:{path}"')
    assert error(project, user).startswith(
        f"{project}:1: a project's file may name a file in its own folder only, such as emf:metrics.jsonl;"
        " any other is set in your own file with: bunsui config set --user telemetry emf:PATH"
    )
    write(project, "")
    write(user, f'telemetry = "emf:{path}"')
    assert Path(load(project, user).telemetry.removeprefix("emf:")).is_absolute()


@pytest.mark.parametrize("kind", ["auto", "otlp", "emf", "emf:stdout", "emf:stderr", "off"])
def test_where_a_projects_telemetry_goes(project: Path, user: Path, kind: str) -> None:
    """It may say the kind; where OTLP goes, the variables of the user's environment say."""
    write(user, "")
    write(project, f'telemetry = "{kind}"')
    assert kind == load(project, user).telemetry


@pytest.mark.parametrize("place", ["/tmp/other", "..", "~", "cloudwatch:///bunsui/team", "none", "kept"])
def test_logs_of_a_project_stay_in_its_folder(project: Path, user: Path, place: str) -> None:
    """A repository that was cloned sends no logs elsewhere: another place is named by the user only."""
    write(user, "")
    write(project, f'logs = "{place}"')
    own = {"none": "none", "kept": str(project.parent / "kept")}
    if place in own:
        assert own[place] == load(project, user).logs
        return
    assert error(project, user).startswith(
        f"{project}:1: a project's file may name a folder in its own folder only, such as logs;"
        " any other place is set in your own file with: bunsui config set --user logs PLACE"
    )
    write(project, "")
    write(user, f'logs = "{place}"')
    found = load(project, user).logs
    assert found is not None
    assert (found == place) == place.startswith(("cloudwatch", "/"))
    assert place == Config.load(project.parent, environ={"BUNSUI_LOGS": place}, user_file=user).logs


def test_paths_begin_at_the_files_folder(project: Path, user: Path, tmp_path: Path) -> None:
    """Wherever the command is run; those of the environment begin where it is."""
    write(project, 'store = "sqlite:///a b/%25.db"\nartifacts = "a b/%25"\ntelemetry = "emf:m.jsonl"')
    write(user, 'bindings = "b.yaml"')
    inner = project.parent / "inner"
    inner.mkdir()
    found = Config.load(inner, environ={}, user_file=user)
    assert f"sqlite:///{project.parent}/a%20b/%25.db" == found.store
    assert f"{project.parent}/a b/%25" == found.artifacts
    assert f"emf:{project.parent}/m.jsonl" == found.telemetry
    assert str(user.parent / "b.yaml") == found.bindings
    assert (
        "sqlite:///x.db"
        == Config.load(inner, environ={"BUNSUI_STORE": "sqlite:///x.db"}, user_file=user).store
    )


def test_an_untrusted_project_file_is_as_if_it_were_not_there(project: Path, user: Path) -> None:
    """The next one upwards counts, and a warning says which was left out, and why."""
    write(user, "")
    write(project, "lease = 5")
    inner = project.parent / "inner"
    inner.mkdir()
    write(inner / "bunsui.toml", "lease = 6")
    (inner / "bunsui.toml").chmod(0o666)
    found = Config.load(inner, environ={}, user_file=user)
    assert 5.0 == found.lease
    assert (
        f"{inner / 'bunsui.toml'} is ignored: other users may write it; a project's file belongs to you,"
        " and only you write it",
    ) == found.warnings


def test_an_untrusted_user_file_is_an_error(project: Path, user: Path) -> None:
    """Somebody relies on what stands in it."""
    write(user, "lease = 5")
    user.chmod(0o666)
    assert error(project, user).startswith(f"{user} is not read: other users may write it; it decides")


def test_no_user_file_at_all(project: Path) -> None:
    """/dev/null says that there is none; another thing that is no file is not to be given to anybody."""
    found = Config.load(project.parent, environ={"BUNSUI_CONFIG": os.devnull})
    assert found.user_file is None
    with pytest.raises(ConfigError, match=r"it is not a regular file; name a file, or /dev/null for none$"):
        Config.load(project.parent, environ={}, user_file=project.parent)


def test_a_user_file_that_is_not_there(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is an error where it was named, else nothing."""
    gone = tmp_path / "gone.toml"
    with pytest.raises(ConfigError, match=r"^BUNSUI_CONFIG names .*gone\.toml, which is not there; make it"):
        Config.load(project.parent, environ={"BUNSUI_CONFIG": str(gone)})
    with pytest.raises(ConfigError, match=r"gone\.toml is not there"):
        Config.load(project.parent, environ={}, user_file=gone)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert {} == Config.load(project.parent, environ={}).settings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1\nleese = 3", ":1: there is no key 'a'; the keys are"),
        ("\nleese = 3", ":2: there is no key 'leese'; did you mean 'lease'?"),
        ('[pools]\ngpu = "2"', ":2: pools.gpu is '2'; it is a whole number of at least 1, such as 2"),
        ("pools = 3", ":1: pools is 3; it is a table of numbers"),
        ("[lease]\nx = 1", ':1: lease is {"x": 1}; it is a number of seconds'),
        ("lease = nan", ":1: lease is NaN; it is"),
        ('store = "bunsui.db"', ":1: store is 'bunsui.db'; it is the URL of a store"),
        ('artifacts = "s3://b ad"', ":1: artifacts is 's3://b ad'; it is the path of a folder, such as"),
        ('artifacts = "s3://"', ":1: artifacts is 's3://'; it is the path of a folder, such as"),
        ('artifacts = "gs://bucket"', ":1: artifacts is 'gs://bucket'; it is the path of a folder, such as"),
        ('artifacts = " "', ":1: artifacts is ' '; it is the path of a folder"),
        ('telemetry = "grpc"', ":1: telemetry is 'grpc'; it is auto, otlp, emf, emf:stdout, emf:PATH or off"),
        ('telemetry = "emf:"', ":1: telemetry is 'emf:'; it is auto"),
        (
            'logs = "s3://bucket"',
            ":1: logs is 's3://bucket'; it is the path of a folder, such as logs, a group",
        ),
        ('logs = "cloudwatch:bunsui/team"', ":1: logs is 'cloudwatch:bunsui/team'; it is the path of"),
        ('artifacts = "s3:bucket"', ":1: artifacts is 's3:bucket'; it is the path of a folder, such as"),
        ('logs = "cloudwatch:///a b"', ":1: logs is 'cloudwatch:///a b'; it is the path of a folder"),
        (
            'logs = "cloudwatch:///a?retention=2"',
            ":1: logs: retention of 'cloudwatch:///a?retention=2' is '2'",
        ),
        ("capture_logging = 1", ":1: capture_logging is 1; it is true or false"),
        ('[pools]\n"a b" = 2', ":2: 'a b' can't be a name in 'pools'"),
    ],
)
def test_errors_name_file_and_line(project: Path, user: Path, text: str, expected: str) -> None:
    """And say what would be right."""
    write(user, "")
    write(project, text)
    assert error(project, user).startswith(f"{project}{expected}")


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("BUNSUI_LOCAL", "yes", "BUNSUI_LOCAL is 'yes'; it is true or false"),
        ("BUNSUI_POOLS", "gpu=2", "BUNSUI_POOLS is 'gpu=2'; it is a table"),
        ("BUNSUI_POOLS", '{"gpu": 0}', "BUNSUI_POOLS.gpu is 0; it is"),
        ("BUNSUI_SECRETS", '{"db": "hunter2"}', "BUNSUI_SECRETS.db is not where the value is found"),
        ("BUNSUI_SECRETS", "hunter2", "BUNSUI_SECRETS is not a table of references"),
        ("BUNSUI_ENV", "hunter2", "BUNSUI_ENV is not a list of names"),
    ],
)
def test_errors_name_the_variable(project: Path, user: Path, variable: str, text: str, expected: str) -> None:
    """And show nothing that may be a secret."""
    write(user, "")
    found = error(project, user, {variable: text})
    assert found.startswith(expected)
    assert "hunter2" not in found


def test_arguments_are_keys(project: Path, user: Path) -> None:
    """With their types."""
    write(user, "")
    assert "argument: there is no key 'lees'; did you mean 'lease'?" == error(project, user, lees=1)
    assert error(project, user, lease="x").startswith("argument lease is 'x'; it is")
    assert {} == load(project, user, lease=None).settings


def test_what_a_job_is_given_is_no_configuration(project: Path, user: Path) -> None:
    """Nor what the tests are told, nor misspelt; only one that is near a key's is spoken of."""
    write(user, "")
    others = {
        "BUNSUI_PARAM_STORE", "BUNSUI_PARAMETERS", "BUNSUI_PARAMETERS_FILE", "BUNSUI_OUTPUT",
        "BUNSUI_SESSION_ID",
        "BUNSUI_JOB_ID", "BUNSUI_ATTEMPT", "BUNSUI_IDEMPOTENCY_KEY", "BUNSUI_DISABLE_PLUGIN_AUTOLOAD",
        "BUNSUI_FAULTS", "BUNSUI_FUZZ", "BUNSUI_TEST_LIMITS", "BUNSUI_SEED", "BUNSUI_SIMULATE",
    }  # fmt: skip
    environ = dict.fromkeys(others | {"BUNSUI_LEESE"}, "x")
    assert {} == load(project, user, environ).settings
    assert [] == list(
        misspelt_variables(dict.fromkeys([*others, *map(variable_of, KEYS), "BUNSUI_CONFIG"], ""))
    )
    assert ["BUNSUI_LEESE is not read; did you mean 'BUNSUI_LEASE'?"] == list(misspelt_variables(environ))


def test_nothing_shows_what_may_be_a_secret() -> None:
    """Neither the configuration nor its parts."""
    found = Config.load(
        "/", environ={"BUNSUI_SECRETS": '{"db": "hunter2:x"}', "BUNSUI_CONFIG": os.environ["BUNSUI_CONFIG"]}
    )
    assert "hunter2" not in repr(found)
    assert Origin(Source.ENVIRONMENT, variable="BUNSUI_SECRETS") == found.origin("secrets.db")


def test_the_origin_of_no_key() -> None:
    """It is refused, rather than told to be a default."""
    with pytest.raises(ConfigError, match=r"there is no key 'leese'; did you mean 'lease'\?"):
        Config().origin("leese")


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user whom the system does not know, as in a container with a user id of its own."""
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "BUNSUI_CONFIG", "BUNSUI_STORE"):
        monkeypatch.delenv(name, raising=False)
    # For processes that are root: whom else the system does not know, root may become.
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("homeless")
class TestWithoutHome:
    """Where the user has no home folder."""

    def test_a_named_store(self) -> None:
        """What is named is used, and a user's file is not missed."""
        found = Config.load(store="sqlite:////srv/store.db")
        assert ("sqlite:////srv/store.db", None) == (found.store, found.user_file)

    def test_no_store(self) -> None:
        """The error says what to do."""
        with pytest.raises(ConfigError) as caught:
            Config.load().store  # noqa: B018 - it raises
        assert (
            "no store is named, and this user has no home folder where one could be; name one with --store or"
            " BUNSUI_STORE, such as sqlite:////var/lib/bunsui.db, or set HOME"
        ) == str(caught.value)

    def test_commands(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """They use a store that is named; else the exit code is that of a wrong configuration."""
        assert 0 == run(["session", "list", "--store", f"sqlite:///{tmp_path}/x.db"])
        assert 2 == run(["session", "list"])
        assert 2 == run(["config", "set", "--user", "lease", "5"])
        assert "no home folder where the file could be; name the file with" in capsys.readouterr().err
        assert 0 == run(["doctor", "--store", f"sqlite:///{tmp_path}/x.db"])
        assert 1 == run(["doctor"])
        assert "problem  store: no store is named" in capsys.readouterr().out
