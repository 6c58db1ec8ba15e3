"""The clips of a report page: highlights planned again, small enough to stand in a page."""

from __future__ import annotations

import io
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from grasp_bench.recreate import agreement, find_trial, plan_again, recreate
from grasp_bench.report.highlights import Highlight
from grasp_bench.report.page import Clip, data_uri
from grasp_bench.results import read_results
from grasp_bench.viewing.clips import clip_bytes
from grasp_bench.viewing.pictures import Picture
from grasp_bench.viewing.playback import FPS, frames, playback

PANEL, EVERY = 128, 2


def reel(
    highlights: Sequence[Highlight],
    paths: Sequence[Path],
    model: str | None = None,
    device: str | None = None,
) -> Iterator[Clip]:
    """One clip per highlight, each trial planned again.

    Args:
        highlights: which trials.
        paths: results files or run folders that hold them.
        model, device: see `recreate`.

    Raises:
        UserError: a trial cannot be made again here.
    """
    results = {path: read_results(path) for path in paths}
    for highlight in highlights:
        # Of results that overlap, the first.
        path = next(p for p, r in results.items() if (r["trial_key"] == highlight.trial_key).any())
        row = find_trial(results[path], highlight.trial_key)
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
            command=shlex.join(["grasp-bench", "replay", str(path), row["trial_key"]]),
            moving=data_uri(clip_bytes(pictures, FPS / EVERY), "image/gif"),
            still=data_uri(_png(pictures[-1]), "image/png"),
            width=width,
            height=height,
        )


def _png(picture: Picture) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).quantize(64).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
