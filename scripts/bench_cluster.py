"""Measures what a trial costs the process that drives a Ray cluster, for docs/large-runs.md.

    python scripts/bench_cluster.py --trials 10000 --workers 4

It runs a sweep of trials that take no time on a cluster of three nodes on this machine. The
first trial of every actor is a real one; its row stands for the others', under their keys. So the
rows have the size of real ones and go the way of real ones: from an actor to the driver and to
the disk. Only planning is left out. The rows mean nothing.

The driver's ceiling is what one trial takes of the driver's main thread: its CPU seconds, and the
seconds in which it writes and waits for the disk. On a cluster the actors compute elsewhere. What
comes in together is stored together, so that more actors cost less each: the last lines measure
that without Ray.
"""

from __future__ import annotations

import argparse
import os
import pickle
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq

from grasp_bench.core.system import describe_system
from grasp_bench.core.types import Row
from grasp_bench.models import load_model
from grasp_bench.planners import planner_spec
from grasp_bench.run.executors import Failure, ResourceLimits
from grasp_bench.run.executors.ray_cluster import RayCluster
from grasp_bench.run.preparation import run_settings
from grasp_bench.run.run_folder import RunFolder, open_run_folder
from grasp_bench.run.store import PARTS_FOLDER, read_results
from grasp_bench.run.sweep import Sweep, run_sweep
from grasp_bench.run.worker import Assignment, WorkUnit, run_unit
from grasp_bench.tasks import load_tasks
from grasp_bench.trial.protocol import TrialProtocol

HORIZON, TASKS, NODES = 40, 500, 3
POINTS = 10  # at which memory is looked at
GROUPS, ROUNDS = (1, 8, 64, 512), 20  # trials that come in together, how often
STORED = Path("results/regression/trials.parquet")


class Instant:
    """Answers at once with copies of its first row."""

    def __init__(self, work: bytes, threads: int, limits: ResourceLimits, folder: str) -> None:
        self._work = pickle.loads(work)
        self._tasks = load_tasks("eval", HORIZON, TASKS).tasks
        self._row: Row = {}

    def ready(self) -> bool:
        return True

    def run(self, pickled: bytes) -> list[Row]:
        unit: WorkUnit = pickle.loads(pickled)
        if not self._row:
            (self._row,) = self._work(unit)
        task, spec = self._tasks[unit.begin], unit.planner
        own = {
            "trial_key": spec.trial_key(task.id),
            "task_id": task.id,
            "planner_label": spec.label,
        }
        return [self._row | own]


class InstantCluster(RayCluster):
    actor = Instant


@dataclass
class Driver:
    """What the driver has taken so far.

    Attributes:
        trials: whose rows are stored.
        storing: seconds inside the run folder, the disk's included, and CPU seconds of them.
        points: trials, MiB and seconds at some moments.
    """

    every: int
    trials: int = 0
    storing: float = 0.0
    storing_cpu: float = 0.0
    points: list[tuple[int, float, float]] = field(default_factory=list)
    begun: float = 0.0
    begun_cpu: float = 0.0

    def seen(self, rows: list[Row]) -> None:
        if not self.trials:  # from the first row on: actors take seconds to start
            self.begun, self.begun_cpu = time.monotonic(), time.thread_time()
            self.storing = self.storing_cpu = 0.0
        before, self.trials = self.trials, self.trials + len(rows)
        if before // self.every != self.trials // self.every:
            mebibytes = psutil.Process().memory_info().rss / 2**20
            self.points.append((self.trials, mebibytes, time.monotonic() - self.begun))

    @contextmanager
    def timed(self, folder: RunFolder) -> Iterator[None]:
        for name in ("add", "turn"):
            setattr(folder, name, self._timed(getattr(folder, name)))
        yield

    def _timed(self, method: Any) -> Any:
        def timed(*arguments: Any) -> Any:
            begun, cpu = time.monotonic(), time.thread_time()
            found = method(*arguments)
            self.storing += time.monotonic() - begun
            self.storing_cpu += time.thread_time() - cpu
            return found

        return timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000, help=f"a multiple of {TASKS}")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--model", default="pusht-compact")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for line in measured(options.model, options.trials, options.workers, Path(folder)):
            print(line)


