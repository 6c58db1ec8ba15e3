"""Times planners against stable-worldmodel's solvers, and against themselves without the kernel.

    .venv-swm/bin/python scripts/bench_peers.py          # `make test-swm` makes that environment

A row does the same iterations on one task at H=80 with `pusht-compact`, one thread, in this
process's own seconds: with a solver of the library, whose cost is that of our model; with our
planner, the model computed by torch (GRASP_BENCH_COMPILE=0); with our planner and the kernel; with
--samples also with populations costed in bfloat16 (AMX) or in integers of 8 bits (VNNI), for
processors that compute in those. Every round runs each in turn, and the table shows medians.
Without the library its column stays empty.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import torch
from bench_planners import STEPS, Iterations, make_problem

from grasp_bench.bridges.stable_worldmodel import ForeignSolver
from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.system import describe_system
from grasp_bench.core.types import Problem, WorldModel
from grasp_bench.models import load_model
from grasp_bench.planners import make_planner

# A planner, its settings, its iterations, and the peer's solver that does the same.
ROWS: tuple[tuple[str, dict[str, Any], int, dict[str, Any] | None], ...] = (
    ("cem", {"samples": 300, "elites": 30}, 10, {"solver": "CEMSolver", "samples": 300}),
    ("icem", {"samples": 300}, 10, {"solver": "ICEMSolver", "samples": 300}),
    ("mppi", {"samples": 300}, 10, {"solver": "MPPISolver", "samples": 300}),
    ("gd", {}, 100, {"solver": "GradientSolver", "samples": 1}),
    ("gd", {"optimiser": "adam", "starts": 16}, 50, {"solver": "AdamSolver", "samples": 16}),
    ("grasp", {}, 750, None),  # as published
)
PEER, TORCH, KERNEL, BFLOAT16, INT8 = "peer", "torch", "kernel", "bfloat16", "int8"


def make_model(name: str, kernel: bool) -> WorldModel:
    """Loads a model that has laid out its weights, for the kernel or for torch."""
    os.environ["GRASP_BENCH_COMPILE"] = str(int(kernel))
    model: WorldModel = load_model(name).model
    model.step(torch.zeros(1, *model.latent_shape), torch.zeros(1, model.action_dim))
    return model


def of_ours(
    name: str, settings: dict[str, Any], problem: Problem, count: int
) -> Callable[[], None]:
    """Returns work: so many iterations of a planner of ours."""

    def work() -> None:
        iterations, done = Iterations(make_planner(name, settings), problem), 0.0
        while done < count:
            done += iterations.advance()

    return work


def of_peer(options: dict[str, Any], problem: Problem, count: int) -> Callable[[], None]:
    """Returns work: a run of a solver of the library."""

    def work() -> None:
        solver = ForeignSolver(steps=count, **options)
        with redirect_stdout(StringIO()):  # the library prints how long each took
            next(solver.plan(problem, NoiseStreams.from_seeds([0])))

    return work


def seconds(work: Callable[[], None]) -> float:
    """Returns the process's own seconds."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="pusht-compact")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", choices=[BFLOAT16, INT8])
    given = parser.parse_args()
    torch.set_num_threads(1)
    models = {TORCH: (given.model, False), KERNEL: (given.model, True)}
    if given.samples:
        models[given.samples] = f"{given.model}@{given.samples}-samples", True
    problems = {
        who: make_problem(make_model(*model), "cpu", STEPS, 1) for who, model in models.items()
    }
    peers = importlib.util.find_spec("stable_worldmodel") is not None
    print(describe_system("cpu").cpu, describe_system("cpu").compiler, sep=", ")
    headings = ["", "iterations", *(f"{who}, s" for who in (PEER, *models))]
    fast = [KERNEL, *([given.samples] if given.samples else [])]
    headings += [f"{who} / {ours}" for ours in fast for who in (PEER, TORCH)]
    print("|", " | ".join(headings), "|")
    print("|", " | ".join("---" for _ in headings), "|")
    for name, settings, count, peer in ROWS:
        work = {who: of_ours(name, settings, problem, count) for who, problem in problems.items()}
        if peers and peer is not None:
            work[PEER] = of_peer(peer, problems[TORCH], count)
        rounds = [{who: seconds(do) for who, do in work.items()} for _ in range(given.rounds)]
        shown = [
            statistics.median(r[who] for r in rounds) if who in work else None
            for who in (PEER, *models)
        ]
        ratios = [
            statistics.median(r[who] / r[ours] for r in rounds) if who in work else None
            for ours in fast
            for who in (PEER, TORCH)
        ]
        label = ", ".join([name, *(f"{k}={v}" for k, v in settings.items())])
        cells = [f"{x:.2f}" if x is not None else "" for x in (*shown, *ratios)]
        print(f"| {label} | {count} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
