"""Definitions from files, texts and mappings."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

import bunsui
from bunsui import Pipeline
from bunsui.errors import DefinitionError

TREE = {"version": "1.0", "name": "n", "jobs": [{"id": "a", "type": "lambda", "function": "f"}]}
YAML = 'version: "1.0"\nname: n\njobs:\n- {id: a, type: lambda, function: f}\n'
PLUGINS = bunsui.Plugins(autoload=False)


@pytest.mark.parametrize("name", ["p.yaml", "p.yml", "p", "p.json", "p.JSON"])
def test_load(tmp_path, name):
    """A file is JSON by its ending, else YAML; the pipeline is the same, and knows its folder."""
    path = tmp_path / name
    path.write_text(json.dumps(TREE) if name.lower().endswith(".json") else YAML)
    pipeline = Pipeline.load(path, PLUGINS)
    assert (Pipeline.from_dict(TREE, PLUGINS), tmp_path) == (pipeline, pipeline.base_dir)


def test_json_file_is_not_read_as_yaml(tmp_path):
    """YAML in a file named .json is refused."""
    path = tmp_path / "p.json"
    path.write_text(YAML)
    with pytest.raises(DefinitionError):
        Pipeline.load(path, PLUGINS)


def test_relative_path(tmp_path, monkeypatch):
    """The folder of a relative path is absolute, so that a later change of directory does not matter."""
    (tmp_path / "p.yaml").write_text(YAML)
    monkeypatch.chdir(tmp_path)
    assert tmp_path == Pipeline.load("p.yaml", PLUGINS).base_dir


@pytest.mark.parametrize(
    ("name", "reason"),
    [("nope.yaml", "No such file or directory"), (".", "Is a directory"), ("a\0b", "embedded null byte")],
)
def test_unreadable(tmp_path, monkeypatch, name, reason):
    """A file that can't be read is a problem with its name, in which control characters are escaped."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DefinitionError) as caught:
        Pipeline.load(name, PLUGINS)
    shown = name.replace("\0", "\\x00")
    assert f"{shown}: error[unreadable-file]: the definition can't be read: {reason}" == str(caught.value)


def test_problems_name_the_file(tmp_path):
    """A problem of a file begins with the path as it was given."""
    path = tmp_path / "p.yaml"
    path.write_text(YAML.replace("lambda", "lamda"))
    with pytest.raises(DefinitionError) as caught:
        Pipeline.load(path, PLUGINS)
    assert str(caught.value).startswith(f"{path}:4:17: error[unknown-job-type]: ")


def test_unknown_format():
    """A format other than yaml and json is the caller's mistake."""
    with pytest.raises(ValueError, match="format must be 'yaml' or 'json', not 'toml'"):
        Pipeline.parse("x", "toml", plugins=PLUGINS)


def test_filename_of_text():
    """The file name that a text is given with stands in its problems."""
    with pytest.raises(DefinitionError) as caught:
        Pipeline.parse("- 1\n", filename="cell", plugins=PLUGINS)
    assert [("cell", 1, 1)] == [(p.file, p.line, p.column) for p in caught.value.problems]


def test_from_dict_copies():
    """Changing the mapping afterwards does not change the pipeline."""
    tree = json.loads(json.dumps(TREE))
    tree["jobs"][0]["parameters"] = {"x": [1]}
    pipeline = Pipeline.from_dict(tree, PLUGINS)
    tree["jobs"][0]["parameters"]["x"].append(2)
    assert pipeline.job("a").parameters == {"x": [1]}


class TestValidate:
    def test_text(self):
        """A str with a newline is text."""
        assert bunsui.validate(YAML, PLUGINS) == []

    def test_path(self, tmp_path):
        """Any other str, and a Path, is a path."""
        path = tmp_path / "p.yaml"
        path.write_text("- 1\n")
        assert ["wrong-type"] * 2 == [
            p.code for given in (path, str(path)) for p in bunsui.validate(given, PLUGINS)
        ]

    @pytest.mark.parametrize(
        "given", ["", "nope", "a\0b", "x" * 5000, Path("nope"), "\n", "{\n", "a: &a [*a]\n"]
    )
    def test_never_raises(self, given):
        """Whatever is wrong is returned, not raised."""
        assert bunsui.validate(given, PLUGINS) != []


class Counted(bunsui.JobType):
    """Counts how often its jobs are checked."""

    name = "counted"
    schema = {"type": "object", "properties": {}}

    def __init__(self) -> None:
        self.checks = 0

    def check(self, options, job):
        self.checks += 1
        return []

    def run(self, call):
        return self.checks


class Bare(bunsui.JobType):
    """Has nothing of its own."""

    name = "counted"
    schema = {"type": "object", "properties": {}}

    def run(self, call):
        return None


def given(kind):
    """A plugin that brings a job type."""

    class Given:
        @bunsui.hookimpl
        def bunsui_job_types(self):
            return [kind]

    return bunsui.Plugins([Given()], autoload=False)


class TestOnce:
    TREE = {"version": "1.0", "name": "n", "jobs": [{"id": "a", "type": "counted"}]}

    def test_a_pipeline_that_was_loaded_is_not_checked_again_when_it_runs(self):
        """Once for the job types that it was loaded with."""
        kind = Counted()
        plugins = given(kind)
        pipeline = Pipeline.from_dict(self.TREE, plugins)
        with bunsui.Runner("memory://", plugins=plugins) as runner:
            assert {"a": 1} == runner.run(pipeline).outputs == runner.run(pipeline).outputs

    def test_another_job_type_of_that_name_checks_it_again(self):
        """A pipeline that is fine for one plugin may be wrong for another one."""
        pipeline = Pipeline.from_dict(self.TREE, given(Counted()))
        other = Counted()
        with bunsui.Runner("memory://", plugins=given(other)) as runner:
            assert {"a": 1} == runner.run(pipeline).outputs == runner.run(pipeline).outputs

    def test_objects_of_one_class_that_have_nothing_of_their_own_are_one(self, monkeypatch):
        """As are the built-in job types of two registries."""
        checks = []
        monkeypatch.setattr(Bare, "check", lambda self, options, job: checks.append(job["id"]) or [])
        pipeline = Pipeline.from_dict(self.TREE, given(Bare()))
        with bunsui.Runner("memory://", plugins=given(Bare())) as runner:
            runner.run(pipeline)
        assert ["a"] == checks

    def test_a_copy_in_another_process_is_checked(self):
        """What a job type was there, is not known here."""
        kind = Counted()
        plugins = given(kind)
        pipeline = pickle.loads(pickle.dumps(Pipeline.from_dict(self.TREE, plugins)))
        with bunsui.Runner("memory://", plugins=plugins) as runner:
            assert {"a": 2} == runner.run(pipeline).outputs
