"""What planners do with a model, executed: episodes to learn from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from envs.pusht import rollout
from grasp_bench.errors import UserError
from grasp_bench.models.latent import LatentWorldModel
from grasp_bench.planners.configure import make_planner
from grasp_bench.problems import encode_problem, noise_streams
from grasp_bench.tasks import is_task
from grasp_bench.training.data import Demonstrations
from grasp_bench.training.online_recipe import PlanSource
from grasp_bench.types import NoiseStreams, Planner, Problem, Task

_DRAWS = 1_000  # for one task, before the data is said to hold none


def demonstration_tasks(
    data: Demonstrations, horizon: int, count: int, generator: np.random.Generator, prefix: str
) -> list[Task]:
    """Tasks as the frozen sets have them, cut from random episodes of a dataset.

    Args:
        data: demonstrations of at least `horizon` steps.
        horizon: environment steps from start to goal.
        count: tasks.
        generator: chooses episodes and where they are cut.
        prefix: of the tasks' ids, from which planners' random streams derive.

    Raises:
        UserError: the episodes are shorter than the horizon, or hold no tasks.
    """
    latest = data.actions.shape[1] - horizon
    if latest < 0:
        raise UserError(
            f"tasks of {horizon} steps do not fit into demonstrations of {data.actions.shape[1]}"
        )
    tasks: list[Task] = []
    for _ in range(_DRAWS * count):
        if len(tasks) == count:
            return tasks
        episode, begin = int(generator.integers(len(data.states))), generator.integers(latest + 1)
        start = data.states[episode, begin].astype(np.float64)
        actions = data.actions[episode, begin : begin + horizon].astype(np.float64)
        goal = rollout(start[None], actions[None])[0, -1]
        if is_task(start, goal):
            tasks.append(Task(f"{prefix}-{len(tasks):04d}", horizon, start, goal, actions))
    raise UserError(f"the demonstrations hold too few tasks of {horizon} steps: no block moves")


def incumbents(
    planner: Planner, problem: Problem, noise: NoiseStreams, moments: tuple[int, ...]
) -> Iterator[tuple[Tensor, Tensor]]:
    """The best plans so far [B, T, A] and their model costs [B] after so many candidates."""
    best, lowest = None, None
    for count, candidate in enumerate(planner.plan(problem, noise), start=1):
        if best is None or lowest is None:
            best, lowest = candidate.actions.clone(), candidate.cost.clone()
        else:
            better = candidate.cost < lowest
            best = torch.where(better[:, None, None], candidate.actions, best)
            lowest = torch.where(better, candidate.cost, lowest)
        if count in moments:
            yield best, lowest
        if count >= max(moments):
            return


def planned(
    model: LatentWorldModel, source: PlanSource, tasks: list[Task], seed: int, last_only: bool
) -> tuple[Problem, list[tuple[Tensor, Tensor]]]:
    """The problem that tasks pose and the plans that a planner would execute in it."""
    planner = make_planner(source.planner, source.settings)
    device = str(model.visual_mean.device)
    problem, _ = encode_problem(tasks, tasks, planner, model, seed, device)
    moments = source.executed[-1:] if last_only else source.executed
    return problem, list(incumbents(planner, problem, noise_streams(tasks, planner, seed), moments))


def executed_plans(
    model: LatentWorldModel, source: PlanSource, tasks: list[Task], seed: int
) -> Demonstrations:
    """Episodes of a planner's plans, finished and unfinished, for tasks of one horizon.

    The actions are those the planner asked for, so that the model learns what the simulator
    makes of actions beyond its limits.
    """
    _, plans = planned(model, source, tasks, seed, last_only=False)
    actions = np.concatenate([environment_actions(model, plan) for plan, _ in plans])
    starts = np.tile(np.stack([task.start_state for task in tasks]), (len(plans), 1))
    return Demonstrations(rollout(starts, actions), actions)


def environment_actions(model: LatentWorldModel, plans: Tensor) -> np.ndarray:
    """Environment actions [B, H, 2] of plans [B, T, A]."""
    return model.denormalise_actions(plans).cpu().numpy().astype(np.float64)
