"""Versions of the package and of its evaluation protocol."""

__version__ = "0.2.0"
PROTOCOL_VERSION = "1"
