"""Declares the commands that make things to look at: replays and a report page."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grasp_bench.cli.options import (
    Device,
    Model,
    Results,
    ResultsPaths,
    RowDevice,
    RowModel,
    Trial,
)
from grasp_bench.core.errors import UserError, one_line

if TYPE_CHECKING:
    from rich.progress import Progress

    from grasp_bench.analysis.highlights import Highlight
    from grasp_bench.analysis.page import Clip


def replay(
    results: Results,
    trial: Trial,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="GIF, WebP or MP4.", show_default="TRIAL.gif"),
    ] = None,
    human: Annotated[bool, typer.Option("--human", help="Show it in a window instead.")] = False,
    size: Annotated[int, typer.Option(min=64, max=1024, help="Pixels of a panel.")] = 224,
    model: RowModel = None,
    device: RowDevice = None,
) -> None:
    """Plan a trial again from its row, and show plan, model and simulator side by side."""
    from grasp_bench.run.progress import trial_line
    from grasp_bench.run.store import read_results
    from grasp_bench.trial.replay import agreement, find_trial, load_trial, replay_trial
    from grasp_bench.viewing.clips import check_clip_path, write_clip
    from grasp_bench.viewing.playback import frames, playback
    from grasp_bench.viewing.player import KEYS, show_clip

    row = find_trial(read_results(results), trial)
    path = output or Path(f"{one_line(row['trial_key'])}.gif")
    if not human:
        check_clip_path(path)
    recorded = load_trial(row, model, device)
    print(trial_line(row))
    with _progress() as progress:
        bar = progress.add_task("planning again", total=int(row["candidates"]))
        again = replay_trial(recorded, lambda _: progress.advance(bar))
    print(agreement(recorded, again))
    view = playback(recorded, again)
    print(view.outcome)
    pictures, fps = list(frames(view, size)), recorded.task_set.environment.control_hz
    if human:
        print(KEYS)
        show_clip(pictures, fps, view.title)
    else:
        write_clip(path, pictures, fps)
        print(path)


def play(
    model: Model = "pusht-compact",
    horizon: Annotated[int, typer.Option(help="Tasks of this horizon give starts and goals.")] = 80,
    size: Annotated[int, typer.Option(min=64, max=1024, help="Pixels of a panel.")] = 448,
    device: Device = "cpu",
) -> None:
    """Push the block with the mouse, and see what the model expects beside it."""
    from grasp_bench.models import load_model
    from grasp_bench.tasks.task_set import load_tasks
    from grasp_bench.viewing.play import KEYS, Game
    from grasp_bench.viewing.play import play as play_in_window

    game = Game(load_model(model, device), load_tasks("tune", horizon).tasks)
    print(KEYS)
    play_in_window(game, size)


def report(
    results: ResultsPaths,
    output: Annotated[Path, typer.Option("-o", "--output", help="HTML file.")] = Path(
        "report.html"
    ),
    title: Annotated[
        str | None, typer.Option(help="Heading.", show_default="the names of the results")
    ] = None,
    clips: Annotated[
        bool, typer.Option("--clips/--no-clips", help="Plan the best and worst trials again.")
    ] = True,
    model: RowModel = None,
    device: RowDevice = None,
) -> None:
    """Write one HTML page: table, figures, statistics, clips, commands, hashes."""
    from grasp_bench.analysis.aggregate import build_table
    from grasp_bench.analysis.highlights import highlights
    from grasp_bench.analysis.page import read_trials, render_page
    from grasp_bench.core.files import write_atomically

    if output.is_dir():
        raise UserError(f"'{output}' is a folder: name a file, such as {output / 'report.html'}")
    trials = read_trials(results)
    table = build_table(trials)
    shown = _clips(highlights(table, trials), results, model, device) if clips else []
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
        _criteria(str(trials["environment"].iloc[0])),
    ).encode(errors="backslashreplace")  # a file's name need not be Unicode
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output, page)
    print(f"{output} ({len(page) / 1e6:.1f} MB)")


def _criteria(environment: str) -> Mapping[str, str]:
    """Returns the rules of all criteria, none of an environment that is not here."""
    from grasp_bench.analysis.judging import all_criteria
    from grasp_bench.envs import get_environment

    try:
        return all_criteria(get_environment(environment).criteria)
    except UserError:
        return {}


def _clips(
    chosen: list[Highlight], results: list[Path], model: str | None, device: str | None
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
