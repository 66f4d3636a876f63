"""Texts that were made to do harm, wherever an expression may stand: refused, or text like any other."""

# ruff: noqa: RUF001 - characters that look like others are part of it

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import bunsui
from bunsui.expressions import conditions, references
from bunsui.expressions.conditions import BadCondition, parse_condition
from bunsui.expressions.evaluation import ConditionFailed, holds
from bunsui.expressions.references import BadReference, Reference
from bunsui.expressions.resolution import ReferenceFailed, Scope, resolve
from bunsui.model.json import Json
from bunsui.model.session import JobState
from bunsui.model.status import JobStatus
from bunsui.plugins.registry import Plugins


def is_traced() -> bool:
    """Whether each line that runs is noted, by coverage or another tracer: then all takes longer."""
    coverage = sys.modules.get("coverage")
    return sys.gettrace() is not None or (coverage is not None and coverage.Coverage.current() is not None)


#: Seconds of CPU time that looking at one of them may take.
BUDGET = 0.5 if is_traced() else 0.1

PAYLOADS: dict[str, list[str]] = {
    "Python: attributes": [
        "${x}.__class__",
        "${x}.__class__.__mro__[1].__subclasses__()",
        "().__class__.__bases__[0].__subclasses__()",
        "''.__class__.__mro__[2].__subclasses__()[40]('/etc/passwd').read()",
        "[].__class__.__base__",
        "{}.__class__",
        "(1).__class__.__name__",
        "x.__init__.__globals__",
        "__builtins__",
        "__builtins__.__import__('os').system('id')",
        "__import__('os').system('id')",
        "__import__('subprocess').check_output(['id'])",
        "globals()['__builtins__']",
        "getattr(${x}, '__class__')",
        "setattr(x, 'y', 1)",
        "vars()",
        "dir()",
        "type(${x})",
        "object",
        "self.__dict__",
        "self._parser._tokens",
        "str.format('{0.__class__}', 1)",
        "'{0.__class__.__init__.__globals__}'.format(x)",
        "'%s' % ${x}",
        "'%(a)s' % {}",
        "f'{__import__(\"os\").getcwd()}'",
        'f"{x!r:>1000000}"',
        "rb'x'",
        "u'x'.encode()",
    ],
    "Python: calls and statements": [
        "eval('1')",
        "exec('import os')",
        "compile('1', '', 'eval')",
        "open('/etc/passwd')",
        "input()",
        "breakpoint()",
        "exit()",
        "quit()",
        "help()",
        "print(1)",
        "len(${x})",
        "max([1, 2])",
        "sorted([1])",
        "range(10**9)",
        "any([${x}])",
        "import os",
        "from os import system",
        "import os; os.system('id')",
        "raise SystemExit",
        "assert false",
        "del x",
        "pass",
        "return 1",
        "while true: pass",
        "for i in [1]: pass",
        "def f(): pass",
        "class A: pass",
        "with open('x') as f: pass",
        "try: 1",
        "global x",
        "async def f(): pass",
        "await x",
        "yield 1",
        "@x",
        "x = 1",
        "x := 1",
        "(x := 1)",
        "[y := 1, y]",
        "x += 1",
        "lambda: 1",
        "(lambda: (yield))()",
        "lambda x: x(x)",
        "(lambda f: f(f))(lambda f: f(f))",
        "[x for x in [1]]",
        "[x for x in ().__class__.__bases__[0].__subclasses__() if x.__name__ == 'Popen']",
        "{x: 1 for x in [1]}",
        "(x for x in [1])",
        "{*[1]}",
        "[*[1]]",
        "1 if true else 2",
        "print(*[1])",
        "x[0]",
        "x[::-1]",
        "'a'[0]",
        "[1, 2][0]",
        "succeeded(a)[0]",
        "always()()",
        "always().x",
        "always",
        "succeeded(succeeded(a))",
        "succeeded(__class__)()",
        "failed('a' or 'b')",
        "failed([])",
        "failed(a, a)",
        "failed(a=1)",
        "failed(*a)",
        "not_a_function(a)",
        "None",
        "True",
        "Ellipsis",
        "...",
        "NotImplemented",
        "1 is 1",
        "x is not None",
        "-${n}",
        "~1",
        "not",
        "and",
        "in",
        "\\",
        "1 \\\n == 1 +",
    ],
    "arithmetic and size": [
        "9**9**9**9",
        "9 ** 99999999",
        "2**2**2**2**2**2",
        "10**10**10",
        "1 << 10**9",
        "'a' * 10**9",
        "['a'] * 10**9",
        "1 + 1 == 2",
        "1 / 0",
        "1 % 0",
        "1 // 0",
        "-1",
        "- - 1",
        "1e400",
        "1e99999",
        "-1e400 < 0",
        "9" * 20,
        "9" * 4096,
        "0." + "9" * 4090,
        "1e" + "9" * 4000,
        "0" * 4096,
        "-" * 4096,
        "0x" + "f" * 4000,
        "0b1",
        "0o7",
        "1_000",
        "1j",
        "NaN",
        "Infinity",
        "-Infinity",
        "inf",
        "1.",
        ".1",
        "1..2",
        "1 2 3",
        "1,2",
        "٣ < 4",
        "１ == 1",
        "½ < 1",
        "1 <> 2",
        "1 == 1 == 1",
        "1 < 2 < 3",
        "(" * 20_000,
        ")" * 20_000,
        "(" * 20_000 + "1" + ")" * 20_000,
        "(" * 2_000 + "1" + ")" * 2_000,
        "(" * 100 + "always()" + ")" * 100,
        "[" * 20_000,
        "[" * 2_000 + "]" * 2_000,
        "[" * 100 + "]" * 100 + " == []",
        "{" * 20_000,
        "not " * 4_096,
        "not " * 1_000 + "true",
        "not " * 33 + "always()",
        "not(" * 500,
        "and " * 1_000,
        "${x} and " * 5_000,
        "${x} == " * 500 + "1",
        "true and " * 400 + "1 +",
        "[" + "1," * 2_000 + "1]",
        "1 in [" + "1," * 1_500 + "1]",
        "'a' " * 1_000,
        "==" * 2_000,
        "," * 4_000,
        "a" * 4_096,
        "a" * 1_000_000,
        " " * 4_096,
        "\n" * 1_000_000,
        "succeeded(" * 400,
        "succeeded(" + "a" * 4_000 + ")(",
        "always() " * 400,
    ],
    "quotes and escapes": [
        "'",
        '"',
        "'''",
        '"""',
        "'''x'''",
        '"""x"""',
        "'" * 4_095,
        '"' * 4_095,
        "'a\\'",
        '"a\\"',
        "\\" * 4_096,
        "'" + "\\" * 4_001 + "'",
        "'" + "\\x" * 2_000 + "'",
        r"'\x41'",
        r"'\0'",
        r"'\101'",
        r"'\N{BULLET}'",
        r"'\U0001f600'",
        r"'\u'",
        r"'\u{41}'",
        r"'\'",
        "'a' 'b'",
        "'a''b'",
        "'a\"",
        '"\'" \'"\' "',
        "`id`",
        "'${x}'",
        '"${x}"',
        "'a${x}b$${y}'",
        "'${secrets.db_password}'",
        "\u201cx\u201d == \u201cx\u201d",
        "\u2018x\u2019",
        "\u00ab x \u00bb",
        "'" + "a" * 4_094,
        '"' + "\\\\" * 2_000,
        '"' + "a\\" * 2_047,
    ],
    "control characters and lookalikes": [
        "\x00",
        "always()\x00",
        "\x00always()",
        "alw\x00ays()",
        "true\x00 and false",
        "\x1b[2J",
        "\x7f",
        "\x08" * 1_000,
        "\ufeff",
        "\ufeffalways()",
        "always()\u200b",
        "alw\u0430ys()",
        "аlways()",
        "true\u202e",
        "\u202eeurt",
        "ｔｒｕｅ",
        "ﬀ",
        "ɑlways()",
        "𝐭𝐫𝐮𝐞",
        "ＴＲＵＥ == 1",
        "1 ＝＝ 1",
        "1 ≠ 2",
        "1 ≤ 2",
        "1 ∈ [1]",
        "¬true",
        "true ∧ true",
        "true ｏｒ true",
        "１",
        "（always()）",
        "［1］",
        "1 ⩵ 1",
        "1 == 1；",
        "\u2028;",
        "İ",
        "ß",
        "Ω" * 4_000,
        "e\u0301" * 2_000,
        "\U0001f600",
        "\U0010ffff",
        "👨‍👩‍👧‍👦",
        "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢",
    ],
    "templates, shells and other languages": [
        "{{ 7*7 }}",
        "{{ ''.__class__.__mro__[2].__subclasses__() }}",
        "{% for x in [1] %}{% endfor %}",
        "{# comment #}",
        "<%= 7*7 %>",
        "<% import os %>",
        "#{7*7}",
        "#{T(java.lang.Runtime).getRuntime().exec('id')}",
        "${7*7}",
        "${T(java.lang.Runtime).getRuntime().exec('id')}",
        "${jndi:ldap://127.0.0.1/a}",
        "${${lower:j}ndi:ldap://127.0.0.1/a}",
        "${script:javascript:java.lang.Runtime}",
        "${env:HOME}",
        "${x:-default}",
        "${x:=1}",
        "${x//a/b}",
        "${!x}",
        "${#x}",
        "${x@P}",
        "${IFS}id",
        "$(id)",
        "$((1+1))",
        "`id`; id",
        "; id",
        "| id",
        "&& id",
        "|| id",
        "> /tmp/x",
        "$HOME",
        "$x",
        "$1",
        "$$",
        "%HOME%",
        "%x",
        "#x",
        "~x",
        "x;y",
        "x?y:z",
        "x ? y : z",
        "x => x",
        "() => {}",
        "function(){}",
        "(function(){while(1){}})()",
        "this.constructor.constructor('return process')()",
        "[].filter.constructor('alert(1)')()",
        "process.mainModule.require('child_process')",
        "new Function('1')",
        "typeof x",
        "void 0",
        "undefined",
        "x === y",
        "x !== y",
        "!x",
        "!!x",
        "x ?? y",
        "x?.y",
        "...x",
        "x++",
        "/a/.test(x)",
        "/* */ true",
        "// true",
        "-- true",
        "# true",
        "<!-- -->",
        "<script>alert(1)</script>",
        "' or '1'='1",
        "1; drop table jobs",
        "1 union select 1",
        "x like '%'",
        "x between 1 and 2",
        "x =~ /a/",
        "x ~ 'a'",
        "x matches '(a+)+$'",
        "$.a[?(@.b==1)]",
        "$states.input.x",
        "$eval('1')",
        "{% $eval('1') %}",
        "States.Format('{}', $.x)",
        "=cmd|'/c calc'!A1",
        "@SUM(1+1)",
        "!!python/object/apply:os.system ['id']",
        "!Ref x",
        "&a [*a]",
        "*a",
        "<<: *a",
        "? x",
        "x: y",
        "- x",
        "--- x",
        "../../etc/passwd",
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data/",
        "(?i)a",
        "(a+)+$",
        "^(a|a)*$",
        "(" + "a" * 30 + "|a+)*b",
        "a" * 3_000 + "!",
        "1" * 3_000 + "!",
        "1." * 2_000,
        "1e1" * 1_000,
        "'a" * 2_000,
        '\\"' * 2_000,
        "<" * 4_000,
        "= " * 2_000,
    ],
    "references": [
        "${",
        "${}",
        "${ }",
        "${x",
        "${x}}",
        "${x}${x}",
        "x${x}",
        "${${x}}",
        "${${${x}}}",
        "${x${n}}",
        "${x[${n}]}",
        "$${x} == 1",
        "$$${x}",
        "${.x}",
        "${x.}",
        "${x..y}",
        "${x[}",
        "${x[]}",
        "${x[-1]}",
        "${x[1:2]}",
        "${x[1.5]}",
        "${x[*]}",
        "${x[99999999999999999999]}",
        "${x['y']}",
        '${x["y]}',
        '${x["\\""]}',
        "${x.y()}",
        "${x()}",
        "${x + 1}",
        "${x | upper}",
        "${x, n}",
        "${x; n}",
        "${x or n}",
        "${x\x00}",
        "${x\n.y z}",
        "${х}",
        "${ｘ}",
        "${x.é}",
        "${1}",
        "${-x}",
        "${'x'}",
        '${"x"}',
        "${*}",
        "${@}",
        "${{x}}",
        "${{ github.token }}",
        "${x." + "y." * 2_000 + "z}",
        "${" + "x" * 5_000 + "}",
        "${" * 20_000,
        "${x}" * 5_000,
        "${x" + "[0]" * 2_000 + "}",
        "${" + " " * 100_000 + "}",
        "${" + "${" * 500 + "}" * 500,
        "$" * 100_000,
        "}" * 4_000,
        # Well written, but of what is not there, or not theirs to see.
        "${y} == 1",
        "${x.__class__} == 1",
        "${x.__class__.__mro__} == 1",
        '${x["__class__"]} == 1',
        "${x.0} == 1",
        "${x[0]} == 1",
        "${__class__} == 1",
        "${__builtins__} == 1",
        "${self} == 1",
        "${parameters.__class__} == 1",
        "${parameters.x.format} == 1",
        "${jobs.a.output.__class__} == 1",
        "${jobs.a.output.keys} == 1",
        "${session.__dict__} == 1",
        "${session.token} == 1",
        "${pipeline.__class__} == 1",
        "${env.AWS_SECRET_ACCESS_KEY} == 1",
        "${env.__class__} == 1",
        "${item} == 1",
        "${item.__class__} == 1",
        "${inputs.x} == 1",
        "${x} == ${y}",
        "failed(b) and ${y}",
        "${x} and ${n}",
        "not ${x}",
        "${n}",
        "${x} < ${n}",
        "${n} in ${x}",
        "${x} in 'abc'",
        "'a' in 'abc'",
        "null < 1",
        "[] < [1]",
        "'' or 'a'",
        "0 or 1",
        "[]",
        "null",
        "''",
        '\'__import__("os").system("id")\'',
    ],
}
#: A name and its path, and nothing else.
PLAIN = r"""[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+|\[[0-9]{1,9}\]|\["[^"\\]*"\])*"""
ALL = [
    pytest.param(text, id=f"{group}-{i}") for group, texts in PAYLOADS.items() for i, text in enumerate(texts)
]

