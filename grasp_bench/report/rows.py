"""Results to the rows of a table: computed once, whatever the format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from grasp_bench.errors import UserError
from grasp_bench.report.published import PAPER_PROTOCOL, PAPER_PUSHT, Published
from grasp_bench.results import check_same_settings, one_row_per_trial
from grasp_bench.settings import SETTINGS_COLUMNS
from grasp_bench.stats import (
    SIGNIFICANCE,
    Interval,
    RestrictedMean,
    bootstrap_median_interval,
    mcnemar_p_value,
    paired_difference_interval,
    restricted_mean_time,
    wilson_interval,
)

DISPLAY_NAMES = {"cem": "CEM", "gd": "GD", "latco": "LatCo", "grasp": "GRASP"}
# What a table is made of, for `read_results`.
TABLE_COLUMNS = (
    "trial_key", "status", "task_id", "horizon", "planner", "planner_label", "planner_config",
    "planner_config_sha256", "success", "time_to_success", "iterations_to_success",
    *SETTINGS_COLUMNS, "cpu", "cores", "accelerator", "workers",
)  # fmt: skip
# Rows that bound a table from below and above. They compete with nobody.
BOUNDS = ("zero", "random", "demo")
_BOOTSTRAP_SEED = 0


@dataclass(frozen=True)
class AgainstBest:
    """A planner and the best of its row, on the tasks both have tried.

    Attributes:
        p_value: exact McNemar test.
        difference: bootstrap interval of its success rate minus the best's.
    """

    p_value: float
    difference: Interval


@dataclass(frozen=True)
class Cell:
    """One planner at one horizon.

    Attributes:
        trials: n.
        successes: of them.
        success: 95% Wilson interval of the success rate.
        median_time: over successes, None without any; in the table's time unit.
        time: 95% bootstrap interval of that median.
        restricted_mean: mean time to success, failures counted as the budget.
        best: bold: no test tells it from the best of its row.
        against_best: None for the best itself and for bounds.
    """

    trials: int
    successes: int
    success: Interval
    median_time: float | None
    time: Interval | None
    restricted_mean: RestrictedMean
    best: bool = False
    against_best: AgainstBest | None = None

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
        published: by horizon, empty where nobody published any.
        bound: a floor or ceiling of the table, whose times mean nothing.
    """

    label: str
    title: str
    published: dict[int, Published]
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
        unit: of times, such as "s".
        notes: sentences to stand under it.
    """

    columns: list[TableColumn]
    rows: list[TableRow]
    unit: str
    notes: list[str]


def combine(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Several results as one, each trial once.

    Raises:
        UserError: they were not run under the same settings, so their numbers do not compare.
    """
    trials = pd.concat(frames, ignore_index=True)
    check_same_settings(trials, "make a table of each")
    return one_row_per_trial(trials)


def build_table(trials: pd.DataFrame) -> ResultTable:
    """The paper's table of trials that share their settings (see `combine`).

    Raises:
        UserError: no trial ended without an error, or one label names two configurations.
    """
    finished = trials[trials["status"] == "ok"]
    if finished.empty:
        raise UserError("no finished trials: there is nothing to tabulate yet")
    columns = _columns(finished)
    rows = [
        _row(horizon, finished[finished["horizon"] == horizon], columns)
        for horizon in sorted(int(horizon) for horizon in finished["horizon"].unique())
    ]
    unit = "s" if finished["clock"].iloc[0] == "wall" else "iterations"
    return ResultTable(columns, rows, unit, _notes(trials, finished, columns))


def _columns(finished: pd.DataFrame) -> list[TableColumn]:
    configurations = finished.groupby("planner_label")["planner_config_sha256"].nunique()
    for label in configurations.index[configurations > 1]:
        raise UserError(
            f"'{label}' stands for different hyperparameters in these results, as its defaults "
            "have changed between them: make a table of each"
        )
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
        comparable = occurrences[name] == 1 or label == name
        return TableColumn(
            label=label,
            title=titles[label],
            published=PAPER_PUSHT.get(name, {}) if comparable else {},
            bound=name in BOUNDS,
        )

    return [column(label) for label in sorted(names, key=place)]


def planner_titles(names: Mapping[str, str]) -> dict[str, str]:
    """How to call planners, given their registered names by label.

    Where a planner has one configuration its name is enough.
    """
    occurrences = Counter(names.values())

    def title(label: str, name: str) -> str:
        shown = DISPLAY_NAMES.get(name, name)
        return shown if occurrences[name] == 1 else shown + label[len(name) :]

    return {label: title(label, name) for label, name in names.items()}


