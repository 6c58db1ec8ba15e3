"""Turns tasks into planning problems: encoded ends, a reference where asked for, and noise."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from grasp_bench.core.errors import UserError
from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.seeds import trial_seed
from grasp_bench.core.types import (
    ActionPrior,
    FloatArray,
    Observation,
    Planner,
    Problem,
    StateProbe,
    Task,
    WorldModel,
)
from grasp_bench.envs import Environment, PlanOutcome
from grasp_bench.planners.objective import end_cost, goal_cost
from grasp_bench.planners.rollout import rollout
from grasp_bench.tasks import TaskSet
from grasp_bench.trial.clock import synchronise
from grasp_bench.trial.protocol import TrialProtocol


def noise_streams(
    tasks: Sequence[Task], planner: Planner, master_seed: int, planning: int = 0
) -> NoiseStreams:
    """Returns one stream per task; in closed loop each planning after the first has its own."""
    # A stream apart, so that a planning does not depend on what those before it have drawn.
    name = f"{planner.name}/replanning {planning}" if planning else planner.name
    return NoiseStreams.from_seeds([trial_seed(master_seed, task.id, name) for task in tasks])


def encode_problem(
    task_set: TaskSet,
    tasks: Sequence[Task],
    planner: Planner,
    model: WorldModel,
    protocol: TrialProtocol,
) -> tuple[Problem, float]:
    """Returns the problem of B tasks, and the seconds that encoding it took.

    Args:
        task_set: the tasks' environment and all tasks of the horizon. A planner whose
            `reference` is "other" is handed the demonstration of one of them.
        tasks: B of them.
        planner: says which reference it wants.
        model: encodes start and goal.
        protocol: names the device, what planners are told, and the seed that decides whose
            demonstration "other" is.
    """
    environment = task_set.environment
    start = environment.observe(np.stack([task.start_state for task in tasks]), model.view)
    goal = environment.observe(np.stack([task.goal_state for task in tasks]), model.view)
    with torch.no_grad():
        (z_start, z_goal), seconds = _encoded([start, goal], model, protocol.device)
        reference = _reference(tasks, task_set.pool, planner, protocol.master_seed)
        if reference is not None:
            reference = model.normalise_actions(reference.to(z_start))
    steps = task_set.horizon // model.frameskip
    prior: ActionPrior | None = getattr(model, "prior", None)
    limits = _action_limits(environment, model, z_start) if protocol.action_limits else None
    problem = Problem(model, z_start, z_goal, steps, reference, prior, limits, protocol.objective)
    return problem, seconds


def remaining_problem(
    problem: Problem, environment: Environment, states: FloatArray, done: int
) -> tuple[Problem, float]:
    """Returns what is left of a problem when `done` model steps have led to states [B, S].

    Its start is encoded anew; also gives the seconds that this took.
    """
    device, reference = str(problem.start.device), problem.reference_actions
    observation = environment.observe(states, problem.model.view)
    (start,), seconds = _encoded([observation], problem.model, device)
    rest = replace(
        problem,
        start=start,
        steps=problem.steps - done,
        reference_actions=None if reference is None else reference[:, done:],
    )
    return rest, seconds


def environment_actions(plans: Tensor, problem: Problem) -> FloatArray:
    """Returns environment actions [B, H, E] of plans [B, T, A], wherever those are.

    They are float32 numbers, which is what results store.

    Raises:
        UserError: some are not finite.
    """
    actions = problem.model.denormalise_actions(plans.to(problem.start.device))
    if not bool(actions.isfinite().all()):
        raise UserError("the world model turns a plan into actions that are not finite")
    return actions.detach().cpu().numpy().astype(np.float32).astype(np.float64)


def realised_costs(
    environment: Environment, outcomes: Sequence[PlanOutcome], problem: Problem
) -> list[float]:
    """Returns the goal costs of where B plans really ended, of the problem's B goals."""
    model, visited = problem.model, np.stack([outcome.states for outcome in outcomes])
    last = visited[:, model.frameskip :: model.frameskip][:, -problem.objective.goal_steps :]
    with torch.no_grad():
        ends = [
            model.encode(environment.observe(states, model.view)) for states in last.swapaxes(0, 1)
        ]
        costs: list[float] = end_cost(problem, ends).tolist()
    return costs


def demonstration_costs(tasks: Sequence[Task], problem: Problem) -> list[float]:
    """Returns the goal cost that the model predicts for each task's demonstration, [B]."""
    actions = torch.from_numpy(np.stack([task.demo_actions for task in tasks]))
    with torch.no_grad():
        plans = problem.model.normalise_actions(actions.to(problem.start))
        costs: list[float] = goal_cost(problem, plans).tolist()
    return costs


def successes_in_model(
    environment: Environment,
    tasks: Sequence[Task],
    problem: Problem,
    plans: Sequence[FloatArray | None],
) -> list[bool | None]:
    """Tells whether B plans [H, E] succeed in the states that the model predicts for them.

    The model's probe reads these states; the criterion is the environment's default one. A
    missing plan does not succeed. All is None for a model without a probe.
    """
    model = problem.model
    probe: StateProbe | None = getattr(model, "probe", None)
    given = [(b, plan) for b, plan in enumerate(plans) if plan is not None]
    found: list[bool | None] = [None if probe is None else False] * len(plans)
    if probe is None or not given:
        return found
    rows = [b for b, _ in given]
    with torch.no_grad():
        actions = torch.from_numpy(np.stack([plan for _, plan in given])).to(problem.start)
        latents = rollout(model, problem.start[rows], model.normalise_actions(actions))
        read = probe.read(latents.flatten(0, 1)).reshape(*latents.shape[:2], -1)
    starts = np.stack([tasks[b].start_state for b in rows])[:, None]
    goals = np.stack([tasks[b].goal_state for b in rows])
    outcomes = environment.outcomes(np.concatenate([starts, read], axis=1), goals)
    for b, outcome in zip(rows, outcomes, strict=True):
        found[b] = outcome.success
    return found


def _action_limits(
    environment: Environment, model: WorldModel, like: Tensor
) -> tuple[Tensor, Tensor] | None:
    """Returns the lowest and highest normalised action [A] that the environment carries out."""
    if environment.action_limits is None:
        return None
    ends = [
        like.new_full((model.frameskip, environment.action_dim), x)
        for x in environment.action_limits
    ]
    with torch.no_grad():
        low, high = (model.normalise_actions(end).reshape(-1) for end in ends)
    return torch.minimum(low, high), torch.maximum(low, high)


def _encoded(
    observations: Sequence[Observation], model: WorldModel, device: str
) -> tuple[list[Tensor], float]:
    """Returns latents [B, *Z] of every observation, and the seconds they took."""
    with torch.no_grad():
        synchronise(device)
        begin = time.perf_counter()
        latents = [model.encode(observation) for observation in observations]
        synchronise(device)
        seconds = time.perf_counter() - begin
    for latent in latents:
        if latent.device.type != torch.device(device).type:
            raise UserError(f"the world model is on {latent.device}, the trial on '{device}'")
        if not bool(latent.isfinite().all()):
            raise UserError("the world model encodes a picture as numbers that are not finite")
    return latents, seconds


def _reference(
    tasks: Sequence[Task], pool: Sequence[Task], planner: Planner, master_seed: int
) -> Tensor | None:
    """Returns environment actions [B, H, E] of a demonstration per task."""
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
    if not others:
        raise UserError(f"'{planner.name}' needs another task than {task.id} at its horizon")
    return others[int(np.random.default_rng(seed).integers(len(others)))]