PLUGINS = Plugins(autoload=False)
SCOPE = Scope(
    parameters={"x": "text", "n": 1},
    jobs={"a": JobState(JobStatus.SUCCEEDED, encoded_output=Json.of({"rows": [1]})), "b": JobState()},
    session_id="s1",
    started_at=datetime(2026, 1, 2, tzinfo=UTC),
    pipeline="p",
)


def definition(**fields: Any) -> str:
    """A definition, as text, whose job b has these fields."""
    first = {"id": "a", "type": "custom", "command": ["true"]}
    parameters = [{"name": "x"}, {"name": "n", "type": "integer"}]
    jobs = [first, {**first, "id": "b", "depends_on": ["a"], **fields}]
    made = json.dumps({"version": "1.0", "name": "p", "parameters": parameters, "jobs": jobs}, indent=1)
    # What JSON writes as two surrogates is one character in YAML.
    return re.sub(r"\\ud[89ab]..\\ud[c-f]..", lambda pair: json.loads(f'"{pair[0]}"'), made) + "\n"


def validate(**fields: Any) -> list[str]:
    """The codes of what is wrong with such a definition."""
    return [problem.code for problem in bunsui.validate(definition(**fields), PLUGINS)]


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    """Modules that are imported at the first use do not count."""
    validate(condition="${x} == 'a' and failed(a)", for_each=["${x}"], parameters={"p": "${x"})


