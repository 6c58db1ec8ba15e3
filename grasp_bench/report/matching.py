"""Which of two runs' trials are held against each other, and what limits the comparison."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from grasp_bench.errors import UserError
from grasp_bench.report.rows import planner_titles

# Runs that differ in the first ask different questions; in the others the answer may differ.
_SAME = (
    "protocol", "replan_every", "clock", "budget", "max_iterations", "stop", "check_first",
    "check_ratio", "tasks",
)  # fmt: skip
_NAMED = ("model_sha256", "task_set_sha256", "master_seed", "batch", "device", "threads")
# The reference workload takes a machine's load out of times, but processors differ in what is
# fast on them: the same code's CEM took 1.8 times as long on another, over the workload.
_TIMED_ALIKE = ("batch", "device", "threads", "cpu", "accelerator")
_ROUNDED_ALIKE = (
    "planner_config_sha256", "model_sha256", "master_seed", "batch", "device", "threads",
    "torch_version", "cpu", "accelerator",
)  # fmt: skip


@dataclass(frozen=True)
class Match:
    """A planner's trials in both runs, those that ended in an error included.

    Attributes:
        title: as a table names it.
        name: the planner's registered name.
        base, new: its trials.
    """

    title: str
    name: str
    base: pd.DataFrame
    new: pd.DataFrame

    def pairs(self) -> pd.DataFrame:
        """One row per task that both runs hold, columns suffixed `_base` and `_new`."""
        return self.base.merge(self.new, on=["horizon", "task_id"], suffixes=("_base", "_new"))


def check_comparable(base: pd.DataFrame, new: pd.DataFrame) -> None:
    """Raises UserError where the runs' settings differ so that no number compares."""
    for name in _SAME:
        before, after = (sorted(map(str, frame[name].unique())) for frame in (base, new))
        if before != after:
            raise UserError(
                f"these runs differ in {name} ({', '.join(before)} and {', '.join(after)}), so "
                "their numbers do not compare: run one of them with the other's"
            )


def timed_alike(base: pd.DataFrame, new: pd.DataFrame) -> bool:
    """Whether times compare once they are divided by the reference workload's."""
    measured = base["reference_seconds"].notna().all() and new["reference_seconds"].notna().all()
    return bool(measured) and all(
        set(base[name].astype(str)) == set(new[name].astype(str)) for name in _TIMED_ALIKE
    )


def match_planners(base: pd.DataFrame, new: pd.DataFrame) -> list[Match]:
    """The planners of both runs, by label; what is left by name, where that leaves no choice."""
    before, after = _by_label(base), _by_label(new)
    titles = planner_titles({label: name for label, (name, _) in after.items()})
    matches = []
    for label, (name, trials) in after.items():
        partner = label if label in before else _only_partner(name, before, after)
        if partner is not None:
            matches.append(Match(titles[label], name, before[partner][1], trials))
    return matches


def _by_label(trials: pd.DataFrame) -> dict[str, tuple[str, pd.DataFrame]]:
    return {
        str(label): (str(own["planner"].iloc[0]), own)
        for label, own in trials.groupby("planner_label")
    }


def _only_partner(
    name: str,
    before: dict[str, tuple[str, pd.DataFrame]],
    after: dict[str, tuple[str, pd.DataFrame]],
) -> str | None:
    gone = [label for label, (other, _) in before.items() if other == name and label not in after]
    come = [label for label, (other, _) in after.items() if other == name and label not in before]
    return gone[0] if len(gone) == len(come) == 1 else None


def differences(base: pd.DataFrame, new: pd.DataFrame, matches: list[Match]) -> Iterator[str]:
    """Sentences on what else changed between the runs than the code."""
    for name in _NAMED:
        before, after = (sorted(map(str, frame[name].unique())) for frame in (base, new))
        if before != after:
            yield (
                f"The runs differ in {name}: {', '.join(before)} in the base, "
                f"{', '.join(after)} in the new one."
            )
    for match in matches:
        if changed := _changed_settings(match):
            yield f"{match.title} ran with other settings: {', '.join(changed)}."


def _changed_settings(match: Match) -> list[str]:
    """A phrase per hyperparameter and change; tuned ones may change at some horizons only."""
    # An option younger than the base stands at its default unless the label names it.
    label = str(match.new["planner_label"].iloc[0])
    changed: dict[str, None] = {}
    for before, after in _configs_by_horizon(match):
        old, now = json.loads(before), json.loads(after)
        changed |= dict.fromkeys(
            f"{key} {old.get(key, 'unset')} to {now.get(key, 'unset')}"
            for key in sorted(old.keys() | now.keys())
            if old.get(key) != now.get(key) and (key in old or f"{key}=" in label)
        )
    return list(changed)


def _configs_by_horizon(match: Match) -> Iterator[tuple[str, str]]:
    base, new = (
        frame.drop_duplicates("horizon").set_index("horizon")["planner_config"].astype(str)
        for frame in (match.base, match.new)
    )
    shared = base.index.intersection(new.index)
    if shared.empty:
        yield base.iloc[0], new.iloc[0]
    yield from zip(base[shared], new[shared], strict=True)


def missing_trials(base: pd.DataFrame, matches: list[Match]) -> Iterator[str]:
    """Sentences on what the new run lacks."""
    titles = planner_titles({label: name for label, (name, _) in _by_label(base).items()})
    matched = {str(match.base["planner_label"].iloc[0]): match for match in matches}
    for label, (_, trials) in _by_label(base).items():
        if label not in matched:
            yield f"{titles[label]} is in the base only."
            continue
        lacking = len(trials) - len(matched[label].pairs())
        if lacking:
            yield f"{lacking} of {len(trials)} trials of {titles[label]} are in the base only."


def same_plans(matches: list[Match]) -> str | None:
    """How many plans are bitwise those of the base, where the clock makes them repeatable."""
    pairs = pd.concat([match.pairs() for match in matches])
    planned = pairs[pairs["plan_sha256_base"].notna()]
    if planned.empty or set(planned["clock_base"]) != {"iterations"}:
        return None
    equal = int((planned["plan_sha256_base"] == planned["plan_sha256_new"]).sum())
    because = [
        name
        for name in _ROUNDED_ALIKE
        if set(planned[f"{name}_base"].astype(str)) != set(planned[f"{name}_new"].astype(str))
    ]
    sentence = f"{equal} of {len(planned)} plans are bitwise those of the base"
    if equal < len(planned):
        sentence += (
            f"; the runs differ in {', '.join(because)}"
            if because
            else ": something in planners, model or arithmetic has changed"
        )
    return f"{sentence}."
