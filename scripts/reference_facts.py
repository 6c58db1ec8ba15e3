"""The figures of the README that no table shows, from the reference run.

    python scripts/reference_facts.py

Success over all horizons with paired tests, time of an iteration at H=80, and predicted
beside realised goal cost of the plans that were committed to at the end of the budget.
"""

from __future__ import annotations

import itertools
from pathlib import Path

from grasp_bench.results import read_results
from grasp_bench.stats import mcnemar_p_value

PLANNERS = ("cem", "gd", "latco", "grasp", "grasp-plus")


def main() -> None:
    trials = read_results(Path("results/reference"))
    trials = trials[trials["planner"].isin(PLANNERS)]
    success = trials.pivot(index="task_id", columns="planner", values="success").astype(bool)
    print(success.mean().round(3).to_string())
    for one, other in itertools.combinations(PLANNERS, 2):
        p_value = mcnemar_p_value(success[one].to_numpy(), success[other].to_numpy())
        print(f"{one} and {other}: exact McNemar p = {p_value:.2g} on {len(success)} tasks")
    late = trials[(trials["horizon"] == 80) & (trials["planner_time"] > 4.5)]
    milliseconds = 1000 * late["planner_time"] / late["iterations"].astype(float)
    print("ms per iteration at H=80\n" + milliseconds.groupby(late["planner"]).median().to_string())
    costs = trials.groupby(["planner", "horizon"])[["blind_cost_predicted", "blind_cost_realised"]]
    print(costs.median().round(3).to_string())


if __name__ == "__main__":
    main()
