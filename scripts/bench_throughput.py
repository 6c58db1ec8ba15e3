"""Measures how many trials a second local workers do, as the ratio of docs/large-runs.md.

    python scripts/bench_throughput.py --workers 1,2 --trials 40 --rounds 3

Every round runs the same sweep once for each number of workers and stores its rows, which must
be the same but for times. A rate counts from when every worker has finished its first trial:
starting a process and loading the model take seconds, once. Run it on an idle machine; it says
how loaded the machine is.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import pandas as pd

from grasp_bench.core.system import describe_system
from grasp_bench.models import LoadedModel, load_model
from grasp_bench.planners import planner_spec
from grasp_bench.run.executors import Failure
from grasp_bench.run.executors.local import LocalProcesses
from grasp_bench.run.preparation import run_settings
from grasp_bench.run.run_folder import open_run_folder
from grasp_bench.run.schema import SYSTEM
from grasp_bench.run.store import read_results
from grasp_bench.run.sweep import Sweep, run_sweep
from grasp_bench.run.worker import Assignment
from grasp_bench.tasks import load_tasks
from grasp_bench.trial.protocol import TrialProtocol

HORIZON, CANDIDATES = 40, 10
PLANNERS = ("cem", "gd", "grasp")
TIMES = [*(column.name for column in SYSTEM), "planner_seconds", "encode_seconds", "wall_seconds"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--trials", type=int, default=40, help="of each planner")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="pusht-compact")
    options = parser.parse_args()
    counts = [int(count) for count in options.workers.split(",")]
    loaded = load_model(options.model)
    system = describe_system("cpu")
    print(
        f"{system.cpu}, {system.cores} cores, load {os.getloadavg()[0]:.1f} before the first round"
    )
    rates: dict[int, list[float]] = {count: [] for count in counts}
    rows = None
    for _ in range(options.rounds):
        for count in counts:
            rate, found = measured(loaded, count, options.trials)
            rates[count].append(rate)
            if rows is not None:
                pd.testing.assert_frame_equal(rows, found)
            rows = found
    slowest = statistics.median(rates[counts[0]])
    for count, own in rates.items():
        rate = statistics.median(own)
        print(
            f"{count} worker(s): {rate:.2f} trials a second (rounds: "
            f"{', '.join(f'{one:.2f}' for one in own)}), {rate / slowest:.2f} times the first"
        )
    print(f"the rows of all {len(rates) * options.rounds} sweeps are the same but for times")


def measured(loaded: LoadedModel, workers: int, trials: int) -> tuple[float, pd.DataFrame]:
    """Returns trials per second after the workers' first ones, and the rows without times."""
    protocol = TrialProtocol(clock="iterations", budget=CANDIDATES, stop="never")
    tasks = load_tasks("eval", HORIZON, trials)
    sweep = Sweep({HORIZON: [planner_spec(name, {}) for name in PLANNERS]}, {HORIZON: tasks}, 1)
    settings = run_settings(loaded, tasks, protocol)
    finished: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        with open_run_folder(path, settings) as run:
            executor = LocalProcesses(Assignment(protocol, settings, workers))
            run_sweep(sweep, run, executor, lambda rows: finished.append(time.monotonic()), failed)
        rows = read_results(path)
    rate = (len(finished) - workers) / (finished[-1] - finished[workers - 1])
    return rate, rows.drop(columns=TIMES)


def failed(failure: Failure) -> list[dict[str, object]]:
    raise SystemExit(f"a trial was given up: {failure.reason}")


if __name__ == "__main__":
    main()
