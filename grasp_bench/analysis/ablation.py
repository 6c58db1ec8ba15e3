"""Compares configurations of one planner: what they set, and what it is worth."""

from __future__ import annotations

import json

import pandas as pd

from grasp_bench.analysis import Outcome
from grasp_bench.analysis.aggregate import DISPLAY_NAMES, ResultTable, build_table
from grasp_bench.analysis.footnotes import protocol_notes
from grasp_bench.analysis.paired_tests import paired, paired_costs
from grasp_bench.analysis.results_table import cell_entry, cell_numbers
from grasp_bench.analysis.sheet import NOTHING, Entry, Sheet, difference_text
from grasp_bench.analysis.stats import SIGNIFICANCE
from grasp_bench.core.errors import UserError
from grasp_bench.run.failures import judged, not_run, not_run_notes

BY_HORIZON = "by horizon"

_READING = (
    "Success rate, and median time to success where it has one. Bold: the best of its horizon, "
    "and what an exact McNemar test on the same tasks does not tell from it. Small print: the "
    "difference to the first row in points, its 95% bootstrap interval and exact McNemar p-value, "
    f"not corrected for the number of rows. An asterisk: p < {SIGNIFICANCE}."
)
_READING_COST = (
    "Cost: the realised goal cost of the final plans minus that of the first row. It is the median "
    "over tasks, with its 95% bootstrap interval and the two-sided p-value of Wilcoxon's signed "
    "ranks."
)
_READING_NO_COST = "A trial without a final plan has the highest cost of both rows."


def ablation_sheets(
    trials: pd.DataFrame, intervals: bool, outcome: Outcome = "first"
) -> list[Sheet]:
    """Makes a sheet per planner of several configurations: hyperparameters, then horizons.

    The other rows are compared with the first. It is the configuration with the fewest
    hyperparameters set: tuned hyperparameters or defaults, where they were run.

    Raises:
        UserError: no planner has two configurations.
    """
    trials = judged(trials)
    sheets = [
        _sheet(str(name), own, intervals, outcome)
        for name, own in trials.groupby("planner", observed=True)
        if own["planner_label"].nunique() > 1
    ]
    if not sheets:
        raise UserError(
            "an ablation table needs a planner with two configurations: run it again with --set"
        )
    reading = [_READING] if outcome == "first" else [_READING, _READING_COST]
    if outcome == "final-plan" and any(not_run(trials)):
        reading.append(_READING_NO_COST)
    sheets[-1].notes.extend([*reading, *protocol_notes(trials), *not_run_notes(trials, {})])
    return sheets


def _sheet(name: str, trials: pd.DataFrame, intervals: bool, outcome: Outcome) -> Sheet:
    table = build_table(trials, outcome)
    own = {str(label): rows for label, rows in trials.groupby("planner_label", observed=True)}
    configs = {
        label: _common([json.loads(config) for config in rows["hyperparameters"].unique()])
        for label, rows in own.items()
    }
    labels = sorted(configs, key=lambda label: (label.count("="), label))
    options = _differing(configs)
    rows, records = [], []
    for label in labels:
        chosen = {option: configs[label].get(option) for option in options}
        entries, numbers = _horizons(table, own, label, labels[0], intervals, outcome)
        shown = (NOTHING if value is None else str(value) for value in chosen.values())
        rows.append([*map(Entry, shown), *entries])
        records.append({"planner": name, "label": label, **chosen, **numbers})
    return Sheet(
        headings=[*options, *(f"H={row.horizon}" for row in table.rows)],
        rows=rows,
        records=records,
        title=DISPLAY_NAMES.get(name, name),
        labels=len(options),
    )


def _horizons(
    table: ResultTable,
    own: dict[str, pd.DataFrame],
    label: str,
    base: str,
    intervals: bool,
    outcome: Outcome,
) -> tuple[list[Entry], dict[str, object]]:
    (column,) = (column for column in table.columns if column.label == label)
    entries = []
    numbers: dict[str, object] = {}
    for row in table.rows:
        cell = row.cells.get(label)
        ours, other = (frame[frame["horizon"] == row.horizon] for frame in (own[label], own[base]))
        against = None if label == base else paired(ours, other)
        cost = None if label == base or outcome == "first" else paired_costs(ours, other)
        entry = cell_entry(cell, column, table.unit, intervals)
        below = [entry.below] if entry.below else []
        if against is not None:
            change, *bounds = (100 * value for value in (against.change, *against.difference))
            below.append(difference_text(change, bounds, against.p_value, "+.1f"))
        if cost is not None:
            below.append(
                "cost " + difference_text(cost.change, cost.interval, cost.p_value, "+.2g")
            )
        entries.append(Entry(entry.text, ", ".join(below), entry.bold))
        head = f"h{row.horizon}"
        numbers |= {f"{head}_{key}": value for key, value in cell_numbers(cell).items()}
        # These replace the cell's own numbers, which compare it with the best.
        low, high = against.difference if against else (None, None)
        numbers |= {f"{head}_difference_low": low, f"{head}_difference_high": high}
        numbers[f"{head}_difference"] = against and against.change
        numbers[f"{head}_p_value"] = against and against.p_value
        if outcome == "final-plan":
            numbers[f"{head}_cost_difference"] = cost and cost.change
            numbers[f"{head}_cost_p_value"] = cost and cost.p_value
    return entries, numbers


def _common(configs: list[dict[str, object]]) -> dict[str, object]:
    """Merges a configuration's hyperparameters; tuned ones may differ from horizon to horizon."""
    return {
        name: value if all(other.get(name) == value for other in configs) else BY_HORIZON
        for name, value in configs[0].items()
    }


def _differing(configs: dict[str, dict[str, object]]) -> list[str]:
    """Returns the hyperparameters in which configurations differ, or that one does not have."""
    names = dict.fromkeys(name for config in configs.values() for name in config)
    return [
        name
        for name in names
        if len({json.dumps(config.get(name)) for config in configs.values()}) > 1
    ]
