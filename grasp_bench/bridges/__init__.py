"""Connects this package with other libraries of the field, each imported when it is used."""
