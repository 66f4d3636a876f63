"""What holds for every observer, as tests."""
