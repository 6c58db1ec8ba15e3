"""A planner's best plan so far by its own judgement: the one a trial executes."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Incumbent:
    """The plan of lowest model cost among those considered so far.

    Attributes:
        plan: [T, A] normalised actions on the CPU, None before the first that counts.
        cost: its goal cost as the model predicts it.
    """

    plan: Tensor | None = None
    cost: float = math.inf

    def consider(self, plan: Tensor, cost: float) -> bool:
        """Take a candidate [T, A] if its model cost is the lowest so far; says whether it was."""
        better = self.plan is None or cost < self.cost
        # A plan that is not finite cannot be executed, one of unknown cost not be preferred.
        if not better or math.isnan(cost) or not bool(torch.isfinite(plan).all()):
            return False
        self.plan, self.cost = plan.detach().cpu().clone(), cost
        return True

    def sha256(self) -> str | None:
        """Of the plan's bytes, None without one."""
        if self.plan is None:
            return None
        return hashlib.sha256(self.plan.contiguous().numpy().tobytes()).hexdigest()
