"""What somebody says about attempts of which nobody can tell what became."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bunsui.dsl.problems import did_you_mean, quoted
from bunsui.engine import events as ev
from bunsui.errors import ConfigError, NotFound, StateError
from bunsui.model.session import Failure

if TYPE_CHECKING:
    from datetime import datetime

    from bunsui.engine.decide import Machine
    from bunsui.engine.units import Unit

#: What can be said: it succeeded (with the output null), it failed, or it is to run again.
WORDS = ("succeeded", "failed", "rerun")

#: Nine digits: more than any list has, and no number of which `int` refuses the text.
_ITEM = re.compile(r"(.*)\[([0-9]{1,9})\]\Z", re.DOTALL)


def assumed(machine: Machine, said: Mapping[str, str] | None, at: datetime) -> list[ev.Event]:
    """The facts that follow from what was said.

    Args:
        machine: the session.
        said: one of `WORDS` for each job that is unknown; ``JOB`` stands for all its unknown items, and
            ``JOB[3]`` for one of them, counted from 0.
        at: the time of the facts.

    Raises:
        ConfigError: something else was said.
        NotFound: there is no such job.
        StateError: a job is not unknown, or nothing was said of one that is and the session is paused for it.
    """
    left = dict(machine.unknown)
    events = []
    if said is not None and not isinstance(said, Mapping):
        raise ConfigError(f"assume is {type(said).__name__}, not a mapping", hint='such as {"load": "rerun"}')
    # One item before all of its job.
    for name, word in sorted((said or {}).items(), key=lambda pair: "[" not in str(pair[0])):
        if word not in WORDS:
            raise ConfigError(
                f"assume: of {quoted(name)} it was said {quoted(word)}", hint=f"say one of {', '.join(WORDS)}"
            )
        events += [_event(at, unit, left.pop(unit), word) for unit in _units(machine, name, left)]
    if left and machine.state.paused_reason == "unknown-job":
        names = ", ".join(quoted(_name(unit)) for unit in left)
        first = _name(next(iter(left)))
        raise StateError(
            f"it can't be told what became of {names}",
            hint=f"find out and say it: --assume succeeded|failed|rerun {first},"
            f' or in Python resume(assume={{"{first}": "rerun"}})',
        )
    return events


def _units(machine: Machine, name: Any, unknown: Mapping[Unit, int]) -> list[Unit]:
    jobs = machine.state.jobs
    if not isinstance(name, str):
        raise ConfigError(f"assume has the key {quoted(name)}", hint="a key is a job's id, or JOB[ITEM]")
    match = _ITEM.match(name)
    job = name if match is None else match[1]
    if job not in jobs:
        hint = did_you_mean(job, jobs) or f"the session's jobs are: {', '.join([*jobs][:20])}"
        raise NotFound(f"the session has no job {quoted(job)}", kind="job", name=job, hint=hint)
    wanted: list[Unit] = [unit for unit in unknown if unit == job or (unit[0] == job and match is None)]
    if match is not None:
        wanted = [unit for unit in unknown if unit == (job, int(match[2]))]
    if not wanted:
        status = jobs[job].status if match is None else "not unknown"
        others = ", ".join(_name(unit) for unit in unknown) or "none"
        raise StateError(
            f"{quoted(name)} is {status}: there is nothing to assume", hint=f"unknown are: {others}"
        )
    return wanted


def _name(unit: Unit) -> str:
    return unit if isinstance(unit, str) else f"{unit[0]}[{unit[1]}]"


def _event(at: datetime, unit: Unit, attempt: int, word: str) -> ev.Event:
    failure = Failure("JobLost", "somebody said that the attempt failed", retryable=False)
    if isinstance(unit, str):
        if word == "succeeded":
            return ev.JobSucceeded(at, unit, attempt)
        if word == "failed":
            return ev.JobFailed(at, unit, attempt, failure)
        return ev.AttemptLost(at, unit, attempt)
    job, item = unit
    if word == "succeeded":
        return ev.ItemSucceeded(at, job, item, attempt)
    if word == "failed":
        return ev.ItemFailed(at, job, item, attempt, failure)
    return ev.ItemAttemptLost(at, job, item, attempt)
