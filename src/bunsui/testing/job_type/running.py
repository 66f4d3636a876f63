"""Job types in a real runner: outputs, inputs, failures, cancelling, secrets."""

# ruff: noqa: S101 - asserting is what this file is for

from __future__ import annotations

import contextlib
import itertools
import json
import re
import threading
from typing import TYPE_CHECKING, Any

import pytest

from bunsui.errors import JobError
from bunsui.ports.remote import RemoteJobType
from bunsui.testing.job_type.cases import (
    JOB,
    Examples,
    begin,
    by_reference,
    definition,
    outcome,
    rest,
    run,
    runner_of,
)
from bunsui.testing.job_type.watching import Seen, as_json, watched
from bunsui.testing.suites import needs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bunsui.ports.job_type import JobType

#: How many attempts run at once.
MANY = 8
#: A secret, of which a trace would be noticed.
CANARY = "canary-Zq7kVw3xPnT"
SUCCEEDED = ("succeeded", "")


class Behaviour(Examples):
    """Holds for every job type when it runs; mixed into `JobTypeSuite`."""

    @needs("can_run")
    def test_a_pipeline_with_it_succeeds(self, job_type: JobType, tmp_path: Path) -> None:
        """The example runs in a session, and the session succeeds."""
        with runner_of(job_type) as runner:
            document = definition(job_type, self.options, self.parameters)
            assert SUCCEEDED == outcome(run(runner, document, tmp_path, self.patience))

    @needs("can_run")
    def test_options_by_reference_run(self, job_type: JobType, tmp_path: Path) -> None:
        """The example succeeds as well where its fields come from the pipeline's parameters."""
        fields = [name for name in self.options if name not in self.literal_fields]
        with runner_of(job_type) as runner:
            document = by_reference(definition(job_type, self.options, self.parameters), fields)
            assert SUCCEEDED == outcome(run(runner, document, tmp_path, self.patience))

    @needs("can_run")
    def test_its_output_is_json(self, job_type: JobType, tmp_path: Path) -> None:
        """What it returns is JSON as it is: who reads it from the history gets the same value."""
        seen = Seen()
        with runner_of(watched(job_type, seen)) as runner:
            document = definition(job_type, self.options, self.parameters)
            session = run(runner, document, tmp_path, self.patience)
            assert SUCCEEDED == outcome(session)
            assert [as_json(output) for output in seen.outputs] == [session.outputs[JOB]]

    @needs("can_run")
    def test_it_changes_nothing_that_it_is_given(self, job_type: JobType, tmp_path: Path) -> None:
        """Parameters, options and handles are after a call as they were before it."""
        seen = Seen()
        with runner_of(watched(job_type, seen)) as runner:
            for options in (self.options, self.failing_options):
                if options is not None:
                    document = definition(job_type, options, self.parameters)
                    run(runner, document, tmp_path, self.patience)
        assert seen.calls
        assert [] == seen.changed

    @needs("can_run")
    def test_several_at_once(self, job_type: JobType, tmp_path: Path) -> None:
        """Eight of the example begin at the same moment, and none gets into another's way."""
        seen, gate, numbers = Seen(), threading.Barrier(MANY), itertools.count()

        def together() -> None:
            # What is begun again waits for nobody.
            if next(numbers) < MANY:
                with contextlib.suppress(threading.BrokenBarrierError):
                    gate.wait(self.patience)

        with runner_of(watched(job_type, seen, together)) as runner:
            document = definition(job_type, self.options, self.parameters, for_each=list(range(MANY)))
            session = run(runner, document, tmp_path, 2 * self.patience)  # To begin, and to end.
            assert not gate.broken, "they did not begin at the same moment: this says nothing"
            assert SUCCEEDED == outcome(session)
            outputs = session.outputs[JOB]
        assert MANY == len(outputs)
        # Of a remote type: each is work of its own.
        assert [] == [pair for pair in itertools.combinations(seen.handles, 2) if self.same_work(*pair)]
        if self.is_repeatable:
            assert [outputs[0]] * MANY == outputs

    @needs("can_run", "can_fail", "failing_options")
    def test_its_failures_have_a_code(self, job_type: JobType, tmp_path: Path) -> None:
        """What fails raises a JobError, or its service says Failed, with a code of its own."""
        codes = []
        for _ in range(2):
            seen = Seen()
            with runner_of(watched(job_type, seen)) as runner:
                document = definition(job_type, self._given(self.failing_options), self.parameters)
                session = run(runner, document, tmp_path, self.patience)
                assert "failed" == session.status
                error = session.jobs[JOB].error
            assert error is not None
            bare = [repr(raised) for raised in seen.errors if not isinstance(raised, JobError)]
            assert [] == bare, "what it raises is no JobError"
            assert error.code not in ("JobError", "PluginError", "OutputNotJson"), error
            assert re.match(r"^[A-Za-z][\w.-]*$", error.code), error
            codes.append(error.code)
        assert codes[0] == codes[1]

    @needs("can_run", "can_cancel", "slow_options")
    def test_it_stops_when_it_is_cancelled(self, job_type: JobType, tmp_path: Path) -> None:
        """Work that runs in this process ends when its session is cancelled."""
        if isinstance(job_type, RemoteJobType):
            pytest.skip("its work does not run in this process")
        seen = Seen()
        with runner_of(watched(job_type, seen)) as runner:
            document = definition(job_type, self._given(self.slow_options), self.parameters)
            session = begin(runner, document, tmp_path)
            assert seen.begun.wait(self.patience)
            assert not seen.ended.wait(0.1), "the slow example had ended before it was cancelled"
            session.cancel()
            assert seen.ended.wait(self.patience), "its work went on after it was cancelled"
            assert "cancelled" == rest(session, self.patience)

    @needs("can_run", "takes_secrets")
    def test_no_secret_shows(
        self,
        job_type: JobType,
        tmp_path: Path,
        capfd: pytest.CaptureFixture[str],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """A secret that it is given stands in no event, no log, and nothing that is printed."""
        seen, shown = Seen(), []
        with caplog.at_level("DEBUG"), runner_of(watched(job_type, seen), canary=CANARY) as runner:
            for options, parameters in self._with_secret():
                session = run(runner, definition(job_type, options, parameters), tmp_path, self.patience)
                shown += [repr(event) for event in session.events()]
                shown += [repr(record) for record in session.logs()]
        given = [json.dumps([call.options, call.parameters]) for call in seen.calls]
        assert any(CANARY in text for text in given), "the job was given no ${secrets.canary}"
        shown += [caplog.text, *capfd.readouterr()]
        assert [] == [text for text in shown if CANARY in text]

    def _with_secret(self) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        """Examples that are given one: it may show where the work succeeds, and where it fails."""
        if self.secret_options is not None:
            return [(self.secret_options, self.parameters)]
        parameters = {**self.parameters, "canary": "${secrets.canary}"}
        examples = (self.options, self.failing_options)
        return [(options, parameters) for options in examples if options is not None]

    @staticmethod
    def _given(options: Mapping[str, Any] | None) -> Mapping[str, Any]:
        assert options is not None
        return options
