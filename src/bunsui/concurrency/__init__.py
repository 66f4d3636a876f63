"""What threads of one process wait for and start, where Ctrl-C may come at any moment."""
