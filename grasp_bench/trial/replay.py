"""Plans a recorded trial once more from its row alone, to look at it or to check it.

The clock decided how many candidates a trial saw. The row counts them, so the same number
drawn from the same streams gives the same plan, however fast this machine is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, cast

import pandas as pd
from torch import Tensor

from grasp_bench.core.errors import UserError, describe
from grasp_bench.core.plugins import file_sha256
from grasp_bench.core.registry import did_you_mean
from grasp_bench.core.system import describe_system, torch_threads
from grasp_bench.core.types import Candidate, FloatArray, Planner, Problem, Row, Task
from grasp_bench.envs import PlanOutcome
from grasp_bench.models import LoadedModel, list_models, load_model
from grasp_bench.planners import make_planner
from grasp_bench.tasks import TaskSet, load_tasks
from grasp_bench.trial.clock import IterationClock
from grasp_bench.trial.closed_loop import ClosedLoop
from grasp_bench.trial.drive import Limits, Meter, drive
from grasp_bench.trial.outcome import execute
from grasp_bench.trial.problems import encode_problem, environment_actions, noise_streams
from grasp_bench.trial.protocol import TrialProtocol
from grasp_bench.trial.trial_state import Incumbent

OnCandidate = Callable[[Candidate], None]
_SYSTEM_COLUMNS = ("torch_version", "cpu", "accelerator", "compiler")


@dataclass(frozen=True)
class RecordedTrial:
    """Holds what the planner of a row was given.

    Attributes:
        row: of the results file.
        task_set: that the task is from.
        task: by the row's id.
        planner: with the row's hyperparameters.
        model: the world model with the row's weights.
        problem: of batch 1.
    """

    row: Row
    task_set: TaskSet
    task: Task
    planner: Planner
    model: LoadedModel
    problem: Problem


@dataclass(frozen=True)
class Replay:
    """The plan a trial ended with, made anew and executed.

    Attributes:
        actions: [T, A] normalised, on the CPU.
        env_actions: [H, E] the same for the environment.
        virtual_states: [T - 1, *Z] of a collocation planner in open loop, else None.
        iteration: of the planner, when it found the plan, or in closed loop its last part.
        cost: goal cost as the model predicts it.
        plan_sha256: of the plan's bytes.
        agrees: whether that is the row's.
        outcome: of executing it.
    """

    actions: Tensor
    env_actions: FloatArray
    virtual_states: Tensor | None
    iteration: int
    cost: float
    plan_sha256: str
    agrees: bool
    outcome: PlanOutcome


def find_trial(trials: pd.DataFrame, pattern: str) -> Row:
    """Finds the one row whose trial key is `pattern` or fits it (`grasp-*-h80-0003`).

    `grasp-*` is the planner of that name where there is one, not grasp-plus as well.

    Raises:
        UserError: no trial fits, or several do.
    """
    keys = trials["trial_key"].astype(str)
    fitting = keys.index[[key == pattern or fnmatchcase(key, pattern) for key in keys]]
    if len(fitting) == 0:
        near = get_close_matches(pattern, keys, n=3, cutoff=0.3) or list(keys[:3])
        raise UserError(f"no trial '{pattern}' in these results: {did_you_mean(pattern, near)}")
    if len(fitting) > 1:
        planners = trials["planner"][fitting].astype(str)
        named = fitting[[pattern.startswith(f"{planner}-*") for planner in planners]]
        fitting = named if len(named) else fitting
    if len(fitting) > 1:
        examples = ", ".join(keys[fitting[:3]])
        raise UserError(f"{len(fitting)} trials fit '{pattern}', such as {examples}: name one")
    return row_of(trials, int(fitting[0]))


def row_of(trials: pd.DataFrame, index: int) -> Row:
    """Returns one row as plain Python values, null as None."""
    values = {name: getattr(x, "item", lambda x=x: x)() for name, x in trials.loc[index].items()}
    return {str(name): None if pd.isna(value) else value for name, value in values.items()}


def load_trial(row: Row, model: str | None = None, device: str | None = None) -> RecordedTrial:
    """Makes the trial of a row ready to be planned again.

    Args:
        row: of a results file.
        model: name, path or `file.py:make_model`; by default found by the row's hash.
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
            f"({row['task_set_sha256'][:12]}) than there is here ({task_set.sha256[:12]})"
        )
    task = next((task for task in task_set.tasks if task.id == row["task_id"]), None)
    if task is None:
        raise UserError(
            f"trial {row['trial_key']} is of task '{row['task_id']}', which is not in "
            f"the {row['tasks']} task set"
        )
    planner = make_planner(row["planner_source"], json.loads(row["hyperparameters"]))
    where = device or row["device"]
    loaded = _model(row["model"], row["model_source"], row["model_sha256"], model, where)
    if row["prior_sha256"] not in (None, loaded.prior_sha256):
        raise UserError(
            f"trial {row['trial_key']} used another action prior ({row['prior_sha256'][:12]}) "
            f"than '{loaded.name}' has ({str(loaded.prior_sha256)[:12]})"
        )
    settings = {field.name: row[field.name] for field in fields(TrialProtocol)} | {"device": where}
    problem, _ = encode_problem(task_set, [task], planner, loaded.model, TrialProtocol(**settings))
    return RecordedTrial(row, task_set, task, planner, loaded, problem)


