"""Declares where hyperparameters of a planner are looked for.

A planner that can be tuned has `search_space: ClassVar[SearchSpace]`: some of its fields, each
with its range. Every point of it must be a valid planner, and the defaults lie within.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class IntRange:
    """Holds whole numbers from `low` to `high`, both included, by default on a log scale."""

    low: int
    high: int
    log: bool = True

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int) and self.low <= value <= self.high


@dataclass(frozen=True)
class FloatRange:
    """Holds numbers from `low` to `high`, both included, by default on a log scale."""

    low: float
    high: float
    log: bool = True

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """Holds values in no order, of which one is chosen."""

    values: tuple[str | int | float | bool | None, ...]

    def __contains__(self, value: object) -> bool:
        return value in self.values


SearchSpace = Mapping[str, IntRange | FloatRange | Choice]
