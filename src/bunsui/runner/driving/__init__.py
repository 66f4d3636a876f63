"""What happens on the driver's thread, and what is handed to it."""
