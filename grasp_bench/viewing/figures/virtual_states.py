"""The virtual states of a plan while it is made, decoded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from envs.pusht import rollout as simulate
from grasp_bench.errors import UserError
from grasp_bench.recreate import PlannedAgain, RecordedTrial
from grasp_bench.report.figures.drawing import Drawing
from grasp_bench.rollout import rollout
from grasp_bench.types import Candidate
from grasp_bench.viewing.figures.about import about
from grasp_bench.viewing.figures.strips import Strip, strips_figure
from grasp_bench.viewing.pictures import Picture, decoded, drawn, over_goal

STATES_SHOWN, ITERATIONS_SHOWN, PICTURE = 9, 6, 128


def draw_virtual_states(
    trial: RecordedTrial, again: PlannedAgain, candidates: Sequence[Candidate]
) -> Drawing:
    """A strip per iteration, then the plan's model rollout and what the simulator did.

    Args:
        trial: of a planner with virtual states.
        again: its plan made again.
        candidates: what it showed on the way (see `history`).

    Raises:
        UserError: the planner has no virtual states, or the model no decoder.
    """
    problem, task = trial.problem, trial.task
    lifted = [candidate for candidate in candidates if candidate.virtual_states is not None]
    if not lifted:
        raise UserError(
            f"'{trial.planner.name}' plans with actions alone: only planners with virtual states, "
            "such as grasp and latco, have any to draw"
        )
    steps = _spread(problem.steps, STATES_SHOWN)  # s_0 .. s_{T-1}
    last = sum(candidate.iteration <= again.iteration for candidate in lifted) - 1
    shown = [lifted[k] for k in _early_and_late(last, ITERATIONS_SHOWN)]
    strips = [
        Strip(f"iteration {candidate.iteration}", _pictures(trial, _path(trial, candidate)[steps]))
        for candidate in shown
    ]
    actions = again.actions.to(problem.start)[None]
    with torch.no_grad():
        path = torch.cat(
            [problem.start[:, None], rollout(problem.model, problem.start, actions)], dim=1
        )[0]
    states = simulate(task.start_state[None], again.env_actions[None])[0]
    real = states[np.array(steps) * problem.model.frameskip]
    strips += [
        Strip("model rollout", _pictures(trial, path[steps])),
        Strip("simulator", drawn(real, task.goal_state, PICTURE)),
    ]
    return Drawing(
        title="Virtual states of a plan over its iterations",
        caption="Decoded virtual states of the planner, start at the left, the goal in green; "
        f"below, the finished plan in the model and in the simulator. {about(trial)}",
        alt=f"A grid of pictures: {len(steps)} of the {problem.steps} states of the plan in each "
        f"row, at iterations {', '.join(str(c.iteration) for c in shown)}.",
        figure=strips_figure([f"s{step}" for step in steps], strips),
    )


def _path(trial: RecordedTrial, candidate: Candidate) -> Tensor:
    """The start and the virtual states, [T, *Z]."""
    assert candidate.virtual_states is not None
    return torch.cat([trial.problem.start, candidate.virtual_states[0]])


def _pictures(trial: RecordedTrial, latents: Tensor) -> Picture:
    pictures = decoded(trial.problem.model, latents)
    if pictures is None:
        raise UserError(
            f"the world model '{trial.model.name}' has no decoder, so its latents make no pictures"
        )
    return over_goal(pictures, trial.task.goal_state, PICTURE)


def _spread(count: int, at_most: int) -> list[int]:
    """Indices 0 .. count - 1, evenly thinned."""
    return sorted(set(np.linspace(0, count - 1, min(count, at_most)).round().astype(int).tolist()))


def _early_and_late(last: int, at_most: int) -> list[int]:
    """Indices 0 .. last, denser where a plan changes fastest: at its beginning."""
    places = np.geomspace(1, last + 1, at_most).round().astype(int) - 1
    return sorted(set(places.tolist()))
