"""Measures planning on full-size DINO-WM and LeWM with random weights: seconds and memory.

    python scripts/bench_field_models.py --horizons 25,80

One row per model, horizon and kind of planner: CPU seconds of this process per iteration, on one
thread, peak memory above the loaded model beside its estimate, and the arithmetic. Each is
measured in a process of its own. GRASP is its lifted step; every 50th is followed by ten
iterations of gradient descent. CEM on DINO-WM is measured with 50 of its 300 samples, times 6.
The hours on a GPU are an estimate: the arithmetic of one run of each planner on 500 tasks at each
of the paper's horizons, at a rate that is assumed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from bench_planners import Work, descent, print_table
from torch.utils.flop_counter import FlopCounterMode

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.system import describe_system
from grasp_bench.core.types import Planner, Problem
from grasp_bench.models.dino_wm import DinoWM, DinoWMConfig
from grasp_bench.models.lewm import LeWM, LeWMConfig
from grasp_bench.models.variants import apply_variants, split_variants
from grasp_bench.planners import CEM, make_planner
from grasp_bench.trial.memory import planning_bytes

PLANNERS: dict[str, dict[str, Any]] = {"cem": {}, "gd": {}, "latco": {}, "grasp": {"sync": "none"}}
PAPER_HORIZONS, PAPER_TASKS = (40, 50, 60, 70, 80), 500
TIMED_SAMPLES = {"dino-wm": 50, "lewm": 300}  # of CEM, which has 300
DINOV2 = {"hidden_size": 384, "patch_size": 14, "image_size": 196, "num_attention_heads": 6}


def full_size(name: str) -> DinoWM | LeWM:
    """Makes the published architecture with random weights; `name` may carry variants."""
    torch.manual_seed(0)
    base, variants = split_variants(name)
    model: DinoWM | LeWM
    model = DinoWM(DinoWMConfig(dinov2=DINOV2)) if base == "dino-wm" else LeWM(LeWMConfig())
    model.eval().requires_grad_(False)
    if variants:
        apply_variants(model, variants, base)
    return model


def random_problem(model: DinoWM | LeWM, horizon: int) -> Problem:
    start, goal = torch.randn(2, 1, *model.latent_shape)
    return Problem(model, start, goal, horizon // model.frameskip)


def peak() -> int:
    """Returns the most memory that this process has held since `forget_peak`, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def forget_peak() -> int:
    """Starts the peak anew from the memory that is held now, which it returns."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def iterations(planner: Planner, problem: Problem) -> Work:
    """Returns what plans up to the next candidate; the first of CEM and GD counts no iteration."""
    candidates = enumerate(planner.plan(problem, NoiseStreams.from_seeds([0])), 1)
    done = 0

    def advance() -> float:
        nonlocal done
        number, candidate = next(candidates)
        before, done = done, max(number, candidate.iteration)
        return done - before

    return advance


def measure(name: str, planner: str, horizon: int) -> dict[str, float]:
    """Times iterations of a planner and reads the most memory they took."""
    model = full_size(name)
    problem = random_problem(model, horizon)
    options: dict[str, Any] = dict(PLANNERS[planner])
    samples = TIMED_SAMPLES[split_variants(name)[0]]
    if planner == "cem":
        options["samples"] = samples
    made = make_planner(planner, options)
    work = descent(made, problem) if planner == "grasp" else iterations(made, problem)
    warm_up = random_problem(model, model.frameskip)
    with torch.enable_grad():
        actions = torch.zeros(1, 10, requires_grad=True)
        torch.autograd.grad(model.step(warm_up.start, actions).sum(), actions)
    before, begun, done = forget_peak(), time.process_time(), 0.0
    while done == 0 or time.process_time() - begun < 2.0:
        done += work()
    seconds = (time.process_time() - begun) / done
    times = CEM().samples / samples if planner == "cem" else 1
    return {"seconds": times * seconds, "bytes": times * (peak() - before)}


def gigaflops(name: str, planner: str, horizon: int) -> float:
    """Counts the arithmetic of one iteration with all samples, on tensors without numbers.

    A gradient by the actions counts as much as the forward pass again.
    """
    model = full_size(split_variants(name)[0]).to("meta")
    steps, forward = horizon // model.frameskip, 0.0
    seen = [min(t, model.context) for t in range(1, steps + 1)]
    if planner in ("latco", "grasp"):
        seen = [1] * steps
    for frames in set(seen):
        states = torch.zeros(1, frames, *model.latent_shape, device="meta")
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model.step_in_context(states, torch.zeros(1, frames, 10, device="meta"))
        forward += counter.get_total_flops() * seen.count(frames)
    return forward * (CEM().samples if planner == "cem" else 2) / 1e9


def gpu_hours(name: str, planner: str, teraflops: float) -> float:
    """Estimates one run of a planner on the paper's tasks."""
    iterations = make_planner(planner, {}).iterations  # type: ignore[attr-defined]
    work = sum(gigaflops(name, planner, horizon) for horizon in PAPER_HORIZONS)
    return PAPER_TASKS * iterations * work / (1000 * teraflops) / 3600


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures planning on full-size field models.")
    parser.add_argument("--models", default="dino-wm,lewm")
    parser.add_argument("--planners", default=",".join(PLANNERS))
    parser.add_argument("--horizons", default="25,80")
    parser.add_argument("--teraflops", type=float, default=100.0, help="assumed, of a GPU")
    parser.add_argument("--one", action="store_true", help="print one measurement as JSON")
    given = parser.parse_args()
    torch.set_num_threads(1)
    names, planners = given.models.split(","), given.planners.split(",")
    horizons = [int(horizon) for horizon in given.horizons.split(",")]
    if given.one:
        print(json.dumps(measure(names[0], planners[0], horizons[0])))
        return
    system = describe_system("cpu")
    print(f"{system.cpu}, torch {system.torch_version}, one thread", flush=True)
    rows = []
    for name in names:
        for horizon in horizons:
            for planner in planners:
                command = [sys.executable, __file__, "--one", "--models", name]
                command += ["--planners", planner, "--horizons", str(horizon)]
                found = json.loads(subprocess.check_output(command).splitlines()[-1])
                made = make_planner(planner, dict(PLANNERS[planner]))
                model = full_size(name)
                estimate = planning_bytes(made, model, horizon // model.frameskip, 1) or 0
                rows.append(
                    {"model": name, "H": horizon, "planner": planner, "CPU s": found["seconds"],
                     "MiB": found["bytes"] / 2**20, "estimated MiB": estimate / 2**20,
                     "GFLOP": gigaflops(name, planner, horizon)}
                )  # fmt: skip
                print(rows[-1], flush=True)
    print_table("One iteration", rows)
    hours = [
        {"model": name, "planner": planner,
         f"hours at {given.teraflops:g} TFLOP/s": gpu_hours(name, planner, given.teraflops)}
        for name in names for planner in planners
    ]  # fmt: skip
    print_table("One run on 500 tasks at each of H = 40 to 80, estimated", hours)


if __name__ == "__main__":
    main()
