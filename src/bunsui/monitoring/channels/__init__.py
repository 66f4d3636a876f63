"""The channels that alerts are sent through."""
