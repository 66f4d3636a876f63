# ruff: noqa: E501 - rows of output, written as they are printed
"""`bunsui plugins`, and commands that plugins bring, of what is installed."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
import yaml

import bunsui
from bunsui.cli.main import cli
from bunsui.plugins.contributions import OWN_COMMANDS
from bunsui_tests.distributions import install, python

GOOD = "import bunsui\n@bunsui.hookimpl\ndef bunsui_stores():\n    return {'vault': print}\n"
COMMAND = """
import bunsui, click

@click.command("greet")
@click.argument("name")
def greet(name):
    "Say hello."
    if name == "nobody":
        raise bunsui.NotFound("there is nobody", kind="person", name=name)
    if name == "refused":
        raise bunsui.StateError("not now", hint="later")
    if name == "wrong":
        raise click.BadParameter("who is that?")
    if name == "bad":
        raise click.ClickException("no")
    if name == "gone":
        raise click.Abort
    if name == "broken":
        raise KeyError(name)
    click.echo(f"hello, {name}")
    return {"five": 5, "text": "text"}.get(name)

@bunsui.hookimpl
def bunsui_cli_commands():
    return [greet]
"""
OWN = {
    "name": "bunsui",
    "distribution": "bunsui",
    "version": bunsui.__version__,
    "hooks": ["bunsui_job_types", "bunsui_stores", "bunsui_secret_sources", "bunsui_alert_channels"],
    "state": "active",
    "reason": None,
}


def bunsui_(folder: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    """Runs the command where what was installed in `folder` is found: exit code, stdout, stderr."""
    done = python(folder, "-m", "bunsui", *arguments, **variables)
    return done.returncode, done.stdout, done.stderr


def test_states(tmp_path: Path) -> None:
    """Each plugin with its distribution, version, hooks, state and reason; nothing is warned of beside that."""
    install(tmp_path, "good-dist", "good", "good", GOOD)
    install(tmp_path, "lost-dist", "lost", "lost", "import nothing_there")
    install(tmp_path, "same-dist", "same", "same", GOOD)
    code, out, err = bunsui_(tmp_path, "plugins", "--format", "json")
    assert (0, "") == (code, err)
    found = {each["name"]: each for each in json.loads(out)}
    assert OWN == found.pop("bunsui")
    assert {
        "name": "lost",
        "distribution": "lost-dist",
        "version": "1.0",
        "hooks": [],
        "state": "disabled",
        "reason": "plugin 'lost' (lost-dist 1.0): ModuleNotFoundError: No module named 'nothing_there'",
    } == found.pop("lost")
    # Which of the two comes first is the installer's affair.
    assert ["conflict", "conflict"] == [each["state"] for each in found.values()]
    first, second = found
    assert found[first]["reason"] == found[second]["reason"]
    assert (
        f"plugin '{second}' ({second}-dist 1.0) registers the store 'vault', as plugin '{first}' ({first}-dist 1.0)"
        " does; uninstall one of them, or leave all installed plugins out with BUNSUI_DISABLE_PLUGIN_AUTOLOAD=1"
    ) == found[second]["reason"]


def test_a_hook_that_fails_is_listed(tmp_path: Path) -> None:
    """Each plugin is asked for all that it brings, so that what fails only later is seen."""
    source = "import bunsui\n@bunsui.hookimpl\ndef bunsui_secret_sources():\n    return 1 / 0\n"
    install(tmp_path, "late-dist", "late", "late", source)
    _, out, _ = bunsui_(tmp_path, "plugins", "--format", "yaml")
    [late] = [each for each in yaml.safe_load(out) if each["name"] == "late"]
    assert ("disabled", ["bunsui_secret_sources"]) == (late["state"], late["hooks"])
    assert (
        "plugin 'late' (late-dist 1.0) failed in bunsui_secret_sources: ZeroDivisionError: division by zero"
        == late["reason"]
    )


def test_table(tmp_path: Path) -> None:
    """For people: a line each, and the reasons below."""
    install(tmp_path, "good-dist", "good", "good", GOOD)
    install(tmp_path, "lost-dist", "lost", "lost", "import nothing_there")
    code, out, _ = bunsui_(tmp_path, "plugins")
    lines = out.splitlines()
    assert (0, ["PLUGIN", "DISTRIBUTION", "VERSION", "STATE", "HOOKS"]) == (code, lines[0].split())
    assert ["good", "good-dist", "1.0", "active", "bunsui_stores"] in [line.split() for line in lines]
    assert (
        "lost is disabled: plugin 'lost' (lost-dist 1.0): ModuleNotFoundError: No module named 'nothing_there'"
        in lines
    )


def test_tracebacks(tmp_path: Path) -> None:
    """Where the code of a plugin failed is shown to who asks for it, of imports and of hooks."""
    hook = "import bunsui\n@bunsui.hookimpl\ndef bunsui_secret_sources():\n    return {}['nothing']\n"
    install(tmp_path, "late-dist", "late", "late", hook)
    install(tmp_path, "lost-dist", "lost", "lost", "x = 1\nimport nothing_there")
    assert "Traceback" not in bunsui_(tmp_path, "plugins")[1]
    code, out, _ = bunsui_(tmp_path, "plugins", "--traceback")
    lines = [line.strip() for line in out.splitlines()]
    assert (0, 2) == (code, lines.count("Traceback (most recent call last):"))
    assert f'File "{tmp_path}/lost.py", line 2, in <module>' in lines
    assert f'File "{tmp_path}/late.py", line 4, in bunsui_secret_sources' in lines
    _, out, _ = bunsui_(tmp_path, "plugins", "--traceback", "--format", "json")
    found = {each["name"]: each["traceback"] for each in json.loads(out)}
    assert found.pop("bunsui") is None
    assert ["KeyError: 'nothing'", "ModuleNotFoundError: No module named 'nothing_there'"] == [
        found[name].splitlines()[-1] for name in ("late", "lost")
    ]


def test_an_error_of_bunsui_has_a_traceback_too(tmp_path: Path) -> None:
    """A plugin that raises a JobError without a cause, at its import or in a hook, is shown where."""
    hook = "import bunsui\n@bunsui.hookimpl\ndef bunsui_stores():\n    raise bunsui.JobError('no licence')\n"
    install(tmp_path, "late-dist", "late", "late", hook)
    install(tmp_path, "lost-dist", "lost", "lost", "import bunsui\nraise bunsui.JobError('no licence')")
    _, out, _ = bunsui_(tmp_path, "plugins", "--traceback")
    lines = [line.strip() for line in out.splitlines()]
    assert f'File "{tmp_path}/lost.py", line 2, in <module>' in lines
    assert f'File "{tmp_path}/late.py", line 4, in bunsui_stores' in lines


def test_left_out(tmp_path: Path) -> None:
    """Where installed plugins are switched off, they are named, and not imported."""
    install(tmp_path, "good-dist", "good", "good", f"open({str(tmp_path / 'imported')!r}, 'w').close()")
    code, out, _ = bunsui_(tmp_path, "plugins", "--format", "json", BUNSUI_DISABLE_PLUGIN_AUTOLOAD="1")
    assert [
        OWN,
        {
            "name": "good", "distribution": "good-dist", "version": "1.0", "hooks": [], "state": "off",
            "reason": "BUNSUI_DISABLE_PLUGIN_AUTOLOAD is set",
        },
    ] == [each for each in json.loads(out) if each["name"] in ("bunsui", "good")]  # fmt: skip
    assert (0, False) == (code, (tmp_path / "imported").exists())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Ada", (0, "hello, Ada\n", "")),
        ("five", (5, "hello, five\n", "")),
        ("text", (0, "hello, text\n", "")),
        ("nobody", (3, "", "bunsui: there is nobody\n")),
        ("refused", (5, "", "bunsui: not now; later\n")),
        ("bad", (1, "", "Error: no\n")),
        ("gone", (130, "", "")),
    ],
)
def test_a_command_of_a_plugin(tmp_path: Path, name: str, expected: tuple[int, str, str]) -> None:
    """It runs like one of bunsui's own: what it returns, and the library's errors, are exit codes."""
    install(tmp_path, "greet-dist", "greet", "greet_plugin", COMMAND)
    assert expected == bunsui_(tmp_path, "greet", name)


def test_a_command_that_is_called_wrongly(tmp_path: Path) -> None:
    """click says so, with the usage."""
    install(tmp_path, "greet-dist", "greet", "greet_plugin", COMMAND)
    for arguments in (["wrong"], []):
        code, out, err = bunsui_(tmp_path, "greet", *arguments)
        assert (2, "") == (code, out)
        assert err.startswith("Usage: bunsui greet [OPTIONS] NAME\n")


def test_a_command_with_a_fault(tmp_path: Path) -> None:
    """What is no error of bunsui's or click's is shown with its traceback, for whoever mends it."""
    install(tmp_path, "greet-dist", "greet", "greet_plugin", COMMAND)
    code, out, err = bunsui_(tmp_path, "greet", "broken")
    assert (1, "") == (code, out)
    assert err.startswith("Traceback")
    assert err.endswith(
        "KeyError: 'broken'\nThe command 'greet' of bunsui is a plugin's: 'bunsui plugins' lists them.\n"
    )


def test_the_help_has_the_commands_of_plugins(tmp_path: Path) -> None:
    """Among bunsui's own, with what they say of themselves."""
    install(tmp_path, "greet-dist", "greet", "greet_plugin", COMMAND)
    _, out, _ = bunsui_(tmp_path, "--help")
    commands = out.partition("Commands:\n")[2]
    assert ["greet", "Say", "hello."] in [line.split() for line in commands.splitlines()]
    assert "doctor" in commands


