"""Times planners' iterations on this machine, as the ratios of docs/speed.md.

    python scripts/bench_planners.py --repeats 5 --csv speed.csv

It measures an iteration of every planner against its floor, GRASP's lifted step against the
same step as a Python loop over model time, and the growth with the horizon T and with the
batch B. The floor of an iteration is the multiply-adds of its model calls, forward and
backward to the actions alone, at the rate of one large matrix product; the second floor takes
the rate of the model's own products.

Every round times a stretch of each kind of work in turn; the tables show medians. On one CPU
thread the seconds are this process's own.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from grasp_bench.core.noise import NoiseStreams
from grasp_bench.core.system import describe_system, torch_threads
from grasp_bench.core.types import Planner, Problem, WorldModel
from grasp_bench.envs.pusht import PUSHT
from grasp_bench.models import load_model
from grasp_bench.planners import GRASP, PLANNERS, make_planner
from grasp_bench.planners.grasp import annealed
from grasp_bench.tasks.task_set import load_tasks
from grasp_bench.trial.clock import synchronise
from grasp_bench.trial.metered import MeteredModel

STEPS = 16
STEPS_GRID = (2, 4, 8, 16, 32, 64)
BATCH_GRID = (1, 4, 16, 64, 256)
# They show one plan or a few, and end.
WITHOUT_ITERATIONS = ("zero", "random", "shuffled-demo", "demo", "prior-mean", "prior-rerank")
GEMM_SIZE = 1024
LARGE, OWN = "one large matrix product", "the model's matrix products alone"
STRETCH_SECONDS, WARM_UP_SECONDS = 0.1, 0.03  # the warm-up, not timed, fills the caches

Work = Callable[[], float]  # does some iterations and returns how many
Row = dict[str, Any]


@dataclass(frozen=True)
class LoopGRASP(GRASP):
    """GRASP that calls the model once for every transition, to measure what lifting is worth."""

    def loss(
        self, problem: Problem, states: Tensor, actions: Tensor, progress: float = 0.0
    ) -> Tensor:
        """Returns what `GRASP.loss` returns, [B]."""
        model, path = problem.model, [problem.start, *states.unbind(dim=1), problem.goal]
        total = problem.start.new_zeros(problem.batch)
        weight = annealed(self.goal_weight, self.final_goal_weight, progress)
        for step, action in enumerate(actions.unbind(dim=1)):
            origin = path[step].detach() if self.stop_state_gradient else path[step]
            reached = model.step(origin, action)
            total = total + model.distance(reached, path[step + 1])
            if self.dense_goal:
                total = total + weight * model.distance(reached, problem.goal)
        return total


class Iterations:
    """Runs a planner and drops its candidates."""

    def __init__(self, planner: Planner, problem: Problem) -> None:
        self._model = MeteredModel(problem.model)
        noise = NoiseStreams.from_seeds(list(range(problem.batch)))
        self._candidates = planner.plan(replace(problem, model=self._model), noise)
        self._done = 0

    def advance(self) -> float:
        """Plans up to the next candidate of a later iteration; returns the iterations done."""
        while (candidate := next(self._candidates, None)) is not None:
            if candidate.iteration > self._done:
                done, self._done = candidate.iteration - self._done, candidate.iteration
                return done
        raise SystemExit("a planner ended before it was timed")

    def multiply_adds(self, forward: float, backward: float) -> float:
        """Returns the mean of an iteration, given those of a transition."""
        model = self._model
        total = model.model_evals_forward * forward + model.model_evals_backward * backward
        return total / self._done


def descent(planner: GRASP, problem: Problem) -> Work:
    """Returns one iteration of GRASP's descent, without sync and candidates."""
    noise = NoiseStreams.from_seeds(list(range(problem.batch)))
    path = planner.start(problem, noise)
    return once(lambda: planner.descend(problem, path, noise))


def once(work: Callable[[], object]) -> Work:
    """Counts a call as one iteration."""

    def do() -> float:
        work()
        return 1.0

    return do


