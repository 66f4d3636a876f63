"""What jobs come to: attempts from their start to what became of them, on this machine and at services."""
