"""Ranks the demonstration's goal cost among the goal costs of alternative plans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from grasp_bench.core.types import FloatArray, Problem, WorldModel
from grasp_bench.diagnostics.held_out_tasks import HeldOutTasks
from grasp_bench.planners.objective import goal_cost
from grasp_bench.tasks.demonstrations import Demonstrations

# Standard deviations of the noise on every action, in units of the data's own.
_PERTURBATIONS = (0.05, 0.1, 0.25, 0.5, 1.0)
WELL_RANKED = 0.95


@dataclass(frozen=True)
class ActionStatistics:
    """Describes the stationary Gaussian process that resembles demonstrators' actions.

    Attributes:
        mean: [2].
        covariance: [2, 2].
        memory: correlation of an action with the next.
    """

    mean: FloatArray
    covariance: FloatArray
    memory: float

    @classmethod
    def of(cls, actions: FloatArray) -> ActionStatistics:
        """Computes the moments of actions [N, L, 2]."""
        flat = actions.reshape(-1, actions.shape[-1])
        centred = actions - flat.mean(0)
        memory = (centred[:, 1:] * centred[:, :-1]).mean() / (centred**2).mean()
        return cls(flat.mean(0), np.cov(flat.T), float(memory))

    @property
    def std(self) -> FloatArray:
        """Returns the standard deviations [2]."""
        deviation: FloatArray = np.sqrt(np.diag(self.covariance))
        return deviation

    def sample(self, count: int, steps: int, rng: np.random.Generator) -> FloatArray:
        """Draws plans [count, steps, 2] of a first-order autoregression with these moments."""
        noise = rng.multivariate_normal(np.zeros(2), self.covariance, (steps, count))
        deviation = noise[0]
        plans = [deviation]
        for fresh in noise[1:]:
            deviation = self.memory * deviation + np.sqrt(1 - self.memory**2) * fresh
            plans.append(deviation)
        clipped: FloatArray = np.clip(self.mean + np.stack(plans, axis=1), -1.0, 1.0)
        return clipped


@dataclass(frozen=True)
class Ranking:
    """Holds the shares of alternatives that cost more than the demonstration.

    A tie counts half.

    Attributes:
        beaten: by kind of alternative, [K] shares, one per task; "all" is of all kinds.
        counts: alternatives per task of each kind.
    """

    beaten: dict[str, FloatArray]
    counts: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """Returns per kind the mean and median share, and the share of tasks with 95% beaten."""
        return {
            kind: {
                "plans": self.counts[kind],
                "beaten_mean": round(float(shares.mean()), 4),
                "beaten_median": round(float(np.median(shares)), 4),
                "tasks_beating_95": round(float((shares >= WELL_RANKED).mean()), 4),
            }
            for kind, shares in self.beaten.items()
        }


def alternative_plans(
    tasks: HeldOutTasks,
    index: int,
    pool: Demonstrations,
    statistics: ActionStatistics,
    count: int,
    rng: np.random.Generator,
) -> dict[str, FloatArray]:
    """Draws about `count` plans [n, H, 2] to rank a task's demonstration among, by kind.

    A quarter are actions of other held-out episodes. A quarter are random plans with the
    data's statistics. Half are the demonstration under noise, equally many per noise level.
    """
    demo, horizon = tasks.actions[index], tasks.horizon
    near = max(1, count // (2 * len(_PERTURBATIONS)))
    rest = max(2, count - near * len(_PERTURBATIONS))
    others = np.delete(np.arange(len(pool.actions)), tasks.episodes[index])
    episodes = rng.choice(others, rest // 2)
    begins = rng.integers(0, pool.actions.shape[1] - horizon + 1, rest // 2)
    steps = begins[:, None] + np.arange(horizon)
    plans = {
        "other episodes": pool.actions[episodes[:, None], steps].astype(np.float64),
        "random": statistics.sample(rest - rest // 2, horizon, rng),
    }
    for level in _PERTURBATIONS:
        noise = level * statistics.std * rng.normal(size=(near, *demo.shape))
        plans[f"demonstration + {level:g} std"] = np.clip(demo + noise, -1.0, 1.0)
    return plans


@torch.no_grad()
def rank_demonstrations(
    model: WorldModel,
    tasks: HeldOutTasks,
    train: Demonstrations,
    held_out: Demonstrations,
    alternatives: int,
    seed: int,
) -> Ranking:
    """Ranks every task's demonstration by the goal cost that the model predicts."""
    statistics = ActionStatistics.of(train.actions.astype(np.float64))
    rng = np.random.default_rng(seed)
    shares: dict[str, list[float]] = {}
    counts: dict[str, int] = {}
    for index in range(len(tasks)):
        plans = alternative_plans(tasks, index, held_out, statistics, alternatives, rng)
        counts = {kind: len(actions) for kind, actions in plans.items()}
        stacked = np.concatenate([tasks.actions[index][None], *plans.values()])
        start, goal = tasks.start[index : index + 1], tasks.goal[index : index + 1]
        actions = model.normalise_actions(torch.from_numpy(stacked).to(start))
        problem = Problem(model, start, goal, tasks.horizon // model.frameskip)
        costs = goal_cost(problem, actions[None])[0].double().cpu().numpy()
        demo, others = costs[0], costs[1:]
        beaten = (others > demo) + 0.5 * (others == demo)
        shares.setdefault("all", []).append(float(beaten.mean()))
        ends = np.cumsum(list(counts.values()))[:-1]
        for kind, part in zip(counts, np.split(beaten, ends), strict=True):
            shares.setdefault(kind, []).append(float(part.mean()))
    return Ranking(
        {kind: np.array(values) for kind, values in shares.items()},
        {"all": sum(counts.values()), **counts},
    )
