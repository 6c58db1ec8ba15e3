"""A run held against a stored one: what got worse, told from what chance does.

Every planner is compared at every horizon and over all of them, in every quantity of
`change`. Holm's correction keeps the chance that anything is called worse in a re-run of
the same code below the significance level, however much is compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd

from grasp_bench.errors import UserError
from grasp_bench.progress import error_summary
from grasp_bench.report import GATE_SIGNIFICANCE, SLOWDOWN
from grasp_bench.report.change import (
    ITERATION_TIME,
    QUANTITIES,
    TIME_TO_SUCCESS,
    Change,
    Quantity,
    measures,
    paired_change,
    unpaired_change,
)
from grasp_bench.report.matching import (
    Match,
    check_comparable,
    differences,
    match_planners,
    missing_trials,
    same_plans,
    timed_alike,
)
from grasp_bench.report.rows import BOUNDS
from grasp_bench.stats import holm_adjusted

Verdict = Literal["worse", "better", "no change", "not gated"]


@dataclass(frozen=True)
class Finding:
    """A change of one planner at one horizon, judged.

    Attributes:
        planner: as a table names it.
        horizon: None for all together.
        change: see there.
        paired: whether the tasks were shared.
        seconds: whether it hangs on the machine's speed.
        p_worse, p_better: after Holm's correction; None where not gated.
        verdict: at the comparison's significance level.
    """

    planner: str
    horizon: int | None
    change: Change
    paired: bool
    seconds: bool
    p_worse: float | None = None
    p_better: float | None = None
    verdict: Verdict = "not gated"

    @property
    def where(self) -> str:
        """The horizon, in words."""
        return "over all horizons" if self.horizon is None else f"at H={self.horizon}"


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes:
        findings: one per planner, horizon and quantity.
        failures: sentences on what is a regression whatever a test says.
        notes: sentences on what limits the comparison.
        significance: of the whole family of tests.
        slowdown: ratio up to which a longer time passes.
    """

    findings: list[Finding]
    failures: list[str]
    notes: list[str]
    significance: float
    slowdown: float

    @property
    def tests(self) -> int:
        """Size of the family that Holm's correction covers."""
        return sum(finding.p_worse is not None for finding in self.findings)

    @property
    def regressed(self) -> bool:
        """Whether anything got worse."""
        return bool(self.failures) or any(f.verdict == "worse" for f in self.findings)


def compare(
    base: pd.DataFrame,
    new: pd.DataFrame,
    *,
    significance: float = GATE_SIGNIFICANCE,
    slowdown: float = SLOWDOWN,
    complete: bool = False,
) -> Comparison:
    """Hold the trials of a new run against those of a stored one.

    Args:
        base, new: as `read_results` gives them.
        significance: chance of calling anything worse when nothing changed.
        slowdown: ratio up to which longer planner seconds pass.
        complete: count it as a failure if only `base` has some trials.

    Raises:
        UserError: their settings differ so that no number compares, or they share no planner
            and horizon.
    """
    check_comparable(base, new)
    matches = match_planners(base, new)
    gate_times = timed_alike(base, new)
    findings = [finding for match in matches for finding in _findings(match, gate_times, slowdown)]
    if not findings:
        raise UserError(
            "these runs share no planner and horizon with finished trials: nothing to compare"
        )
    failures = [*_new_errors(matches), *_lost_demonstrations(matches)]
    notes = [
        *differences(base, new, matches),
        *_warnings(findings, gate_times, same_plans(matches)),
    ]
    (failures if complete else notes).extend(missing_trials(base, matches))
    return Comparison(
        _judged(findings, significance, gate_times), failures, notes, significance, slowdown
    )


