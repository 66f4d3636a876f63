"""What is configured, by whom and where: files, environment and arguments as one value."""
