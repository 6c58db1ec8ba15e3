"""The measurements of a bench as rows of a parquet file, and as tables. Never imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa

from grasp_bench.errors import UserError
from grasp_bench.machine import describe_machine
from grasp_bench.report.sheet import NOTHING, Entry, Sheet

LARGE, OWN = "one large matrix product", "the model's matrix products alone"
TITLES = {
    "planner": "An iteration of every planner, T = 16, batch 1",
    "form": "GRASP's step, T = 16, batch 1: lifted, and as a Python loop over t",
    "horizon": "An iteration as T grows, batch 1",
    "batch": "An iteration as the batch grows, T = 16",
}


@dataclass(frozen=True)
class Timing:
    """Seconds per unit of work.

    Attributes:
        median: over the stretches.
        low, high: their quartiles.
    """

    median: float
    low: float
    high: float


class SpeedRow(NamedTuple):
    """One measurement.

    Attributes:
        section: which of the four parts.
        name: planner or form.
        steps: T.
        batch: B.
        seconds: of one iteration.
        floor: seconds of its model's multiply-adds at the rate of one large matrix product.
        own_floor: the same at the rate that the model's own matrix products reach alone.
    """

    section: str
    name: str
    steps: int
    batch: int
    seconds: Timing
    floor: float | None = None
    own_floor: float | None = None


def speed_frame(rows: Sequence[SpeedRow], **context: object) -> pd.DataFrame:
    """The rows flat, seconds and quartiles in columns, `context` the same in all."""
    return pd.DataFrame(
        [
            {
                "section": row.section,
                "name": row.name,
                "steps": row.steps,
                "batch": row.batch,
                "seconds": row.seconds.median,
                "seconds_low": row.seconds.low,
                "seconds_high": row.seconds.high,
                "floor_seconds": row.floor,
                "own_floor_seconds": row.own_floor,
            }
            | context
            for row in rows
        ]
    )


def machine_context(model: str, model_sha256: str, device: str, threads: int) -> dict[str, object]:
    """What the seconds depend on."""
    settings = {"model": model, "model_sha256": model_sha256, "device": device, "threads": threads}
    return settings | asdict(describe_machine(device))


def read_speed(path: Path) -> pd.DataFrame:
    """The rows of a file that `grasp-bench bench` wrote.

    Raises:
        UserError: there is none, or it holds something else.
    """
    try:
        frame = pd.read_parquet(path)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"'{path}' is no file of `grasp-bench bench`: {error}") from error
    if not {"section", "seconds", "floor_seconds", "model"} <= set(frame):
        raise UserError(f"'{path}' is parquet, but not what `grasp-bench bench` writes")
    return frame


def speed_sheets(frame: pd.DataFrame) -> list[Sheet]:
    """The parts that there are, as ratios."""
    sheets = []
    for section in TITLES:
        rows = frame[frame["section"] == section]
        if len(rows):
            build = _floor_sheet if section in ("planner", "form") else _growth_sheet
            sheets.append(build(section, rows))
    return sheets


def _floor_sheet(section: str, rows: pd.DataFrame) -> Sheet:
    fastest = rows[~rows["name"].isin([LARGE, OWN])]["seconds"].min()
    lines = [
        [
            Entry(str(row["name"])),
            Entry(_milliseconds(row["seconds"])),
            Entry(f"{row['seconds'] / row['floor_seconds']:.1f}"),
            Entry(f"{row['seconds'] / row['own_floor_seconds']:.1f}"),
            Entry(NOTHING if row["name"] in (LARGE, OWN) else f"{row['seconds'] / fastest:.1f}"),
        ]
        for _, row in rows.iterrows()
    ]
    return Sheet(
        ["", "ms", "x floor", "x floor at the model's shapes", "x the fastest"],
        lines,
        _records(rows),
        [
            "Floor: the multiply-adds of the model calls of one iteration, forward and backward "
            f"to the actions alone, at the rate of {LARGE} (1024 x 1024); beside it, at the rate "
            "of the matrix products of one lifted step by themselves.",
            *_notes(rows),
        ],
        title=TITLES[section],
    )


def _growth_sheet(section: str, rows: pd.DataFrame) -> Sheet:
    by = "steps" if section == "horizon" else "batch"
    grid = sorted(rows[by].unique())
    lines = []
    for name, own in rows.groupby("name", sort=False):
        seconds = own.set_index(by)["seconds"]
        first = float(seconds[grid[0]])
        lines.append(
            [Entry(str(name)), Entry(_milliseconds(first))]
            + [Entry(_growth(float(seconds[n]) / first, n / grid[0], section)) for n in grid[1:]]
        )
    symbol = "T" if section == "horizon" else "B"
    what = (
        f"Seconds of an iteration over those at {symbol} = {grid[0]}."
        if section == "horizon"
        else f"Problems planned a second, over those at {symbol} = {grid[0]}."
    )
    headings = ["", f"ms at {symbol} = {grid[0]}", *(f"{symbol} = {n}" for n in grid[1:])]
    return Sheet(headings, lines, _records(rows), [what, *_notes(rows)], title=TITLES[section])


def _growth(seconds: float, size: float, section: str) -> str:
    return f"x {seconds if section == 'horizon' else size / seconds:.1f}"


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.2f}"


def _notes(rows: pd.DataFrame) -> Iterator[str]:
    one = rows.iloc[0]
    gpu = "" if pd.isna(one["accelerator"]) else f"{one['accelerator']}, "
    yield (
        f"World model {one['model']} ({one['model_sha256'][:12]}), {one['device']}, {gpu}"
        f"{one['cpu']}, {one['threads']} torch thread(s), torch {one['torch_version']}; medians "
        f"of {one['repeats']} rounds, all kinds of work in turns."
    )


def _records(rows: pd.DataFrame) -> list[dict[str, object]]:
    return [{str(key): value for key, value in row.items()} for row in rows.to_dict("records")]
