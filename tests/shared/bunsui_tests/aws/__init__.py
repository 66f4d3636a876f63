"""AWS for tests, over real HTTP on this machine."""
