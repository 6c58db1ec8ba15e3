"""Compares a run with a stored one: hashes and counts, then one paired test per planner.

The gate's sweep counts candidates, not seconds, so that the same code on the same hardware gives
the same plans bit for bit. Where plans differ, an exact McNemar test per planner says whether it
solves fewer tasks. Holm's correction limits the chance of any false alarm to the significance.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Literal, NamedTuple

import pandas as pd

from grasp_bench.analysis import GATE_SIGNIFICANCE
from grasp_bench.analysis.aggregate import check_tasks, planner_titles
from grasp_bench.analysis.sheet import NOTHING, Entry, Sheet, p_value_text
from grasp_bench.analysis.stats import holm_adjusted, mcnemar_p_value
from grasp_bench.analysis.writers import render
from grasp_bench.core.errors import UserError, error_summary
from grasp_bench.run.failures import judged, not_run_notes

# Runs that differ in these ask different questions.
_QUESTION = (
    "environment", "protocol", "replan_every", "clock", "budget", "max_iterations", "stop",
    "check_first", "check_ratio", "tasks",
)  # fmt: skip
# Runs that differ in these give different plans.
_ARITHMETIC = (
    "model_sha256", "task_set_sha256", "master_seed", "batch", "device", "threads",
    "torch_version", "cpu", "accelerator", "compiler",
)  # fmt: skip


class Failure(NamedTuple):
    """Gives one reason to call the new run worse; `text` is a sentence."""

    planner: str
    kind: Literal["fewer solved", "new errors", "lost demonstrations", "missing"]
    text: str


@dataclass(frozen=True)
class PlannerChange:
    """Counts what became of one planner's trials.

    Attributes:
        planner: as a table names it.
        name: its registered name.
        trials: that both runs hold.
        same_plan: of them, those with the base's plan, bit for bit, and its outcome.
        missing: trials that only the base holds.
        new_errors: trials that raise now and did not before; they count as failures.
        solved_before, solved_now: trials solved in the base and in the new run.
        lost, won: trials solved in the base only, and in the new run only.
        p_worse: of the one-sided exact McNemar test, adjusted; None if all trials are the same.
        error: summary of the first new error.
    """

    planner: str
    name: str
    trials: int
    same_plan: int
    missing: int
    new_errors: int
    solved_before: int
    solved_now: int
    lost: int
    won: int
    p_worse: float | None
    error: str


@dataclass(frozen=True)
class Comparison:
    """Holds what `compare` found.

    Attributes:
        changes: one per planner of the base.
        failures: what makes the new run worse.
        notes: sentences on what else differs between the runs.
        significance: of all tests together.
    """

    changes: list[PlannerChange]
    failures: list[Failure]
    notes: list[str]
    significance: float

    @property
    def regressed(self) -> bool:
        """Whether the new run is worse."""
        return bool(self.failures)


def compare(
    base: pd.DataFrame,
    new: pd.DataFrame,
    *,
    significance: float = GATE_SIGNIFICANCE,
    complete: bool = False,
) -> Comparison:
    """Compares the trials of a new run with those of a stored one.

    Args:
        base, new: as `read_results` gives them.
        significance: chance of calling anything worse by a test when nothing changed.
        complete: count trials that only `base` holds as a failure.

    Raises:
        UserError: the runs ask different questions, or share no planner and task; or one of
            them holds two trials of a planner on a task.
    """
    for trials in (base, new):
        check_tasks(trials)
    base, new = judged(base), judged(new)
    for name in _QUESTION:
        if difference := _difference(base, new, name):
            raise UserError(f"these runs do not compare: {difference}; run one like the other")
    before, after = _names(base), _names(new)
    titles, partners = planner_titles(before), _partners(before, after)
    differences = (_difference(base, new, name) for name in _ARITHMETIC)
    notes = [f"{text}, so that other plans are expected." for text in differences if text]
    for name, trials in (("base", base), ("new run", new)):
        names = planner_titles(_names(trials))
        notes += [f"In the {name}: {note}" for note in not_run_notes(trials, names)]
    changes = []
    for label in before:
        own = base[base["planner_label"] == label]
        other = new[new["planner_label"] == partners.get(label)]
        pairs = own.merge(other, on=["horizon", "task_id"], suffixes=("_base", "_new"))
        changes.append(_change(titles[label], before[label], pairs, len(own)))
        if changed := _changed_hyperparameters(pairs):
            notes.append(f"{titles[label]} ran with other hyperparameters: {', '.join(changed)}.")
    if not any(change.trials for change in changes):
        raise UserError("these runs share no planner and task: there is nothing to compare")
    adjusted = iter(holm_adjusted([c.p_worse for c in changes if c.p_worse is not None]))
    changes = [c if c.p_worse is None else replace(c, p_worse=next(adjusted)) for c in changes]
    failures = [one for change in changes for one in _failures(change, significance, complete)]
    return Comparison(changes, failures, notes, significance)


def _names(trials: pd.DataFrame) -> dict[str, str]:
    """Returns the registered names of planners, by label."""
    return dict(trials[["planner_label", "planner"]].astype(str).drop_duplicates().to_numpy())


def _difference(base: pd.DataFrame, new: pd.DataFrame, name: str) -> str:
    """Says in which values of a column the runs differ; empty where they agree."""
    before, after = (", ".join(sorted(map(str, frame[name].unique()))) for frame in (base, new))
    return "" if before == after else f"{name} is {before} in the base and {after} in the new run"


def _partners(before: dict[str, str], after: dict[str, str]) -> dict[str, str]:
    """Maps labels of the base to the new run's: the same one, or the only one left of its name."""
    left = {label: name for label, name in before.items() if label not in after}
    come = {label: name for label, name in after.items() if label not in before}
    partners = {label: label for label in before if label in after}
    for label, name in left.items():
        candidates = [other for other, of in come.items() if of == name]
        if len(candidates) == 1 and list(left.values()).count(name) == 1:
            partners[label] = candidates[0]
    return partners


