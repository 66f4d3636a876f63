"""Every code has a page, and each page is true: its wrong example has the problem, its right one has none."""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bunsui
from bunsui.cli.main import run
from bunsui.dsl.codes import CODES, Code, Part, explain, parts
from bunsui_tests.aws.endpoint import FakeAws
from bunsui_tests.aws.environment import ACCESS_KEY
from bunsui_tests.aws.iam import FakeIam
from bunsui_tests.aws.messages import Call

SOURCE = Path(bunsui.__file__).parent
CODE = re.compile(r"[a-z]+(-[a-z]+)+|syntax|cycle|denied")
#: What looks like a code where codes are made, and is none.
NOT_CODES = {
    "utf-8",
    "bunsui-alerts",
    "content-length",
    "content-type",
    "transfer-encoding",
    "bunsui-driver",
    "bunsui-heartbeat",
    "bunsui-logs",
    "bunsui-observers",
    "pipeline-revision",
    "crash-loop",
    "awslogs-group",
    "awslogs-region",
    "awslogs-stream-prefix",
    "iam-policy",
}
#: The command that asks AWS.
CHECK = "bunsui pipeline check"

CODE_IDS = pytest.mark.parametrize("known", CODES.values(), ids=list(CODES))


def made_in_the_source() -> set[str]:
    """The texts that look like codes and stand in a tuple, as what is wrong, or are a call's argument."""
    found: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        # The names of parts of the published schema look like codes.
        if path.is_relative_to(SOURCE / "testing") or path.parent.name == "publishing":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            values: list[ast.expr] = []
            if isinstance(node, ast.Tuple):
                values = node.elts
            elif isinstance(node, ast.Call):
                values = node.args
            found |= {
                value.value
                for value in values
                if isinstance(value, ast.Constant)
                and isinstance(value.value, str)
                and CODE.fullmatch(value.value)
            }
    return found - NOT_CODES


def test_every_code_has_a_page() -> None:
    """What the source makes is what the pages explain."""
    assert made_in_the_source() == set(CODES)


@pytest.fixture(autouse=True)
def a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Examples find their files, leave nothing behind, and know no variable of the last one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("LOAD_REGION", raising=False)
    monkeypatch.setenv("BUNSUI_STORE", "memory://")
    monkeypatch.setenv("HOME", str(tmp_path))
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
    sys.modules.pop("handlers", None)


def is_payroll(call: Call) -> bool:
    """Whether it is a call of this function."""
    return bool(call.parameters["FunctionName"] == "payroll-function")


