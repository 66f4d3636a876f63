"""The markers of the plugin hooks, here because plugins of every layer wear them."""

from __future__ import annotations

import pluggy

#: The name under which hooks and entry points are registered.
PROJECT = "bunsui"

hookspec: pluggy.HookspecMarker = pluggy.HookspecMarker(PROJECT)
#: Marks a plugin's function as the implementation of a hook of bunsui.
hookimpl: pluggy.HookimplMarker = pluggy.HookimplMarker(PROJECT)