def test_own_commands_load_no_plugin(tmp_path: Path) -> None:
    """Only who asks for a command that is not bunsui's own, or for help, waits for that."""
    source = f"open({str(tmp_path / 'imported')!r}, 'w').close()\n{COMMAND}"
    install(tmp_path, "greet-dist", "greet", "greet_plugin", source)
    assert 0 == bunsui_(tmp_path, "config", "list")[0]
    assert not (tmp_path / "imported").exists()


def test_an_unknown_command(tmp_path: Path) -> None:
    """Where no plugin has it either, it is a wrong usage."""
    install(tmp_path, "greet-dist", "greet", "greet_plugin", COMMAND)
    code, _, err = bunsui_(tmp_path, "greed")
    assert (2, True) == (code, "No such command 'greed'" in err)


def test_what_is_no_command_is_nobodys() -> None:
    """Nothing is said of plugins where no command was called."""
    with pytest.raises(click.UsageError) as caught:
        cli.main(["greed"], standalone_mode=False)
    assert not hasattr(caught.value, "__notes__")


def test_no_plugin_can_take_a_name_of_bunsuis_own() -> None:
    """All of them are kept from plugins."""
    assert set(cli.commands) <= OWN_COMMANDS


def test_the_help_bears_commands_in_conflict(tmp_path: Path) -> None:
    """Only who wants that command is told which plugins can't be used together."""
    install(tmp_path, "greet-dist", "greet", "greet_plugin", COMMAND)
    install(tmp_path, "greeter-dist", "greeter", "greeter_plugin", COMMAND)
    code, out, _ = bunsui_(tmp_path, "--help")
    assert (0, True, False) == (code, "doctor" in out, "greet" in out)
    code, _, err = bunsui_(tmp_path, "greet", "Ada")
    assert (2, True) == (code, "there is no command 'greet'" in err)
    assert "registers the command 'greet', as plugin 'greet" in err
    assert "(greet-dist 1.0)" in err
    assert "(greeter-dist 1.0)" in err
