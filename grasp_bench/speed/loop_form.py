"""GRASP's lifted step as a Python loop over model time, to measure what batching it is worth."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from grasp_bench.planners.grasp import GRASP
from grasp_bench.types import Problem


@dataclass(frozen=True)
class LoopGRASP(GRASP):
    """The same planner, but it calls the model once for every transition."""

    def errors(self, problem: Problem, states: Tensor, actions: Tensor) -> Tensor:
        """As `GRASP.errors`, [1 or 2, B, T]."""
        model, path = problem.model, [problem.start, *states.unbind(dim=1), problem.goal]
        errors = []
        for step, action in enumerate(actions.unbind(dim=1)):
            origin = path[step].detach() if self.stop_state_gradient else path[step]
            reached = model.step(origin, action)
            targets = [path[step + 1], problem.goal] if self.dense_goal else [path[step + 1]]
            errors.append(torch.stack([model.distance(reached, target) for target in targets]))
        return torch.stack(errors, dim=2)
