"""Provides what all figures share: colours that need no colour vision, labels and files."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grasp_bench.analysis.aggregate import DISPLAY_NAMES, ResultTable
from grasp_bench.analysis.footnotes import budgets_text
from grasp_bench.analysis.published import PAPER
from grasp_bench.analysis.stats import Interval
from grasp_bench.core.errors import UserError
from grasp_bench.run.failures import judged, not_run_notes

# Okabe and Ito's colours are distinct without colour vision, the markers also without colour.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#000000", "#CC79A7", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#c9cdd2"
# A reader tells six lines apart at a glance.
MOST_COLOURED = 6
FIGURE_FORMATS = (".png", ".svg", ".pdf")
_CAPTION_CHARACTERS_PER_INCH = 18


@dataclass(frozen=True)
class Drawing:
    """Holds a figure with the words that belong to it.

    Attributes:
        title: what it shows, in a few words.
        caption: how to read it and what made it, in sentences.
        alt: what it says, for who cannot see it.
        figure: made with `new_figure`.
    """

    title: str
    caption: str
    alt: str
    figure: Figure


class Style(NamedTuple):
    """Holds the colour and marker of one planner."""

    colour: str
    marker: str


def style(place: int) -> Style:
    """Returns the style of the planner at a place; no two places have the same."""
    turn = place // len(COLOURS)
    return Style(COLOURS[(place + turn) % len(COLOURS)], MARKERS[place % len(MARKERS)])


def styles(table: ResultTable) -> dict[str, Style]:
    """Returns the styles, by label, of the planners to show in colour; the others are grey.

    A paper's planner has the same style in all figures. With more planners than a reader tells
    apart, the coloured ones are the paper's, and of the others that ran at the most horizons the
    one that solves most with a learned prior and the one that solves most without.
    """
    planners = table.contenders
    # The title of a planner's only or plain configuration is its name.
    places = {DISPLAY_NAMES[name]: place for place, name in enumerate(PAPER.cells)}
    others = [column for column in planners if column.title not in places]
    if len(planners) > MOST_COLOURED:
        rates = {c.label: [cell.rate for cell in table.cells_of(c.label).values()] for c in others}
        others.sort(key=lambda c: (len(rates[c.label]), sum(rates[c.label]) / len(rates[c.label])))
        best = {column.learned: column for column in others}
        others = list(best.values())
    others.sort(key=lambda column: not column.learned)
    places |= {column.title: place for place, column in enumerate(others, len(places))}
    return {c.label: style(places[c.title]) for c in planners if c.title in places}


def over_horizon(figure: Figure, table: ResultTable, titles: Sequence[str]) -> list[Axes]:
    """Makes panels side by side, with one vertical scale and the table's horizons below."""
    panels = list(figure.subplots(1, len(titles), sharey=True, squeeze=False)[0])
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_xlabel("horizon H (environment steps)")
        axes.set_xticks([row.horizon for row in table.rows])
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.25)
    return panels


class LineEnd(NamedTuple):
    """Holds the last point of a line, in data coordinates, and the name to write beside it."""

    x: float
    y: float
    name: str
    colour: str


def draw_over_horizon(
    axes: Axes,
    table: ResultTable,
    looks: Mapping[str, Style],
    points: Mapping[str, Mapping[int, tuple[float, Interval]]],
) -> list[LineEnd]:
    """Draws values and intervals by planner label and horizon; returns the ends to label.

    Planners without a style are grey lines. Intervals stand back.
    """
    ends = []
    for column in table.contenders:
        horizons = list(own := points[column.label])
        values, look = [value for value, _ in own.values()], looks.get(column.label)
        if own and look is None:
            axes.plot(horizons, values, color=GREY, linewidth=1, zorder=1)
        elif own and look is not None:
            errors = [(value - low, high - value) for value, (low, high) in own.values()]
            lines = axes.errorbar(
                horizons, values, yerr=np.maximum(0, np.transpose(errors)),
                color=look.colour, marker=look.marker, markersize=5, elinewidth=1,
            )  # fmt: skip
            for bars in lines[2]:
                bars.set_alpha(0.4)
            ends.append(LineEnd(max(horizons), values[-1], column.title, look.colour))
    return ends


