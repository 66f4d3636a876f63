"""The markers of the plugin hooks, here because plugins of every layer wear them.

Such as::

    @bunsui.hookspec
    def bunsui_session_event(session_id, event):
        ...  # What a hook looks like: bunsui's own are made so.

    class Failures:
        @bunsui.hookimpl
        def bunsui_session_event(self, session_id, event):
            if type(event).__name__ == "JobFailed":
                print(event.job, event.error.code)  # extract_data LookupError

    with bunsui.Runner("memory://", plugins=[Failures()]) as runner:
        runner.run(pipeline, {"source_bucket": "missing"})
"""

from __future__ import annotations

import pluggy

#: The name under which hooks and entry points are registered.
PROJECT = "bunsui"

#: Marks what a hook of bunsui looks like.
hookspec: pluggy.HookspecMarker = pluggy.HookspecMarker(PROJECT)
#: Marks a plugin's function as the implementation of a hook of bunsui.
hookimpl: pluggy.HookimplMarker = pluggy.HookimplMarker(PROJECT)
