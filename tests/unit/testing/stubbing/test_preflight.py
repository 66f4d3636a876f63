"""What is refused before a run, and what is not: all that a Runner would run."""

from __future__ import annotations

import shutil

import pytest

from bunsui import DefinitionError, Pipeline
from bunsui.testing import run_pipeline


def parse(jobs: str) -> Pipeline:
    return Pipeline.parse(f'version: "1.0"\nname: p\njobs:\n{jobs}')


def test_python_is_the_runners_interpreter(monkeypatch, tmp_path):
    """Where no program has that name, too."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("python") is None
    run = run_pipeline(parse("- {id: a, type: custom, command: [python, -c, 'pass']}"))
    assert "succeeded" == run.status


def test_callables_are_found_beside_the_bindings_that_were_given(tmp_path):
    """As when the job runs: their file may lie anywhere."""
    (tmp_path / "beside_bindings.py").write_text("def seven():\n    return 7\n", encoding="utf-8")
    (tmp_path / "bindings.yaml").write_text("{}", encoding="utf-8")
    pipeline = parse("- {id: a, type: custom, callable: 'beside_bindings:seven'}")
    for given in (tmp_path / "bindings.yaml", str(tmp_path / "bindings.yaml")):
        assert {"a": 7} == run_pipeline(pipeline, bindings=given).outputs
    with pytest.raises(DefinitionError, match="beside_bindings"):
        run_pipeline(pipeline)


@pytest.mark.parametrize("what", ["callable: 'no_such_module:f'", "command: [no-such-program]"])
def test_what_has_a_condition_may_never_run(what):
    """So it is not refused beforehand; where it does run, it fails."""
    job = "- {id: b, type: custom, WHAT, depends_on: [a], condition: '${jobs.a.output} > 1'}"
    pipeline = parse("- {id: a, type: lambda, function: f}\n" + job.replace("WHAT", what))
    assert "skipped" == run_pipeline(pipeline, stubs={"a": 1}).jobs["b"].status
    assert "failed" == run_pipeline(pipeline, stubs={"a": 2}).jobs["b"].status


def test_each_name_has_its_remedy():
    """Several in one value, a secret that is nearly named right, and jobs beyond the tenth."""
    both = "{id: a, type: lambda, function: f, parameters: {x: '${env.A}-${env.B}', y: '${secrets.dbb}'}}"
    with pytest.raises(DefinitionError) as seen:
        run_pipeline(parse(f"- {both}"), stubs={"a": 1}, secrets={"db": "x"})
    text = str(seen.value)
    assert "env={'A': ...}" in text
    assert "env={'B': ...}" in text
    assert "did you mean 'db'" in text
    many = "\n".join(f"- {{id: j{n}, type: lambda, function: f}}" for n in range(12))
    with pytest.raises(DefinitionError) as seen:
        run_pipeline(parse(many), stubs={f"j{n}": 1 for n in range(12) if n not in (1, 11)})
    assert 2 == len(seen.value.problems)
    assert "stubs={'j1': ...}, or a binding" in str(seen.value)
    assert "stubs={'j11': ...}, or a binding" in str(seen.value)
