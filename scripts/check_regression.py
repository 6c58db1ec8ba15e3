"""Hold a sweep against a stored one: fails where a planner got significantly worse.

    python scripts/check_regression.py results/regression results/regression-now

Paired on planner and task; a planner fails if the exact McNemar test finds its success
lower than the stored run's (p < 0.05), or if trials are missing or ended in an error.
"""

from __future__ import annotations

import sys
from pathlib import Path

from grasp_bench.errors import UserError
from grasp_bench.results import read_results
from grasp_bench.stats import mcnemar_p_value

SIGNIFICANCE = 0.05


def main(base_path: Path, new_path: Path) -> int:
    base, new = read_results(base_path), read_results(new_path)
    base = base[base["status"] == "ok"]
    failures = 0
    for (label, horizon), stored in base.groupby(["planner_label", "horizon"]):
        current = new[(new["planner_label"] == label) & (new["horizon"] == horizon)]
        pairs = stored.merge(
            current[current["status"] == "ok"], on="task_id", suffixes=("_base", "_new")
        )
        name = f"{label} H={horizon}"
        if len(pairs) < len(stored):
            print(f"FAIL {name}: {len(stored) - len(pairs)} of {len(stored)} trials are missing")
            failures += 1
            continue
        before = pairs["success_base"].to_numpy(dtype=bool)
        after = pairs["success_new"].to_numpy(dtype=bool)
        p_value = mcnemar_p_value(before, after)
        worse = after.sum() < before.sum() and p_value < SIGNIFICANCE
        same_plans = int((pairs["plan_sha256_base"] == pairs["plan_sha256_new"]).sum())
        print(
            f"{'FAIL' if worse else 'ok  '} {name}: {before.sum()} -> {after.sum()} of "
            f"{len(pairs)} succeed (p = {p_value:.3f}), {same_plans} plans bitwise equal"
        )
        failures += worse
    return 1 if failures else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: check_regression.py STORED NEW")
    try:
        sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
    except UserError as error:
        print(f"check_regression: {error}", file=sys.stderr)
        sys.exit(2)
