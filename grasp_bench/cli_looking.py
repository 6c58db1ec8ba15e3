"""The commands that make things to look at: replays, figures, a report page."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grasp_bench.errors import UserError

if TYPE_CHECKING:
    from rich.progress import Progress

    from grasp_bench.report.highlights import Highlight
    from grasp_bench.report.page import Clip

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
    with _progress() as progress:
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


def play(
    model: Annotated[str, typer.Option(help="World model, by name or path.")] = "pusht-compact",
    horizon: Annotated[int, typer.Option(help="Tasks of this horizon give starts and goals.")] = 80,
    size: Annotated[int, typer.Option(min=64, max=1024, help="Pixels of a panel.")] = 448,
    device: Annotated[str, typer.Option(help="Torch device.")] = "cpu",
) -> None:
    """Push the block with the mouse, and see what the model expects beside it."""
    from grasp_bench.models import load_model
    from grasp_bench.tasks import load_tasks
    from grasp_bench.viewing.play import KEYS, Game
    from grasp_bench.viewing.play import play as play_in_window

    game = Game(load_model(model, device), load_tasks("tune", horizon).tasks)
    typer.echo(KEYS)
    play_in_window(game, size)


def report(
    results: Annotated[list[Path], typer.Argument(help="Results files or run folders.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="HTML file.")] = Path(
        "report.html"
    ),
    title: Annotated[
        str | None, typer.Option(help="Heading.", show_default="the names of the results")
    ] = None,
    clips: Annotated[
        bool, typer.Option("--clips/--no-clips", help="Plan the best and worst trials again.")
    ] = True,
    model: Checkpoint = None,
    device: Device = None,
) -> None:
    """One self-contained HTML page: table, figures, statistics, clips, commands, hashes."""
    from grasp_bench.report.highlights import highlights
    from grasp_bench.report.page import read_trials, render_page
    from grasp_bench.report.rows import build_table
    from grasp_bench.results import write_atomically

    if output.is_dir():
        raise UserError(f"'{output}' is a folder: name a file, such as {output / 'report.html'}")
    trials = read_trials(results)
    table = build_table(trials)
    shown: list[Clip] = []
    if clips:
        shown = _clips(highlights(table, trials), results, model, device)
    page = render_page(
        title or f"Planning with a world model: {', '.join(path.name for path in results)}",
        table,
        trials,
        results,
        shlex.join(
            ["grasp-bench", "report", *map(str, results), "-o", str(output)]
            + (["--title", title] if title else [])
            + ([] if clips else ["--no-clips"])
        ),
        shown,
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output, page.encode())
    typer.echo(f"{output} ({len(page.encode()) / 1e6:.1f} MB)")


def _clips(
    chosen: list[Highlight],
    results: list[Path],
    model: str | None,
    device: str | None,
) -> list[Clip]:
    from grasp_bench.viewing.reel import reel

    with _progress() as progress:
        try:
            made = reel(chosen, results, model, device)
            return list(progress.track(made, len(chosen), description="planning again"))
        except UserError as error:
            raise UserError(f"{error}; --no-clips leaves the clips out") from error


def _progress() -> Progress:
    from rich.progress import Progress

    return Progress(transient=True, disable=not sys.stdout.isatty())
