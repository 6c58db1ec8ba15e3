"""Declares the commands that collect, import and fetch demonstrations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from grasp_bench.cli.bars import late_bar, progress_bars
from grasp_bench.core.errors import UserError

data_app = typer.Typer(name="data", no_args_is_help=True, help="Demonstrations to train on.")

RecordingPath = Annotated[
    Path,
    typer.Argument(help="diffusion-policy .zarr, DINO-WM train/ or val/, .h5 or .lance."),
]
Workers = Annotated[int, typer.Option(min=1, help="Processes.")]
RecordingSplit = Annotated[
    Literal["train", "held-out"],
    typer.Option("--split", help="The recording's training episodes, or its tuning episodes."),
]
AllEpisodes = Annotated[
    bool, typer.Option("--all-episodes", help="All, where a recording's authors split it.")
]


@data_app.command()
def collect(
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the dataset.", show_default="data/ and the split"),
    ] = None,
    split: Annotated[
        Literal["train", "held-out"],
        typer.Option(help="Which random streams, or episodes of a recording, to use."),
    ] = "train",
    episodes: Annotated[
        int | None, typer.Option(min=1, help="In whole shards of 500.", show_default="24000")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=20, help="Environment steps an episode.", show_default="100, with --from 85"
        ),
    ] = None,
    recording: Annotated[
        Path | None,
        typer.Option("--from", help="Replay this recording with noise, not the demonstrator."),
    ] = None,
    copies: Annotated[
        int | None, typer.Option(min=1, help="With --from: replays of each episode.")
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(help="With --from: largest standard deviation, in units of 100 px."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="With --from: of the noise.")] = 0,
    all_episodes: AllEpisodes = False,
    workers: Workers = 2,
) -> None:
    """Collect demonstrations; shards that are already there are kept."""
    folder = out or Path("data") / split
    if recording is not None:
        if copies is None or noise is None or episodes is not None:
            raise UserError("--from needs --copies and --noise, and takes no --episodes")
        _replay(recording, folder, split, steps, copies, noise, seed, all_episodes, workers)
        return
    if copies is not None or noise is not None or seed or all_episodes:
        raise UserError("--copies, --noise, --seed and --all-episodes need --from")
    from grasp_bench.tasks.demonstrations import SHARD_EPISODES
    from grasp_bench.tasks.demonstrations import collect as collect_demonstrations

    wanted, length = episodes or 24_000, steps or 100
    total = -(-wanted // SHARD_EPISODES) * SHARD_EPISODES
    with progress_bars() as progress:
        bar = progress.add_task(f"{split} episodes", total=total, note="")
        collect_demonstrations(
            folder, split, wanted, length, workers, lambda done: progress.advance(bar, done)
        )
    print(f"{total} episodes of {length} steps in {folder}")


def _replay(
    path: Path,
    folder: Path,
    split: Literal["train", "held-out"],
    steps: int | None,
    copies: int,
    noise: float,
    seed: int,
    all_episodes: bool,
    workers: int,
) -> None:
    from grasp_bench.tasks.importing import read_recording
    from grasp_bench.tasks.recorded_data import PIECE_STEPS, collect_replays

    length = steps or PIECE_STEPS
    recording = read_recording(path)
    with late_bar(f"{split} pieces") as report:
        made = collect_replays(
            *(folder, recording, split, length, copies, noise, seed, all_episodes, workers),
            report,
        )
    print(
        f"{made.pieces} pieces of {length} steps from {copies} noisy replays of {made.used} of "
        f"{made.chosen} episodes in {folder}"
    )


@data_app.command("import")
def import_recording(
    path: RecordingPath,
    out: Annotated[Path, typer.Option(help="Folder of the dataset.")],
    split: RecordingSplit = "train",
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Environment steps an episode is cut into.", show_default="85"),
    ] = None,
    all_episodes: AllEpisodes = False,
    workers: Workers = 2,
) -> None:
    """Turn a recording into a dataset to train on; shards that are already there are kept."""
    from grasp_bench.tasks.importing import read_recording
    from grasp_bench.tasks.recorded_data import PIECE_STEPS, import_demonstrations

    length = steps or PIECE_STEPS
    recording = read_recording(path)
    with late_bar(f"{split} pieces") as report:
        made = import_demonstrations(
            *(out, recording, split, length, all_episodes, workers),
            report,
        )
    print(
        f"{made.pieces} pieces of {length} steps from {made.used} of {made.chosen} "
        f"episodes in {out}"
    )


@data_app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="Which published recording: pusht-human.")],
) -> None:
    """Download a published recording and check it; a stopped download goes on."""
    from grasp_bench.tasks.published_data import fetch_recording

    with late_bar(name, "bytes") as report:
        path = fetch_recording(name, report)
    print(f"{path} is the published recording")
