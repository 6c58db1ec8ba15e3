"""Draws the virtual states of a plan while it is made, decoded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from grasp_bench.analysis.result_figures.drawing import Drawing
from grasp_bench.core.errors import UserError
from grasp_bench.core.types import Candidate
from grasp_bench.trial.replay import RecordedTrial, Replay
from grasp_bench.viewing.pictures import drawn
from grasp_bench.viewing.plan_figures import about
from grasp_bench.viewing.plan_figures.strips import PICTURE, Strip, latent_pictures, strips_figure
from grasp_bench.viewing.playback import model_and_real

STATES_SHOWN, ITERATIONS_SHOWN = 9, 6


def draw_virtual_states(
    trial: RecordedTrial, again: Replay, candidates: Sequence[Candidate]
) -> Drawing:
    """Draws a strip per iteration, then the plan's model rollout and what the simulator did.

    Args:
        trial: of a planner with virtual states.
        again: its plan made again.
        candidates: what it showed on the way (see `history`).

    Raises:
        UserError: the planner has no virtual states, or the model no decoder.
    """
    problem = trial.problem
    lifted = [
        (candidate.iteration, torch.cat([problem.start, candidate.virtual_states[0]]))
        for candidate in candidates
        if candidate.virtual_states is not None
    ]
    if not lifted:
        raise UserError(
            f"'{trial.planner.name}' plans with actions alone: only planners with virtual states, "
            "such as grasp and latco, have any to draw"
        )
    evenly = np.linspace(0, problem.steps - 1, STATES_SHOWN)
    steps = np.unique(evenly.round().astype(int)).tolist()  # s_0 .. s_{T-1}
    last = sum(iteration <= again.iteration for iteration, _ in lifted) - 1
    # Denser where a plan changes fastest: at its beginning.
    places = np.geomspace(1, last + 1, ITERATIONS_SHOWN).round().astype(int) - 1
    shown = [lifted[place] for place in np.unique(places)]
    strips = [
        Strip(f"iteration {iteration}", latent_pictures(trial, path[steps]))
        for iteration, path in shown
    ]
    path, states = model_and_real(trial, again)
    real = states[np.array(steps) * problem.model.frameskip]
    goal = trial.task.goal_state
    strips += [
        Strip("model rollout", latent_pictures(trial, path[steps])),
        Strip("simulator", drawn(trial.task_set.environment, real, goal, PICTURE)),
    ]
    return Drawing(
        title="Virtual states of a plan over its iterations",
        caption="Decoded virtual states of the planner, start at the left, the goal in green; "
        f"below, the finished plan in the model and in the simulator. {about(trial)}",
        alt=f"A grid of pictures: {len(steps)} of the {problem.steps} states of the plan in each "
        f"row, at iterations {', '.join(str(iteration) for iteration, _ in shown)}.",
        figure=strips_figure([f"s{step}" for step in steps], strips),
    )
