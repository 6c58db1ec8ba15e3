"""Declares the commands that list, show, check, import and make task sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from grasp_bench.cli.bars import progress_bars
from grasp_bench.cli.data_commands import RecordingPath
from grasp_bench.cli.printing import show_list
from grasp_bench.core.errors import UserError, one_line
from grasp_bench.run.config import parse_horizons

EXIT_UNSOUND = 1

tasks_app = typer.Typer(name="tasks", no_args_is_help=True, help="The frozen task sets.")

TaskSetName = Annotated[
    str, typer.Argument(help="eval, tune, human, human-tune, or the path of a file.")
]


@tasks_app.command("list")
def list_tasks() -> None:
    """List the task sets: shipped ones, known ones, and the files in data/tasks."""
    from grasp_bench.tasks.known_sets import KNOWN
    from grasp_bench.tasks.task_summary import listed_names, summarise

    rows = []
    for name, present in listed_names():
        if not present:
            known = KNOWN[name]
            rows.append((name, "not made", known.sha256[:12], " && ".join(known.commands)))
            continue
        try:
            found = summarise(name)
        except UserError as error:
            rows.append((name, "-", "-", one_line(str(error))))
            continue
        counts = ", ".join(f"H={h} {count}" for h, count in found.counts.items())
        rows.append((name, counts, found.sha256[:12], f"{found.standing}: {found.origin}"))
    show_list(["task set", "tasks", "SHA-256", "source"], rows)


@tasks_app.command()
def show(name: TaskSetName) -> None:
    """Show a task set: its horizons, how far the block goes, where it comes from."""
    from grasp_bench.tasks.task_set import load_tasks
    from grasp_bench.tasks.task_summary import medians, summarise

    found = summarise(name)
    print(f"task set     {found.name} ({found.standing})")
    print(f"environment  {found.environment}")
    print(f"SHA-256      {found.sha256}")
    print(f"source       {found.origin}")
    rows = []
    for horizon, count in found.counts.items():
        typical = medians(load_tasks(name, horizon))
        move, turn = ("-", "-") if typical is None else (f"{x:.0f}" for x in typical)
        rows.append((str(horizon), str(count), move, turn))
    show_list(["horizon", "tasks", "median block move, px", "median turn, degrees"], rows)


@tasks_app.command()
def check(name: TaskSetName) -> None:
    """Check a task set's hash, and that every demonstration reaches its goal; else exit code 1."""
    from grasp_bench.tasks.task_summary import replay_demonstrations, summarise

    found = summarise(name)
    print(f"{name} sha256 {found.sha256} ({found.standing})")
    sound = True
    for counts in replay_demonstrations(name):
        print(
            f"H={counts.horizon}: {counts.tasks} tasks, {counts.reached} reach their goal, "
            f"{counts.succeeded} succeed"
        )
        sound = sound and counts.sound
    if not sound:
        raise typer.Exit(EXIT_UNSOUND)


@tasks_app.command("import")
def import_recording(
    path: RecordingPath,
    name: Annotated[str, typer.Option(help="Of the task set.")],
    horizons: Annotated[str, typer.Option(help="Environment steps, separated by commas.")] = (
        "10,20,25,30,40,50,60,70,80"
    ),
    windows: Annotated[int, typer.Option(help="At most so many of an episode and horizon.")] = 1,
    split: Annotated[
        Literal["all", "eval", "tune", "train"], typer.Option(help="Which episodes.")
    ] = "eval",
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of the starts.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="Parquet file to write.", show_default="data/tasks/NAME.parquet"),
    ] = None,
) -> None:
    """Cut tasks out of somebody else's recording of Push-T."""
    from grasp_bench.tasks.importing import read_recording
    from grasp_bench.tasks.known_sets import IMPORTED_FOLDER, KNOWN
    from grasp_bench.tasks.task_import import check_name, import_tasks
    from grasp_bench.tasks.window_options import WindowOptions
    from grasp_bench.tasks.windows import split_episodes

    check_name(name)
    options = WindowOptions(tuple(parse_horizons(horizons)), windows, split, seed)
    recording = read_recording(path)
    out = out or IMPORTED_FOLDER / f"{name}.parquet"
    out.parent.mkdir(parents=True, exist_ok=True)
    total = len(split_episodes(len(recording), split)) * len(options.horizons)
    with progress_bars() as progress:
        bar = progress.add_task("episodes", total=total, note="")
        made = import_tasks(recording, options, name, out, lambda done: progress.advance(bar, done))
    show_list(
        ["horizon", "starts", "episodes", "non-overlapping", "tasks written"],
        [
            tuple(map(str, (h, c.starts, c.episodes, c.apart, made.written[h])))
            for h, c in made.counts.items()
        ],
    )
    expected = KNOWN[name].sha256 if name in KNOWN else made.sha256
    same = "" if made.sha256 == expected else f" (not the known set '{name}': {expected})"
    print(f"{out} sha256 {made.sha256}{same}")


@tasks_app.command()
def make(
    name: Annotated[Literal["eval", "tune"], typer.Argument(help="Which task set.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
) -> None:
    """Make a frozen task set anew; with the pinned packages its bytes are the shipped ones."""
    from grasp_bench.tasks.task_set import SHIPPED, make_tasks

    shipped = SHIPPED[name]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.touch()
    with progress_bars() as progress:
        bar = progress.add_task("tasks", total=shipped.total, note="")
        digest = make_tasks(name, out, lambda done: progress.advance(bar, done))
    same = "as shipped" if digest == shipped.sha256 else f"shipped: {shipped.sha256}"
    print(f"{out} sha256 {digest} ({same})")
