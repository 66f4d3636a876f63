"""What a run tells of itself beside its history: traces, metrics and alerts."""
