"""For those who extend bunsui: test suites that hold for every implementation of a port."""
