"""Hints for what stands in references and conditions by the habit of other languages."""

from __future__ import annotations

import re

from bunsui.expressions.syntax import CALLS, CALLS_IN_WORDS

__all__ = ["condition_hint", "mismatch_hint", "reference_hint"]

_NAME = r"[A-Za-z_][A-Za-z0-9_-]*"
_STEPS = r"(?:\.[A-Za-z0-9_-]+|\[[0-9]+\])*"
_PATH = rf"{_NAME}{_STEPS}"
_JOB = "let a job compute it"
#: The calls that name a job, in a pattern.
_OF_JOBS = "|".join(name for name, status in CALLS.items() if status is not None)
_CURLY = r"[\u2018-\u201f]"
_STRAIGHT = 'use straight quotes, as in "text"'
#: Characters that are looked at on each side of what is wrong in a condition.
_NEAR = 100
#: Longest reference and longest part of a condition that are looked at, in characters.
_LONGEST = 500
#: (what stands behind '${', what to do); the first that matches counts. ``{0}`` is the first group.
_REFERENCES = (
    (rf"\{{\s*({_PATH})\s*", "write ${{{0}}}"),
    (rf"\s*['\"]({_PATH})['\"]\s*", "write ${{{0}}}"),
    (r"\s*", "write the name of a parameter, as in ${{source_bucket}}"),
    (rf"\s*{_PATH}:[-=?+].*", "a default stands in the declaration of the parameter, as 'default'"),
    (rf"\s*({_PATH})\['([^'\"]*)'\].*", 'write double quotes: ${{{0}["{1}"]}}'),
    (rf"\s*{_PATH}\[-[0-9]+\].*", "an index counts from the start: [0] is the first item"),
    (rf"\s*{_PATH}\.\..*", "take one of the dots out"),
    (rf"\s*({_PATH})\[({_NAME})\]({_STEPS})\s*", "did you mean ${{{0}.{1}{2}}}?"),
    (rf"[^}}]*{_CURLY}.*", _STRAIGHT),
    (
        rf"\s*{_PATH}\s*(?:[|(+*/%<>=!&-]|\?|and\b|or\b|not\b|if\b|in\b).*",
        f"nothing is computed here: {_JOB}",
    ),
    (rf"\s*{_PATH}::.*", "write ${{env.NAME}} for a variable, ${{NAME}} for a parameter"),
)
_VALUE = r"[\w\"'\]})]"
#: (what stands before the place where a condition goes wrong, spaces left out, and there; what to do).
_CONDITIONS = (
    (_VALUE, r"==\s*[Tt]rue\b", "leave '== true' out: a comparison is true or false by itself"),
    (_VALUE, r"(?:!=\s*[Tt]rue|==\s*[Ff]alse)\b", "write 'not' before the comparison instead"),
    (r"", _CURLY, _STRAIGHT),
    (r"", r"=~|~", f"there are no patterns: {_JOB}"),
    (r"<", r">", "write '!=' for 'is not'"),
    (r"", r"is\s+not\b", "compare with '!='"),
    (r"", r"is\b", "compare with '=='"),
    (r"", r"(?:eq|equals)\b", "compare with '=='"),
    (r"in\s*\(.*", r",", "write a list in brackets, as in [1, 2]"),
    (rf"(?:{_OF_JOBS})\(.*", r",", "name one job at a time: failed(a) or failed(b)"),
    (r"", r"(?:contains|includes|len|length|size|startswith|endswith|matches|lower|upper|int|str|exists)\b",
     f"there is only {CALLS_IN_WORDS}; else {_JOB}"),
    (r"", r"(?:success|succeeds?|all_success|allsucceeded|done|complete|completed)\b",
     "did you mean succeeded(job)? That all upstream succeeded is asked without a condition"),
    (r"", r"(?:failure|fails|all_failed|one_failed|error)\b", "did you mean failed(job)?"),
    (r"", r"(?:always|all_done)\b(?!\()", "did you mean always()?"),
    (r"", r"(?:cancelled|canceled)\b", f"there is {CALLS_IN_WORDS}"),
    (r"", r"(?:jobs|parameters|env|session|pipeline|secrets|item)$", "a reference stands in ${...}"),
    (r"(?:jobs|parameters|env|session|pipeline|secrets|item)", r"\.", "put all of it into braces: ${...}"),
    (r"", r"\{\{", "write ${name}"),
)  # fmt: skip


#: (what a mismatch says, what stands there without spaces, what to do).
_MISMATCHES = (
    (
        r"'(?:not )?in' takes a list",
        r".*",
        'write a list, as in ["a", "b"]; a part of a text can\'t be looked for',
    ),
    (r"not a list$", r".*", f"a list is not counted here: {_JOB}"),
    (r"", r'.*["\'](?:true|false)["\'].*', "write true and false without quotes"),
    (r"", r'.*(?:[<>=]|in)\[?["\']-?[0-9].*', "write numbers without quotes"),
    (r"true or false is compared with a number", r".*", "write true or false"),
    (r"each side of", r'["\'].*', 'write the comparison again, or ${x} in ["a", "b"]'),
    (r"", rf'"(?:{"|".join(CALLS)})\b.*', "write it without quotes: always()"),
)


def reference_hint(text: str) -> str | None:
    """What to write instead of a reference that is none, or None.

    Args:
        text: as it stands there, with the '${'.
    """
    inner = text.removeprefix("${")
    if not inner.endswith("}"):
        return "close it with '}'; for a literal '${' write '$${'"
    if len(inner) > _LONGEST:
        return None
    for pattern, hint in _REFERENCES:
        if found := re.fullmatch(pattern, inner[:-1], re.DOTALL):
            return hint.format(*found.groups())
    return None


def condition_hint(text: str, at: int) -> str | None:
    """What to write instead of what stands at offset `at` of a condition, or None."""
    before, here = text[max(at - _NEAR, 0) : at].rstrip(), text[at : at + _NEAR]
    if re.search(rf"(?:{_OF_JOBS})\(\Z", before):
        return "write the id of a job alone, as in failed(extract_data)"
    if text.startswith("${", at):
        end = text.find("}", at)
        return reference_hint(text[at : end + 1] if end >= 0 else text[at:])
    for stands_before, stands_here, hint in _CONDITIONS:
        if re.match(stands_here, here) and re.search(rf"(?:{stands_before})\Z", before):
            return hint
    return None


def mismatch_hint(message: str, text: str) -> str | None:
    """What to write where types can never fit, or None.

    Args:
        message: what is wrong.
        text: the part of the condition that it is about.
    """
    text = "".join(text[:_LONGEST].split())
    for said, written, hint in _MISMATCHES:
        if re.search(said, message) and re.fullmatch(written, text, re.DOTALL):
            return hint
    return None
