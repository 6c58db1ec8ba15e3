"""Measures open-loop rollouts with probes, beside a copy of the first state."""

from __future__ import annotations

import torch

from grasp_bench.core.types import WorldModel
from grasp_bench.diagnostics.encoding import encode_states
from grasp_bench.diagnostics.probes import ProbeReport, state_errors, summarise
from grasp_bench.planners.rollout import rollout
from grasp_bench.tasks.demonstrations import Demonstrations

_ROLLOUT_STEPS = (1, 4, 8, 12, 16)


@torch.no_grad()
def measure_open_loop(
    model: WorldModel, probes: ProbeReport, held_out: Demonstrations, episodes: int
) -> dict[str, dict[str, float]]:
    """Returns errors after 1 to 16 model steps from an episode's first frame, by step.

    The rollouts follow the demonstrations' own actions. `copy_*` are the errors of predicting
    that nothing moves.

    Args:
        model: rolls out the actions.
        probes: read simulator states from latents.
        held_out: demonstrations.
        episodes: how many of them, the first.
    """
    skip = model.frameskip
    steps = min(max(_ROLLOUT_STEPS), held_out.actions.shape[1] // skip)
    states = held_out.states[:episodes].astype("float64")
    start = encode_states(model, states[:, 0])
    actions = torch.from_numpy(held_out.actions[:episodes, : steps * skip])
    predicted = rollout(model, start, model.normalise_actions(actions.to(start)))
    first = probes.read(start)
    report: dict[str, dict[str, float]] = {}
    for t in (step for step in _ROLLOUT_STEPS if step <= steps):
        truth = states[:, t * skip]
        errors = summarise(state_errors(probes.read(predicted[:, t - 1]), truth))
        floor = summarise(state_errors(first, truth))
        report[str(t)] = errors | {f"copy_{name}": value for name, value in floor.items()}
    return report
