"""Alert channels: what they send, and what they say where nobody takes it."""

# ruff: noqa: S101 - asserting is what this file is for

from __future__ import annotations

import threading
import traceback
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from copy import deepcopy
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from attrs import evolve

import bunsui
from bunsui.aws.connections import Connections
from bunsui.errors import ConfigError
from bunsui.monitoring.channels.channels import PATIENCE, Channels
from bunsui.monitoring.channels.configured import ConfiguredChannel
from bunsui.monitoring.channels.options import check_options
from bunsui.ports.alerts import Alert, AlertChannel
from bunsui.ports.hooks import hookimpl
from bunsui.ports.permissions import Permission, Unnamed, Where
from bunsui.ports.services import Services
from bunsui.runner.clock import SystemClock
from bunsui.testing.suites import needs

#: Threads that send at once.
MANY = 8
#: Seconds that those may take to meet.
MEETING = 60.0
#: Characters of a summary that no receiver takes whole.
LONG = 300_000
#: What a receiver of text may stumble over: line breaks, controls, quotes, other scripts, half a character.
STRANGE = "a\nb\r\n\x00\x1b[31m \"quoted\" 'q' ${x} %s $(id) \u5206\u6c34 \U0001f600 \u202etxt\u2028 \ud800"


class _Bringing:
    """A plugin that brings a channel under the name ``suite``."""

    def __init__(self, channel: AlertChannel) -> None:
        self._channel = channel

    @hookimpl
    def bunsui_alert_channels(self) -> Mapping[str, AlertChannel]:
        """The channel."""
        return {"suite": self._channel}


def minimal() -> Alert:
    """An alert with nothing but what each has; its id is its own."""
    at = datetime(2026, 3, 1, 4, 30, tzinfo=UTC)
    return Alert(uuid.uuid4().hex, "stalled", "Load", at, "a session of Load has not moved for an hour")


def full() -> Alert:
    """An alert with all that one may have."""
    error = {"code": "Table.Locked", "message": "the table is locked: \u5206\u6c34 \U0001f600"}
    return evolve(
        minimal(),
        on="failure",
        pipeline="Load \u5206\u6c34",
        session_id="0123456789abcdef",
        job="load",
        details={"error": error, "attempts": 3, "rate": 0.25, "nothing": None, "list": [{"a": [True]}]},
        silenced=7,
    )


