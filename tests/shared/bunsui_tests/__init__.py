"""What the tests of several rooms need; on the path of pytest, and of nothing else."""