def _findings(match: Match, over_reference: bool, slowdown: float) -> Iterator[Finding]:
    timed = match.name not in BOUNDS
    base = measures(match.base[match.base["status"] == "ok"], over_reference, timed)
    new = measures(match.new[match.new["status"] == "ok"], over_reference, timed)
    horizons: list[int | None] = sorted(set(base["horizon"]) & set(new["horizon"]))
    everywhere = base["horizon"].isin(horizons), new["horizon"].isin(horizons)
    wall = bool((match.new["clock"] == "wall").any())
    for horizon in [*horizons, None] if len(horizons) > 1 else horizons:
        before = base[everywhere[0] if horizon is None else base["horizon"] == horizon]
        after = new[everywhere[1] if horizon is None else new["horizon"] == horizon]
        pairs = before.merge(after, on=["horizon", "task_id"], suffixes=("_base", "_new"))
        for quantity in QUANTITIES:
            # Counted in candidates, times are exact and any change of them is the code's.
            seconds = quantity is ITERATION_TIME or (wall and quantity is TIME_TO_SUCCESS)
            change = _change(quantity, before, after, pairs, slowdown if seconds else 1.0)
            if change is not None:
                yield Finding(match.title, horizon, change, not pairs.empty, seconds)


def _change(
    quantity: Quantity,
    base: pd.DataFrame,
    new: pd.DataFrame,
    pairs: pd.DataFrame,
    margin: float,
) -> Change | None:
    name = quantity.name
    if pairs.empty:
        return unpaired_change(quantity, base[name].to_numpy(), new[name].to_numpy(), margin)
    one, other = pairs[f"{name}_base"].to_numpy(), pairs[f"{name}_new"].to_numpy()
    return paired_change(quantity, one, other, margin)


def _judged(findings: list[Finding], significance: float, gate_times: bool) -> list[Finding]:
    family = [finding for finding in findings if gate_times or not finding.seconds]
    worse = holm_adjusted([finding.change.test.worse for finding in family])
    better = holm_adjusted([finding.change.test.better for finding in family])
    adjusted = dict(zip(map(id, family), zip(worse, better, strict=True), strict=True))
    judged = []
    for finding in findings:
        if id(finding) in adjusted:
            p_worse, p_better = adjusted[id(finding)]
            verdict: Verdict = "no change"
            if min(p_worse, p_better) < significance:
                verdict = "worse" if p_worse < p_better else "better"
            finding = replace(finding, p_worse=p_worse, p_better=p_better, verdict=verdict)
        judged.append(finding)
    return judged


def _new_errors(matches: list[Match]) -> Iterator[str]:
    for match in matches:
        pairs = match.pairs()
        raised = pairs[(pairs["status_base"] == "ok") & (pairs["status_new"] != "ok")]
        if len(raised):
            first = raised.iloc[0]
            yield (
                f"{match.title} ended in an error in {len(raised)} of {len(pairs)} trials that it "
                f"finished before; the first, {first['task_id']}: "
                f"{error_summary({'error': first['error_new']})}"
            )


def _lost_demonstrations(matches: list[Match]) -> Iterator[str]:
    for match in matches:
        if match.name != "demo":
            continue
        pairs = match.pairs()
        solved = pairs["success_base"].fillna(False).astype(bool)
        kept = pairs["success_new"].fillna(True).astype(bool)
        if lost := int((solved & ~kept).sum()):
            yield (
                f"The demonstration's own actions fail on {lost} of {len(pairs)} tasks that they "
                "solved before: the simulator is no longer the one that the tasks were made with."
            )


def _warnings(findings: list[Finding], gate_times: bool, plans: str | None) -> Iterator[str]:
    if any(not finding.paired for finding in findings):
        yield (
            "The runs share no task where marked unpaired: tests of different tasks see only "
            "large differences."
        )
    if gate_times:
        yield "Planner seconds are given over those of the reference workload just before them."
    else:
        yield (
            "Planner seconds are shown as they are and decide nothing: one of the runs has no "
            "reference workload beside it, or they differ in batch, device, threads or hardware."
        )
    if plans is not None:
        yield plans
