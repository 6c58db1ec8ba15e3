"""The table of docs/model-progress.md, from the runs of scripts/model_progress.sh.

    python scripts/model_progress.py NAME=FOLDER NAME=FOLDER...

A row per model and planner. Each cell: success at some check / success of the plan committed
to at the end (blind), and in brackets the exact McNemar p-values against the first model.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from grasp_bench.errors import UserError
from grasp_bench.results import read_results
from grasp_bench.stats import mcnemar_p_value

OUTCOMES = ("success", "blind_success")
COSTS = ("blind_cost_predicted", "blind_cost_realised")


def read_runs(folder: Path) -> pd.DataFrame:
    runs = sorted(path.parent for path in folder.glob("*/trials.parquet"))
    if not runs:
        raise UserError(f"no finished run in {folder}: scripts/model_progress.sh makes them")
    return pd.concat([read_results(run) for run in runs])


def cell(trials: pd.DataFrame, before: pd.DataFrame | None) -> str:
    rates = " / ".join(f"{100 * trials[outcome].astype(float).mean():.0f}%" for outcome in OUTCOMES)
    costs = " → ".join(f"{trials[cost].astype(float).median():.3f}" for cost in COSTS)
    if before is None:
        return f"{rates}; {costs}"
    both = trials.merge(before, on="task_id", suffixes=("", "_before"), validate="1:1")
    p_values = " / ".join(
        f"{mcnemar_p_value(both[outcome].astype(bool), both[f'{outcome}_before'].astype(bool)):.2g}"
        for outcome in OUTCOMES
    )
    return f"{rates} (p = {p_values}); {costs}"


def main() -> None:
    models = dict(argument.split("=", 1) for argument in sys.argv[1:])
    runs = {name: read_runs(Path(folder)) for name, folder in models.items()}
    first = next(iter(runs.values()))
    horizons = sorted(first["horizon"].unique())
    print("| model | planner | " + " | ".join(f"H={horizon}" for horizon in horizons) + " |")
    print("| --- " * (2 + len(horizons)) + "|")
    for name, trials in runs.items():
        for planner in sorted(trials["planner"].unique()):
            cells = []
            for horizon in horizons:
                chosen = (trials["planner"] == planner) & (trials["horizon"] == horizon)
                same = (first["planner"] == planner) & (first["horizon"] == horizon)
                cells.append(cell(trials[chosen], None if trials is first else first[same]))
            print(f"| {name} | {planner} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
