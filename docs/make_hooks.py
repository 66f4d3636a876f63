"""Writes docs/guides/developer/plugins/hooks.md, the page of all hooks, from their specifications.

Run ``python docs/make_hooks.py`` after a change of these; a test fails where the page is out of date.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from bunsui.plugins import hookspecs
from bunsui.plugins.registration import HOOKS

PAGE = Path(__file__).parent / "guides" / "developer" / "plugins" / "hooks.md"
#: What every hook says of itself, in this order.
PARTS = ("Called", "Thread", "Returns", "On error")
HEAD = f"""\
# Hooks

<!-- Written by docs/make_hooks.py from the code; a test holds the two together. -->

A plugin is a module or an object whose functions are marked with `bunsui.hookimpl`; an implementation may
leave out arguments that it does not need. These are the hooks of version {hookspecs.HOOK_VERSION}
(`bunsui.Plugins.hook_version`). The second number goes up with a hook or an argument that is new, the first
with one that is taken away or changes its meaning; a plugin says what it needs with an attribute of its
module or object:

```python
bunsui_hook_versions = ">=1.0,<2"
```

Where that does not fit, or cannot be read, the plugin is refused like one with a misspelt hook: a plugin that
is given to `bunsui.Plugins` or a Runner is a `bunsui.PluginError`, an installed one is disabled with a
warning, and `bunsui plugins` says why. Only what needs a disabled plugin fails, with a `bunsui.PluginError`.
A hook that is marked with `@bunsui.hookimpl(optionalhook=True)` may be unknown, as `bunsui_auth_providers`
is, which is still to come.
"""


def entry(hook: str) -> str:
    """What stands there of one hook."""
    specification = getattr(hookspecs, hook)
    text = inspect.getdoc(specification) or ""
    summary, *parts = re.split(rf"\n\n|\n(?=(?:{'|'.join(PARTS)}):)", text)
    lines = [f"## {hook}", "", f"```text\n{hook}{_signature(specification)}\n```", "", _marked(summary), ""]
    for part in parts:
        name, _, text = part.partition(":")
        lines.append(f"* **{name}**: {_marked(text)}")
    return "\n".join([*lines, ""])


def _signature(specification: object) -> str:
    return str(inspect.signature(specification)).replace("'", "")  # type: ignore[arg-type]


def _marked(text: str) -> str:
    """In Markdown: literals have one backtick."""
    return " ".join(text.replace("``", "`").split())


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *map(entry, HOOKS)])


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
