# ruff: noqa: E501 - rows of messages, written as they are shown
"""The registry: the same door for built-ins, given plugins and installed ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types

import pytest

import bunsui
from bunsui import ConfigError, JobType, PluginError, Plugins, hookimpl
from bunsui.jobs.custom import CustomJobType
from bunsui.ports.secrets import SecretSource
from bunsui.stores.memory import MemoryStore


class Shout(JobType):
    name = "shout"
    schema = {
        "type": "object",
        "properties": {"text": {"type": "string"}},
        "required": ["text"],
    }

    def run(self, call):
        return call.options["text"].upper()


class Vault(SecretSource):
    def get(self, key):
        return f"the value of {key}"


class Brings:
    """A plugin that brings what it is made with."""

    def __init__(self, job_types=(), stores=None, secret_sources=None):
        self.types, self.urls = job_types, {} if stores is None else stores
        self.sources = {} if secret_sources is None else secret_sources

    @hookimpl
    def bunsui_job_types(self):
        return self.types

    @hookimpl
    def bunsui_stores(self):
        return self.urls

    @hookimpl
    def bunsui_secret_sources(self):
        return self.sources


def plugins(*given):
    return Plugins(given, autoload=False)


def test_builtins():
    """The built-in job types, stores and secret sources come through the hooks."""
    registry = plugins()
    assert (["custom", "lambda", "ecs"], ["memory", "sqlite"], ["env", "environment", "file"]) == (
        list(registry.job_types),
        list(registry.stores),
        list(registry.secret_sources),
    )


def test_object():
    """An object's hooks are registered behind the built-ins, and its job type can be used."""
    registry = plugins(Brings([Shout()]))
    definition = {"version": "1.0", "name": "n", "jobs": [{"id": "a", "type": "shout", "text": "hi"}]}
    assert (["custom", "lambda", "ecs", "shout"], "shout") == (
        list(registry.job_types),
        bunsui.Pipeline.from_dict(definition, registry).job("a").type,
    )


def test_module():
    """A module's functions are hooks too."""
    module = types.ModuleType("louder")

    @hookimpl
    def bunsui_job_types():
        yield Shout()

    module.bunsui_job_types = bunsui_job_types
    assert "shout" in plugins(module).job_types


def test_the_same_plugin_twice():
    """A plugin that is given twice counts once."""
    plugin = Brings([Shout()])
    assert "shout" in plugins(plugin, plugin).job_types


def test_two_of_one_class():
    """Two objects of one class are two plugins."""
    assert {"x", "y"} <= set(plugins(Brings(stores={"x": None}), Brings(stores={"y": None})).stores)


def test_registries_are_apart():
    """What is given to one registry is not in another."""
    plugins(Brings([Shout()]))
    assert "shout" not in plugins().job_types


class Misspelt:
    @hookimpl
    def bunsui_job_type(self):
        return []


class WrongArguments:
    @hookimpl
    def bunsui_session_event(self, session, event):
        return None


class Optional:
    @hookimpl(optionalhook=True)
    def bunsui_of_the_future(self):
        return None


def test_misspelt_hook():
    """A hook that does not exist is refused by its name, with the nearest one."""
    with pytest.raises(PluginError) as caught:
        plugins(Misspelt())
    assert (
        "plugin 'Misspelt': there is no hook 'bunsui_job_type'; did you mean 'bunsui_job_types'?",
        "Misspelt",
    ) == (
        str(caught.value),
        caught.value.plugin,
    )


def test_wrong_arguments():
    """A hook that takes what it is not given is refused."""
    with pytest.raises(PluginError) as caught:
        plugins(WrongArguments())
    assert (
        "plugin 'WrongArguments': Argument(s) {'session'} are declared in the hookimpl but can not be found in"
        " the hookspec" == str(caught.value)
    )


def test_optional_hook():
    """A hook marked as optional may be unknown."""
    assert "custom" in plugins(Optional()).job_types


class Common(Shout):
    schema = {"properties": {"timeout": {}, "retry": {}}}


class NoName(Shout):
    name = None


class NoSchema(Shout):
    schema = None


def broken():
    yield Shout()
    raise ValueError("oops")


