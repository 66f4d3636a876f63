"""What is wrong with rules for alerts, of a definition or of a configuration."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from bunsui.dsl.alert_fields import rule_schema
from bunsui.dsl.names import Near, unknown_job
from bunsui.dsl.problems import quoted
from bunsui.dsl.shapes import Shape, schema_problems
from bunsui.model.alerts import KINDS

if TYPE_CHECKING:
    from bunsui.dsl.document import Document
    from bunsui.dsl.problems import Problem
    from bunsui.expressions.references import Path


@cache
def _shape(kind: str | None, *, configured: bool) -> Shape:
    return Shape.of(rule_schema(kind, configured=configured))


def alert_problems(
    document: Document, rules: Any, jobs: Collection[str] | None, path: Path = ("alerts",)
) -> Iterator[Problem]:
    """What is wrong with a list of rules.

    Args:
        document: what they stand in.
        rules: the list; of what is none, its schema says so.
        jobs: the ids of the pipeline's jobs; None: they stand in a configuration, for any pipeline.
        path: where the list stands.
    """
    near = Near()
    for i, rule in enumerate(rules if isinstance(rules, list) else ()):
        if isinstance(rule, Mapping):
            yield from _rule(document, (*path, i), rule, f"alert {i + 1}", jobs, near)


def _rule(
    document: Document,
    path: Path,
    rule: Mapping[str, Any],
    what: str,
    jobs: Collection[str] | None,
    near: Near,
) -> Iterator[Problem]:
    given = rule.get("on")
    kind = given if isinstance(given, str) and given in KINDS else None
    what = what if kind is None else f"{what} (on: {kind})"
    yield from schema_problems(document, _shape(kind, configured=jobs is None), rule, path, what)
    one_of = KINDS[kind][0] if kind is not None else ()
    if len(one_of) > 1 and len(said := [name for name in one_of if name in rule]) != 1:
        names = " or ".join(f"'{name}'" for name in one_of)
        if said:
            message = f"{what} has both {' and '.join(map(quoted, said))}; it takes one of them"
            hint = "make two rules of it"
            yield document.problem("one-of", message, (*path, said[1]), key=True, hint=hint)
        else:
            hint = "such as above: 2h, or above_median: 3"
            yield document.problem("one-of", f"{what} needs {names}", path, hint=hint)
    job = rule.get("job")
    if jobs is not None and isinstance(job, str) and "job" in _fields(kind) and job not in jobs:
        message = f"'job' of {what} is {quoted(job)}, which does not exist"
        hint = unknown_job(job, jobs, near)
        yield document.problem("unknown-job", message, (*path, "job"), hint=hint)


def _fields(kind: str | None) -> Collection[str]:
    return () if kind is None else KINDS[kind][1]
