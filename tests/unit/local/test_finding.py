"""Finding many forms at once, also in what comes in pieces."""

from __future__ import annotations

import base64
import random
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bunsui.local.finding import Edges, Finder, FinderStream
from bunsui.local.redaction import Redactor

PEM = (
    "-----BEGIN KEY-----\n"
    + "\n".join("abcdefghijklmnop"[i:] + "Q" * 40 for i in range(8))
    + "\n-----END-----"
)
#: Few letters, so that values overlap, and lie within each other.
NARROW = st.text("ab/", min_size=4, max_size=12)


def in_pieces(redactor: Redactor, data: bytes, cuts: list[int]) -> bytes:
    """What comes out when `data` comes in pieces."""
    stream = redactor.stream()
    assert stream is not None
    places = sorted({min(cut, len(data)) for cut in cuts})
    pieces = [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]
    return b"".join(map(stream.feed, pieces)) + stream.feed(b"", ends=True)


@given(st.lists(NARROW, min_size=1, max_size=4), st.text("ab/\n=", max_size=80), st.lists(st.integers(0, 80)))
def test_pieces_are_masked_as_the_whole(values: list[str], text: str, cuts: list[int]) -> None:
    """However a text is cut, it comes out as it does at once."""
    redactor = Redactor(values)
    whole = Redactor(values).stream()
    assert whole is not None
    assert whole.feed(text.encode(), ends=True) == in_pieces(redactor, text.encode(), cuts)


@given(st.data())
def test_pieces_of_what_is_encoded(data: st.DataObject) -> None:
    """Base64 at any offset, cut anywhere, shows nothing of the value."""
    before = data.draw(st.binary(max_size=5))
    text = base64.b64encode(before + b"hunter2-hunter3" + data.draw(st.binary(max_size=5)))
    cuts = data.draw(st.lists(st.integers(0, len(text))))
    left = in_pieces(Redactor(["hunter2-hunter3"]), b"[" + text + b"]", cuts)
    assert b"***" in left
    core = base64.b64encode(b"\0" * len(before) + b"hunter2-hunter3")
    start = -(-len(before) * 8 // 6)
    assert core[start : start + 6] not in left


@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_value_of_several_lines(line_break: str, size: int) -> None:
    """It is masked as one, whatever ends its lines."""
    data = f"key: {PEM}\nnext\n".replace("\n", line_break).encode()
    assert f"key: ***{line_break}next{line_break}".encode() == in_pieces(
        Redactor([PEM]), data, list(range(0, len(data), size))
    )


def test_value_line_by_line() -> None:
    """Each line of 16 characters and more is masked by itself as well."""
    redactor = Redactor([PEM])
    assert ["12:00 ***" if len(line) >= 16 else f"12:00 {line}" for line in PEM.splitlines()] == [
        redactor.redact(f"12:00 {line}") for line in PEM.splitlines()
    ]


def test_only_what_may_be_a_beginning_is_held_back() -> None:
    """The rest is there at once; what turned out to be none follows."""
    stream = Redactor(["hunter2 and more"]).stream()
    assert stream is not None
    assert [b"a line\n", b"x ", b"hunting\n", b"y ", b"***\n"] == [
        stream.feed(piece) for piece in (b"a line\n", b"x hunt", b"ing\n", b"y hunter2 an", b"d more\n")
    ]


def test_what_is_held_back_comes_at_the_end() -> None:
    """Where nothing follows, a beginning is none."""
    stream = Redactor(["hunter2 and more"]).stream()
    assert stream is not None
    assert (b"", b"hunter2") == (stream.feed(b"hunter2"), stream.feed(b"", ends=True))


def test_overlaps_without_end() -> None:
    """A value that overlaps itself for ever holds back no more than itself."""
    stream = Redactor(["aaaaaaaa"]).stream()
    assert stream is not None
    out = b"".join(stream.feed(b"a" * 1000) for _ in range(20))
    assert (b"***", True) == (out, sys.getsizeof(stream._held) < 200)
    assert b"." == stream.feed(b".", ends=True)


def test_long_values_that_begin_alike() -> None:
    """Of two that share their first 200 characters each is found, and a third that ends otherwise is none."""
    first, second = "x" * 200 + "one", "x" * 200 + "two!"
    text = f"{first} {second} {'x' * 200}three"
    assert f"*** *** {'x' * 200}three" == Redactor([first, second]).redact(text)


def test_short_one_within_the_beginning_of_a_long_one() -> None:
    """Where the long one does not follow, the short one is masked."""
    stream = Redactor(["abcdef", "abcdef" + "g" * 100]).stream()
    assert stream is not None
    assert b"***gggh" == stream.feed(b"abcdefggg") + stream.feed(b"h") + stream.feed(b"", ends=True)


def test_nothing_is_shown() -> None:
    """Neither of them shows a value in its repr."""
    finder = Redactor(["hunter2hunter2"])._find()
    assert "hunter2" not in repr(finder) + repr(FinderStream(finder))


def test_many_secrets_in_much_text() -> None:
    """Fifty secrets, some of them of 3,000 characters, are found where they stand."""
    source = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789+/"
    values = ["".join(source.choices(letters, k=source.choice([8, 30, 3000]))) for _ in range(50)]
    text = "\n".join(f"{i} {value} end" for i, value in enumerate(values))
    assert "\n".join(f"{i} *** end" for i in range(50)) == Redactor(values).redact(text)


def test_no_match_is_the_same_object() -> None:
    """What holds nothing is not copied."""
    data = b"nothing here"
    assert Finder({b"hunter2": Edges()}).mask(data) is data
