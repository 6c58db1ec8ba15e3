"""Trains the patch and the pose model: tokens by masked prediction, poses from tokens."""