@pytest.fixture(autouse=True)
def an_account(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the examples that ask AWS find there."""
    example = getattr(request.node, "callspec", None)
    if example is None or CHECK not in getattr(example.params.get("known"), "wrong", ""):
        yield
        return
    with FakeAws() as aws:
        for name, value in {**aws.environment, "AWS_ENDPOINT_URL": aws.url}.items():
            monkeypatch.setenv(name, value)
        aws.add(FakeIam())
        aws.functions.add("extract-function", print, versions={"live": "3"})
        aws.functions.add("payroll-function", print)
        # Only in the role it may be called.
        aws.faults.deny("lambda", when=lambda call: is_payroll(call) and call.access_key == ACCESS_KEY)
        aws.sts.add_role("arn:aws:iam::123456789012:role/payroll")
        aws.ecs.add_cluster("etl")
        aws.ecs.define("transform-task", compatibilities=["EXTERNAL", "EC2"])
        aws.ecs.define("report-task", "report", "proxy")
        aws.ecs.define("load-task", networkMode="awsvpc")
        aws.machines.add("load")
        aws.machines.add("quick", type="EXPRESS")
        aws.glue.define("transform-flights")
        aws.glue.define("load-flights", MaxRetries=2)
        aws.batch.add_queue("etl")
        aws.batch.define("transform")
        aws.batch.define("simulate", type="multinode", nodeProperties={})
        yield


def said(example: str) -> str:
    """What an example prints of its problems."""
    return "\n".join(filter(None, map(said_of, parts(example)))).replace(f"{Path.cwd()}/", "")


def said_of(part: Part) -> str:
    if part.file is not None:
        Path(part.file).write_text(part.text, encoding="utf-8")
        return ""
    if part.language == "python":
        try:
            exec(compile(part.text, "example.py", "exec"), {"__name__": "example"})
        except bunsui.DefinitionError as error:
            return str(error)
        return ""
    if part.language == "console":
        return "\n".join(map(printed, part.text.splitlines()))
    Path("pipeline.yaml").write_text(part.text, encoding="utf-8")
    return "\n".join(problem.render() for problem in bunsui.validate("pipeline.yaml"))


def printed(command: str) -> str:
    """What the command line says of a command that fails; of one that does not, nothing.

    One that looks for problems has them as its output.
    """
    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        exit_code = run(shlex.split(command.removeprefix("$ bunsui ")))
    if CHECK in command:
        return stdout.getvalue().rstrip("\n")
    return stderr.getvalue().rstrip("\n") if exit_code else ""


@CODE_IDS
def test_the_wrong_example_prints_what_the_page_says(known: Code) -> None:
    """Exactly that; where the page leaves a stretch out, what stands before and behind it."""
    before, left_out, after = known.prints.rstrip("\n").partition("\n...\n")
    found = said(known.wrong)
    assert f"[{known.code}]" in known.prints
    if left_out:
        assert (before, after) == (found[: len(before)], found[-len(after) :])
    else:
        assert before == found


@CODE_IDS
def test_the_right_example_has_no_problems(known: Code) -> None:
    """Not even a warning; what can run, runs."""
    assert "" == said(known.right)


@CODE_IDS
def test_the_texts_have_the_form_of_texts(known: Code) -> None:
    """A summary is one sentence on one line; no line is longer than a terminal may be wide."""
    assert re.fullmatch(r"\S.{5,75}\.", known.summary) or known.summary.endswith("(a warning).")
    assert known.meaning.endswith(".\n")
    assert max(map(len, known.meaning.splitlines())) <= 120


def test_a_page() -> None:
    """explain() gives what it means, then the wrong example with what is printed, then the right one."""
    assert """\
empty-document: There is nothing in the text.

The file is empty, or holds comments only. A definition is a mapping with 'version', 'name' and 'jobs'.

Wrong:

    # version: "1.0"
    # name: Nightly load

It prints:

    pipeline.yaml:1:1: error[empty-document]: the text holds no data
        1 | # version: "1.0"
          | ^ a definition is a mapping with version, name and jobs

Right:

    version: "1.0"
    name: Nightly load
    jobs:
      - {id: extract, type: lambda, function: extract-function}""" == explain("empty-document")


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("cycl", "did you mean 'cycle'?"),
        ("no-python", "'bunsui explain' lists the codes; a plugin's are explained where the plugin is"),
        (
            "ReferenceError",
            "those of failed jobs are in the reference, under 'Error codes';"
            " 'bunsui explain' lists the codes; a plugin's are explained where the plugin is",
        ),
    ],
)
def test_an_unknown_code(code: str, hint: str) -> None:
    """It is not found, and the message says what is near or where to look."""
    with pytest.raises(bunsui.NotFound) as caught:
        explain(code)
    assert ("code", code, f"there is no code '{code}'; {hint}") == (
        caught.value.kind,
        caught.value.name,
        str(caught.value),
    )


def test_the_parts_of_an_example() -> None:
    """Files begin with a line that names them, commands with '$ '."""
    example = "# a.yaml\nx: 1\n\n# b\ny: 2\n\n# c.py\nimport x\n\n\ndef f(): ...\n\n"
    example += "$ bunsui run a.yaml\n$ bunsui x\n"
    assert [
        Part("yaml", "x: 1\n\n# b\ny: 2\n", "a.yaml"),
        Part("python", "import x\n\n\ndef f(): ...\n", "c.py"),
        Part("console", "$ bunsui run a.yaml\n$ bunsui x\n"),
    ] == parts(example)