def within_budget(call: Callable[[], object]) -> None:
    """Calls, and makes sure that it took little time of the CPU: its best of three, as others use it too."""
    best = BUDGET
    for _ in range(3):
        conditions._remembered.cache_clear()
        references._remembered.cache_clear()
        references._recent.cache_clear()
        begin = time.process_time()
        call()
        best = min(best, time.process_time() - begin)
        if best < BUDGET:
            return
    raise AssertionError(f"it took more than {BUDGET} s")


def test_there_are_enough_of_them() -> None:
    """At least 200, each once."""
    texts = [text for group in PAYLOADS.values() for text in group]
    assert 200 <= len(texts)
    assert len(set(texts)) == len(texts)


# As a condition


def condition_refused(text: str) -> str | None:
    """How a condition is refused: when it is parsed, or when it is evaluated; None: it is true or false."""
    try:
        root = parse_condition(text).root
    except BadCondition:
        return "parsed"
    try:
        holds(root, SCOPE)
    except (ConditionFailed, ReferenceFailed):
        return "evaluated"
    return None


@pytest.mark.parametrize("text", ALL)
def test_as_a_condition(text: str) -> None:
    """It is no condition, one of a definition with problems, or one that fails its job."""
    within_budget(lambda: condition_refused(text))
    assert condition_refused(text) is not None or validate(condition=text)


