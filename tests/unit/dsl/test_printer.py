"""What is printed as YAML: read back as the same data by every reader, and by people."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bunsui import Pipeline, Plugins
from bunsui.dsl.parser import parse
from bunsui.dsl.printer import to_yaml
from bunsui.errors import DefinitionError

PLUGINS = Plugins(autoload=False)
EXAMPLES = Path(__file__).resolve().parents[3] / "examples"

# What YAML 1.1, YAML 1.2 or both take for something else than text, or for a part of the layout.
_TRAPS = r"""
~ null Null NULL true True TRUE false False yes Yes YES no No NO on Off y Y n N = << - -- --- ... . .. ? : | >
% ! & * @ ` # , [ ] { } [] {} '' "" ' " 0 -0 +0 00 012 0o17 0x1F 0b101 1_000 -1 +1 1e3 1E3 1.0e+3 1. .5 -.5
1.5 .inf -.inf .NaN .nan 12:30 12:30:45 190:20:30.15 2024-01-31 2024-01-31T12:00:00Z 1.2.3 a:b a: :a a#b #a a?
?a -a --a ---a ${x} $x $${x} ${jobs.a.output} /a ./a ../a .a a,b a]b {{x}} !!str *a &a |- >2 a\nb \ %YAML a"b
"""
SIGNS = "🚀𠮷é水\ufeff\u2028\u2029\x85\xa0\u3000\u202e\u200d\0\x1b\x7f\ue000\uf8ff\ufffe\uffff\U0010ffff"
TRAPS = [*_TRAPS.split(), *SIGNS, "", "2024-01-31 12:00:00", "- a", "? a", "a: b", "a #b"]
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
TRICKY_TEXT = st.text(
    st.sampled_from("ab01:-?[]{},&*!|>'\"%@#~<=.$\\/_ \n\t\ré水𠮷🚀\u202e\x85\ufeff"), max_size=12
)
LINES = st.lists(st.sampled_from(["a", "", " b", "b ", "\tc", "c\t", "- d", "# e", "---", "é🚀"]), max_size=5)
TEXTS = st.one_of(
    st.sampled_from(TRAPS),
    ANY_TEXT,
    TRICKY_TEXT,
    LINES.map("\n".join),
    st.text("ké\x01\U0001f680", min_size=30, max_size=200),
)
ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0, 1, 1.0, 0.0, -0.0, 1e16, -1e22, 1e-5, 5e-324, 1.7976931348623157e308]),
    TEXTS,
)
KEYS = TEXTS | st.just("retry")
DATA = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
TREES = st.dictionaries(KEYS, DATA, max_size=5)


def exact(data):
    """A text that tells 1 from 1.0 and from true, 0.0 from -0.0, and one order of keys from another."""
    return json.dumps(data)


class TestReadBack:
    @settings(max_examples=400, deadline=None)
    @given(TREES)
    def test_by_our_parser(self, tree):
        """Parsing gives the same data, of the same types and in the same order."""
        assert exact(tree) == exact(parse(to_yaml(tree)).data)

    @pytest.mark.parametrize("loader", [yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)])
    def test_by_yaml_1_1(self, loader):
        """PyYAML, a reader of YAML 1.1, gives the same data too."""

        @settings(max_examples=200, deadline=None)
        @given(TREES)
        def check(tree):
            assert exact(tree) == exact(yaml.load(to_yaml(tree), loader))

        check()

    def test_every_character(self):
        """Each character comes back alone, within a text, at both ends of a line, and in a key."""
        codes = [*range(0x3100), *range(0xD7F0, 0xD800), *range(0xE000, 0xE010), *range(0xF8F0, 0x10010)]
        codes += [0x1F680, 0x1FFFF, 0x20BB7, 0xE0001, 0x10FFFF]
        tree = {f"a{c}b": [c, f"a{c}b", f"{c}a", f"a{c}", f"a\n{c}a{c}b{c}\nb"] for c in map(chr, codes)}
        assert exact(tree) == exact(parse(to_yaml(tree)).data)

    def test_text_that_leaves_no_stand_ins(self):
        """All characters for private use in one text: the others are printed without their help."""
        tree = {"private": "".join(map(chr, range(0xE000, 0xF900))), "🚀": "a\n\tb 𠮷", "b": "\u202e"}
        assert exact(tree) == exact(parse(to_yaml(tree)).data)

    def test_the_deepest_tree(self):
        """What is nested as deep as the language allows is printed so that it can be read."""
        tree = {"a": []}
        for k in range(62):
            tree = {"a": tree} if k % 2 else {"a": [*([] if k % 4 else ["x\ny"]), tree["a"]]}
        assert exact(tree) == exact(parse(to_yaml(tree)).data)


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="there is only one emitter")
class TestOneText:
    @settings(max_examples=400, deadline=None)
    @given(TREES)
    def test_of_both_emitters(self, tree):
        """The emitter in Python prints what libyaml prints."""
        with_libyaml = to_yaml(tree)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(yaml, "__with_libyaml__", False)
            assert with_libyaml == to_yaml(tree)

    @settings(max_examples=200, deadline=None)
    @given(DATA)
    def test_of_what_is_shared(self, data):
        """Values that are one object are written out each time, as equal ones are: nothing is an alias."""
        shared = {"a": data, "b": [data, {"c": data}]}
        apart = {"a": data, "b": [copy.deepcopy(data), {"c": copy.deepcopy(data)}]}
        assert to_yaml(apart) == to_yaml(shared)


class TestForPeople:
    @pytest.mark.parametrize(
        ("value", "printed"),
        [
            ("Daily ETL process", "Daily ETL process"),
            ("${jobs.extract_data.output.rows}", "${jobs.extract_data.output.rows}"),
            ("handlers:extract", "handlers:extract"),
            ("./run.sh", "./run.sh"),
            ("--force", "--force"),
            ("日本 𠮷野家 🚀 é", "日本 𠮷野家 🚀 é"),
            ("🚀 up", "🚀 up"),
            ("1.0", '"1.0"'),
            ("no", '"no"'),
            ("1e3", '"1e3"'),
            ("0o17", '"0o17"'),
            ("1_000", '"1_000"'),
            ("12:30", '"12:30"'),
            ("2024-01-31", '"2024-01-31"'),
            ("=", '"="'),
            ("<<", '"<<"'),
            ("~", '"~"'),
            ("", '""'),
            (" a ", '" a "'),
            ("a: b", '"a: b"'),
            ("a #b", '"a #b"'),
            ("a:", '"a:"'),
            ("y", '"y"'),
            ("\u3000a", '"\u3000a"'),
            (r"^\d+$", r"'^\d+$'"),
            ('"a"', "'\"a\"'"),
            ("a\tb", r'"a\tb"'),
            ("\x1b[2J\x85\u2028\ufeff", r'"\e[2J\N\L\uFEFF"'),
            ("a\u202eb", r'"a\u202Eb"'),
            ("\n", r'"\n"'),
            ("a\n\n", r'"a\n\n"'),
            ("a \nb", r'"a \nb"'),
            ("a\t\nb", r'"a\t\nb"'),
            (" a\nb", r'" a\nb"'),
            (None, "null"),
            (True, "true"),
            (3, "3"),
            (3.0, "3.0"),
            (-0.0, "-0.0"),
            (1e16, "1.0e+16"),
            ([], "[]"),
            ({}, "{}"),
            (["a", 1, None, "${x}", "no", "a,b"], '[a, 1, null, "${x}", "no", "a,b"]'),
        ],
    )
    def test_value(self, value, printed):
        """A value is printed plainly where every reader understands it so, else in quotes."""
        assert f"key: {printed}\n" == to_yaml({"key": value})

    @pytest.mark.parametrize(
        ("text", "printed"),
        [
            ("set -e\nif x; then\n\n\ty # z\nfi\n", "|\n  set -e\n  if x; then\n\n  \ty # z\n  fi\n"),
            ("a\n b\n---", "|-\n  a\n   b\n  ---\n"),
            ("SELECT '🚀'\n", "|\n  SELECT '🚀'\n"),
        ],
    )
    def test_lines(self, text, printed):
        """A text of several lines is printed as it is."""
        assert f"key: {printed}" == to_yaml({"key": text})

    @pytest.mark.parametrize(
        ("value", "printed"),
        [
            (["a" * 38, "b" * 34], f"[{'a' * 38}, {'b' * 34}]\n"),
            (["a" * 38, "b" * 35], f"\n- {'a' * 38}\n- {'b' * 35}\n"),
            (["水" * 19, "b" * 35], f"\n- {'水' * 19}\n- {'b' * 35}\n"),
            (["python", "-c", "a\nb\n"], "\n- python\n- -c\n- |\n  a\n  b\n"),
            ([[1, 2], [3]], "\n- [1, 2]\n- [3]\n"),
            ({"a": 1}, "\n  a: 1\n"),
        ],
    )
    def test_short_lists(self, value, printed):
        """A list that fits into a line, and holds nothing that is better in lines of its own, is one line."""
        assert f"key:{' ' * (printed[0] != chr(10))}{printed}" == to_yaml({"key": value})

    @pytest.mark.parametrize(
        ("retry", "printed"),
        [
            ({"max_attempts": 3, "on": ["A*"]}, 'retry: {max_attempts: 3, "on": [A*]}\n'),
            ({"a,b": ["a,b", "a\nb"]}, 'retry: {"a,b": ["a,b", "a\\nb"]}\n'),
            ({"on": ["a" * 40, "b" * 40]}, f'retry:\n  "on":\n  - {"a" * 40}\n  - {"b" * 40}\n'),
        ],
    )
    def test_retry(self, retry, printed):
        """A retry that fits into a line is one line, with its list in it."""
        assert printed == to_yaml({"retry": retry})

    def test_key_within_and_without_a_line(self):
        """A key that needs quotes only within a line has them only there."""
        assert 'a,b: 1\nretry: {"a,b": 2}\nc,d: 3\n' == to_yaml({"a,b": 1, "retry": {"a,b": 2}, "c,d": 3})

    def test_pipeline(self):
        """A definition is printed as one is written."""
        tree = {
            "version": "1.0",
            "name": "ETL",
            "parameters": [{"name": "day", "pattern": r"^\d+$"}],
            "jobs": [
                {"id": "extract", "type": "lambda", "function": "f", "parameters": {"bucket": "${day}"}},
                {"id": "load", "type": "custom", "depends_on": ["extract"], "command": ["python", "x.py"]},
            ],
        }
        assert to_yaml(tree) == (
            'version: "1.0"\n'
            "name: ETL\n"
            "parameters:\n"
            "- name: day\n"
            "  pattern: '^\\d+$'\n"
            "jobs:\n"
            "- id: extract\n"
            "  type: lambda\n"
            "  function: f\n"
            "  parameters:\n"
            "    bucket: ${day}\n"
            "- id: load\n"
            "  type: custom\n"
            "  depends_on: [extract]\n"
            "  command: [python, x.py]\n"
        )


# Text without "$", so that nothing is taken for a reference.
VALUES = st.recursive(
    ATOMS.filter(lambda value: not isinstance(value, str) or "$" not in value),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=3)
NAMES = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=20)
IDS = st.from_regex(r"\A[A-Za-z][A-Za-z0-9_-]{0,8}\Z") | st.sampled_from(["no", "on", "y", "e3", "Null"])


@st.composite
def definitions(draw):
    ids = draw(st.lists(IDS, min_size=1, max_size=4, unique=True))
    jobs = []
    for k, job_id in enumerate(ids):
        job = {"id": job_id, "type": "lambda", "function": "f", "parameters": draw(OBJECTS)}
        job["depends_on"] = draw(st.lists(st.sampled_from(ids[:k]), unique=True)) if k else []
        job |= draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "description": TEXTS,
                    "timeout": st.floats(1, 9) | st.sampled_from([60, "15m", "1.5h"]),
                    "retry": st.integers(1, 9)
                    | st.fixed_dictionaries(
                        {}, optional={"delay": st.floats(0, 99), "on": st.lists(NAMES, max_size=2)}
                    ),
                },
            )
        )
        jobs.append(job)
    return {
        "version": "1.0",
        "name": draw(NAMES),
        "description": draw(TEXTS),
        "metadata": draw(OBJECTS),
        "parameters": [
            {"name": name, "type": "object", "default": draw(OBJECTS)}
            for name in draw(st.lists(IDS, max_size=2, unique=True))
        ],
        "jobs": jobs,
    }


class TestPipelines:
    @settings(max_examples=150, deadline=None)
    @given(definitions())
    def test_read_back(self, tree):
        """A pipeline that is printed and parsed is an equal one, with the same digest."""
        pipeline = Pipeline.from_dict(tree, PLUGINS)
        again = Pipeline.parse(to_yaml(pipeline.to_dict()), plugins=PLUGINS)
        assert (pipeline, pipeline.digest) == (again, again.digest)

    # Those of plugins are read by the session that installs these.
    @pytest.mark.parametrize(
        "path", sorted(EXAMPLES.glob("etl/pipeline.*")), ids=lambda path: path.parent.name
    )
    def test_examples(self, path):
        """Each example, printed and parsed, is the same pipeline."""
        pipeline = Pipeline.load(path, PLUGINS)
        assert pipeline == Pipeline.parse(to_yaml(pipeline.to_dict()), plugins=PLUGINS)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (math.nan, "bad-number"),
        (2**63, "bad-number"),
        ("\ud800", "bad-encoding"),
        ({1: "a"}, "bad-key"),
        ({"a"}, "bad-type"),
    ],
)
def test_refused(value, code):
    """What no definition can hold is refused, with the place where it stands."""
    with pytest.raises(DefinitionError) as caught:
        to_yaml({"key": [value]})
    assert [code] == [problem.code for problem in caught.value.problems]


def test_cyclic_data_is_refused():
    """Data that holds itself is refused."""
    tree = {"a": []}
    tree["a"].append(tree)
    with pytest.raises(DefinitionError, match="cyclic-alias"):
        to_yaml(tree)


def test_tuples_are_lists():
    """A tuple is printed as the list that it stands for."""
    assert to_yaml({"a": ["b", "c"]}) == to_yaml({"a": ("b", "c")})
