"""What all figures share: colours that need no colour vision, words, and files."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from grasp_bench.errors import UserError
from grasp_bench.report.rows import ResultTable, TableColumn

# Okabe and Ito's colours: distinct without colour vision; the markers also without colour.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
FIGURE_FORMATS = (".png", ".svg", ".pdf")
_CAPTION_CHARACTERS_PER_INCH = 18


@dataclass(frozen=True)
class Drawing:
    """A figure with the words that belong to it.

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
    """Colour and marker of one planner."""

    colour: str
    marker: str


def style(place: int) -> Style:
    """The style of the planner at a place among a table's contenders."""
    turn = place // len(COLOURS)
    return Style(COLOURS[(place + turn) % len(COLOURS)], MARKERS[place % len(MARKERS)])


def contenders(table: ResultTable) -> list[tuple[TableColumn, Style]]:
    """The planners of a table but its floors and ceiling, each with its style."""
    planners = [column for column in table.columns if not column.bound]
    return [(column, style(place)) for place, column in enumerate(planners)]


def by_cell(trials: pd.DataFrame, columns: Sequence[str]) -> dict[tuple[int, str], pd.DataFrame]:
    """Some columns of the finished trials of every horizon and planner label."""
    cell = ["horizon", "planner_label"]
    # Few columns first: selecting rows copies every column there is.
    finished = trials[[*cell, "status", *columns]]
    groups = finished[finished["status"] == "ok"].groupby(cell, observed=True)
    return {(int(str(horizon)), str(label)): own for (horizon, label), own in groups}


def side_by_side(table: ResultTable) -> list[float]:
    """How far to shift each contender's points: intervals on top of each other cannot be read."""
    horizons = [row.horizon for row in table.rows]
    gap = 0.06 * min((b - a for a, b in pairwise(horizons)), default=10)
    count = len(contenders(table))
    return [gap * (place - (count - 1) / 2) for place in range(count)]


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that many inches."""
    return Figure(figsize=(width, height), layout="constrained")


def provenance(trials: pd.DataFrame) -> str:
    """What made the trials of a figure, in a sentence."""
    one = trials.iloc[0]
    unit = "planner seconds" if one["clock"] == "wall" else "candidate plans"
    return (
        f"{len(trials)} trials; world model {one['model']} ({one['model_sha256'][:12]}), "
        f"{one['tasks']} tasks, budget {one['budget']:g} {unit}, batch {one['batch']}, "
        f"seed {one['master_seed']}, protocol version {one['protocol_version']}."
    )


def figure_files(path: Path) -> list[Path]:
    """The files to write for `path`: itself, or a PNG and an SVG where it names no format.

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
    """Write a figure with its caption and the command that made it; returns the files."""
    files = figure_files(path)
    figure = drawing.figure
    words = f"{drawing.title}. {drawing.caption} Made by: {made_by}"
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
    """A figure without its caption as an SVG that needs no fonts."""
    buffer = io.BytesIO()
    figure = drawing.figure
    with _reproducible(text_as_paths=True):
        # Laid out here, once: savefig would do so again at each of its passes.
        if layout := figure.get_layout_engine():
            layout.execute(figure)
            figure.set_layout_engine(None)
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _reproducible(text_as_paths: bool) -> AbstractContextManager[None]:
    return mpl.rc_context(
        {"svg.fonttype": "path" if text_as_paths else "none", "svg.hashsalt": "grasp-bench"}
    )
