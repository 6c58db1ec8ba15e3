"""What a world model knows, measured on held-out demonstrations with no planner involved."""

from typing import Literal

Section = Literal["probes", "ranking", "smoothness", "brittleness"]

SECTIONS: tuple[Section, ...] = ("probes", "ranking", "smoothness", "brittleness")
