"""Tasks as planning problems: encoded ends, a reference where asked for, and the noise."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from grasp_bench.clock import synchronise
from grasp_bench.models import observe
from grasp_bench.types import (
    ActionPrior,
    Candidate,
    FloatArray,
    NoiseStreams,
    Observation,
    Planner,
    Problem,
    Task,
    WorldModel,
)


def trial_seed(master_seed: int, task_id: str, planner_name: str) -> int:
    """The 64-bit seed of a trial's stream, whatever its batch, worker, order or resume."""
    text = f"{master_seed}|{task_id}|{planner_name}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def noise_streams(
    tasks: Sequence[Task], planner: Planner, master_seed: int, planning: int = 0
) -> NoiseStreams:
    """One stream per task; in closed loop each planning after the first has its own."""
    # A stream apart, so that a planning does not depend on what those before it have drawn.
    name = f"{planner.name}/replanning {planning}" if planning else planner.name
    return NoiseStreams.from_seeds([trial_seed(master_seed, task.id, name) for task in tasks])


def candidates_of(planner: Planner, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
    """A planner's candidates, its work before the first one done when that is asked for."""
    yield from planner.plan(problem, noise)


def encode_problem(
    tasks: Sequence[Task],
    pool: Sequence[Task],
    planner: Planner,
    model: WorldModel,
    master_seed: int,
    device: str,
) -> tuple[Problem, float]:
    """The problem of B tasks of one horizon, and the seconds that encoding it took.

    `pool` holds all tasks of that set and horizon: a planner whose `reference` is "other"
    is handed the demonstration of one of them.
    """
    start = observe(np.stack([task.start_state for task in tasks]), model)
    goal = observe(np.stack([task.goal_state for task in tasks]), model)
    with torch.no_grad():
        (z_start, z_goal), seconds = _encoded([start, goal], model, device)
        reference = _reference(tasks, pool, planner, master_seed)
        if reference is not None:
            reference = model.normalise_actions(reference.to(z_start))
    steps = tasks[0].horizon // model.frameskip
    prior: ActionPrior | None = getattr(model, "prior", None)
    return Problem(model, z_start, z_goal, steps, reference, prior), seconds


def remaining_problem(problem: Problem, states: FloatArray, done: int) -> tuple[Problem, float]:
    """What is left of a problem when `done` model steps have led to states [B, 7].

    Its start is encoded anew; also gives the seconds that this took.
    """
    device, reference = str(problem.start.device), problem.reference_actions
    (start,), seconds = _encoded([observe(states, problem.model)], problem.model, device)
    rest = replace(
        problem,
        start=start,
        steps=problem.steps - done,
        reference_actions=None if reference is None else reference[:, done:],
    )
    return rest, seconds


def environment_actions(plans: Tensor, problem: Problem) -> FloatArray:
    """Environment actions [B, H, 2] of plans [B, T, A], wherever those are."""
    actions = problem.model.denormalise_actions(plans.to(problem.start.device))
    return actions.cpu().numpy().astype(np.float64)


def _encoded(
    observations: Sequence[Observation], model: WorldModel, device: str
) -> tuple[list[Tensor], float]:
    """Latents [B, *Z] of every observation, and the seconds they took."""
    with torch.no_grad():
        synchronise(device)
        begin = time.perf_counter()
        latents = [model.encode(observation) for observation in observations]
        synchronise(device)
    return latents, time.perf_counter() - begin


def _reference(
    tasks: Sequence[Task], pool: Sequence[Task], planner: Planner, master_seed: int
) -> Tensor | None:
    """Environment actions [B, H, 2] of a demonstration per task."""
    if planner.reference == "none":
        return None
    sources = list(tasks)
    if planner.reference == "other":
        sources = [_other_task(task, pool, planner, master_seed) for task in tasks]
    return torch.from_numpy(np.stack([source.demo_actions for source in sources]))


def _other_task(task: Task, pool: Sequence[Task], planner: Planner, master_seed: int) -> Task:
    # A stream apart from the planner's, so that neither shifts the other's numbers.
    seed = trial_seed(master_seed, task.id, f"{planner.name}/reference")
    others = [other for other in pool if other.id != task.id]
    return others[int(np.random.default_rng(seed).integers(len(others)))]