class Sending:
    """Holds for every alert channel; mixed into `AlertChannelSuite`."""

    #: The options that it is configured with, its secrets by their values.
    options: Mapping[str, Any] = {}
    #: A text in these that nobody else may see, such as a token in a URL.
    hidden: str | None = None
    #: Seconds within which it gives up where the other side hangs.
    patience: float = PATIENCE

    def received(self) -> Sequence[str] | None:
        """What the other side has got so far, each message as text; None where a test can't see it.

        Such as::

            from bunsui.testing import AlertChannelSuite

            class TestPager(AlertChannelSuite):
                def received(self):
                    return [message.text for message in self.server.messages]
        """
        return None

    def failing(self) -> AbstractContextManager[object] | None:
        """Lets the other side refuse everything within the block; None where a test can't.

        Such as::

            from contextlib import contextmanager
            from bunsui.testing import AlertChannelSuite

            class TestPager(AlertChannelSuite):
                @contextmanager
                def failing(self):
                    self.server.status = 500
                    yield
                    self.server.status = 200
        """
        return None

    def hanging(self) -> AbstractContextManager[object] | None:
        """Lets the other side give no answer within the block; None where a test can't. See `failing`.

        Such as::

            from contextlib import contextmanager
            from bunsui.testing import AlertChannelSuite

            class TestPager(AlertChannelSuite):
                patience = 5  # Where the channel has a limit that a test can set.

                @contextmanager
                def hanging(self):
                    self.server.answers.clear()
                    yield  # Until the test is through with it.
                    self.server.answers.set()
        """
        return None

    def _block(self, name: str) -> AbstractContextManager[object]:
        found: AbstractContextManager[object] | None = getattr(self, name)()
        if found is None:
            pytest.skip(f"{name}() is not overridden")
        return found

    def _sent(self, channel: AlertChannel, alert: Alert) -> None:
        """Sends it, and looks that it has arrived, once, where that can be seen."""
        before = self._times(alert)
        channel.send(alert, self.options)
        if before is not None:
            assert (self._times(alert) or 0) - before == 1, "it has not arrived once"

    def _times(self, alert: Alert) -> int | None:
        """How often the other side has got an alert, where that can be seen."""
        got = self.received()
        return None if got is None else sum(alert.id in text for text in got)

    def _channels(self, channel: AlertChannel) -> Channels:
        """As a runner has it. The options have the values of secrets, so each is a name of its own."""
        services = Services(Connections(), SystemClock(), Random())  # noqa: S311 - for jitter
        configured = {"suite": ConfiguredChannel("suite", self.options)}
        secrets: list[str] = []
        for name in channel.secret_options:
            given = self.options.get(name, ())
            secrets += given.values() if isinstance(given, Mapping) else [given]
        return Channels(configured, {"suite": channel}, services, str, secrets)

    def test_it_registers(self, channel: AlertChannel) -> None:
        """It is a `bunsui.AlertChannel`, which a plugin can bring in."""
        assert channel is bunsui.Plugins([_Bringing(channel)], autoload=False).alert_channels["suite"]

    def test_its_options(self, channel: AlertChannel) -> None:
        """Its schema takes the options that it is given here."""
        self._channels(channel).check()

    def test_a_misspelt_option(self, channel: AlertChannel) -> None:
        """Its schema refuses an option that it does not know, rather than to leave it out in silence."""
        with pytest.raises(ConfigError):
            check_options({**self.options, "no_such_option": 1}, channel.schema, "suite")

    def test_a_minimal_alert(self, channel: AlertChannel) -> None:
        """It sends an alert that has only what each has, with its id."""
        self._sent(channel, minimal())

    def test_a_full_alert(self, channel: AlertChannel) -> None:
        """It sends one that has all, in other scripts, too."""
        self._sent(channel, full())

    def test_a_long_alert(self, channel: AlertChannel) -> None:
        """It sends one that is too long for whoever gets it: what can't be told whole is told in part."""
        self._sent(channel, evolve(minimal(), summary="long " * (LONG // 5)))
        self._sent(channel, evolve(minimal(), details={"error": {"message": "x" * LONG}}))

    def test_a_strange_alert(self, channel: AlertChannel) -> None:
        """It sends one whose texts have what a receiver may stumble over."""
        self._sent(channel, evolve(full(), summary=STRANGE, pipeline=STRANGE, job=STRANGE))

    def test_nothing_is_changed(self, channel: AlertChannel) -> None:
        """The alert and the options are afterwards what they were before."""
        alert, options = full(), deepcopy(dict(self.options))
        before = deepcopy(alert)
        channel.send(alert, options)
        assert (before, dict(self.options)) == (alert, options)

    def test_several_send_at_once(self, channel: AlertChannel) -> None:
        """Each of several threads has its alert sent, once."""
        gate = threading.Barrier(MANY)

        def send(alert: Alert) -> None:
            gate.wait(MEETING)
            channel.send(alert, self.options)

        alerts = [minimal() for _ in range(MANY)]
        with ThreadPoolExecutor(MANY) as pool:
            list(pool.map(send, alerts))
        got = self.received()
        if got is not None:
            assert [1] * MANY == [sum(alert.id in text for text in got) for alert in alerts]

    def test_nobody_takes_it(self, channel: AlertChannel) -> None:
        """It raises where the other side has not taken it: else nobody would be told, and nobody know."""
        with self._block("failing"), pytest.raises(Exception):  # noqa: B017, PT011 - of any kind
            channel.send(minimal(), self.options)

    def test_it_works_again(self, channel: AlertChannel) -> None:
        """The same alert can be sent once the other side takes it."""
        alert = minimal()
        with self._block("failing"), pytest.raises(Exception):  # noqa: B017, PT011 - of any kind
            channel.send(alert, self.options)
        self._sent(channel, alert)

    def test_the_other_side_hangs(self, channel: AlertChannel) -> None:
        """It gives up, by itself and in time, and raises."""
        failures: list[BaseException] = []

        def send() -> None:
            try:
                channel.send(minimal(), self.options)
            except Exception as error:  # Of any kind; that there is one is what is looked for.
                failures.append(error)

        # One that never ends must not keep this process.
        sending = threading.Thread(target=send, name="bunsui-suite-alert", daemon=True)
        with self._block("hanging"):
            sending.start()
            sending.join(self.patience)
            has_ended = not sending.is_alive()
        assert has_ended, f"it has not ended within {self.patience:g} seconds"
        assert 1 == len(failures)

    @needs("hidden")
    def test_nothing_of_it_shows(self, channel: AlertChannel, caplog: pytest.LogCaptureFixture) -> None:
        """What nobody else may see is in no error, traceback or log, and not in the channel's own text."""
        assert self.hidden is not None
        channels = self._channels(channel)
        channels.check()
        shown = [repr(channel), str(channel), repr(channels)]
        with caplog.at_level("DEBUG"), self._block("failing"):
            try:
                channels.send("suite", minimal())
            except Exception as error:  # Of any kind.
                shown += [str(error), repr(error), *traceback.format_exception(error)]
        shown += [record.getMessage() for record in caplog.records if record.name.startswith("bunsui")]
        assert [] == [text for text in shown if self.hidden in text]

    def test_what_it_needs_to_be_allowed(self, channel: AlertChannel) -> None:
        """It says what it calls at AWS, or that it can't."""
        needed = list(channel.permissions(self.options, Where("eu-central-1", "123456789012")))
        assert [] == [each for each in needed if not isinstance(each, Permission | Unnamed)]