def replay_trial(trial: RecordedTrial, on_candidate: OnCandidate = lambda _: None) -> Replay:
    """Plans until as many candidates have come as the row counts, and executes the best.

    A closed-loop trial is replanned from where its plans lead in the simulator, as it was.

    Args:
        trial: see `load_trial`.
        on_candidate: called with every candidate.

    Raises:
        UserError: the row's planner had no plan within its budget.
    """
    row = trial.row
    incumbent: Incumbent = Incumbent()
    chosen: Candidate | None = None

    def take(candidate: Candidate) -> None:
        nonlocal chosen
        if incumbent.consider(candidate.actions[0], float(candidate.cost[0])):
            states = candidate.virtual_states
            chosen = replace(candidate, virtual_states=None if states is None else states.clone())
        on_candidate(candidate)

    with torch_threads(int(row["threads"])):
        for number, (problem, count, incumbent) in enumerate(_plannings(trial)):  # noqa: B007
            _drive(trial, problem, number, count, take)
    plan, sha256 = incumbent.plan, incumbent.sha256()
    if plan is None or sha256 is None or chosen is None:
        raise UserError(f"trial {row['trial_key']} had no plan within its budget")
    env_actions = environment_actions(plan[None], trial.problem)[0]
    states = chosen.virtual_states if row["replan_every"] is None else None
    return Replay(
        actions=plan,
        env_actions=env_actions,
        virtual_states=None if states is None else states[0],
        iteration=chosen.iteration,
        cost=incumbent.cost,
        plan_sha256=sha256,
        agrees=sha256 == row["plan_sha256"],
        outcome=execute(trial.task_set.environment, [trial.task], env_actions[None])[0],
    )


def history(trial: RecordedTrial, on_candidate: OnCandidate = lambda _: None) -> list[Candidate]:
    """Returns an open-loop trial's candidates, one per iteration where its planner can show them.

    How often a planner yields changes neither its random numbers nor its plans.
    """
    row, planner, count = trial.row, cast(Any, trial.planner), int(trial.row["candidates"])
    if "yield_every" in {field.name for field in fields(planner)}:
        planner, count = replace(planner, yield_every=1), int(row["iterations"]) + 1
    seen: list[Candidate] = []

    def see(candidate: Candidate) -> None:
        seen.append(candidate)
        on_candidate(candidate)

    with torch_threads(int(row["threads"])):
        again = replace(trial, planner=planner)
        _drive(again, trial.problem, 0, count, see, most=int(row["iterations"]))
    return seen


def _plannings(trial: RecordedTrial) -> Iterator[tuple[Problem, int, Incumbent]]:
    """Yields each planning's problem, candidates and incumbent, to be improved on before the next.

    Open loop that is one. The last incumbent holds the whole plan.
    """
    row, every = trial.row, trial.row["replan_every"]
    if every is None:
        yield trial.problem, int(row["candidates"]), Incumbent()
        return
    loop = ClosedLoop(trial.task_set.environment, [trial.task], trial.problem, int(every))
    counts = map(int, str(row["replan_candidates"] or "").split())
    for planning, count in zip(loop.plannings(), counts, strict=False):  # it may have stopped
        yield planning.problem, count, planning.incumbents[0]
        loop.carry_out(planning)
    yield trial.problem, 0, loop.committed[0]


def _drive(
    trial: RecordedTrial,
    problem: Problem,
    planning: int,
    count: int,
    take: OnCandidate,
    most: float = math.inf,
) -> None:
    """Asks for `count` candidates, none of them of more iterations than `most`."""
    noise = noise_streams([trial.task], trial.planner, int(trial.row["master_seed"]), planning)
    meter = Meter(IterationClock(str(problem.start.device)), problem.model, 1)
    limits = Limits(budget=count, max_iterations=most)

    def go_on(candidate: Candidate) -> bool:
        take(candidate)
        return False

    try:
        drive(trial.planner, problem, noise, meter, limits, go_on)
    except Exception as error:  # none when the trial was run
        if isinstance(error, UserError):
            raise
        raise UserError(f"planner '{trial.planner.name}': {describe(error)}") from error


def agreement(trial: RecordedTrial, again: Replay) -> str:
    """Says in one sentence whether the plan is the row's, and if not, what may have changed it."""
    if again.agrees:
        return f"the plan is the row's, bit for bit (SHA-256 {again.plan_sha256[:12]})"
    row = trial.row
    here = vars(describe_system(str(trial.problem.start.device)))
    changed = [name for name in _SYSTEM_COLUMNS if row[name] != here[name]]
    reasons = [f"{name} {row[name]} then, {here[name]} now" for name in changed]
    if row["batch"] > 1:
        reasons.insert(0, f"then planned in a batch of {row['batch']}, now alone")
    if row["planner_file_sha256"] not in (None, file_sha256(type(trial.planner))):
        reasons.append("the planner's file has changed since")
    because = "; ".join(reasons) or "the planner's code may have changed since"
    return (
        f"the plan is not the row's (SHA-256 {again.plan_sha256[:12]} instead of "
        f"{str(row['plan_sha256'])[:12]}): {because}"
    )


@cache
def _model(name: str, source: str, sha256: str, asked_for: str | None, device: str) -> LoadedModel:
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
    with suppress(UserError):
        loaded = load_model(source, device)
        if loaded.sha256 == sha256:
            return loaded
    raise UserError(
        f"the world model '{name}' with the weights {sha256[:12]} is not here: "
        "give its checkpoint with --model"
    )
