"""grasp-bench: a benchmark suite for planning with learned world models."""

__version__ = "0.1.0"
PROTOCOL_VERSION = "1"
