"""Makes the pictures of plans that need to run a model or the simulator."""
