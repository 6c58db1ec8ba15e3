"""A small grid per planner on the tuning tasks, the same number of settings for each.

    python scripts/tune_grid.py

Every setting gets the same tasks and planner seconds. Stopping it is safe: the same
command goes on. The winner of each planner is what `make reproduce` passes as `--set`;
a draw goes to the default.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from grasp_bench.results import read_results

HORIZON, TRIALS, BUDGET = 60, 16, 4
OUT = Path("results/tuning")

# The first of each is the default: the planner as published.
GRID: dict[str, list[dict[str, str]]] = {
    "cem": [
        {},
        {"sigma": "0.5"},
        {"samples": "100", "elites": "10"},
        {"elites": "10"},
        {"samples": "100", "elites": "10", "sigma": "0.5"},
    ],
    "gd": [
        {},
        {"lr": "10"},
        {"lr": "50"},
        {"optimiser": "adam", "lr": "0.05"},
        {"optimiser": "adam", "lr": "0.2"},
    ],
    "latco": [
        {},
        {"iterations": "500"},
        {"lr": "0.02", "iterations": "500"},
        {"lr": "0.1"},
        {"initial_multiplier": "10", "iterations": "500"},
    ],
    "grasp": [
        {},
        {"sync_every": "25", "gd_steps": "20", "action_lr": "0.002"},
        {"sync": "cem"},
        {"sync_every": "25", "gd_steps": "20"},
        {"sync_every": "10", "gd_steps": "20", "action_lr": "0.002"},
    ],
    "grasp-plus": [
        {},
        {"samples": "32"},
        {"samples": "128", "elites": "16"},
        {"refine_steps": "2"},
        {"temperature": "1"},
    ],
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--planners", default=",".join(GRID), help="by default all")
    chosen = parser.parse_args().planners.split(",")
    for settings in zip(*(GRID[planner] for planner in chosen), strict=True):
        command = [
            *(sys.executable, "-m", "grasp_bench", "sweep", "--planners", ",".join(chosen)),
            *("--horizons", str(HORIZON), "--trials", str(TRIALS), "--budget", str(BUDGET)),
            *("--tasks", "tune", "--out", str(OUT)),
        ]
        for planner, overrides in zip(chosen, settings, strict=True):
            for key, value in overrides.items():
                command += ["--set", f"{planner}.{key}={value}"]
        if code := subprocess.run(command, check=False).returncode:
            return code
    trials = read_results(OUT)
    cells = trials.groupby(["planner", "planner_label"], observed=True)
    summary = cells.agg(
        n=("success", "size"), success=("success", "mean"), time=("time_to_success", "median")
    )
    print(summary.sort_values(["planner", "success"], ascending=[True, False]).to_string())
    return 0


if __name__ == "__main__":
    sys.exit(main())
