"""The commands that make things to look at: replays, figures, a report page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

Results = Annotated[Path, typer.Argument(help="Results file or run folder.")]
Trial = Annotated[
    str, typer.Argument(help="Its trial_key, or a pattern that fits one: 'grasp-*-h80-0003'.")
]
Checkpoint = Annotated[
    str | None,
    typer.Option("--model", help="World model, by name or path.", show_default="by the row's hash"),
]
Device = Annotated[str | None, typer.Option(help="Torch device.", show_default="the row's")]


def replay(
    results: Results,
    trial: Trial,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="GIF, WebP or MP4.", show_default="TRIAL.gif"),
    ] = None,
    human: Annotated[bool, typer.Option("--human", help="Show it in a window instead.")] = False,
    size: Annotated[int, typer.Option(min=64, max=1024, help="Pixels of a panel.")] = 224,
    model: Checkpoint = None,
    device: Device = None,
) -> None:
    """Plan a trial again from its row, and show plan, model and simulator side by side."""
    from grasp_bench.progress import trial_line
    from grasp_bench.recreate import agreement, find_trial, plan_again, recreate
    from grasp_bench.results import read_results
    from grasp_bench.viewing.clips import check_clip_path, write_clip
    from grasp_bench.viewing.playback import FPS, frames, playback
    from grasp_bench.viewing.player import KEYS, show_clip

    row = find_trial(read_results(results), trial)
    path = output or Path(f"{row['trial_key']}.gif")
    if not human:
        check_clip_path(path)
    recorded = recreate(row, model, device)
    typer.echo(trial_line(row))
    with Progress(transient=True, disable=not sys.stdout.isatty()) as progress:
        bar = progress.add_task("planning again", total=int(row["candidates"]))
        again = plan_again(recorded, lambda _: progress.advance(bar))
    typer.echo(agreement(recorded, again))
    view = playback(recorded, again)
    typer.echo(view.outcome)
    if human:
        typer.echo(KEYS)
        show_clip(list(frames(view, size)), FPS, view.title)
    else:
        write_clip(path, list(frames(view, size)), FPS)
        typer.echo(path)
