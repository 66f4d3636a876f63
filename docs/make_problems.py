"""Writes docs/guides/user/problems.md, the page of all problems, from the explanations of their codes.

Run ``python docs/make_problems.py`` after a change of these; a test fails where the page is out of date.
"""

from __future__ import annotations

from pathlib import Path

from bunsui.dsl.codes import CODES, Code, parts

PAGE = Path(__file__).parent / "guides" / "user" / "problems.md"
HEAD = """\
# Problems

<!-- Written by docs/make_problems.py from the code; a test holds the two together. -->

All that is wrong with a definition is reported at once, sorted by position, before anything runs. A problem
says where it is, whether it is an error or a warning, its code, what is wrong, and what to do:

```text
pipeline.yaml:14:18: error[unknown-job]: job 'load_data' depends on 'extrct_data', which does not exist
   14 |     depends_on: [extrct_data]
      |                  ^^^^^^^^^^^ did you mean 'extract_data'?
```

A pipeline with an error does not start; one with warnings does. What is found only when a session starts,
such as a pool that the runner does not have, is shown in the same way where the pipeline is from a file; in
one made in Python, or from a store, its JSON pointer says where it is. What stands behind `bunsui pipeline
check` is found at AWS, by that command alone; so is what stands behind `bunsui pipeline iam-policy`. Messages
may change from version to version, codes do not. `bunsui explain CODE` prints what stands here of a code,
`bunsui.validate(path)` gives the problems as values, with the JSON pointer of each.
"""


def fences(example: str, mark: str = "") -> str:
    """An example as fenced blocks, each file with its name; what is marked is not taken for right."""
    blocks = []
    for part in parts(example):
        name = f"`{part.file}`:\n\n" if part.file is not None else ""
        blocks.append(f"{name}```{part.language}{mark}\n{part.text.rstrip()}\n```\n")
    return "\n".join(blocks)


def entry(known: Code) -> str:
    """What stands there of one code."""
    return (
        f"## {known.code}\n\n**{known.summary}**\n\n{known.meaning}\n"
        f"Wrong:\n\n{fences(known.wrong, ' wrong')}\n```text\n{known.prints.rstrip()}\n```\n\n"
        f"Right:\n\n{fences(known.right)}"
    )


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *map(entry, CODES.values())])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
