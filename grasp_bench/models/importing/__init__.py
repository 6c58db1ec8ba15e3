"""Converts checkpoints of other projects to this one's; nothing in them is ever executed."""
