# ruff: noqa: E501 - rows of messages, written as they are shown
"""What plugins bring is refused, when they are registered, where it could not be used later."""

from __future__ import annotations

import gc
from types import MappingProxyType

import click
import pytest
from attrs import frozen

from bunsui import (
    AlertChannel,
    CannotTell,
    ConfigError,
    JobType,
    PluginError,
    Plugins,
    RemoteJobType,
    SecretSource,
    hookimpl,
)
from bunsui.plugins import hookspecs


class Shout(JobType):
    name = "shout"
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}

    def run(self, call):
        return call.options["text"].upper()


class Far(RemoteJobType):
    name = "far"
    schema = {"type": "object", "properties": {}}

    def submit(self, call):
        return 1

    def poll(self, handles):
        return [CannotTell() for _ in handles]

    def cancel(self, handle):
        return None

    def find(self, call):
        return CannotTell()


class Vault(SecretSource):
    def get(self, key):
        return f"the value of {key}"


def refused(**hooks):
    """What is said of a plugin whose hooks return these."""
    members = {name: _hook(found) for name, found in hooks.items()}
    with pytest.raises(PluginError) as caught:
        Plugins([type("Brings", (), members)()], autoload=False)
    assert "Brings" == caught.value.plugin
    return str(caught.value).removeprefix("plugin 'Brings'")


def _hook(found):
    @hookimpl
    def hook(self):
        return found() if callable(found) else found

    return hook


def of(base=Shout, **attributes):
    return [type("Mine", (base,), attributes)()]


def with_fields(**properties):
    return of(schema={"type": "object", "properties": properties})


def broken():
    yield Shout()
    raise ValueError("oops")


def long_winded():
    raise ValueError("x" * 100_000)


def leaves():
    raise SystemExit(3)


NO_TYPE = "is not a name for a job type: printable text of one line, at most 64 characters"
JSON_SCHEMA = ": job type 'shout': its schema is not valid JSON Schema"