def make_problem(model: WorldModel, device: str, steps: int, batch: int) -> Problem:
    """Repeats the starts and goals of tuning tasks to B problems of T = `steps`."""
    tasks = load_tasks("tune", 80, min(batch, 100)).tasks
    chosen = torch.arange(batch, device=device) % len(tasks)
    states = [t.start_state for t in tasks], [t.goal_state for t in tasks]
    with torch.no_grad():
        views = [PUSHT.observe(np.stack(ends), model.view) for ends in states]
        start, goal = (model.encode(view)[chosen] for view in views)
    return Problem(model, start, goal, steps, prior=getattr(model, "prior", None))


class ProductRecorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records the matrix products and convolutions done within it, and their operands."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.products: list[tuple[Callable[..., Any], Sequence[Any], Mapping[str, Any]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = kwargs or {}
        if func._overloadpacket in flop_registry:
            self.products.append((func, args, options))
        return func(*args, **options)

    @torch.no_grad()
    def replay(self) -> None:
        for product, arguments, options in self.products:
            product(*arguments, **options)


def lifted_backward(reached: Tensor, actions: Tensor) -> None:
    torch.autograd.grad(reached, actions, torch.ones_like(reached))


def lifted_forward(problem: Problem) -> tuple[Tensor, Tensor]:
    states = problem.start[:, None].expand(-1, problem.steps, *problem.start.shape[1:])
    actions = problem.start.new_zeros(problem.batch, problem.steps, problem.model.action_dim)
    with torch.enable_grad():
        return problem.model.step(states, actions.requires_grad_()), actions


def transition_multiply_adds(problem: Problem) -> tuple[float, float]:
    """Counts the multiply-adds of one transition, forward and backward to the action."""
    lifted_forward(problem)  # the first lays out the weights and tries the kernel
    with torch.no_grad(), FlopCounterMode(display=False) as forward:
        lifted_forward(problem)
    outputs = lifted_forward(problem)
    with FlopCounterMode(display=False) as backward:
        lifted_backward(*outputs)
    rows = 2 * problem.batch * problem.steps
    return forward.get_total_flops() / rows, backward.get_total_flops() / rows


def time_in_turns(work: Mapping[Any, Work], repeats: int, device: str) -> dict[Any, float]:
    """Returns the median seconds of an iteration of each kind of work."""
    alone = device == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter

    def stretch(do: Work, least: float) -> float:
        synchronise(device)
        begin, done = clock(), 0.0
        while not done or clock() - begin < least:
            done += do()
            synchronise(device)
        return (clock() - begin) / done

    seconds: dict[Any, list[float]] = {key: [] for key in work}
    for do in work.values():
        do()  # the first call allocates
    for _ in range(repeats):
        for key, do in work.items():
            stretch(do, WARM_UP_SECONDS)
            seconds[key].append(stretch(do, STRETCH_SECONDS))
    return {key: statistics.median(values) for key, values in seconds.items()}


