"""What holds for every job type, as tests, by what they are about."""
