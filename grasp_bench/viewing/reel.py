"""The clips of a report page: highlights planned again, small enough to stand in a page."""

from __future__ import annotations

import io
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from PIL import Image

from grasp_bench.columns import Row
from grasp_bench.recreate import agreement, plan_again, recreate, row_of
from grasp_bench.report.highlights import Highlight
from grasp_bench.report.page import Clip, data_uri
from grasp_bench.results import read_results
from grasp_bench.viewing.clips import clip_bytes
from grasp_bench.viewing.pictures import Picture
from grasp_bench.viewing.playback import FPS, frames, playback

PANEL, EVERY = 128, 2


def reel(
    highlights: Sequence[Highlight],
    trials: pd.DataFrame,
    paths: Sequence[Path],
    model: str | None = None,
    device: str | None = None,
) -> Iterator[Clip]:
    """One clip per highlight, each trial planned again.

    Args:
        highlights: which rows of `trials`.
        trials: the results.
        paths: results files or run folders they come from, to name in the commands.
        model, device: see `recreate`.

    Raises:
        UserError: a trial cannot be made again here.
    """
    for highlight in highlights:
        row = row_of(trials, highlight.index)
        trial = recreate(row, model, device)
        again = plan_again(trial)
        view = playback(trial, again)
        pictures = list(frames(view, PANEL, EVERY))
        height, width, _ = pictures[0].shape
        yield Clip(
            title=highlight.title,
            outcome=view.outcome,
            alt=f"Virtual states, model rollout and simulator of {view.title}. {view.outcome}.",
            agreement=agreement(trial, again),
            command=shlex.join(
                ["grasp-bench", "replay", str(_source(paths, row)), row["trial_key"]]
            ),
            moving=data_uri(clip_bytes(pictures, FPS / EVERY), "image/gif"),
            still=data_uri(_png(pictures[-1]), "image/png"),
            width=width,
            height=height,
        )


def _source(paths: Sequence[Path], row: Row) -> str:
    """The first of the results that holds a row."""
    if len(paths) == 1:
        return str(paths[0])
    return next(str(p) for p in paths if (read_results(p)["trial_key"] == row["trial_key"]).any())


def _png(picture: Picture) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).quantize(64).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
