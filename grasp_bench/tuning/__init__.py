"""Looks for settings of planners on the tuning tasks, keeps them as data, finds them."""
