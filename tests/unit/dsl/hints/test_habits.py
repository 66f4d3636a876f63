"""Words of other tools: that they lead to words of this language."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import bunsui
from bunsui.dsl.fields import (
    DEFAULTS_FIELDS,
    JOB_FIELDS,
    PIPELINE_FIELDS,
    RETRY,
)
from bunsui.dsl.hints import habits
from bunsui.dsl.parameters.fields import PARAMETER_FIELDS, PARAMETER_KEYWORDS
from bunsui.dsl.schema import EXPANDED_FIELDS, TEMPLATE_FIELDS, own_fields
from bunsui.dsl.schema_errors import explain
from bunsui.expressions.conditions import parse_condition
from bunsui.expressions.references import ROOTS

NO_BREAK = "its indentation holds a no-break space (U+00A0): indent with plain spaces"
TYPES = bunsui.Plugins(autoload=False).job_types
CUSTOM = {**JOB_FIELDS, **own_fields(TYPES["custom"])}
LAMBDA = {**JOB_FIELDS, **own_fields(TYPES["lambda"])}
EVERYWHERE = {*PIPELINE_FIELDS, *JOB_FIELDS, *TEMPLATE_FIELDS, *PARAMETER_FIELDS, *RETRY["properties"]}
EVERYWHERE |= {*JOB_FIELDS["cache"]["properties"]}
EVERYWHERE |= {field for kind in TYPES.values() for field in own_fields(kind)}


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("needs", CUSTOM, "here it is called 'depends_on'"),
        ("dependsOn", CUSTOM, "did you mean 'depends_on'?"),
        ("DEPENDS-ON", CUSTOM, "did you mean 'depends_on'?"),
        ("depend_on", CUSTOM, "did you mean 'depends_on'?"),
        ("retries", CUSTOM, "here it is called 'retry'"),
        ("retries", RETRY["properties"], "here it is called 'max_attempts'"),
        ("timeout-minutes", CUSTOM, "here it is 'timeout', such as timeout: 15m"),
        ("continue-on-error", CUSTOM, "here it is called 'allow_failure'"),
        ("python_callable", CUSTOM, "here it is called 'callable'"),
        ("FunctionName", LAMBDA, "here it is called 'function'"),
        ("FunctionName", CUSTOM, None),
        ("handler", CUSTOM, "here it is called 'callable'"),
        ("handler", LAMBDA, "here it is called 'function'"),
        ("inputs", CUSTOM, "here it is called 'with' for a template's inputs, else 'parameters'"),
        ("inputs", EXPANDED_FIELDS, "here it is called 'with' for a template's inputs, else 'parameters'"),
        ("uses", EXPANDED_FIELDS, "here it is called 'template'"),
        ("uses", TEMPLATE_FIELDS, None),
        ("\u00a0 type", CUSTOM, NO_BREAK),
        (" \u00a0- id", PIPELINE_FIELDS, NO_BREAK),
        ("inputs", PIPELINE_FIELDS, "here it is called 'parameters'"),
        ("tasks", PIPELINE_FIELDS, "here it is called 'jobs'"),
        ("dag_id", PIPELINE_FIELDS, "here it is called 'name'"),
        ("schedule", PIPELINE_FIELDS, "a definition says what runs, not when: start it from a scheduler"),
        ("Next", CUSTOM, "what waits for what is said by 'depends_on' of the later job"),
        ("function", PIPELINE_FIELDS, "a job has it: indent it as far as the job's other fields"),
        ("depends_on", PIPELINE_FIELDS, "a job has it: indent it as far as the job's other fields"),
        ("outputs", CUSTOM, "the pipeline has it: it stands beside 'jobs'"),
        ("depends_on", DEFAULTS_FIELDS, "each job says it for itself, or has it from a template"),
        ("command", DEFAULTS_FIELDS, "each job says it for itself, or has it from a template"),
        ("minLength", {**PARAMETER_FIELDS, **PARAMETER_KEYWORDS["integer"]}, "only for type: string"),
        ("value", PARAMETER_FIELDS, "here it is called 'default'"),
        ("zzz", CUSTOM, None),
        ("schedule", {"a": 1}, None),
    ],
)
def test_a_field(name, known, expected):
    """The hint names the field that is meant, or where it stands."""
    assert expected == habits.field_hint(name, known)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("timeout-minutes", 3, "write timeout: 3m"),
        ("timeoutMinutes", 3, "write timeout: 3m"),
        ("TimeoutSeconds", 900, "write timeout: 900s"),
        ("timeout_minutes", 0, "here it is 'timeout', such as timeout: 15m"),
        ("timeout_minutes", True, "here it is 'timeout', such as timeout: 15m"),
        ("timeout_minutes", 10**9, "here it is 'timeout', such as timeout: 15m"),
        ("execution_timeout", 30, "here it is 'timeout', such as timeout: 15m"),
        ("trigger_rule", "all_done", "here it is 'condition', such as condition: always()"),
        ("trigger_rule", "one_failed", "here it is 'condition', such as condition: failed(extract_data)"),
        ("trigger_rule", "all_success", "leave it out: a job runs when all that it depends on succeeded"),
        ("trigger_rule", ["all_done"], "here it is called 'condition'"),
        ("args", ["a"], "arguments stand in 'command', behind the program"),
        ("args", {"a": 1}, "here it is called 'parameters'"),
    ],
)
def test_a_field_with_its_value(name, value, expected):
    """The hint is the field as it is written here."""
    assert expected == habits.field_hint(name, CUSTOM, value)


def test_every_rule_leads_to_a_condition():
    """What is suggested can be read."""
    conditions = [hint.partition("condition: ")[2] for hint in habits._RULES.values()]
    assert [] == [text for text in conditions if text and not parse_condition(text)]


@pytest.mark.parametrize("known", [PIPELINE_FIELDS, CUSTOM])
def test_what_is_refused_is_not_offered(known):
    """The fields that a hint lists do not lead to the next error."""
    error = SimpleNamespace(
        validator="additionalProperties",
        validator_value=False,
        instance={"qqq": 1},
        schema={"properties": known},
        absolute_path=(),
        absolute_schema_path=(),
    )
    ((*_, hint),) = explain(error, "x")
    offered = hint.removeprefix("known here: ").split(", ")
    assert sorted(known) == offered


def test_every_word_leads_to_a_field():
    """What a word of another tool stands for exists."""
    assert {field for fields in habits._FIELDS.values() for field in fields} <= EVERYWHERE


def test_words_are_written_plainly():
    """A word with a capital letter, '-' or '_' would never be met."""
    tables = (habits._FIELDS, habits._NOWHERE, habits._PARAMETER_TYPES, habits._JOB_TYPES, habits._ROOTS)
    assert [] == [word for table in tables for word in table if habits._plain(word) != word]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Lambda", "did you mean 'lambda'?"),
        ("lamda", "did you mean 'lambda'?"),
        ("LAMBDA", "did you mean 'lambda'?"),
        ("fargate", "did you mean 'ecs'?"),
        ("BatchOperator", "did you mean 'batch'?"),
        ("GlueJobOperator", "did you mean 'glue'?"),
        ("PythonOperator", "type: custom, with 'callable'"),
        ("bash", "type: custom, with 'command'"),
        ("spark", None),
    ],
)
def test_a_job_type(name, expected):
    """The hint names the type that does such work."""
    assert expected == habits.job_type_hint(name, TYPES)


def test_a_job_type_that_is_not_there():
    """Nothing is suggested that does not exist."""
    assert habits.job_type_hint("bash", ["lambda"]) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("params", "parameters"),
        ("parameter", "parameters"),
        ("steps", "jobs"),
        ("each", "item"),
        ("secret", "secrets"),
        ("sessions", "session"),
        ("bucket", None),
    ],
)
def test_the_beginning_of_a_reference(name, expected):
    """Where it is not known, what it may have been meant for."""
    assert expected == habits.root(name)
    assert expected is None or expected in ROOTS


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, ""), (2, "a0, a1"), (11, ", ".join(f"a{i}" for i in range(10)) + " and 1 more")],
)
def test_names_in_a_list(count, expected):
    """A long list is cut off."""
    assert expected == habits.listed(f"a{i}" for i in range(count))