@pytest.mark.parametrize(
    ("job_types", "expected"),
    [
        ([Common()], "plugin 'Brings': job type 'shout' has a field of every job: retry, timeout"),
        ([NoName()], "plugin 'Brings': NoName has no 'name'"),
        ([NoSchema()], "plugin 'Brings': NoSchema has no 'schema'"),
        (["x"], "plugin 'Brings': 'x' is not an instance of bunsui.JobType"),
        (3, "plugin 'Brings' failed in bunsui_job_types: TypeError: 'int' object is not iterable"),
        (broken(), "plugin 'Brings' failed in bunsui_job_types: ValueError: oops"),
    ],
)
def test_wrong_job_types(job_types, expected):
    """What is not a job type, or fails to say its job types, is refused with the plugin's name."""
    with pytest.raises(PluginError) as caught:
        _ = plugins(Brings(job_types)).job_types
    assert expected == str(caught.value)


def test_no_stores():
    """What is no mapping of stores is refused with the plugin's name."""
    with pytest.raises(PluginError, match=r"^plugin 'Brings' failed in bunsui_stores: TypeError: "):
        _ = plugins(Brings(stores=3)).stores


def test_secret_source():
    """A plugin's secret source is found by its name, behind the built-in ones."""
    sources = plugins(Brings(secret_sources={"vault": Vault()})).secret_sources
    assert (["env", "environment", "file", "vault"], "the value of x") == (
        list(sources),
        sources["vault"].get("x"),
    )


def test_environment_has_two_names():
    """The environment is one source with two names."""
    sources = plugins().secret_sources
    assert sources["env"] is sources["environment"]


NOT_A_SOURCE = "not an instance of bunsui.SecretSource"


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ({"vault": "hunter2"}, f"plugin 'Brings': secret source 'vault' is str, {NOT_A_SOURCE}"),
        ({"vault": Vault}, f"plugin 'Brings': secret source 'vault' is ABCMeta, {NOT_A_SOURCE}"),
        ({7: Vault()}, "plugin 'Brings': 7 is not a name for a secret source"),
        ({"a:b": Vault()}, "plugin 'Brings': 'a:b' is not a name for a secret source"),
        ({"": Vault()}, "plugin 'Brings': '' is not a name for a secret source"),
        (3, "plugin 'Brings' failed in bunsui_secret_sources: TypeError: 'int' object is not iterable"),
    ],
)
def test_wrong_secret_sources(sources, expected):
    """What is not a secret source, or has no name that a configuration can say, is refused."""
    with pytest.raises(PluginError) as caught:
        _ = plugins(Brings(secret_sources=sources)).secret_sources
    assert expected == str(caught.value)


@pytest.mark.parametrize(
    ("plugin", "attribute", "expected"),
    [
        (Brings([type("Mine", (Shout,), {"name": "lambda"})()]), "job_types", "job type 'lambda'"),
        (Brings(stores={"sqlite": None}), "stores", "store 'sqlite'"),
        (Brings(secret_sources={"env": Vault()}), "secret_sources", "secret source 'env'"),
    ],
)
def test_duplicate(plugin, attribute, expected):
    """A name that is taken is refused, naming both plugins."""
    with pytest.raises(PluginError) as caught:
        getattr(plugins(plugin), attribute)
    assert (
        f"plugin 'Brings' registers the {expected}, as plugin 'bunsui' does; remove one of them, or switch"
        " entry points off with autoload_plugins=False" == str(caught.value)
    )


@pytest.mark.parametrize("attribute", ["job_types", "stores", "secret_sources"])
def test_immutable(attribute):
    """What is registered can't be changed."""
    with pytest.raises(TypeError):
        getattr(plugins(), attribute)["x"] = None


def test_a_plugin_without_hooks_is_refused():
    """Such as a job type in a plugin's place: nothing of it would ever be asked for."""
    with pytest.raises(PluginError) as caught:
        plugins(CustomJobType())
    assert (
        "plugin 'CustomJobType': it has no hook; mark its functions with @bunsui.hookimpl, such as bunsui_job_types()"
    ) == str(caught.value)


# Stores