@pytest.mark.parametrize(
    ("job_types", "expected"),
    [
        (["x"], ": 'x' is not an instance of bunsui.JobType"),
        ([Shout], ": Shout is a class; return an instance, Shout()"),
        (3, ": bunsui_job_types returned int; return a list"),
        (None, ": bunsui_job_types returned NoneType; return a list"),
        (Shout(), ": bunsui_job_types returned Shout; return a list"),
        (broken, " failed in bunsui_job_types: ValueError: oops"),
        (leaves, " failed in bunsui_job_types: SystemExit: 3"),
        (of(name=None), ": Mine has no 'name'"),
        (of(name=""), f": Mine: '' {NO_TYPE}"),
        (of(name=" a"), f": Mine: ' a' {NO_TYPE}"),
        (of(name="a\n"), f": Mine: 'a\\n' {NO_TYPE}"),
        (of(name="a" * 65), f": Mine: '{'a' * 65}' {NO_TYPE}"),
        (of(schema=None), ": Mine has no 'schema'"),
        (of(schema=MappingProxyType({})), ": Mine: its 'schema' is of type mappingproxy, not a dict"),
        (of(schema={"allOf": [{"properties": {"timeout": {}}}]}), ": job type 'shout' has a field of every job: timeout"),
        (of(schema={"anyOf": [{"oneOf": [{"properties": {"pool": {}}}]}]}), ": job type 'shout' has a field of every job: pool"),
        (of(schema={"if": {}, "then": {"properties": {"cache": {}}}}), ": job type 'shout' has a field of every job: cache"),
        (of(schema={"dependentSchemas": {"x": {"properties": {"id": {}}}}}), ": job type 'shout' has a field of every job: id"),
        (long_winded, " failed in bunsui_job_types: ValueError: " + "x" * 500 + "... (100000 characters)"),
        (of(schema={"properties": {"timeout": {}, "retry": {}}}), ": job type 'shout' has a field of every job: retry, timeout"),
        (of(schema={"type": "objekt"}), f"{JSON_SCHEMA} at type: 'objekt' is not valid under any of the given schemas"),
        (with_fields(text={"type": 3}), f"{JSON_SCHEMA} at properties/text/type: 3 is not valid under any of the given schemas"),
        (with_fields(text={"pattern": "["}), f"{JSON_SCHEMA} at properties/text/pattern: '[' is not a 'regex'"),
        (of(schema={"properties": {}, "required": "text"}), f"{JSON_SCHEMA} at required: 'text' is not of type 'array'"),
        (of(schema={"type": "array"}), ": job type 'shout': its schema has the type 'array'; it must be an object's"),
        (with_fields(text={"$ref": "#/$defs/x"}), ": job type 'shout': its schema has '$ref' '#/$defs/x', which is not within it"),
        (with_fields(text={"$ref": "https://x.org/y"}), ": job type 'shout': its schema has '$ref' 'https://x.org/y', which is not within it"),
        (with_fields(text={"items": {"$ref": "#here"}}), ": job type 'shout': its schema has '$ref' '#here', which is not within it"),
        (of(schema={"required": ["x"]}), ": job type 'shout': its schema requires 'x', which is none of its properties"),
        (of(on_lost="retry"), ": job type 'shout': its on_lost is 'retry', not one of rerun, unknown, fail"),
        (of(binding_field="function"), ": job type 'shout': its binding_field is 'function', which its schema does not have"),
        (of(binding_style="junk"), ": job type 'shout': its binding_style is 'junk', not one of keywords, lambda"),
        (of(open_fields=None), ": job type 'shout': its open_fields are None; they are names of its own fields"),
        (of(schema={"properties": {"x": {"default": {1}}}}), ": job type 'shout': its schema is not JSON: Object of type set is not JSON serializable"),
        (of(schema={"properties": {"x": {"enum": [float("nan")]}}}), ": job type 'shout': its schema is not JSON: Out of range float values are not JSON compliant"),
        (of(open_fields="text"), ": job type 'shout': its open_fields are 'text'; they are names of its own fields"),
        (of(open_fields={"textt"}), ": job type 'shout': its open_fields are {'textt'}; they are names of its own fields"),
        (of(Far, poll_interval=0), ": job type 'far': its poll_interval is 0, not a number of seconds above 0"),
        (of(Far, poll_interval=float("nan")), ": job type 'far': its poll_interval is nan, not a number of seconds above 0"),
        (of(Far, poll_patience=-1), ": job type 'far': its poll_patience is -1, not a number of seconds above 0"),
        (of(Far, poll_interval_max="9"), ": job type 'far': its poll_interval_max is '9', not a number of seconds above 0"),
        (of(Far, poll_interval=5.0, poll_interval_max=4.0), ": job type 'far': its poll_interval_max is 4.0, less than its poll_interval, 5.0"),
        (of(Far, poll_batch=0), ": job type 'far': its poll_batch is 0, not a number of handles above 0"),
        (of(Far, poll_batch=True), ": job type 'far': its poll_batch is True, not a number of handles above 0"),
        ([Shout(), Shout()], ": it registers the job type 'shout' twice"),
    ],
)  # fmt: skip
def test_wrong_job_types(job_types, expected):
    """What is no job type, or one that no definition could use, is refused with the plugin's name."""
    assert expected == refused(bunsui_job_types=job_types)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("hook", "wanted"), [("bunsui_job_types", "a list"), ("bunsui_stores", "a mapping by name")]
)
def test_a_coroutine(hook, wanted, recwarn):
    """What is returned in place of a list is refused, and Python does not warn that nobody awaited it."""

    async def found():
        return []

    assert f": {hook} returned coroutine; return {wanted}" == refused(**{hook: found})
    gc.collect()
    assert [] == [str(warning.message) for warning in recwarn]


