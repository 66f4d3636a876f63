"""The job types that come with bunsui."""
