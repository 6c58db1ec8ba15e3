"""Shows a run's progress: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from grasp_bench.core.errors import error_summary
from grasp_bench.core.types import Row
from grasp_bench.run.failures import NotRun
from grasp_bench.run.schema import is_distance

SECONDS_BETWEEN_LINES = 30.0


class SweepProgress:
    """Counts trials and successes per planner. Use it as a context manager.

    Args:
        console: where to show them.
        trials_per_planner: all trials asked for, by what `by` names.
        line_per_trial: print one line for every trial.
        by: the column that trials are counted by.
        now: a monotonic clock.
    """

    def __init__(
        self,
        console: Console,
        trials_per_planner: dict[str, int],
        line_per_trial: bool,
        by: str = "planner_label",
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.errors: list[Row] = []
        self._console = console
        self._line_per_trial = line_per_trial
        self._by = by
        self._now = now
        self._total = sum(trials_per_planner.values())
        self._done = dict.fromkeys(trials_per_planner, 0)
        self._successes = dict.fromkeys(trials_per_planner, 0)
        self._not_run = dict.fromkeys(trials_per_planner, NotRun(0, 0))
        self._begun = self._last_line = now()
        self._fresh = 0
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            disable=not console.is_terminal,
            refresh_per_second=2,  # drawing must not take the cores that are being timed
        )
        self._bar: dict[str, TaskID] = {
            label: self._bars.add_task(label, total=total, rate="")
            for label, total in trials_per_planner.items()
        }
        self._all = self._bars.add_task("all", total=self._total, rate="")

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    @property
    def done(self) -> int:
        """Trials that have ended without an error."""
        return sum(self._done.values())

    def add(self, rows: Iterable[Row]) -> None:
        """Counts trials that have just ended."""
        for row in rows:
            self._fresh += 1
            label, raised = row[self._by], row["status"] != "ok"
            planless = not raised and row["candidates"] == 0
            before = self._not_run[label]
            self._not_run[label] = NotRun(before.raised + raised, before.planless + planless)
            if raised:
                self.errors.append(row)
            self.count(label, int(not raised), int(not raised and row["success"]))
            if self._line_per_trial:
                self._console.print(trial_line(row), highlight=False, markup=False, soft_wrap=True)
        if not (self._console.is_terminal or self._line_per_trial):
            self._line_now_and_then()

    def count(self, label: str, trials: int, successes: int) -> None:
        """Counts trials that have ended without an error."""
        self._done[label] += trials
        self._successes[label] += successes
        self._bars.update(self._bar[label], advance=trials, rate=self._rate(label))
        self._bars.update(self._all, advance=trials)

    def _rate(self, label: str) -> str:
        not_run = self._not_run[label]
        ended = self._done[label] + not_run.raised
        return f"{self._successes[label] / ended:.1%}{not_run.suffix}" if ended else ""

    def _line_now_and_then(self) -> None:
        now = self._now()
        if now - self._last_line < SECONDS_BETWEEN_LINES:
            return
        self._last_line = now
        left = (now - self._begun) / self._fresh * (self._total - self.done)
        rates = ", ".join(f"{label} {self._rate(label)}" for label in self._done)
        self._console.print(
            f"{self.done}/{self._total} trials, about {left / 60:.0f} min left: {rates}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def trial_line(row: Row) -> str:
    """Describes one trial in one line."""
    head = f"{row['task_id']}  {row['planner_label']}"
    if row["status"] != "ok":
        return f"{head}  error: {error_summary(row['error'] or '')}"
    unit = "s" if row["clock"] == "wall" else "candidates"
    if row["success"]:
        return (
            f"{head}  success after {row['time_to_success']:.3g} {unit} "
            f"({row['iterations_to_success']} iterations)"
        )
    line = (
        f"{head}  failure after {row['planner_time']:.3g} {unit} ({row['iterations']} iterations)"
    )
    if row["final_plan_cost_predicted"] is None:
        return f"{line}: no plan within the budget"
    distances = ", ".join(
        f"{name.removeprefix('final_plan_').replace('_', ' ')} {value:.1f}"
        for name, value in row.items()
        if is_distance(name) and value is not None
    )
    return (
        f"{line}: {distances}, model cost predicted "
        f"{row['final_plan_cost_predicted']:.3g}, realised {row['final_plan_cost_realised']:.3g}"
    )