@pytest.mark.parametrize("text", ALL)
def test_as_the_condition_of_a_definition(text: str) -> None:
    """A definition that has it has problems, or its job fails when the condition is evaluated."""
    within_budget(lambda: validate(condition=text))
    codes = set(validate(condition=text))
    known = {
        *("bad-condition", "unknown-reference", "type-mismatch", "out-of-range"),
        *("not-upstream", "unknown-job", "secret-not-allowed"),
    }
    assert codes <= known
    assert codes or condition_refused(text) == "evaluated"


# As a reference, and as text


def resolved(text: str) -> object:
    """What a text becomes, or the class of the error that it ends with."""
    try:
        return resolve(text, SCOPE)
    except (BadReference, ReferenceFailed) as refused:
        return type(refused)


@pytest.mark.parametrize("text", ALL)
def test_within_a_reference(text: str) -> None:
    """Between the braces nothing but a name and a path is taken."""
    wrapped = f"${{{text}}}"
    within_budget(lambda: resolved(wrapped))
    for _, offset, length, found in references.references(wrapped):
        taken = wrapped[offset : offset + length]
        assert taken.startswith("${")
        if isinstance(found, Reference):
            assert taken[2:-1].strip() == found.text
            assert re.fullmatch(PLAIN, found.text)


@pytest.mark.parametrize("text", ALL)
def test_as_a_parameter(text: str) -> None:
    """It is text, as it is but for what ${...} says, or it is refused with its place."""
    within_budget(lambda: validate(parameters={"p": text}))
    codes = set(validate(parameters={"p": text}))
    assert codes <= {"bad-reference", "unknown-reference", "too-many-references"}
    if "${" not in text:
        assert (set(), text) == (codes, resolved(text))


