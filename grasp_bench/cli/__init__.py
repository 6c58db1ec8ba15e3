"""Runs the command line: parses, calls one function, prints."""

from grasp_bench.cli.app import main

__all__ = ["main"]
