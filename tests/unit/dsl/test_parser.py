"""The parser: what it reads, what it refuses, and where it says that things stand."""

from __future__ import annotations

import copy
import enum
import json
import math
import pickle
import time
import tracemalloc

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bunsui.dsl.parser import MAX_BYTES, MAX_PROBLEMS, Document, parse, plain
from bunsui.dsl.problems import Span
from bunsui.errors import DefinitionError


def refused(text: str | bytes, language: str = "yaml", file: str | None = None) -> DefinitionError:
    with pytest.raises(DefinitionError) as caught:
        parse(text, language, file)
    return caught.value


def codes(error: DefinitionError) -> list[str]:
    return [problem.code for problem in error.problems]


def places(error: DefinitionError) -> list[tuple[str, int | None, int | None]]:
    return [(problem.code, problem.line, problem.column) for problem in error.problems]


@pytest.fixture(params=["libyaml", "python"])
def each_yaml(request, monkeypatch):
    """Runs a test with libyaml, and with the parser that is used where libyaml is missing."""
    if request.param == "python":
        monkeypatch.setattr(yaml, "__with_libyaml__", False)


SCALARS = [
    ("", None),
    ("~", None),
    ("null", None),
    ("NULL", None),
    ("nULL", "nULL"),
    ("true", True),
    ("False", False),
    ("tRUE", "tRUE"),
    ("no", "no"),
    ("Yes", "Yes"),
    ("on", "on"),
    ("12", 12),
    ("+12", 12),
    ("-0", 0),
    ("010", 10),
    ("0000000000000000000000000000000000012", 12),
    ("-00000000000000000000000000000000012", -12),
    ("0o17", 15),
    ("0x1F", 31),
    ("-0x1F", "-0x1F"),
    ("0b1", "0b1"),
    ("1_000", "1_000"),
    ("190:20:30", "190:20:30"),
    ("2024-01-31", "2024-01-31"),
    ("9223372036854775807", 2**63 - 1),
    ("-9223372036854775808", -(2**63)),
    ("1.5", 1.5),
    (".5", 0.5),
    ("1.", 1.0),
    ("-1e3", -1000.0),
    ("1e-999", 0.0),
    (".", "."),
    ("-", None),
    ("e3", "e3"),
    ("=", "="),
    ('"12"', "12"),
    ("'true'", "true"),
    ('"\\0"', "\0"),
    ("!!str 12", "12"),
    ("! 12", "12"),
    ('!!int "12"', 12),
    ("!!float 1", 1.0),
    ("!!bool 'true'", True),
    ("!!null ''", None),
    ("!<tag:yaml.org,2002:str> 1", "1"),
]


@pytest.mark.usefixtures("each_yaml")
class TestYamlValues:
    @pytest.mark.parametrize(("text", "value"), [row for row in SCALARS if row[0] != "-"])
    def test_core_schema(self, text, value):
        """A scalar is what the core schema of YAML 1.2 makes of it, with its exact type."""
        found = parse(f"a: {text}\n").data["a"]
        assert (type(value), value) == (type(found), found)

    def test_collections(self):
        """Block and flow collections, with and without core tags, become dicts and lists."""
        text = "a: !!seq [1, {b: c}]\nd: !!map\n  e: |\n    x\n    y\nf:\n- g\n-\n"
        assert parse(text).data == {"a": [1, {"b": "c"}], "d": {"e": "x\ny\n"}, "f": ["g", None]}

    def test_alias_is_the_value_of_its_anchor(self):
        """An alias stands for the value of the last anchor of its name."""
        data = parse("a: &x [1]\nb: *x\nc: &x 2\nd: *x\n").data
        assert data == {"a": [1], "b": [1], "c": 2, "d": 2}

    def test_inner_anchor_hides_outer_one_of_same_name(self):
        """The end of a collection does not bring back its anchor."""
        assert parse("[&a [&a x], *a]").data == [["x"], "x"]

    def test_alias_as_key(self):
        """A key may be an alias of a text."""
        assert parse("a: &k x\n*k : 1\n").data == {"a": "x", "x": 1}

    @pytest.mark.parametrize("text", ["a: é\nb: [x]\n", "%YAML 1.2\n---\na: é\nb: [x]\n...\n"])
    @pytest.mark.parametrize("bom", ["", "\ufeff"])
    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_encodings_are_equal(self, text, bom, end):
        """Byte order mark, line ends, and text or bytes, change neither data nor positions."""
        text = bom + text.replace("\n", end)
        for given_text in (text, text.encode()):
            doc = parse(given_text)
            assert doc.data == {"a": "é", "b": ["x"]}
            assert parse("a: é\nb: [x]\n").span(["b", 0]).column == doc.span(["b", 0]).column


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=False)
)
MERGES = "a0: &a0 {k: 1}\n" + "".join(
    f"a{i}: &a{i}\n  <<: [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 25)
)
STEPS = "- &a0 [x]\n" + "".join(f"- &a{i} [*a{i - 1}]\n" for i in range(1, 200))