def label_ends(axes: Axes, ends: Sequence[LineEnd], gap: float = 0.055, size: float = 8) -> None:
    """Writes names beside the ends of lines, moved apart where they would overlap.

    Args:
        axes: with their final limits and scale.
        ends: of the lines.
        gap: least distance of two names, as a share of the height of the axes.
        size: of the names, points.
    """
    axes.get_ylim()  # Settles limits that new lines have changed.
    to_axes = axes.transData + axes.transAxes.inverted()
    ends = sorted(ends, key=lambda end: end.y)
    heights = [float(to_axes.transform((end.x, end.y))[1]) for end in ends]
    for _ in range(500):
        for place in range(1, len(ends)):
            overlap = gap - (heights[place] - heights[place - 1])
            if overlap > 0:
                heights[place - 1] -= overlap / 2
                heights[place] += overlap / 2
        for place in (0, -1) if ends else ():
            heights[place] = min(max(heights[place], 0.0), 1.0)
    for end, height in zip(ends, heights, strict=True):
        axes.annotate(
            end.name, (end.x, end.y), (1.05, height), textcoords="axes fraction",
            color=end.colour, fontsize=size, va="center", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": end.colour, "linewidth": 0.6, "shrinkB": 3},
        )  # fmt: skip


def by_cell(trials: pd.DataFrame, columns: Sequence[str]) -> dict[tuple[int, str], pd.DataFrame]:
    """Returns some columns of the judged trials by horizon and planner label."""
    cell = ["horizon", "planner_label"]
    # Selecting rows copies every column there is, so that few columns come first.
    groups = judged(trials)[[*cell, *columns]].groupby(cell, observed=True)
    return {(int(str(horizon)), str(label)): own for (horizon, label), own in groups}


def new_figure(width: float, height: float) -> Figure:
    """Makes an empty figure of that many inches."""
    return Figure(figsize=(width, height), layout="constrained")


def provenance(table: ResultTable, trials: pd.DataFrame) -> str:
    """Says in sentences what made the trials of a figure, and which executed no plan."""
    one = trials.iloc[0]
    titles = {column.label: column.title for column in table.columns}
    return (
        f"{len(trials)} trials; world model {one['model']} ({one['model_sha256'][:12]}), "
        f"{one['tasks']} tasks, {budgets_text(trials)}, batch {one['batch']}, "
        f"seed {one['master_seed']}, protocol version {one['protocol_version']}. "
        + " ".join(not_run_notes(trials, titles))
    ).strip()


def figure_files(path: Path) -> list[Path]:
    """Returns the files to write for `path`: itself, or a PNG and an SVG without a format.

    Raises:
        UserError: a format that is not written.
    """
    if not path.suffix:
        return [path.with_suffix(suffix) for suffix in (".png", ".svg")]
    if path.suffix.lower() not in FIGURE_FORMATS:
        known = ", ".join(FIGURE_FORMATS)
        raise UserError(f"'{path}': a figure is one of {known}, or without it a PNG and an SVG")
    return [path]


def write_drawing(drawing: Drawing, path: Path, made_by: str) -> list[Path]:
    """Writes a figure with its caption and the command that made it; returns the files."""
    files = figure_files(path)
    figure = drawing.figure
    words = f"{drawing.title}. {drawing.caption} Made by: {made_by}"
    words = words.encode(errors="replace").decode()  # a file's name may be no text
    line = int(figure.get_figwidth() * _CAPTION_CHARACTERS_PER_INCH)
    figure.supxlabel(
        textwrap.fill(words, line), fontsize=7, x=0.01, horizontalalignment="left", color="#5f6368"
    )
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        form = file.suffix.lower()[1:]
        with _reproducible(text_as_paths=False):
            # No date, so that the same results give the same file.
            dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form, {})
            figure.savefig(file, dpi=150, metadata={"Title": drawing.title} | dates)
    return files


def svg_bytes(drawing: Drawing) -> bytes:
    """Returns a figure without its caption as an SVG that needs no fonts."""
    buffer = io.BytesIO()
    figure = drawing.figure
    with _reproducible(text_as_paths=True):
        # savefig would lay it out again at each of its passes.
        if layout := figure.get_layout_engine():
            layout.execute(figure)
            figure.set_layout_engine(None)
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _reproducible(text_as_paths: bool) -> AbstractContextManager[None]:
    return mpl.rc_context(
        {"svg.fonttype": "path" if text_as_paths else "none", "svg.hashsalt": "grasp-bench"}
    )
