"""Planners for stable-worldmodel's closed loop, and its solvers for this package's tables.

`Solver` has its `configure` and `solve`; `ForeignSolver` is a planner. Neither needs the library
where its objects are handed over.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from grasp_bench.core.errors import UserError
from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.seeds import trial_seed
from grasp_bench.core.types import Candidate, Problem, Reference
from grasp_bench.models.foreign_latents import ForeignLatents
from grasp_bench.planners import make_planner
from grasp_bench.planners.objective import goal_cost
from grasp_bench.planners.shared import evaluated
from grasp_bench.trial.clock import Clock, IterationClock
from grasp_bench.trial.drive import Limits, Meter, drive


class Solver:
    """Plans in stable-worldmodel's closed loop with a planner of this package.

    Args:
        planner: name, `file.py:Class` or `module:Class`.
        model: of stable-worldmodel, with `encode` and `predict`, or a `ForeignLatents`.
        candidates: after which a planning ends.
        seconds: planner seconds after which it ends instead.
        hyperparameters: of the planner.
        seed: of all plannings.
    """

    def __init__(
        self,
        planner: str,
        model: nn.Module,
        candidates: int = 100,
        seconds: float | None = None,
        hyperparameters: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        self.planner = make_planner(planner, hyperparameters)
        self.model = model if isinstance(model, ForeignLatents) else ForeignLatents(model)
        self._limit = float(candidates) if seconds is None else seconds
        self._by_seconds, self._seed, self._plannings = seconds is not None, seed, 0
        self._config: Any = None
        self._width, self.n_envs = 0, 0

    def configure(self, *, action_space: Any, n_envs: int, config: Any) -> None:
        """Takes the environments' action space, their number, and the planning configuration."""
        self._width = int(np.prod(action_space.shape[1:]))
        self.n_envs, self._config = n_envs, config

    @property
    def action_dim(self) -> int:
        """Numbers of one planned action, which is a block of the environment's."""
        return int(self._width * self._config.action_block)

    @property
    def horizon(self) -> int:
        """Actions of a plan."""
        return int(self._config.horizon)

    def __call__(self, *arguments: Any, **named: Any) -> dict[str, Any]:
        """Forwards to `solve`."""
        return self.solve(*arguments, **named)

    def solve(self, info_dict: dict[str, Any], init_action: Tensor | None = None) -> dict[str, Any]:
        """Plans for B environments from their last frame; a former plan is not used.

        Args:
            info_dict: `pixels` and `goal`, [B, n, 3, S, S] each as the library's policy
                prepares them, and `proprio` and `goal_proprio` [B, n, P] for models that take
                these.
            init_action: of the library's warm start.

        Returns:
            `actions` [B, horizon, action_dim] in the solver's units, and `costs`, B numbers.
        """
        start, goal = self._encoded(info_dict, ""), self._encoded(info_dict, "goal")
        problem = Problem(self.model, start, goal, self.horizon)
        self._plannings += 1
        seeds = [
            trial_seed(self._seed, f"{self._plannings}-{b}", self.planner.name)
            for b in range(len(start))
        ]
        device = str(start.device)
        clock = Clock(device) if self._by_seconds else IterationClock(device)
        plans = start.new_zeros(len(start), self.horizon, self.action_dim)
        costs = start.new_full((len(start),), torch.inf)

        def take(candidate: Candidate) -> bool:
            better = candidate.cost < costs
            plans[better], costs[better] = candidate.actions[better], candidate.cost[better]
            return False

        meter = Meter(clock, self.model, len(start))
        limits = Limits(budget=self._limit)
        drive(self.planner, problem, NoiseStreams.from_seeds(seeds), meter, limits, take)
        return {"actions": plans.cpu(), "costs": costs.tolist()}

    def _encoded(self, info: dict[str, Any], prefix: str) -> Tensor:
        device = next(self.model.parameters()).device
        frames = torch.as_tensor(info[prefix or "pixels"]).to(device).float()[:, -1]
        proprio = info.get("_".join(filter(None, [prefix, "proprio"])))
        known = frames.new_zeros(len(frames), 4) if proprio is None else torch.as_tensor(proprio)
        with torch.no_grad():
            known = known.to(frames).reshape(len(frames), -1, known.shape[-1])[:, -1]
            return self.model.encode_frames(frames, known)


