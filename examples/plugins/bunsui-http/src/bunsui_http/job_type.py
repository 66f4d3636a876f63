"""``type: http``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

import bunsui
from bunsui_http.request import Request, url_problem
from bunsui_http.schema import SCHEMA


class HttpJobType(bunsui.JobType):
    """One HTTP request for each attempt; the README says what its fields, output and errors are.

    `run` is async, as a request is mostly waiting: hundreds of them share the one event loop of the runner,
    where blocking ones would hold a thread each. And the runner can end it: at the job's timeout, and when
    its session is cancelled, it cancels the coroutine, which closes the connection. So nothing here needs to
    look at `call.cancelled`, or to watch `call.deadline`.
    """

    name: ClassVar[str] = "http"
    schema: ClassVar[Mapping[str, Any]] = SCHEMA
    #: Errors and the log name the file. All other fields may hold secrets, the URL too: many are
    #: a secret in themselves, such as those of webhooks.
    open_fields: ClassVar[frozenset[str]] = frozenset({"into"})

    def check(self, options: Mapping[str, Any], job: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        """See `bunsui.JobType.check`."""
        found = []
        if "json" in options and "text" in options:
            found.append(("text", "one-of", "a request has one body: 'json' or 'text', not both"))
        url = options["url"]
        # What a reference becomes is checked when it is known.
        if not _REFERENCE.search(url) and (wrong := url_problem(url)) is not None:
            found.append(("url", "bad-url", wrong))
        if job.get("parameters"):
            message = "an http job does not look at 'parameters'; 'url', 'query', 'headers' and 'json'"
            found.append(("parameters", "unused-parameters", f"{message} take references"))
        return found

    async def run(self, call: bunsui.JobCall) -> dict[str, Any]:
        """See `bunsui.JobType.run`.

        Raises:
            JobError: with a code that begins with ``Http.``.
        """
        request = Request.of(call)
        # Late: httpx takes a tenth of a second to import, which no pipeline should pay for that has no
        # such job, nor a command that only reads definitions. And not in the event loop.
        import asyncio  # noqa: PLC0415 - see above

        await asyncio.to_thread(import_module, "bunsui_http.exchange")
        from bunsui_http.exchange import exchange  # noqa: PLC0415 - see above

        return await exchange(request, call)


#: A reference, but not one that was escaped by another '$'.
_REFERENCE = re.compile(r"(?<!\$)\$\{")