def _row(horizon: int, group: pd.DataFrame, columns: list[TableColumn]) -> TableRow:
    trials = {c.label: group[group["planner_label"] == c.label] for c in columns}
    cells = {label: _cell(own) for label, own in trials.items() if len(own)}
    contenders = [c.label for c in columns if c.label in cells and not c.bound]
    if not contenders:
        return TableRow(horizon, cells)
    best = max(contenders, key=lambda label: cells[label].rate)
    solvable = cells[best].successes > 0
    for label in contenders:
        if label == best:
            cells[label] = replace(cells[label], best=solvable)
            continue
        against = _against_best(trials[label], trials[best])
        tied = against is not None and against.p_value >= SIGNIFICANCE
        cells[label] = replace(cells[label], best=solvable and tied, against_best=against)
    return TableRow(horizon, cells)


def _cell(trials: pd.DataFrame) -> Cell:
    succeeded = trials["success"].astype(bool)
    unit = "time_to_success" if trials["clock"].iloc[0] == "wall" else "iterations_to_success"
    times = trials[unit][succeeded].to_numpy(dtype=np.float64)
    planner_time, budget = trials["time_to_success"], float(trials["budget"].iloc[0])
    generator = np.random.default_rng(_BOOTSTRAP_SEED)
    return Cell(
        trials=len(trials),
        successes=int(succeeded.sum()),
        success=wilson_interval(int(succeeded.sum()), len(trials)),
        median_time=float(np.median(times)) if len(times) else None,
        time=bootstrap_median_interval(times, generator) if len(times) else None,
        restricted_mean=restricted_mean_time(
            planner_time.fillna(budget).to_numpy(dtype=np.float64), succeeded.to_numpy(), budget
        ),
    )


def _against_best(trials: pd.DataFrame, best: pd.DataFrame) -> AgainstBest | None:
    pairs = trials.merge(best, on="task_id", suffixes=("", "_best"))
    if pairs.empty:
        return None
    own = pairs["success"].to_numpy(dtype=bool)
    other = pairs["success_best"].to_numpy(dtype=bool)
    generator = np.random.default_rng(_BOOTSTRAP_SEED)
    return AgainstBest(
        mcnemar_p_value(own, other), paired_difference_interval(own, other, generator)
    )


def _notes(trials: pd.DataFrame, finished: pd.DataFrame, columns: list[TableColumn]) -> list[str]:
    one = finished.iloc[0]
    wall = one["clock"] == "wall"
    unit = "planner seconds" if wall else "candidate plans"
    cap = "" if pd.isna(one["max_iterations"]) else f", at most {one['max_iterations']} iterations"
    hardware = finished[["cpu", "cores", "accelerator"]].drop_duplicates()
    machines = sorted(
        f"{cpu} ({cores} cores)" if pd.isna(gpu) else gpu
        for cpu, cores, gpu in hardware.itertuples(index=False, name=None)
    )
    workers = "/".join(str(count) for count in sorted(finished["workers"].unique()))
    notes = [
        f"Success rate and median {'time' if wall else 'iterations'} to success over successes; "
        "below, their 95% intervals (Wilson, bootstrap) and n. Bold: the best of its "
        "row, and what an exact McNemar test on the same tasks does not tell from it "
        f"(p >= {SIGNIFICANCE}).",
        f"Success: in the goal region at some step within the horizon. Budget {one['budget']:g} "
        f"{unit}{cap}, stop: {one['stop']}, batch {one['batch']}, tasks: {one['tasks']} set, "
        f"seed {one['master_seed']}, protocol version {one['protocol_version']}.",
        f"World model {one['model']} ({one['model_sha256'][:12]}), {one['device']}, "
        f"{'; '.join(machines)}, {one['threads']} torch thread(s) x {workers} worker(s).",
    ]
    changed = [c.label for c in columns if "[" in c.label]
    if changed:
        notes.append(f"Hyperparameters that are not the defaults: {'; '.join(changed)}.")
    if any(column.published for column in columns):
        notes.append(
            f"{PAPER_PROTOCOL}. World model, tasks, budget and hardware are not those of the "
            "columns beside: compare the pattern, not the digits."
        )
    if errors := len(trials) - len(finished):
        notes.append(f"{errors} trial(s) ended in an error and are not counted.")
    return notes
