"""The secrets that a configuration names."""

from __future__ import annotations

import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bunsui.aws.connections import Connections
from bunsui.configuration.settings import SecretReference
from bunsui.errors import AwsError, BunsuiError, ConfigError, JobError, PluginError
from bunsui.local.secret_sources import EnvironmentSource, FileSource
from bunsui.ports.secrets import SecretSource
from bunsui.ports.services import Services
from bunsui.runner.attempts.kept_secrets import KeptSecrets
from bunsui.runner.attempts.secrets import Secrets
from bunsui.testing import FakeClock
from bunsui_tests.conditions import until

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


def refused(kind: Any) -> AwsError:
    return AwsError("hunter2", service="hunter2", action="hunter2", code="hunter2", kind=kind)


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
        (refused("busy"), "source 'vault' raised AwsError for 'kv/db'", True),
        (refused("open"), "source 'vault' raised AwsError for 'kv/db'", True),
        (refused("refused"), "source 'vault' raised AwsError for 'kv/db'", False),
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


def test_without_credentials() -> None:
    """That there are none is told as such, so that the session pauses; not in the source's words."""
    with pytest.raises(AwsError) as caught:
        secrets(refused("credentials")).get("db")
    text = "secret 'db' is not available: source 'vault' has no valid credentials for 'kv/db'"
    assert ("credentials", text, None) == (caught.value.kind, str(caught.value), caught.value.__context__)
    assert "hunter2" not in f"{vars(caught.value)} {caught.value.job_code}"


class Made(Vault):
    """A source that is made for each runner."""

    def __init__(self, made: Any) -> None:
        super().__init__("one", "two")
        self.made = made
        self.given: list[Services] = []

    def for_runner(self, services: Services) -> SecretSource:
        self.given.append(services)
        if isinstance(self.made, BaseException):
            raise self.made
        return self.made  # type: ignore[no-any-return]


def test_made_for_its_runner() -> None:
    """A source is made with what the runner has, once, and what comes of it is asked."""
    source = Made(Vault("hunter2", "hunter3"))
    both = Secrets({"db": SecretReference("vault", "kv/db")}, {"vault": source}, SERVICES)
    both.require(["db"])
    assert ("hunter2", "hunter3") == (both.get("db"), both.get("db"))
    assert ([SERVICES], []) == (source.given, source.asked)


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (ValueError("no"), "for_runner() of secret source 'vault' failed: ValueError: no"),
        (SystemExit("no"), "for_runner() of secret source 'vault' failed: SystemExit: no"),
        (None, "for_runner() of secret source 'vault' gave NoneType, which is no secret source"),
        ("vault", "for_runner() of secret source 'vault' gave str, which is no secret source"),
    ],
)
def test_not_made(made: Any, text: str) -> None:
    """A source that can't be made is a plugin's fault, and told before a session is created."""
    with pytest.raises(PluginError) as caught:
        Secrets({"db": SecretReference("vault", "x")}, {"vault": Made(made)}, SERVICES).require(["db"])
    assert text in str(caught.value)


class Kept(Vault):
    """A source whose values are kept for a session."""

    kept_for_session = True


def kept(*answers: Any) -> tuple[Secrets, Vault]:
    source = Kept(*answers)
    return Secrets({"db": SecretReference("vault", "kv/db")}, {"vault": source}, SERVICES), source


class TestKept:
    """Values that the jobs of a session share."""

    def test_once_for_a_session(self) -> None:
        """Each session asks once; who has none asks anew."""
        found, source = kept("one", "two", "three")
        first, second = KeptSecrets(), KeptSecrets()
        got = [found.get("db", each) for each in (first, first, second, first, None, second)]
        assert (["one", "one", "two", "one", "three", "two"], 3) == (got, len(source.asked))

    def test_others_are_asked_each_time(self) -> None:
        """As long as they do not say that they are to be kept."""
        found, session = secrets("one", "two"), KeptSecrets()
        assert ["one", "two"] == [found.get("db", session) for _ in range(2)]

    def test_a_failure_is_not_kept(self) -> None:
        """The next one asks anew."""
        found, _ = kept(ConnectionError("hunter2"), b"no text", "one")
        session = KeptSecrets()
        for _ in range(2):
            with pytest.raises(JobError):
                found.get("db", session)
        assert "one" == found.get("db", session)

    def test_forgotten(self) -> None:
        """With the session's rest; what an attempt that nobody waits for asks then is not kept, either."""
        found, source = kept("one", "two", "three")
        session = KeptSecrets()
        found.get("db", session)
        session.forget()
        assert ["two", "three"] == [found.get("db", session) for _ in range(2)]
        assert 3 == len(source.asked)
        assert "one" not in repr(vars(session))

    def test_forgotten_while_it_is_asked(self) -> None:
        """It is not kept behind the session's back."""
        session = KeptSecrets()

        def ask(_: str) -> str:
            session.forget()
            return "hunter2"

        assert ("hunter2", "other") == (session.get("db", ask), session.get("db", lambda _: "other"))

    @pytest.mark.parametrize("answer", ["hunter2", JobError("no")])
    def test_who_asks_at_once_shares_the_answer(self, answer: str | BunsuiError) -> None:
        """One asks, the others wait for what it is told: a failure, too, each with one of its own."""
        session, is_asked, gate = KeptSecrets(), threading.Event(), threading.Event()
        asked: list[str] = []

        def ask(name: str) -> str | BunsuiError:
            asked.append(name)
            is_asked.set()
            assert gate.wait(60)
            return answer

        with ThreadPoolExecutor(8) as pool:
            first = pool.submit(session.get, "db", ask)
            assert is_asked.wait(60)
            others = [pool.submit(session.get, "db", ask) for _ in range(7)]
            # Each of them waits, or else has asked.
            until(lambda: len(session._asking["db"].is_answered._callbacks) + len(asked) == 8)
            gate.set()
            found = [future.result(60) for future in (first, *others)]
        assert (["db"], [str(answer)] * 8) == (asked, [str(each) for each in found])
        assert isinstance(answer, str) or len({id(each) for each in found}) == 8

    def test_a_fault_leaves_nobody_waiting(self) -> None:
        """Who asks after one that raised is the next to ask."""
        session = KeptSecrets()

        def ask(_: str) -> str:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            session.get("db", ask)
        assert "one" == session.get("db", lambda _: "one")
