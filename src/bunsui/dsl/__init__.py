"""Text in, `Pipeline` out."""
