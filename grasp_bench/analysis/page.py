"""Writes results as one self-contained HTML page: no network, no script."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from grasp_bench.analysis import Outcome
from grasp_bench.analysis.aggregate import ResultTable, combine
from grasp_bench.analysis.criteria import criteria_sheets
from grasp_bench.analysis.failure_kinds import failure_sheets
from grasp_bench.analysis.highlights import HIGHLIGHT_COLUMNS
from grasp_bench.analysis.pairwise import pairwise_sheets
from grasp_bench.analysis.provenance import PROVENANCE_COLUMNS, commands, origins
from grasp_bench.analysis.result_figures import FIGURE_COLUMNS, RESULT_FIGURES
from grasp_bench.analysis.result_figures.drawing import Drawing, svg_bytes
from grasp_bench.analysis.results_table import results_sheet
from grasp_bench.analysis.sheet import Sheet
from grasp_bench.analysis.times import times_sheet
from grasp_bench.analysis.writers import render
from grasp_bench.core.errors import UserError
from grasp_bench.core.version import PROTOCOL_VERSION, __version__
from grasp_bench.run.schema import NAMES, is_distance
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
    frames = [read_results(path, [*PAGE_COLUMNS, *_environments_own(path)]) for path in paths]
    trials = combine(frames, paths)
    # Planners are paired by task many times, which is quick with codes for texts.
    return trials.astype({"task_id": "category"})


def _environments_own(path: Path) -> list[str]:
    """Names the columns of the environment's criteria and first distance, if these are results."""
    files = [path] if path.is_file() else sorted(path.rglob("*.parquet"))
    try:
        names = [name for name in pq.read_schema(files[0]).names if name not in NAMES]
    except (IndexError, OSError, ValueError, pa.ArrowException):
        return []  # Reading the results raises a UserError that says what is wrong.
    return [name for name in names if not is_distance(name)] + list(filter(is_distance, names))[:1]


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
    criteria: Mapping[str, str] | None = None,
) -> str:
    """Returns the page as text.

    Args:
        title: its heading.
        table: of the trials.
        trials: see `read_trials`.
        paths: the results files or run folders that they come from.
        made_by: the command that makes the page.
        clips: trials to watch.
        criteria: of the environment, see `criteria_sheets`.
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
    return environment.get_template("report.html.j2").render(
        title=title,
        lead=_lead(table, trials),
        version=__version__,
        protocol=PROTOCOL_VERSION,
        results=_sheet(sheet),
        times=_sheet(times),
        pairwise=_sheets(lambda: pairwise_sheets(table, trials)),
        criteria=_sheets(lambda: criteria_sheets(trials, criteria, _outcome(trials), False))
        if criteria
        else [],
        failures=_sheets(lambda: failure_sheets(trials)),
        figures=[
            {
                "drawing": drawing,
                "uri": data_uri(svg_bytes(drawing), "image/svg+xml"),
                "command": shlex.join(["grasp-bench", "figure", kind, *map(str, paths)]),
            }
            for kind, drawing in _drawings(table, trials)
        ],
        clips=clips,
        commands=commands(trials),
        made_by=made_by,
        provenance=origins(trials, paths),
    )


def _drawings(table: ResultTable, trials: pd.DataFrame) -> Iterator[tuple[str, Drawing]]:
    """Yields the figures that these trials give, by kind."""
    for kind, draw in RESULT_FIGURES.items():
        with suppress(UserError):  # no final plans
            yield kind, draw(table, trials)


def _lead(table: ResultTable, trials: pd.DataFrame) -> str:
    planners = [column.title for column in table.contenders]
    horizons = [f"H={row.horizon}" for row in table.rows]
    first, last = (f"{day:%Y-%m-%d}" for day in trials["started_at"].agg(["min", "max"]))
    when = f"run on {first}" if first == last else f"run between {first} and {last}"
    return (
        f"{_listed(planners)} on {trials['task_id'].nunique():,} tasks of "
        f"{trials['environment'].iloc[0]} at {_listed(horizons)}: {len(trials):,} trials, "
        f"{when}."
    )


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _sheet(sheet: Sheet) -> dict[str, object]:
    # The notes stand outside the scrolling table.
    html = Markup(render([replace(sheet, notes=[])], "html"))
    return {"title": sheet.title, "html": html, "notes": sheet.notes}


def _outcome(trials: pd.DataFrame) -> Outcome:
    return "final-plan" if (trials["stop"] == "never").all() else "first"


def _sheets(make: Callable[[], list[Sheet]]) -> list[dict[str, object]]:
    """Makes sheets, none where these trials give none."""
    try:
        return [_sheet(sheet) for sheet in make()]
    except UserError:  # One planner, none that share a task, or no final plans.
        return []
