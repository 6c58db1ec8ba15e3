"""All that a planner showed on its way to a trial's plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from itertools import islice, takewhile
from typing import Any, cast

import torch

from grasp_bench.objective import dynamics_defect
from grasp_bench.problems import noise_streams
from grasp_bench.recreate import RecordedTrial, torch_threads
from grasp_bench.types import Candidate, Problem


def history(
    trial: RecordedTrial, on_candidate: Callable[[Candidate], None] = lambda _: None
) -> list[Candidate]:
    """The trial's candidates: one per iteration where its planner can show them so often.

    How often a planner yields changes neither its random numbers nor its plans.
    """
    row, planner, count = trial.row, cast(Any, trial.planner), int(trial.row["candidates"])
    if "yield_every" in {field.name for field in fields(planner)}:
        planner, count = replace(planner, yield_every=1), int(row["iterations"]) + 1
    seen: list[Candidate] = []
    with torch_threads(int(row["threads"])):
        noise = noise_streams([trial.task], trial.planner, int(row["master_seed"]))
        in_time = takewhile(
            lambda candidate: candidate.iteration <= row["iterations"],
            planner.plan(trial.problem, noise),
        )
        for candidate in islice(in_time, count):
            seen.append(candidate)
            on_candidate(candidate)
    return seen


def path_defect(problem: Problem, candidate: Candidate) -> float | None:
    """Mean defect ‖F(s_t, a_t) - s_{t+1}‖² over the start and the virtual states.

    Of the first problem; None for a planner without virtual states, or with one step.
    """
    states = candidate.virtual_states
    if states is None or states.shape[1] == 0:
        return None
    origins = torch.cat([problem.start[:, None], states[:, :-1]], dim=1)
    with torch.no_grad():
        defects = dynamics_defect(problem.model, origins, candidate.actions[:, :-1], states)
    return float(defects[0].mean())
