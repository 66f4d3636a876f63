"""A runner whose jobs are stubs, and in which waiting takes no time."""
