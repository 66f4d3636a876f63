"""Finding the values of secrets in text, however they are written there."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import shlex
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from bunsui.local.redaction import Redactor

SECRET = "p/s+w d&<é>\"'\\\n😀%~"

PLAIN = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
#: Values that are looked for inside other text. The mask's own character could make one anew.
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="*"), min_size=4, max_size=30)


def escaped(text: str, *, ascii_only: bool) -> str:
    return json.dumps(text, ensure_ascii=ascii_only)[1:-1]


def yaml_text(text: str, **options: Any) -> str:
    """Within double quotes, in one line; the NUL has it put into them."""
    return str(yaml.dump(f"{text}\0", width=10**9, **options)).removesuffix('\\0"\n').removeprefix('"')


def csv_text(text: str) -> str:
    """Within quotes; the comma has it put into them."""
    file = io.StringIO(newline="")
    csv.writer(file).writerow([f"{text},"])
    return file.getvalue()[1:-4]


WAYS = {
    "raw": lambda value: value,
    "json": lambda value: escaped(value, ascii_only=True),
    "json, not ascii": lambda value: escaped(value, ascii_only=False),
    "json in json": lambda value: escaped(escaped(value, ascii_only=True), ascii_only=True),
    "quote": quote,
    "quote all": lambda value: quote(value, safe=""),
    "quote_plus": quote_plus,
    "lower percents": lambda value: re.sub("%..", lambda code: code[0].lower(), quote(value)),
    "repr": lambda value: repr(value)[1:-1],
    "ascii": lambda value: ascii(value)[1:-1],
    "repr of bytes": lambda value: repr(value.encode())[2:-1],
    "repr within both quotes": lambda value: repr(f"'\"{value}")[4:-1],
    "repr of json": lambda value: repr(f"'{escaped(value, ascii_only=True)}\"")[3:-2],
    "repr of json, not ascii": lambda value: repr(f"'{escaped(value, ascii_only=False)}\"")[3:-2],
    "repr of json in bytes": lambda value: repr(f"'{escaped(value, ascii_only=True)}\"".encode())[4:-2],
    "yaml": yaml_text,
    "yaml, not ascii": lambda value: yaml_text(value, allow_unicode=True),
    "yaml, single quotes": lambda value: value.replace("'", "''"),
    "csv": csv_text,
    "json in csv": lambda value: csv_text(escaped(value, ascii_only=True)),
    "shlex": lambda value: shlex.quote(value + " ")[1:-2],
    "bash": lambda value: value.replace("'", r"'\''"),
    "hex": lambda value: value.encode().hex(),
    "upper hex": lambda value: value.encode().hex().upper(),
}


class TestRedact:
    @pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
    def test_ways(self, way: Any) -> None:
        """A value is masked in each way of writing it, and what stands around it stays."""
        assert "before *** after" == Redactor([SECRET]).redact(f"before {way(SECRET)} after")

    @pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
    @given(value=VALUES, before=PLAIN, after=PLAIN)
    def test_ways_are_gone(self, way: Any, value: str, before: str, after: str) -> None:
        """Whatever the value and the text around it, no way of writing it is left."""
        assert way(value) not in Redactor([value]).redact(before + way(value) + after)

    @pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
    @pytest.mark.parametrize("length", [6, 7, 8, 9])
    @pytest.mark.parametrize("others", [0, 1, 2, 3, 4])
    def test_base64(self, encode: Any, length: int, others: int) -> None:
        """A value within what was encoded is masked with every character that holds a bit of it."""
        value = ("\xff~?" * 3)[:length]
        content = value.encode()
        first, last = others * 8 // 6, -(-(others + len(content)) * 8 // 6)
        encoded = encode(b"x" * others + content + b"yz0").decode()
        assert f"{encoded[:first]}***{encoded[last:]}" == Redactor([value]).redact(encoded)

    @given(
        value=VALUES,
        before=st.binary(max_size=8),
        after=st.binary(max_size=8),
        encode=st.sampled_from([base64.b64encode, base64.urlsafe_b64encode]),
    )
    def test_base64_is_gone(self, value: str, before: bytes, after: bytes, encode: Any) -> None:
        """Whatever was encoded with a value of five bytes or more, what is left has no bit of the value."""
        content = value.encode()
        assume(len(content) >= 5)
        left = Redactor([value]).redact(encode(before + content + after).decode())
        head, mask, tail = left.partition("***")
        assert ("***", len(before) * 8 // 6) == (mask, len(head))
        assert len(tail.rstrip("=")) <= -(-len(after) * 8 // 6)

    @pytest.mark.parametrize("cut", [1, 2])
    def test_base64_at_the_start(self, cut: int) -> None:
        """A text may begin within what was encoded."""
        encoded = base64.b64encode(b"x" * cut + b"hunter2").decode().rstrip("=")[cut + 1 :]
        assert "*** end" == Redactor(["hunter2"]).redact(f"{encoded} end")

    def test_base64_of_four_bytes(self) -> None:
        """Four bytes are found where they were encoded by themselves, not by the few letters within."""
        redactor = Redactor(["abcd"])
        inside = base64.b64encode(b"xabcd").decode()
        assert ("***==", inside) == (
            redactor.redact(base64.b64encode(b"abcd").decode()),
            redactor.redact(inside),
        )

    @pytest.mark.parametrize("written", ["Pz8%2FPj4%2BPz8", "Pz8%2fPj4%2bPz8", r"Pz8\/Pj4+Pz8"])
    def test_base64_in_a_url_and_json(self, written: str) -> None:
        """Base64 is found as a URL or JSON quotes it."""
        assert "x=*** " == Redactor(["???>>>??"]).redact(f"x={written} ")

    @pytest.mark.parametrize(
        ("value", "written"),
        [
            ("a<b>c&d", r"a\u003cb\u003ec\u0026d"),
            ("a/b/c", r"a\/b\/c"),
            ("säcrét", r"s\u00E4cr\u00E9t"),
            ("(it's)!", "(it's)!"),
            ("a:b?c=d", "a:b?c=d"),
            ("a b:c", "a%20b:c"),
            ("a b:c", "a%20b%3ac"),
        ],
    )
    def test_other_encoders(self, value: str, written: str) -> None:
        """What Go, PHP, JavaScript and others write is found too."""
        assert "[***]" == Redactor([value]).redact(f"[{written}]")

    @given(
        st.lists(st.text("abc", min_size=4, max_size=9), max_size=4), st.text("xyz%\\u0123+=", max_size=60)
    )
    def test_others_stay(self, values: list[str], text: str) -> None:
        """A text that holds no value is returned as it is."""
        assert text == Redactor(values).redact(text)

    def test_all(self) -> None:
        """Each occurrence of each value has its mask."""
        assert "***, *** and ******" == Redactor(["hunter2", "topsecret"]).redact(
            "hunter2, topsecret and hunter2hunter2"
        )

    def test_overlap(self) -> None:
        """Of values that overlap in a text, nothing is left."""
        assert "1***2" == Redactor(["abcde", "cdefg"]).redact("1abcdefg2")

    @pytest.mark.parametrize("inner", ["abcd", "bcde", "defg"])
    def test_within(self, inner: str) -> None:
        """Of a value that holds another one, nothing is left."""
        assert "1***2" == Redactor(["abcdefg", inner]).redact("1abcdefg2")

    def test_lone_surrogates(self) -> None:
        """A value with bytes that are not UTF-8, as an environment variable may have, is masked too."""
        value = b"p\xffss\xe9".decode("utf-8", "surrogateescape")
        assert "*** *** ***" == Redactor([value]).redact(f"{value} p%FFss%E9 70ff7373e9")

    def test_unpaired_surrogates(self) -> None:
        """A value that no bytes can stand for is masked too."""
        assert "***" == Redactor(["pass\ud83d"]).redact("pass\ud83d")

    def test_stripped(self) -> None:
        """A value is masked without the white space around it, too: whoever reads a file strips it."""
        assert "<***>" == Redactor([" hunter2\n"]).redact("<hunter2>")

    @pytest.mark.parametrize(("text", "expected"), [("abc", "***"), ("abcd", "abcd"), ("x abc y", "x abc y")])
    def test_short(self, text: str, expected: str) -> None:
        """A value of three characters is masked only where it is the whole text."""
        assert expected == Redactor(["abc"]).redact(text)


def json_text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


class TestFoundIn:
    @pytest.mark.parametrize(
        "output",
        [
            "hunter22",
            "my hunter22!",
            ["x", {"y": "hunter22"}],
            {"a hunter22": 1},
            {"nested": [[{"x": "aHVudGVyMjI="}]]},
            base64.b64encode(b"user:hunter22").decode(),
            "68756e7465723232",
            json.dumps({"password": "hunter22"}),
        ],
    )
    def test_found(self, output: Any) -> None:
        """A value is found as a text, within one, in a key, and encoded."""
        assert Redactor(["other one", "hunter22"]).found_in(json_text(output))

    @pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
    @given(value=VALUES, before=PLAIN, after=PLAIN)
    def test_ways(self, way: Any, value: str, before: str, after: str) -> None:
        """Whatever the value and the text around it, each way of writing it is found."""
        assert Redactor([value]).found_in(json_text([{"x": before + way(value) + after}]))

    @pytest.mark.parametrize(
        ("value", "output"),
        [
            ("nope", "\nope"),
            ("u00e9", "é"),
            ("true", True),
            ("null", None),
            ("1234", 123456),
            ("1234", [12, 34]),
            ('a","b', ["a", "b"]),
            ("hunter22", "hunter21"),
            ("1234", 1234.5),
        ],
    )
    def test_not_found(self, value: str, output: Any) -> None:
        """What only looks like a value in the JSON text is not one."""
        assert not Redactor([value]).found_in(json_text(output))

    @pytest.mark.parametrize(
        ("value", "output"),
        [
            ("12345678", 12345678),
            ("12345678", [0, {"x": 12345678.0}]),
            ("0.25", 0.25),
            ("1234.0", 1234.0),
            ("-1234", -1234),
            ("123456789012345678901234567890", 123456789012345678901234567890),
            ("12", [12]),
        ],
    )
    def test_number(self, value: str, output: Any) -> None:
        """A number that is the value is found."""
        assert Redactor([value]).found_in(json_text(output))

    @pytest.mark.parametrize(
        ("output", "found"),
        [
            ("abc", True),
            (["abc"], True),
            ({"abc": 1}, True),
            ("abcd", False),
            ("x abc", False),
            ({"x": "abcx"}, False),
        ],
    )
    def test_short(self, output: Any, found: bool) -> None:
        """A value of three characters is found only as a whole text."""
        assert found is Redactor(["abc"]).found_in(json_text(output))

    def test_repeated_key(self) -> None:
        """A value is found behind a key that stands there twice."""
        assert Redactor(["hunter22"]).found_in('{"a":"hunter22","a":1}')

    @given(
        st.text("abc", min_size=4, max_size=8),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text('xyz\\\n"%é', max_size=12),
            lambda inner: st.lists(inner) | st.dictionaries(st.text("xyz", max_size=3), inner),
            max_leaves=10,
        ),
    )
    def test_others(self, value: str, output: Any) -> None:
        """In a document that holds no value none is found."""
        assert not Redactor([value]).found_in(json_text(output))


@pytest.mark.parametrize("values", [[], [""]])
def test_nothing_to_hide(values: list[str]) -> None:
    """Without values, or with empty ones, a Redactor is false, and finds nothing."""
    redactor = Redactor(values)
    assert (False, "text", False) == (bool(redactor), redactor.redact("text"), redactor.found_in('""'))


@pytest.mark.parametrize("value", ["hunter22", "abc"])
def test_true(value: str) -> None:
    """With a value, a Redactor is true."""
    assert Redactor([value])


@pytest.mark.parametrize("value", ["hunter22", "abc"])
def test_repr(value: str) -> None:
    """The repr shows no value."""
    assert "Redactor(***)" == repr(Redactor([value]))


def test_repr_of_its_parts() -> None:
    """Nor does the repr of what a debugger shows of it."""
    redactor = Redactor(["hunter22"])
    assert "hunter22" not in repr(redactor._forms)
