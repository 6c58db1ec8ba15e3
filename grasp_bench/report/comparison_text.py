"""A comparison of two runs in words, as a table, and as a comment on a pull request."""

from __future__ import annotations

from grasp_bench.report.comparison import Comparison, Finding
from grasp_bench.report.sheet import NOTHING, Entry, Sheet, p_value_text
from grasp_bench.report.writers import render

_HEADINGS = ["Planner", "Horizon", "Quantity", "n", "Base", "New", "Change", "p (worse)", "Verdict"]


def conclusion(comparison: Comparison) -> str:
    """One sentence: whether the new run is worse."""
    method = (
        f"{comparison.tests} tests, family-wise significance {comparison.significance:g} after "
        f"Holm's correction, planner seconds up to {comparison.slowdown:g} times as long pass"
    )
    if comparison.regressed:
        return f"Regression: the new run is worse ({method})."
    return f"No regression: nothing is worse than chance explains ({method})."


def sentences(comparison: Comparison) -> list[str]:
    """What got worse, then what got better."""
    told = [
        _sentence(finding)
        for verdict in ("worse", "better")
        for finding in comparison.findings
        if finding.verdict == verdict
    ]
    return [*comparison.failures, *told]


def comparison_sheet(comparison: Comparison) -> Sheet:
    """Every finding, what is worse in bold."""
    return Sheet(
        headings=_HEADINGS,
        rows=[_row(finding) for finding in comparison.findings],
        records=[_record(finding) for finding in comparison.findings],
        notes=comparison.notes,
        labels=3,
    )


def markdown_comment(comparison: Comparison) -> str:
    """The comparison for a pull request: the verdict in sentences, the table folded away."""
    return "\n".join(
        [
            f"### {'❌' if comparison.regressed else '✅'} grasp-bench compare",
            "",
            conclusion(comparison),
            "",
            *(f"- {sentence}" for sentence in sentences(comparison)),
            "",
            "<details><summary>All comparisons</summary>",
            "",
            render([comparison_sheet(comparison)], "markdown"),
            "</details>",
            "",
        ]
    )


def _sentence(finding: Finding) -> str:
    change, worse = finding.change, finding.verdict == "worse"
    predicate = change.quantity.worse if worse else change.quantity.better
    p_value = finding.p_worse if worse else finding.p_better
    return (
        f"{finding.planner} {finding.where} {predicate}: {change.detail} "
        f"(p {_p_value(p_value)} after Holm's correction{'' if finding.paired else ', unpaired'})."
    )


def _row(finding: Finding) -> list[Entry]:
    change, kind = finding.change, finding.change.quantity.kind
    cells = (
        finding.planner,
        "all" if finding.horizon is None else f"H={finding.horizon}",
        change.quantity.name,
        f"{change.tasks}{'' if finding.paired else ' unpaired'}",
        f"{change.base:.1%}" if kind == "share" else f"{change.base:.3g}",
        f"{change.new:.1%}" if kind == "share" else f"{change.new:.3g}",
        _difference(finding),
        _p_value(finding.p_worse).removeprefix("= "),
        finding.verdict,
    )
    return [Entry(cell, bold=finding.verdict == "worse") for cell in cells]


def _record(finding: Finding) -> dict[str, object]:
    change = finding.change
    low, high = change.interval or (None, None)
    return {
        "planner": finding.planner,
        "horizon": finding.horizon,
        "quantity": change.quantity.name,
        "paired": finding.paired,
        "n": change.tasks,
        "base": change.base,
        "new": change.new,
        "change": change.change,
        "change_low": low,
        "change_high": high,
        "p_worse": finding.p_worse,
        "p_better": finding.p_better,
        "verdict": finding.verdict,
    }


def _difference(finding: Finding) -> str:
    change, kind = finding.change, finding.change.quantity.kind
    scale, pattern, unit = {
        "share": (100.0, "{:+.1f}", " points"),
        "cost": (1.0, "{:+.3g}", ""),
        "time": (1.0, "{:.2f}", " x"),
    }[kind]
    text = pattern.format(scale * change.change) + unit
    if change.interval is None:
        return text
    low, high = (pattern.format(scale * bound) for bound in change.interval)
    return f"{text} [{low}, {high}]"


def _p_value(value: float | None) -> str:
    return NOTHING if value is None else p_value_text(value)
