"""What holds for every secret source, as tests."""
