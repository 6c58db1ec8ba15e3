"""Makes the clips of a report page: highlights planned again, small enough for a page."""

from __future__ import annotations

import io
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from grasp_bench.analysis.highlights import Highlight
from grasp_bench.analysis.page import Clip, data_uri
from grasp_bench.run.store import read_results
from grasp_bench.trial.replay import agreement, find_trial, load_trial, replay_trial
from grasp_bench.viewing.clips import clip_bytes
from grasp_bench.viewing.playback import frames, playback

PANEL, EVERY = 128, 2


def reel(
    highlights: Sequence[Highlight],
    paths: Sequence[Path],
    model: str | None = None,
    device: str | None = None,
) -> Iterator[Clip]:
    """Makes one clip per highlight, each trial planned again.

    Args:
        highlights: which trials.
        paths: results files or run folders that hold them.
        model, device: see `load_trial`.

    Raises:
        UserError: a trial cannot be made again here.
    """
    results = {path: read_results(path) for path in paths}
    for highlight in highlights:
        # Of results that overlap, the first.
        path = next(p for p, r in results.items() if (r["trial_key"] == highlight.trial_key).any())
        row = find_trial(results[path], highlight.trial_key)
        trial = load_trial(row, model, device)
        again = replay_trial(trial)
        view = playback(trial, again)
        pictures = list(frames(view, PANEL, EVERY))
        clip = clip_bytes(pictures, trial.task_set.environment.control_hz / EVERY)
        height, width, _ = pictures[0].shape
        still = io.BytesIO()
        Image.fromarray(pictures[-1]).quantize(64).save(still, "PNG", optimize=True)
        yield Clip(
            title=highlight.title,
            outcome=view.outcome,
            alt=f"Virtual states, model rollout and simulator of {view.title}. {view.outcome}.",
            agreement=agreement(trial, again),
            command=shlex.join(["grasp-bench", "replay", str(path), row["trial_key"]]),
            moving=data_uri(clip, "image/gif"),
            still=data_uri(still.getvalue(), "image/png"),
            width=width,
            height=height,
        )
