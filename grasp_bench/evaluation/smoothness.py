"""How the goal cost falls along the straight path in state space from start to goal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from envs.pusht import FloatArray
from grasp_bench.evaluation.encoding import encode_states
from grasp_bench.evaluation.held_out_tasks import HeldOutTasks
from grasp_bench.types import WorldModel

POINTS = 33
# What moves along a path, by columns of a state; the rest stands at the goal from the start.
PATHS: dict[str, tuple[int, ...]] = {
    "whole": (0, 1, 2, 3, 4, 5, 6),
    "block": (2, 3, 4),
    "angle": (4,),
    "agent": (0, 1, 5, 6),
}
_ANGLE = 4


@dataclass(frozen=True)
class Smoothness:
    """Goal costs along straight paths.

    Attributes:
        costs: by path, [K, P] goal costs at P even steps from start to goal.
    """

    costs: dict[str, FloatArray]

    def relative(self, path: str) -> FloatArray:
        """Costs [K, P] in units of the largest on their path."""
        costs = self.costs[path]
        largest = np.maximum(costs.max(axis=1, keepdims=True), np.finfo(np.float64).tiny)
        relative: FloatArray = costs / largest
        return relative

    def to_json(self) -> dict[str, Any]:
        """Per path: share of steps that lower the cost, and rank correlation with distance."""
        report = {}
        for path, costs in self.costs.items():
            monotone = (np.diff(costs, axis=1) < 0).mean(axis=1)
            spearman = [_distance_correlation(row) for row in costs]
            report[path] = {
                "falling_steps_mean": round(float(monotone.mean()), 4),
                "spearman_mean": round(float(np.mean(spearman)), 4),
                "spearman_median": round(float(np.median(spearman)), 4),
            }
        return report


def _distance_correlation(costs: FloatArray) -> float:
    # A flat cost orders nothing; Spearman's coefficient is not defined there.
    if np.ptp(costs) == 0:
        return 0.0
    return float(spearmanr(costs, -np.arange(len(costs))).statistic)


def straight_path(
    start: FloatArray, goal: FloatArray, columns: tuple[int, ...], points: int
) -> FloatArray:
    """States [K, P, 7] from starts [K, 7] to goals [K, 7] in even steps.

    Only `columns` move; the others have the goal's values throughout. Angles take the
    shorter way round.
    """
    change = goal - start
    change[:, _ANGLE] = (change[:, _ANGLE] + np.pi) % (2 * np.pi) - np.pi
    still = np.setdiff1d(np.arange(start.shape[1]), columns)
    change[:, still] = 0.0
    remaining = np.linspace(1.0, 0.0, points)[:, None]
    path: FloatArray = goal[:, None] - remaining * change[:, None]
    return path


@torch.no_grad()
def measure_smoothness(model: WorldModel, tasks: HeldOutTasks, points: int = POINTS) -> Smoothness:
    """Goal costs of pictures of interpolated states, for each of `PATHS`.

    The true distance to the goal falls evenly along each path, in whatever units: a cost
    that a planner can descend falls with every step and orders the states as it does. The
    interpolated states need not be reachable, and agent and block may overlap in them.
    """
    costs = {}
    for name, columns in PATHS.items():
        states = straight_path(tasks.start_states, tasks.goal_states, columns, points)
        latents = encode_states(model, states.reshape(-1, states.shape[-1]))
        latents = latents.reshape(len(tasks), points, *model.latent_shape)
        goals = tasks.goal[:, None].expand_as(latents)
        costs[name] = model.distance(latents, goals).double().cpu().numpy()
    return Smoothness(costs)
