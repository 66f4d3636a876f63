"""Conditions of the published schema, and what editors say of it; see `bunsui.dsl.publishing.whole`."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from bunsui.dsl.fields import (
    JOB_FIELDS,
    PIPELINE_FIELDS,
)
from bunsui.dsl.publishing.referable import References
from bunsui.dsl.words import PATTERN_RULES

_HOLDS = r"(?:^|[^$])\$\{[^}]+\}"
ONE_REFERENCE = r"^\$\{[^}]+\}(?!\n)$"
ONE_SECRET = r"""^\$\{\s*secrets(?:\.[A-Za-z0-9_-]+|\["[^"\\]*"\])\s*\}(?!\n)$"""  # noqa: S105 - a pattern
#: What may stand in the fields of a job type. It is validated when it is resolved.
ANY = References(
    definition="#/$defs/reference",
    holds=_HOLDS,
    instead=_HOLDS,
    example="${parameters.NAME}",
    note="May hold references, such as ${parameters.NAME} or ${jobs.ID.output}.",
)
#: What may stand in a template's fields, and is gone once a job has taken them over.
INPUTS = References(
    definition="#/$defs/input-reference",
    holds=r"(?:^|[^$])\$\{\s*inputs[.\[][^}]*\}",
    instead=r"^\$\{\s*inputs[.\[][^}]*\}(?!\n)$",
    example="${inputs.NAME}",
    note="May hold references to the template's inputs, such as ${inputs.NAME}.",
)
#: What an editor says of a text that does not match.
_PATTERN_MESSAGES = {
    ONE_REFERENCE: "It must be a list, or one reference to a list, such as ${jobs.ID.output}.",
    ONE_SECRET: "It must be one reference to a secret, such as ${secrets.NAME}.",
    **{pattern: f"{rule[0].upper()}{rule[1:]}." for pattern, rule in PATTERN_RULES.items()},
}
# Of an object: where nothing is written yet nothing is missing either, and editors would offer everything.
HAS_TYPE = {"type": "object", "required": ["type"]}
HAS_TEMPLATE = {"type": "object", "required": ["template"]}


def explained(part: Any) -> Any:
    """A copy of a schema, with what an editor says of texts that do not match its patterns."""
    if isinstance(part, Mapping):
        made = {key: explained(value) for key, value in part.items()}
        if isinstance(message := _PATTERN_MESSAGES.get(str(part.get("pattern"))), str):
            made["patternErrorMessage"] = message
        return made
    if isinstance(part, list):
        return [explained(item) for item in part]
    return copy.copy(part)


def literal(text: str) -> str:
    """The regular expression of a text, in Python and in JavaScript, which allows few needless escapes."""
    return re.sub(r"[$()*+./?\[\\\]^{|}]", r"\\\g<0>", text)


def described(name: str, part: Mapping[str, Any]) -> dict[str, Any]:
    """A condition on a field, with what is said of the field: editors show it as they find it."""
    known = JOB_FIELDS.get(name) or PIPELINE_FIELDS[name]
    return {"title": known["title"], "description": known["description"], **part}


def is_type(name: str, field: Mapping[str, Any]) -> dict[str, Any]:
    """True of a mapping whose type, if it has one, is this."""
    # Completing, yaml-language-server takes any beginning of `const` for it; hence the pattern.
    pattern = f"^{literal(name)}(?!\\n)$"
    said = {key: field[key] for key in ("title", "description")}
    return {"properties": {"type": {**said, "type": "string", "const": name, "pattern": pattern}}}


def by_template(templated: str | None, whole: str) -> dict[str, Any]:
    """One definition for a job that takes over a template, another for any other job."""
    then = {} if templated is None else {"then": {"$ref": f"#/$defs/{templated}"}}
    return {"if": HAS_TEMPLATE, **then, "else": {"$ref": f"#/$defs/{whole}"}}


def for_each_job(job: Mapping[str, Any]) -> dict[str, Any]:
    """True of a pipeline whose jobs are such."""
    return {"properties": {"jobs": described("jobs", {"items": job})}}
