"""The four measurements of `grasp-bench bench`, as rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from grasp_bench.errors import UserError
from grasp_bench.models.metered import MeteredModel
from grasp_bench.planners import PLANNERS, make_planner
from grasp_bench.planners.grasp import GRASP
from grasp_bench.problems import encode_problem
from grasp_bench.speed.floor import (
    GEMM_SIZE,
    ModelWork,
    large_product,
    matrix_products,
    model_work,
)
from grasp_bench.speed.loop_form import LoopGRASP
from grasp_bench.speed.rows import LARGE, OWN, SpeedRow
from grasp_bench.speed.timing import time_in_turns
from grasp_bench.tasks import load_tasks
from grasp_bench.types import NoiseStreams, Planner, Problem, WorldModel

STEPS = 16
STEPS_GRID = (2, 4, 8, 16, 32, 64)
BATCH_GRID = (1, 4, 16, 64, 256)
BOUNDS = ("zero", "random", "demo")
# One per kind of iteration: a rollout with its gradient, and one of many plans without.
SERIAL = ("gd", "cem")
Report = Callable[[str], None]


@dataclass(frozen=True)
class Bench:
    """What is measured.

    Attributes:
        model: the world model.
        device: its torch device.
        repeats: rounds of every measurement.
    """

    model: WorldModel
    device: str
    repeats: int

    def rows(self, report: Report) -> Iterator[SpeedRow]:
        """All four parts; `report` is told of each before it begins."""
        report("planners against their floor")
        yield from self.planners(PLANNERS.names())
        report("GRASP's lifted step against the loop over t")
        yield from self.forms()
        report("longer horizons")
        yield from self.horizons()
        report("larger batches")
        yield from self.batches()

    def planners(self, names: Sequence[str]) -> Iterator[SpeedRow]:
        """(a) An iteration of every planner at T = 16, batch 1, and the least it could take."""
        problem = self.problem(STEPS, 1)
        planners = {
            name: Iterations(make_planner(name, {}), problem)
            for name in names
            if name not in BOUNDS
        }
        forms = {name: planner.advance for name, planner in planners.items()}
        yield from self._against_floor(
            "planner", problem, forms, lambda name, work: planners[name].multiply_adds(work)
        )

    def forms(self) -> Iterator[SpeedRow]:
        """(b) GRASP's iteration, without sync and candidates, and the same as a loop over t."""
        problem = self.problem(STEPS, 1)
        forms = {"lifted": descent(GRASP(), problem), "loop over t": descent(LoopGRASP(), problem)}
        yield from self._against_floor(
            "form", problem, forms, lambda _, work: STEPS * (work.forward + work.backward)
        )

    def _against_floor(
        self,
        section: str,
        problem: Problem,
        forms: Mapping[str, Callable[[], float]],
        multiply_adds: Callable[[str, ModelWork], float],
    ) -> Iterator[SpeedRow]:
        """Rows with both floors, the machine's rates measured in the same rounds."""
        work = model_work(problem)
        floors = {LARGE: once(large_product(problem.start)), OWN: once(matrix_products(problem))}
        timings = time_in_turns({**floors, **forms}, self.repeats, self.device)
        own_work = problem.steps * (work.forward + work.backward)
        large_rate = GEMM_SIZE**3 / timings[LARGE].median
        own_rate = own_work / timings[OWN].median
        for name, timing in timings.items():
            done = {LARGE: GEMM_SIZE**3, OWN: own_work}.get(name) or multiply_adds(name, work)
            yield SpeedRow(
                section, name, problem.steps, 1, timing, done / large_rate, done / own_rate
            )

    def horizons(self) -> Iterator[SpeedRow]:
        """(c) An iteration at batch 1 as T grows."""
        forms: dict[tuple[str, int, int], Callable[[], float]] = {}
        for steps in STEPS_GRID:
            problem = self.problem(steps, 1)
            forms["grasp", steps, 1] = descent(GRASP(), problem)
            forms["grasp, loop over t", steps, 1] = descent(LoopGRASP(), problem)
            for name in SERIAL:
                forms[name, steps, 1] = Iterations(make_planner(name, {}), problem).advance
        yield from self._time_pairs("horizon", forms)

    def batches(self) -> Iterator[SpeedRow]:
        """(d) An iteration of all problems at T = 16 as the batch grows."""
        forms: dict[tuple[str, int, int], Callable[[], float]] = {}
        for batch in BATCH_GRID:
            problem = self.problem(STEPS, batch)
            forms["grasp", STEPS, batch] = descent(GRASP(), problem)
            forms["gd", STEPS, batch] = Iterations(make_planner("gd", {}), problem).advance
        yield from self._time_pairs("batch", forms)

    def problem(self, steps: int, batch: int) -> Problem:
        """The starts and goals of tuning tasks, over and over, T = `steps` apart."""
        tasks = load_tasks("tune", 80, min(batch, 100)).tasks
        planner = make_planner("zero", {})
        encoded, _ = encode_problem(tasks, tasks, planner, self.model, 0, self.device)
        chosen = torch.arange(batch) % len(tasks)
        return replace(encoded, start=encoded.start[chosen], goal=encoded.goal[chosen], steps=steps)

    def _time_pairs(
        self, section: str, forms: Mapping[tuple[str, int, int], Callable[[], float]]
    ) -> Iterator[SpeedRow]:
        names = {f"{name} {steps} {batch}": (name, steps, batch) for name, steps, batch in forms}
        work = dict(zip(names, forms.values(), strict=True))
        for key, timing in time_in_turns(work, self.repeats, self.device).items():
            yield SpeedRow(section, *names[key], timing)


class Iterations:
    """A planner at work; its candidates are thrown away."""

    def __init__(self, planner: Planner, problem: Problem) -> None:
        self._planner = planner
        self._model = MeteredModel(problem.model)
        self._problem = replace(problem, model=self._model)
        self._noise = streams(problem)
        self._candidates = planner.plan(self._problem, self._noise)
        self._last = self._done = 0

    def advance(self) -> float:
        """Plans until the next candidate of a later iteration; returns the iterations done."""
        while (candidate := next(self._candidates, None)) is not None:
            done, self._last = candidate.iteration - self._last, candidate.iteration
            if done > 0:
                self._done += done
                return done
        raise UserError(f"planner '{self._planner.name}' ended: an iteration of it has no time")

    def multiply_adds(self, work: ModelWork) -> float:
        """Of an iteration's model calls, forward and with respect to actions, on average."""
        total = self._model.rows_forward * work.forward + self._model.rows_backward * work.backward
        return total / self._done


def descent(planner: GRASP, problem: Problem) -> Callable[[], float]:
    """Does one iteration of GRASP's descent, without sync or candidates."""
    noise = streams(problem)
    path = planner.start(problem, noise)

    def descend() -> float:
        planner.descend(problem, path, noise)
        return 1.0

    return descend


def once(work: Callable[[], None]) -> Callable[[], float]:
    """A piece of work that counts as one."""

    def do() -> float:
        work()
        return 1.0

    return do


def streams(problem: Problem) -> NoiseStreams:
    """Noise for every problem."""
    return NoiseStreams.from_seeds(list(range(problem.batch)))
