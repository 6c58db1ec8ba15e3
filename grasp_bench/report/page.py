"""One self-contained HTML page of results: no network, no script."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from grasp_bench import PROTOCOL_VERSION, __version__
from grasp_bench.errors import UserError
from grasp_bench.report.figures import FIGURE_COLUMNS, RESULT_FIGURES
from grasp_bench.report.figures.drawing import Drawing, svg_bytes
from grasp_bench.report.highlights import HIGHLIGHT_COLUMNS
from grasp_bench.report.pairwise import pairwise_sheets
from grasp_bench.report.provenance import PROVENANCE_COLUMNS, commands, hardware, hashes, versions
from grasp_bench.report.rows import ResultTable, combine
from grasp_bench.report.sheet import Sheet
from grasp_bench.report.table import results_sheet
from grasp_bench.report.times import times_sheet
from grasp_bench.report.words import findings
from grasp_bench.report.writers import render
from grasp_bench.results import read_results

PAGE_COLUMNS = tuple(
    dict.fromkeys([*FIGURE_COLUMNS, *HIGHLIGHT_COLUMNS, *PROVENANCE_COLUMNS, "started_at"])
)


@dataclass(frozen=True)
class Clip:
    """A trial's replay inside a page.

    Attributes:
        title: planner and what is special about the trial.
        outcome: what became of the plan.
        alt: what the clip shows, for who cannot see it.
        agreement: whether the plan is the row's.
        command: that makes the clip again, larger.
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
    """The trials of results as `combine` gives them, with the columns that a page shows.

    Raises:
        UserError: not results, or not of the same settings.
    """
    trials = combine([read_results(path, PAGE_COLUMNS) for path in paths])
    # Planners are paired by task again and again, which is quick with codes for texts.
    return trials.astype({"task_id": "category"})


def data_uri(content: bytes, media_type: str) -> str:
    """Content as an address that needs no network."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def render_page(
    title: str,
    table: ResultTable,
    trials: pd.DataFrame,
    paths: Sequence[Path],
    made_by: str,
    clips: Sequence[Clip] = (),
) -> str:
    """The page as text.

    Args:
        title: its heading.
        table: of the trials.
        trials: see `read_trials`.
        paths: the results files or run folders they come from.
        made_by: the command that makes the page.
        clips: trials to watch, as the caller has them.
    """
    environment = Environment(
        loader=PackageLoader("grasp_bench.report"),
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
            _figure(draw(table, trials), ["grasp-bench", "figure", kind, *map(str, paths)])
            for kind, draw in RESULT_FIGURES.items()
        ],
        findings=findings(table),
        clips=clips,
        commands=commands(finished),
        made_by=made_by,
        provenance={
            "Versions": versions(finished),
            "Hardware": hardware(finished),
            "SHA-256": hashes(finished, paths),
        },
    )


def _lead(table: ResultTable, finished: pd.DataFrame) -> str:
    planners = [column.title for column in table.columns if not column.bound]
    horizons = [f"H={row.horizon}" for row in table.rows]
    first, last = (f"{day:%Y-%m-%d}" for day in finished["started_at"].agg(["min", "max"]))
    when = f"run on {first}" if first == last else f"run between {first} and {last}"
    return (
        f"{_listed(planners)} on {finished['task_id'].nunique():,} Push-T tasks at "
        f"{_listed(horizons)}: {len(finished):,} trials, {when}."
    )


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _sheet(sheet: Sheet) -> dict[str, object]:
    # The notes stand beside the scrolling table, not in it.
    html = Markup(render([replace(sheet, notes=[])], "html"))
    return {"title": sheet.title, "html": html, "notes": sheet.notes}


def _pairwise(table: ResultTable, trials: pd.DataFrame) -> list[dict[str, object]]:
    try:
        return [_sheet(sheet) for sheet in pairwise_sheets(table, trials)]
    except UserError:  # one planner, or none that share a task: there is nothing to set apart
        return []


def _figure(drawing: Drawing, command: Sequence[str]) -> dict[str, str]:
    return {
        "title": drawing.title,
        "caption": drawing.caption,
        "alt": drawing.alt,
        "uri": data_uri(svg_bytes(drawing), "image/svg+xml"),
        "command": shlex.join(command),
    }
