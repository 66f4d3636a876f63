"""What a URL says behind its name of how AWS is called there, such as ``?region=eu-central-1``."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import parse_qsl, urlsplit

from bunsui.dsl.problems import did_you_mean, quoted
from bunsui.errors import ConfigError


def read_entries(query: str, known: Collection[str], url: str, named: str, hint: str) -> dict[str, str]:
    """The entries of a URL's query, each once.

    Args:
        query: what stands behind the question mark.
        known: what they may be called.
        url: the URL, as errors show it.
        named: what it names, likewise, without its entries: those may hold a password.
        hint: what helps where an entry stands there twice.

    Raises:
        ConfigError: one is not known, or stands there twice, or names an endpoint with a password.
    """
    found: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in known:
            near = did_you_mean(key, known) or f"there are {', '.join(known)}"
            raise ConfigError(f"{url} has no entry {quoted(key)}", hint=near)
        if key in found:
            raise ConfigError(f"{url} says {quoted(key)} twice", hint=hint)
        found[key] = value
    if "@" in urlsplit(found.get("endpoint_url", "")).netloc:
        raise ConfigError(
            f"the endpoint_url of {named} has a user or a password in it",
            hint="calls are signed: leave it out, and give credentials as to AWS's own tools",
        )
    return found
