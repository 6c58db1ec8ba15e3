"""Demonstrations to dataset to world model to checkpoint, one stage a file."""