@pytest.mark.parametrize(
    "schema",
    [
        {"$defs": {"a/b": {"type": "string"}}, "properties": {"text": {"$ref": "#/$defs/a~1b"}}},
        {"properties": {"text": {"enum": [{"$ref": "https://x.org"}], "default": {"$ref": "x"}}}},
        {"properties": {"$ref": {"type": "string"}}},
        {"allOf": [{"properties": {}}], "properties": {"x": {"$ref": "#/allOf/0"}}},
        {"properties": {"x": {"$ref": "#"}}},
        {"$id": "https://x.org/s", "properties": {"x": {"$ref": "https://x.org/s#/properties/y"}, "y": {}}},
        {"$defs": {"d": {"$anchor": "here"}}, "properties": {"x": {"$ref": "#here"}}},
        {"properties": {"x": {"$ref": "https://json-schema.org/draft/2020-12/schema"}}},
        {},
    ],
)
def test_schemas_that_are_whole(schema):
    """What refers to its own parts, or only looks as if it referred to others, is taken."""
    plugin = type("Brings", (), {"bunsui_job_types": _hook(of(schema=schema))})()
    assert "shout" in Plugins([plugin], autoload=False).job_types


@pytest.mark.parametrize(
    ("stores", "expected"),
    [
        (3, ": bunsui_stores returned int; return a mapping by name"),
        ([], ": bunsui_stores returned list; return a mapping by name"),
        ({"Redis": print}, ": 'Redis' is not the scheme of a URL, such as 'redis'"),
        ({"redis://": print}, ": 'redis://' is not the scheme of a URL, such as 'redis'"),
        ({7: print}, ": 7 is not the scheme of a URL, such as 'redis'"),
        ({"redis": "x"}, ": store 'redis' is str, not a function that opens a store"),
    ],
)
def test_wrong_stores(stores, expected):
    """What no URL could name, or could not be opened, is refused."""
    assert expected == refused(bunsui_stores=stores)


NOT_A_SOURCE = "not an instance of bunsui.SecretSource"
NO_NAME = "is not a name for a secret source: a letter, then up to 63 letters, digits, '_' or '-'"


class Pager(AlertChannel):
    schema = {"type": "object", "properties": {"to": {"type": "string"}}, "additionalProperties": False}

    def send(self, alert, options):
        pass


def pager(**attributes):
    """A channel that has other attributes."""
    return type("Odd", (Pager,), attributes)()


NOT_A_CHANNEL = "not an instance of bunsui.AlertChannel"
NO_CHANNEL_NAME = "is not a name for an alert channel: a letter, then up to 63 letters, digits, '_' or '-'"
TYPED = {"type": "object", "properties": {"type": {"type": "string"}}}


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        ({"pager": "x"}, f": alert channel 'pager' is str, {NOT_A_CHANNEL}"),
        ({"pager": Pager}, ": Pager is a class; give an instance, Pager()"),
        ({7: Pager()}, f": 7 {NO_CHANNEL_NAME}"),
        ({"a:b": Pager()}, f": 'a:b' {NO_CHANNEL_NAME}"),
        ({"": Pager()}, f": '' {NO_CHANNEL_NAME}"),
        (3, ": bunsui_alert_channels returned int; return a mapping by name"),
        ([Pager()], ": bunsui_alert_channels returned list; return a mapping by name"),
        ({"p": pager(schema=3)}, ": alert channel 'p': its 'schema' is of type int, not a dict"),
        ({"p": pager(schema=TYPED)}, ": alert channel 'p' has a field of every channel: type"),
        (
            {"p": pager(schema={"type": "array"})},
            ": alert channel 'p': its schema has the type 'array'; it must be an object's",
        ),
        (
            {"p": pager(schema={"properties": {"a": {"type": "texts"}}})},
            ": alert channel 'p': its schema is not valid JSON Schema at properties/a/type: 'texts' is not valid under any of the given schemas",
        ),
        (
            {"p": pager(schema={"required": ["a"]})},
            ": alert channel 'p': its schema requires 'a', which is none of its properties",
        ),
        (
            {"p": pager(secret_options=("token",))},
            ": alert channel 'p': its secret_options are ('token',); they are names of its own options",
        ),
        (
            {"p": pager(secret_options="to")},
            ": alert channel 'p': its secret_options are 'to'; they are names of its own options",
        ),
    ],
)
def test_wrong_alert_channels(channels, expected):
    """What is no channel, has no name that a configuration can say, or no schema of options, is refused."""
    assert expected == refused(bunsui_alert_channels=channels)


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ({"vault": "hunter2"}, f": secret source 'vault' is str, {NOT_A_SOURCE}"),
        ({"vault": Vault}, ": Vault is a class; give an instance, Vault()"),
        ({"vault": print}, f": secret source 'vault' is builtin_function_or_method, {NOT_A_SOURCE}"),
        ({7: Vault()}, f": 7 {NO_NAME}"),
        ({"a:b": Vault()}, f": 'a:b' {NO_NAME}"),
        ({"": Vault()}, f": '' {NO_NAME}"),
        (3, ": bunsui_secret_sources returned int; return a mapping by name"),
    ],
)
def test_wrong_secret_sources(sources, expected):
    """What is not a secret source, or has no name that a configuration can say, is refused."""
    assert expected == refused(bunsui_secret_sources=sources)


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        ([print], ": <built-in function print> is not an instance of click.Command"),
        ([click.Command("run")], ": 'run' is one of bunsui's own commands"),
        ([click.Command("a b")], ": 'a b' is not a name for a command: lower case letters, digits and '-'"),
        ([click.Command(None)], ": None is not a name for a command: lower case letters, digits and '-'"),
    ],
)
def test_wrong_commands(commands, expected):
    """What the command line could not have beside its own commands is refused where those are asked for."""
    plugins = Plugins([type("Brings", (), {"bunsui_cli_commands": _hook(commands)})()], autoload=False)
    with pytest.raises(PluginError) as caught:
        _ = plugins.cli_commands
    assert f"plugin 'Brings'{expected}" == str(caught.value)


