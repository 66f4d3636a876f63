"""What you implement to extend bunsui."""
