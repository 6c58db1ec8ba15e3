"""Measures what a world model knows, on held-out demonstrations and without a planner."""

from typing import Literal

Section = Literal["probes", "ranking", "smoothness", "brittleness"]

SECTIONS: tuple[Section, ...] = ("probes", "ranking", "smoothness", "brittleness")
