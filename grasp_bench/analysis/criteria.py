"""Lays out one planner a row and one success criterion a column: does the order hang on it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from grasp_bench.analysis import Outcome
from grasp_bench.analysis.aggregate import ResultTable, build_table
from grasp_bench.analysis.judging import by_outcome, criterion_column
from grasp_bench.analysis.results_table import cell_entry
from grasp_bench.analysis.sheet import NOTHING, Entry, Sheet


def criteria_sheets(
    trials: pd.DataFrame, criteria: Mapping[str, str], outcome: Outcome, intervals: bool
) -> list[Sheet]:
    """Makes a sheet per horizon, and one of how each criterion orders the planners.

    Args:
        trials: that share their settings.
        criteria: of the environment, by name, with their rules; the default is the first.
            Those that some trial does not record are left out.
        outcome: what success means, see `by_outcome`.
        intervals: in small print.
    """
    default, *_ = criteria
    ran = trials[trials["status"] == "ok"]

    def is_recorded(name: str) -> bool:
        column = criterion_column(name, default, outcome)
        return column in ran and not ran[column].isna().any()

    rules = {name: rule for name, rule in criteria.items() if is_recorded(name)}
    tables = {
        name: build_table(by_outcome(trials, outcome, name, default), outcome) for name in rules
    }
    horizons = [row.horizon for row in next(iter(tables.values())).rows]
    sheets = [_sheet(place, horizon, tables, intervals) for place, horizon in enumerate(horizons)]
    notes = [f"{name}: {rule}." for name, rule in rules.items()]
    return [*sheets, _order_sheet(horizons, tables, notes)]


def _sheet(place: int, horizon: int, tables: Mapping[str, ResultTable], intervals: bool) -> Sheet:
    """Makes the sheet of the horizon that is row `place` of every table."""
    columns = next(iter(tables.values())).columns
    rows, records = [], []
    for column in columns:
        cells = {name: table.rows[place].cells.get(column.label) for name, table in tables.items()}
        shown = [cell_entry(cell, column, "", intervals) for cell in cells.values()]
        rows.append([Entry(column.title), *shown])
        rates = {name: cell and cell.rate for name, cell in cells.items()}
        records.append({"horizon": horizon, "planner": column.label} | rates)
    return Sheet(["Planner", *tables], rows, records, title=f"H={horizon}")


def _order_sheet(
    horizons: Sequence[int], tables: Mapping[str, ResultTable], notes: Sequence[str]
) -> Sheet:
    rows, records = [], []
    for place, horizon in enumerate(horizons):
        rates = {name: _rates(table, place) for name, table in tables.items()}
        default = next(iter(rates.values()))
        line, record = [Entry(f"H={horizon}")], dict[str, object](horizon=horizon)
        for name, found in rates.items():
            both = list(default.values()), list(found.values())
            tau = kendalltau(*both).statistic if len(found) > 1 else np.nan
            best = max(found.values(), default=0.0)
            leaders = [title for title, rate in found.items() if rate == best > 0]
            leader = ", ".join(leaders) or NOTHING
            agreement = NOTHING if np.isnan(tau) else f"{tau:.2f}"
            line.append(Entry(leader, f"tau {agreement}"))
            record |= {name: leader, f"{name}_tau": None if np.isnan(tau) else float(tau)}
        rows.append(line)
        records.append(record)
    note = (
        "The planner that leads under each criterion, and Kendall's tau of the planners' rates "
        "with those of the first criterion: 1 means the same order."
    )
    headings, title = ["Horizon", *tables], "Order of the planners"
    return Sheet(headings, rows, records, [note, *notes], title)


def _rates(table: ResultTable, place: int) -> dict[str, float]:
    cells = table.rows[place].cells
    return {c.title: cells[c.label].rate for c in table.contenders if c.label in cells}
