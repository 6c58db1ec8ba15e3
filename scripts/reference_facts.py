"""The figures of the README and docs/claims.md that no table shows, from the reference run.

    python scripts/reference_facts.py [RESULTS ...]

Success over all horizons, at any check and blind, with paired tests; time of an iteration at
the longest horizon; and iterations, predicted and realised goal cost of the plans that were
committed to at the end.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pandas as pd

from grasp_bench.results import read_results
from grasp_bench.stats import mcnemar_p_value

BOUNDS = ("zero", "random", "demo")
PAPER = {"cem", "gd", "latco", "grasp"}


def main() -> None:
    folders = sys.argv[1:] or ["results/reference"]
    trials = pd.concat([read_results(Path(folder)) for folder in folders])
    trials = trials[~trials["planner"].isin(BOUNDS)].assign(planner=trials["planner_label"])
    for outcome in ("success", "blind_success"):
        print(f"\n{outcome} over all horizons")
        _compare(trials.pivot(index="task_id", columns="planner", values=outcome).astype(bool))
    longest = trials["horizon"].max()
    to_the_end = trials["planner_time"] > 0.9 * trials["budget"]
    late = trials[to_the_end & (trials["horizon"] == longest) & (trials["iterations"] > 0)]
    milliseconds = 1000 * late["planner_time"] / late["iterations"].astype(float)
    medians = milliseconds.groupby(late["planner"]).median().round(1)
    print(f"\nms per iteration at H={longest}\n" + medians.to_string())
    ends = ["iterations", "blind_cost_predicted", "blind_cost_realised"]
    medians = trials.groupby(["planner", "horizon"])[ends].median()
    print("\n" + medians.round(3).to_string())


def _compare(success: pd.DataFrame) -> None:
    print(success.mean().sort_values(ascending=False).round(3).to_string())
    pairs = itertools.combinations(success.columns, 2)
    for one, other in pairs:
        if "grasp-plus" in (one, other) or {one.split("[")[0], other.split("[")[0]} <= PAPER:
            p_value = mcnemar_p_value(success[one].to_numpy(), success[other].to_numpy())
            print(f"{one} and {other}: exact McNemar p = {p_value:.2g} on {len(success)} tasks")


if __name__ == "__main__":
    main()