def test_open_store():
    """A store is opened by the factory of its scheme, which gets the whole URL."""
    assert (
        plugins(Brings(stores={"mine": lambda url: url})).open_store("mine://host/x?y") == "mine://host/x?y"
    )


def test_memory():
    """memory:// is a new store each time."""
    registry = plugins()
    first, second = registry.open_store("memory://"), registry.open_store("memory://")
    assert (MemoryStore, True) == (type(first), first is not second)


@pytest.mark.parametrize("name", ["a.db", "with%20space.db", "ü.db"])
def test_sqlite_relative_and_absolute(tmp_path, monkeypatch, name):
    """Three slashes and a relative path, or four for an absolute one, name the same file."""
    monkeypatch.chdir(tmp_path)
    for url in (f"sqlite:///{name}", f"sqlite:///{tmp_path}/{name}"):
        store = plugins().open_store(url)
        store.put("kind", "key", {})  # The file is made with the first write.
        store.close()
    found = {path.name for path in tmp_path.iterdir() if path.suffix == ".db"}
    assert {name.replace("%20", " ")} == found


URL_FORM = "is not of the form sqlite:///relative.db or sqlite:////absolute.db"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite://", f"store 'sqlite://' {URL_FORM}"),
        ("sqlite:///", f"store 'sqlite:///' {URL_FORM}"),
        ("sqlite://host/a.db", f"store 'sqlite://host/a.db' {URL_FORM}"),
        ("sqlite://[", f"store 'sqlite://[' {URL_FORM}"),
        ("sqlite:///a.db?x=1", f"store 'sqlite:///a.db?x=1' {URL_FORM}"),
        ("memory://x", "store 'memory://x': a memory store has no name; write memory://"),
        (
            "sqlit:///a.db",
            "store 'sqlit:///a.db' begins with none of memory://, sqlite://; did you mean 'sqlite'?",
        ),
        (
            "sqlite",
            "store 'sqlite' begins with none of memory://, sqlite://; a store is named by a URL, such as"
            " sqlite:///bunsui.db",
        ),
        (
            "",
            "store '' begins with none of memory://, sqlite://; a store is named by a URL, such as"
            " sqlite:///bunsui.db",
        ),
    ],
)
def test_wrong_url(url, expected):
    """A wrong URL is refused with its right form."""
    with pytest.raises(ConfigError) as caught:
        plugins().open_store(url)
    assert expected == str(caught.value)


# Observers


class Sees:
    def __init__(self):
        self.seen = []

    @hookimpl
    def bunsui_session_event(self, event, session_id):
        self.seen.append((session_id, event))


class SeesEventAlone:
    def __init__(self):
        self.seen = []

    @hookimpl
    def bunsui_session_event(self, event):
        self.seen.append(event)


class Raises:
    @hookimpl
    def bunsui_session_event(self):
        raise ValueError("oops")


def test_observe():
    """Every observer gets the arguments that it names; one that raises keeps none from the others."""
    all_of_it, event_alone = Sees(), SeesEventAlone()
    failed = plugins(all_of_it, Raises(), event_alone).observe("s1", "event")
    assert ([("s1", "event")], ["event"], ["'Raises'"], ["oops"]) == (
        all_of_it.seen,
        event_alone.seen,
        [name for name, _ in failed],
        [str(error) for _, error in failed],
    )


@pytest.mark.parametrize(("given", "wanted"), [([], False), ([Brings()], False), ([Sees()], True)])
def test_has_observers(given, wanted):
    """Whether anybody wants events is known beforehand."""
    assert wanted is plugins(*given).has_observers


# Entry points


SOURCE = """
from bunsui import JobType, hookimpl

class Shout(JobType):
    name = "shout"
    schema = {"type": "object", "properties": {}}

    def run(self, call):
        return None

@hookimpl
def bunsui_job_types():
    return [Shout()]
"""
ASK = """
import json, sys, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import bunsui
    try:
        # The warning names the line that made the registry: line 8.
        found = list(bunsui.Plugins(autoload=%s).job_types)
    except bunsui.PluginError as error:
        found = [str(error), error.plugin, error.distribution]
loaded = [name for name in ("loud", "louder") if name in sys.modules]
print(json.dumps([found, loaded, [[str(w.message), w.category.__name__, w.filename] for w in caught]]))
"""


