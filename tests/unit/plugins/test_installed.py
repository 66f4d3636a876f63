# ruff: noqa: E501 - rows of messages, written as they are shown
"""Installed plugins: found by their entry points, and disabled where they can't be used."""

from __future__ import annotations

import json

import pytest

from bunsui import Plugins
from bunsui_tests.distributions import install, python

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
        for distribution in distributions:
            install(tmp_path, *distribution)
        done = python(tmp_path, "-c", ASK % autoload, **environment)
        assert ("", 0) == (done.stderr, done.returncode)
        return json.loads(done.stdout)

    return ask


BUILT_IN = ["custom", "lambda", "ecs", "step_function", "batch", "glue"]
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


def test_importing_bunsui_imports_no_plugin(tmp_path):
    """Nor does reading its names: only a registry loads what is installed."""
    install(tmp_path, *LOUD)
    names = (
        "import bunsui, sys; [getattr(bunsui, name) for name in bunsui.__all__]; print('loud' in sys.modules)"
    )
    then = "; _ = bunsui.Plugins(); print('loud' in sys.modules)"
    done = python(tmp_path, "-c", names + then)
    assert "False\nTrue\n" == done.stdout, done.stderr


@pytest.mark.parametrize(("value", "loaded"), [("1", False), ("true", False), ("0", True), ("", True)])
def test_autoload_disabled_by_environment(installed, value, loaded):
    """BUNSUI_DISABLE_PLUGIN_AUTOLOAD=1 does not even import installed plugins."""
    found = installed(LOUD, BUNSUI_DISABLE_PLUGIN_AUTOLOAD=value)
    assert (["loud"] if loaded else []) == found[1]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise ValueError('oops')", "a plugin is disabled: plugin 'loud' (loud-dist 1.0): ValueError: oops"),
        (
            "import nothing_there",
            "a plugin is disabled: plugin 'loud' (loud-dist 1.0): ModuleNotFoundError: No module named 'nothing_there'",
        ),
        (
            f"{SOURCE}bunsui_hook_versions = '>=7'",
            "a plugin is disabled: plugin 'loud' (loud-dist 1.0): it needs the hooks of version >=7, and this bunsui has"
            f" {Plugins.hook_version}; install versions of the two that fit",
        ),
        (
            SOURCE.replace("bunsui_job_types", "bunsui_job_typos"),
            "a plugin is disabled: plugin 'loud' (loud-dist 1.0): there is no hook 'bunsui_job_typos'; did you mean"
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


@pytest.mark.parametrize(
    ("raised", "shown"),
    [
        ("ConnectionError('no service')", "ConnectionError: no service"),
        ("SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_a_hook_that_fails_disables_its_plugin(installed, raised, shown):
    """Whatever it raises: the warning names it, and the line that asked."""
    source = FAILING.replace('ConnectionError("no service")', raised)
    said = f"a plugin is disabled: plugin 'loud' (loud-dist 1.0) failed in bunsui_job_types: {shown}"
    found, _, warned = installed(("loud-dist", "loud", "loud", source))
    assert (BUILT_IN, [[said, "RuntimeWarning", "<string>"]]) == (found, warned)


def test_duplicate_of_two_distributions(installed):
    """Two installed plugins that claim one name are an error that names both distributions."""
    found, _, _ = installed(LOUD, ("louder-dist", "louder", "louder", SOURCE))
    message, plugin, distribution = found
    first, second = ("loud", "louder") if plugin == "louder" else ("louder", "loud")
    assert (
        f"plugin '{second}' ({second}-dist 1.0) registers the job type 'shout', as plugin '{first}'"
        f" ({first}-dist 1.0) does; uninstall one of them, or leave all installed plugins out with BUNSUI_DISABLE_PLUGIN_AUTOLOAD=1",
        f"{second}-dist",
    ) == (message, distribution)


# Asks for stores and job types, in the order of the arguments, and who sees events.
HALF = """
import json, sys, warnings
warnings.simplefilter("ignore")
import bunsui
plugins = bunsui.Plugins()
for kind in sys.argv[1:]:
    getattr(plugins, kind)
print(json.dumps(["shout" in plugins.job_types, [o.origin for o in plugins.observers],
                  [each.state for each in plugins.describe() if each.name == "loud"],
                  "shout" in bunsui.Plugins().job_types]))
"""
HALF_SOURCE = f"""{SOURCE}
@hookimpl
def bunsui_stores():
    return 1 / 0

@hookimpl
def bunsui_session_event(event):
    pass
"""


@pytest.mark.parametrize("kinds", [["job_types", "stores"], ["stores", "job_types"], []])
def test_what_else_a_plugin_brings_stays(tmp_path, kinds):
    """Where one hook fails, the others go on, whatever was asked for first: the plugin is disabled in part."""
    install(tmp_path, "loud-dist", "loud", "loud", HALF_SOURCE)
    done = python(tmp_path, "-c", HALF, *kinds)
    assert [True, ["'loud' (loud-dist 1.0)"], ["partial"], True] == json.loads(done.stdout), done.stderr


def test_a_plugin_that_brings_a_name_twice(installed):
    """That is its own fault, and breaks nobody else."""
    source = SOURCE.replace("[Shout()]", "[Shout(), Shout()]")
    said = "a plugin is disabled: plugin 'loud' (loud-dist 1.0): it registers the job type 'shout' twice"
    found, _, warned = installed(("loud-dist", "loud", "loud", source))
    assert (BUILT_IN, [[said, "RuntimeWarning", "<string>"]]) == (found, warned)


USES = 'version: "1.0"\nname: n\njobs:\n  - {id: a, type: custom, command: ["true"]}\n'


@pytest.mark.parametrize(
    "command",
    [["session", "list"], ["--help"], ["run", "p.yaml"], ["pipeline", "validate", "p.yaml"], ["schema"]],
)
def test_what_needs_no_name_in_conflict_bears_it(tmp_path, command):
    """Two plugins that claim one job type keep nobody from what is not about it."""
    install(tmp_path, *LOUD)
    install(tmp_path, "louder-dist", "louder", "louder", SOURCE)
    (tmp_path / "p.yaml").write_text(USES)
    done = python(tmp_path, "-m", "bunsui", *command, BUNSUI_STORE="sqlite:///x.db")
    assert 0 == done.returncode, done.stderr


def test_what_needs_a_name_in_conflict_names_both(tmp_path):
    """Neither of the two is taken for the one that is meant."""
    install(tmp_path, *LOUD)
    install(tmp_path, "louder-dist", "louder", "louder", SOURCE)
    for what in ("load", "made"):
        done = python(tmp_path, "-c", NEEDS, what, "shout")
        error, text, _ = json.loads(done.stdout)
        assert ("PluginError", True) == (error, "registers the job type 'shout', as plugin 'loud" in text)
        assert "(loud-dist 1.0)" in text
        assert "(louder-dist 1.0)" in text


def test_a_plugin_that_raises_a_plugin_error(installed):
    """What a plugin raises at its import names the plugin, also where it is an error as bunsui raises it."""
    _, _, warned = installed(
        ("odd-dist", "odd", "odd", "import bunsui\nraise bunsui.PluginError('no licence', plugin='other')")
    )
    assert ["a plugin is disabled: plugin 'odd' (odd-dist 1.0): PluginError: no licence"] == [
        text for text, _, _ in warned
    ]


def test_a_name_that_three_plugins_claim(tmp_path):
    """Who needs it is told of all three: to leave out one of them would not help."""
    names = ("one", "two", "three")
    for name in names:
        install(tmp_path, f"{name}-dist", name, name, SOURCE)
    done = python(tmp_path, "-c", NEEDS, "load", "shout")
    _, text, _ = json.loads(done.stdout)
    assert [True] * 3 == [f"'{name}' ({name}-dist 1.0)" in text for name in names]


def test_a_plugin_that_claims_what_bunsui_has(installed):
    """It is refused, and bunsui's own stays."""
    source = SOURCE.replace('"shout"', '"custom"')
    said = "a plugin is disabled: plugin 'loud' (loud-dist 1.0): it registers the job type 'custom', which bunsui has itself"
    found, _, warned = installed(("loud-dist", "loud", "loud", source))
    assert (BUILT_IN, [[said, "RuntimeWarning", "<string>"]]) == (found, warned)


@pytest.mark.parametrize(("what", "name"), [("load", "shout"), ("store", "redis://x"), ("secret", "vault")])
def test_what_is_switched_off_is_said(tmp_path, what, name):
    """Where the environment leaves installed plugins out, who misses something is told so."""
    install(tmp_path, *LOUD)
    done = python(tmp_path, "-c", NEEDS, what, name, BUNSUI_DISABLE_PLUGIN_AUTOLOAD="1")
    error, text, _ = json.loads(done.stdout)
    reason = "are left out: BUNSUI_DISABLE_PLUGIN_AUTOLOAD is set; unset it, or give the plugin to the Runner"
    assert ("PluginError", True) == (error, text.endswith(reason)), text


def test_a_plugin_that_is_given_and_installed_counts_once(tmp_path):
    """As when a program gives what its user has installed, too."""
    install(tmp_path, *LOUD)
    done = python(
        tmp_path, "-W", "error", "-c", "import bunsui, loud; print(*bunsui.Plugins([loud]).job_types)"
    )
    assert "custom lambda ecs step_function batch glue shout\n" == done.stdout, done.stderr


# What needs a plugin that is disabled

BROKEN = ("loud-dist", "loud", "loud", "import nothing_there")
REASON = "plugin 'loud' (loud-dist 1.0): ModuleNotFoundError: No module named 'nothing_there'"
REMEDY = "'bunsui plugins' lists them all; update, mend or uninstall it"
NEEDS = """
import json, sys, warnings
warnings.simplefilter("ignore")
import bunsui

DEFINITION = 'version: "1.0"\\nname: n\\njobs:\\n  - {id: a, type: %s}\\n'
def load(kind):
    return bunsui.Pipeline.parse(DEFINITION % kind, filename="p.yaml")
def made(kind):
    with bunsui.Runner("memory://", config={}) as runner:
        runner.run(bunsui.Pipeline(name="n", jobs=[bunsui.Job("a", type=kind)]))
def store(url):
    bunsui.Runner(url, config={})
def secret(source):
    with bunsui.Runner("memory://", config={"secrets": {"s": source + ":x"}}) as runner:
        jobs = [bunsui.Job.from_callable(dict, "a", parameters={"obj": ""})]
        runner.run(bunsui.Pipeline(name="n", jobs=jobs)).raise_for_status()
        print("what needs no secret has run", file=sys.stderr)
        runner.run(bunsui.Pipeline(name="n", jobs=[
            bunsui.Job.from_callable(print, "a", parameters={"sep": "${secrets.s}"})]))
def validate(kind):
    print(json.dumps([problem.hint for problem in bunsui.validate(DEFINITION % kind)]))
try:
    globals()[sys.argv[1]](sys.argv[2])
except bunsui.BunsuiError as error:
    print(json.dumps([type(error).__name__, str(error), getattr(error, "distribution", None)]))
"""


@pytest.mark.parametrize(
    ("what", "name", "text"),
    [
        ("load", "shout", "p.yaml:4:19: job 'a' has the type 'shout', which does not exist"),
        ("made", "shout", "/jobs/0/type: job 'a' has the type 'shout', which does not exist"),
        ("store", "redis://x", "store 'redis://x' begins with none of memory://, sqlite://, dynamodb://"),
        ("secret", "vault", "config.secrets.s names a source that does not exist"),
    ],
)
def test_what_needs_a_disabled_plugin_says_so(tmp_path, what, name, text):
    """A job type, store or secret source that it may have brought is missed with an error that names it."""
    install(tmp_path, *BROKEN)
    done = python(tmp_path, "-c", NEEDS, what, name)
    expected = f"{text}; a plugin that may have it is disabled: {REASON}; {REMEDY}"
    assert ["PluginError", expected, "loud-dist"] == json.loads(done.stdout), done.stderr


def test_a_missing_secret_source_breaks_only_what_needs_it(tmp_path):
    """A Runner whose configuration names such a secret runs all that does not use it."""
    install(tmp_path, *BROKEN)
    done = python(tmp_path, "-c", NEEDS, "secret", "vault")
    assert "what needs no secret has run" in done.stderr


@pytest.mark.parametrize(
    ("what", "name", "error"),
    [
        ("load", "lamda", "DefinitionError"),
        ("made", "lamda", "DefinitionError"),
        ("store", "sqlit:///x.db", "ConfigError"),
        ("secret", "enw", "ConfigError"),
    ],
)
def test_a_slip_is_not_a_plugins_fault(tmp_path, what, name, error):
    """What is like a name that there is, is taken for that; the plugin is named all the same."""
    install(tmp_path, *BROKEN)
    done = python(tmp_path, "-c", NEEDS, what, name)
    found, text, _ = json.loads(done.stdout)
    assert (error, True, True) == (found, "did you mean" in text, f"is disabled: {REASON}" in text)


def test_validating_says_what_may_be_missed(tmp_path):
    """Nothing is raised: the hint of the problem names the plugin."""
    install(tmp_path, *BROKEN)
    done = python(tmp_path, "-c", NEEDS, "validate", "shout")
    hint = f"one of: batch, custom, ecs, glue, lambda, step_function; a plugin that may have it is disabled: {REASON}"
    assert [hint] == json.loads(done.stdout), done.stderr


def test_what_does_not_need_it_runs(tmp_path):
    """A pipeline of other types, with another store: beside the warning nothing is different."""
    install(tmp_path, *BROKEN)
    (tmp_path / "p.yaml").write_text(
        'version: "1.0"\nname: n\njobs:\n  - {id: a, type: custom, command: ["true"]}\n'
    )
    done = python(tmp_path, "-m", "bunsui", "run", "p.yaml", "--store", "sqlite:///x.db")
    assert (0, f"bunsui: warning: a plugin is disabled: {REASON}") == (
        done.returncode,
        done.stderr.split("\n")[0],
    )


PAUSES = """
import threading, bunsui
go = threading.Event()
jobs = [bunsui.Job.from_callable(lambda: go.wait(), "a"), bunsui.Job("b", type="shout", depends_on=["a"])]
with bunsui.Runner("sqlite:///x.db", config={}) as runner:
    session = runner.start(bunsui.Pipeline(name="n", jobs=jobs))
    session.pause()
    go.set()
    session.wait()
print(session.id, session.status)
"""


def test_a_session_whose_job_type_is_gone_stays(tmp_path):
    """Where the plugin is disabled now, resuming says so, and changes nothing."""
    install(tmp_path, *LOUD)
    done = python(tmp_path, "-c", PAUSES)
    session, status = done.stdout.split()
    assert "paused" == status, done.stderr
    (tmp_path / "loud.py").write_text("import nothing_there")
    done = python(tmp_path, "-m", "bunsui", "session", "resume", session, "--store", "sqlite:///x.db")
    assert 2 == done.returncode
    assert f"which this runner does not know; a plugin that may have it is disabled: {REASON}" in done.stderr
    assert f"session {session} stays resumable" in done.stderr
    done = python(
        tmp_path,
        "-m",
        "bunsui",
        "session",
        "status",
        session,
        "--store",
        "sqlite:///x.db",
        "--format",
        "json",
    )
    assert "paused" == json.loads(done.stdout)["status"]
