"""What is configured, reachable and installed: each line is a check that was made."""
