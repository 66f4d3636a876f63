"""Bindings: what a file or a mapping says, and all that is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bunsui.errors import ConfigError, DefinitionError
from bunsui.local import bindings
from bunsui.plugins.registry import Plugins
from bunsui.ports.job_type import Command, Function

TYPES = Plugins(autoload=False).job_types
HINT = "such as handlers:extract, or {command: [python, task.py]}"


def write(tmp_path: Path, text: str, name: str = "bindings.yaml") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def problems(tmp_path: Path, text: str) -> list[tuple[Any, ...]]:
    """Line, column, code, message and hint of all problems of a file."""
    with pytest.raises(DefinitionError) as caught:
        bindings.load(write(tmp_path, text), TYPES)
    return [(p.line, p.column, p.code, p.message, p.hint) for p in caught.value.problems]


def bad(line: int, column: int, value: str) -> tuple[Any, ...]:
    message = f"{value} is neither 'module:callable' nor a mapping with 'command', a list"
    return line, column, "bad-binding", message, HINT


class TestLoad:
    def test_all_forms(self, tmp_path: Path) -> None:
        """A binding is a function, a command, or a shell's script; each knows the file's folder."""
        text = (
            "lambda:\n  f: handlers:extract\n  g: pack.mod:Class.method\n"
            "ecs:\n  t: {command: [python, task.py]}\n"
            "  u: {command: echo $HOME, shell: true}\n  v: {command: [echo $1, x], shell: true}\n"
        )
        expected = {
            "lambda": {
                "f": Function("handlers:extract", [tmp_path], "lambda", "process"),
                "g": Function("pack.mod:Class.method", [tmp_path], "lambda", "process"),
            },
            "ecs": {
                "t": Command(["python", "task.py"], tmp_path),
                "u": Command(["echo $HOME"], tmp_path, shell=True),
                "v": Command(["echo $1", "x"], tmp_path, shell=True),
            },
        }
        assert expected == bindings.load(write(tmp_path, text), TYPES)

    def test_json(self, tmp_path: Path) -> None:
        """A file that ends in .json is JSON."""
        path = write(tmp_path, '{"ecs": {"t": "tasks:f"}}', "b.json")
        expected = {"ecs": {"t": Function("tasks:f", [tmp_path], "keywords", "process")}}
        assert expected == bindings.load(path, TYPES)

    def test_nothing_is_imported(self, tmp_path: Path) -> None:
        """Reading bindings imports nothing of what they name."""
        write(tmp_path, "open('imported', 'w')", "handlers.py")
        bindings.load(write(tmp_path, "lambda: {f: handlers:extract}"), TYPES)
        assert not (tmp_path / "imported").exists()

    def test_all_problems_at_once(self, tmp_path: Path) -> None:
        """Every problem of a file is reported, in its order, with place and hint."""
        text = (
            "lamda: {f: handlers:f}\n"
            "lambda:\n"
            "  a: handlers\n"
            "  b: 3\n"
            "  c: {command: []}\n"
            "  d: {command: python x.py}\n"
            "  e: {command: [python, 3]}\n"
            "  f: {command: [python], shel: true}\n"
            "  g: {command: [python], shell: 1}\n"
            "  h: null\n"
            "  i: [python]\n"
            "  j: ''\n"
            "  k: handlers:f\n"
            "ecs: tasks:f\n"
            "sge: {x: tasks:f}\n"
            "custom: {x: tasks:f}\n"
        )
        unbindable = "one of: batch, ecs, glue, lambda, step_function"
        kind = "is not a job type that can be bound"
        expected = [
            (1, 1, "unknown-job-type", f"'lamda' {kind}", "did you mean 'lambda'?"),
            bad(3, 6, "'handlers'"),
            bad(4, 6, "3"),
            bad(5, 6, '{"command": []}'),
            bad(6, 6, '{"command": "python x.py"}'),
            bad(7, 6, '{"command": ["python", 3]}'),
            bad(8, 6, '{"command": ["python"], "shel": true}'),
            bad(9, 6, '{"command": ["python"], "shell": 1}'),
            bad(10, 6, "null"),
            bad(11, 6, '["python"]'),
            bad(12, 6, "''"),
            (14, 6, "wrong-type", "'ecs' must map names to bindings", None),
            (15, 1, "unknown-job-type", f"'sge' {kind}", unbindable),
            (16, 1, "unknown-job-type", f"'custom' {kind}", unbindable),
        ]
        assert expected == problems(tmp_path, text)

    def test_no_mapping(self, tmp_path: Path) -> None:
        """A file that is no mapping is told what it should be."""
        message = "bindings are a mapping of job types, such as 'lambda:'"
        assert [(1, 1, "wrong-type", message, None)] == problems(tmp_path, "- lambda")

    def test_broken_file(self, tmp_path: Path) -> None:
        """What YAML does not allow is a problem of the file, at its place."""
        found = problems(tmp_path, "lambda:\n  f: [\n")
        assert [(3, 1, "syntax")] == [(line, column, code) for line, column, code, *_ in found]

    def test_unreadable(self, tmp_path: Path) -> None:
        """A file that is not there is named."""
        path = tmp_path / "none.yaml"
        with pytest.raises(DefinitionError) as caught:
            bindings.load(path, TYPES)
        assert [("unreadable-file", f"{path}: No such file or directory")] == [
            (p.code, p.message) for p in caught.value.problems
        ]


class TestMapping:
    def test_all_forms(self) -> None:
        """In Python a binding may be a callable, too; names are looked for on sys.path."""

        def extract(event: Any, context: Any) -> None:
            raise NotImplementedError

        found = bindings.from_mapping(
            {"lambda": {"f": extract, "g": "m:g"}, "ecs": {"t": {"command": ("true",)}, "u": len}}, TYPES
        )
        expected = {
            "lambda": {
                "f": Function("local:lambda.f", (), "lambda", "thread"),
                "g": Function("m:g", (), "lambda", "process"),
            },
            "ecs": {"t": Command(["true"]), "u": Function("local:ecs.u", (), "keywords", "thread")},
        }
        functions = [found["lambda"]["f"].function, found["ecs"]["u"].function]  # type: ignore[union-attr]
        assert (expected, [extract, len]) == (found, functions)

    def test_all_problems_at_once(self) -> None:
        """Every problem of a mapping is reported, with its path."""
        with pytest.raises(DefinitionError) as caught:
            bindings.from_mapping({"lamda": {"f": len}, "lambda": {"g": 3}, "ecs": "x"}, TYPES)  # type: ignore[dict-item]
        expected = [
            ("/ecs", "'ecs' must map names to bindings"),
            ("/lambda/g", "3 is neither 'module:callable' nor a mapping with 'command', a list"),
            ("/lamda", "'lamda' is not a job type that can be bound"),
        ]
        assert expected == [(p.path, p.message) for p in caught.value.problems]

    def test_no_plain_data(self) -> None:
        """An object in the place of a binding is a problem."""
        with pytest.raises(DefinitionError) as caught:
            bindings.from_mapping({"lambda": {"f": object()}}, TYPES)
        assert ["a value of type object is not plain data"] == [p.message for p in caught.value.problems]

    def test_empty(self) -> None:
        """No bindings are bindings."""
        assert {} == bindings.from_mapping({}, TYPES)


class TestData:
    @pytest.mark.parametrize(
        "bound",
        [
            Command(["a", "b"], Path("/x"), shell=True),
            Command(["a"]),
            Function("m:f", [Path("/x")], "lambda", "process"),
            Function("m:f", (), "keywords", "process"),
        ],
    )
    def test_inverse(self, bound: bindings.Bound) -> None:
        """A binding comes out of a history as it went in."""
        assert bound == bindings.from_data(bindings.to_data(bound), None)

    def test_callable_given_again(self) -> None:
        """A callable without a name is the one that this runner binds to the same name."""
        given = Function("local:lambda.f", (), "lambda", "thread", len)
        assert given is bindings.from_data(bindings.to_data(given), given)

    @pytest.mark.parametrize("given", [None, Command(["x"]), Function("local:lambda.g", function=len)])
    def test_callable_of_another_process(self, given: bindings.Bound | None) -> None:
        """A callable without a name that is not bound here is a ConfigError that says what to do."""
        data = bindings.to_data(Function("local:lambda.f", (), "lambda", "thread", len))
        with pytest.raises(ConfigError) as caught:
            bindings.from_data(data, given)
        assert (
            "the binding 'local:lambda.f' is a Python callable of the process that started the session",
            "give it to Runner(bindings=...) again; the session stays resumable",
        ) == (caught.value.message, caught.value.hint)


class TestLookUp:
    def test_for_options(self) -> None:
        """A job's binding is that of its type and of the name in its options."""
        given = {"lambda": {"f": Command(["x"])}}
        found = [
            bindings.for_options(given, TYPES["lambda"], {"function": "f"}),
            bindings.for_options(given, TYPES["lambda"], {"function": "g"}),
            bindings.for_options(given, TYPES["ecs"], {"task_definition": "f"}),
            bindings.for_options(given, TYPES["custom"], {"function": "f"}),
        ]
        assert [Command(["x"]), None, None, None] == found

    def test_importable(self) -> None:
        """What a worker has to import are the functions that are named."""
        named = Function("m:f", isolation="process")
        assert [named] == bindings.importable(
            [Command(["x"]), named, Function("local:x", isolation="thread", function=len)]
        )