HOSTILE_YAML = [
    # text, code, line, column
    ("", "empty-document", 1, 1),
    (" \n\t\n", "empty-document", 1, 1),
    ("# only\n", "empty-document", 1, 1),
    ("---\n", "empty-document", 1, 1),
    ("a: 1\n---\nb: 2\n", "second-document", 2, 1),
    ("a: 1\n...\n---\nb: 2\n", "second-document", 3, 1),
    ("a: 1\nb: 2\na: 3\n", "duplicate-key", 3, 1),
    ('{a: 1, "a": 2}', "duplicate-key", 1, 8),
    ("a: &x {b: 1}\nc:\n  <<: *x\n", "merge-key", 3, 3),
    ("1: a\n", "bad-key", 1, 1),
    ("true: a\n", "bad-key", 1, 1),
    ("~: a\n", "bad-key", 1, 1),
    ("1.5: a\n", "bad-key", 1, 1),
    ("[a]: b\n", "bad-key", 1, 1),
    ("a: {{ x }}\n", "bad-key", 1, 5),
    ("a: &x [1]\n*x : 2\n", "bad-key", 2, 1),
    ("a: 9223372036854775808\n", "bad-number", 1, 4),
    ("a: -9223372036854775809\n", "bad-number", 1, 4),
    ("a: 0x" + "f" * 4301, "bad-number", 1, 4),
    ("a: " + "1" * 1_000_000, "bad-number", 1, 4),
    ("a: 1e999\n", "bad-number", 1, 4),
    ("a: [.inf]\n", "bad-number", 1, 5),
    ("a: -.INF\n", "bad-number", 1, 4),
    ("a: .NaN\n", "bad-number", 1, 4),
    ("a: !!float .nan\n", "bad-number", 1, 4),
    ("a: !Ref b\n", "unknown-tag", 1, 4),
    ("a: !!python/object:os.system x\n", "unknown-tag", 1, 4),
    ("a: !!timestamp 2024-01-01\n", "unknown-tag", 1, 4),
    ("a: !!binary aGk=\n", "unknown-tag", 1, 4),
    ("a: !!set {x}\n", "unknown-tag", 1, 4),
    ("a: !!int x\n", "bad-tag", 1, 4),
    ("a: !!map [x]\n", "bad-tag", 1, 4),
    ("a: !!seq x\n", "bad-tag", 1, 4),
    ("a: *b\n", "unknown-alias", 1, 4),
    ("a: &x [*x]\n", "cyclic-alias", 1, 8),
    ("&x a: &y {b: [{c: *y}]}\n", "cyclic-alias", 1, 19),
    ("[" * 50_000, "too-deep", 1, None),
    ("- " * 65 + "x", "too-deep", 1, 129),
    ("{a: " * 50_000, "too-deep", 1, 257),
    (STEPS, "too-deep", 64, 9),
    (LAUGHS, "too-many-nodes", 7, 8),
    ("- 1\n" * 1_000_001, "too-many-nodes", 1_000_000, 3),
    ("%TAG !a! x\n" * 90_000 + "---\na", "too-many-directives", 1, 1),
    ("a: \0", "bad-encoding", 1, 4),
    ("a: \ud800", "bad-encoding", 1, 4),
    (b"a: \xff\n", "bad-encoding", 1, 4),
    (b"\xef\xbb\xbfa: b\n\xc3\xa9: \xc3", "bad-encoding", 2, 4),
    ("a: b".encode("utf-16"), "bad-encoding", None, None),
    ("a: b".encode("utf-16-le"), "bad-encoding", 1, 2),
    ("a: b".encode("utf-32"), "bad-encoding", None, None),
    ("a: \x07\n", "bad-character", 1, 4),
    ('a: "x \u2028 y"\n', "bad-character", 1, 7),
    ("a: \x85\n", "bad-character", 1, 4),
    ("a:\n  \ufeffb\n", "bad-character", 2, 3),
    ("a: [1\n", "syntax", None, None),
    ("a: b: c\n", "syntax", 1, 5),
    ("a:\n\tb: c\n", "syntax", 2, 1),
    ("a: @b\n", "syntax", 1, 4),
    ("%YAML 2.0\n---\na", "syntax", 1, 1),
    ("a: 'x", "syntax", None, None),
    ('a: "\\U00110000"', "syntax", 1, None),
    ("%YAML 1." + "9" * 5000 + "\n---\na", "syntax", 1, None),
    ("x" * (MAX_BYTES + 1), "too-large", None, None),
    ("é" * (MAX_BYTES // 2 + 1), "too-large", None, None),
]


@pytest.mark.timeout(120)
class TestHostileYaml:
    @pytest.mark.parametrize(
        ("text", "code", "line", "column"), HOSTILE_YAML, ids=lambda value: repr(value)[:30]
    )
    def test_refused_quickly_and_in_its_place(self, text, code, line, column):
        """Each hostile text is refused with one typed problem, in seconds at most."""
        start = time.process_time()
        (problem,) = refused(text).problems
        assert code == problem.code
        assert (line or problem.line, column or problem.column) == (problem.line, problem.column)
        assert time.process_time() - start < 10

    @pytest.mark.parametrize(
        ("text", "code", "line", "column"),
        [row for row in HOSTILE_YAML if len(row[0]) < 10_000],
        ids=lambda value: repr(value)[:30],
    )
    def test_python_parser_refuses_the_same(self, text, code, line, column, monkeypatch):
        """Without libyaml the same texts are refused with the same code, at the same place."""
        monkeypatch.setattr(yaml, "__with_libyaml__", False)
        (problem,) = refused(text).problems
        assert code == problem.code
        if code != "syntax":
            assert (line, column) == (problem.line, problem.column)

    @pytest.mark.parametrize("text", ['"\\ud800"', '"\\ud83d\\ude00"'])
    @pytest.mark.usefixtures("each_yaml")
    def test_escaped_surrogates_are_refused(self, text):
        """YAML escapes name characters; halves of one are refused, paired or not."""
        assert codes(refused(text))[0] in {"syntax", "bad-encoding"}

    @pytest.mark.parametrize("text", [LAUGHS, MERGES, "[" * 50_000], ids=["laughs", "merges", "deep"])
    def test_bombs_are_never_built(self, text):
        """Refusing a bomb takes milliseconds and next to no memory."""
        tracemalloc.start()
        start = time.process_time()
        refused(text)
        took, peak = time.process_time() - start, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert took < 0.5
        assert peak < 2_000_000

    def test_depth_64_is_read(self):
        """The limits are inclusive: 64 levels are read, of aliases too."""
        assert parse("[" * 64 + "]" * 64).data
        assert parse("a: &x " + "[" * 40 + "]" * 40 + "\nb: " + "[" * 23 + "*x" + "]" * 23).data

    def test_depth_counts_aliases(self):
        """What an alias stands for is as deep as where the alias stands."""
        text = "a: &x " + "[" * 40 + "]" * 40 + "\nb: " + "[" * 24 + "*x" + "]" * 24
        assert places(refused(text)) == [("too-deep", 2, 28)]

    def test_nodes_count_up_to_the_limit(self):
        """A million nodes are read: the list and 999,999 items."""
        assert len(parse("[" + "1," * 999_999 + "]").data) == 999_999

    def test_problems_are_bounded(self):
        """Parsing stops at the hundredth problem."""
        assert len(refused("a: 1\n" * 200_000).problems) == MAX_PROBLEMS

    def test_all_problems_at_once(self):
        """What leaves the rest readable is reported together, with the syntax error behind it."""
        text = "a: 1\na: {b: .nan, 2: c}\n<<: x\nd: !x y\ne: [1"
        assert codes(refused(text)) == [
            "duplicate-key",
            "bad-number",
            "bad-key",
            "merge-key",
            "unknown-tag",
            "syntax",
        ]

    def test_paths_of_problems(self):
        """A problem's JSON pointer leads through keys, also those that are in doubt themselves."""
        text = "a:\n  - x\n  - b/c: .nan\na: [.inf]\n"
        assert [p.path for p in refused(text).problems] == ["/a/1/b~1c", "/a", "/a/0"]


HOSTILE_JSON = [
    ("", "empty-document", 1, 1),
    (" \n", "empty-document", 1, 1),
    ('{"a": 1,\n "a": 2}', "duplicate-key", 2, 2),
    ('{"a": 1, "\\u0061": 2}', "duplicate-key", 1, 10),
    ("[NaN]", "bad-number", 1, 2),
    ("[-Infinity]", "bad-number", 1, 2),
    ("[1e999]", "bad-number", 1, 2),
    ("[9223372036854775808]", "bad-number", 1, 2),
    ("[" + "1" * 5000 + "]", "bad-number", 1, 2),
    ('["\\ud800"]', "bad-encoding", 1, 2),
    ('["\\ude00\\ud83d"]', "bad-encoding", 1, 2),
    ('["\\ud83d\\ude00\\ude00"]', "bad-encoding", 1, 2),
    ("[" * 100_000, "too-deep", 1, 65),
    ('{"a":' * 100_000, "too-deep", 1, 321),
    ("[" * 65 + "]" * 65, "too-deep", 1, 65),
    ("[" + "1," * 1_000_000 + "1]", "too-many-nodes", 1, 2_000_000),
    ("[\0]", "bad-encoding", 1, 2),
    (b"[\xff]", "bad-encoding", 1, 2),
    ("[1,\n 2,\n]", "syntax", 3, 1),
    ('{"a": 1,}', "syntax", 1, 9),
    ("{'a': 1}", "syntax", 1, 2),
    ("{1: 2}", "syntax", 1, 2),
    ('{"a" 1}', "syntax", 1, 6),
    ("[1 2]", "syntax", 1, 4),
    ("[01]", "syntax", 1, 3),
    ("[tru]", "syntax", 1, 2),
    ("[1] [2]", "syntax", 1, 5),
    ("[1", "syntax", 1, 3),
    ("[}", "syntax", 1, 2),
    ('["a', "syntax", 1, 2),
    ('["\n"]', "syntax", 1, 3),
    ('["\\x"]', "syntax", 1, 3),
    ('["\\u12"]', "syntax", 1, None),
    ("// x\n1", "syntax", 1, 1),
    ('\\"' + "[" * 100_000, "syntax", 1, 1),
]


class TestHostileJson:
    @pytest.mark.parametrize(
        ("text", "code", "line", "column"), HOSTILE_JSON, ids=lambda value: repr(value)[:30]
    )
    def test_refused_in_its_place(self, text, code, line, column):
        """Each hostile text is refused with one typed problem."""
        (problem,) = refused(text, "json").problems
        assert (code, line) == (problem.code, problem.line)
        assert column in (None, problem.column)

    def test_all_problems_at_once(self):
        """Problems with the content are reported together, with the syntax error behind them."""
        text = '{"a": NaN,\n "a": ["\\ud800"],\n "b": 1,}'
        assert places(refused(text, "json")) == [
            ("bad-number", 1, 7),
            ("duplicate-key", 2, 2),
            ("bad-encoding", 2, 8),
            ("syntax", 3, 9),
        ]

    def test_brackets_in_texts_do_not_count(self):
        """Depth and nodes are counted outside of texts, whatever is escaped in them."""
        data = {"a\\": '[{"\\' * 100, "b": "," * 2_000_000}
        assert data == parse(json.dumps(data), "json").data

    def test_escaped_pairs_and_backslashes_are_read(self):
        """Paired surrogates are one character, and an escaped backslash before "ud800" is text."""
        assert parse('["\\ud83d\\ude00", "\\\\ud800"]', "json").data == ["😀", "\\ud800"]

    @given(st.text(alphabet='[]{},:"\\ 01-.eEtrufalsn/\n\tu', max_size=24))
    @settings(max_examples=500, deadline=None)
    def test_accepts_what_the_standard_library_accepts(self, text):
        """Apart from the documented refusals, what is JSON for `json` is JSON here."""
        try:
            expected = json.loads(text)
        except json.JSONDecodeError:
            assert codes(refused(text, "json"))[-1] in {
                "syntax",
                "empty-document",
                "bad-number",
                "duplicate-key",
            }
            return
        try:
            data = parse(text, "json").data
        except DefinitionError as error:
            found = set(codes(error))
        else:
            found = set()
            assert text_of(expected) == text_of(data)
        assert found <= {"duplicate-key", "bad-number"}


class TestPositions:
    TEXT = "# é\r\na: &x ä€😀 # c\r\nb:\r\n  - {'c': \"d\", e: [1]}\r\n  - *x\r\n" "f: |\r\n  long\r\ng:\r\n"

    @pytest.mark.parametrize(
        ("path", "key", "span"),
        [
            ((), False, Span(2, 1, 1)),
            (("a",), True, Span(2, 1, 1)),
            (("a",), False, Span(2, 7, 3)),
            (("b",), True, Span(3, 1, 1)),
            (("b",), False, Span(4, 3, 1)),
            (("b", 0), False, Span(4, 5, 1)),
            (("b", 0, "c"), True, Span(4, 6, 3)),
            (("b", 0, "c"), False, Span(4, 11, 3)),
            (("b", 0, "e", 0), False, Span(4, 20, 1)),
            (("b", 0, "e", 7), False, Span(4, 19, 1)),
            (("b", 0, "zz", "y"), True, Span(4, 5, 1)),
            (("b", 0, "c", "y"), True, Span(4, 11, 3)),
            (("b", 1), False, Span(5, 5, 2)),
            (("b", 1), True, Span(5, 5, 2)),
            (("b", -1), False, Span(4, 3, 1)),
            (("b", True), False, Span(4, 3, 1)),
            (("f",), False, Span(6, 4, 1)),
            (("g",), False, Span(8, 3, 1)),
            ((0,), False, Span(2, 1, 1)),
        ],
    )
    @pytest.mark.usefixtures("each_yaml")
    def test_yaml(self, path, key, span):
        """Lines and columns count from 1, in characters, with the value itself underlined."""
        assert span == parse(self.TEXT).span(path, key=key)

    def test_alias_leads_to_the_anchor(self):
        """An alias stands at the alias; what is in it stands at the anchor."""
        doc = parse("a: &x\n  b: [1, 2]\nc: *x\n")
        assert Span(3, 4, 2) == doc.span(["c"])
        assert Span(2, 10, 1) == doc.span(["c", "b", 1])

    def test_document_can_be_copied(self):
        """A copy, also by pickling, knows the same places."""
        for doc in (parse("a: [1, 2]"), parse('{"a": [1, 2]}', "json")):
            for twin in (copy.deepcopy(doc), pickle.loads(pickle.dumps(doc))):
                assert doc.span(["a", 1]) == twin.span(["a", 1])

    def test_json_positions_match_yaml_positions(self):
        """The same text has the same places, read as JSON or as YAML."""
        text = '\ufeff{"a": [1, {"é": "x"}],\n "b": {"c": null, "d": []},\n "e": -1.5}\n'
        yaml_doc, json_doc = parse(text), parse(text, "json")
        assert yaml_doc.data == json_doc.data
        for path in paths(json_doc.data):
            for key in (False, True):
                assert yaml_doc.span(path, key=key) == json_doc.span(path, key=key)

    def test_of_a_long_line_a_stretch_is_kept(self):
        """A problem on a line of a megabyte keeps what stands around it, and knows where that is."""
        text = json.dumps([f"x{i}" for i in range(100_000)])
        doc = parse(text, "json")
        for i in (0, 50_000, 99_999):
            problem = doc.problem("x", "y", [i])
            start = problem.column - 1 - problem.skipped
            assert (f'"x{i}"', True) == (
                problem.source[start:][: problem.length],
                len(problem.source) <= 1000,
            )

    def test_within(self):
        """A part of a text is underlined where it stands as it is, else the whole."""
        doc = parse('a: x ${ref} y\nb: \'x ${ref}\'\nc: "\\t${ref}"\nd: "\\t$\\x7bref}"\ne: |\n  ${ref}\n')
        found = {
            key: (p.column, p.length)
            for key, at in (("a", 2), ("b", 2), ("c", 1), ("d", 1), ("e", 0))
            for p in [doc.problem("x", "y", [key], within=(at, 6))]
        }
        assert found == {"a": (6, 6), "b": (7, 6), "c": (7, 6), "d": (4, 13), "e": (3, 6)}

    def test_within_a_key(self):
        """A part of a key is underlined in the key."""
        problem = parse("ab-cd: ab-cd\n").problem("x", "y", ["ab-cd"], key=True, within=(3, 2))
        assert (problem.column, problem.length) == (4, 2)

    def test_problem_keeps_the_path_that_was_asked_for(self):
        """The pointer is that of the path, also where the place is that of a parent."""
        problem = parse("a: {b: 1}", file="f.yaml").problem(
            "x", "y", ["a", "c/d", 0], hint="h", severity="warning"
        )
        assert (
            problem.path,
            problem.file,
            problem.line,
            problem.column,
            problem.hint,
            problem.severity,
            problem.source,
        ) == ("/a/c~1d/0", "f.yaml", 1, 4, "h", "warning", "a: {b: 1}")


def paths(data, path=()):
    yield path
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for name, value in items:
        yield from paths(value, (*path, name))


def at(data, path):
    for part in path:
        data = data[part]
    return data


# What libyaml can read inside double quotes; other characters are for the tables above.
TEXTS = st.text(
    st.characters(
        codec="utf-8",
        exclude_characters="\x7f\x85\u2028\u2029\ufeff\ufffe\uffff",
        exclude_categories=["Cc", "Cs"],
    )
    | st.sampled_from("\n\t\0"),
    max_size=12,
)
DATA = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


class TestInverse:
    @given(DATA, st.sampled_from([None, 1]))
    @settings(deadline=None)
    def test_json_text_gives_the_data_back(self, data, indent):
        """What `json.dumps` writes reads as the same data, as JSON and as YAML."""
        text = json.dumps(data, ensure_ascii=False, indent=indent)
        for language in ("json", "yaml"):
            assert text_of(data) == text_of(parse(text, language).data)

    @given(DATA)
    @settings(deadline=None)
    def test_escaped_json_gives_the_data_back(self, data):
        """ASCII-only JSON, with its surrogate pairs, reads as the same data."""
        assert text_of(data) == text_of(parse(json.dumps(data), "json").data)

    @given(DATA)
    @settings(deadline=None)
    def test_plain_gives_an_equal_copy(self, data):
        """Python data comes back equal, of the same types."""
        assert text_of(data) == text_of(plain(data).data)

    @given(st.data(), DATA, st.sampled_from(["json", "yaml"]), st.sampled_from(["\n", "\r\n"]))
    @settings(deadline=None)
    def test_spans_point_at_the_text_of_the_value(self, pick, data, language, end):
        """A span underlines the text of the value, or the first character of a container."""
        text = json.dumps(data, ensure_ascii=False, indent=2).replace("\n", end)
        doc = parse(text, language)
        path = pick.draw(st.sampled_from(list(paths(data))))
        value = at(data, path)
        lines = text.split(end)

        def shown(span):
            return lines[span.line - 1][span.column - 1 :][: span.length]

        written = json.dumps(value, ensure_ascii=False)
        expected = written[0] if isinstance(value, (dict, list)) else written
        assert expected == shown(doc.span(path))
        if path and isinstance(path[-1], str):
            assert json.dumps(path[-1], ensure_ascii=False) == shown(doc.span(path, key=True))

    @given(st.text(alphabet="ab:-?[]{},&*!|>'\"%@#~<. \n\t01é", max_size=40))
    @settings(max_examples=500, deadline=None)
    def test_any_text_is_read_or_refused(self, text):
        """No text gets anything but data, or a DefinitionError."""
        try:
            doc = parse(text)
        except DefinitionError:
            return
        json.dumps(doc.data, allow_nan=False)


def text_of(data):
    """Compares types too: 1, 1.0 and True are equal in Python."""
    return json.dumps(data)


class Color(enum.StrEnum):
    RED = "red"


class TestPlain:
    def test_no_text_no_place(self):
        """A document made in Python has paths, but no positions."""
        doc = plain({"a": [1]}, file="made.py")
        assert doc.span(["a"]) is None
        problem = doc.problem("x", "y", ["a", 0], within=(0, 1))
        assert (
            problem.path,
            problem.line,
            problem.column,
            problem.source,
        ) == ("/a/0", None, None, None)
        assert problem.render() == "made.py: error[x]: y"

    def test_copies(self):
        """Later changes of the given data do not reach the document."""
        data = {"a": [1, (2, 3)], "b": {"c": True}, "e": Color.RED}
        doc = plain(data)
        data["a"].append(4)
        data["b"]["c"] = False
        assert doc.data == {"a": [1, [2, 3]], "b": {"c": True}, "e": "red"}
        assert str is type(doc.data["e"])

    def test_shared_values_are_copied_once(self):
        """A value met twice is no cycle."""
        shared = [1]
        assert plain([shared, shared]).data == [[1], [1]]

    @pytest.mark.parametrize(
        ("data", "code", "path"),
        [
            ({"a": math.nan}, "bad-number", "/a"),
            ([1, -math.inf], "bad-number", "/1"),
            ({"a": 2**63}, "bad-number", "/a"),
            ({1: "a"}, "bad-key", ""),
            ({"x": {None: "a"}}, "bad-key", "/x"),
            ({("a",): "a"}, "bad-key", ""),
            ({"a": {1, 2}}, "bad-type", "/a"),
            ({"a": b"x"}, "bad-type", "/a"),
            ({"a": object()}, "bad-type", "/a"),
            (["\ud800"], "bad-encoding", "/0"),
        ],
    )
    def test_refused_with_its_path(self, data, code, path):
        """What JSON can't say is refused, with the path to it."""
        with pytest.raises(DefinitionError) as caught:
            plain(data)
        assert [(code, path)] == [(p.code, p.path) for p in caught.value.problems]

    def test_cycles_depth_and_nodes(self):
        """Cycles and what is over the limits are refused, without recursion."""
        cycle = {"a": []}
        cycle["a"].append(cycle)
        deep = []
        for _ in range(100_000):
            deep = [deep]
        wide = ["x"] * 9
        for _ in range(9):
            wide = [wide] * 9
        found = []
        for data in (cycle, deep, wide, [0] * 1_000_001):
            with pytest.raises(DefinitionError) as caught:
                plain(data)
            found += codes(caught.value)
        while deep:
            deep = deep[0]
        assert found == ["cyclic-alias", "too-deep", "too-many-nodes", "too-many-nodes"]

    def test_all_problems_at_once(self):
        """Several wrong values are reported together."""
        with pytest.raises(DefinitionError) as caught:
            plain({"a": math.nan, "b": [b"", 2**64]})
        assert [problem.path for problem in caught.value.problems] == ["/a", "/b/0", "/b/1"]


class TestRendering:
    @pytest.mark.parametrize(
        ("text", "language", "rendered"),
        [
            (
                "jobs:\r\n  - id: a\r\n    type: x\r\n    id: b\r\n",
                "yaml",
                "p:4:5: error[duplicate-key]: key 'id' appears more than once in this mapping; "
                "the first is at line 2, column 5\n"
                "    4 |     id: b\n"
                "      |     ^^ if another job begins here, write '- ' before it",
            ),
            (
                "\ufeffbase: &b {x: 1}\njob:\n  <<: *b\n",
                "yaml",
                "p:3:3: error[merge-key]: merge keys are not a part of YAML 1.2\n"
                "    3 |   <<: *b\n"
                "      |   ^^ use templates or defaults, or write the fields out",
            ),
            (
                "on:\n  true: é\n",
                "yaml",
                "p:2:3: error[bad-key]: a key must be text, but this is true\n"
                "    2 |   true: é\n"
                "      |   ^^^^ quote it: 'true'",
            ),
            (
                "a:\n\tb: 1\n",
                "yaml",
                "p:2:1: error[syntax]: a tab can't indent\n"
                "    2 | \\tb: 1\n"
                "      | ^^ indent with spaces, not tabs",
            ),
            (
                '{"a": [1,\n  2,]}',
                "json",
                "p:2:5: error[syntax]: expected a value, found ']'\n"
                "    2 |   2,]}\n"
                "      |     ^ remove the comma before it",
            ),
            (
                '{"größe": NaN}',
                "json",
                "p:1:11: error[bad-number]: NaN: infinity and NaN are not allowed\n"
                '    1 | {"größe": NaN}\n'
                "      |           ^^^ use null, or text in double quotes",
            ),
            (
                "a: b".encode("utf-16"),
                "yaml",
                "p: error[bad-encoding]: the text is UTF-16 or UTF-32, not UTF-8\n" "    save it as UTF-8",
            ),
        ],
    )
    def test_word_by_word(self, text, language, rendered):
        """A problem says what, where, and what to do, under the line that it stands in."""
        assert rendered == str(refused(text, language, "p"))


class TestApi:
    def test_unknown_format_is_the_callers_mistake(self):
        """A format that does not exist is a ValueError, not a problem with the text."""
        with pytest.raises(ValueError, match="'yaml' or 'json', not 'toml'"):
            parse("a: b", "toml")

    def test_document_is_frozen(self):
        """A document can't be given other data."""
        with pytest.raises(AttributeError):
            parse("a: b").data = {}

    def test_libraries_are_imported_when_needed(self):
        """Reading JSON imports no yaml."""
        import subprocess
        import sys

        code = (
            "import sys; from bunsui.dsl.parser import parse; parse('[1]', 'json'); "
            "sys.exit('yaml' in sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

    def test_text_and_file_are_kept(self):
        """The document holds its text without byte order mark, and the name of its file."""
        doc = parse("\ufeffa: b", file="x.yaml")
        assert (doc.text, doc.file) == ("a: b", "x.yaml")
        assert isinstance(doc, Document)


class TestJsonAsYaml:
    """YAML 1.2 means to read JSON, too."""

    @pytest.mark.parametrize("tree", [{"a": "\U0001f680"}, ["\U0001f680 é", {"\U0001f680": 1}]])
    def test_pairs_of_surrogates(self, tree):
        """What json.dumps makes of characters beyond U+FFFF is read."""
        assert tree == parse(json.dumps(tree)).data
        assert tree == parse("\n " + json.dumps(tree, indent=1)).data

    def test_what_is_no_json_is_yaml(self):
        """With a pair of surrogates in it, it is refused as YAML; as JSON its key would lack quotes."""
        (problem,) = refused('{a: "\\ud83d\\ude80"}').problems
        assert ("syntax", "write the character itself") == (problem.code, problem.hint)
