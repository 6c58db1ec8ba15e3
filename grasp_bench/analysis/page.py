"""Writes results as one self-contained HTML page: no network, no script."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from grasp_bench.analysis.aggregate import ResultTable, combine
from grasp_bench.analysis.highlights import HIGHLIGHT_COLUMNS
from grasp_bench.analysis.pairwise import pairwise_sheets
from grasp_bench.analysis.provenance import PROVENANCE_COLUMNS, commands, origins
from grasp_bench.analysis.result_figures import FIGURE_COLUMNS, RESULT_FIGURES
from grasp_bench.analysis.result_figures.drawing import svg_bytes
from grasp_bench.analysis.results_table import results_sheet
from grasp_bench.analysis.sheet import Sheet
from grasp_bench.analysis.times import times_sheet
from grasp_bench.analysis.writers import render
from grasp_bench.core.errors import UserError
from grasp_bench.core.version import PROTOCOL_VERSION, __version__
from grasp_bench.run.schema import is_distance
from grasp_bench.run.store import read_results

PAGE_COLUMNS = tuple(
    dict.fromkeys([*FIGURE_COLUMNS, *HIGHLIGHT_COLUMNS, *PROVENANCE_COLUMNS, "started_at"])
)


@dataclass(frozen=True)
class Clip:
    """Holds a trial's replay inside a page.

    Attributes:
        title: planner and what is special about the trial.
        outcome: what became of the plan.
        alt: what the clip shows, for a reader who cannot see it.
        agreement: whether the plan is the row's.
        command: makes the clip again, larger.
        moving, still: data URIs of the clip and of its last picture.
        width, height: of both, px.
    """

    title: str
    outcome: str
    alt: str
    agreement: str
    command: str
    moving: str
    still: str
    width: int
    height: int


def read_trials(paths: Sequence[Path]) -> pd.DataFrame:
    """Reads the trials of results, joined by `combine`, with the columns that a page shows.

    Raises:
        UserError: not results, or not of the same settings.
    """
    frames = [read_results(path, [*PAGE_COLUMNS, *_distance(path)]) for path in paths]
    trials = combine(frames)
    # Planners are paired by task many times, which is quick with codes for texts.
    return trials.astype({"task_id": "category"})


def _distance(path: Path) -> list[str]:
    """Names the column of the environment's first distance, if these are results."""
    files = [path] if path.is_file() else sorted(path.rglob("*.parquet"))
    try:
        return [name for name in pq.read_schema(files[0]).names if is_distance(name)][:1]
    except (IndexError, OSError, pa.ArrowException):
        return []  # Reading the results raises a UserError that says what is wrong.


def data_uri(content: bytes, media_type: str) -> str:
    """Writes content as an address that needs no network."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def render_page(
    title: str,
    table: ResultTable,
    trials: pd.DataFrame,
    paths: Sequence[Path],
    made_by: str,
    clips: Sequence[Clip] = (),
) -> str:
    """Returns the page as text.

    Args:
        title: its heading.
        table: of the trials.
        trials: see `read_trials`.
        paths: the results files or run folders that they come from.
        made_by: the command that makes the page.
        clips: trials to watch.
    """
    environment = Environment(
        loader=PackageLoader("grasp_bench.analysis"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    results = results_sheet(table).transposed("Planner")
    sheet = replace(results, title="Success rate and median time to success")
    times = times_sheet(table, trials)
    further = [note for note in times.notes if note not in results.notes]
    times = replace(times, title="Time to success, failures counted", notes=further)
    finished = trials[trials["status"] == "ok"]
    return environment.get_template("report.html.j2").render(
        title=title,
        lead=_lead(table, finished),
        version=__version__,
        protocol=PROTOCOL_VERSION,
        results=_sheet(sheet),
        times=_sheet(times),
        pairwise=_pairwise(table, trials),
        figures=[
            {
                "drawing": (drawing := draw(table, trials)),
                "uri": data_uri(svg_bytes(drawing), "image/svg+xml"),
                "command": shlex.join(["grasp-bench", "figure", kind, *map(str, paths)]),
            }
            for kind, draw in RESULT_FIGURES.items()
        ],
        clips=clips,
        commands=commands(finished),
        made_by=made_by,
        provenance=origins(finished, paths),
    )


def _lead(table: ResultTable, finished: pd.DataFrame) -> str:
    planners = [column.title for column in table.contenders]
    horizons = [f"H={row.horizon}" for row in table.rows]
    first, last = (f"{day:%Y-%m-%d}" for day in finished["started_at"].agg(["min", "max"]))
    when = f"run on {first}" if first == last else f"run between {first} and {last}"
    return (
        f"{_listed(planners)} on {finished['task_id'].nunique():,} tasks of "
        f"{finished['environment'].iloc[0]} at {_listed(horizons)}: {len(finished):,} trials, "
        f"{when}."
    )


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _sheet(sheet: Sheet) -> dict[str, object]:
    # The notes stand outside the scrolling table.
    html = Markup(render([replace(sheet, notes=[])], "html"))
    return {"title": sheet.title, "html": html, "notes": sheet.notes}


def _pairwise(table: ResultTable, trials: pd.DataFrame) -> list[dict[str, object]]:
    try:
        return [_sheet(sheet) for sheet in pairwise_sheets(table, trials)]
    except UserError:  # One planner, or none that share a task.
        return []
