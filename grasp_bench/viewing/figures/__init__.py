"""Figures of one trial's plan: each runs the world model, so they are not among the report's."""
