"""Results to the rows of a table: computed once, whatever the format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from grasp_bench.errors import UserError
from grasp_bench.report import Outcome
from grasp_bench.report.notes import (
    detectable_note,
    protocol_notes,
    reading_note,
    settings_notes,
    source_notes,
)
from grasp_bench.report.pairing import Pairing, paired
from grasp_bench.report.published import SOURCES, Published, Source
from grasp_bench.results import check_labels, check_same_settings, one_row_per_trial
from grasp_bench.settings import SETTINGS_COLUMNS
from grasp_bench.stats import (
    SIGNIFICANCE,
    Interval,
    KaplanMeierMedian,
    RestrictedMean,
    bootstrap_median_interval,
    kaplan_meier_median,
    restricted_mean_time,
    wilson_interval,
)

DISPLAY_NAMES = {
    "cem": "CEM", "gd": "GD", "latco": "LatCo", "grasp": "GRASP",
    "gd-adam": "GD-Adam", "icem": "iCEM", "mppi": "MPPI", "grad-cem": "Grad-CEM",
    "latco-gn": "LatCo-GN",
}  # fmt: skip
# What a table is made of, for `read_results`.
TABLE_COLUMNS = (
    "trial_key", "status", "task_id", "horizon", "planner", "planner_label", "planner_config",
    "planner_config_sha256", "settings_source", "settings_sha256", "settings_budget",
    "success", "time_to_success", "iterations_to_success", "blind_success",
    "blind_cost_realised", *SETTINGS_COLUMNS, "cpu", "cores", "accelerator", "workers",
)  # fmt: skip
# What a cell is made of: of a million trials, every column more that is sorted out takes time.
_CELL_COLUMNS = [
    "task_id", "horizon", "planner_label", "success", "time_to_success", "iterations_to_success",
    "clock", "budget",
]  # fmt: skip
# Rows that bound a table from below and above. They compete with nobody.
BOUNDS = ("zero", "random", "demo")
_BOOTSTRAP_SEED = 0


@dataclass(frozen=True)
class TimeToSuccess:
    """Time to success over all trials, failures included.

    Attributes:
        mean: failures counted as the budget.
        median: time by which half of the trials are solved.
    """

    mean: RestrictedMean
    median: KaplanMeierMedian


@dataclass(frozen=True)
class Cell:
    """One planner at one horizon.

    Attributes:
        trials: n.
        successes: of them.
        success: 95% Wilson interval of the success rate.
        median_time: over successes, None without any; in the table's time unit.
        time: 95% bootstrap interval of that median.
        time_to_success: over all trials; None for blind success, which has no time.
        best: bold: no test tells it from the best at its horizon.
        against_best: on the tasks both have tried; None for the best itself and for bounds.
    """

    trials: int
    successes: int
    success: Interval
    median_time: float | None
    time: Interval | None
    time_to_success: TimeToSuccess | None
    best: bool = False
    against_best: Pairing | None = None

    @property
    def rate(self) -> float:
        """Share of trials that succeeded."""
        return self.successes / self.trials


@dataclass(frozen=True)
class TableColumn:
    """One planner configuration.

    Attributes:
        label: as the results name it.
        title: as the table names it.
        published: the paper's numbers and other people's, by source, at horizons of the table.
        bound: a floor or ceiling of the table, whose times mean nothing.
    """

    label: str
    title: str
    published: Mapping[Source, dict[int, Published]]
    bound: bool


@dataclass(frozen=True)
class TableRow:
    """One horizon; `cells` by planner label, without those that were not run."""

    horizon: int
    cells: dict[str, Cell]


@dataclass(frozen=True)
class ResultTable:
    """A table, and what its reader must know.

    Attributes:
        unit: of times, such as "s"; empty where there are none.
        reading: sentences on what stands in its cells.
        notes: sentences on the trials: settings, protocol, hardware, errors.
    """

    columns: list[TableColumn]
    rows: list[TableRow]
    unit: str
    reading: list[str]
    notes: list[str]

    @property
    def clock_unit(self) -> str:
        """Of times over all trials: counted, these are in candidates, medians in iterations."""
        return "s" if self.unit == "s" else "candidates"


def combine(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Several results as one, each trial once.

    Raises:
        UserError: they were not run under the same settings, so their numbers do not compare.
    """
    trials = pd.concat(frames, ignore_index=True)
    check_same_settings(trials, "make a table of each")
    return one_row_per_trial(trials)


def by_outcome(trials: pd.DataFrame, outcome: Outcome) -> pd.DataFrame:
    """Trials judged by their first success, or by the plan committed to at the end alone.

    A plan committed to blindly has no time to success: those columns are then null.

    Raises:
        UserError: trials that ended at their first success, which committed to nothing.
    """
    if outcome == "first":
        return trials
    if (trials["stop"] != "never").any():
        raise UserError("blind success needs trials that ran to their budget: --stop never")
    judged = trials.assign(success=trials["blind_success"])
    judged[["time_to_success", "iterations_to_success"]] = np.nan
    return judged


