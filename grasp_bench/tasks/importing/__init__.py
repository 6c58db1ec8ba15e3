"""Recordings of Push-T that other people published, read into one form."""

from grasp_bench.tasks.importing.layouts import read_recording
from grasp_bench.tasks.importing.recording import Recording

__all__ = ["Recording", "read_recording"]
