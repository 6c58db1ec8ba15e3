"""A model report as sheets, ready to be written in any format. Never imports torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from grasp_bench.report import Format
from grasp_bench.report.sheet import Entry, Sheet
from grasp_bench.report.writers import render

Report = dict[str, Any]

_UNITS = {"agent_px": "px", "block_px": "px", "angle_deg": "°"}
_NAMES = {"agent_px": "agent", "block_px": "block", "angle_deg": "angle"}


def render_report(report: Report, form: Format) -> str:
    """The report as text, ending in a newline; JSON is the report as it stands in a card."""
    if form == "json":
        return json.dumps(report, indent=1) + "\n"
    return render(report_sheets(report), form)


def report_sheets(report: Report) -> list[Sheet]:
    """The tables of whatever sections the report has."""
    return list(_sheets(report))


def _sheet(
    section: str,
    title: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    figures: Report,
) -> Sheet:
    # `figures` are the numbers behind the cells, by row and name.
    records: list[dict[str, object]] = [
        {"section": section, "row": row, "figure": name, "value": value}
        for row, values in figures.items()
        for name, value in values.items()
    ]
    return Sheet(
        list(headings), [[Entry(cell) for cell in row] for row in rows], records, title=title
    )


def _sheets(report: Report) -> Iterator[Sheet]:
    if "probes" in report:
        yield _probes(report)
        yield _open_loop(report)
    if "ranking" in report:
        yield _ranking(report["ranking"])
    if "smoothness" in report:
        yield _smoothness(report["smoothness"])
    if "brittleness" in report:
        yield _brittleness(report["brittleness"])


def _probes(report: Report) -> Sheet:
    settings = report["probe_settings"]
    fits = {
        "linear": f"{settings['frames']} frames, least squares",
        "mlp": f"{settings['frames']} frames, 2 x {settings['hidden']}, "
        f"{settings['steps']} steps of {settings['batch']}",
        "tokens": f"{settings['token_frames']} frames, {settings['token_votes']} votes, "
        f"2 x {settings['token_hidden']}, {settings['token_steps']} steps of "
        f"{settings['token_batch']}",
    }
    return _sheet(
        "probes",
        "Probes, RMSE / median on held-out frames",
        ("probe", "agent", "block", "angle", "fitted on at most"),
        [
            (name, *(_error(errors, quantity) for quantity in _UNITS), fits[name])
            for name, errors in report["probes"].items()
        ],
        report["probes"],
    )


def _open_loop(report: Report) -> Sheet:
    read_by = ", ".join(
        f"{_NAMES[quantity]}: {probe}" for quantity, probe in report["read_by"].items()
    )
    return _sheet(
        "open_loop",
        f"Open-loop error, RMSE / median, and of a copy of the first state (read by {read_by})",
        ("model steps", *(part for name in _NAMES.values() for part in (name, f"{name}, copy"))),
        [
            (
                step,
                *(
                    _error(errors, quantity, prefix)
                    for quantity in _UNITS
                    for prefix in ("", "copy_")
                ),
            )
            for step, errors in report["open_loop"].items()
        ],
        report["open_loop"],
    )


def _ranking(ranking: Report) -> Sheet:
    return _sheet(
        "ranking",
        "Is the right plan the cheapest? Alternatives that cost more than the demonstration",
        ("alternatives", "plans", "mean", "median", "tasks with 95% or more"),
        [
            (
                kind,
                str(row["plans"]),
                f"{row['beaten_mean']:.1%}",
                f"{row['beaten_median']:.1%}",
                f"{row['tasks_beating_95']:.0%}",
            )
            for kind, row in ranking.items()
        ],
        ranking,
    )


def _smoothness(smoothness: Report) -> Sheet:
    return _sheet(
        "smoothness",
        "Goal cost along the straight path from start to goal",
        ("what moves", "steps that lower it", "rank correlation, mean", "median"),
        [
            (
                path,
                f"{row['falling_steps_mean']:.1%}",
                f"{row['spearman_mean']:.3f}",
                f"{row['spearman_median']:.3f}",
            )
            for path, row in smoothness.items()
        ],
        smoothness,
    )


def _brittleness(brittleness: Report) -> Sheet:
    labels = {
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
    return _sheet(
        "brittleness",
        "Brittleness: the smallest δ with F(s + δ, 0) on the goal",
        ("what", "value"),
        [(labels[name], f"{value:.3g}") for name, value in brittleness.items()],
        {"all": brittleness},
    )


def _error(errors: Report, quantity: str, prefix: str = "") -> str:
    rmse, median = (errors[f"{prefix}{quantity}_{kind}"] for kind in ("rmse", "median"))
    unit = _UNITS[quantity]
    return f"{rmse:.1f} / {median:.1f}{'' if unit == '°' else ' '}{unit}"
