# ruff: noqa: E501 - rows of messages, written as they are shown
"""The registry: the same door for built-ins and given plugins."""

from __future__ import annotations

import inspect
import threading
import types
from concurrent.futures import ThreadPoolExecutor

import pytest

import bunsui
from bunsui import ConfigError, JobType, PluginError, Plugins, StoreError, hookimpl
from bunsui.jobs.custom import CustomJobType
from bunsui.plugins import contributions, hookspecs
from bunsui.plugins.registration import HOOKS, PluginInfo, Registration
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
    assert (
        ["custom", "lambda", "ecs", "step_function", "batch", "glue"],
        ["memory", "sqlite", "dynamodb"],
        ["env", "environment", "file", "secretsmanager", "ssm"],
    ) == (
        list(registry.job_types),
        list(registry.stores),
        list(registry.secret_sources),
    )


def test_object():
    """An object's hooks are registered behind the built-ins, and its job type can be used."""
    registry = plugins(Brings([Shout()]))
    definition = {"version": "1.0", "name": "n", "jobs": [{"id": "a", "type": "shout", "text": "hi"}]}
    assert (["custom", "lambda", "ecs", "step_function", "batch", "glue", "shout"], "shout") == (
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
    assert {"x", "y"} <= set(plugins(Brings(stores={"x": print}), Brings(stores={"y": print})).stores)


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
        "plugin 'WrongArguments': its bunsui_session_event takes 'session', which it is not given;"
        " it may take session_id, event" == str(caught.value)
    )


def test_optional_hook():
    """A hook marked as optional may be unknown."""
    assert "custom" in plugins(Optional()).job_types


def test_secret_source():
    """A plugin's secret source is found by its name, behind the built-in ones."""
    sources = plugins(Brings(secret_sources={"vault": Vault()})).secret_sources
    assert (["env", "environment", "file", "secretsmanager", "ssm", "vault"], "the value of x") == (
        list(sources),
        sources["vault"].get("x"),
    )


def test_alert_channel():
    """A plugin's type of alert channels is found by its name, behind the built-in ones."""

    class Pager(bunsui.AlertChannel):
        def send(self, alert, options):
            raise NotImplementedError

    found = Pager()
    plugin = type("Pages", (), {"bunsui_alert_channels": hookimpl(lambda self: {"pager": found})})()
    channels = plugins(plugin).alert_channels
    assert ["command", "eventbridge", "log", "sns", "webhook", "pager"] == list(channels)
    assert found is channels["pager"]


@pytest.mark.parametrize("name", plugins().alert_channels)
def test_the_schemas_of_bunsuis_own_channels(name):
    """They are what those of plugins have to be, each option is told in words, and secrets are options."""
    channel = plugins().alert_channels[name]
    contributions._check_channel(name, channel)
    fields = channel.schema.get("properties", {})
    assert [] == [field for field, schema in fields.items() if "title" not in schema]
    assert channel.schema["additionalProperties"] is False


def test_environment_has_two_names():
    """The environment is one source with two names."""
    sources = plugins().secret_sources
    assert sources["env"] is sources["environment"]


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        (Brings([type("Mine", (Shout,), {"name": "lambda"})()]), "job type 'lambda'"),
        (Brings(stores={"sqlite": print}), "store 'sqlite'"),
        (Brings(secret_sources={"env": Vault()}), "secret source 'env'"),
    ],
)
def test_duplicate(plugin, expected):
    """A name that is taken is refused when the plugin is given, naming both plugins."""
    with pytest.raises(PluginError) as caught:
        plugins(plugin)
    assert (
        f"plugin 'Brings' registers the {expected}, as plugin 'bunsui' does; give it another name, or leave"
        " one of them out" == str(caught.value)
    )


@pytest.mark.parametrize("attribute", ["job_types", "stores", "secret_sources", "alert_channels"])
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
    urls, made = [], MemoryStore()
    registry = plugins(Brings(stores={"mine": lambda url: urls.append(url) or made}))
    assert (made, ["mine://host/x?y"]) == (registry.open_store("mine://host/x?y"), urls)


def raises(error):
    def open_store(url):
        raise error

    return open_store


class Speechless(Exception):
    def __str__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("factory", "expected"),
    [
        (raises(ValueError("oops")), "failed to open the store 'mine://x': ValueError: oops"),
        (raises(SystemExit(3)), "failed to open the store 'mine://x': SystemExit: 3"),
        (
            raises(Speechless()),
            "failed to open the store 'mine://x': Speechless: (Speechless whose text can't be made: RuntimeError)",
        ),
        (str, "opened 'mine://x' as str, which is not a bunsui.ports.store.Store"),
    ],
)
def test_a_store_that_is_none(factory, expected):
    """What a plugin's function raises, or returns in a store's place, is the plugin's fault and names it."""
    with pytest.raises(PluginError) as caught:
        plugins(Brings(stores={"mine": factory})).open_store("mine://x")
    assert (f"plugin 'Brings' {expected}", "Brings") == (str(caught.value), caught.value.plugin)


