"""Protocols, data types, errors, the registry, seeds: what every room may use."""
