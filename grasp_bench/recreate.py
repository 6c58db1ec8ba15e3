"""A trial planned once more from its row alone, to look at it or to check it.

The clock decided how many candidates a trial saw. The row counts them, so the same number
drawn from the same streams gives the same plan, however fast this machine is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from itertools import islice

import pandas as pd
import torch
from torch import Tensor

from grasp_bench.closed_loop import ClosedLoop
from grasp_bench.columns import Row
from grasp_bench.errors import UserError
from grasp_bench.incumbent import Incumbent
from grasp_bench.judge import Verdict, execute
from grasp_bench.machine import describe_machine
from grasp_bench.models import LoadedModel, list_models, load_model
from grasp_bench.planners import make_planner
from grasp_bench.problems import (
    candidates_of,
    encode_problem,
    environment_actions,
    noise_streams,
)
from grasp_bench.registry import did_you_mean
from grasp_bench.tasks import load_tasks
from grasp_bench.types import Candidate, FloatArray, Planner, Problem, Task

_MACHINE_COLUMNS = ("torch_version", "cpu", "accelerator")


@dataclass(frozen=True)
class RecordedTrial:
    """What the planner of a row was given.

    Attributes:
        row: of the results file.
        task: by the row's id, from the frozen set.
        planner: with the row's hyperparameters.
        model: the world model with the row's weights.
        problem: of batch 1.
    """

    row: Row
    task: Task
    planner: Planner
    model: LoadedModel
    problem: Problem


@dataclass(frozen=True)
class PlannedAgain:
    """The plan a trial ended with, made anew and executed.

    Attributes:
        actions: [T, A] normalised, on the CPU.
        env_actions: [H, 2] the same for the environment.
        virtual_states: [T - 1, *Z] of a collocation planner in open loop, else None.
        iteration: of the planner, when it found the plan, or in closed loop its last part.
        cost: goal cost as the model predicts it.
        plan_sha256: of the plan's bytes.
        agrees: whether that is the row's.
        verdict: of executing it.
    """

    actions: Tensor
    env_actions: FloatArray
    virtual_states: Tensor | None
    iteration: int
    cost: float
    plan_sha256: str
    agrees: bool
    verdict: Verdict


def find_trial(trials: pd.DataFrame, pattern: str) -> Row:
    """The one row whose trial key is `pattern` or fits it (`grasp-*-h80-0003`).

    `grasp-*` is the planner of that name where there is one, not grasp-plus as well.

    Raises:
        UserError: no trial fits, or several do.
    """
    keys = trials["trial_key"].astype(str)
    fitting = keys.index[[key == pattern or fnmatchcase(key, pattern) for key in keys]]
    if len(fitting) == 0:
        raise UserError(f"no trial '{pattern}' in these results: {did_you_mean(pattern, keys[:9])}")
    if len(fitting) > 1:
        planners = trials["planner"][fitting].astype(str)
        named = fitting[[pattern.startswith(f"{planner}-*") for planner in planners]]
        fitting = named if len(named) else fitting
    if len(fitting) > 1:
        examples = ", ".join(keys[fitting[:3]])
        raise UserError(f"{len(fitting)} trials fit '{pattern}', such as {examples}: name one")
    return row_of(trials, int(fitting[0]))


def row_of(trials: pd.DataFrame, index: int) -> Row:
    """One row as plain Python values, null as None."""
    values = trials.loc[index].to_dict()
    return {str(name): None if pd.isna(value) else value for name, value in values.items()}


def recreate(row: Row, model: str | None = None, device: str | None = None) -> RecordedTrial:
    """The trial of a row, ready to be planned again.

    Args:
        row: of a results file.
        model: name or path of the checkpoint; by default found by the row's hash.
        device: torch device; by default the row's.

    Raises:
        UserError: the trial ended in an error, or its task set, planner or weights are not here.
    """
    if row["status"] != "ok":
        raise UserError(f"trial {row['trial_key']} ended in an error: there is no plan to look at")
    task_set = load_tasks(row["tasks"], int(row["horizon"]))
    if task_set.sha256 != row["task_set_sha256"]:
        raise UserError(
            f"trial {row['trial_key']} is of another {row['tasks']} task set "
            f"({row['task_set_sha256'][:12]}) than this version ships ({task_set.sha256[:12]})"
        )
    task = next(task for task in task_set.tasks if task.id == row["task_id"])
    planner = make_planner(row["planner"], json.loads(row["planner_config"]))
    where = device or row["device"]
    loaded = _model(row["model"], row["model_sha256"], model, where)
    if row["prior_sha256"] not in (None, loaded.prior_sha256):
        raise UserError(
            f"trial {row['trial_key']} used another action prior ({row['prior_sha256'][:12]}) "
            f"than '{loaded.name}' has ({str(loaded.prior_sha256)[:12]})"
        )
    seed = int(row["master_seed"])
    problem, _ = encode_problem([task], task_set.tasks, planner, loaded.model, seed, where)
    return RecordedTrial(row, task, planner, loaded, problem)


def plan_again(
    trial: RecordedTrial, on_candidate: Callable[[Candidate], None] = lambda _: None
) -> PlannedAgain:
    """Plan until as many candidates have come as the row counts, and execute the best.

    A closed-loop trial is replanned from where its plans lead in the simulator, as it was.

    Args:
        trial: see `recreate`.
        on_candidate: called with every candidate.

    Raises:
        UserError: the row's planner had no plan within its budget.
    """
    row = trial.row
    search = _plan_once if row["replan_every"] is None else _replan
    with torch_threads(int(row["threads"])):
        incumbent, chosen = search(trial, on_candidate)
    plan, sha256 = incumbent.plan, incumbent.sha256()
    if plan is None or sha256 is None or chosen is None:
        raise UserError(f"trial {row['trial_key']} had no plan within its budget")
    env_actions = environment_actions(plan[None], trial.problem)[0]
    states = chosen.virtual_states
    return PlannedAgain(
        actions=plan,
        env_actions=env_actions,
        virtual_states=None if states is None else states[0],
        iteration=chosen.iteration,
        cost=incumbent.cost,
        plan_sha256=sha256,
        agrees=sha256 == row["plan_sha256"],
        verdict=execute([trial.task], env_actions[None])[0],
    )


def _plan_once(
    trial: RecordedTrial, on_candidate: Callable[[Candidate], None]
) -> tuple[Incumbent, Candidate | None]:
    incumbent = Incumbent()
    noise = noise_streams([trial.task], trial.planner, int(trial.row["master_seed"]))
    candidates = candidates_of(trial.planner, trial.problem, noise)
    count = int(trial.row["candidates"])
    return incumbent, _best(islice(candidates, count), incumbent, on_candidate)


def _replan(
    trial: RecordedTrial, on_candidate: Callable[[Candidate], None]
) -> tuple[Incumbent, Candidate | None]:
    """The whole plan, and the last candidate that was taken into it."""
    row, chosen = trial.row, None
    loop = ClosedLoop([trial.task], trial.problem, int(row["replan_every"]))
    counts = map(int, str(row["replan_candidates"]).split())
    for planning, count in zip(loop.plannings(), counts, strict=False):  # it may have stopped
        noise = noise_streams([trial.task], trial.planner, int(row["master_seed"]), planning.number)
        candidates = candidates_of(trial.planner, planning.problem, noise)
        found = _best(islice(candidates, count), planning.incumbents[0], on_candidate)
        chosen = replace(found, virtual_states=None) if found is not None else chosen
        loop.carry_out(planning)
    return loop.committed[0], chosen


def _best(
    candidates: Iterator[Candidate],
    incumbent: Incumbent,
    on_candidate: Callable[[Candidate], None],
) -> Candidate | None:
    """The candidate that the incumbent was last taken from."""
    chosen = None
    for candidate in candidates:
        if incumbent.consider(candidate.actions[0], float(candidate.cost[0])):
            chosen = replace(candidate, virtual_states=_kept(candidate.virtual_states))
        on_candidate(candidate)
    return chosen


def agreement(trial: RecordedTrial, again: PlannedAgain) -> str:
    """One sentence: whether the plan is the row's, and if not, what may have changed it."""
    if again.agrees:
        return f"the plan is the row's, bit for bit (SHA-256 {again.plan_sha256[:12]})"
    row = trial.row
    here = vars(describe_machine(str(trial.problem.start.device)))
    reasons = [
        f"{name} {row[name]} then, {here[name]} now"
        for name in _MACHINE_COLUMNS
        if row[name] != here[name]
    ]
    if row["batch"] > 1:
        reasons.insert(0, f"then planned in a batch of {row['batch']}, now alone")
    because = "; ".join(reasons) or "the planner's code may have changed since"
    return (
        f"the plan is not the row's (SHA-256 {again.plan_sha256[:12]} instead of "
        f"{str(row['plan_sha256'])[:12]}): {because}"
    )


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Within it torch uses `count` threads: how sums are split over them decides their rounding."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@cache
def _model(name: str, sha256: str, asked_for: str | None, device: str) -> LoadedModel:
    if asked_for is not None:
        loaded = load_model(asked_for, device)
        if loaded.sha256 != sha256:
            raise UserError(
                f"'{asked_for}' holds other weights ({loaded.sha256[:12]}) than the trial was "
                f"planned with ({sha256[:12]}, '{name}')"
            )
        return loaded
    for summary in list_models():
        if summary.card.get("sha256") == sha256:
            return load_model(str(summary.path), device)
    if name in {summary.name for summary in list_models() if summary.path is None}:
        loaded = load_model(name, device)
        if loaded.sha256 == sha256:
            return loaded
    raise UserError(
        f"the world model '{name}' with the weights {sha256[:12]} is not here: "
        "give its checkpoint with --model"
    )


def _kept(states: Tensor | None) -> Tensor | None:
    return None if states is None else states.detach().clone()
