"""``bunsui schema`` and ``bunsui explain``: what the language is, and what its problems mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

import bunsui
from bunsui.cli import render
from bunsui.cli.options import format_option

if TYPE_CHECKING:
    from bunsui.dsl.codes import Code


@click.command("schema")
@click.option("--log", "is_log", is_flag=True, help="That of a line of the log with --log-format json.")
def schema_command(is_log: bool) -> None:
    """Print the JSON Schema of definitions, with the installed plugins' job types, for editors."""
    render.data(bunsui.logging.json_schema() if is_log else bunsui.json_schema(), "json")


@click.command("explain")
@click.argument("code", required=False)
@format_option("table", "json", "yaml")
def explain_command(code: str | None, form: str) -> None:
    """Explain the problem with this CODE; without one, list the codes."""
    from bunsui.dsl.codes import CODES, explain  # noqa: PLC0415 - only here

    if code is not None:
        text = explain(code).rstrip("\n")
        if form == "table":
            click.echo(text)
        else:
            render.data({**_code_data(CODES[code]), "explanation": text}, form)
    elif form == "table":
        render.table(("CODE", "PROBLEM"), [(known.code, known.summary) for known in CODES.values()])
    else:
        render.data([_code_data(known) for known in CODES.values()], form)


def _code_data(code: Code) -> dict[str, str]:
    return {"code": code.code, "summary": code.summary}
