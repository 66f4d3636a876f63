"""Secret sources: the values that they give, and to whom."""

# ruff: noqa: S101 - asserting is what this file is for

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

import bunsui
from bunsui.ports.hooks import hookimpl
from bunsui.ports.permissions import Permission, Unnamed, Where
from bunsui.ports.secrets import SecretSource
from bunsui.testing.suites import needs

if TYPE_CHECKING:
    from bunsui.runner.handle import Session
    from bunsui.runner.runner import Runner

#: Threads that ask at once.
MANY = 8
#: Seconds that a source may take.
PATIENCE = 60.0


class _Bringing:
    """A plugin that brings a source under the name ``suite``."""

    def __init__(self, source: SecretSource) -> None:
        self._source = source

    @hookimpl
    def bunsui_secret_sources(self) -> Mapping[str, SecretSource]:
        """The source."""
        return {"suite": self._source}


def _digest(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


class Values:
    """Holds for every secret source; mixed into `SecretSourceSuite`."""

    #: A key, and the value that it has.
    known: tuple[str, str] | None = None
    #: A key that nothing stands under.
    unknown: str | None = None

    def change(self, source: SecretSource) -> str | None:
        """Gives the known key another value, and returns that; None where a test can't.

        Such as::

            from bunsui.testing import SecretSourceSuite

            class TestVault(SecretSourceSuite):
                def change(self, source):
                    source.vault.write("database/password", "another horse")
                    return "another horse"
        """
        del source
        return None

    @property
    def _known(self) -> tuple[str, str]:
        if self.known is None:
            pytest.fail(f"{type(self).__name__} needs a secret: known = ('key', 'value')", pytrace=False)
        return self.known

    def _runner(self, source: SecretSource, key: str) -> Runner:
        config = {"secrets": {"password": f"suite:{key}"}}
        return bunsui.Runner(
            "memory://",
            plugins=[_Bringing(source)],
            autoload_plugins=False,
            config=config,
            capture_logging=True,
        )

    @staticmethod
    def _run(runner: Runner) -> Session:
        """A session whose one job needs the secret, and returns its digest."""
        job = bunsui.Job.from_callable(_digest, id="needs", parameters={"password": "${secrets.password}"})
        session = runner.start(bunsui.Pipeline(name="suite", jobs=[job]))
        session.wait(PATIENCE)
        return session

    def test_it_registers(self, source: SecretSource) -> None:
        """It is a `bunsui.SecretSource`, which a plugin can bring in."""
        assert source is bunsui.Plugins([_Bringing(source)], autoload=False).secret_sources["suite"]

    def test_a_known_key(self, source: SecretSource) -> None:
        """A key has exactly the value that is kept under it: no line break, quote or blank more or less."""
        key, value = self._known
        found = source.get(key)
        assert isinstance(found, str)
        assert value == found

    @needs("unknown")
    def test_an_unknown_key(self, source: SecretSource) -> None:
        """There is no secret where there is none: not an empty text, nor None."""
        assert self.unknown is not None
        with pytest.raises(LookupError):
            source.get(self.unknown)

    def test_what_it_needs_to_be_allowed(self, source: SecretSource) -> None:
        """It says what it calls at AWS, or that it can't, and the value is nowhere in that."""
        key, value = self._known
        needed = list(source.permissions(key, Where("eu-central-1", "123456789012")))
        assert [] == [each for each in needed if not isinstance(each, Permission | Unnamed)]
        shown = [
            text
            for each in needed
            for text in ([each.why] if isinstance(each, Unnamed) else [*each.actions, *each.resources])
        ]
        assert [] == [text for text in shown if value in text]

    def test_several_ask_at_once(self, source: SecretSource) -> None:
        """Each of several threads gets the value."""
        key, value = self._known
        gate = threading.Barrier(MANY)

        def ask(_: int) -> str:
            gate.wait(PATIENCE)
            return source.get(key)

        with ThreadPoolExecutor(MANY) as pool:
            assert [value] * MANY == list(pool.map(ask, range(MANY)))

    def test_nothing_of_it_shows(self, source: SecretSource) -> None:
        """The source's own text has no value, before and after it was asked."""
        key, value = self._known
        shown = [repr(source), str(source)]
        source.get(key)
        shown += [repr(source), str(source)]
        assert [] == [text for text in shown if value in text]

    def test_a_job_gets_it(self, source: SecretSource) -> None:
        """A job that needs the secret is given its value."""
        key, value = self._known
        with self._runner(source, key) as runner:
            session = self._run(runner)
            assert ("succeeded", _digest(value)) == (session.status, session.outputs["needs"])

    def test_only_the_job_gets_it(
        self, source: SecretSource, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """What asking for it leaves behind, in the history, in logs, on the screen, does not show it."""
        key, value = self._known
        with caplog.at_level("DEBUG"), self._runner(source, key) as runner:
            session = self._run(runner)
            shown = [repr(event) for event in session.events()]
            shown += [repr(record) for record in session.logs()]
        shown += [caplog.text, *capfd.readouterr()]
        assert [] == [text for text in shown if value in text]

    @needs("unknown")
    def test_a_job_without_it_fails(self, source: SecretSource) -> None:
        """A job whose secret there is none of fails at once, for good, and its error names the secret."""
        assert self.unknown is not None
        with self._runner(source, self.unknown) as runner:
            session = self._run(runner)
            error = session.jobs["needs"].error
            assert error is not None
            assert ("failed", "SecretUnavailable", False) == (session.status, error.code, error.retryable)
            assert "'password'" in error.message

    def test_it_is_asked_anew(self, source: SecretSource) -> None:
        """Who asks after the value has changed gets the new one, in the same runner, too."""
        key, value = self._known
        with self._runner(source, key) as runner:
            before = self._run(runner).outputs["needs"]
            new = self.change(source)
            if new is None:
                pytest.skip("change() is not overridden")
            assert value != new, "change() has to return another value"
            after = self._run(runner).outputs["needs"]
        assert [_digest(value), _digest(new)] == [before, after]
