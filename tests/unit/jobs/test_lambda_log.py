"""What lines of a function's log say of themselves."""

from __future__ import annotations

import pytest

from bunsui.jobs.lambda_log import group_of, is_whole, level_in, mark_of

ID = "6f1cbd2e-0d5e-4a71-a9c3-2f7f1b2c3d4e"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"[ERROR]\t2026-01-31T12:00:00.000Z\t{ID}\tlost", "ERROR"),
        (f"[CRITICAL]\t2026-01-31T12:00:00.000Z\t{ID}\tlost", "CRITICAL"),
        ("[ERROR] KeyError: 'it'", "INFO"),
        (f"2026-01-31T12:00:00.000Z\t{ID}\tWARN\tslow", "WARNING"),
        ('{"timestamp": "2026-01-31T12:00:00Z", "level": "WARNING", "message": "slow"}', "WARNING"),
        ('{"level": "fatal"}', "CRITICAL"),
        ('{"level": "trace"}', "DEBUG"),
        ('{"level": 30}', "INFO"),
        ('{"level": "loud"}', "INFO"),
        ('{"level": "ERROR"', "INFO"),
        ("[" * 100_000, "INFO"),
        ('{"a":' * 100_000, "INFO"),
        ("ERROR: it failed", "INFO"),
        ("", "INFO"),
    ],
)
def test_levels(text: str, expected: str) -> None:
    """A level counts where a line names it in a form of its own, and nowhere else."""
    assert expected == level_in(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"START RequestId: {ID} Version: $LATEST\n", ("START", ID)),
        (f"REPORT RequestId: {ID}\tDuration: 1 ms\t", ("REPORT", ID)),
        (f'{{"time": "T", "type": "platform.start", "record": {{"requestId": "{ID}"}}}}', ("START", ID)),
        (f'{{"time": "T", "type": "platform.report", "record": {{"requestId": "{ID}"}}}}', ("REPORT", ID)),
        ('{"type": "platform.start", "record": "none"}', ("START", None)),
        ('{"type": "own", "record": {"requestId": "x"}}', (None, None)),
        (f"RequestId: {ID}", (None, None)),
        ("STARTED", (None, None)),
        ("{", (None, None)),
    ],
)
def test_marks(text: str, expected: tuple[str | None, str | None]) -> None:
    """Lambda's own lines tell where a call begins and is over."""
    assert expected == mark_of(text)


def test_whole() -> None:
    """What begins with the call's first line is whole; what has none was cut off, or nobody can tell."""
    assert is_whole("")
    assert is_whole(f"START RequestId: {ID} Version: 1\nx")
    assert is_whole("INIT_START Runtime Version: python:3.12\nSTART ...")
    assert not is_whole(f"the rest of a line\nEND RequestId: {ID}\n")


@pytest.mark.parametrize(
    "function",
    [
        "load",
        "load:live",
        "123456789012:function:load",
        "arn:aws:lambda:eu-central-1:123456789012:function:load",
        "arn:aws:lambda:eu-central-1:123456789012:function:load:7",
    ],
)
def test_group(function: str) -> None:
    """The usual group has the function's name, whatever that is called by; else it is as configured."""
    assert "/aws/lambda/load" == group_of(None, function)
    assert "/aws/lambda/load" == group_of({"LoggingConfig": {"LogFormat": "Text"}}, function)
    assert "/mine" == group_of({"LoggingConfig": {"LogGroup": "/mine"}}, function)