# The plugin itself


class Misspelt:
    @hookimpl
    def bunsui_job_type(self):
        return []


class WrongArguments:
    @hookimpl
    def bunsui_session_event(self, session, event):
        return None


class Wrapper:
    @hookimpl(wrapper=True)
    def bunsui_job_types(self):
        return (yield)


class Async:
    @hookimpl
    async def bunsui_session_event(self, event):
        return None


class AsyncGenerator:
    @hookimpl
    async def bunsui_job_types(self):
        yield Shout()


class Generator:
    @hookimpl
    def bunsui_session_event(self, event):
        yield event


class Default:
    @hookimpl
    def bunsui_session_event(self, session_id, event=None):
        return None


class KeywordOnly:
    @hookimpl
    def bunsui_session_event(self, *, event):
        return None


class Anything:
    @hookimpl
    def bunsui_session_event(self, **anything):
        return None


class Trap:
    def __getattr__(self, name):
        raise RuntimeError("not now")


class Unmarked:
    def bunsui_job_types(self):
        return []


class Needy:
    @hookimpl
    def bunsui_job_types(self, config):
        return []


class Fine:
    @hookimpl
    def bunsui_job_types(self):
        return []


class Property(Fine):
    @property
    def trap(self):
        raise ValueError("not now")


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        (Misspelt(), "plugin 'Misspelt': there is no hook 'bunsui_job_type'; did you mean 'bunsui_job_types'?"),
        (WrongArguments(), "plugin 'WrongArguments': its bunsui_session_event takes 'session', which it is not given; it may take session_id, event"),
        (Needy(), "plugin 'Needy': its bunsui_job_types takes 'config', which it is not given; it takes none"),
        (Wrapper(), "plugin 'Wrapper': its bunsui_job_types is a wrapper; leave 'wrapper' out: hooks of bunsui are not wrapped"),
        (Async(), "plugin 'Async': its bunsui_session_event is async; make it a plain function: nobody would await it"),
        (AsyncGenerator(), "plugin 'AsyncGenerator': its bunsui_job_types is async; make it a plain function: nobody would await it"),
        (Generator(), "plugin 'Generator': its bunsui_session_event is a generator; leave 'yield' out: nobody would go through it"),
        (Default(), "plugin 'Default': its bunsui_session_event has a default for 'event', and would never be given it; leave the default out"),
        (KeywordOnly(), "plugin 'KeywordOnly': its bunsui_session_event takes 'event' by keyword only; leave the * out"),
        (Anything(), "plugin 'Anything': its bunsui_session_event takes **anything; name the arguments that it needs"),
        (Unmarked(), "plugin 'Unmarked': it has no hook; mark its functions with @bunsui.hookimpl, such as bunsui_job_types()"),
        (Fine, "plugin 'Fine': it is a class; give an instance: Fine()"),
    ],
)  # fmt: skip
def test_wrong_plugins(plugin, expected):
    """What can't be asked as it is written is refused by its name, with what helps."""
    with pytest.raises(PluginError) as caught:
        Plugins([plugin], autoload=False)
    assert (expected, expected.split("'")[1]) == (str(caught.value), caught.value.plugin)