@dataclass(frozen=True)
class ForeignSolver:
    """Plans with a solver of stable-worldmodel: a row of a table for comparison.

    A solver runs to its end before it shows a plan, and then starts from that plan. Its random
    numbers are its own, from a seed that the noise gives; problems are solved one by one.

    Attributes:
        solver: its class.
        steps: `n_steps` of the class.
        samples: `num_samples` of the class.
        lr: of `AdamSolver`, which is `GradientSolver` with Adam.
    """

    name: ClassVar[str] = "swm-solver"
    reference: ClassVar[Reference] = "none"

    solver: Literal["CEMSolver", "ICEMSolver", "MPPISolver", "GradientSolver", "AdamSolver"] = (
        "CEMSolver"
    )
    steps: int = 30
    samples: int = 300
    lr: float = 0.3

    def plan(self, problem: Problem, noise: NoiseStreams) -> Iterator[Candidate]:
        """Yields a candidate per run of the solver, without end.

        Raises:
            UserError: stable-worldmodel is not installed.
        """
        seeds = (noise.normal(1, like=problem.start).abs() * 1e6).long().flatten().tolist()
        solvers = [self._made(_Only(problem, b), seed) for b, seed in enumerate(seeds)]
        plans: list[Tensor | None] = [None] * problem.batch
        runs = 0
        while True:
            runs += 1
            for b, solver in enumerate(solvers):
                info = {"index": torch.zeros(1, 1, device=problem.start.device)}
                plans[b] = solver.solve(info, init_action=plans[b])["actions"].to(problem.start)
            together = torch.cat([plan for plan in plans if plan is not None])
            yield evaluated(problem, problem.project(together), runs * self.steps)

    def _made(self, cost: _Only, seed: int) -> Any:
        library = _solvers()
        options: dict[str, Any] = {"n_steps": self.steps, "num_samples": self.samples, "seed": seed}
        name = self.solver
        if name == "AdamSolver":
            adam = {"optimizer_cls": torch.optim.Adam, "optimizer_kwargs": {"lr": self.lr}}
            name, options = "GradientSolver", options | adam
        made = getattr(library, name)(cost, device=str(cost.problem.start.device), **options)
        config = SimpleNamespace(horizon=cost.problem.steps, action_block=1)
        space = Box(-np.inf, np.inf, (1, cost.problem.model.action_dim), np.float32)
        made.configure(action_space=space, n_envs=1, config=config)
        return made


def _solvers() -> Any:
    """Imports the library's solvers, which its releases have in another place than its main branch.

    Raises:
        UserError: it is not installed.
    """
    for module in ("stable_worldmodel.planning.solver", "stable_worldmodel.solver"):
        with suppress(ImportError):
            return importlib.import_module(module)
    raise UserError("swm-solver needs stable-worldmodel: pip install 'grasp-bench[swm]'")


class _Only(nn.Module):
    """Costs plans of one problem of a batch, as `Costable` of the library does."""

    def __init__(self, problem: Problem, b: int) -> None:
        super().__init__()
        self.problem = Problem(
            problem.model,
            problem.start[b : b + 1],
            problem.goal[b : b + 1],
            problem.steps,
            limits=problem.limits,
            objective=problem.objective,
        )

    def get_cost(self, info_dict: dict[str, Any], action_candidates: Tensor) -> Tensor:
        """Returns costs [1, S] of plans [1, S, T, A]."""
        return goal_cost(self.problem, action_candidates)
