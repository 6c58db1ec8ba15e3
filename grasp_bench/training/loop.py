"""The training loop of all stages: it saves its state every minute and resumes at that step."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from grasp_bench.core.errors import UserError
from grasp_bench.core.files import write_atomically

SAVE_SECONDS = 60.0
_CURVE_POINTS = 200

# Called once per optimiser step with the step's generator; returns the loss and its parts.
LossFunction = Callable[[torch.Generator], tuple[Tensor, dict[str, float]]]
Report = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True)
class Schedule:
    """Holds how long and how fast a stage learns.

    Attributes:
        steps: optimiser steps.
        batch: examples a step.
        learning_rate: the peak, reached after `warmup` steps; then a cosine falls to zero.
        weight_decay: of AdamW.
        warmup: steps.
        average: decay of the exponential moving average of the weights; 0 for none.
    """

    steps: int
    batch: int
    learning_rate: float
    weight_decay: float = 1e-4
    warmup: int = 200
    average: float = 0.0


@dataclass(frozen=True)
class Trained:
    """Holds what a stage leaves behind: seconds of training and its curve of losses."""

    seconds: float
    curve: list[dict[str, float]]


def train(
    module: nn.Module,
    loss_function: LossFunction,
    schedule: Schedule,
    state_file: Path,
    seed: int,
    report: Report = lambda step, steps, parts: None,
) -> Trained:
    """Trains `module` in place; after an interruption the same call continues.

    The random numbers of a step depend on (seed, step) alone, so that a resumed run equals an
    uninterrupted one bit for bit.

    Args:
        module: the part that learns.
        loss_function: called with a generator at every step.
        schedule: how long and how fast it learns.
        state_file: where the state is kept.
        seed: of all random numbers.
        report: called `_CURVE_POINTS` times with step, steps and losses.

    Raises:
        UserError: `state_file` belongs to a run with another schedule.
    """
    optimiser = torch.optim.AdamW(
        module.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
    )
    learned: dict[str, Any] = {"module": module, "optimiser": optimiser}
    if schedule.average > 0:
        update = get_ema_multi_avg_fn(schedule.average)  # type: ignore[no-untyped-call]
        learned["average"] = AveragedModel(module, multi_avg_fn=update)
    average = learned.get("average")
    begin, seconds, curve = 0, 0.0, list[dict[str, float]]()
    if state_file.exists():
        saved = _read_state(state_file)
        if saved["schedule"] != repr((schedule, seed)):
            raise UserError(
                f"{state_file} was written with other settings: finish it with those, "
                "or train into another folder"
            )
        for name, part in learned.items():
            part.load_state_dict(saved[name])
        begin, seconds, curve = saved["step"], saved["seconds"], saved["curve"]

    def save(step: int) -> None:
        state = {name: part.state_dict() for name, part in learned.items()}
        state |= {"schedule": repr((schedule, seed)), "step": step}
        content = io.BytesIO()
        torch.save(state | {"seconds": seconds, "curve": curve}, content)
        write_atomically(state_file, content.getvalue())

    module.train()
    generator = torch.Generator()
    every = max(1, schedule.steps // _CURVE_POINTS)
    last_save = last_tick = time.monotonic()
    for step in range(begin, schedule.steps):
        rate = _learning_rate(schedule, step)
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss, parts = loss_function(generator.manual_seed(seed * 1_000_003 + step))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
        if average is not None:
            average.update_parameters(module)
        now = time.monotonic()
        seconds, last_tick = seconds + now - last_tick, now
        if step % every == 0:
            curve.append({"step": step, "loss": round(float(loss.detach()), 6), **parts})
            report(step + 1, schedule.steps, {"loss": float(loss.detach()), **parts})
        if now - last_save > SAVE_SECONDS:
            save(step + 1)
            last_save = now
    if begin < schedule.steps:
        save(schedule.steps)
    if average is not None:
        module.load_state_dict(average.module.state_dict())
    module.eval()
    return Trained(seconds, curve)


def mixed_precision(device: torch.device) -> torch.autocast:
    """Computes in bfloat16 where that is faster: on CUDA and on a CPU's matrix units (AMX)."""
    # Older torch cannot say what the processor has.
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    fast = device.type == "cuda" or bool(capabilities.get("amx_bf16"))
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)


def _read_state(path: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        return state
    except Exception as error:  # whatever a damaged archive makes torch raise
        raise UserError(f"{path} is damaged: delete it to train this stage anew") from error


def _learning_rate(schedule: Schedule, step: int) -> float:
    if step < schedule.warmup:
        return schedule.learning_rate * (step + 1) / schedule.warmup
    done = (step - schedule.warmup) / max(1, schedule.steps - schedule.warmup)
    return schedule.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
