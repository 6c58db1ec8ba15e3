"""Prints the numbers of the docs that no table shows, from the reference run.

    python scripts/reference_facts.py [RESULTS ...]

These are success over all horizons, at any check and of final plans, with paired tests; the
time of an iteration at the longest horizon; and iterations, predicted and realised goal cost of
final plans.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pandas as pd

from grasp_bench.analysis.aggregate import BOUNDS
from grasp_bench.analysis.published import PAPER
from grasp_bench.analysis.stats import mcnemar_p_value
from grasp_bench.run.store import read_results


def main() -> None:
    folders = sys.argv[1:] or ["results/reference"]
    trials = pd.concat([read_results(Path(folder)) for folder in folders])
    trials = trials[~trials["planner"].isin(BOUNDS)].assign(planner=trials["planner_label"])
    for outcome in ("success", "final_plan_success"):
        print(f"\n{outcome} over all horizons")
        counted = trials.assign(**{outcome: trials[outcome].fillna(False)})
        _compare(counted.pivot(index="task_id", columns="planner", values=outcome))
    longest = trials["horizon"].max()
    to_the_end = trials["planner_time"] > 0.9 * trials["budget"]
    late = trials[to_the_end & (trials["horizon"] == longest) & (trials["iterations"] > 0)]
    milliseconds = 1000 * late["planner_time"] / late["iterations"].astype(float)
    medians = milliseconds.groupby(late["planner"]).median().round(1)
    print(f"\nms per iteration at H={longest}\n" + medians.to_string())
    ends = ["iterations", "final_plan_cost_predicted", "final_plan_cost_realised"]
    medians = trials.groupby(["planner", "horizon"])[ends].median()
    print("\n" + medians.round(3).to_string())


def _compare(success: pd.DataFrame) -> None:
    success = success.dropna(axis="columns").astype(bool)  # planners that ran on every task
    print(success.mean().sort_values(ascending=False).round(3).to_string())
    pairs = itertools.combinations(success.columns, 2)
    for one, other in pairs:
        if (
            "grasp-plus" in (one, other)
            or {one.split("[")[0], other.split("[")[0]} <= PAPER.cells.keys()
        ):
            p_value = mcnemar_p_value(success[one].to_numpy(), success[other].to_numpy())
            print(f"{one} and {other}: exact McNemar p = {p_value:.2g} on {len(success)} tasks")


if __name__ == "__main__":
    main()
