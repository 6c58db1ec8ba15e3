"""States what the reader of a table must know, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from grasp_bench.analysis.published import Source
from grasp_bench.analysis.stats import POWER, SIGNIFICANCE

INTERVALS_NOTE = "Small print: 95% intervals of both (Wilson, bootstrap), and n."
FINAL_PLAN_NOTE = (
    "Success is that of the final plan: the one plan that a planner commits to when its budget "
    "ends. The planner chooses it by the model's cost alone."
)


def reading_notes(
    unit: str,
    detectable: Mapping[int, float],
    sources: Sequence[Source],
    learned: Sequence[str],
) -> list[str]:
    """Says what stands in the cells of a table, and what bold means.

    Args:
        unit: of times; empty where there are none.
        detectable: the smallest difference, by horizon, that the tests of ties could have found.
        sources: of the numbers published elsewhere.
        learned: planners that use a prior learned from demonstrations.
    """
    time = "time" if unit == "s" else unit
    median = f" and median {time} to success over successes" if unit else ""
    notes = [
        f"Success rate{median}. Bold: the best at its horizon, and what an exact McNemar test on "
        f"the same tasks does not tell from it (p >= {SIGNIFICANCE})."
    ]
    if learned:
        notes.append(
            f"Two tracks: {', '.join(learned)} uses a prior learned from demonstrations, and the "
            "others start from nothing. Bold is the best of each track."
        )
    if detectable:
        points = ", ".join(f"{100 * value:.0f} at H={h}" for h, value in detectable.items())
        notes.append(
            "Planners that are not told apart may still differ. The test on these tasks finds "
            f"differences of so many points with {POWER:.0%} power: {points}."
        )
    if sources:
        notes.append(
            f"{'; '.join(source.protocol for source in sources)}. World model, tasks, budget and "
            "hardware differ from those of the other columns: compare the pattern, not the digits."
        )
    return notes


def protocol_notes(finished: pd.DataFrame, criterion: str = "") -> list[str]:
    """Names the settings and hardware that all trials share, and the criterion of success."""
    one = finished.iloc[0]
    cap = "" if pd.isna(one["max_iterations"]) else f", at most {one['max_iterations']} iterations"
    hardware = finished[["cpu", "cores", "accelerator"]].drop_duplicates()
    machines = sorted(
        f"{cpu} ({cores} cores)" if pd.isna(gpu) else gpu
        for cpu, cores, gpu in hardware.itertuples(index=False, name=None)
    )
    workers = "/".join(str(count) for count in sorted(finished["workers"].unique()))
    budgets = budgets_text(finished)
    judged_by = f"criterion '{criterion}'" if criterion else "default criterion"
    closed_loop = (
        f"Closed loop (MPC): the planner replans every {one['replan_every']} model step(s) from "
        "the simulator's state, with the steps and the budget that are left."
    )
    return [
        f"Success: the {judged_by} of the "
        f"environment {one['environment']}. "
        f"{budgets[0].upper()}{budgets[1:]}{cap}, stop: {one['stop']}, batch {one['batch']}, "
        f"tasks: {one['tasks']} set, seed {one['master_seed']}, "
        f"protocol version {one['protocol_version']}.",
        *([] if one["protocol"] == "open-loop" else [closed_loop]),
        *_objective_notes(one),
        *_open_points(str(one["model"])),
        f"World model {one['model']} ({one['model_sha256'][:12]}), {one['device']}, "
        f"{'; '.join(machines)}, {one['threads']} torch thread(s) x {workers} worker(s).",
    ]


def budgets_text(finished: pd.DataFrame) -> str:
    """Names the budget, or each planner's, such as "budget 2 planner seconds"."""
    unit = "planner seconds" if finished["clock"].iloc[0] == "wall" else "candidate plans"
    budgets = finished.groupby("planner_label", observed=True, sort=False)["budget"].first()
    if budgets.nunique() == 1:
        return f"budget {budgets.iloc[0]:g} {unit}"
    each = ", ".join(f"{label} {budget:g}" for label, budget in budgets.items())
    return f"budgets in {unit}: {each}"


def hardware_notes(trials: pd.DataFrame, titles: Mapping[str, str]) -> list[str]:
    """Warns of cells whose trials ran on different hardware, given planners' titles by label."""
    machines = trials[["planner_label", "horizon", "cpu", "accelerator"]].drop_duplicates()
    counts = machines.groupby(["planner_label", "horizon"], observed=True).size()
    mixed = [f"{titles[str(label)]} at H={horizon}" for label, horizon in counts[counts > 1].index]
    if not mixed:
        return []
    return [
        f"Cells of different hardware: {', '.join(mixed)}. Their seconds do not compare: "
        "`table --kind relative` divides them by those of a fixed workload on the same machine."
    ]


def _open_points(model: str) -> list[str]:
    """Says, of results on DINO-WM, what of the paper's experiment on it is not known."""
    if not model.startswith("dino-wm"):
        return []
    return [
        "Open in the paper's experiment on DINO-WM: no public script of its authors evaluates "
        "DINO-WM with GRASP (theirs evaluates LeWM); which checkpoint was used is not stated; and "
        "a success may have been judged in the model, as --criterion in_model does."
    ]


def _objective_notes(one: pd.Series) -> list[str]:
    """Names what of the problem is not the default: the goal distance, and untold limits."""
    notes = []
    if one["proprio_weight"] != 1.0 or one["goal_steps"] != 1:
        notes.append(
            f"Goal distance: proprioception weighs {one['proprio_weight']:g}, averaged over the "
            f"last {one['goal_steps']} model step(s)."
        )
    if not one["action_limits"]:
        notes.append("Planners are not told the action limits, at which the simulator clips.")
    return notes


def settings_notes(finished: pd.DataFrame, titles: Mapping[str, str]) -> list[str]:
    """Says where the planners' hyperparameters come from, given their titles by label."""
    columns = ["planner_label", "hyperparameters_source", "tuning_budget", "tuning_sha256", "model"]
    planners: dict[str, list[str]] = {}
    sources = finished[columns].drop_duplicates().itertuples(index=False, name=None)
    for label, source, budget, sha256, model in sources:
        if label in titles and pd.notna(source):
            tuned = f"tuned, {budget} (settings/{model}.json, {str(sha256)[:12]})"
            phrase = tuned if source == "tuned" else "the planners' defaults"
            planners.setdefault(phrase, []).append(label)
    parts = []
    for phrase, labels in planners.items():
        of = f" of {', '.join(titles[label] for label in labels)}" if len(planners) > 1 else ""
        parts.append(f"Hyperparameters{of}: {phrase}.")
    return [" ".join(parts)] if parts else []
