"""Every code that a problem may have, with what it means, a wrong example and a right one.

They stand in the YAML files of the folder ``explanations``. An example is a definition, or Python (it begins
with an import), or files and the commands that use them: ``# FILE`` begins a file, ``$ `` a command.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from textwrap import indent
from types import MappingProxyType

from attrs import frozen

from bunsui.dsl.parser import parse
from bunsui.dsl.problems import did_you_mean
from bunsui.errors import NotFound

__all__ = ["CODES", "Code", "Part", "explain", "parts"]

#: The files, in the order in which the codes are shown.
_AREAS = ("text", "fields", "jobs", "references", "templates", "start", "check")
_FILE = re.compile(r"# (\w+\.\w+)")
_LANGUAGES = {"yaml": "yaml", "py": "python"}


@frozen
class Code:
    """One code, as `explain` and the documentation show it."""

    #: Such as ``unknown-job``.
    code: str
    #: What is wrong; one line.
    summary: str
    #: Why it is wrong, and what to do about it.
    meaning: str
    #: An example that has the problem.
    wrong: str
    #: What is printed of `wrong`.
    prints: str
    #: The example without the problem.
    right: str


@frozen
class Part:
    """A part of an example."""

    #: ``yaml``, ``python`` or ``console``.
    language: str
    text: str
    #: The name of the file that it is; None: a definition or script of any name, or commands.
    file: str | None = None


def parts(example: str) -> list[Part]:
    """The definition, script, files or commands that an example consists of."""
    if example.startswith(("import ", "from ")):
        return [Part("python", example)]
    if not re.search(r"^\$ ", example, re.MULTILINE):
        return [Part("yaml", example)]
    found: list[Part] = []
    for block in re.split(r"\n\n(?=\$ |# \w+\.\w+\n)", example.rstrip("\n")):
        name = _FILE.match(block)
        if name is None:
            found.append(Part("console", block + "\n"))
        else:
            language = _LANGUAGES[name[1].rpartition(".")[2]]
            found.append(Part(language, block[name.end() + 1 :] + "\n", name[1]))
    return found


def explain(code: str) -> str:
    """The page of one code: what it means, a wrong example with what is printed of it, a right one.

    Raises:
        NotFound: there is no such code; it may be one of a plugin's.
    """
    known = CODES.get(code)
    if known is None:
        near = did_you_mean(code, CODES)
        listed = "'bunsui explain' lists the codes; a plugin's are explained where the plugin is"
        if code[:1].isupper():
            listed = f"those of failed jobs are in the reference, under 'Error codes'; {listed}"
        raise NotFound(
            f"there is no code '{code}'",
            kind="code",
            name=code,
            hint=near or listed,
        )
    sections = [("Wrong:", known.wrong), ("It prints:", known.prints), ("Right:", known.right)]
    shown = "\n".join(f"{title}\n\n{indent(text, '    ')}" for title, text in sections)
    return f"{known.code}: {known.summary}\n\n{known.meaning}\n{shown}".rstrip("\n")


def _load() -> Mapping[str, Code]:
    found: dict[str, Code] = {}
    for area in _AREAS:
        text = files("bunsui.dsl").joinpath("explanations", f"{area}.yaml").read_bytes()
        for entry in parse(text, "yaml", f"{area}.yaml").data:
            found[entry["code"]] = Code(**entry)
    return MappingProxyType(found)


#: By code, in the order in which they are shown.
CODES: Mapping[str, Code] = _load()
