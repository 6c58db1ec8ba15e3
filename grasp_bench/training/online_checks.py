"""What each round of online fine-tuning is held against: exploitation gap, open-loop error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from grasp_bench.judge import execute
from grasp_bench.models.latent import LatentWorldModel
from grasp_bench.models.observation import observe
from grasp_bench.rollout import rollout
from grasp_bench.training.data import Demonstrations
from grasp_bench.training.online_plans import environment_actions, planned
from grasp_bench.training.online_recipe import PlanSource
from grasp_bench.types import Task

PROMISED = 0.02  # goal cost; for the compact model that of block and agent each 17 px off
OPEN_LOOP_STEPS = (1, 4, 8, 12, 16)
_EPISODES = 300


@dataclass(frozen=True)
class ExploitationGap:
    """How far a planner's plans fall short of what the model promises; means over tasks.

    Attributes:
        planner: its name.
        horizon: environment steps.
        tasks: how many.
        predicted: goal cost of the final plans as the model predicts it.
        realised: goal cost of where they really end.
        gap: predicted minus realised; below zero where the model promises too much.
        success: share of final plans that succeed (blind success).
        exploited: share that fail although the model promises a goal cost below PROMISED; the
            other failures are plans that the planner could not make better.
    """

    planner: str
    horizon: int
    tasks: int
    predicted: float
    realised: float
    gap: float
    success: float
    exploited: float


def exploitation_gap(
    model: LatentWorldModel, source: PlanSource, tasks: list[Task], seed: int
) -> ExploitationGap:
    """The gap of a planner's final plans for tasks of one horizon."""
    problem, plans = planned(model, source, tasks, seed, last_only=True)
    plan, cost = plans[-1]
    verdicts = execute(tasks, environment_actions(model, plan))
    with torch.no_grad():
        ends = model.encode(observe(np.stack([v.final_state for v in verdicts]), model))
        realised = float(model.distance(ends, problem.goal).mean())
    predicted, success = float(cost.mean()), np.array([v.success for v in verdicts])
    promised = (cost < PROMISED).cpu().numpy()
    return ExploitationGap(
        planner=source.planner,
        horizon=tasks[0].horizon,
        tasks=len(tasks),
        predicted=round(predicted, 5),
        realised=round(realised, 5),
        gap=round(predicted - realised, 5),
        success=round(float(success.mean()), 4),
        exploited=round(float((promised & ~success).mean()), 4),
    )


@torch.no_grad()
def open_loop_distance(
    model: LatentWorldModel, held_out: Demonstrations
) -> dict[str, dict[str, float]]:
    """Goal cost between predicted and true latents after 1 to 16 model steps, by step.

    Under the demonstrations' own actions, medians and means over held-out episodes; beside
    them the copy floor, which says that nothing moves. Fine-tuning leaves the encoder as it
    is, so the figures of its rounds compare.
    """
    skip = model.frameskip
    states, actions = held_out.states[:_EPISODES], held_out.actions[:_EPISODES]
    steps = [t for t in OPEN_LOOP_STEPS if t * skip <= actions.shape[1]]
    used = torch.from_numpy(actions[:, : max(steps) * skip]).to(model.action_mean.device)
    start = model.encode(observe(states[:, 0], model))
    predicted = rollout(model, start, model.normalise_actions(used))
    found = {}
    for t in steps:
        truth = model.encode(observe(states[:, t * skip], model))
        error, floor = model.distance(predicted[:, t - 1], truth), model.distance(start, truth)
        found[str(t)] = {
            "median": round(float(error.median()), 5),
            "mean": round(float(error.mean()), 5),
            "copy_median": round(float(floor.median()), 5),
            "copy_mean": round(float(floor.mean()), 5),
        }
    return found
