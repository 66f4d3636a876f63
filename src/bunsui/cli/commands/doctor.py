"""``bunsui doctor``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from bunsui.cli import render
from bunsui.cli.options import format_option, store_option
from bunsui.cli.stores import again

if TYPE_CHECKING:
    from bunsui.diagnosis.check import Check


@click.command("doctor")
@store_option
@format_option("table", "json", "yaml")
def doctor_command(store: str | None, form: str) -> int:
    """Check what is installed, configured and reachable, and say what helps.

    Exit code 1 where something does not work. A store that is there gets a document that is removed again.
    """
    from bunsui.diagnosis.check import Status  # noqa: PLC0415 - only here, with all that it looks at
    from bunsui.diagnosis.doctor import diagnose  # noqa: PLC0415 - see above

    found: list[Check] = []
    for check in diagnose(store, partial(again, store)):
        found.append(check)
        if form == "table":  # At once: some of them take their time.
            click.echo(f"{check.status:<8} {render.printable(f'{check.name}: {check.what}')}")
            if check.remedy is not None:
                click.echo(f"         {render.printable(check.remedy)}")
    if form != "table":
        render.data([_data(check) for check in found], form)
    return 1 if any(check.status is Status.PROBLEM for check in found) else 0


def _data(check: Check) -> dict[str, str | None]:
    return {
        "name": check.name,
        "status": str(check.status),
        "what": check.what,
        "remedy": check.remedy,
    }
