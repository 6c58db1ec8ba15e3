"""Aggregates results to the rows of a table, once for all formats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from grasp_bench.analysis import Outcome
from grasp_bench.analysis.footnotes import (
    hardware_notes,
    protocol_notes,
    reading_notes,
    settings_notes,
)
from grasp_bench.analysis.paired_tests import Pairing, paired
from grasp_bench.analysis.published import SOURCES, Published, Source, published_numbers
from grasp_bench.analysis.stats import (
    SIGNIFICANCE,
    Interval,
    MeanTime,
    MedianTime,
    bootstrap_median_interval,
    kaplan_meier_median,
    restricted_mean_time,
    wilson_interval,
)
from grasp_bench.core.errors import UserError, one_line
from grasp_bench.run.failures import NotRun, judged, not_run, not_run_notes
from grasp_bench.run.joining import check_labels, join_results
from grasp_bench.run.schema import SETTINGS_COLUMNS

DISPLAY_NAMES = {
    "cem": "CEM", "gd": "GD", "latco": "LatCo", "grasp": "GRASP",
    "gd-adam": "GD-Adam", "icem": "iCEM", "mppi": "MPPI", "grad-cem": "Grad-CEM",
    "latco-gn": "LatCo-GN", "lbfgs": "L-BFGS", "prism": "PRISM", "leap": "LEAP",
}  # fmt: skip
# The columns that a table needs, for `read_results`.
TABLE_COLUMNS = (
    "trial_key", "status", "error", "task_id", "horizon", "planner", "planner_label",
    "hyperparameters", "hyperparameters_sha256", "hyperparameters_source", "tuning_sha256",
    "tuning_budget", "success", "time_to_success", "iterations_to_success", "candidates",
    "final_plan_success", "final_plan_cost_realised", "prior_sha256", *SETTINGS_COLUMNS, "cpu",
    "cores", "accelerator", "workers", "started_at", "reference_seconds",
)  # fmt: skip
# The columns that a cell needs. Selecting rows of a million trials takes time for every column.
_CELL_COLUMNS = [
    "status", "task_id", "horizon", "planner_label", "success", "time_to_success",
    "iterations_to_success", "candidates", "clock", "budget",
]  # fmt: skip
# These planners bound a table from below and above. They compete with nobody.
BOUNDS = ("zero", "random", "shuffled-demo", "demo")
_BOOTSTRAP_SEED = 0


@dataclass(frozen=True)
class Cell:
    """Holds the numbers of one planner at one horizon.

    Attributes:
        trials: n, however they ended.
        successes: of them.
        not_run: of them, those that executed no plan; they are failures.
        success: 95% Wilson interval of the success rate.
        median_time: over successes, None without any; in the table's time unit.
        time: 95% bootstrap interval of that median.
        mean_of_all: mean time, failures counted as the budget; None for final plans.
        median_of_all: time by which half of the trials are solved; None for final plans.
        best: whether no test tells it from the best of its track at its horizon; in bold.
        against_best: on the tasks both have tried; None for the best itself and for bounds.
    """

    trials: int
    successes: int
    not_run: NotRun
    success: Interval
    median_time: float | None
    time: Interval | None
    mean_of_all: MeanTime | None
    median_of_all: MedianTime | None
    best: bool = False
    against_best: Pairing | None = None

    @property
    def rate(self) -> float:
        """The share of trials that succeeded."""
        return self.successes / self.trials


@dataclass(frozen=True)
class TableColumn:
    """Describes one planner configuration.

    Attributes:
        label: as the results name it.
        title: as the table names it.
        published: the paper's numbers and other people's, by source, at horizons of the table.
        bound: whether it is a floor or ceiling of the table; its times mean nothing.
        learned: whether it uses a prior learned from demonstrations: the second track.
    """

    label: str
    title: str
    published: Mapping[Source, dict[int, Published]]
    bound: bool
    learned: bool


@dataclass(frozen=True)
class TableRow:
    """Holds the cells of one horizon by planner label, without those that were not run."""

    horizon: int
    cells: dict[str, Cell]


@dataclass(frozen=True)
class ResultTable:
    """Holds a table, and what its reader must know.

    Attributes:
        unit: of times, such as "s"; empty where there are none.
        reading: sentences on what stands in its cells.
        notes: sentences on the trials: hyperparameters, protocol, hardware, errors.
    """

    columns: list[TableColumn]
    rows: list[TableRow]
    unit: str
    reading: list[str]
    notes: list[str]

    @property
    def contenders(self) -> list[TableColumn]:
        """The planners, without those that only bound the table."""
        return [column for column in self.columns if not column.bound]

    def cells_of(self, label: str) -> dict[int, Cell]:
        """Returns the cells of one planner by horizon."""
        return {row.horizon: row.cells[label] for row in self.rows if label in row.cells}

    @property
    def clock_unit(self) -> str:
        """The unit of times over all trials: these count candidates, medians iterations."""
        return "s" if self.unit == "s" else "candidates"


def combine(frames: Sequence[pd.DataFrame], paths: Sequence[Path] = ()) -> pd.DataFrame:
    """Joins several results, read from these paths, to one; see `join_results`."""
    return join_results(frames, "make a table of each", paths)


def build_table(
    trials: pd.DataFrame, outcome: Outcome = "first", criterion: str = ""
) -> ResultTable:
    """Makes the paper's table of trials that share their settings (see `combine`).

    `outcome` and `criterion` say what success means in them (see `by_outcome`).

    Raises:
        UserError: no trial, one label names two configurations, or has a task twice.
    """
    if trials.empty:
        raise UserError("no trials: there is nothing to tabulate yet")
    check_tasks(trials)
    trials = judged(trials)
    horizons = sorted(int(horizon) for horizon in trials["horizon"].unique())
    columns = _columns(trials, horizons, outcome)
    outcomes = trials[_CELL_COLUMNS]
    rows = [_row(h, outcomes[outcomes["horizon"] == h], columns, outcome) for h in horizons]
    unit = "s" if trials["clock"].iloc[0] == "wall" else "iterations"
    unit = unit if outcome == "first" else ""
    titles = {column.label: column.title for column in columns}
    notes = settings_notes(trials, {c.label: c.title for c in columns if not c.bound})
    if changed := [column.label for column in columns if "=" in column.label]:
        notes.append(f"Hyperparameters that were set: {'; '.join(changed)}.")
    notes += [*hardware_notes(trials, titles), *protocol_notes(trials, criterion)]
    notes += not_run_notes(trials, titles)
    return ResultTable(columns, rows, unit, _reading(columns, rows, unit), notes)


def check_tasks(trials: pd.DataFrame) -> None:
    """Raises UserError where a planner has tried a task twice, which no test of pairs can use."""
    again = trials.duplicated(["planner_label", "horizon", "task_id"])
    if again.any():
        one = trials[again].iloc[0]
        raise UserError(
            f"these results hold two trials of '{one_line(one['planner_label'], 200)}' on task "
            f"'{one_line(one['task_id'], 200)}' at H={one['horizon']}: take only one of them"
        )


def _reading(columns: list[TableColumn], rows: list[TableRow], unit: str) -> list[str]:
    ties = {
        row.horizon: max(pairing.detectable for pairing in tied)
        for row in rows
        if (tied := [c.against_best for c in row.cells.values() if c.best and c.against_best])
    }
    sources = [source for source in SOURCES if any(source in c.published for c in columns)]
    learned = [column.title for column in columns if column.learned]
    return reading_notes(unit, ties, sources, learned)


def _columns(trials: pd.DataFrame, horizons: list[int], outcome: Outcome) -> list[TableColumn]:
    check_labels(trials, "make a table of each")
    planners = trials[["planner_label", "planner"]].drop_duplicates()
    names: dict[str, str] = dict(planners.astype(str).itertuples(index=False, name=None))
    titles, order = planner_titles(names), {name: k for k, name in enumerate(DISPLAY_NAMES)}
    occurrences = Counter(names.values())
    environment = str(trials["environment"].iloc[0])

    def column(label: str) -> TableColumn:
        name = names[label]
        # Published numbers stand beside one configuration of a planner only.
        comparable = outcome == "first" and (occurrences[name] == 1 or label == name)
        published = published_numbers(environment, name, horizons) if comparable else {}
        return TableColumn(label, titles[label], published, name in BOUNDS, label in learned)

    learned = set(trials["planner_label"][trials["prior_sha256"].notna()].astype(str))
    places = {
        label: (name in BOUNDS, label in learned, order.get(name, len(order)), label)
        for label, name in names.items()
    }
    return [column(label) for label in sorted(names, key=places.__getitem__)]


def planner_titles(names: Mapping[str, str]) -> dict[str, str]:
    """Returns what to call planners, given their registered names by label.

    The name is enough for a planner with one configuration.
    """
    occurrences = Counter(names.values())
    return {
        label: DISPLAY_NAMES.get(name, name) + (label[len(name) :] if occurrences[name] > 1 else "")
        for label, name in names.items()
    }


def _row(
    horizon: int, group: pd.DataFrame, columns: list[TableColumn], outcome: Outcome
) -> TableRow:
    trials = {c.label: group[group["planner_label"] == c.label] for c in columns}
    cells = {label: _cell(own, outcome) for label, own in trials.items() if len(own)}
    for track in (False, True):
        contenders = [
            c.label for c in columns if c.label in cells and not c.bound and c.learned == track
        ]
        best = max(contenders, key=lambda label: cells[label].rate, default="")
        for label in contenders:
            against = None if label == best else paired(trials[label], trials[best])
            tied = label == best or (against is not None and against.p_value >= SIGNIFICANCE)
            solvable = cells[best].successes > 0
            cells[label] = replace(cells[label], best=solvable and tied, against_best=against)
    return TableRow(horizon, cells)


def _cell(trials: pd.DataFrame, outcome: Outcome) -> Cell:
    succeeded = trials["success"].astype(bool)
    unit = "time_to_success" if trials["clock"].iloc[0] == "wall" else "iterations_to_success"
    times = trials[unit][succeeded].dropna().to_numpy(dtype=np.float64)
    budget = float(trials["budget"].iloc[0])
    waited = trials["time_to_success"].fillna(np.inf).to_numpy(dtype=np.float64)
    timed, generator = outcome == "first", np.random.default_rng(_BOOTSTRAP_SEED)
    return Cell(
        trials=len(trials),
        successes=int(succeeded.sum()),
        not_run=not_run(trials),
        success=wilson_interval(int(succeeded.sum()), len(trials)),
        median_time=float(np.median(times)) if len(times) else None,
        time=bootstrap_median_interval(times, generator) if len(times) else None,
        mean_of_all=restricted_mean_time(waited, budget) if timed else None,
        median_of_all=kaplan_meier_median(np.minimum(waited, budget), succeeded) if timed else None,
    )
