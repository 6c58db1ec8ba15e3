"""How far open-loop rollouts hold, read off by probes, beside the copy-last-state floor."""

from __future__ import annotations

import torch

from grasp_bench.evaluation.encoding import encode_states
from grasp_bench.evaluation.probes import Reader, state_errors, summarise
from grasp_bench.rollout import rollout
from grasp_bench.training.data import Demonstrations
from grasp_bench.types import WorldModel

ROLLOUT_STEPS = (1, 4, 8, 12, 16)


@torch.no_grad()
def measure_open_loop(
    model: WorldModel, reader: Reader, held_out: Demonstrations, episodes: int
) -> dict[str, dict[str, float]]:
    """Errors after 1 to 16 model steps from an episode's first frame, by step.

    The rollouts follow the demonstrations' own actions. Beside the model's errors stand
    those of the copy floor, which says that nothing moves.
    """
    skip = model.frameskip
    steps = min(max(ROLLOUT_STEPS), held_out.actions.shape[1] // skip)
    states = held_out.states[:episodes].astype("float64")
    start = encode_states(model, states[:, 0])
    actions = torch.from_numpy(held_out.actions[:episodes, : steps * skip])
    predicted = rollout(model, start, model.normalise_actions(actions.to(start)))
    first = reader.read(start)
    report: dict[str, dict[str, float]] = {}
    for t in (step for step in ROLLOUT_STEPS if step <= steps):
        truth = states[:, t * skip]
        errors = summarise(state_errors(reader.read(predicted[:, t - 1]), truth))
        floor = summarise(state_errors(first, truth))
        report[str(t)] = errors | {f"copy_{name}": value for name, value in floor.items()}
    return report
