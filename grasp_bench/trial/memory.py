"""Estimates the memory that planning will take, before it is taken.

A planner plans on a stand-in with latents of one number, which only notes how many transitions
each call has, how many frames they see and whether a gradient will be taken. What a transition
takes is the real model's to say (`activation_bytes`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import psutil
import torch
from torch import Tensor

from grasp_bench.core.errors import UserError
from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.types import ActivationBytes, Observation, Planner, Problem, WorldModel
from grasp_bench.models import LoadedModel
from grasp_bench.models.variants import split_variants
from grasp_bench.planners import LatCoGN
from grasp_bench.planners.rollout import context_of
from grasp_bench.trial.protocol import TrialProtocol

_CANDIDATES, _SECONDS = 12, 3.0  # long enough that every kind of call has been made
_HELD = 1.2  # times what is in use: allocators keep a fifth more, as measured
_BLOCK_COPIES = 6  # Jacobians, blocks of the system and its factors
_OURS = "grasp_bench.planners."
_LIMIT, _USED = (
    Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current")
)  # of a container


def planning_bytes(planner: Planner, model: WorldModel, steps: int, batch: int) -> int | None:
    """Estimates the most memory that planning takes at once, in bytes.

    Args:
        planner: of this package; others may do anything, so they are not tried.
        model: says what a transition takes, or there is no estimate.
        steps: T.
        batch: B.

    Returns:
        None where there is no estimate.
    """
    says = getattr(model, "activation_bytes", None)
    if says is None or not type(planner).__module__.startswith(_OURS):
        return None
    frames = range(1, context_of(model) + 1)
    stand_in = _StandIn(model, {n: says(n) for n in frames})
    start = torch.zeros(batch, 1)
    problem = Problem(cast(WorldModel, stand_in), start, start + 1, steps)
    problem = replace(problem, reference_actions=torch.zeros(batch, steps, model.action_dim))
    begun = time.monotonic()
    candidates = planner.plan(problem, NoiseStreams.from_seeds(list(range(batch))))
    for number, _ in enumerate(candidates, 1):
        if number >= _CANDIDATES or time.monotonic() - begun > _SECONDS:
            break
    return int(_HELD * (stand_in.most + _jacobian_bytes(planner, model, steps, batch)))


def check_memory(
    planners: Mapping[int, Sequence[tuple[str, Planner]]],
    loaded: LoadedModel,
    protocol: TrialProtocol,
    workers: int,
) -> None:
    """Compares what planners will take with what is free.

    Args:
        planners: by horizon, each with the name by which an error calls it.
        loaded: the world model; every worker loads it anew.
        protocol: names the device and the batch.
        workers: beside each other.

    Raises:
        UserError: one of them takes more; says how it takes less.
    """
    model, free = loaded.model, None
    for horizon, named in planners.items():
        for name, planner in named:
            steps = horizon // model.frameskip
            needed = planning_bytes(planner, model, steps, protocol.batch)
            if needed is None:
                continue
            free = available_bytes(protocol.device) if free is None else free
            if workers * (needed + _weight_bytes(model)) > free:
                raise UserError(_too_much(name, horizon, needed, free, loaded, protocol, workers))


def _too_much(
    name: str,
    horizon: int,
    needed: int,
    free: int,
    loaded: LoadedModel,
    protocol: TrialProtocol,
    workers: int,
) -> str:
    ways = ["fewer samples or starts (--set)"]
    if protocol.batch > 1:
        ways.insert(0, f"a --batch smaller than {protocol.batch}")
    if workers > 1:
        ways.insert(0, f"fewer --workers than {workers}")
    if "checkpointing" not in split_variants(loaded.name)[1]:
        ways.append(f"for gradients, --model {loaded.name}@checkpointing")
    each = f" in each of {workers} workers" if workers > 1 else ""
    return (
        f"'{name}' at H={horizon} would take about {needed / 2**30:.1f} GiB{each} on "
        f"'{loaded.name}', and {protocol.device} has {free / 2**30:.1f} GiB free: take "
        f"{', or '.join(ways)}"
    )


def _weight_bytes(model: WorldModel) -> int:
    held = model.parameters() if isinstance(model, torch.nn.Module) else ()
    return sum(tensor.nbytes for tensor in held)


def available_bytes(device: str) -> int:
    """Returns the memory that is free on a device, in bytes."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    free = int(psutil.virtual_memory().available)
    try:
        return min(free, int(_LIMIT.read_text()) - int(_USED.read_text()))
    except (OSError, ValueError):  # no container, or none with a limit
        return free


def _jacobian_bytes(planner: Planner, model: WorldModel, steps: int, batch: int) -> int:
    """Returns what Gauss-Newton holds: T blocks of n x n in double precision, in some copies."""
    if not isinstance(planner, LatCoGN):
        return 0
    size = math.prod(model.latent_shape) + model.action_dim
    return _BLOCK_COPIES * 8 * batch * steps * size**2


class _StandIn:
    """Steps latents of one number, and adds up what the real model's calls would take.

    Attributes:
        most: bytes at once, so far.
    """

    def __init__(self, model: WorldModel, costs: dict[int, ActivationBytes]) -> None:
        self.frameskip, self.action_dim, self.view = model.frameskip, model.action_dim, model.view
        self.latent_shape = (1,)
        self.context = len(costs)
        self.most = 0
        self._held = 0
        self._costs = costs

    def encode(self, observation: Observation) -> Tensor:
        raise NotImplementedError  # no planner sees pictures

    def step(self, state: Tensor, action: Tensor) -> Tensor:
        return self.step_in_context(state[..., None, :], action[..., None, :])

    def step_in_context(self, states: Tensor, actions: Tensor) -> Tensor:
        following = states[..., -1, :] + actions[..., -1, :].mean(-1, keepdim=True)
        cost, rows = self._costs[states.shape[-2]], following.numel()
        if not following.requires_grad:
            self.most = max(self.most, self._held + rows * cost.passing)
            return following
        self._held += rows * cost.kept
        self.most = max(self.most, self._held + rows * cost.backward)
        kept: Tensor = _Kept.apply(following, _Claim(self, rows * cost.kept))  # type: ignore[no-untyped-call]
        return kept

    def release(self, count: int) -> None:
        """Frees bytes that were held for a gradient."""
        self._held -= count

    def distance(self, state: Tensor, goal: Tensor) -> Tensor:
        return (state - goal).square().mean(-1)

    def normalise_actions(self, actions: Tensor) -> Tensor:
        return actions.reshape(*actions.shape[:-2], -1, self.action_dim)

    def denormalise_actions(self, actions: Tensor) -> Tensor:
        return actions.reshape(*actions.shape[:-2], -1, self.action_dim // self.frameskip)


class _Claim:
    """Holds bytes until the gradient has been taken, or can no longer be."""

    def __init__(self, stand_in: _StandIn, count: int) -> None:
        self._stand_in, self._count = stand_in, count

    def release(self) -> None:
        self._stand_in.release(self._count)
        self._count = 0

    __del__ = release


class _Kept(torch.autograd.Function):
    """Is the identity, and lets go of a claim when the gradient has passed."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, claim: _Claim) -> Tensor:
        ctx.claim = claim
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        ctx.claim.release()
        return gradient, None
