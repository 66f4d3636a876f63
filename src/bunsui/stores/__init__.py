"""The stores that come with bunsui, and what they write."""
