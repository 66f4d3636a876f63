"""These tests need both type checkers: where only ``bunsui[test]`` is, they are not collected."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("mypy") and find_spec("pyright") else ["test_*.py"]
# What is checked is no test, whatever it derives from.
collect_ignore = ["plugins"]
