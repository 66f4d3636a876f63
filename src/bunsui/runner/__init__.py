"""The runner: performs what the engine decides."""
