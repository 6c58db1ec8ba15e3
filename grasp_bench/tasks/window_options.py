"""Says which windows of a recording become tasks."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from grasp_bench.core.errors import UserError

EpisodeSplit = Literal["all", "eval", "tune", "train"]
# Percent of the episodes, in the order in which a permutation of them is cut. Evaluation gets
# most: of 206 human demonstrations some half are long enough for 100 tasks of 80 steps.
SHARES: dict[EpisodeSplit, int] = {"eval": 60, "tune": 15, "train": 25}
MOST_WINDOWS, LONGEST_HORIZON, MOST_HORIZONS = 100, 1000, 50


@dataclass(frozen=True)
class WindowOptions:
    """Holds what decides which windows of a recording become tasks.

    Attributes:
        horizons: H, environment steps, increasing.
        windows: at most so many of each episode and horizon; they share no step.
        split: which episodes.
        seed: of the starts. The split does not depend on it.

    Raises:
        UserError: a value is out of its range.
    """

    horizons: tuple[int, ...]
    windows: int = 1
    split: EpisodeSplit = "eval"
    seed: int = 0

    def __post_init__(self) -> None:
        if sorted(set(self.horizons)) != list(self.horizons) or not self.horizons:
            raise UserError(f"horizons {self.horizons}: expected increasing numbers")
        if not 1 <= min(self.horizons) <= max(self.horizons) <= LONGEST_HORIZON:
            raise UserError(f"horizons {self.horizons}: expected 1 to {LONGEST_HORIZON}")
        if len(self.horizons) > MOST_HORIZONS:
            raise UserError(f"{len(self.horizons)} horizons: expected at most {MOST_HORIZONS}")
        if not 1 <= self.windows <= MOST_WINDOWS:
            raise UserError(f"{self.windows} windows: expected 1 to {MOST_WINDOWS}")
        if self.seed < 0:
            raise UserError(f"seed {self.seed}: expected 0 or more")

    def facts(self) -> dict[str, Any]:
        """Returns the options as plain JSON, the shares of the split included."""
        return asdict(self) | {"horizons": list(self.horizons), "shares": dict(SHARES)}