def measured(model: str, trials: int, workers: int, path: Path) -> list[str]:
    """Runs the sweep into a folder; returns what it took, a sentence a line."""
    import ray
    from ray.cluster_utils import Cluster

    loaded, tasks = load_model(model), load_tasks("eval", HORIZON, min(TASKS, trials))
    protocol = TrialProtocol(clock="iterations", budget=1, stop="never")
    settings = run_settings(loaded, tasks, protocol)
    variants = [planner_spec("cem", {"samples": str(100 + n)}) for n in range(-(-trials // TASKS))]
    sweep = Sweep({HORIZON: variants}, {HORIZON: tasks}, 1)
    driver = Driver(every=max(1, trials // POINTS))
    load = os.getloadavg()[0]
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": workers})
    try:
        for _ in range(NODES - 1):
            cluster.add_node(num_cpus=workers)
        ray.init(address=cluster.address, log_to_driver=False)
        executor = InstantCluster(Assignment(protocol, settings, workers))
        with open_run_folder(path, settings) as folder, driver.timed(folder):
            run_sweep(sweep, folder, executor, driver.seen, failed)
            cpu = time.thread_time() - driver.begun_cpu
            largest = psutil.Process().memory_info().rss / 2**20
    finally:
        ray.shutdown()
        cluster.shutdown()
    rows = read_results(path)
    assert len(rows) == driver.trials == len(sweep.all_keys())
    assert not list((path / PARTS_FOLDER).iterdir())
    unit = next(iter(sweep.units()))
    (row,) = run_unit(Assignment(protocol, settings, workers), unit)
    lines = described(driver, row, cpu, largest, load, workers)
    return [*lines, *(stored_together(settings, row, count) for count in GROUPS)]


def stored_together(settings: Mapping[str, Any], row: Row, count: int) -> str:
    """Says what a trial costs the driver where so many come in together, without Ray."""
    with (
        tempfile.TemporaryDirectory() as path,
        open_run_folder(Path(path), settings) as folder,
    ):
        begun, cpu = time.monotonic(), time.thread_time()
        for group in range(ROUNDS):
            rows = [row | {"trial_key": f"trial {group}-{number}"} for number in range(count)]
            folder.turn([row["trial_key"] for row in rows])
            folder.add(rows)
        seconds, cpu = time.monotonic() - begun, time.thread_time() - cpu
    trials = ROUNDS * count
    return (
        f"{count} trials stored together: {1e3 * seconds / trials:.2f} ms each, "
        f"{1e3 * cpu / trials:.2f} ms of it CPU, {trials / seconds:.0f} trials a second"
    )


def described(
    driver: Driver, row: Row, cpu: float, largest: float, load: float, workers: int
) -> list[str]:
    count, seconds = driver.trials, driver.points[-1][2]
    system = describe_system("cpu")
    serial = (cpu - driver.storing_cpu + driver.storing) / count
    stored = STORED.stat().st_size / pq.read_metadata(STORED).num_rows
    return [
        f"{count} trials, {workers} actors on {NODES} nodes of one machine: {system.cpu}, "
        f"{system.cores} cores, load {load:.1f} before",
        f"{1e3 * seconds / count:.1f} ms a trial from the first row to the last, "
        f"{count / seconds:.0f} trials a second, actors and driver on the same cores",
        f"{1e3 * cpu / count:.2f} ms CPU a trial of the driver's thread, of it "
        f"{1e3 * driver.storing_cpu / count:.2f} ms to store; with the disk "
        f"{1e3 * driver.storing / count:.2f} ms to store",
        f"the driver's ceiling: {1 / serial:.0f} trials a second",
        f"{len(pickle.dumps(row))} bytes a trial on the way, {stored:.0f} on the disk in {STORED}, "
        "whose trials all differ",
        "driver's memory, MiB: "
        + ", ".join(f"{mebibytes:.0f} at {trials}" for trials, mebibytes, _ in driver.points)
        + f"; {largest:.0f} after all parts were moved into one file",
    ]


def failed(failure: Failure) -> list[Row]:
    raise SystemExit(f"a trial was given up: {failure.reason}")


if __name__ == "__main__":
    main()