def _change(planner: str, name: str, pairs: pd.DataFrame, trials: int) -> PlannerChange:
    before, after = (pairs[f"success_{run}"].to_numpy(bool) for run in ("base", "new"))
    raised = pairs[(pairs["status_base"] == "ok") & (pairs["status_new"] != "ok")]
    plans = (pairs["plan_sha256_base"] == pairs["plan_sha256_new"]).fillna(False).to_numpy(bool)
    same = int((plans & (before == after)).sum())
    return PlannerChange(
        planner=planner,
        name=name,
        trials=len(pairs),
        same_plan=same,
        missing=trials - len(pairs),
        new_errors=len(raised),
        solved_before=int(before.sum()),
        solved_now=int(after.sum()),
        lost=int((before & ~after).sum()),
        won=int((after & ~before).sum()),
        p_worse=mcnemar_p_value(after, before, "less") if same < len(pairs) else None,
        error=error_summary(str(raised["error_new"].iloc[0])) if len(raised) else "",
    )


def _failures(change: PlannerChange, significance: float, complete: bool) -> Iterator[Failure]:
    name, of = change.planner, f"{change.trials} tasks"
    if change.p_worse is not None and change.p_worse < significance:
        yield Failure(
            name,
            "fewer solved",
            f"{name} solves fewer: {change.solved_now} of {of} instead of "
            f"{change.solved_before}, {change.lost} lost and {change.won} won "
            f"(p {p_value_text(change.p_worse)}).",
        )
    if change.new_errors:
        text = f"{name} raises on {change.new_errors} of {of} that it finished before"
        yield Failure(name, "new errors", f"{text}. First: {change.error}")
    if change.name == "demo" and change.lost:
        text = f"The demonstration's own actions fail on {change.lost} of {of} that they solved"
        yield Failure(name, "lost demonstrations", f"{text}: the simulator has changed.")
    if complete and change.missing:
        text = f"The new run lacks {change.missing} of {change.trials + change.missing} trials"
        yield Failure(name, "missing", f"{text} of {name}.")


def _changed_hyperparameters(pairs: pd.DataFrame) -> list[str]:
    """Names every change; tuned hyperparameters may change at some horizons only."""
    columns = ["hyperparameters_base", "hyperparameters_new", "planner_label_new"]
    changed: dict[str, None] = {}
    for before, after, label in pairs[columns].astype(str).drop_duplicates().to_numpy():
        old, now = json.loads(before), json.loads(after)
        changed |= dict.fromkeys(
            f"{key} {old.get(key, 'unset')} to {now.get(key, 'unset')}"
            for key in sorted(old.keys() | now.keys())
            # An option younger than the base has its default value unless the label names it.
            if old.get(key) != now.get(key) and (key in old or f"{key}=" in label)
        )
    return list(changed)


def conclusion(comparison: Comparison) -> str:
    """Says in one sentence whether the new run is worse."""
    changes = comparison.changes
    same, trials = sum(c.same_plan for c in changes), sum(c.trials for c in changes)
    verdict = "Regression" if comparison.regressed else "No regression"
    tests = sum(change.p_worse is not None for change in changes)
    method = (
        f"; {tests} exact McNemar test(s) at {comparison.significance:g} with Holm's correction"
    )
    return f"{verdict}: {same} of {trials} plans are bitwise the base's{method if tests else ''}."


def comparison_sheet(comparison: Comparison) -> Sheet:
    """Makes a sheet of every planner's counts, with what is worse in bold."""
    worse = {failure.planner for failure in comparison.failures}
    records = [
        {name: value for name, value in asdict(change).items() if name not in ("name", "error")}
        | {"verdict": "worse" if change.planner in worse else "not worse"}
        for change in comparison.changes
    ]
    return Sheet(
        headings=[name.replace("_", " ").capitalize() for name in records[0]],
        rows=[
            [Entry(_shown(value), bold=record["verdict"] == "worse") for value in record.values()]
            for record in records
        ],
        records=records,
        notes=comparison.notes,
    )


def _shown(value: object) -> str:
    return NOTHING if value is None else f"{value:.2g}" if isinstance(value, float) else str(value)


def markdown_comment(comparison: Comparison) -> str:
    """Writes the comparison for a pull request: the verdict, then the table folded away."""
    mark = "❌" if comparison.regressed else "✅"
    worse = "".join(f"- {failure.text}\n" for failure in comparison.failures)
    table = render([comparison_sheet(comparison)], "markdown")
    return (
        f"### {mark} grasp-bench compare\n\n{conclusion(comparison)}\n\n{worse}\n"
        f"<details><summary>All planners</summary>\n\n{table}\n</details>\n"
    )