def test_a_plugin_whose_attributes_fail():
    """It is refused by its name."""
    with pytest.raises(PluginError) as caught:
        Plugins([Trap()], autoload=False)
    assert "plugin 'Trap': RuntimeError: not now" == str(caught.value)


def test_plugins_that_are_equal():
    """Which pluggy would take for one: the second is refused, not forgotten."""

    @frozen
    class Equal:
        name: str

        @hookimpl
        def bunsui_job_types(self):
            return of(name=self.name)

    one = Equal("x")
    assert "x" in Plugins([one, one], autoload=False).job_types
    with pytest.raises(PluginError, match="'Equal': it equals another one that is registered"):
        Plugins([one, Equal("x")], autoload=False)


def test_describe_tells_what_nobody_has_asked_for():
    """A command that can't be used is no reason to refuse a plugin that is given; it is told all the same."""
    members = {"bunsui_cli_commands": _hook([print]), "bunsui_job_types": _hook([Shout()])}
    _, given, *left_out = Plugins([type("Brings", (), members)()], autoload=False).describe()
    assert ["off"] * len(left_out) == [each.state for each in left_out]
    assert ("partial", True) == (given.state, "is not an instance of click.Command" in str(given.reason))


def test_what_is_no_hook_is_not_looked_at():
    """A property that fails is no business of the registry."""
    assert Plugins([Property()], autoload=False).job_types


def test_a_class_with_static_hooks():
    """What can be called without an instance needs none."""

    class Static:
        @staticmethod
        @hookimpl
        def bunsui_job_types():
            return [Shout()]

    assert "shout" in Plugins([Static], autoload=False).job_types


@pytest.mark.parametrize("wanted", [">=1.0,<2", "==1.*", "~=1.0", f"=={hookspecs.HOOK_VERSION}"])
def test_hook_versions_that_fit(wanted):
    """A plugin that says which versions of the hooks it needs is taken where there is one of them."""
    plugin = type("Wants", (Fine,), {"bunsui_hook_versions": wanted})()
    assert "Wants" == Plugins([plugin], autoload=False).describe()[1].name


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (">=2", f"it needs the hooks of version >=2, and this bunsui has {Plugins.hook_version}; install versions of the two that fit"),
        ("<1", f"it needs the hooks of version <1, and this bunsui has {Plugins.hook_version}; install versions of the two that fit"),
        ("two", "its bunsui_hook_versions is 'two'; bunsui_hook_versions is a version specifier, such as \">=1.0,<2\""),
        (2, "its bunsui_hook_versions is 2; bunsui_hook_versions is a version specifier, such as \">=1.0,<2\""),
    ],
)  # fmt: skip
def test_hook_versions_that_do_not_fit(wanted, expected):
    """Else it is refused, with what it needs and what there is."""
    with pytest.raises(PluginError) as caught:
        Plugins([type("Wants", (Fine,), {"bunsui_hook_versions": wanted})()], autoload=False)
    assert f"plugin 'Wants': {expected}" == str(caught.value)


@pytest.mark.parametrize("given", [Fine(), "my_plugin", None])
def test_plugins_are_a_list(given):
    """A plugin in the list's place is told so."""
    with pytest.raises(ConfigError) as caught:
        Plugins(given, autoload=False)
    kind = type(given).__name__
    assert f"plugins is of type {kind}, not a list; write plugins=[...]" == str(caught.value)
