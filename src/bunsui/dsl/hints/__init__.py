"""What to do about a problem: what other tools call things, what was meant, what to write instead."""
