"""Work on this machine: processes, workers, and what is bound to them."""
