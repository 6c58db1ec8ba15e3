"""Turns a model report into sheets, for any format. Never imports torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from grasp_bench.analysis import Format
from grasp_bench.analysis.sheet import Entry, Sheet
from grasp_bench.analysis.writers import render

Report = dict[str, Any]

_NAMES = {"agent_px": "agent", "block_px": "block", "angle_deg": "angle"}
_UNITS = {"agent_px": " px", "block_px": " px", "angle_deg": "°"}

# By figure of a row, the heading of its column and how its numbers are written.
_RANKING = {
    "plans": ("plans", "d"),
    "beaten_mean": ("mean", ".1%"),
    "beaten_median": ("median", ".1%"),
    "tasks_beating_95": ("tasks with 95% or more", ".0%"),
}
_SMOOTHNESS = {
    "falling_steps_mean": ("steps that lower it", ".1%"),
    "spearman_mean": ("rank correlation, mean", ".3f"),
    "spearman_median": ("median", ".3f"),
}
_BRITTLENESS = {
    "tasks": "tasks",
    "landed": "share where a landing displacement was found",
    "ratio_median": "‖δ‖ over that of a model without dynamics, median (0: brittle)",
    "ratio_lower_quartile": "its lower quartile",
    "ratio_upper_quartile": "its upper quartile",
    "relative_median": "‖δ‖ / ‖g - s‖, median",
    "one_step_changes_median": "‖δ‖ in median one-step changes, median",
    "random_cost_median": "goal cost left by random displacements as long, median",
    "random_landed": "share of them that land",
    "gradient_step_cost_median": "goal cost left by one gradient step, median",
    "gradient_step_length_median": "its length in ‖g - s‖, median",
    "gradient_step_landed": "share of tasks where it lands",
}


def render_report(report: Report, form: Format) -> str:
    """Writes the report as text that ends in a newline; JSON is the report itself."""
    if form == "json":
        return json.dumps(report, indent=1) + "\n"
    return render(report_sheets(report), form)


def report_sheets(report: Report) -> list[Sheet]:
    """Returns the tables of the sections that the report has."""
    sheets = []
    if "probes" in report:
        sheets += [_probes(report), _open_loop(report)]
    if "ranking" in report:
        title = "Ranking: alternatives that cost more than the demonstration"
        sheets.append(_figures("ranking", title, "alternatives", _RANKING, report))
    if "smoothness" in report:
        title = "Goal cost along the straight path from start to goal"
        sheets.append(_figures("smoothness", title, "what moves", _SMOOTHNESS, report))
    if "brittleness" in report:
        title = "Brittleness: the smallest δ with F(s + δ, 0) on the goal"
        found = report["brittleness"]
        rows = [(_BRITTLENESS[name], f"{value:.3g}") for name, value in found.items()]
        sheets.append(_sheet("brittleness", title, ("what", "value"), rows, {"all": found}))
    return sheets


def _sheet(
    section: str,
    title: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    figures: Report,
) -> Sheet:
    # `figures` holds the numbers behind the cells, by row and name.
    records: list[dict[str, object]] = [
        {"section": section, "row": row, "figure": name, "value": value}
        for row, values in figures.items()
        for name, value in values.items()
    ]
    entries = [[Entry(cell) for cell in row] for row in rows]
    return Sheet(list(headings), entries, records, title=title)


def _figures(
    section: str, title: str, corner: str, columns: dict[str, tuple[str, str]], report: Report
) -> Sheet:
    headings = [corner, *(heading for heading, _ in columns.values())]
    rows = [
        [kind, *(format(figures[name], form) for name, (_, form) in columns.items())]
        for kind, figures in report[section].items()
    ]
    return _sheet(section, title, headings, rows, report[section])


def _probes(report: Report) -> Sheet:
    settings = report["probe_settings"]
    fits = {
        "linear": "{frames} frames, least squares",
        "mlp": "{frames} frames, 2 x {hidden}, {steps} steps of {batch}",
        "tokens": "{token_frames} frames, {token_votes} votes, 2 x {token_hidden}, "
        "{token_steps} steps of {token_batch}",
    }
    title = "Probes, RMSE / median on held-out frames"
    headings = ("probe", *_NAMES.values(), "fitted on at most")
    rows = [
        (probe, *(_error(errors, name) for name in _NAMES), fits[probe].format(**settings))
        for probe, errors in report["probes"].items()
    ]
    return _sheet("probes", title, headings, rows, report["probes"])


def _open_loop(report: Report) -> Sheet:
    read_by = ", ".join(f"{_NAMES[name]}: {probe}" for name, probe in report["read_by"].items())
    columns = [(name, prefix) for name in _NAMES for prefix in ("", "copy_")]
    title = f"Open-loop error, RMSE / median, beside a copy of the first state (read by {read_by})"
    headings = ("model steps", *(_NAMES[name] + (prefix and ", copy") for name, prefix in columns))
    rows = [
        (step, *(_error(errors, name, prefix) for name, prefix in columns))
        for step, errors in report["open_loop"].items()
    ]
    return _sheet("open_loop", title, headings, rows, report["open_loop"])


def _error(errors: Report, quantity: str, prefix: str = "") -> str:
    rmse, median = (errors[f"{prefix}{quantity}_{kind}"] for kind in ("rmse", "median"))
    return f"{rmse:.1f} / {median:.1f}{_UNITS[quantity]}"