@pytest.mark.parametrize("error", [ConfigError("wrong"), StoreError("away")])
def test_what_a_store_says_is_wrong(error):
    """The errors that a plugin's function is to raise come out as they are."""
    with pytest.raises(type(error)) as caught:
        plugins(Brings(stores={"mine": raises(error)})).open_store("mine://x")
    assert caught.value is error


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
            "store 'sqlit:///a.db' begins with none of memory://, sqlite://, dynamodb://; did you mean 'sqlite'?",
        ),
        (
            "sqlite",
            "store 'sqlite' begins with none of memory://, sqlite://, dynamodb://; a store is named by a URL, such as"
            " sqlite:///bunsui.db",
        ),
        (
            "",
            "store '' begins with none of memory://, sqlite://, dynamodb://; a store is named by a URL, such as"
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


def test_observers():
    """Each gets the arguments that it names, in its order, and is named as messages name its plugin."""
    all_of_it, event_alone = Sees(), SeesEventAlone()
    found = plugins(all_of_it, Raises(), event_alone).observers
    found[0].call("s1", "event")
    found[2].call("s1", "event")
    assert ([("s1", "event")], ["event"], ["'Sees'", "'Raises'", "'SeesEventAlone'"]) == (
        all_of_it.seen,
        event_alone.seen,
        [observer.origin for observer in found],
    )
    with pytest.raises(ValueError, match="oops"):
        found[1].call("s1", "event")


def test_no_observers():
    """Whoever brings something else is none."""
    assert [] == plugins(Brings()).observers


# When plugins are asked


class Counts:
    """A plugin that counts how often it is asked."""

    def __init__(self):
        self.asked = []

    @hookimpl
    def bunsui_job_types(self):
        self.asked.append("job types")
        return [Shout()]

    @hookimpl
    def bunsui_stores(self):
        self.asked.append("stores")
        return {}


def test_a_plugin_is_asked_once():
    """When it is given, and for nothing after that, whoever asks the registry for what."""
    plugin = Counts()
    registry = plugins(plugin)
    assert ["job types", "stores"] == plugin.asked
    _ = registry.job_types, registry.stores, registry.secret_sources, registry.describe()
    with pytest.raises(ConfigError):
        registry.open_store("x://")
    assert ["job types", "stores"] == plugin.asked


def test_threads_ask_a_plugin_once():
    """Also of an installed one, which is asked when that is needed: `_asking` sees to it."""
    asked, both, again = [], threading.Barrier(2, timeout=30), threading.Event()

    class Slow:
        @hookimpl
        def bunsui_job_types(self):
            asked.append(threading.current_thread().name)
            if len(asked) == 1:
                again.wait(0.3)  # Time for the other thread to ask, too.
            else:
                again.set()
            return [Shout()]

    registry = plugins()
    added = Registration("slow", "slow", is_installed=True)
    registry._add(Slow(), added)

    def ask(what):
        both.wait()
        what()

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(ask, lambda: registry.job_types), pool.submit(ask, registry.describe)]:
            done.result()
    assert "shout" in registry.job_types
    assert 1 == len(asked)


def test_describe():
    """Each plugin with its hooks; what comes with bunsui is the first."""
    own, given, *left_out = plugins(Brings([Shout()])).describe()
    assert ["off"] * len(left_out) == [each.state for each in left_out]
    assert (
        PluginInfo(
            "bunsui", "bunsui", bunsui.__version__,
            ("bunsui_job_types", "bunsui_stores", "bunsui_secret_sources", "bunsui_alert_channels"), "active", None,
        ),
        PluginInfo(
            "Brings", None, None, ("bunsui_job_types", "bunsui_stores", "bunsui_secret_sources"), "active", None
        ),
    ) == (own, given)  # fmt: skip


def test_every_hook_says_what_is_to_be_known():
    """When it is called, in which thread, what may be returned, and what happens on an error."""
    for hook in HOOKS:
        text = inspect.getdoc(getattr(hookspecs, hook)) or ""
        parts = [text.find(f"\n{part}: ") for part in ("Called", "Thread", "Returns", "On error")]
        assert -1 not in parts, hook
        assert parts == sorted(parts), hook


def test_the_registry_has_the_hooks_of_the_specification():
    """Those of the design that there are so far, and each is asked for or observed."""
    asked = {kind.hook for kind in (*contributions.KINDS, contributions.COMMANDS)}
    assert asked | {"bunsui_session_event"} == set(HOOKS)
