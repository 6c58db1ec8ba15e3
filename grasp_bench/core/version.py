"""Versions of the package and of its evaluation protocol."""

__version__ = "0.1.0"
PROTOCOL_VERSION = "1"
