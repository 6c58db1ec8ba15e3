"""Looking at plans: what needs to run a model or the simulator to make a picture."""
