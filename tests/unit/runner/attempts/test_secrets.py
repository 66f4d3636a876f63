"""The secrets that a configuration names."""

from __future__ import annotations

import traceback
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bunsui.aws.connections import Connections
from bunsui.configuration.settings import SecretReference
from bunsui.errors import ConfigError, JobError
from bunsui.local.secret_sources import EnvironmentSource, FileSource
from bunsui.ports.secrets import SecretSource
from bunsui.ports.services import Services
from bunsui.runner.attempts.secrets import Secrets
from bunsui.testing import FakeClock

SERVICES = Services(Connections(), FakeClock(), Random(0))


class Vault(SecretSource):
    """A source that gives what it is made with, one after the other, or raises it."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def get(self, key: str) -> str:
        self.asked.append(key)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer  # type: ignore[no-any-return]


class Sentence(str):
    """A text with a mind of its own."""

    __slots__ = ()

    def __str__(self) -> str:
        return "something else"


def secrets(*answers: Any) -> Secrets:
    return Secrets({"db": SecretReference("vault", "kv/db")}, {"vault": Vault(*answers)}, SERVICES)


def failed(*answers: Any, name: str = "db") -> JobError:
    with pytest.raises(JobError) as caught:
        secrets(*answers).get(name)
    return caught.value


def test_names() -> None:
    """The names are those of the configuration, in its order."""
    reference = SecretReference("vault", "x")
    assert ("z", "a") == Secrets({"z": reference, "a": reference}, {"vault": Vault()}, SERVICES).names


def test_get() -> None:
    """A secret's source is asked for its key."""
    vault = Vault("hunter2")
    found = Secrets({"db": SecretReference("vault", "kv/db")}, {"vault": vault}, SERVICES).get("db")
    assert ("hunter2", ["kv/db"]) == (found, vault.asked)


def test_not_kept() -> None:
    """A secret is asked for each time: the next job sees a new value."""
    both = secrets("one", "two")
    assert ("one", "two") == (both.get("db"), both.get("db"))


def test_plain_text() -> None:
    """What a source gives is plain text, whatever class it is of."""
    found = secrets(Sentence("hunter2")).get("db")
    assert (str, "hunter2") == (type(found), found)


def test_unknown_source() -> None:
    """A source that does not exist is refused, and not shown: it may be the secret."""
    with pytest.raises(ConfigError) as caught:
        Secrets({"db": SecretReference("hunter2", "x")}, {"env": Vault(), "file": Vault()}, SERVICES)
    assert "config.secrets.db names a source that does not exist; there are: env, file" == str(caught.value)


def test_unknown_source_with_a_near_one() -> None:
    """A source that is nearly right is corrected."""
    with pytest.raises(ConfigError, match=r"; did you mean 'file'\?$"):
        Secrets({"db": SecretReference("fille", "x")}, {"env": Vault(), "file": Vault()}, SERVICES)


@pytest.mark.parametrize(
    ("error", "reason", "retryable"),
    [
        (KeyError("hunter2"), "source 'vault' raised KeyError for 'kv/db'", False),
        (LookupError("hunter2"), "source 'vault' raised LookupError for 'kv/db'", False),
        (ConnectionError("hunter2"), "source 'vault' raised ConnectionError for 'kv/db'", True),
        (ValueError("hunter2"), "source 'vault' raised ValueError for 'kv/db'", True),
        (SystemExit("hunter2"), "source 'vault' raised SystemExit for 'kv/db'", True),
        (JobError("hunter2", code="hunter2"), "source 'vault' raised JobError for 'kv/db'", True),
        (JobError("hunter2", retryable=False), "source 'vault' raised JobError for 'kv/db'", False),
        (b"hunter2", "source 'vault' gave bytes, not text, for 'kv/db'", False),
        (None, "source 'vault' gave NoneType, not text, for 'kv/db'", False),
    ],
)
def test_failure(error: Any, reason: str, retryable: bool) -> None:
    """A source that fails is a failure of the job, retried unless the secret does not exist."""
    found = failed(error)
    assert (JobError, "SecretUnavailable", f"secret 'db' is not available: {reason}", retryable) == (
        type(found),
        found.code,
        str(found),
        found.retryable,
    )


@pytest.mark.parametrize("key", ["secret", "folder/secret", "~no-such-user-here/secret"])
def test_what_is_missing(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of bunsui's own sources it is said what to provide; those that were made of them say what they like."""

    class Own(EnvironmentSource):
        def get(self, key: str) -> str:
            raise KeyError("hunter2")

    monkeypatch.chdir(tmp_path)
    references = {"e": SecretReference("env", "BNS_NO_KEY"), "f": SecretReference("file", key)}
    sources = {"env": EnvironmentSource(), "file": FileSource()}
    texts = []
    for name, found in (("e", sources), ("f", sources), ("e", {**sources, "env": Own()})):
        with pytest.raises(JobError) as caught:
            Secrets(references, found, SERVICES).get(name)
        assert ("SecretUnavailable", False) == (caught.value.code, caught.value.retryable)
        texts.append(str(caught.value))
    assert [
        "secret 'e' is not available: variable BNS_NO_KEY is not set",
        f"secret 'f' is not available: there is no file {key}",
        "secret 'e' is not available: source 'env' raised KeyError for 'BNS_NO_KEY'",
    ] == texts


def test_unknown_name() -> None:
    """A name that this runner's configuration does not have is a failure for good."""
    found = failed(name="other")
    text = "secret 'other' is not available: this runner's configuration does not name it"
    assert ("SecretUnavailable", text, False) == (found.code, str(found), found.retryable)


@pytest.mark.parametrize("error", [ValueError("hunter2"), KeyError("hunter2"), b"hunter2"])
def test_nothing_of_the_source(error: Any) -> None:
    """Neither the failure nor its traceback has what the source said, which may hold the value."""
    found = failed(error)
    shown = "".join(traceback.format_exception(found))
    assert (False, None, None) == ("hunter2" in shown, found.__cause__, found.__context__)


def test_repr() -> None:
    """The repr has names alone."""
    both = secrets("hunter2")
    assert ("hunter2", "Secrets(db)") == (both.get("db"), repr(both))
