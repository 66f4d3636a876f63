"""Secrets that nobody writes by chance, what betrays them however they are written, and who looks for that.

The forms are written down here: what takes them out is not asked which there are.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

#: By the names that a configuration gives them.
SECRETS = {
    "plain": "Zq7kVw3xPnTmB2",
    "quoted": "p\u00e4\"ss/Hk4mWz8qRbY'&\\x y%<>`$\nTn5cXq2wJd9s-second line",
    "url": "user:Vt6nJd9sLc+/w==?&Kx8pFg3rQw",
    # Of the fewest characters that are looked for within other text.
    "short": "\u03deq\u03dfZ",
}
#: One that is found only where it is all of a text, or of a line.
TINY = "\u03df\u03de"
#: Letters and digits which stand in no other text survive quoting of every kind.
_CORE = re.compile("[A-Za-z0-9]{8,}")
#: Characters of the shortest piece of base64 that is unlike all other text.
_PIECE = 6


def _forms(value: str) -> Iterator[str]:
    """What stands in a text in which the value was written."""
    yield value
    yield from _CORE.findall(value)
    once = [json.dumps(value), json.dumps(value, ensure_ascii=False)]
    escaped = [text[1:-1] for each in once for text in (each, json.dumps(each)[2:-2])]
    escaped += [
        re.sub(r"\\u[0-9a-f]{4}", lambda found: rf"\u{found[0][2:].upper()}", each) for each in escaped
    ]
    in_url = [each(value, safe) for each in (quote, quote_plus) for safe in ("", "/")]
    yield from (repr(value)[1:-1], ascii(value)[1:-1], repr(value.encode())[2:-1])
    yield from (*escaped, *in_url, *(each.lower() for each in in_url if "%" in each))


def _encoded(value: str) -> Iterator[str]:
    data = value.encode()
    yield from (data.hex(), data.hex().upper())
    for before in range(3):
        text = base64.b64encode(b"\0" * before + data).decode()
        # The characters all of whose bits are the value's.
        piece = text[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
        if len(piece) >= _PIECE:
            yield from (piece, piece.replace("+", "-").replace("/", "_"))


def _all_forms() -> Iterator[tuple[str, bytes]]:
    for name, value in SECRETS.items():
        yield from ((name, form.encode()) for form in (*_forms(value), *_encoded(value)))
    yield from (("tiny", form.encode()) for form in _forms(TINY))


#: What betrays which secret.
FORMS = tuple(dict.fromkeys(_all_forms()))


def found(content: bytes | str) -> list[str]:
    """What of the secrets is in it, such as ``plain as Zq7kVw3xPnTmB2 after ...``; empty: nothing."""
    data = content.encode(errors="surrogatepass") if isinstance(content, str) else content
    return [
        f"{name} as {form.decode(errors='replace')} after {data[max(at - 60, 0) : at]!r}"
        for name, form in FORMS
        if (at := data.find(form)) >= 0
    ]


def names_found(content: bytes | str) -> set[str]:
    """The names of the secrets of which something is in it."""
    return {text.split(" ", 1)[0] for text in found(content)}


#: What a job does to be looked at while it runs: it begins with this, as a module beside ``asked``.
ASK = """
import os, pathlib, threading, time

def be_seen():
    asked = pathlib.Path(__file__).parent / f"asked.{os.getpid()}.{threading.get_ident()}"
    asked.touch()
    for _ in range(6000):
        if not asked.exists():
            return
        time.sleep(0.01)
    raise TimeoutError("nobody has looked")
"""


class CommandLines:
    """Reads the arguments of all processes that this one has started, again and again, in a thread.

    Args:
        folder: where jobs leave a file for each look that they wait for; see `ASK`.
    """

    def __init__(self, folder: Path, parent: int) -> None:
        self._folder = folder
        self._parent = str(parent)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)
        #: All that were seen, each once.
        self.seen: set[bytes] = set()

    def __enter__(self) -> CommandLines:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ends.wait(0.02):
            asked = [*self._folder.glob("asked.*")]
            if asked:
                self.look()
            for path in asked:
                path.unlink()

    def look(self) -> None:
        """Reads them now."""
        parents, lines = {}, {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                stat = (folder / "stat").read_text()
                lines[folder.name] = (folder / "cmdline").read_bytes()
            except OSError:  # It has ended.
                continue
            parents[folder.name] = stat.rpartition(")")[2].split()[1]
        self.seen |= {line for process, line in lines.items() if self._is_below(process, parents)}

    def _is_below(self, process: str, parents: dict[str, str]) -> bool:
        while process in parents and process != self._parent:
            process = parents[process]
        return process == self._parent
