"""A sweep: planners x horizons x tasks, split into units of work, run and stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from grasp_bench.columns import Row
from grasp_bench.errors import UserError
from grasp_bench.executors import Executor
from grasp_bench.planners import make_planner, planner_config
from grasp_bench.planners.configure import Setting
from grasp_bench.run_folder import RunFolder
from grasp_bench.tasks import TaskSet
from grasp_bench.worker import PlannerSpec, WorkUnit, trial_key


def planner_spec(name: str, overrides: Mapping[str, Setting]) -> PlannerSpec:
    """A planner with some hyperparameters set, checked.

    Raises:
        UserError: no such planner or hyperparameter, or a value of the wrong type or range.
    """
    planner = make_planner(name, overrides)
    config, defaults = planner_config(planner), planner_config(make_planner(name, {}))
    changed = ", ".join(f"{k}={v}" for k, v in sorted(config.items()) if v != defaults[k])
    config_json = json.dumps(config, sort_keys=True)
    # Workers build it again from this, and its random streams are named after it.
    if planner.name != name or make_planner(name, json.loads(config_json)) != planner:
        raise UserError(
            f"planner '{name}' calls itself '{planner.name}' or has a hyperparameter that is "
            "no number, text or truth value: its trials could not be repeated"
        )
    return PlannerSpec(
        name=name,
        label=f"{name}[{changed}]" if changed else name,
        config=config_json,
        config_sha256=hashlib.sha256(config_json.encode()).hexdigest(),
    )


@dataclass(frozen=True)
class Sweep:
    """A grid of trials: planners on the first tasks of every horizon's set.

    Attributes:
        planners: by horizon, the configurations to compare.
        task_sets: by horizon, each cut to the tasks to run.
        batch: tasks planned together.
    """

    planners: Mapping[int, Sequence[PlannerSpec]]
    task_sets: Mapping[int, TaskSet]
    batch: int

    def units(self) -> Iterator[WorkUnit]:
        """Task by task across horizons and planners, so that a stopped sweep is balanced.

        Which tasks share a batch depends on the grid alone, never on what is done already.
        """
        longest = max(len(task_set.tasks) for task_set in self.task_sets.values())
        for begin in range(0, longest, self.batch):
            for horizon, task_set in self.task_sets.items():
                end = min(begin + self.batch, len(task_set.tasks))
                if begin < end:
                    for planner in self.planners[horizon]:
                        yield WorkUnit(planner, horizon, begin, end)

    def keys(self, unit: WorkUnit) -> list[str]:
        """The trial keys of a unit."""
        tasks = self.task_sets[unit.horizon].tasks[unit.begin : unit.end]
        return [trial_key(unit.planner, task.id) for task in tasks]

    def all_keys(self) -> set[str]:
        """The trial keys of the whole grid."""
        return {key for unit in self.units() for key in self.keys(unit)}


def finished_keys(folder: RunFolder) -> set[str]:
    """The trials in the folder that need no more work; those that raised do."""
    trials = folder.trials()
    return set() if trials is None else set(trials["trial_key"][trials["status"] == "ok"])


def run_sweep(
    sweep: Sweep,
    folder: RunFolder,
    executor: Executor,
    on_rows: Callable[[list[Row]], None],
) -> None:
    """Run the trials that the folder lacks, storing each as it finishes.

    However this ends, what had finished is on disk; running it again does the rest.
    """
    done = finished_keys(folder)
    pending: Iterable[WorkUnit] = (
        unit for unit in sweep.units() if not done.issuperset(sweep.keys(unit))
    )
    try:
        with closing(executor.run(pending)) as results:
            for unit_rows in results:
                # A batch that was half done is run whole, as batches round differently.
                rows = [row for row in unit_rows if row["trial_key"] not in done]
                folder.add(rows)
                on_rows(rows)
    finally:
        folder.compact()


def check_horizon(horizon: int, frameskip: int) -> None:
    """Raises UserError unless the horizon is a whole number of model steps."""
    if horizon < 1 or horizon % frameskip:
        raise UserError(
            f"horizon {horizon} is not a multiple of the model's frameskip {frameskip}: "
            f"--horizon counts environment steps, {frameskip} to a model step"
        )
