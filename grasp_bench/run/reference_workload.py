"""A fixed piece of work in the shape of planning, to measure how fast a machine is.

Planner seconds do not compare across machines; planner seconds over the seconds of this
workload do, about as well as its mix of small and larger model calls resembles a planner's.
It depends on nothing that a user can change, so that it is the same work in every version.
"""

from __future__ import annotations

import statistics
import time
from functools import cache

import torch
from torch import Tensor

from grasp_bench.trial.clock import synchronise

REPEATS = 3
_STEPS, _WIDTH, _LAYERS, _ROWS = 16, 128, 4, 32


def time_reference_workload(device: str) -> float:
    """Returns the median seconds of three passes, after one that is discarded."""
    weights = _weights(device)
    seconds = []
    for _ in range(1 + REPEATS):
        synchronise(device)
        begin = time.perf_counter()
        _work(weights)
        synchronise(device)
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds[1:])


@cache
def _weights(device: str) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    scale = _WIDTH**-0.5
    matrices = [torch.randn(_WIDTH, _WIDTH, generator=generator) for _ in range(_LAYERS)]
    return [(scale * matrix).to(device) for matrix in matrices]


def _work(weights: list[Tensor]) -> None:
    """Takes a gradient through one serial rollout, then rolls many plans out without one."""
    plan = weights[0].new_zeros(1, _STEPS, _WIDTH, requires_grad=True)
    with torch.enable_grad():
        end = _rollout(weights, plan)
        torch.autograd.grad(end.square().mean(), plan)
    with torch.no_grad():
        _rollout(weights, weights[0].new_zeros(_ROWS, _STEPS, _WIDTH))


def _rollout(weights: list[Tensor], plans: Tensor) -> Tensor:
    state = torch.ones_like(plans[:, 0])
    for step in range(_STEPS):
        hidden = state + plans[:, step]
        for weight in weights:
            hidden = torch.nn.functional.gelu(hidden @ weight)
        state = state + hidden
    return state