@pytest.fixture
def installed(tmp_path):
    """Asks a new process, with (distribution, entry point, module, source) installed, for its job types."""

    def ask(*distributions, autoload=True, **environment):
        for distribution, entry, module, source in distributions:
            (tmp_path / f"{module}.py").write_text(source)
            folder = tmp_path / f"{distribution.replace('-', '_')}-1.0.dist-info"
            folder.mkdir()
            (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
            (folder / "entry_points.txt").write_text(f"[bunsui]\n{entry} = {module}\n")
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), **environment}
        done = subprocess.run(
            [sys.executable, "-c", ASK % autoload],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return json.loads(done.stdout)

    return ask


BUILT_IN = ["custom", "lambda", "ecs"]
FAILING = """
import bunsui
@bunsui.hookimpl
def bunsui_job_types():
    raise ConnectionError("no service")
"""
LOUD = ("loud-dist", "loud", "loud", SOURCE)


def test_entry_point(installed):
    """An installed plugin is loaded without being named."""
    assert [[*BUILT_IN, "shout"], ["loud"], []] == installed(LOUD)


def test_autoload_off(installed):
    """autoload=False does not even import installed plugins."""
    assert [BUILT_IN, [], []] == installed(LOUD, autoload=False)


@pytest.mark.parametrize(("value", "loaded"), [("1", False), ("true", False), ("0", True), ("", True)])
def test_autoload_disabled_by_environment(installed, value, loaded):
    """BUNSUI_DISABLE_PLUGIN_AUTOLOAD=1 does not even import installed plugins."""
    found = installed(LOUD, BUNSUI_DISABLE_PLUGIN_AUTOLOAD=value)
    assert (["loud"] if loaded else []) == found[1]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise ValueError('oops')", "a plugin is disabled: plugin 'loud' (loud-dist): ValueError: oops"),
        (
            "import nothing_there",
            "a plugin is disabled: plugin 'loud' (loud-dist): ModuleNotFoundError: No module named 'nothing_there'",
        ),
        (
            SOURCE.replace("bunsui_job_types", "bunsui_job_typos"),
            "a plugin is disabled: plugin 'loud' (loud-dist): there is no hook 'bunsui_job_typos'; did you mean"
            " 'bunsui_job_types'?",
        ),
    ],
)
def test_failing_entry_point(installed, source, reason):
    """A plugin that fails is disabled, with a warning that names it, and the others stay."""
    found = installed(("loud-dist", "loud", "loud", source), ("louder-dist", "louder", "louder", SOURCE))
    assert [[*BUILT_IN, "shout"], [[reason, "RuntimeWarning", "<string>"]]] == [found[0], found[2]]


def test_entry_points_of_one_name(installed):
    """Two distributions may give their entry points one name."""
    other = SOURCE.replace('"shout"', '"whisper"')
    found = installed(LOUD, ("louder-dist", "loud", "louder", other))
    assert (sorted([*BUILT_IN, "shout", "whisper"]), []) == (sorted(found[0]), found[2])


def test_an_installed_plugin_that_fails_is_named_with_what_helps(installed):
    """Whoever can't run a command for a plugin that somebody else wrote learns how to go on without it."""
    found, _, _ = installed(("loud-dist", "loud", "loud", FAILING))
    assert (
        "plugin 'loud' (loud-dist) failed in bunsui_job_types: ConnectionError: no service; uninstall it, or leave"
        " all installed plugins out with BUNSUI_DISABLE_PLUGIN_AUTOLOAD=1"
    ) == found[0]


def test_duplicate_of_two_distributions(installed):
    """Two installed plugins that claim one name are an error that names both distributions."""
    found, _, _ = installed(LOUD, ("louder-dist", "louder", "louder", SOURCE))
    message, plugin, distribution = found
    first, second = ("loud", "louder") if plugin == "louder" else ("louder", "loud")
    assert (
        f"plugin '{second}' ({second}-dist) registers the job type 'shout', as plugin '{first}'"
        f" ({first}-dist) does; remove one of them, or switch entry points off with autoload_plugins=False",
        f"{second}-dist",
    ) == (message, distribution)
