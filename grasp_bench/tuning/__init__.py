"""Settings of planners: looked for on the tuning tasks, kept as data, found by the model."""
