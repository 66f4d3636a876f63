"""The one JSON Schema of whole definitions, which editors read."""
