"""Configurations of one planner beside each other: what they set, and what it is worth."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from grasp_bench.errors import UserError
from grasp_bench.report import Outcome
from grasp_bench.report.change import GOAL_COST, Change, paired_change
from grasp_bench.report.notes import protocol_notes
from grasp_bench.report.pairing import Pairing, paired
from grasp_bench.report.rows import DISPLAY_NAMES, ResultTable, build_table
from grasp_bench.report.sheet import NOTHING, Entry, Sheet, p_value_text
from grasp_bench.report.table import cell_entry, cell_numbers
from grasp_bench.stats import SIGNIFICANCE

BY_HORIZON = "by horizon"


def ablation_sheets(
    trials: pd.DataFrame, intervals: bool, outcome: Outcome = "first"
) -> list[Sheet]:
    """A sheet per planner of several configurations: hyperparameters that differ, then horizons.

    The first row is the configuration that the others are held against, the one with the
    fewest hyperparameters set: tuned settings or defaults, where they were run.

    Raises:
        UserError: no planner has two configurations.
    """
    finished = trials[trials["status"] == "ok"]
    sheets = [
        _sheet(str(name), own, intervals, outcome)
        for name, own in finished.groupby("planner", observed=True)
        if own["planner_label"].nunique() > 1
    ]
    if not sheets:
        raise UserError(
            "an ablation table needs a planner with two configurations: run it again with --set"
        )
    reading = [_READING] if outcome == "first" else [_READING, _READING_BLIND]
    sheets[-1].notes.extend([*reading, *protocol_notes(finished)])
    return sheets


_READING = (
    "Success rate, and median time to success where it has one; bold: the best of its horizon, "
    "and what an exact McNemar test on the same tasks does not tell from it. Small print: the "
    "difference to the first row in points, its 95% bootstrap interval and exact McNemar p-value, "
    "not corrected "
    f"for the number of rows; an asterisk where that is below {SIGNIFICANCE}."
)
_READING_BLIND = (
    "Cost: how much farther from the goal, by the model's distance, the plans committed to really "
    "end than those of the first row; the median over tasks, its 95% bootstrap interval and the "
    "two-sided p-value of Wilcoxon's signed ranks."
)


def _sheet(name: str, trials: pd.DataFrame, intervals: bool, outcome: Outcome) -> Sheet:
    table = build_table(trials, outcome)
    configs = {
        str(label): _common([json.loads(config) for config in own["planner_config"].unique()])
        for label, own in trials.groupby("planner_label", observed=True)
    }
    labels = sorted(configs, key=lambda label: (label.count("="), label))
    options = _differing(configs)
    own = {label: trials[trials["planner_label"] == label] for label in labels}
    rows, records = [], []
    for label in labels:
        settings = {option: configs[label].get(option) for option in options}
        entries, numbers = _horizons(table, own, label, labels[0], intervals, outcome)
        rows.append([*(Entry(_shown(value)) for value in settings.values()), *entries])
        records.append({"planner": name, "label": label, **settings, **numbers})
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
        cost = None if label == base or outcome == "first" else _cost_change(other, ours)
        entry = cell_entry(cell, column, table.unit, intervals)
        below = [text for text in (entry.below, _against(against), _costlier(cost)) if text]
        entries.append(Entry(entry.text, ", ".join(below), entry.bold))
        head = f"h{row.horizon}"
        numbers |= {f"{head}_{key}": value for key, value in cell_numbers(cell).items()}
        # To the first row, as the p-value; a cell's own interval is of the difference to the best.
        low, high = (None, None) if against is None else against.difference
        numbers |= {f"{head}_difference_low": low, f"{head}_difference_high": high}
        numbers[f"{head}_difference"] = None if against is None else against.change
        numbers[f"{head}_p_value"] = None if against is None else against.p_value
        if outcome == "blind":
            numbers[f"{head}_cost_difference"] = None if cost is None else cost.change
            numbers[f"{head}_cost_p_value"] = None if cost is None else cost.p_value
    return entries, numbers


def _against(pairing: Pairing | None) -> str:
    if pairing is None:
        return ""
    low, high = (100 * bound for bound in pairing.difference)
    star = "*" if pairing.p_value < SIGNIFICANCE else ""
    p_value = p_value_text(pairing.p_value)
    return f"{100 * pairing.change:+.1f} [{low:+.1f}, {high:+.1f}] p {p_value}{star}"


def _cost_change(base: pd.DataFrame, trials: pd.DataFrame) -> Change | None:
    """How the realised goal cost differs on the tasks that both have tried."""
    columns = ["task_id", "blind_cost_realised"]
    pairs = base[columns].merge(trials[columns], on="task_id")
    before, after = (pairs.iloc[:, place].to_numpy(float, na_value=np.nan) for place in (1, 2))
    return paired_change(GOAL_COST, before, after, margin=1.0)


def _costlier(change: Change | None) -> str:
    if change is None or change.interval is None:
        return ""
    low, high = change.interval
    star = "*" if change.p_value < SIGNIFICANCE else ""
    p_value = p_value_text(change.p_value)
    return f"cost {change.change:+.2g} [{low:+.2g}, {high:+.2g}] p {p_value}{star}"


def _common(configs: list[dict[str, object]]) -> dict[str, object]:
    """A configuration; what tuned settings have in different ways at its horizons says so."""
    return {
        name: value if all(other.get(name) == value for other in configs) else BY_HORIZON
        for name, value in configs[0].items()
    }


def _differing(configs: dict[str, dict[str, object]]) -> list[str]:
    """Hyperparameters that not all configurations agree in; one unknown to some counts."""
    names = dict.fromkeys(name for config in configs.values() for name in config)
    return [
        name
        for name in names
        if len({json.dumps(config.get(name)) for config in configs.values()}) > 1
    ]


def _shown(value: object) -> str:
    return NOTHING if value is None else str(value)
