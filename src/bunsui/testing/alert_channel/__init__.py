"""What holds for every alert channel, as tests."""
