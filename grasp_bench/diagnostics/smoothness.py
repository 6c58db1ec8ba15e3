"""Measures how the goal cost falls along the straight path from start to goal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from grasp_bench.core.types import FloatArray, WorldModel
from grasp_bench.diagnostics.encoding import encode_states, rounded
from grasp_bench.diagnostics.held_out_tasks import HeldOutTasks

_POINTS = 33
# Columns of a state that move along a path; the others have the goal's values throughout.
_PATHS: dict[str, tuple[int, ...]] = {
    "whole": (0, 1, 2, 3, 4, 5, 6),
    "block": (2, 3, 4),
    "angle": (4,),
    "agent": (0, 1, 5, 6),
}
_ANGLE = 4


@dataclass(frozen=True)
class Smoothness:
    """Holds goal costs along straight paths.

    Attributes:
        costs: by path, [K, P] goal costs at P evenly spaced points from start to goal.
    """

    costs: dict[str, FloatArray]

    def relative(self, path: str) -> FloatArray:
        """Returns costs [K, P] in units of the largest on their path."""
        costs = self.costs[path]
        largest = np.maximum(costs.max(axis=1, keepdims=True), np.finfo(np.float64).tiny)
        relative: FloatArray = costs / largest
        return relative

    def to_json(self) -> dict[str, Any]:
        """Returns per path the share of falling steps and the rank correlation with distance."""
        report = {}
        for path, costs in self.costs.items():
            # Spearman's coefficient is not defined for a constant cost.
            spearman = [
                spearmanr(row, -np.arange(len(row))).statistic if np.ptp(row) else 0.0
                for row in costs
            ]
            figures = {
                "falling_steps_mean": (np.diff(costs, axis=1) < 0).mean(axis=1).mean(),
                "spearman_mean": np.mean(spearman),
                "spearman_median": np.median(spearman),
            }
            report[path] = rounded(figures)
        return report


def straight_path(
    start: FloatArray, goal: FloatArray, columns: tuple[int, ...], points: int
) -> FloatArray:
    """Returns P = `points` states [K, P, 7] from starts [K, 7] to goals [K, 7] in even steps.

    Only `columns` move; the others have the goal's values throughout. Angles turn the
    shorter way.
    """
    change = goal - start
    change[:, _ANGLE] = (change[:, _ANGLE] + np.pi) % (2 * np.pi) - np.pi
    still = np.setdiff1d(np.arange(start.shape[1]), columns)
    change[:, still] = 0.0
    remaining = np.linspace(1.0, 0.0, points)[:, None]
    path: FloatArray = goal[:, None] - remaining * change[:, None]
    return path


@torch.no_grad()
def measure_smoothness(model: WorldModel, tasks: HeldOutTasks, points: int = _POINTS) -> Smoothness:
    """Measures the goal costs of pictures of interpolated states, for each of `_PATHS`.

    The true distance to the goal falls evenly along each path. A cost that a planner can
    descend falls with every step and orders the states alike. The interpolated states need
    not be reachable; agent and block may overlap in them.
    """
    costs = {}
    for name, columns in _PATHS.items():
        states = straight_path(tasks.start_states, tasks.goal_states, columns, points)
        latents = encode_states(model, states.reshape(-1, states.shape[-1]))
        latents = latents.reshape(len(tasks), points, *model.latent_shape)
        goals = tasks.goal[:, None].expand_as(latents)
        costs[name] = model.distance(latents, goals).double().cpu().numpy()
    return Smoothness(costs)
