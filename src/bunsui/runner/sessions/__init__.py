"""Sessions as a store has them: made, read, found, taken over, run again, removed."""