def build_table(trials: pd.DataFrame, outcome: Outcome = "first") -> ResultTable:
    """The paper's table of trials that share their settings (see `combine`).

    `outcome` says what success is in them (see `by_outcome`).

    Raises:
        UserError: no trial ended without an error, or one label names two configurations.
    """
    finished = trials[trials["status"] == "ok"]
    if finished.empty:
        raise UserError("no finished trials: there is nothing to tabulate yet")
    horizons = sorted(int(horizon) for horizon in finished["horizon"].unique())
    columns = _columns(finished, horizons, outcome)
    outcomes = finished[_CELL_COLUMNS]
    rows = [_row(h, outcomes[outcomes["horizon"] == h], columns, outcome) for h in horizons]
    unit = "s" if finished["clock"].iloc[0] == "wall" else "iterations"
    unit = unit if outcome == "first" else ""
    titles = {column.label: column.title for column in columns if not column.bound}
    notes = settings_notes(finished, titles)
    if changed := [column.label for column in columns if "=" in column.label]:
        notes.append(f"Hyperparameters that were set: {'; '.join(changed)}.")
    notes += protocol_notes(finished)
    if errors := len(trials) - len(finished):
        notes.append(f"{errors} trial(s) ended in an error and are not counted.")
    return ResultTable(columns, rows, unit, list(_reading(columns, rows, unit)), notes)


def _reading(columns: list[TableColumn], rows: list[TableRow], unit: str) -> Iterator[str]:
    yield reading_note(unit)
    ties = {
        row.horizon: max(pairing.detectable for pairing in tied)
        for row in rows
        if (tied := [c.against_best for c in row.cells.values() if c.best and c.against_best])
    }
    if ties:
        yield detectable_note(ties)
    yield from source_notes(
        source for source in SOURCES if any(source in column.published for column in columns)
    )


def _columns(finished: pd.DataFrame, horizons: list[int], outcome: Outcome) -> list[TableColumn]:
    check_labels(finished, "make a table of each")
    planners = finished[["planner_label", "planner"]].drop_duplicates()
    names: dict[str, str] = dict(planners.astype(str).itertuples(index=False, name=None))
    titles, paper_order = planner_titles(names), list(DISPLAY_NAMES)

    def place(label: str) -> tuple[bool, int, str]:
        name = names[label]
        in_paper = paper_order.index(name) if name in paper_order else len(paper_order)
        return name in BOUNDS, in_paper, label

    occurrences = Counter(names.values())

    def column(label: str) -> TableColumn:
        name = names[label]
        # An only configuration stands beside the paper's: its settings were chosen as well.
        comparable = outcome == "first" and (occurrences[name] == 1 or label == name)
        return TableColumn(
            label=label,
            title=titles[label],
            published=_published(name, horizons) if comparable else {},
            bound=name in BOUNDS,
        )

    return [column(label) for label in sorted(names, key=place)]


def _published(name: str, horizons: list[int]) -> dict[Source, dict[int, Published]]:
    found = {
        source: {h: cell for h, cell in source.cells.get(name, {}).items() if h in horizons}
        for source in SOURCES
    }
    return {source: cells for source, cells in found.items() if cells}


def planner_titles(names: Mapping[str, str]) -> dict[str, str]:
    """How to call planners, given their registered names by label.

    Where a planner has one configuration its name is enough.
    """
    occurrences = Counter(names.values())

    def title(label: str, name: str) -> str:
        shown = DISPLAY_NAMES.get(name, name)
        return shown if occurrences[name] == 1 else shown + label[len(name) :]

    return {label: title(label, name) for label, name in names.items()}


def _row(
    horizon: int, group: pd.DataFrame, columns: list[TableColumn], outcome: Outcome
) -> TableRow:
    trials = {c.label: group[group["planner_label"] == c.label] for c in columns}
    cells = {label: _cell(own, outcome) for label, own in trials.items() if len(own)}
    contenders = [c.label for c in columns if c.label in cells and not c.bound]
    if not contenders:
        return TableRow(horizon, cells)
    best = max(contenders, key=lambda label: cells[label].rate)
    solvable = cells[best].successes > 0
    for label in contenders:
        if label == best:
            cells[label] = replace(cells[label], best=solvable)
            continue
        against = paired(trials[label], trials[best])
        tied = against is not None and against.p_value >= SIGNIFICANCE
        cells[label] = replace(cells[label], best=solvable and tied, against_best=against)
    return TableRow(horizon, cells)


def _cell(trials: pd.DataFrame, outcome: Outcome) -> Cell:
    succeeded = trials["success"].astype(bool)
    unit = "time_to_success" if trials["clock"].iloc[0] == "wall" else "iterations_to_success"
    times = trials[unit][succeeded].dropna().to_numpy(dtype=np.float64)
    budget = float(trials["budget"].iloc[0])
    waited = trials["time_to_success"].fillna(budget).clip(upper=budget).to_numpy(dtype=np.float64)
    solved = succeeded.to_numpy()
    generator = np.random.default_rng(_BOOTSTRAP_SEED)
    return Cell(
        trials=len(trials),
        successes=int(succeeded.sum()),
        success=wilson_interval(int(succeeded.sum()), len(trials)),
        median_time=float(np.median(times)) if len(times) else None,
        time=bootstrap_median_interval(times, generator) if len(times) else None,
        time_to_success=None
        if outcome == "blind"
        else TimeToSuccess(
            restricted_mean_time(waited, solved, budget), kaplan_meier_median(waited, solved)
        ),
    )
