"""Many trials, from a configuration to results on disk."""
