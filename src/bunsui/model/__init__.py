"""Frozen values: no I/O, no serialisation."""
