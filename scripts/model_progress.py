"""The table of docs/model-progress.md, from the runs of scripts/model_progress.sh.

    python scripts/model_progress.py NAME=FOLDER NAME=FOLDER...

A row per model and planner. Each cell: success at some check / success of the plan committed
to at the end (blind), in brackets the exact McNemar p-values against the first model, and the
median goal cost of the committed plans, predicted → realised. The second table splits the
blind failures into broken promises, plans that the model priced below 0.02, and the rest.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from grasp_bench.errors import UserError
from grasp_bench.results import read_results
from grasp_bench.stats import mcnemar_p_value
from grasp_bench.training.online_checks import PROMISED

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


def failures(trials: pd.DataFrame, before: pd.DataFrame | None) -> str:
    failed = ~trials["blind_success"].astype(bool)
    promised = trials["blind_cost_predicted"].astype(float) < PROMISED
    return f"{(failed & promised).sum()} + {(failed & ~promised).sum()}"


def main() -> None:
    models = dict(argument.split("=", 1) for argument in sys.argv[1:])
    runs = {name: read_runs(Path(folder)) for name, folder in models.items()}
    for show in (cell, failures):
        print_table(runs, show)


def print_table(
    runs: dict[str, pd.DataFrame], show: Callable[[pd.DataFrame, pd.DataFrame | None], str]
) -> None:
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
                cells.append(show(trials[chosen], None if trials is first else first[same]))
            print(f"| {name} | {planner} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