@dataclass(frozen=True)
class Bench:
    """Measures one world model on one device, in `repeats` rounds."""

    model: WorldModel
    device: str
    repeats: int

    def against_floor(self, names: Iterable[str]) -> list[Row]:
        """Times planners, and GRASP's step lifted and as a loop, at T = 16 and batch 1."""
        problem = make_problem(self.model, self.device, STEPS, 1)
        with torch_threads(2):  # has torch compute the step, so that its products are seen
            forward, backward = transition_multiply_adds(problem)
            with ProductRecorder() as recorder:
                lifted_backward(*lifted_forward(problem))
        step = STEPS * (forward + backward)
        matrix = torch.ones(GEMM_SIZE, GEMM_SIZE).to(problem.start)
        result = torch.empty_like(matrix)
        planners = {name: Iterations(make_planner(name, {}), problem) for name in names}
        work: dict[str, Work] = {
            LARGE: once(lambda: torch.mm(matrix, matrix, out=result)),
            OWN: once(recorder.replay),
            "lifted step": descent(GRASP(), problem),
            "loop over t": descent(LoopGRASP(), problem),
            **{name: planner.advance for name, planner in planners.items()},
        }
        seconds = time_in_turns(work, self.repeats, self.device)
        done = {LARGE: float(GEMM_SIZE**3), OWN: step, "lifted step": step, "loop over t": step}
        done |= {name: p.multiply_adds(forward, backward) for name, p in planners.items()}
        return [
            {
                "": name,
                "ms": 1000 * taken,
                "x floor": taken * done[LARGE] / (done[name] * seconds[LARGE]),
                "x floor at the model's shapes": taken * step / (done[name] * seconds[OWN]),
                "x lifted step": taken / seconds["lifted step"],
            }
            for name, taken in seconds.items()
        ]

    def over_steps(self, grid: Sequence[int]) -> list[Row]:
        """Times an iteration at batch 1 as T grows, over that at the smallest T."""
        work: dict[tuple[str, int], Work] = {}
        for steps in grid:
            problem = make_problem(self.model, self.device, steps, 1)
            work["grasp step", steps] = descent(GRASP(), problem)
            work["grasp step, loop over t", steps] = descent(LoopGRASP(), problem)
            for name in ("gd", "cem"):
                work[name, steps] = Iterations(make_planner(name, {}), problem).advance
        seconds = time_in_turns(work, self.repeats, self.device)
        return growth(seconds, grid, "T", lambda taken, first, size: taken / first)

    def over_batch(self, grid: Sequence[int]) -> list[Row]:
        """Counts problems planned a second at T = 16 as B grows, over those at the smallest B."""
        work: dict[tuple[str, int], Work] = {}
        for batch in grid:
            problem = make_problem(self.model, self.device, STEPS, batch)
            work["grasp step", batch] = descent(GRASP(), problem)
            work["gd", batch] = Iterations(make_planner("gd", {}), problem).advance
        seconds = time_in_turns(work, self.repeats, self.device)
        return growth(seconds, grid, "B", lambda taken, first, size: size * first / taken)


def growth(
    seconds: Mapping[tuple[str, int], float],
    grid: Sequence[int],
    symbol: str,
    ratio: Callable[[float, float, float], float],
) -> list[Row]:
    rows = []
    for name in dict.fromkeys(name for name, _ in seconds):
        first = seconds[name, grid[0]]
        row: Row = {"": name, f"ms at {symbol} = {grid[0]}": 1000 * first}
        for size in grid[1:]:
            row[f"{symbol} = {size}"] = ratio(seconds[name, size], first, size / grid[0])
        rows.append(row)
    return rows


def print_table(title: str, rows: Sequence[Row]) -> None:
    print(f"\n{title}\n\n| {' | '.join(rows[0])} |\n|{' --- |' * len(rows[0])}")
    for row in rows:
        cells = [f"{v:.2f}" if isinstance(v, float) else str(v) for v in row.values()]
        print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Times planners' iterations as ratios.")
    parser.add_argument("--model", default="pusht-compact")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=15, help="rounds of every measurement")
    parser.add_argument("--quick", action="store_true", help="GRASP and the two smallest sizes")
    parser.add_argument("--csv", type=Path, help="file for all numbers, one a line")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    loaded = load_model(given.model, given.device)
    system = asdict(describe_system(given.device))
    print(f"{loaded.name} ({loaded.sha256[:12]}), {given.device}, {given.threads} thread(s)")
    print(", ".join(f"{name} {value}" for name, value in system.items()), flush=True)
    bench = Bench(loaded.model, given.device, given.repeats)
    names = [name for name in PLANNERS.names() if name not in WITHOUT_ITERATIONS]
    sizes = 2 if given.quick else None
    lines = [("table", "row", "column", "value")]
    for title, rows in (
        ("T = 16, batch 1", bench.against_floor(["grasp"] if given.quick else names)),
        ("Seconds as T grows, batch 1", bench.over_steps(STEPS_GRID[:sizes])),
        ("Problems a second as the batch grows, T = 16", bench.over_batch(BATCH_GRID[:sizes])),
    ):
        print_table(title, rows)
        for row in rows:
            name, *columns = row.items()
            lines += [(title, name[1], column, value) for column, value in columns]
    if given.csv:
        with given.csv.open("w", newline="") as file:
            csv.writer(file).writerows(lines)


if __name__ == "__main__":
    main()