@pytest.mark.parametrize("text", ALL)
def test_as_a_name(text: str) -> None:
    """It is no name of a parameter, job, template, output or pool, unless it is one like any other."""
    within_budget(lambda: validate(pool=text, id=text))
    is_name = text.isascii() and text.replace("_", "a").isalnum() and text[0].isalpha() and len(text) <= 64
    assert is_name is not bool(validate(pool=text))


@pytest.mark.parametrize("text", ALL)
def test_as_the_items_of_a_fan_out(text: str) -> None:
    """A text is no list: only one that is a single reference may be, when the job runs."""
    within_budget(lambda: validate(for_each=text))
    codes = set(validate(for_each=text))
    assert codes <= {"bad-for-each", "bad-reference", "unknown-reference", "secret-not-allowed"}
    assert codes


@pytest.mark.parametrize("text", ALL)
def test_as_one_of_the_items_of_a_fan_out(text: str) -> None:
    """Within a literal list it is an item, or refused as a reference."""
    within_budget(lambda: validate(for_each=[text, [text, {"k": text}]]))
    assert set(validate(for_each=[text])) <= {"bad-reference", "unknown-reference", "secret-not-allowed"}


@pytest.mark.parametrize("depth", [10, 100, 1_000, 20_000])
def test_deep_lists_as_the_items_of_a_fan_out(depth: int) -> None:
    """A list that is nested too deeply is refused, however deep."""
    text = definition(for_each=["DEEP"]).replace('"DEEP"', "[" * depth + "]" * depth)
    within_budget(lambda: bunsui.validate(text, PLUGINS))
    assert (depth == 10) is ([] == bunsui.validate(text, PLUGINS))


# What none of them does

EVENTS = {
    *("exec", "compile", "open", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.remove"),
    *("subprocess.Popen", "socket.connect", "socket.getaddrinfo", "ctypes.dlopen", "pickle.find_class"),
}


def watch() -> tuple[list[str], set[str]]:
    """What this thread is seen to do, from now on, and what is watched for: others may end what they do."""
    seen: list[str] = []
    watched, mine = set(EVENTS), threading.get_ident()

    def hook(event: str, _: Any) -> None:
        if event in watched and threading.get_ident() == mine:
            seen.append(event)

    sys.addaudithook(hook)
    return seen, watched


def test_nothing_is_executed() -> None:
    """Parsing, evaluating and resolving all of them compiles, runs, opens and connects to nothing."""
    seen, watched = watch()
    for group in PAYLOADS.values():
        for text in group:
            condition_refused(text)
            resolved(text)
            resolved(f"${{{text}}}")
    watched.clear()  # A hook can't be taken away; this one watches for nothing from now on.
    assert [] == seen
    assert {"x": "text", "n": 1} == SCOPE.parameters


def test_what_is_executed_would_be_noticed(tmp_path: Path) -> None:
    """The watch of the test above is known to bite."""
    seen, watched = watch()
    eval("open(path)", {"path": tmp_path / "x", "open": Path.touch})
    watched.clear()
    assert ["compile", "exec", "open"] == seen
