"""Counts every trial: one that raised, or that has no plan, is a failure.

A planner that gives up on the hard tasks must not look better than one that fails on them.
Whatever computes a number of trials takes them from `judged`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from grasp_bench.core.errors import error_summary

TIMES = ("time_to_success", "iterations_to_success")


class NotRun(NamedTuple):
    """Counts the trials that executed no plan.

    Attributes:
        raised: whose planner raised or broke the protocol: status `error`.
        planless: whose budget ended before the first candidate.
    """

    raised: int
    planless: int

    def __str__(self) -> str:
        counts = {"raised": self.raised, "no plan": self.planless}
        return ", ".join(f"{count} {what}" for what, count in counts.items() if count)

    @property
    def suffix(self) -> str:
        """Follows a success rate: " (18 raised)", or nothing."""
        return f" ({self})" if any(self) else ""


def not_run(trials: pd.DataFrame) -> NotRun:
    """Counts the trials that executed no plan."""
    raised = trials["status"] != "ok"
    return NotRun(int(raised.sum()), int((~raised & _planless(trials)).sum()))


def judged(trials: pd.DataFrame) -> pd.DataFrame:
    """Returns all trials; those that executed no plan have failed and have no time to success."""
    raised = trials["status"] != "ok"
    ran = ~(raised | _planless(trials)) & trials["success"].notna()
    if ran.all():
        return trials
    times = {name: trials[name].where(ran) for name in TIMES}
    return trials.assign(success=trials["success"].where(ran, other=False), **times)


def _planless(trials: pd.DataFrame) -> pd.Series:
    return (trials["candidates"] == 0).fillna(False).astype(bool)


def not_run_notes(trials: pd.DataFrame, titles: Mapping[str, str]) -> list[str]:
    """Says which planners have how many trials that executed no plan, and why.

    Args:
        trials: of any number of planners.
        titles: of planners, by label.
    """
    raised = trials["status"] != "ok"
    notes = []
    if raised.any():
        kinds: Counter[str] = Counter()
        for text, count in trials["error"][raised].astype("string").value_counts().items():
            kinds[error_summary(str(text))] += count
        why = f" Most often: {kinds.most_common(1)[0][0]}" if kinds else ""
        counts = _counts(trials, raised, titles)
        notes.append(f"Trials that raised count as failures: {counts}.{why}")
    planless = ~raised & _planless(trials)
    if planless.any():
        counts = _counts(trials, planless, titles)
        notes.append(f"Trials without a plan within the budget count as failures: {counts}.")
    return notes


def _counts(trials: pd.DataFrame, which: pd.Series, titles: Mapping[str, str]) -> str:
    labels = trials["planner_label"]
    some, all_of = (dict(of.value_counts().items()) for of in (labels[which], labels))
    return ", ".join(
        f"{titles.get(str(label), label)} {count} of {all_of[label]}"
        for label, count in sorted(some.items(), key=lambda item: str(item[0]))
        if count
    )
