"""Job types in definitions: registered, described, exemplified, checked."""

# ruff: noqa: S101 - asserting is what this file is for

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import jsonschema

import bunsui
from bunsui.testing.job_type.cases import (
    Examples,
    by_reference,
    definition,
    problems,
    registry,
)
from bunsui.testing.job_type.watching import plain
from bunsui.testing.suites import needs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bunsui.ports.job_type import JobType


class Definition(Examples):
    """Holds for every job type before anything of it runs; mixed into `JobTypeSuite`."""

    def _document(self, job_type: JobType, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return definition(job_type, self.options if options is None else options, self.parameters)

    def test_it_registers(self, job_type: JobType) -> None:
        """A plugin may bring it in: a registry takes its name, its schema, and what else it says."""
        assert job_type is registry(job_type).job_types[job_type.name]

    def test_its_schema_is_plain_json(self, job_type: JobType) -> None:
        """The schema comes back from a file as it is, such as one that ``bunsui schema`` writes."""
        assert json.loads(json.dumps(job_type.schema)) == job_type.schema

    @needs("has_descriptions")
    def test_its_fields_are_described(self, job_type: JobType) -> None:
        """Each field says what it means, for those who write definitions in an editor."""
        fields = job_type.schema.get("properties", {})
        described = [
            name for name, part in fields.items() if isinstance(part, dict) and part.get("description")
        ]
        assert described == list(fields)

    def test_editors_know_it(self, job_type: JobType) -> None:
        """The published schema accepts the example, and no field that the type does not have."""
        published = bunsui.json_schema(registry(job_type))
        validator = jsonschema.Draft202012Validator(published)
        assert [] == [error.message for error in validator.iter_errors(self._document(job_type))]
        if "patternProperties" not in job_type.schema:
            misspelt = self._document(job_type, {**self.options, "no-such-field": 1})
            assert not validator.is_valid(misspelt)

    def test_the_example_is_valid(self, job_type: JobType) -> None:
        """Nothing is wrong with the example, not so much as a warning."""
        assert [] == problems(job_type, self._document(job_type))

    @needs("invalid_options")
    def test_what_is_invalid_is_refused(self, job_type: JobType) -> None:
        """Each of `invalid_options` is a problem before anything runs."""
        taken = [
            options
            for options in self.invalid_options
            if not any(
                problem.severity == "error"
                for problem in problems(job_type, self._document(job_type, options))
            )
        ]
        assert [] == taken

    def test_options_can_be_references(self, job_type: JobType) -> None:
        """Every field of the example, but `literal_fields`, can be a reference, whose value comes later."""
        fields = [name for name in self.options if name not in self.literal_fields]
        assert [] == problems(job_type, by_reference(self._document(job_type), fields))

    def test_findings_are_findings(self, job_type: JobType) -> None:
        """`check` answers a list of (field, code, message), and a code is the same each time."""
        for options in self._checkable(job_type):
            job = self._document(job_type, options)["jobs"][0]
            findings = job_type.check(plain(options), plain(job))
            assert isinstance(findings, list)
            for finding in findings:
                assert isinstance(finding, tuple)
                assert [str, str, str] == [type(part) for part in finding]
                assert re.match(r"^[a-z][a-z0-9-]*$", finding[1]), finding
            assert findings == job_type.check(plain(options), plain(job))

    def test_check_changes_nothing(self, job_type: JobType) -> None:
        """What `check` is given is as it was."""
        for options in self._checkable(job_type):
            job = self._document(job_type, options)["jobs"][0]
            given = plain(options), plain(job)
            job_type.check(*given)
            assert (plain(options), plain(job)) == given

    def _checkable(self, job_type: JobType) -> list[Mapping[str, Any]]:
        """Options that are valid by the schema alone, as `check` gets them; one holds references."""
        validator = jsonschema.Draft202012Validator({**job_type.schema, "additionalProperties": False})
        given = [self.options, *self.invalid_options, self.failing_options, self.slow_options]
        found = [options for options in given if options is not None and validator.is_valid(options)]
        fields = [name for name in self.options if name not in self.literal_fields]
        (job,) = by_reference(self._document(job_type), fields)["jobs"]
        return [*found, {name: job[name] for name in self.options}]
