"""Trains the pose model: tokens by masked prediction, poses from tokens, then their dynamics."""
