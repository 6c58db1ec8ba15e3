"""Training: demonstrations to world model to checkpoint, one kind of model a folder."""
