"""The container task of the ETL pipeline: sums up the cleaned flights per day and carrier.

It runs as a command, in this folder, with the environment of a bunsui command: BUNSUI_SESSION_ID
says whose flights, BUNSUI_OUTPUT names the file for the job's output. It may run twice for one
session: the second run writes what the first one wrote, in its place.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, TextIO

import places


def summarise(flights: Iterable[Mapping[str, str]]) -> list[dict[str, Any]]:
    """One row per day and carrier, in that order; what each column holds is said in README.rst."""
    groups: dict[tuple[str, str], list[Mapping[str, str]]] = defaultdict(list)
    for flight in flights:
        groups[flight["day"], flight["carrier"]].append(flight)
    return [_summary(day, carrier, groups[day, carrier]) for day, carrier in sorted(groups)]


def _summary(day: str, carrier: str, flights: list[Mapping[str, str]]) -> dict[str, Any]:
    departed = [flight for flight in flights if flight["cancelled"] == "0"]
    return {
        "day": day,
        "carrier": carrier,
        "flights": len(flights),
        "cancelled": len(flights) - len(departed),
        "mean_departure_delay": _mean(flight["departure_delay"] for flight in departed),
        "mean_arrival_delay": _mean(flight["arrival_delay"] for flight in departed),
        "distance": sum(int(flight["distance"]) for flight in departed),
    }


def _mean(minutes: Iterable[str]) -> str:
    """The mean of the delays that are there, with two decimals; empty where there is none.

    It is computed exactly and rounded once, half to even, so that neither the order of the flights
    nor binary fractions show in the result.
    """
    known = [int(value) for value in minutes if value]
    if not known:
        return ""
    return f"{float(round(Fraction(sum(known), len(known)), 2)):.2f}"


def write(groups: Sequence[Mapping[str, Any]], file: TextIO) -> None:
    """Write a summary, and say what is in it."""
    writer = csv.DictWriter(file, places.SUMMARY_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(groups)
    flights = sum(group["flights"] for group in groups)
    cancelled = sum(group["cancelled"] for group in groups)
    print(f"summed up {flights} flights, {cancelled} of them cancelled, in {len(groups)} groups")


def main() -> None:
    """Read the session's flights, write its summary, say so."""
    session_id = os.environ.get("BUNSUI_SESSION_ID")
    if not session_id:
        sys.exit("BUNSUI_SESSION_ID is not set: run this script as a job of pipeline.yaml")
    with places.flights_file(session_id).open(encoding="utf-8", newline="") as file:
        groups = summarise(csv.DictReader(file))
    target = places.summary_file(session_id)
    with places.replacing(target) as file:
        write(groups, file)
    print(f"wrote {target}")
    if output := os.environ.get("BUNSUI_OUTPUT"):
        result = {"groups": len(groups), "path": str(target)}
        Path(output).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
